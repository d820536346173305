"""Artifacts of a run as folders: what `upload-artifact` and `download-artifact` do where there is no forge.

Run by the stand-ins of these actions as `python -m pushforward.actions.artifacts upload|download`, with their inputs
in INPUT_… variables.
"""

import functools
import glob
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pushforward import files
from pushforward.errors import DATA, USAGE, PushforwardError

MAX_FILES = 10_000
MAX_BYTES = 2 << 30
MAX_DEPTH = 50
MAX_PATH = 3500  # bytes of a folder's path; a file's name has at most 255 more, and the system takes 4095
FORBIDDEN = frozenset('":<>|*?\r\n\\/')


def upload(inputs: Mapping[str, str], workspace: Path, store: Path) -> int:
    """Copy the files that `path` names into `store/<name>` and return how many there were.

    As the action does: patterns one a line, `!` excludes, a folder means all below it, hidden files only if asked
    for, and the least common folder of the patterns is the root. Symbolic links are left out.
    """
    name = inputs.get("name") or "artifact"
    if name.strip(".") == "" or FORBIDDEN & set(name):
        raise PushforwardError(f"artifact name {name!r} is not allowed", exit_code=USAGE)
    target = store / name
    if target.exists():
        if inputs.get("overwrite", "false") != "true":
            raise PushforwardError(f"artifact {name} exists already; set `overwrite: true`", exit_code=USAGE)
        shutil.rmtree(target)
    patterns = [line.strip() for line in inputs.get("path", "").splitlines() if line.strip()]
    hidden = inputs.get("include-hidden-files", "false") == "true"
    roots, files = _search(patterns, workspace, hidden=hidden)
    if not files:
        _nothing(inputs.get("if-no-files-found") or "warn", patterns)
        return 0
    root = Path(os.path.commonpath(roots))
    for file in sorted(files):
        place = target / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place, follow_symlinks=False)
    print(f"artifact {name}: {len(files)} files, {sum(file.stat().st_size for file in files):,} bytes")
    return len(files)


def download(inputs: Mapping[str, str], workspace: Path, store: Path) -> int:
    """Copy artifact `name`, or all that match `pattern`, from `store` to `path` and return how many files.

    One named artifact is laid out in `path` itself, several in a folder each, unless `merge-multiple`. Nothing but
    plain files and folders is copied.
    """
    target = _target(workspace, inputs.get("path") or ".")
    name = inputs.get("name", "")
    if name:
        found = [store / name] if not FORBIDDEN & set(name) and name.strip(".") else []
        found = [folder for folder in found if folder.is_dir() and not folder.is_symlink()]
        if not found:
            raise PushforwardError(f"there is no artifact {name}", exit_code=DATA)
    else:
        pattern = inputs.get("pattern") or "*"
        found = sorted(folder for folder in _folders(store) if fnmatchcase(folder.name, pattern))
    flat = bool(name) or inputs.get("merge-multiple", "false") == "true"
    count = 0
    for folder in found:
        for file in _files(folder):
            to = target if flat else files.place(target, folder.name)
            place = files.place(to, file.relative_to(folder).as_posix())
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place, follow_symlinks=False)
            count += 1
    print(f"{len(found)} artifacts, {count} files")
    return count


def _target(workspace: Path, path: str) -> Path:
    """The folder to download to: in the workspace, which holds the files of a commit, not through a link of it."""
    whole = Path(os.path.normpath(workspace / path))
    if whole.is_relative_to(workspace):
        return files.place(workspace, whole.relative_to(workspace).as_posix())
    return whole


def scrub(store: Path) -> None:
    """Remove whatever is neither a plain file nor a folder, and make the rest readable.

    The next reader must be led nowhere else, and nothing may be out of its reach. Raises `PushforwardError` where
    there is more than a reader is to be asked to read.
    """
    store.chmod(0o755)
    count = size = 0
    for path in below(store):
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            path.chmod(0o755)
        elif stat.S_ISREG(found.st_mode):
            path.chmod(0o644)
        else:
            path.unlink()
            continue
        count, size = count + 1, size + found.st_size
        if count > MAX_FILES or size > MAX_BYTES:
            raise PushforwardError(f"the artifacts are more than {MAX_FILES:,} files or {MAX_BYTES >> 30} GiB")


