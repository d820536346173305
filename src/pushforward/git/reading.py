"""Objects of repositories from one `git cat-file` each, for a process that asks for dozens; `repository` calls.

A process for each question costs more than its answer. Whoever is short-lived, and alone in it, says `kept`: then a
reader per repository stays meanwhile, and a listing of what a commit has, which never changes, is made once.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pushforward import process

Answer = TypeVar("Answer")
FORM = "%(objectname) %(objecttype) %(objectsize)"
STILL = 256  # answers of commits that are kept


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
            except (OSError, ValueError):  # it has died, or another thread has found that and closed it
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
        with self._turn:
            self._git.kill()
            with suppress(BrokenPipeError), self._git:
                pass


_turn = threading.Lock()
_kept: dict[str, Reader] | None = None
_still: dict[tuple[str, ...], tuple[Any]] = {}
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
        _still.clear()
        _answers.clear()


def ask(path: Path, name: str, env: Callable[[], Mapping[str, str]]) -> Found | None:
    """What the repository at `path`, as it lies there now, has under `name`; None where that is to be asked otherwise.

    So it is where no reader is kept, or has died: of a broken object git says more when it is asked for that alone.
    """
    if _kept is None or name.startswith("-") or "\n" in name or "\0" in name:
        return None
    place = str(path.absolute())
    with _turn:  # of two threads that ask first one begins a reader
        reader = _kept.get(place)
        if reader is not None and reader.place != _place(path):  # a checkout has made way for another
            reader.close()
            reader = None
        if reader is None:
            reader = _kept[place] = Reader(path, env())
    found = reader.ask(name)
    if found is None:
        with _turn:
            if _kept.get(place) is reader:
                del _kept[place]
        reader.close()
    return found


def still(path: Path, question: str, commits: Sequence[str], find: Callable[[], Answer]) -> Answer:
    """What `find` gives of some commits by their whole names; asked once where readers are kept.

    It is to follow from them alone, as what they have and how they differ does. The answer is not to be changed.
    """
    if _kept is None or any(len(one) < 40 or one.strip("0123456789abcdef") for one in commits):
        return find()
    key = str(path.absolute()), question, *commits
    if (found := _still.get(key)) is None:
        if len(_still) >= STILL:
            _still.clear()
        found = _still[key] = (find(),)
    answer: Answer = found[0]
    return answer


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
