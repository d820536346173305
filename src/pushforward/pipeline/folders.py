"""The folders of a pipeline: each has a dvc.yaml, and a dvc.lock of its own; all of a repository are one pipeline.

Whoever asks a checkout or a commit for its locks, or for what its dvc.yaml say, asks here. A folder is named from the
root, "" is the root itself. What DVC passes over is none: what .dvcignore names, and what is another DVC project.
"""

import contextlib
import functools
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import files, params
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import lint
from pushforward.pipeline.lock import LOCK, Wdirs, merged
from pushforward.pipeline.storage import CONFIG, home_of, homes

if TYPE_CHECKING:
    from pathspec.pattern import Pattern

IGNORE = ".dvcignore"
NEVER = b".hg/\n.git/\n.git\n.dvc/\n"  # what DVC passes over whatever a .dvcignore says
NEWLINE = re.compile(r"\r\n|\r|\n")  # DVC cuts a .dvcignore at no other sign
LISTED = tuple(f":(glob)**/{name}" for name in (lint.FILE, CONFIG, IGNORE))
Read = Callable[[str], bytes | None]


def of_tree(paths: Collection[str], read: Read) -> list[str]:
    """The folders of a pipeline whose files are `paths`; `read` gives one of them."""
    found = sorted(posixpath.dirname(path) for path in paths if posixpath.basename(path) == lint.FILE)
    if found in ([], [""]):
        return found
    projects, own = homes(paths), home_of(paths)
    return [folder for folder in found if _nearest(folder, projects) == own and not _ignored(folder, own, read)]


def here(root: Path) -> list[str]:
    """The folders of the pipeline in the checkout at `root`."""
    listed = Repository(root).git("ls-files", "-z", "-co", "--exclude-standard", "--", *LISTED, check=False)
    if listed.returncode != 0:  # no repository of git
        return [""] if files.place(root, lint.FILE).is_file() else []
    paths = [path for path in listed.stdout.decode("utf-8", "surrogateescape").split("\0") if path]
    return of_tree([path for path in paths if (root / path).is_file()], lambda path: files.read(root, path))


def locks_here(root: Path) -> dict[str, bytes]:
    """The locks in the checkout at `root`, by path."""
    return _locks_in(root, here(root))


def _locks_in(root: Path, known: Collection[str]) -> dict[str, bytes]:
    found = {path: files.read(root, path) for path in _locks(known)}
    return {path: content for path, content in found.items() if content is not None}


def texts_here(root: Path) -> dict[str, bytes]:
    """What each dvc.yaml in the checkout at `root` says, by its folder."""
    return _texts_in(root, here(root))


def _texts_in(root: Path, known: Collection[str]) -> dict[str, bytes]:
    found = {folder: files.read(root, posixpath.join(folder, lint.FILE)) for folder in known}
    return {folder: text for folder, text in found.items() if text is not None}


def at(repository: Repository, commit: str) -> list[str]:
    """The folders of the pipeline of a commit."""
    return of_tree(repository.tree(commit), lambda path: repository.read(commit, path))


def locks_at(repository: Repository, commit: str) -> dict[str, bytes]:
    """The locks of a commit, by path."""
    found = {path: repository.read(commit, path) for path in _locks(at(repository, commit))}
    return {path: content for path, content in found.items() if content is not None}


def texts_at(repository: Repository, commit: str) -> dict[str, bytes]:
    """What each dvc.yaml of a commit says, by its folder."""
    found = {folder: repository.read(commit, posixpath.join(folder, lint.FILE)) for folder in at(repository, commit)}
    return {folder: text for folder, text in found.items() if text is not None}


def whole_here(root: Path) -> bytes:
    """All locks in the checkout at `root` as one, named from the root; empty where there is none."""
    known = here(root)  # a process of git, and whoever fetches asks again and again
    wdirs = wdirs_of(_texts_in(root, known), lambda path: files.read(root, path))
    return merged(_locks_in(root, known), wdirs)


def wdirs_here(root: Path) -> Wdirs:
    """Where the stages of each lock in the checkout at `root` work, where that is elsewhere."""
    return wdirs_of(texts_here(root), lambda path: files.read(root, path))


