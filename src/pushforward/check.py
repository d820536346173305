"""The doctor: every precondition of local mode, what is wrong, the command that mends it."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward import process
from pushforward.errors import PushforwardError
from pushforward.git import Repository

FREE_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One precondition: whether it holds, what was found, and what mends it."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def machine(folder: Path, *, trust: bool = False) -> Iterator[Finding]:
    """What local mode needs of the machine; `folder` is where the server lies or will lie."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", sys.version_info >= (3, 11), python, "install Python 3.11 or newer")
    yield _git()
    act = Path(sys.executable).parent / "act"
    yield Finding("act", act.exists(), str(act) if act.exists() else "not in this environment", "make env")
    yield _jail(trust)
    free = shutil.disk_usage(folder).free
    yield Finding("disk", free >= FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "free some space: 2 GiB are needed")


def _git() -> Finding:
    try:
        text = process.run(["git", "--version"]).text.removeprefix("git version ")
    except PushforwardError:
        return Finding("git", False, "not installed", "install git 2.38 or newer")
    numbers = tuple(int(part) for part in text.split()[0].split(".")[:2] if part.isdigit())
    return Finding("git", numbers >= (2, 38), text, "install git 2.38 or newer: merge-tree --write-tree is needed")


def _jail(trust: bool) -> Finding:
    from pushforward import jail

    try:
        return Finding("jail", True, jail.find(trust=trust).describe())
    except PushforwardError as missing:
        return Finding("jail", False, missing.message, missing.next)


def trusted(bare: Path | None) -> bool:
    """Whether the server in `bare` runs topic branches without a jail where there is none."""
    from pushforward.init import Server

    try:
        return bare is not None and Server.load(bare).trust
    except PushforwardError:
        return False


def server(bare: Path) -> Iterator[Finding]:
    """What a server that `pushforward init` made needs to be: hooks, copy of the tool, store, settings of git."""
    from pushforward.init import HOOKS, Server

    try:
        made = Server.load(bare)
    except PushforwardError as missing:
        yield Finding("server", False, missing.message, missing.next)
        return
    yield Finding("server", True, str(bare))
    for name in HOOKS:
        yield _hook(bare / "hooks" / name)
    python = Path(made.python)
    yield Finding("environment", python.exists(), str(python), "make env, then pushforward init")
    if made.store:
        writable = Path(made.store).is_dir() and os.access(made.store, os.W_OK)
        yield Finding("store", writable, made.store, f"mkdir -p {shlex.quote(made.store)}")
    config = Repository(bare)
    for key, wanted in (
        ("core.logallrefupdates", "true"),
        ("core.fsync", "all"),
        ("core.hookspath", str(bare / "hooks")),
    ):
        value = config.git("config", "--get", key, check=False).text
        yield Finding(key, value == wanted, value or "not set", "pushforward init")


def _hook(path: Path) -> Finding:
    if not path.is_file():
        return Finding(path.name, False, "missing", "pushforward init")
    if not os.access(path, os.X_OK):
        # git takes the push and says so only in a hint
        return Finding(path.name, False, "not executable: git would skip it", f"chmod +x {shlex.quote(str(path))}")
    done = subprocess.run(["sh", "-n", str(path)], capture_output=True, check=False)
    return Finding(path.name, done.returncode == 0, "in place", "pushforward init")
