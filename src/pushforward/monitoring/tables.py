"""Tables of what was answered and of what came of it, read as hostile data: whoever may write a log is no judge.

`look` asks. What a table takes in memory is known before it is read, and a column of another type is refused by name.
"""

import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pushforward import parquet
from pushforward.errors import DATA, PushforwardError
from pushforward.judge import table
from pushforward.monitoring.outcomes import KEY, KNOWN, LABEL, TIME

INSTANT = pl.Datetime("us", "UTC")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FILE = re.compile(r"\d{6}-\d{1,9}-\d{1,10}\.parquet")
AT = "at"  # when a row was answered
ROW = "row."  # before the name of each column of a row that was asked
OWN = "outcome.key"  # a key as outcomes have it, where it is more than a text to join by
ARM = "log.arm"  # by which arm a row was answered; outcomes may have an `arm` of their own
LIMIT_FILES = 100_000
# of the log, but for the predictions
COLUMNS: Mapping[str, pl.DataType] = {
    AT: INSTANT,
    "version": pl.String(),
    "arm": pl.String(),
    KEY: pl.String(),
    TIME: INSTANT,
}


class TableError(PushforwardError):
    """A table that is not as it must be."""

    def __init__(self, message: str, next: str) -> None:  # noqa: A002
        super().__init__(message, next=next, exit_code=DATA)


def answers(
    folder: Path, version: str, predicted: Sequence[str], *, probability: bool, also: Sequence[str] = ()
) -> pl.DataFrame:
    """What `version` has answered by the log in `folder`, in the order asked: each question once, by its last answer.

    `at` is when it was first answered. A row without a time was asked when it was answered; one without a key is a
    question of its own, which no outcome comes to. Answers of a shadow count too: their outcomes come as well. `also`
    names texts of the log to have beside.
    """
    wanted = {**COLUMNS, **dict.fromkeys(also, pl.String()), **dict.fromkeys(predicted, pl.Float64())}
    parts = [_answers(path, name, version, wanted) for path, name in _files(folder)]
    parts = [part for part in parts if part.height]
    if not parts:
        wanted[ARM] = wanted.pop("arm")
        return pl.DataFrame(schema={name: kind for name, kind in wanted.items() if name != "version"})
    try:
        found = pl.concat(_typed(parts), how="diagonal")
    except pl.exceptions.PolarsError as differ:
        said = str(differ).splitlines()[0][:200]
        raise TableError(f"files of the log have one column in several types: {said}", "pushforward serve") from None
    found = found.sort(AT, maintain_order=True)
    named = found.filter(pl.col(KEY) != "").with_columns(pl.col(AT).min().over(KEY, TIME))
    named = named.unique([KEY, TIME], keep="last", maintain_order=True)
    found = pl.concat([named, found.filter(pl.col(KEY) == "")]).sort(TIME, KEY, maintain_order=True)
    _check_numbers(found, predicted, probability=probability)
    return found


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """The tables of a log, by day and time, with the names that people know them by."""
    if not folder.is_dir():
        raise PushforwardError(f"there is no log in {folder}", next="pushforward serve --log DIR, or another --log")
    days = sorted(path for path in folder.iterdir() if DAY.fullmatch(path.name) and stat.S_ISDIR(_mode(path)))
    found = [path for day in days for path in _within(day) if FILE.fullmatch(path.name)]
    if len(found) > LIMIT_FILES:
        raise TableError(f"{folder} has {len(found):,} files; the limit is {LIMIT_FILES:,}", "put old days elsewhere")
    sizes = 0
    for path in found:
        name, mode = f"{path.parent.name}/{path.name}", _mode(path)
        if mode and not stat.S_ISREG(mode):
            raise TableError(f"{name} of the log is not a regular file", f"rm {path}")
        try:
            size = parquet.measure(path)
        except FileNotFoundError:
            continue
        sizes += size.memory if size else 0
        parquet.bound(sizes, f"the log until {name}")
        yield path, name


def _mode(path: Path) -> int:
    """What lies at a path; 0 where nothing does any more, as `serve` takes out the days that are past keeping."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def _within(day: Path) -> list[Path]:
    try:
        return sorted(day.iterdir())
    except FileNotFoundError:
        return []


def _typed(parts: Sequence[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same, columns in which a file has nothing but nulls, and so no type, of the type that others have."""
    kinds = {name: kind for part in parts for name, kind in part.schema.items() if kind != pl.Null}
    for part in parts:
        yield part.with_columns(
            pl.col(name).cast(kinds[name]) for name, kind in part.schema.items() if kind == pl.Null and name in kinds
        )


