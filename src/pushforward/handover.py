"""What the run of the pushed code hands to the judge: a folder, read as hostile data."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from pushforward.errors import PushforwardError
from pushforward.pipeline import LOCK, METRICS, Outcome, Reproduction, Stage

RECORD = "run.json"
MODEL = "model"
PREDICTIONS = "predictions.parquet"
LIMIT_BYTES = 200 * 1024 * 1024
LIMIT_RECORD = 1024 * 1024
LIMIT_FILES = 1000


@dataclass(frozen=True)
class Handover:
    """A hand-over that was read: its record, and the files that the judge may look at."""

    folder: Path
    commit: str
    reproduction: Reproduction
    metrics: dict[str, bytes]

    @property
    def lock(self) -> bytes:
        """The bytes of dvc.lock; empty where there is none."""
        path = self.folder / LOCK
        return path.read_bytes() if path.is_file() else b""


def write(root: Path, folder: Path, commit: str, reproduction: Reproduction, model: str) -> None:
    """Put the record, the lock, the metrics and the model of the run in `root` into `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record = {"schema": 1, "commit": commit} | asdict(reproduction)
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    if (root / LOCK).is_file():
        shutil.copyfile(root / LOCK, folder / LOCK)
    if (root / METRICS).is_dir():
        shutil.copytree(root / METRICS, folder / METRICS, ignore=shutil.ignore_patterns(".gitignore"))
    add_model(root, folder, model)


def add_model(root: Path, folder: Path, model: str) -> None:
    """Put the model at `model` in `root` into the hand-over, where it is there."""
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    if (root / model).is_dir():
        shutil.copytree(root / model, folder / MODEL, ignore=shutil.ignore_patterns(".gitignore"))


def read(folder: Path) -> Handover:
    """Read a hand-over; anything that is not as `write` leaves it is refused."""
    if not folder.is_dir():
        raise PushforwardError("the run of the pushed code left nothing to judge; its log says why")
    _check_sizes(folder)
    try:
        record = json.loads((folder / RECORD).read_bytes())
    except FileNotFoundError:
        raise PushforwardError(f"the hand-over has no {RECORD}: the run ended before its first step did") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as broken:
        raise PushforwardError(f"the hand-over's {RECORD} is not JSON: {broken}") from None
    metrics = {
        path.name: path.read_bytes()
        for path in sorted((folder / METRICS).glob("*"))
        if path.suffix in {".json", ".csv"}
    }
    try:
        return Handover(folder, _text(record["commit"]), _reproduction(record), metrics)
    except (KeyError, TypeError, ValueError) as wrong:
        raise PushforwardError(f"the hand-over's {RECORD} is not of the form expected: {wrong!r}") from None


def _check_sizes(folder: Path) -> None:
    total = 0
    for number, path in enumerate(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PushforwardError(f"the hand-over holds {path.name}, which is no plain file")
        total += path.stat().st_size
        if number > LIMIT_FILES or total > LIMIT_BYTES:
            raise PushforwardError(f"the hand-over is larger than {LIMIT_FILES} files or {LIMIT_BYTES >> 20} MiB")
        if path.name == RECORD and path.stat().st_size > LIMIT_RECORD:
            raise PushforwardError(f"the hand-over's {RECORD} is larger than {LIMIT_RECORD >> 20} MiB")


def _text(value: Any, limit: int = 20_000) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise TypeError(f"{value!r:.40} is not a text")
    return value


def _reproduction(record: dict[str, Any]) -> Reproduction:
    stages = []
    for entry in record["stages"][:LIMIT_FILES]:
        if entry["outcome"] not in get_args(Outcome):
            raise ValueError(entry["outcome"])
        stages.append(
            Stage(_text(entry["name"], 200), entry["outcome"], _text(entry["reason"], 2000), float(entry["seconds"]))
        )
    if record["outcome"] not in {"ok", "refused", "failed"}:
        raise ValueError(record["outcome"])
    return Reproduction(
        stages,
        int(record["pulled"]),
        int(record["pushed"]),
        float(record["seconds"]),
        record["outcome"],
        _text(record["message"]),
    )
