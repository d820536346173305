"""Growth of data: whether a file that is said to gain rows only has done so between two commits. The judge asks.

A file is one of git, or a `.dvc` file, whose data is looked for in cache and remote. Texts are compared line by line,
whatever order the new ones come in; what is no text can be compared by nobody here, and that is said.
"""

import functools
import hashlib
import io
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ruamel.yaml.error import YAMLError

from pushforward import files, untrusted, yamlquick
from pushforward.errors import DATA, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import store
from pushforward.pipeline.checkout import checkout
from pushforward.pipeline.lock import LIMIT_DEPTH, LIMIT_NODES, LISTING
from pushforward.pipeline.storage import storage

POINTER = ".dvc"
CHUNK = 1 << 20
LIMIT_SORTED = 256 << 20  # bytes of a file whose new lines do not all stand at its end: each is kept by a digest


@dataclass(frozen=True)
class Growth:
    """How a file differs from what it was: `rows` gained, or what was `lost`; `unread` where nobody can compare it."""

    path: str
    rows: int = 0
    lost: str = ""
    unread: str = ""

    @property
    def only(self) -> bool:
        """Whether it is shown that it only gained rows."""
        return not (self.lost or self.unread)


def taken(grown: Iterable[Growth], *, trusted: bool) -> tuple[str, ...]:
    """The files whose new rows count: shown to be added, or, of what is `trusted`, said to be by the settings."""
    return tuple(one.path for one in grown if one.only or (trusted and not one.lost))


def grown(repository: Repository, before: str, after: str, named: Collection[str]) -> tuple[Growth, ...]:
    """How each of the files `named` that differs between two commits has changed."""
    changed = set(repository.changed(before, after)) & set(named) if named else set[str]()
    return tuple(_between(repository, before, after, path) for path in sorted(changed))


@functools.lru_cache(maxsize=64)
def _between(repository: Repository, before: str, after: str, path: str) -> Growth:
    old, new = repository.read_plain(before, path), repository.read_plain(after, path)
    if old is None:
        return Growth(path, _lines(io.BytesIO(new or b"")) if not path.endswith(POINTER) else 0)
    if new is None:
        return Growth(path, lost=f"{path} is gone")
    if not path.endswith(POINTER):
        return _compared(path, path, io.BytesIO(old), io.BytesIO(new))
    with tempfile.TemporaryDirectory(prefix="pushforward-data-") as scratch:
        place = Path(scratch)
        first = _Data(repository, before, path, _out(old, path), place / "before")
        return _pair(path, first, _Data(repository, after, path, _out(new, path), place / "after"))


@dataclass(frozen=True)
class _Data:
    """What a `.dvc` file names at a commit; fetched to `place` where no folder of this machine holds it."""

    repository: Repository
    commit: str
    pointer: str
    out: tuple[str, str]
    place: Path

    def file(self, oid: str = "", inside: str = "") -> Path | None:
        """Where the object `oid` is, its own by default; None where it is to be had nowhere."""
        wanted, there = oid or self.out[1], store.places(self.repository.path)
        for one in (there.cache, there.remote):
            if one is not None and one.is_intact(wanted):
                return one.file(wanted)
        path = self._fetched()
        found = files.place(path, inside) if path is not None and inside else path
        return found if found is not None and found.is_file() else None

    def members(self) -> Mapping[str, str] | None:
        """Of a folder, the object of each file; None where its list is to be had nowhere."""
        listed = self.file()
        if listed is None and self._fetched() is not None:
            listed = self.file()  # DVC has put the list into the cache
        return None if listed is None else store.members(self.out[1], listed.read_bytes())

    def _fetched(self) -> Path | None:
        if not self.place.exists():
            root = checkout(self.repository, self.commit, self.place, storage=storage(self.repository.path))
            try:
                pipeline.fetch(root, self.pointer, say=lambda _: None)
            except (PushforwardError, OSError):
                return None
        folder = self.pointer.rpartition("/")[0]
        path = files.place(self.place, f"{folder}/{self.out[0]}" if folder else self.out[0])
        return path if path.exists() else None


def _pair(path: str, old: _Data, new: _Data) -> Growth:
    if not old.out[1] or not new.out[1]:
        return Growth(path, unread=f"{path} names no file by its MD5")
    if old.out[1] == new.out[1]:
        return Growth(path)
    if old.out[1].endswith(LISTING) != new.out[1].endswith(LISTING):
        return Growth(path, lost=f"{path} was {'a folder' if old.out[1].endswith(LISTING) else 'a file'}")
    if old.out[1].endswith(LISTING):
        return _folders(path, old, new)
    return _files(path, old.out[0], old.file(), new.file())


