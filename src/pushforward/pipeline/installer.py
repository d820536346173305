"""The installer: fills an environment with what locks say, of whichever tool they are. `environment` calls it.

uv does it: it checks every hash that a lock has, and builds in seconds.
"""

import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward import files, pointers, process
from pushforward.errors import TOOL, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import poetry
from pushforward.project import locks
from pushforward.project.locks import Lock

PYPROJECT = "pyproject.toml"
# The group that uv installs unless it is told otherwise. By the lock alone: another pyproject.toml is no other lock.
UV_DEV = re.compile(r"(?m)^\[package\.dev-dependencies\]\n(?:[^\[\n].*\n|\s*\n)*?dev = \[")
SECONDS = 1800
LINES = 12
NO_DOWNLOADS = {"UV_PYTHON_DOWNLOADS": "never"}


@dataclass(frozen=True)
class Put:
    """A lock of a commit, and where it lies for uv to read; `dev` where it is uv's and has a group of that name."""

    lock: Lock
    place: Path
    dev: bool = False


def put(repository: Repository, commit: str, paths: Iterable[str], *, folder: Path) -> list[Put]:
    """Put the locks `paths` of `commit` below `folder`, each in a folder of its own; refused where uv reads one not."""
    found = []
    for number, path in enumerate(paths):
        content = repository.read(commit, path) or b""
        if stands_for := pointers.committed(content[: pointers.FIRST_BYTES]):
            raise PushforwardError(f"{commit[:9]}:{path} is {stands_for[0]}, not what it points to", next=stands_for[1])
        text = content.decode("utf-8", "replace")
        lock = locks.of(path, text)
        if lock.kind not in locks.INSTALLED:
            whose, then = locks.ELSEWHERE[lock.kind]
            raise PushforwardError(f"{commit[:9]}:{path} is {whose}, and pip installs nothing from it", next=then)
        name = "poetry.txt" if lock.kind == "poetry" else posixpath.basename(path)
        content = poetry.requirements(path, text).encode() if lock.kind == "poetry" else content
        files.write(folder, f"{number}/{name}", content)
        if lock.kind == "uv":
            files.write(folder, f"{number}/{PYPROJECT}", _beside(repository, commit, path))
        found.append(Put(lock, folder / str(number) / name, lock.kind == "uv" and bool(UV_DEV.search(text))))
    return found


def _beside(repository: Repository, commit: str, path: str) -> bytes:
    """The pyproject.toml that a uv.lock is of."""
    place = posixpath.join(posixpath.dirname(path), PYPROJECT)
    content = repository.read_plain(commit, place)
    if content is None:
        raise PushforwardError(f"{commit[:9]} has no {place}, which {path} is of", next=f"git add {place}")
    return content


def install(home: Path, given: Sequence[Put]) -> None:
    """Make the environment `home` and install what the locks say; `PushforwardError` with uv's words where it fails."""
    uv, base = process.uv(), getattr(sys, "_base_executable", sys.executable)
    process.run([uv, "venv", "-q", "--no-project", "--python", base, str(home)], env=NO_DOWNLOADS, timeout=120)
    env = process.index_environment() | NO_DOWNLOADS | {"UV_PROJECT_ENVIRONMENT": str(home)}
    for words in _steps(home / "bin" / "python", given):
        done = process.run([uv, *words], env=env, check=False, timeout=SECONDS)
        if done.returncode != 0:
            raise PushforwardError(f"uv failed: {_said(done.stderr)}", exit_code=TOOL)


def _said(stderr: bytes) -> str:
    """What uv says of what went wrong, without its advice."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    advice = next((place for place, line in enumerate(lines) if line.lower().startswith("hint:")), len(lines))
    return "\n".join(lines[: min(advice, LINES)]) or "it gave no reason"


def _steps(python: Path, given: Sequence[Put]) -> Iterator[list[str]]:
    """What uv is asked for, one after the other: what has hashes has no more than these."""
    # a run cannot write bytecode: in its jail the environment is read-only
    common = ["-q", "--compile-bytecode", "--python", str(python)]
    for one in (one for one in given if one.lock.kind == "uv"):
        exactly = ["--frozen", "--inexact", "--no-install-project", "--no-default-groups"]
        dev = ["--group", "dev"] if one.dev else []
        yield ["sync", *common, *exactly, *dev, "--project", str(one.place.parent)]
    hashed = [one for one in given if one.lock.kind in ("pip", "poetry") and one.lock.locked]
    if hashed:
        yield ["pip", "install", *common, "--no-deps", "--require-hashes", *_read(hashed)]
    for one in given:
        if one.lock.kind == "pylock" or (one.lock.kind == "pip" and not one.lock.locked):
            yield ["pip", "install", *common, *_read([one])]


def _read(given: Iterable[Put]) -> list[str]:
    return [word for one in given for word in ("-r", str(one.place))]
