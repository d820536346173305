"""The locking of what a repository names loosely: requirements without hashes, the pip part of conda's environment.

Called by `adopt`, which alone of this room may reach the package index. uv resolves, for every platform and every
Python that the tool runs on; what it cannot lock is said, and stays as it is.
"""

import dataclasses
import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward import files, process
from pushforward.errors import PushforwardError
from pushforward.project import reading
from pushforward.project.locks import ELSEWHERE, INSTALLED, Lock, of
from pushforward.project.reading import Odd
from pushforward.project.survey import Survey
from pushforward.text import plain, shorten

FOLDER = ".pushforward"
PYTHON = "3.11"  # the oldest that the tool runs on
SECONDS = 600
# Where requirements say that packages come from: it goes into the lock, which is read without them.
INDEX = re.compile(r"(?m)^(?:-i|-f|--(?:extra-)?index-url|--find-links|--no-index)\b.*$")
REQUIREMENT = re.compile(r"(?m)^[A-Za-z0-9][\w.-]*==")
BESIDE_PIP = re.compile(r"(?:python|pip)(?:[^\w-].*)?")


@dataclass(frozen=True)
class Locked:
    """A lock that was made: where it will lie, its bytes, and of what."""

    path: str
    content: bytes
    words: str


def locked(found: Survey) -> tuple[Survey, list[Locked], list[str]]:
    """The repository as its models will name their environments, the locks made for that, and what could not be."""
    tried: dict[tuple[Lock, ...], Locked | None] = {}
    notes: dict[str, None] = {}
    models = []
    for model in found.models:
        loose = tuple(lock for lock in model.locks if not lock.locked)
        kept = tuple(lock for lock in model.locks if lock.locked and lock.kind in INSTALLED)
        notes |= {
            f"{lock.path} is {_elsewhere(lock)}": None for lock in model.locks if lock.locked and lock not in kept
        }
        if loose and loose not in tried:
            name = f"lock-{model.name}.txt" if tried else "lock.txt"
            try:
                tried[loose] = _lock(found.root, loose, f"{FOLDER}/{name}")
            except PushforwardError as failed:
                tried[loose] = None
                notes[f"{failed.message}: {failed.next}"] = None
        if (made := tried.get(loose)) is not None:
            kept = (*kept, Lock(made.path, "pip", locked=True))
        else:
            kept = (*kept, *(lock for lock in loose if lock.kind in INSTALLED))
        models.append(dataclasses.replace(model, locks=kept))
    named = dataclasses.replace(found, models=tuple(models))
    return named, [made for made in tried.values() if made is not None], list(notes)


def _elsewhere(lock: Lock) -> str:
    whose, then = ELSEWHERE[lock.kind]
    return f"{whose}, and pip installs nothing from it: {then}"


def _lock(root: Path, loose: Sequence[Lock], place: str) -> Locked:
    """What `loose` ask for, with hashes; `PushforwardError` saying which cannot be locked, and why."""
    names = ", ".join(lock.path for lock in loose)
    with tempfile.TemporaryDirectory() as scratch:
        sources = [lock.path if lock.kind == "pip" else _pip_part(root, lock, Path(scratch)) for lock in loose]
        out = Path(scratch) / "lock.txt"
        how = ["--universal", "--python-version", PYTHON, "--generate-hashes", "--no-header", "--no-annotate"]
        done = process.run(
            [process.uv(), "pip", "compile", "-q", *how, *sources, "-o", str(out)],
            cwd=root,
            env=process.index_environment() | {"UV_PYTHON_DOWNLOADS": "never"},
            check=False,
            timeout=SECONDS,
        )
        if done.returncode != 0 or not out.is_file():
            lines = done.stderr.decode("utf-8", "replace").splitlines()
            why = " ".join(line.strip() for line in lines if not line.startswith("hint:")) or "uv gave no reason"
            command = f"uv pip compile {' '.join(how[:-2])} {shlex.join(lock.path for lock in loose)} -o {place}"
            raise PushforwardError(
                f"{names} cannot be locked here, and is installed as it is: {shorten(plain(why), 200)}", next=command
            )
        text = out.read_text()
        if not (found := of(place, text)).locked:
            raise PushforwardError(
                f"{names} cannot be locked here, and is installed as it is: {found.why}",
                next="take out what is of no index, such as -e .: code is found from the root and from src/",
            )
        index = [line for path in sources for line in INDEX.findall((root / path).read_text("utf-8", "replace"))]
    count = len(REQUIREMENT.findall(text))
    head = f"# Locked by pushforward adopt, of {names}. To lock it again: uv pip compile {' '.join(how[:-2])}\n"
    words = f"{names}, locked: {count} package{'' if count == 1 else 's'} with hashes"
    return Locked(place, (head + "".join(f"{line}\n" for line in index) + text).encode(), words)


def _pip_part(root: Path, lock: Lock, scratch: Path) -> str:
    """What pip installs of conda's environment.yml, as a file for pip; refused where conda installs anything."""
    refused = PushforwardError(f"{lock.path} is conda's", next=ELSEWHERE["conda"][1])
    if lock.kind != "conda":
        raise PushforwardError(f"{lock.path} is {ELSEWHERE[lock.kind][0]}", next=ELSEWHERE[lock.kind][1])
    try:
        listed = reading.yaml(root, lock.path).get("dependencies")
    except Odd as strange:
        raise PushforwardError(str(strange), next=f"edit {lock.path}") from None
    if not isinstance(listed, list):
        raise refused
    by_conda = [str(one) for one in listed if not isinstance(one, dict) and not BESIDE_PIP.fullmatch(str(one))]
    if by_conda:
        some = plain(", ".join(by_conda[:5]))
        raise PushforwardError(f"{lock.path} has conda install {some}, and conda is not run", next=refused.next)
    wanted = [str(one) for part in listed if isinstance(part, dict) for one in part.get("pip") or ()]
    if not wanted or any("\n" in one for one in wanted):
        raise refused
    files.write(scratch, "pip.txt", "".join(f"{one}\n" for one in wanted).encode())
    return str(scratch / "pip.txt")
