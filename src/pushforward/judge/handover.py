"""What the run of the pushed code hands to the judge: a folder, read as hostile data."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pushforward import files, pointers, untrusted
from pushforward.cause import Cause
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.git import kept
from pushforward.judge.table import CSV, PARQUET, SUFFIXES
from pushforward.pipeline import declared, folders
from pushforward.pipeline.lock import LOCK, METRICS, NOWHERE, Wdirs, merged, read_lock
from pushforward.pipeline.stages import Outcome, Reproduction, Stage
from pushforward.schema import MOST_FILES, MOST_MIB, Server
from pushforward.untrusted import plain_json

if TYPE_CHECKING:
    from pushforward.settings import Settings

RECORD = "run.json"
LOCKS = "locks"  # those of a dvc.yaml below the root, by their paths
DECLARED = "declared"  # the metrics that lie elsewhere than in their folder, by their paths
MODELS = "models"  # of several models what each has for itself, by name: the model, predictions, probes, failures
MODEL = "model"
PREDICTIONS = "predictions"
VALIDATION = "validation"
SELF_SCORED = "self-scored"
PROBES = "probes"
SOURCE = "source.txt"
FAILED = "failed.txt"
UNSCORED = "unscored.txt"
NAMES = frozenset({RECORD, LOCK, LOCKS, METRICS, MODELS, DECLARED, MODEL, PROBES, SOURCE, FAILED, UNSCORED}) | {
    f"{stem}{suffix}" for stem in (PREDICTIONS, VALIDATION, SELF_SCORED) for suffix in SUFFIXES
}
LIMIT_RECORD = 1024 * 1024
LIMIT_STAGES = 1000
LIMIT_WORDS = 4000
AT_MOST = Server(handover_mib=MOST_MIB, handover_files=MOST_FILES)  # whatever the target branch says
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(?:json|csv)")

Text = Annotated[str, Field(max_length=20_000)]
Words = Annotated[str, Field(max_length=LIMIT_WORDS)]
Count = Annotated[int, Field(ge=0, lt=10**9)]
Tables = Mapping[str, str | None]  # what a table is called here -> its path in the project


def _first(stages: object) -> object:
    """No more stages than are shown."""
    return stages[:LIMIT_STAGES] if isinstance(stages, list) else stages


class _Part(BaseModel):
    """A part of the record as it has to be; what else is there is left alone."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class _Stage(_Part):
    name: Annotated[str, Field(max_length=200)]
    outcome: Outcome
    reason: Annotated[str, Field(max_length=2000)]
    seconds: float


class _Record(_Part):
    commit: Text
    stages: Annotated[list[_Stage], BeforeValidator(_first)]
    pulled: Count
    pushed: Count
    seconds: float
    outcome: Literal["ok", "refused", "failed"]
    message: Text
    cause: Words = ""
    next: Words = ""

    @property
    def reproduction(self) -> Reproduction:
        """What the run says that it did."""
        told = self.model_dump(exclude={"commit", "stages"})
        return Reproduction([Stage(**stage.model_dump()) for stage in self.stages], **told)


@dataclass(frozen=True)
class Handover:
    """A hand-over that was read: its record, and the files that the judge may look at.

    `part` is the folder of what one model has for itself: the same, where there is only one.
    """

    folder: Path
    commit: str
    reproduction: Reproduction
    metrics: dict[str, bytes]
    part: Path
    wdirs: Wdirs = field(default_factory=dict)

    def of(self, model: str) -> "Handover":
        """The same for one of several models."""
        return replace(self, part=part(self.folder, model))

    @property
    def failed(self) -> str:
        """Why the pushed code could not score the holdout, in its run's words; empty where it could."""
        path = self.part / FAILED if (self.part / FAILED).is_file() else self.folder / FAILED
        return path.read_bytes()[:LIMIT_WORDS].decode("utf-8", "replace").strip() if path.is_file() else ""

    @property
    def predictions(self) -> Path:
        """The predictions for the holdout, Parquet or CSV."""
        return self._table(PREDICTIONS)

    @property
    def validation(self) -> Path:
        """The table of the validation month, likewise."""
        return self._table(VALIDATION)

    @property
    def self_scored(self) -> Path:
        """The table with labels and predictions of the run's own, likewise."""
        return self._table(SELF_SCORED)

    def _table(self, stem: str) -> Path:
        first, *others = (self.part / f"{stem}{suffix}" for suffix in SUFFIXES)
        found = [path for path in (first, *others) if path.is_file()]
        if len(found) > 1:
            raise PushforwardError(f"the hand-over has {found[0].name} and {found[1].name}: which is it?")
        return found[0] if found else first

    @cached_property
    def locks(self) -> dict[str, bytes]:
        """The bytes of each dvc.lock, by its path in the project."""
        return locks_in(self.folder)

    @property
    def lock(self) -> bytes:
        """All of them as one, named from the root; empty where there is none."""
        return merged(self.locks, self.wdirs)