def below(folder: Path) -> Iterator[Path]:
    """All files and folders in `folder`, each before what is in it.

    Raises `PushforwardError` for folders nested deeper than people do, which would end whoever walks them in a
    recursion of his own, and for what cannot be read.
    """
    waiting = [(folder, 0)]
    while waiting:
        parent, depth = waiting.pop()
        if depth > MAX_DEPTH or len(os.fsencode(parent)) > MAX_PATH:
            raise PushforwardError(f"the run left more than {MAX_DEPTH} folders in one another in {folder.name}")
        try:
            names = os.listdir(parent)  # noqa: PTH208, a generator would hold the folder open
        except OSError as failed:
            raise PushforwardError(f"what the run left in {folder.name} cannot be read: {failed.strerror}") from None
        for name in names:
            path = parent / name
            yield path
            if path.is_dir() and not path.is_symlink():
                waiting.append((path, depth + 1))


def _search(patterns: list[str], workspace: Path, *, hidden: bool) -> tuple[list[Path], set[Path]]:
    """The folders from which patterns search, and the files that they find, in the order of the patterns."""
    roots: list[Path] = []
    found: set[Path] = set()
    led = functools.cache(lambda folder: _led_away(folder, workspace))
    for pattern in patterns:
        full = str(workspace / os.path.expanduser(pattern.removeprefix("!").strip()))  # noqa: PTH111
        matched: set[Path] = set()
        for name in glob.glob(full, recursive=True, include_hidden=True):  # noqa: PTH207
            path = Path(name)
            matched |= {path} if _plain(path) else set(_files(path)) if path.is_dir() else set()
        if pattern.startswith("!"):
            found -= matched
        else:
            roots.append(_root(Path(full)))
            found |= matched
    if not hidden:
        found = {file for file in found if not _is_hidden(file, workspace)}
    return roots, {file for file in found if not led(file.parent)}


def _led_away(folder: Path, workspace: Path) -> bool:
    """Whether the way from the workspace to `folder` leads through a link."""
    inside = [folder, *folder.parents]
    return folder.is_relative_to(workspace) and any(
        path.is_symlink() for path in inside[: len(folder.relative_to(workspace).parts)]
    )


def _root(pattern: Path) -> Path:
    """The part of a pattern before its first wildcard; a file's own folder."""
    parts: list[str] = []
    for part in pattern.parts:
        if glob.has_magic(part):
            return Path(*parts)
        parts.append(part)
    return pattern if pattern.is_dir() else pattern.parent


def _is_hidden(file: Path, workspace: Path) -> bool:
    relative = file.relative_to(workspace) if file.is_relative_to(workspace) else Path(file.name)
    return any(part.startswith(".") for part in relative.parts if part != "..")


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if _plain(Path(parent, name)):
                yield Path(parent, name)


def _folders(store: Path) -> Iterator[Path]:
    return (path for path in store.iterdir() if path.is_dir() and not path.is_symlink())


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _nothing(policy: str, patterns: list[str]) -> None:
    message = f"no files were found with {' '.join(patterns) or 'an empty path'}; nothing is uploaded"
    if policy == "error":
        raise PushforwardError(message, exit_code=DATA)
    if policy != "ignore":
        print(f"::warning::{message}")


def main() -> int:
    """Run `upload` or `download` with the inputs of an action in this process's environment."""
    inputs = {
        name.removeprefix("INPUT_").lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith("INPUT_")
    }
    verb = {"upload": upload, "download": download}[sys.argv[1]]
    try:
        verb(inputs, Path(os.environ["GITHUB_WORKSPACE"]), Path(os.environ["PUSHFORWARD_ARTIFACTS"]))
    except PushforwardError as refused:
        print(f"::error::{refused.message}")
        return refused.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