def _folders(path: str, old: _Data, new: _Data) -> Growth:
    before, after = old.members(), new.members()
    if before is None or after is None:
        return Growth(path, unread=f"the list of {path} is not in the store")
    if gone := sorted(set(before) - set(after)):
        return Growth(path, lost=f"{old.out[0]}/{gone[0]} is gone")
    rows = 0
    for name in sorted(name for name in before if before[name] != after[name]):
        found = _files(path, f"{old.out[0]}/{name}", old.file(before[name], name), new.file(after[name], name))
        if not found.only:
            return found
        rows += found.rows
    return Growth(path, rows)


def _files(path: str, name: str, old: Path | None, new: Path | None) -> Growth:
    if old is None or new is None:
        return Growth(path, unread=f"{name} {'as it was' if old is None else 'as it is'} is not in the store")
    with old.open("rb") as before, new.open("rb") as after:
        return _compared(path, name, before, after)


def _compared(path: str, name: str, old: BinaryIO, new: BinaryIO) -> Growth:
    """Two versions of one file: the old lines are all there, each as often, and the first one is the first."""
    if not (_is_text(old) and _is_text(new)):
        return Growth(path, unread=f"{name} is no text, so nobody has compared it")
    added = _appended(old, new)
    if added is not None:
        return Growth(path, added)
    if max(old.seek(0, io.SEEK_END), new.seek(0, io.SEEK_END)) > LIMIT_SORTED:
        return Growth(path, lost=f"{name} has new lines elsewhere than at its end, and is too large to compare them")
    first, then = (_counted(stream) for stream in (old, new))
    if first[0] != then[0]:
        return Growth(path, lost=f"{name} has another first line")
    missing = first[1] - then[1]
    if missing:
        return Growth(path, lost=f"{name}: {missing.total():,} lines are gone, or are others now")
    return Growth(path, then[1].total() - first[1].total())


def _is_text(stream: BinaryIO) -> bool:
    stream.seek(0)
    start = stream.read(CHUNK)
    try:
        start[: -4 if len(start) == CHUNK else None].decode()
    except UnicodeDecodeError as wrong:
        return len(start) == CHUNK and wrong.start > CHUNK - 16
    return b"\0" not in start


def _appended(old: BinaryIO, new: BinaryIO) -> int | None:
    """How many lines the new file has after all of the old one; None where it does not begin with that."""
    old.seek(0)
    new.seek(0)
    last = b""
    while chunk := old.read(CHUNK):
        if new.read(len(chunk)) != chunk:
            return None
        last = chunk[-1:]
    rest = new.read(2)
    whole = last in (b"", b"\n") or rest[:1] in (b"", b"\n") or rest == b"\r\n"
    if not whole:
        return None  # the last line went on
    new.seek(-len(rest), io.SEEK_CUR)
    return _lines(new, started=last not in (b"", b"\n"))


def _lines(stream: BinaryIO, *, started: bool = False) -> int:
    """The lines from here on; where one was `started`, what ends it is none."""
    count, last = 0, b""
    while chunk := stream.read(CHUNK):
        count, last = count + chunk.count(b"\n"), chunk[-1:]
    return count + (last not in (b"", b"\n")) - (started and bool(last))


def _counted(stream: BinaryIO) -> tuple[bytes, Counter[bytes]]:
    """The first line, and how often each is there, by a digest."""
    stream.seek(0)
    lines = (line.rstrip(b"\r\n") for line in stream)
    first = next(lines, b"")
    return first, Counter(hashlib.blake2b(line, digest_size=8).digest() for line in lines if line)


def _out(text: bytes, path: str) -> tuple[str, str]:
    """The name and the object of the one out of a `.dvc` file; no object where it has several, or is not DVC's."""
    try:
        source = text.decode()
        untrusted.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        tree = yamlquick.safe(source)
        outs = tree.get("outs", []) if isinstance(tree, dict) else []
        (out,) = outs
        name, oid = str(out["path"]), str(out.get("md5", ""))
    except (YAMLError, UnicodeError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as broken:
        why = (str(broken).splitlines() or ["it is no file of DVC's"])[0]
        raise PushforwardError(f"{path} cannot be read: {why}", next=f"edit {path}", exit_code=DATA) from None
    sound = store.NAMED.fullmatch(oid.encode()) and not str(tree.get("wdir", "."))[1:]
    return name, oid if sound else ""
