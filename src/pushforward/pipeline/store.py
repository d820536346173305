"""The objects that DVC keeps in a folder, be it cache or remote, and which of them a commit names."""

import contextlib
import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from pushforward import durable, files, yamlquick
from pushforward import untrusted as aliases
from pushforward.errors import DATA, PushforwardError
from pushforward.git.repository import Repository, tree_lines
from pushforward.pipeline.lock import LIMIT_DEPTH, LIMIT_NODES, LISTING, LOCK, check_listed, is_object
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import storage

NAMED = re.compile(rb"\b[0-9a-f]{32}(?:\.dir)?\b")
OBJECT = re.compile(r"[0-9a-f]{30}(?:\.dir)?")
SHARD = re.compile(r"[0-9a-f]{2}")
SUBTREE = "40000"  # the mode of a folder, as git stores it
AT_ONCE = 1000  # trees that are read at once


@dataclass(frozen=True)
class Store:
    """A folder in which DVC keeps objects by their MD5, and what its run cache remembers."""

    path: Path

    def file(self, oid: str) -> Path:
        """Where the object `oid` lies, if it is here."""
        return files.place(self.path, f"files/md5/{oid[:2]}/{oid[2:]}")

    def slot(self, oid: str) -> Path:
        """Where the object `oid` has to lie, whatever lies there, a link too: what takes its place replaces that."""
        return files.place(self.path, f"files/md5/{oid[:2]}") / oid[2:]

    def plain(self, oid: str) -> Path | None:
        """The file that the object `oid` is; None where there is none, or a link stands for it."""
        with contextlib.suppress(files.LinkError):
            path = self.file(oid)
            return path if path.is_file() else None
        return None

    def read(self, oid: str) -> bytes | None:
        """The bytes that lie under the name `oid`, whatever they are; None where nothing does."""
        try:
            return self.file(oid).read_bytes()
        except FileNotFoundError:
            return None

    def content(self, oid: str) -> bytes | None:
        """The bytes of the object `oid`; None where it is not here, or is not what its name says."""
        found = self.read(oid)
        return found if found is not None and is_object(found, oid) else None

    def is_intact(self, oid: str) -> bool:
        """Whether the object `oid` is here, byte for byte; read in parts, whatever its size."""
        path = self.file(oid)
        if not path.is_file():
            return False
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False))
        return found.hexdigest() == oid.removesuffix(LISTING)

    def is_whole(self, oid: str) -> bool:
        """Whether the object `oid` is intact, and of a folder each file that its list names."""
        if not self.is_intact(oid):
            return False
        if not oid.endswith(LISTING):
            return True
        return all(self.is_intact(one) for one in members(oid, self.file(oid).read_bytes()).values())

    def objects(self) -> Iterator[tuple[str, Path]]:
        """(name, path) of every object; what DVC has not named so is passed over."""
        for shard in _folders(files.place(self.path, "files/md5"), SHARD):
            for entry in sorted(shard.iterdir()):
                if OBJECT.fullmatch(entry.name) and entry.is_file() and not entry.is_symlink():
                    yield shard.name + entry.name, entry

    def take(self, other: "Store") -> int:
        """Copy what `other` holds and this does not, objects before what remembers them; how much that was."""
        count = 0
        for folder in ("files", "runs"):
            for path in sorted(files.place(other.path, folder).rglob("*")):
                if path.is_symlink() or not path.is_file():
                    continue
                here = files.place(self.path, path.relative_to(other.path).as_posix())
                if here.exists():
                    continue
                here.parent.mkdir(parents=True, exist_ok=True)
                durable.write(here, path.read_bytes(), mode=path.stat().st_mode & 0o777)
                count += 1
        return count

    def runs(self) -> Iterator[Path]:
        """Every entry of the run cache: what some stage once made of something."""
        for shard in _folders(files.place(self.path, "runs"), SHARD):
            for key in _folders(shard, re.compile(r"[0-9a-f]{64}")):
                found = (entry for entry in key.iterdir() if "." not in entry.name)
                yield from sorted(entry for entry in found if entry.is_file() and not entry.is_symlink())