def part(folder: Path, model: str) -> Path:
    """Where a hand-over in `folder` has what is a model's own; itself, where it is of one model alone."""
    own = folder / MODELS / model
    return own if model and own.is_dir() and not (folder / MODELS).is_symlink() else folder


def write(
    root: Path, folder: Path, commit: str, reproduction: Reproduction, model: str | None, tables: Tables | None = None
) -> None:
    """Put the record, the lock, the metrics, the model and the `tables` of the run in `root` into `folder`."""
    _record(folder, commit, reproduction)
    locks = folders.locks_here(root)
    for path, lock in locks.items():
        files.write(folder, path if path == LOCK else f"{LOCKS}/{path}", lock)
    if files.place(root, METRICS).is_dir():
        files.copy(root, METRICS, folder / METRICS)
    for path in declared.here(root).files(read_lock(folders.whole_here(root))):
        if files.place(root, path).is_file():
            files.copy(root, path, folder / DECLARED / path)
    add(root, folder, model, tables)


def add(root: Path, folder: Path, model: str | None, tables: Tables | None) -> None:
    """Put the model and the `tables` of the run in `root` into a hand-over, or a model's part of it."""
    folder.mkdir(exist_ok=True, parents=True)
    if model:
        add_model(root, folder, model)
    for stem, place in (tables or {}).items():
        if place and files.place(root, place).is_file():
            files.copy(root, place, folder / f"{stem}{CSV if place.endswith(CSV) else PARQUET}")


@contextlib.contextmanager
def refusal(folder: Path, commit: str) -> Iterator[None]:
    """Leave what the commit itself has wrong, and not the machine, in `folder` for the judge, and raise it on.

    What a runner of a forge lacks, as a store that it does not reach, is left too: a server tries again, and tells its
    owner, and there nobody would.
    """
    try:
        yield
    except PushforwardError as wrong:
        alone = bool(os.environ.get("CI")) and not os.environ.get("PUSHFORWARD_RUN")
        if wrong.exit_code == USAGE or (wrong.exit_code == TOOL and alone):
            write_failure(folder, commit, wrong.message, wrong.next)
        raise


def write_failure(folder: Path, commit: str, text: str, then: str = "") -> None:
    """Leave in `folder` why the run of `commit` came to nothing to judge (`text`), and what to type `then`."""
    first = next(iter(text.splitlines()), "")
    _record(folder, commit, Reproduction(outcome="failed", message=text, cause=first[:LIMIT_WORDS], next=then))


def write_cause(folder: Path, commit: str, cause: Cause) -> bool:
    """Add to the hand-over in `folder` why its run failed, where the run has not; whether it has said so itself."""
    if not (folder / RECORD).is_file():
        write_failure(folder, commit, cause.text, cause.next)
        return False
    if (
        any(os.path.lexists(folder / f"{PREDICTIONS}{suffix}") for suffix in SUFFIXES)
        or os.path.lexists(folder / FAILED)
        or os.path.lexists(folder / UNSCORED)
        or _failed(folder)
    ):
        return True
    write_words(folder, PushforwardError(cause.text, next=cause.next))
    return False


def write_words(folder: Path, failed: PushforwardError) -> None:
    """Leave in `folder` why the pushed code could not score the holdout."""
    files.write(folder, FAILED, f"{failed}\n".encode())


