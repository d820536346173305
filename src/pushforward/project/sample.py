"""The small projects of the package: the one that `new` makes, and the one by which a server tries itself.

Called by `new`, and by `server.trial`. A template ends in `.in`, and `dot.` begins the name of what a dot begins, so
that no tool takes it for a file of this repository.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pushforward.git.repository import Repository

PACKAGE = "sample"
BOTH = "both"
END = ".in"
DOT = re.compile(r"(^|/)dot\.")
PLACE = re.compile(r"%(\w+)%")


def render(kind: str, values: Mapping[str, str]) -> dict[str, bytes]:
    """The files of a project by their path; `values` are put where a template names them."""
    folder = resources.files("pushforward") / PACKAGE
    found = dict([*_templates(folder / BOTH, ""), *_templates(folder / kind, "")])
    return {path: PLACE.sub(lambda name: values[name[1]], text).encode() for path, text in sorted(found.items())}


def begin(folder: Path) -> Repository:
    """A git repository in `folder` whose branch is main, as git makes it where nobody has configured anything."""
    made = Repository(folder)
    made.git("init", "-q", "-b", "main", "--object-format=sha1")
    return made


def commit(made: Repository, paths: Iterable[str], message: str, *, now: int) -> str:
    """Commit these files onto main, by the service, for no person has; the name of the commit."""
    made.git("add", "-f", "--", *paths)
    tree, head = made.git("write-tree").text, made.resolve("HEAD")
    done = made.write_commit(tree, [head] if head else [], f"{message}\n", date=f"{now} +0000")
    made.set_ref("refs/heads/main", done)
    return done


def _templates(folder: Traversable, inside: str) -> Iterator[tuple[str, str]]:
    for one in folder.iterdir():
        name = f"{inside}{one.name}"
        if one.is_dir():
            yield from _templates(one, f"{name}/")
        elif name.endswith(END):
            yield DOT.sub(r"\1.", name.removesuffix(END)), one.read_text("utf-8")
