"""Objects of repositories from one `git cat-file` each, for a process that asks for dozens; `repository` calls.

A process for each question costs more than its answer. Whoever is short-lived, and alone in it, says `kept`: then a
reader per repository stays meanwhile, and a listing of what a commit has, which never changes, is made once.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pushforward import process

Answer = TypeVar("Answer")
FORM = "%(objectname) %(objecttype) %(objectsize)"
TREES = 64  # listings that are kept


@dataclass(frozen=True)
class Found:
    """What git has under a name: the object, its type and its content; nothing of it where there is none."""

    object: str = ""
    type: str = ""
    content: bytes = b""


class Reader:
    """One `git cat-file --batch` in the repository at `path`."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self.place = _place(path)
        self._turn = threading.Lock()
        self._git = subprocess.Popen(
            ["git", "-C", str(path), "cat-file", f"--batch={FORM}"],
            env=process.clean_environment(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, name: str) -> Found | None:
        """What git takes `name` for, which has no line break; None where this git has died."""
        asked, told = self._git.stdin, self._git.stdout
        if asked is None or told is None:
            return None
        with self._turn:
            try:
                asked.write(f"{name}\n".encode("utf-8", "surrogateescape"))
                asked.flush()
            except OSError:
                return None
            head = told.readline()
            fields = head.split()
            if not head.endswith(b"\n") or not fields:
                return None
            if len(fields) != 3 or not fields[2].isdigit():  # "<name> missing", or "ambiguous"
                return Found()
            content = told.read(int(fields[2]) + 1)
        if len(content) <= int(fields[2]):
            return None
        return Found(fields[0].decode(), fields[1].decode(), content[:-1])

    def close(self) -> None:
        """End it."""
        self._git.kill()
        with suppress(BrokenPipeError), self._git:
            pass


_kept: dict[str, Reader] | None = None
_trees: dict[tuple[str, str], dict[str, str]] = {}
_answers: dict[tuple[str, tuple[int, int] | None, str], Any] = {}


@contextmanager
def kept() -> Iterator[None]:
    """Keep a reader of each repository, and what was listed and answered, as long as this goes on."""
    global _kept
    if _kept is not None:
        yield
        return
    _kept = {}
    try:
        yield
    finally:
        for reader in _kept.values():
            reader.close()
        _kept = None
        _trees.clear()
        _answers.clear()


def ask(path: Path, name: str, env: Callable[[], Mapping[str, str]]) -> Found | None:
    """What the repository at `path`, as it lies there now, has under `name`; None where that is to be asked otherwise.

    So it is where no reader is kept, or has died: of a broken object git says more when it is asked for that alone.
    """
    if _kept is None or name.startswith("-") or "\n" in name or "\0" in name:
        return None
    place = str(path.absolute())
    reader = _kept.get(place)
    if reader is not None and reader.place != _place(path):  # a checkout has made way for another
        reader.close()
        reader = None
    if reader is None:
        reader = _kept[place] = Reader(path, env())
    found = reader.ask(name)
    if found is None:
        _kept.pop(place).close()
    return found


def tree(path: Path, commit: str, listed: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What `listed` gives of a commit by its whole name; asked once where readers are kept."""
    if _kept is None or len(commit) < 40 or commit.strip("0123456789abcdef"):
        return listed()
    key = str(path.absolute()), commit
    if key not in _trees:
        if len(_trees) >= TREES:
            _trees.clear()
        _trees[key] = listed()
    return dict(_trees[key])


def once(path: Path, question: str, find: Callable[[], Answer]) -> Answer:
    """What `find` gives, asked once where readers are kept.

    It is to be of how the repository at `path` is set up, which no step of a run changes.
    """
    if _kept is None:
        return find()
    key = str(path.absolute()), _place(path), question
    if key not in _answers:
        _answers[key] = find()
    found: Answer = _answers[key]
    return found


def _place(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
