"""Child processes: argv, clean environment, captured output, readable failure."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError

# What a child may inherit. Hooks set GIT_DIR and a dozen relatives, CI sets tokens: an allow-list forgets none.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM", "NO_COLOR", "SSH_AUTH_SOCK")
# Where packages come from, and through what: for the one child that installs them.
INDEX = re.compile(
    r"(?i)(PIP|UV)_(EXTRA_)?(DEFAULT_)?(INDEX|INDEX_URL|CERT|FIND_LINKS)|SSL_CERT_(FILE|DIR)|(HTTPS?|NO)_PROXY"
)


@dataclass(frozen=True)
class Completed:
    """What a child left: its exit status and both streams as bytes."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, without the trailing newline."""
        return self.stdout.decode("utf-8", "replace").rstrip("\n")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The allow-listed part of this process's environment, and `extra` on top."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return inherited | dict(extra or {})


def index_environment() -> dict[str, str]:
    """What this process's environment says of the package index."""
    return {name: value for name, value in os.environ.items() if INDEX.fullmatch(name)}


def uv() -> str:
    """The path of uv: of this environment, which asks for it, else of whoever runs this."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("uv", path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise PushforwardError(
            "uv is not installed, and environments are built by it",
            next="install pushforward again: it asks for uv",
            exit_code=TOOL,
        )
    return found


def follow(argv: Sequence[str], say: Callable[[str], None], *, env: Mapping[str, str] | None = None) -> Completed:
    """Run `argv` without a shell; `say` gets each line of standard error as it comes. Standard output is dropped."""
    told = []
    with subprocess.Popen(
        list(argv),
        env=clean_environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        for line in child.stderr or ():
            told.append(line)
            say(line.decode("utf-8", "replace").rstrip())
    return Completed(child.returncode, b"", b"".join(told))


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    check: bool = True,
    timeout: float | None = None,
) -> Completed:
    """Run `argv` without a shell and wait for it.

    `env` is added to the clean environment. With `check`, a status other than 0 raises `PushforwardError`
    with the last lines of standard error; so do a missing program and a run longer than `timeout` seconds.
    """
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=clean_environment(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as missing:
        if cwd is not None and not cwd.is_dir():
            raise PushforwardError(f"folder {cwd} does not exist", exit_code=TOOL) from missing
        raise PushforwardError(f"{argv[0]} is not installed", next="pushforward check", exit_code=TOOL) from missing
    except subprocess.TimeoutExpired as late:
        raise PushforwardError(f"{' '.join(argv[:3])} took longer than {timeout:.0f} s", exit_code=TOOL) from late
    if check and done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-8:]
        detail = "\n  ".join(tail) or f"exit status {done.returncode}"
        raise PushforwardError(f"{' '.join(argv[:4])} failed: {detail}", exit_code=TOOL)
    return Completed(done.returncode, done.stdout, done.stderr)
