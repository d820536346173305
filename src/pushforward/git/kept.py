"""Names of what a run may leave in git beside its lock: `pipeline.declared`, the judge, `release` and `policy` ask.

A version names a commit that nobody has reviewed where such files differ, so none of them can be code or a setting.
"""

import re

SUFFIXES = ("json", "yaml", "yml", "toml", "csv", "tsv", "png", "svg", "jpg", "jpeg")
NAME = re.compile(rf"(?:[A-Za-z0-9_][A-Za-z0-9._ -]*/)*[A-Za-z0-9_][A-Za-z0-9._ -]*\.(?:{'|'.join(SUFFIXES)})")
LONGEST = 400
# Read by a tool that nobody names: none of it is a number that a run has found.
READ = {"params.yaml", "pushforward.yaml", "dvc.yaml", "pyproject.toml", "package.json", "environment.yml", "uv.toml"}
READ |= {"environment.yaml", "pylock.toml", "ruff.toml", "action.yml", "action.yaml"}


def sound(path: str) -> bool:
    """Whether a run may leave a file of this name in git: a plain path to a table, to numbers or to a picture."""
    return len(path) <= LONGEST and bool(NAME.fullmatch(path)) and path.rpartition("/")[2].casefold() not in READ


def is_found(path: str, content: bytes, md5: str) -> bool:
    """Whether this is such a file with the content that a dvc.lock names by its MD5."""
    import hashlib  # a hook that asks nothing of a lock commit does not wait for it

    return sound(path) and hashlib.md5(content, usedforsecurity=False).hexdigest() == md5