def _folders(folder: Path, name: re.Pattern[str]) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    folders = (path for path in found if path.is_dir() and not path.is_symlink())
    return sorted(path for path in folders if name.fullmatch(path.name))


def members(oid: str, content: bytes) -> dict[str, str]:
    """Path -> object of the files in the folder that the list `oid` is of; an error where DVC wrote another one."""
    if not is_object(content, oid):
        raise PushforwardError(f"the list of files {oid} is not what was stored under that name", exit_code=DATA)
    found = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
    check_listed(found)
    return found


def named(repository: Repository, commits: Iterable[str]) -> dict[str, str]:
    """Object -> one of `commits` whose dvc.lock or .dvc files name it.

    Read as text, not as YAML: of a lock with conflict markers both sides count.
    """
    files: dict[str, str] = {}
    trees, known = [(f"{commit}^{{tree}}", commit) for commit in commits], set[str]()
    while trees:  # many at once, and what commits share, which is nearly all, only once
        asked, trees = trees[-AT_ONCE:], trees[:-AT_ONCE]
        for (_, commit), found in zip(asked, repository.objects([name for name, _ in asked]), strict=True):
            for mode, name, identity in tree_lines(found[1]) if found is not None and found[0] == "tree" else ():
                if mode == SUBTREE and identity not in known:
                    known.add(identity)
                    trees.append((identity, commit))
                elif mode != SUBTREE and (name == LOCK or name.endswith(".dvc")):
                    files.setdefault(identity, commit)
    contents = repository.objects(list(files))
    return {
        oid.decode(): commit
        for (kind, text), commit in zip((found or ("", b"") for found in contents), files.values(), strict=True)
        if kind == "blob"
        for oid in NAMED.findall(text)
    }


@dataclass(frozen=True)
class Places:
    """Where the objects of a checkout are: its cache, and its remote; `remote` where that is a folder."""

    cache: Store
    url: str
    remote: Store | None


def places(root: Path) -> Places:
    """Where .dvc/config and config.local of the checkout in `root` keep objects."""
    there = storage(root)
    return Places(Store(there.cache), there.url, folder(there.url))


def folder(url: str) -> Store | None:
    """The store at `url` where that is a folder of this machine."""
    path = url.removeprefix("file://")
    return Store(Path(os.path.normpath(path))) if path and "://" not in path else None


def outs(repository: Repository, commit: str) -> dict[str, str]:
    """Path -> object of what DVC keeps for `commit`: outs of its dvc.lock and its .dvc files that are not in git."""
    revision = Revision(repository, commit)
    tree = revision.tree
    found: dict[str, str] = {}
    for path in ("", *tree):
        if not path:
            entries, at = [*revision.lock.values()], ""
        elif path.endswith(".dvc"):
            entries = [_added(revision.read(path), path)]
            at = posixpath.join(posixpath.dirname(path), str(entries[0].get("wdir", ".")))
        else:
            continue
        for out in [out for entry in entries for out in entry.get("outs", [])]:
            place = posixpath.normpath(posixpath.join(at, str(out["path"])))
            committed = any(one == place or one.startswith(f"{place}/") for one in tree)
            if out.get("md5") and not committed:
                found[place] = str(out["md5"])
    return found


def _added(text: bytes | None, path: str) -> dict[str, Any]:
    try:
        source = (text or b"").decode()
        aliases.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        tree = yamlquick.safe(source)
    except (YAMLError, UnicodeError, ValueError, RecursionError) as broken:
        told = (str(broken).splitlines() or ["it is no YAML"])[0]
        raise PushforwardError(f"{path} cannot be read: {told}", next=f"edit {path}", exit_code=DATA) from None
    return tree if isinstance(tree, dict) else {}
