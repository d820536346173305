"""The past of a version: the rows that it was trained on, as counts by day, and when each was asked. `look` asks.

Both are kept on this machine by the digest of what they were made from: the rows of a version never change.
"""

import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pushforward import durable
from pushforward.errors import DATA, PushforwardError
from pushforward.judge import table
from pushforward.monitoring import drift, reference, tables
from pushforward.monitoring.drift import Finding
from pushforward.monitoring.outcomes import KEY, TIME
from pushforward.monitoring.reference import Reference
from pushforward.monitoring.tables import ROW
from pushforward.pipeline import environment

SUMMARY, ASKED = "reference.json", "asked.parquet"
GROWS_DAYS = 28  # of answers at a time that the past grows by, where they are found sound
FORM = 1  # of what is kept


@dataclass(frozen=True)
class Past:
    """Counts by day of the rows that were trained on, and `asked`: the key and the moment of each."""

    reference: Reference
    asked: pl.DataFrame


def load(
    outs: Sequence[tuple[str, str]], bring: Callable[[], list[Path]], key: str, time: str, *, skip: Collection[str] = ()
) -> Past:
    """The past by the `outs` (path, object) that hold it; `bring` gives their tables where it is not kept yet.

    Columns to `skip` are none of a question: the label, say.
    """
    place = folder([FORM, reference.FORMAT, sorted(outs), key, time, sorted(skip)])
    kept = _kept(place)
    if kept is not None:
        return kept
    made = _made(bring(), key, time, skip)
    place.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    made.asked.write_parquet(buffer)
    durable.write(place / ASKED, buffer.getvalue())
    durable.write(place / SUMMARY, json.dumps(made.reference.summary()))  # last: without it nothing here counts
    return made


def folder(of: list[Any]) -> Path:
    """Where on this machine is kept what was counted; by all that it depends on."""
    return environment.cache().parent / "references" / hashlib.sha256(json.dumps(of).encode()).hexdigest()[:32]


def _kept(place: Path) -> Past | None:
    try:
        summary = json.loads((place / SUMMARY).read_bytes())
        return Past(reference.of_summary(summary), pl.read_parquet(place / ASKED, glob=False))
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError):
        return None  # it is made again


def _made(paths: Sequence[Path], key: str, time: str, skip: Collection[str]) -> Past:
    if not paths:
        raise PushforwardError("it holds no table", next="name an out with tables of rows, one for each batch")
    parts = [table.read(path, path.name) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        for column in (key, time):
            if column not in part.columns or part[column].null_count():
                why = "has no column" if column not in part.columns else "lacks values of"
                raise PushforwardError(f"{path.name} {why} {column}", next="edit pushforward.yaml", exit_code=DATA)
        if not part.schema[time].is_temporal():
            said = f"{path.name}: {time} is {part.schema[time]}, no moment"
            raise PushforwardError(said, next="edit holdout.time in pushforward.yaml", exit_code=DATA)
    rows = pl.concat(parts, how="diagonal_relaxed")
    asked = rows.select(pl.col(key).cast(pl.String).alias(KEY), _moment(pl.col(time), rows.schema[time]).alias(TIME))
    return Past(reference.refer(rows, time=time, skip=(key, *skip)), asked)


def _moment(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """A moment in UTC; one without a zone is taken for that."""
    zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
    return column.dt.convert_time_zone("UTC").cast(tables.INSTANT) if zoned else column.cast(tables.INSTANT)


def compared(past: Past, answers: pl.DataFrame, key: str, today: date, days: int) -> tuple[Finding, ...]:
    """The last whole `days` of answers held against training, and against the answers before them that were sound."""
    return held(past.reference, _rows(answers, key, past.reference.time), today, days)


def held(known: Reference, rows: pl.DataFrame, today: date, days: int, *, volume: bool = True) -> tuple[Finding, ...]:
    """The last whole `days` of rows held against a reference that grows by the rows before them, where sound.

    The first day that has rows is part of one, and the days before it are none on which nothing came. Not by their
    `volume` where the reference is of other rows than those that were asked: then it is never the same.
    """
    asked = rows[known.time].dt.date().min()
    first = asked + timedelta(days=1) if isinstance(asked, date) else today
    last = (max(first, today - timedelta(days=days)), today - timedelta(days=1))
    if last[0] > last[1]:
        return ()
    for span in _before(first, last[0]):
        window = known.window(rows, span)
        if window.rows.sum() and not drift.alarms(drift.compare(known, window, volume=volume)):
            known = known.plus(window)
    window = known.window(rows, last)
    return drift.compare(known, window, volume=volume) if window.rows.sum() else ()


def _rows(answers: pl.DataFrame, key: str, time: str) -> pl.DataFrame:
    """The rows that were asked, by the names of their columns, with the moment at which they were; without the key."""
    own = {name: name.removeprefix(ROW) for name in answers.columns if name.startswith(ROW)}
    inputs = {column: name for column, name in own.items() if name not in (key, time)}
    return answers.select(pl.col(TIME).alias(time), *(pl.col(column).alias(name) for column, name in inputs.items()))


def _before(first: date, end: date) -> Iterator[tuple[date, date]]:
    """Runs of whole days, from the day `first` on until the day `end`."""
    while first < end:
        until = min(first + timedelta(days=GROWS_DAYS), end)
        yield first, until - timedelta(days=1)
        first = until
