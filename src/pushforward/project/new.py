"""A small whole project in an empty folder, for whoever has none: what `pushforward new` makes.

It trains XGBoost on samples that scikit-learn ships, and has all that level 3 asks for, so that its first push is
judged. The commits are the service's: nobody's name is made up.
"""

import re
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pushforward import __version__, files, schema
from pushforward.errors import USAGE, PushforwardError
from pushforward.git import person
from pushforward.git.repository import Repository
from pushforward.project import adopt, sample

KIND = "new"
# The folder's name is written into .dvc/config, and `init` puts two folders beside it that begin with it.
NAME = re.compile(r"\w[\w. -]*")
IDENTITY = {"user.name": "'YOUR NAME'", "user.email": "YOU@EXAMPLE.ORG"}
PIPELINE = "Train a model of tumours: collect, holdout, train"
SETTINGS = "Tell pushforward what is judged, and how"


@dataclass(frozen=True)
class New:
    """A project as it was made, or would be: its files, its commits, and what its commits by a person lack."""

    folder: str
    files: tuple[str, ...]
    commits: tuple[str, ...]
    lacks: tuple[str, ...]

    @property
    def next(self) -> list[str]:
        """What to type now."""
        return [
            f"cd {shlex.quote(self.folder)}",
            "pushforward env",
            "pushforward init",
            "git push local main",
        ]


def make(folder: Path, *, dry: bool = False, source: str = "") -> New:
    """Make the project in `folder`, which is empty or not there; with `dry`, say what it would be.

    `source` is where a runner of a forge gets the tool from, as for `adopt`.
    """
    name = _name(folder)
    if dry:
        with tempfile.TemporaryDirectory() as scratch:
            made, _ = _make(Path(scratch), name, source)
        return New(str(folder), made, (), _lacks(folder if folder.is_dir() else Path.cwd()))
    folder.mkdir(parents=True, exist_ok=True)
    return New(str(folder), *_make(folder, name, source), _lacks(folder))


def _name(folder: Path) -> str:
    """What the project will be called; refused where `folder` is not free for it."""
    name = folder.absolute().resolve().name
    if not NAME.fullmatch(name):
        raise PushforwardError(
            f"{folder}: a project's name is letters, digits, '_', '.', '-' and blanks",
            next="pushforward new ANOTHER",
            exit_code=USAGE,
        )
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise PushforwardError(f"{folder} is no folder", next="pushforward new ANOTHER", exit_code=USAGE)
    if folder.is_dir() and (there := sorted(path.name for path in folder.iterdir())):
        raise PushforwardError(
            f"{folder} is not empty: {', '.join(there[:3])}",
            next="pushforward new ANOTHER, or pushforward adopt for the project that is there",
            exit_code=USAGE,
        )
    return name


def _make(folder: Path, name: str, source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write and commit all of it: the pipeline, then what `adopt` writes and the settings; its files and commits."""
    contents = sample.render(KIND, {"version": __version__, "name": name, "store": f"../../{name}.dvc"})
    made, now = sample.begin(folder), int(time.time())
    for path, content in contents.items():
        files.write(folder, path, content)
    pipeline = sample.commit(made, [path for path in contents if path != schema.FILE], PIPELINE, now=now)
    planned = adopt.plan(folder, source=source)
    adopt.apply(planned)
    told = [schema.FILE, *(write.path for write in planned.writes)]
    settings = sample.commit(made, told, SETTINGS, now=now)
    return tuple(made.tree(settings)), (pipeline, settings)


def _lacks(folder: Path) -> tuple[str, ...]:
    """What a person's own commits need and git does not know, as the commands that say it."""
    known = dict(zip(IDENTITY, person.identity(Repository(folder)), strict=True))
    absent = [key for key, value in known.items() if not value]
    return tuple(f"git config --global {key} {IDENTITY[key]}" for key in absent)
