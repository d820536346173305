"""The locked environment of a revision: the one at hand where its locks are the same, else built from its own."""

import hashlib
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pushforward import durable, files, schema, settings
from pushforward.errors import TOOL, USAGE, MachineError, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import installer
from pushforward.pipeline.installer import Put
from pushforward.project import locks as kinds

STAMP = ".locked"
# What an installer says where the machine, and not a lock, is at fault.
UNREACHED = re.compile(
    r"(?i)dns error|name resolution|resolve host|network is unreachable|connection (?:refused|reset|timed out)"
    r"|error sending request|failed to establish a new connection|operation timed out|no space left|took longer than"
)
# What it says where no machine could install what the lock says.
UNREADABLE = re.compile(
    r"(?i)invalid requirement|couldn't parse|hashes are required|--require-hashes mode|hash mismatch"
)
KNOWN = "PUSHFORWARD_ENVIRONMENTS"
PROJECT = "PUSHFORWARD_PROJECT"
CARRIED = "src/pushforward/__main__.py"
NOTHING = "no lock is named"
TOOL_MARK = "pushforward/__main__.py"


def digest(repository: Repository, commit: str, requirements: list[str]) -> str:
    """SHA-256 over the lock files `requirements` at `commit`, in their order."""
    whole = hashlib.sha256()
    for path in requirements:
        content = repository.read_plain(commit, path)
        if content is None:
            raise PushforwardError(
                f"{commit[:9]} has no {path} (environment)", next="edit environment in pushforward.yaml"
            )
        whole.update(content)
    return whole.hexdigest()


def unlocked(repository: Repository, commit: str, requirements: list[str]) -> tuple[str, ...]:
    """Those of the files `requirements` at `commit` that let the same bytes become another environment."""
    if not requirements:
        return (NOTHING,)
    texts = {path: (repository.read_plain(commit, path) or b"").decode("utf-8", "replace") for path in requirements}
    return tuple(path for path, text in texts.items() if not kinds.of(path, text).locked)


def at_hand() -> str:
    """The digest of the locks that this interpreter's environment was built from; empty where it is not known."""
    return stamped(Path(sys.prefix))


def stamped(home: Path) -> str:
    """The digest of the locks that the environment in `home` was built from; empty where it is not known."""
    stamp = home / STAMP
    return stamp.read_text().strip() if stamp.is_file() else ""


def carried(repository: Repository, commit: str) -> bool:
    """Whether a repository carries the tool: then one environment is the tool's and the project's."""
    return repository.read(commit, CARRIED) is not None


def cache() -> Path:
    """Where a person's machine keeps the environments of projects."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushforward" / "environments"


def project(root: Path) -> Path:
    """The Python that stages and `score` of the checkout in `root` run with: the project's, never another's.

    The tool's own is meant where the repository carries the tool, where nothing is locked, and where the locks made it.
    """
    told = files.read(root, schema.FILE)
    requirements = [] if told is None else settings.parse(told, schema.FILE).environment
    repository = Repository(root)
    given, known = os.environ.get(PROJECT, ""), os.environ.get(KNOWN, "")
    # a server says what the target branch has; what a branch says chooses nothing else
    if not given and (not requirements or carried(repository, "HEAD")):
        return Path(sys.executable)
    wanted = digest(repository, "HEAD", requirements)
    if given and stamped(Path(given)) == wanted:
        return Path(given) / "bin" / "python"
    if wanted == at_hand():
        return Path(sys.executable)
    if (there := built(Path(known) if known else cache(), wanted)) is not None:
        return there
    names = ", ".join(requirements)
    if known:
        raise PushforwardError(
            f"this commit locks another environment ({names or 'none'}) than the server has for it",
            next="merge the new locks by themselves, then push again",
            exit_code=TOOL,
        )
    raise PushforwardError(f"the environment that {names} lock is not built here", next="pushforward env")


@dataclass(frozen=True)
class Made:
    """A project's environment: its folder and its Python, the digest of its locks, whether it was built just now."""

    folder: str
    python: str
    digest: str
    built: bool
    seconds: float


def make(root: Path, *, say: Callable[[str], None]) -> Made:
    """The environment that HEAD of the checkout in `root` locks, built where it is not there."""
    began = time.monotonic()
    requirements = settings.load(root).environment
    repository = Repository(root)
    if not requirements or carried(repository, "HEAD"):
        return Made(sys.prefix, sys.executable, at_hand(), built=False, seconds=0.0)
    wanted = digest(repository, "HEAD", requirements)
    fresh = wanted != at_hand() and built(cache(), wanted) is None
    if fresh:
        say(f"building what {', '.join(requirements)} lock in {cache() / wanted[:16]}")
    python = interpreter(repository, repository.commit("HEAD"), requirements, folder=cache())
    return Made(str(python.parent.parent), str(python), wanted, fresh, round(time.monotonic() - began, 2))


