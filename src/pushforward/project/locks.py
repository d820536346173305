"""The files that say what a project's environment holds: which there are, and whether they lock it.

Called by `survey`, and by `pipeline` for those of a commit.
"""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pushforward.project import reading
from pushforward.project.reading import Odd

# name -> (kind, whether it locks); in the order in which one is taken where there are several
NAMED = {
    "uv.lock": ("uv", True),
    "poetry.lock": ("poetry", True),
    "pylock.toml": ("pylock", True),
    "Pipfile.lock": ("pipenv", True),
    "conda-lock.yml": ("conda", True),
    "environment.yml": ("conda", False),
    "environment.yaml": ("conda", False),
    "renv.lock": ("renv", True),
}
PYLOCK = re.compile(r"pylock\.[\w-]+\.toml")
# A file of a package in uv.lock, and the first word of what it says of it after where it lies.
UV_FILE = re.compile(r"\{ (?:url|path|filename) = \"[^\"]*\"(?P<more>[^}]*)")
INSTALLED = ("pip", "uv", "poetry", "pylock")
# What nothing here installs: whose it is, and what makes a lock of it.
ELSEWHERE = {
    "conda": ("conda's", "write what pip can install of it into requirements.txt, then pushforward adopt"),
    "pipenv": ("pipenv's", "pipenv requirements --hash > requirements.txt, and name that under environment"),
    "renv": ("R's", "take it out of environment: stages find the R of the machine"),
}
ORDER = ("uv", "poetry", "pylock", "pip", "pipenv", "conda", "renv")
REQUIREMENTS = re.compile(r"(?:.*/)?(?:requirements[\w.-]*\.txt|requirements/[\w.-]+\.txt)")
BESIDE = re.compile(r"(?i)(?:^|[^a-z])(?:dev|test|tests|docs?|lint|build|bootstrap|ci|constraints?)(?:[^a-z]|$)")
REQUIREMENT = re.compile(r"[A-Za-z0-9]")


@dataclass(frozen=True)
class Lock:
    """A file of the environment: what wrote it, whether it pins everything, and the first line that does not."""

    path: str
    kind: str
    locked: bool
    line: int = 0
    why: str = ""


def read(root: Path, paths: Iterable[str]) -> tuple[list[Lock], list[Odd]]:
    """Every file of an environment among `paths`, the ones to be taken first."""
    found, odd = [], []
    for path in sorted(paths):
        name = posixpath.basename(path)
        if name in NAMED or PYLOCK.fullmatch(name):
            locked = NAMED.get(name, ("", True))[1]
            found.append(Lock(path, kind(path), locked, 0, "" if locked else "it locks nothing"))
        elif REQUIREMENTS.fullmatch(path):
            try:
                found.append(_requirements(path, reading.text(root, path)))
            except Odd as strange:
                odd.append(strange)
    return sorted(found, key=lambda lock: (lock.path.count("/"), ORDER.index(lock.kind), lock.path)), odd


def kind(path: str) -> str:
    """Which tool a file of an environment is for, by its name; what has none that is known is pip's."""
    name = posixpath.basename(path)
    return "pylock" if PYLOCK.fullmatch(name) else NAMED.get(name, ("pip", True))[0]


def of(path: str, text: str) -> Lock:
    """What the file `path` with this content locks."""
    what = kind(path)
    if what == "pip":
        return _requirements(path, text)
    if what == "uv":
        for number, line in enumerate(text.splitlines(), 1):
            found = UV_FILE.search(line)
            if found is not None and "hash = " not in found["more"]:
                return Lock(path, what, locked=False, line=number, why="a file of a package has no hash")
    return Lock(path, what, locked=what in INSTALLED)


def chosen(locks: Iterable[Lock], folder: str) -> list[Lock]:
    """Those of the environment of a model in `folder`: of the nearest folder with some, the kind that says most.

    Near is the folder itself, then the ones around it, then the ones in it.
    """
    own = [lock for lock in locks if not BESIDE.search(posixpath.basename(lock.path).rpartition(".")[0])]
    above = ["." if folder == "." else folder]
    while above[-1] != ".":
        above.append(posixpath.dirname(above[-1]) or ".")
    for place in above:
        near = [lock for lock in own if _home(lock.path) == place]
        if near:
            return _best(near)
    inside = [_home(lock.path) for lock in own if folder == "." or lock.path.startswith(f"{folder}/")]
    nearest = min(inside, key=lambda place: place.count("/"), default="")
    return _best([lock for lock in own if _home(lock.path) == nearest])


def _best(locks: list[Lock]) -> list[Lock]:
    for tool in ORDER:
        some = [lock for lock in locks if lock.kind == tool]
        exact = [lock for lock in some if posixpath.basename(lock.path) == "requirements.txt"]
        if some:
            return exact or (some if tool == "pip" else some[:1])
    return []


def _home(path: str) -> str:
    """The folder that a file of an environment is of; a folder `requirements` is of the one around it."""
    folder = posixpath.dirname(path)
    return (posixpath.dirname(folder) if posixpath.basename(folder) == "requirements" else folder) or "."


def _requirements(path: str, text: str) -> Lock:
    """A file for pip: it locks where every requirement has its hashes."""
    joined, number, start = "", 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start if joined else number
        joined += line.removesuffix("\\") + (" " if line.endswith("\\") else "")
        if line.endswith("\\"):
            continue
        wanted, joined = joined.partition(" #")[0].strip(), ""
        if REQUIREMENT.match(wanted) and "--hash=" not in wanted:
            name = wanted.split(";")[0].strip()
            why = f"'{name}' has no hash" if "==" in name else f"'{name}' has no version"
            return Lock(path, "pip", locked=False, line=start, why=why)
        if wanted.startswith(("-e ", "--editable")):
            return Lock(path, "pip", locked=False, line=start, why=f"'{wanted}' has no version")
    return Lock(path, "pip", locked=True)
