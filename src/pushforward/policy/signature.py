"""Signature: whose key, of those that this server trusts, made it. `tags`, `versions` and `override` ask."""

import os
import subprocess

from pushforward.policy.objects import PATIENCE_SECONDS, environment
from pushforward.policy.push import FOLDER, Push, text
from pushforward.policy.refusal import PolicyError
from pushforward.registry import ssh
from pushforward.registry.ssh import Signed, Signer


def signer(push: Push, signed: Signed, namespace: str) -> Signer:
    """Whose key signed it; refused unless it is the tagger's, holds now and held then."""
    return ssh.verify(signed, namespace, _known(), _run, now=push.now)


def check_allowed(signer: Signer, *, allowed: bool) -> None:
    """Refuse what the key of `signer` may not sign, and say what it may."""
    if not allowed:
        words = ", ".join(sorted(signer.may)) or "nothing"
        raise PolicyError(f"the key that signed it may sign {words}, not this", "pushforward trust, to see who may")


def _known() -> list[Signer]:
    """The allowed signers; an error where others could have written them, or a line cannot be read."""
    path = f"{FOLDER}/{ssh.FILE}"
    if (os.stat(path).st_mode | os.stat(FOLDER).st_mode) & 0o002:
        raise PolicyError(
            "anybody on the server can write its allowed signers",
            "on the server: chmod o-w pushforward pushforward/allowed_signers",
        )
    return ssh.read(text(path))


def _run(command: list[str], content: bytes) -> int:
    done = subprocess.run(
        command,
        input=content,
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=environment() | {"TZ": "UTC"},
    )
    if done.returncode < 0:
        raise OSError("ssh-keygen was killed")
    return done.returncode