def search_path(python: Path) -> str:
    """What PATH is for whoever runs with `python`: its own programs first, and of the tool's none that are not its."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    alone = sys.prefix != sys.base_prefix  # else its programs are the machine's
    tool = str(Path(sys.executable).parent) if alone else ""
    return os.pathsep.join(
        [str(python.parent), *(place for place in places if place not in (tool, str(python.parent)))]
    )


def enter(python: Path) -> None:
    """Have every child of this process find `python` first; of another environment than this, nothing of the tool's."""
    os.environ["PATH"] = search_path(python)  # a stage says `python`: the one of the project, activated or not
    if python == Path(sys.executable):
        return
    os.environ["VIRTUAL_ENV"], os.environ["PYTHONNOUSERSITE"] = str(python.parent.parent), "1"
    os.environ.pop("PYTHONHOME", None)
    places = [place for place in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if place]
    if kept := [place for place in places if not (Path(place) / TOOL_MARK).is_file()]:
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)


def built(folder: Path, locked: str) -> Path | None:
    """The Python of the environment of the locks with the digest `locked`, if it was built below `folder`, whole."""
    stamp, python = files.place(folder, f"{locked[:16]}/{STAMP}"), folder / locked[:16] / "bin" / "python"
    # its interpreter may be gone
    return python if stamp.is_file() and stamp.read_text().strip() == locked and python.exists() else None


def interpreter(repository: Repository, commit: str, requirements: list[str], *, folder: Path) -> Path:
    """The Python of the environment that `commit` locks; built below `folder` where it is not the one at hand.

    The tool's own where nothing is locked. Building needs the package index and takes a while; nothing is built twice.
    """
    wanted = digest(repository, commit, requirements)
    if not requirements or wanted == at_hand():
        return Path(sys.executable)
    # a run of the local server is told where the server keeps what it has built
    known = os.environ.get(KNOWN, "")
    for place in (Path(known), folder) if known else (folder,):
        if (there := built(place, wanted)) is not None:
            return there
    with durable.locked(folder / f"{wanted[:16]}.lock"):
        # whoever held the lock may have built it
        return built(folder, wanted) or _build(repository, commit, requirements, folder=folder, wanted=wanted)


def _build(repository: Repository, commit: str, requirements: list[str], *, folder: Path, wanted: str) -> Path:
    """Build the environment that `commit` locks; the stamp comes last, and what has none is not believed."""
    home = folder / wanted[:16]
    python = home / "bin" / "python"
    shutil.rmtree(home, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="pushforward-locks-") as scratch:
        locks = installer.put(repository, commit, requirements, folder=Path(scratch))
        try:
            installer.install(home, locks)
        except PushforwardError as failed:
            shutil.rmtree(home, ignore_errors=True)
            _refuse(failed, commit, locks, "make env" if carried(repository, commit) else "pushforward env")
    # the command of whichever checkout runs in it: the package comes from PYTHONPATH
    command = home / "bin" / "pushforward"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -m pushforward "$@"\n')
    command.chmod(0o755)
    (home / STAMP).write_text(wanted + "\n")
    return python


def _refuse(failed: PushforwardError, commit: str, locks: list[Put], builds: str) -> NoReturn:
    """Say whose fault it is that the environment of `commit` could not be built, by what the installer said.

    `builds` is what a person types to build it.
    """
    if UNREACHED.search(failed.message):
        raise MachineError(
            f"the environment that {commit[:9]} locks could not be built: the package index was not reached",
            next=f"{builds}, then pushforward dispatch, when the network is back",
            detail=failed.message,
        ) from failed
    said, names = failed.message.partition(" failed: ")[2] or failed.message, ", ".join(one.lock.path for one in locks)
    for one in locks:
        said = said.replace(str(one.place), one.lock.path)
    lines = [line.strip() for line in said.splitlines()]
    if own := next((line for line in lines if UNREADABLE.search(line)), ""):
        raise PushforwardError(
            f"the environment that {commit[:9]} locks ({names}) cannot be built: {own}",
            next=f"edit {names}, or lock anew",
            exit_code=USAGE,
        ) from failed
    message = "\n  ".join(lines)
    raise PushforwardError(
        f"the environment that {commit[:9]} locks ({names}) could not be built: {message}",
        next=f"{builds}, then pushforward init, on the machine that runs this",
        exit_code=TOOL,
    ) from failed