def _answers(path: Path, name: str, version: str, wanted: Mapping[str, pl.DataType]) -> pl.DataFrame:
    try:
        frame = table.read(path, f"{name} of the log")
    except (FileNotFoundError, PushforwardError):
        if _mode(path):
            raise
        return pl.DataFrame()
    there = frame.schema
    for column in (AT, "version"):
        _check_column(there, column, COLUMNS[column], f"{name} of the log")
    frame = frame.filter(pl.col("version") == version)
    if not frame.height:
        return frame.clear()
    for column, kind in wanted.items():
        _check_column(there, column, kind, f"{name} of the log")
    others = [column for column in wanted if column not in COLUMNS]
    for column in (AT, KEY, *others):
        if frame[column].null_count():
            raise TableError(f"{name} of the log: {frame[column].null_count():,} rows have no {column}", f"rm {path}")
    rows = [column for column in frame.columns if column.startswith(ROW)]
    asked = frame.with_columns(pl.coalesce(TIME, AT).alias(TIME))
    return asked.select(AT, KEY, TIME, *others, pl.col("arm").alias(ARM), *rows)


def _check_column(there: Mapping[str, pl.DataType], column: str, kind: pl.DataType, name: str) -> None:
    if column not in there:
        raise TableError(f"{name} has no column {column}", "pushforward serve, which writes it")
    if there[column] != kind:
        raise TableError(f"{name}: {column} is {there[column]}, not {kind}", "pushforward serve, which writes it")


def _check_numbers(found: pl.DataFrame, predicted: Sequence[str], *, probability: bool) -> None:
    for column in predicted:
        p = found[column].to_numpy()
        bad = ~np.isfinite(p)
        if probability:
            bad |= (p < 0) | (p > 1)
        if bad.any():
            rule = "a number in [0, 1]" if probability else "a finite number"
            where = int(np.argmax(bad))
            said = f"{column} is {p[where]!s} for {found[KEY][where]!r:.60}, not {rule} ({int(bad.sum()):,} such rows)"
            raise TableError(f"the log: {said}", "look at who writes it")


def outcomes(path: Path, key: str, label: str, classes: Sequence[str], *, given: bool = False) -> pl.DataFrame:
    """What came of it, as the command `monitor.outcomes` has written it: `key`, label as a number, when it was known.

    Other columns stay under their names. Where losses are `given` by a command of the project's, a label may be of any
    type, and the key is there as it was written, too.
    """
    name, edit = "what monitor.outcomes has written", "edit the command monitor.outcomes of pushforward.yaml"
    if not stat.S_ISREG(_mode(path)):
        raise TableError(f"{name} is not a file", edit)
    frame = table.read(path, name)
    for column in (key, label, KNOWN):
        if column not in frame.columns:
            raise TableError(f"{name} has no column {column}", edit)
    moments = frame.schema[KNOWN]
    if not isinstance(moments, pl.Datetime) or moments.time_zone is None:
        raise TableError(f"{name}: {KNOWN} is {moments}, not a moment with a time zone", edit)
    for column in (key, label, KNOWN):
        if frame[column].null_count():
            raise TableError(f"{name}: {frame[column].null_count():,} rows have no {column}", edit)
    own = frame.select(
        pl.col(key).cast(pl.String).alias(KEY),
        (frame[label] if given else _numbers(frame[label], classes, name, edit)).alias(LABEL),
        pl.col(KNOWN).dt.convert_time_zone("UTC").cast(INSTANT),
        *([pl.col(key).alias(OWN)] if given else []),
    )
    others = [column for column in frame.columns if column not in (key, label, KNOWN, *own.columns)]
    return own.hstack(frame.select(others))


def _numbers(labels: pl.Series, classes: Sequence[str], name: str, edit: str) -> pl.Series:
    try:
        found = table.places(labels, classes, name)
    except PushforwardError as strange:
        raise TableError(strange.message, edit) from None
    if not found.dtype.is_numeric() or not found.cast(pl.Float64).is_finite().all():
        raise TableError(f"{name}: a {labels.name} is no finite number", edit)
    return found.cast(pl.Float64)
