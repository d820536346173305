"""Files of a project, a hand-over, a store or a server, reached without a link on the way.

What lies behind a link was chosen by whoever made it: the author of a commit, a stage, somebody with another folder
of the same machine. Nothing there is read, written or deleted.
"""

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from pushforward.errors import DATA, PushforwardError

SETTINGS, PARAMS = "pushforward.yaml", "params.yaml"  # read by `schema` and `params`, which are slow to load

LINK = "120000"  # git's mode of a symbolic link
OF_DVC = "/files/md5/"
MAX_DEPTH = 100


class LinkError(PushforwardError):
    """A path that a link leads away from."""

    def __init__(self, path: str, *, next: str = "") -> None:  # noqa: A002
        mend = f"rm {shlex.quote(path)}, put what it leads to in its place, and commit that"
        super().__init__(
            f"{path} is a link; what is behind a link is neither read, written nor deleted", next=next or mend
        )


def place(root: Path, path: str) -> Path:
    """The place of `path` in `root`, and nowhere else: an error where it leads out, or a part of it is a link."""
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/"):
        raise PushforwardError(f"{path} leads out of {root}")
    here = root
    for part in parts:
        here /= part
        if here.is_symlink():
            raise _link(root, here)
    return here


def read(root: Path, path: str) -> bytes | None:
    """The bytes of the file `path` in `root`; None where there is none."""
    there = place(root, path)
    return there.read_bytes() if there.is_file() else None


def left(folder: Path, name: str, most: int, *, by: str) -> bytes:
    """What another job has left as a file of at most `most` bytes, by a command; never what is behind a link."""
    path, content = folder / name, b""
    there = not path.is_symlink() and path.is_file()
    if there:
        with path.open("rb") as handle:
            content = handle.read(most + 1)
    if not there or len(content) > most:
        why = f"{folder} has no {name}, or a link, or more than {most >> 20} MiB"
        raise PushforwardError(why, next=f"{by} {folder}", exit_code=DATA)
    return content


def write(root: Path, path: str, content: bytes) -> None:
    """Put `content` at `path` in `root`; what was there is not written into, for DVC's cache may share it."""
    there = place(root, path)
    there.parent.mkdir(parents=True, exist_ok=True)
    there.unlink(missing_ok=True)
    there.write_bytes(content)


def remove(root: Path, path: str) -> None:
    """Take the file or the folder `path` out of `root`; of a link only the link goes."""
    parent, _, name = path.rpartition("/")
    there = place(root, parent) / name
    if there.is_dir() and not there.is_symlink():
        shutil.rmtree(there)
    else:
        there.unlink(missing_ok=True)


def copy(root: Path, path: str, target: Path) -> None:
    """Copy the file or the folder `path` of `root` to `target`, git's own notes of it left out."""
    source = place(root, path)
    if source.is_dir():
        check(root, path)
        ignored = shutil.ignore_patterns(".gitignore")
        shutil.copytree(source, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target, follow_symlinks=False)


def plain(root: Path, path: str) -> Iterator[Path]:
    """Every file below the folder `path` of `root`; an error for what is neither a file nor a folder."""
    waiting = [(place(root, path), 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise PushforwardError(f"{path} has more than {MAX_DEPTH} folders in one another")
        for found in sorted(folder.iterdir()):
            if found.is_symlink():
                raise _link(root, found)
            if found.is_dir():
                waiting.append((found, depth + 1))
            elif found.is_file():
                yield found
            else:
                raise PushforwardError(f"{found.relative_to(root).as_posix()} is no plain file")


def check(root: Path, path: str) -> None:
    """Refuse the folder `path` of `root` where anything in it is neither a file nor a folder."""
    for _ in plain(root, path):
        pass


def cut(root: Path, tree: Mapping[str, str], paths: Iterable[str]) -> None:
    """Take the links at `paths`, in them or above them, out of a scratch checkout of `tree`."""
    for link in _links(tree, paths):
        remove(root, link)


def check_tree(tree: Mapping[str, str], paths: Iterable[str]) -> None:
    """Refuse a commit, as `Repository.tree` lists it, in which one of `paths`, or what is in it or above it, is a link.

    Asked before it is checked out anywhere.
    """
    for link in _links(tree, paths):
        raise LinkError(link)


def _links(tree: Mapping[str, str], paths: Iterable[str]) -> list[str]:
    links = sorted(path for path, entry in tree.items() if entry.startswith(LINK))
    wanted = [f"{path}/" for path in paths] if links else []
    return [link for link in links if any(f"{link}/".startswith(one) or one.startswith(f"{link}/") for one in wanted)]


def _link(root: Path, path: Path) -> LinkError:
    relinked = "dvc config --local cache.type copy && dvc checkout --relink"
    return LinkError(path.relative_to(root).as_posix(), next=relinked if OF_DVC in str(path.readlink()) else "")
