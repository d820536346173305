"""Names of what a run may leave in git beside its lock: `pipeline.declared`, the judge, `release` and `policy` ask.

A version names a commit that nobody has reviewed where such files differ, so none of them can be code or a setting.
"""

import posixpath
import re
from collections.abc import Mapping

LOCK = "dvc.lock"
SUFFIXES = ("json", "yaml", "yml", "toml", "csv", "tsv", "png", "svg", "jpg", "jpeg")
NAME = re.compile(rf"(?:[A-Za-z0-9_][A-Za-z0-9._ -]*/)*[A-Za-z0-9_][A-Za-z0-9._ -]*\.(?:{'|'.join(SUFFIXES)})")
LONGEST = 400
# Read by a tool that nobody names: none of it is a number that a run has found.
READ = {"params.yaml", "pushforward.yaml", "dvc.yaml", "pyproject.toml", "package.json", "environment.yml", "uv.toml"}
READ |= {"environment.yaml", "pylock.toml", "ruff.toml", "action.yml", "action.yaml"}


def sound(path: str) -> bool:
    """Whether a run may leave a file of this name in git: a plain path to a table, to numbers or to a picture."""
    return len(path) <= LONGEST and bool(NAME.fullmatch(path)) and path.rpartition("/")[2].casefold() not in READ


def is_lock(path: str) -> bool:
    """Whether this is the lock of a dvc.yaml, wherever in the repository that lies."""
    inside = len(path) <= LONGEST and path.isprintable() and posixpath.normpath(path) == path
    return inside and not path.startswith(("/", "../")) and posixpath.basename(path) == LOCK


def digest(files: Mapping[str, bytes], alone: str) -> str:
    """SHA-256 of the file `alone` where there is no other; of several, of the list of their hashes, by path."""
    import hashlib

    if set(files) <= {alone}:
        return hashlib.sha256(files.get(alone, b"")).hexdigest()
    lines = [f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_found(path: str, content: bytes, md5: str) -> bool:
    """Whether this is such a file with the content that a dvc.lock names by its MD5."""
    import hashlib  # a hook that asks nothing of a lock commit does not wait for it

    return sound(path) and hashlib.md5(content, usedforsecurity=False).hexdigest() == md5