def wdirs_at(repository: Repository, commit: str) -> Wdirs:
    """The same of a commit."""
    return wdirs_of(texts_at(repository, commit), lambda path: repository.read(commit, path))


def wdirs_of(texts: Mapping[str, bytes], read: Read) -> Wdirs:
    """The same of what each dvc.yaml says, by its folder; `read` gives a params.yaml."""
    found = {}
    for folder, text in texts.items() if any(lint.may_say("wdir", text) for text in texts.values()) else ():
        file = posixpath.join(folder, params.FILE)
        with named(folder):
            found[posixpath.join(folder, LOCK)] = lint.wdirs(text, params.plain(read(file), file))
    return found


def check(root: Path, tracked: set[str]) -> None:
    """Refuse a dvc.yaml that `lint` refuses, wherever in the checkout it lies, and parameters that DVC cannot read."""
    params.plain(files.read(root, params.FILE))  # whether or not a dvc.yaml lies beside it
    for folder, text in texts_here(root).items():
        file = posixpath.join(folder, params.FILE)
        with named(folder):
            lint.check(text, tracked, params.plain(files.read(root, file), file), folder)


@contextlib.contextmanager
def named(folder: str) -> Iterator[None]:
    """Have the refusal of a dvc.yaml say in which folder it lies."""
    try:
        yield
    except PushforwardError as wrong:
        if not folder or not wrong.message.startswith(lint.FILE):
            raise
        file = f"{folder}/{lint.FILE}"
        then = wrong.next.replace(f"edit {lint.FILE}", f"edit {file}").replace(f" in {lint.FILE}", f" in {file}")
        raise PushforwardError(f"{folder}/{wrong.message}", next=then, exit_code=wrong.exit_code) from None


def _locks(folders: Iterable[str]) -> list[str]:
    return sorted({LOCK, *(posixpath.join(folder, LOCK) for folder in folders)})


def _nearest(folder: str, projects: Collection[str]) -> str | None:
    """The DVC project that a folder belongs to; None where it is in none."""
    here = folder
    while here not in projects:
        if not here:
            return None
        here = posixpath.dirname(here)
    return here


def _ignored(folder: str, home: str, read: Read) -> bool:
    """Whether DVC passes over the dvc.yaml of a folder, by what .dvcignore say from its DVC project down to it.

    Of all lines that name a file, or a folder that it is in, the last one decides, and that of the deepest .dvcignore.
    """
    rules, here, whole = [(home, one) for one in _lines(NEVER)], home, posixpath.join(folder, lint.FILE)
    for part in posixpath.relpath(whole, home or ".").split("/"):
        file = posixpath.join(here, IGNORE)
        if not _passed(rules, file, inside=False):
            rules += [(here, one) for one in _lines(read(file))]
        here = posixpath.join(here, part)
        if _passed(rules, here, inside=here != whole):
            return True
    return False


@functools.lru_cache(maxsize=64)
def _lines(text: bytes | None) -> "tuple[tuple[str, Pattern], ...]":
    """The lines of a .dvcignore that name something."""
    from pathspec import GitIgnoreSpec

    lines = [line.strip() for line in NEWLINE.split((text or b"").decode("utf-8", "replace"))]
    try:
        found = [(line, one) for line in lines if line for one in GitIgnoreSpec.from_lines([line]).patterns]
    except ValueError as wrong:
        raise PushforwardError(f"{IGNORE}: {wrong}", next=f"edit {IGNORE}") from None
    return tuple((line, one) for line, one in found if one.include is not None)


def _passed(rules: "Iterable[tuple[str, tuple[str, Pattern]]]", path: str, *, inside: bool) -> bool:
    """Whether the last rule that names `path` says to pass it over; `inside` says that it is a folder."""
    passed = False
    for above, (line, pattern) in rules:
        name = posixpath.relpath(path, above or ".")
        names = [name, f"{name}/"] if inside else [name]
        if (inside or not line.endswith("/")) and any(pattern.match_file(one) for one in names):
            passed = bool(pattern.include)
    return passed
