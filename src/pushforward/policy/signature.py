"""Signatures: whose key signed it, and what that key may sign. `tags`, `versions` and `branches` ask."""

import os
import re
import subprocess
import time
from typing import Any, NamedTuple

from pushforward.policy.objects import PATIENCE_SECONDS, environment
from pushforward.policy.push import FOLDER, Push, text
from pushforward.policy.refusal import PolicyError, shown

ARMOR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END SSH SIGNATURE-----\n?", re.DOTALL
)
SIGNER = re.compile(
    r'(?P<who>[!-~]+) namespaces="git,pushforward"(?:,valid-before="(?P<before>\d{14}Z)")?'
    r" (?P<key>[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2})(?: may=(?P<may>[a-z0-9,-]+))?"
)
PATTERN = frozenset("*?!,")


class Tag(NamedTuple):
    """An annotated tag: the commit it names, who made it when (seconds since the epoch), its record of JSON.

    `content` is what `signature` (armored) signs.
    """

    target: str
    email: str
    when: int
    record: dict[str, Any]
    content: bytes
    signature: bytes


def check_allowed(allowed: bool, may: set[str]) -> None:
    """Refuse where it is not `allowed`, and say what the key `may` sign."""
    if not allowed:
        words = ", ".join(sorted(may)) or "nothing"
        raise PolicyError(f"the key that signed it may sign {words}, not this", "pushforward trust, to see who may")


def signer(push: Push, tag: Tag, content: bytes, signature: bytes, namespace: str) -> set[str]:
    """What the key of a good signature may sign; refused unless it is the tagger's, holds now and held then."""
    if not ARMOR.fullmatch(signature):
        raise PolicyError("it is not signed with an ssh key", "git config gpg.format ssh, then sign it again")
    import base64
    import tempfile

    key = _key(signature)
    owners = [line for line in _signers() if _same_key(line["key"], key)]
    mine = [line for line in owners if line["who"] == tag.email]
    if not owners:
        raise PolicyError(
            f"nobody here trusts the key that signed it ({_fingerprint(base64.b64decode(key[1]))})",
            f"pushforward trust KEY.pub --as {shown(tag.email)}",
        )
    if not mine:
        raise PolicyError(
            f"it says that {shown(tag.email)} made it, and the key is of {owners[0]['who']}",
            f"git config user.email {owners[0]['who']}, then sign it again",
        )
    before = mine[0]["before"]
    if before and max(_moment(push.now), _moment(tag.when)) >= before:
        raise PolicyError(f"the key of {tag.email} was revoked at {before}", "sign it with a key that holds")
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        names = f"{folder}/allowed", f"{folder}/signature"
        for name, content_of in zip(names, (f"{mine[0][0]}\n".encode(), signature), strict=True):
            with open(name, "wb") as handle:
                handle.write(content_of)
        options = ("-f", names[0], "-I", tag.email, "-n", namespace, "-s", names[1])
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", *options, f"-Overify-time={_moment(tag.when)}"],
            input=content,
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
            env=environment() | {"TZ": "UTC"},
        )
    if done.returncode < 0:
        raise OSError("ssh-keygen was killed")
    if done.returncode != 0:
        raise PolicyError("its signature does not fit what it says", "sign it again, and change nothing after")
    return set((mine[0]["may"] or "").split(",")) - {""}


def _signers() -> list[re.Match[str]]:
    """The lines of the allowed signers; an error where others could have written them, or one cannot be read."""
    path = f"{FOLDER}/allowed_signers"
    if (os.stat(path).st_mode | os.stat(FOLDER).st_mode) & 0o002:
        raise PolicyError(
            "anybody on the server can write its allowed signers",
            "on the server: chmod o-w pushforward pushforward/allowed_signers",
        )
    found = []
    for number, line in enumerate(text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = SIGNER.fullmatch(line.rstrip())
        if match is None or PATTERN.intersection(match["who"]):
            raise PolicyError(f"allowed_signers, line {number}, is not as pushforward writes it", "pushforward trust")
        found.append(match)
    return found


def _key(signature: bytes) -> tuple[str, str]:
    """(type, base64) of the public key inside a signature."""
    import base64

    armor = ARMOR.fullmatch(signature)
    try:
        blob = base64.b64decode((armor[1] if armor else b"").replace(b"\n", b""), validate=True)
    except ValueError:
        blob = b""
    size = int.from_bytes(blob[10:14], "big")  # "SSHSIG", four bytes of version, then the key
    key = blob[14 : 14 + size]
    kind = key[4 : 4 + int.from_bytes(key[:4], "big")]
    if blob[:10] != b"SSHSIG\0\0\0\1" or len(key) != size or not re.fullmatch(rb"[a-z0-9@.-]+", kind):
        raise PolicyError("its signature cannot be read", "sign it again")
    return kind.decode(), base64.b64encode(key).decode()


def _same_key(line: str, key: tuple[str, str]) -> bool:
    kind, _, body = line.partition(" ")
    return (kind, body) == key


def _fingerprint(key: bytes) -> str:
    import base64
    import hashlib

    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _moment(seconds: float) -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))
