"""Files that are whole or not there at all, and locks that end with their holder: both outlive whoever writes them."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

UNFINISHED = ".unfinished"
ASKING_SECONDS = 0.01


def write(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Put `content` in the place of the file `path`; whoever reads finds the old or the new, also after a power cut.

    It gets `mode`, or what the user's mask leaves.
    """
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        with fresh.open("wb") as handle:
            if mode is not None:
                os.fchmod(handle.fileno(), mode)
            handle.write(content.encode() if isinstance(content, str) else content)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make what is in a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone; the kernel lets go of it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def attempted(path: Path) -> Iterator[bool]:
    """Whether the lock file `path` could be had at once; if so, it is held alone inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        while not (mine := _try(handle, fcntl.LOCK_EX)) and _try(handle, fcntl.LOCK_SH):
            # nobody but somebody who asks holds it, for a moment
            fcntl.flock(handle, fcntl.LOCK_UN)
            time.sleep(ASKING_SECONDS)
        yield mine


def held(path: Path) -> bool:
    """Whether somebody holds the lock file `path` alone."""
    if not path.exists():
        return False
    with path.open("rb") as handle:
        return not _try(handle, fcntl.LOCK_SH)


def _try(handle: IO[Any], kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
