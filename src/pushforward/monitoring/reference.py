"""References: the rows that a model was trained on, and those served since, as counts by day; pure. For `drift`.

A reference is made once from tables, kept as JSON, and grows by the windows that were found sound: a limit that is
learned from a fault allows the fault.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pushforward.gate.counted import TEXTS, Counted, Floats, Parts, counted, parts_of

FORMAT = 1
NAMED = 3  # unseen texts, by name


@dataclass(frozen=True)
class Unseen:
    """Texts of a column that the reference does not know: how many, in which share of the rows, some by name."""

    column: str
    values: int
    share: float
    named: tuple[str, ...]


@dataclass(frozen=True)
class Window:
    """Rows as they came, counted as a reference counts them: what it takes to compare them, and to add them to it.

    `absent` columns did not come, `added` ones nobody knows, `wrong` ones (column, type) are of another type.
    """

    first: int
    rows: Floats
    columns: tuple[Counted, ...]
    unseen: tuple[Unseen, ...] = ()
    absent: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    wrong: tuple[tuple[str, str], ...] = ()

    @property
    def end(self) -> int:
        """The day after the last."""
        return self.first + len(self.rows)


@dataclass(frozen=True)
class Reference:
    """What windows are held against: rows by day from the day `first` (days since 1970) on, and columns by day.

    `time` is the column that tells a row's day.
    """

    time: str
    first: int
    rows: Floats
    columns: tuple[Counted, ...]

    @property
    def end(self) -> int:
        """The day after the last."""
        return self.first + len(self.rows)

    def column(self, name: str) -> Counted | None:
        """A column by name."""
        return next((one for one in self.columns if one.name == name), None)

    def before(self, day: int) -> "Reference":
        """This one without `day` and the days after it."""
        if self.end <= day:
            return self
        end = max(self.first, day)
        columns = tuple(one.between(one.first, max(one.first, min(one.end, end))) for one in self.columns)
        return replace(self, rows=self.rows[: end - self.first], columns=columns)

    def window(self, rows: pl.DataFrame, span: tuple[date, date] | None = None) -> Window:
        """Rows that came, of the days of `span` (first and last, both whole), else of those that the rows have."""
        days = _days(rows[self.time])
        first, end = _span(days) if span is None else (_day(span[0]), _day(span[1]) + 1)
        inside = (days >= first) & (days < end)
        rows, days = rows.filter(pl.Series(inside)), days[inside]
        wrong = [(one.name, str(rows[one.name].dtype)) for one in self.columns if _wrong(rows, one)]
        taken = [one for one in self.columns if one.name in rows.columns and one.name not in dict(wrong)]
        known = {self.time, *(one.name for one in self.columns)}
        return Window(
            first,
            np.bincount(days - first, minlength=end - first).astype(np.float64),
            tuple(counted(rows[one.name], days, one.parts, (first, end), one.parts.known) for one in taken),
            tuple(found for one in taken if (found := _unseen(rows[one.name], one.parts)) is not None),
            tuple(one.name for one in self.columns if one.name not in rows.columns),
            tuple(name for name in rows.columns if name not in known),
            tuple(wrong),
        )

    def plus(self, window: Window) -> "Reference":
        """This one and a window that was found sound."""
        first, end = min(self.first, window.first), max(self.end, window.end)
        rows = np.zeros(end - first)
        for one in (self, window):
            rows[one.first - first : one.end - first] += one.rows
        came = {one.name: one for one in window.columns}
        columns = tuple(one.plus(came[one.name]) if one.name in came else one for one in self.columns)
        return replace(self, first=first, rows=rows, columns=columns)

    def summary(self) -> dict[str, Any]:
        """All of it as JSON has it; `of_summary` reads it."""
        return {
            "format": FORMAT,
            "time": self.time,
            "first": self.first,
            "rows": _whole(self.rows),
            "columns": [_told(one) for one in self.columns],
        }


def refer(rows: pl.DataFrame, *, time: str, skip: Collection[str] = ()) -> Reference:
    """A reference of rows: every column but `skip` and `time`, which is a date or a moment (its day in UTC)."""
    days = _days(rows[time])
    first, end = _span(days)
    names = [one for one in rows.columns if one != time and one not in skip]
    columns = [counted(rows[name], days, parts_of(rows[name]), (first, end)) for name in names]
    by_day = np.bincount(days - first, minlength=end - first).astype(np.float64)
    return Reference(time, first, by_day, tuple(columns))


def of_summary(told: Mapping[str, Any]) -> Reference:
    """The reference of a `summary`; a ValueError or KeyError where it is none of this format."""
    if told.get("format") != FORMAT:
        raise ValueError(f"a reference of format {told.get('format')}, not {FORMAT}")
    columns = tuple(_read(one) for one in told["columns"])
    return Reference(told["time"], told["first"], np.array(told["rows"], float), columns)


def _told(one: Counted) -> dict[str, Any]:
    edges, values, known = one.parts.edges, one.parts.values, one.parts.known
    return {
        "name": one.name,
        "edges": None if edges is None else list(edges),
        "values": list(values),
        "known": sorted(known),
        "opaque": one.parts.opaque,
        "first": one.first,
        "counts": [_whole(day) for day in one.counts],
        "missing": _whole(one.missing),
        "sums": one.sums.tolist(),
        "fresh": _whole(one.fresh),
    }


def _read(told: Mapping[str, Any]) -> Counted:
    edges, known = told["edges"], frozenset(told["known"])
    parts = Parts(None if edges is None else tuple(edges), tuple(told["values"]), known, told["opaque"])
    counts = np.array(told["counts"], float).reshape(-1, len(parts))
    days = (np.array(told[name], float) for name in ("missing", "sums", "fresh"))
    return Counted(told["name"], parts, told["first"], counts, *days)


def _whole(values: Floats) -> list[int]:
    return [int(value) for value in values.tolist()]


def _wrong(rows: pl.DataFrame, one: Counted) -> bool:
    """Whether a column is of another type than the reference's; one that is all missing has none."""
    if one.name not in rows.columns or rows[one.name].dtype == pl.Null:
        return False
    if one.parts.opaque:
        return False
    dtype = rows[one.name].dtype
    return not (dtype.is_numeric() or dtype == pl.Boolean) if one.parts.numeric else dtype not in TEXTS


def _unseen(column: pl.Series, parts: Parts) -> Unseen | None:
    if parts.numeric or parts.opaque:
        return None
    there = column.cast(pl.String).drop_nulls()
    counts: Iterable[tuple[str, int]] = (
        there.value_counts(sort=True, name="rows").sort("rows", column.name, descending=[True, False]).iter_rows()
    )
    strangers = {value: rows for value, rows in counts if value not in parts.known}
    if not strangers:
        return None
    return Unseen(column.name, len(strangers), sum(strangers.values()) / len(column), tuple(strangers)[:NAMED])


def _days(moments: pl.Series) -> "np.ndarray[Any, np.dtype[np.int64]]":
    return moments.cast(pl.Date).cast(pl.Int64).to_numpy()


def _day(one: date) -> int:
    return (one - date(1970, 1, 1)).days


def _span(days: "np.ndarray[Any, np.dtype[np.int64]]") -> tuple[int, int]:
    return (int(days.min()), int(days.max()) + 1) if len(days) else (0, 0)