def write_unscored(folder: Path, words: str) -> None:
    """Leave in `folder` that its run has come to its end, and why there are no predictions."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder, UNSCORED, f"{words}\n".encode())


def tables(rules: "Settings") -> Tables:
    """What a run hands over beside its model: the tables that it has made for its judge."""
    own = rules.predictions
    return {VALIDATION: rules.validation, SELF_SCORED: own.path if own is not None else None}


def _failed(folder: Path) -> bool:
    """Whether the record in a hand-over says of itself that its run failed, or says nothing that can be read."""
    try:
        return read(folder, AT_MOST).reproduction.outcome != "ok"
    except PushforwardError:
        return True


def add_model(root: Path, folder: Path, model: str) -> None:
    """Put the model at `model` in `root` into the hand-over, where it is there."""
    files.remove(folder, MODEL)
    place = files.place(root, model)
    if place.is_dir() or place.is_file():
        files.copy(root, model, folder / MODEL)


def claim(folder: Path) -> None:
    """Refuse to write a hand-over where something else lies: whatever is in its folder goes."""
    output(folder)
    foreign = sorted({path.name for path in folder.glob("*")} - NAMES)
    if foreign:
        raise PushforwardError(
            f"{folder} holds {foreign[0]}, which is of no hand-over: nothing in it is written over",
            next="pushforward repro --out, with another folder",
        )


def output(folder: Path) -> Path:
    """The folder that somebody has named for what is made: no link, and not behind one of the working folder."""
    return files.place(_parent(folder), folder.name)


def _parent(folder: Path) -> Path:
    named = folder.is_absolute() or ".." in folder.parts  # by its way, links and all
    return folder.parent if named else files.place(Path(), folder.parent.as_posix())


def _record(folder: Path, commit: str, reproduction: Reproduction) -> None:
    files.remove(_parent(folder), folder.name)  # what a stage has put there too
    folder.mkdir(parents=True)
    record = {"schema": 1, "commit": commit} | asdict(reproduction)
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def read(folder: Path, limits: Server = Server(), wdirs: Wdirs = NOWHERE) -> Handover:  # noqa: B008, it is frozen
    """Read a hand-over; anything that is not as `write` leaves it, or is larger than `limits` say, is refused.

    `wdirs` says where the stages of its commit work, so that what the locks name is found.
    """
    if not folder.is_dir():
        raise PushforwardError(
            "the workflow that runs the pushed code ended before its pipeline began", next=_where_it_ran()
        )
    _check_sizes(folder, limits)
    if not (folder / RECORD).is_file():
        raise PushforwardError(f"the hand-over has no {RECORD}: the run ended before its first step did")
    record = plain_json((folder / RECORD).read_bytes(), f"the hand-over's {RECORD}")
    metrics = read_metrics(folder)
    models = [one / MODEL for one in (folder, *sorted((folder / MODELS).glob("*")))]
    for path in (path for model in models for path in (model, *sorted(model.rglob("*")))):
        pointers.refuse(path, f"the hand-over's {path.relative_to(folder)}")
    try:
        told = _Record.model_validate(record)
    except ValidationError as wrong:
        why = untrusted.where(wrong)
        raise PushforwardError(f"the hand-over's {RECORD} is not of the form expected: {why}") from None
    read = Handover(folder, told.commit, told.reproduction, metrics, folder, wdirs)
    if told.outcome == "ok":
        _check_found(read)
    return read


def _where_it_ran() -> str:
    """The command that shows the log of the run before, where a forge says which that was."""
    told = Path(os.environ.get("GITHUB_EVENT_PATH", ""))
    event = plain_json(told.read_bytes(), "the event") if told.is_file() else {}
    before = event.get("workflow_run")
    number = before.get("id") if isinstance(before, dict) else None
    return f"gh run view {number} --log-failed" if type(number) is int else "read the log of that workflow"


def _check_sizes(folder: Path, limits: Server) -> None:
    total, largest = 0, (0, "")
    for count, path in enumerate(folder.rglob("*"), 1):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PushforwardError(f"the hand-over holds {path.name}, which is no plain file")
        name, size = path.relative_to(folder).as_posix(), path.stat().st_size
        total, largest = total + size, max(largest, (size, name))
        if count > limits.handover_files:
            raise _too_large(f"{limits.handover_files:,} files", "handover_files", f"in {name.partition('/')[0]}")
        if total > limits.handover_mib << 20:
            told = f"{largest[1]} has {largest[0] / (1 << 20):,.0f} MiB"
            raise _too_large(f"{limits.handover_mib:,} MiB", "handover_mib", told)
        if name == RECORD and size > LIMIT_RECORD:
            raise PushforwardError(f"the hand-over's {RECORD} is larger than {LIMIT_RECORD >> 20} MiB")


def _too_large(most: str, setting: str, where: str) -> PushforwardError:
    return PushforwardError(
        f"the hand-over, the model in it, has more than {most} (server.{setting} on the target branch): {where}",
        next=f"raise server.{setting} in pushforward.yaml on the target branch, alone; it counts from the next push on",
    )


def _check_found(read: Handover) -> None:
    """Refuse numbers that are not those which the lock names: the lock is what a version is known by."""
    named = declared.hashes(read.lock)
    for path, content in read.metrics.items():
        if path in named and not path.startswith(f"{METRICS}/") and not kept.is_found(path, content, named[path]):
            raise PushforwardError(f"the hand-over's {path} is not the one that its {LOCK} names")


def locks_in(folder: Path) -> dict[str, bytes]:
    """The locks in a hand-over, by their paths in the project; what is behind a link is none."""
    below = folder / LOCKS
    found = {path.relative_to(below).as_posix(): path for path in ([] if below.is_symlink() else below.rglob(LOCK))}
    found = {path: place for path, place in found.items() if path != LOCK} | {LOCK: folder / LOCK}
    plain = {path: place for path, place in found.items() if kept.is_lock(path) and not place.is_symlink()}
    return {path: place.read_bytes() for path, place in sorted(plain.items()) if place.is_file()}


def read_metrics(folder: Path) -> dict[str, bytes]:
    """The metrics in a hand-over, by their paths in the project.

    A name that git or a shell could read as more than one is not taken.
    """
    found = {f"{METRICS}/{path.name}": path for path in (folder / METRICS).glob("*") if NAME.fullmatch(path.name)}
    others = folder / DECLARED
    for path in () if others.is_symlink() else others.rglob("*"):
        name = path.relative_to(others).as_posix()
        if kept.sound(name) and not name.startswith(f"{METRICS}/") and (path.is_symlink() or not path.is_dir()):
            found[name] = path
    for name, path in sorted(found.items()):
        if path.is_symlink() or not path.is_file():
            raise PushforwardError(f"the hand-over's {name} is no plain file")
    return {name: path.read_bytes() for name, path in sorted(found.items())}
