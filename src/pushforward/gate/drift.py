"""Drift: which columns of the months that arrived moved further than months before ever did; pure."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward import percent
from pushforward.gate import moves
from pushforward.gate.counted import TENTHS, TEXTS, Counted, counted, finite, parts_of
from pushforward.gate.moves import ALPHA, MISSING, NO_MATTER, Line
from pushforward.gate.profile import Bin, Month, Profile
from pushforward.text import figure

Floats = NDArray[np.float64]

NAMED = 3
MOST_COLUMNS, MOST_BINS, MOST_MONTHS = 12, 10, 24  # of profiles
OTHER = "other"


@dataclass(frozen=True)
class Drift:
    """One column: its population stability index and missing share, how far either may go, its new values.

    All are of the run of days before against the days that came, and what they may is learned from days before that
    (`moves`). The index is None for a column that names its rows, or whose days are too few to learn from.
    """

    column: str
    index: float | None
    limit: float | None
    missing: tuple[float, float]
    missing_far: bool
    new_values: int
    named: tuple[str, ...] = ()

    @property
    def far(self) -> bool:
        """Whether it is spread otherwise than days of its past are among themselves."""
        return self.index is not None and self.limit is not None and self.index > self.limit

    @property
    def notable(self) -> bool:
        """Whether a person should look."""
        return bool(self._parts())

    def sentence(self) -> str:
        """What is different, in words; "" where nothing is."""
        parts = self._parts()
        return f"{self.column}: {', '.join(parts)}" if parts else ""

    def _parts(self) -> list[str]:
        parts = []
        if self.far:
            parts.append(f"shifted (PSI {self.index:.2f}, by its own past at most {self.limit:.2f})")
        if self.missing_far:
            before, after = self.missing
            parts.append(f"missing {percent.share(before)} → {percent.share(after)}")
        if self.new_values:
            more = ", …" if self.new_values > len(self.named) else ""
            plural = "s" if self.new_values > 1 else ""
            parts.append(f"{self.new_values} new value{plural} ({', '.join(self.named)}{more})")
        return parts


def drift(before: pl.DataFrame, after: pl.DataFrame, *, time: str, skip: Collection[str] = ()) -> tuple[Drift, ...]:
    """Every column of both tables but `skip`, the most shifted first; nothing where either table has no row.

    `time` says of which day a row is. Rows before that are of later days than the first that came are left out.
    """
    came, first = _days(after[time]), int(_days(after[time]).min()) if after.height else 0
    past = before.filter(pl.Series(_days(before[time]) < first))
    if not past.height or not after.height:
        return ()
    names = [name for name in before.columns if name in after.columns and name not in {time, *skip}]
    days = _days(past[time])
    span = int(days.min()), int(came.max()) + 1
    found = []
    for name in names:
        old = counted(past[name], days, parts_of(past[name]), (span[0], int(days.max()) + 1))
        new = counted(after[name], came, old.parts, (first, span[1]), old.parts.known)
        found.append(_column(old, new, after[name], ALPHA / len(names)))
    return tuple(sorted(found, key=lambda one: (-(one.index or 0.0), one.column)))


def profiles(
    rows: pl.DataFrame, added: Collection[str], told: Mapping[str, tuple[Drift, ...]], *, time: str
) -> tuple[Profile, ...]:
    """The columns that have shifted most since months were `added`, of rows with the moment `time`.

    `told` has their drift: by the name of each month that came, and of all of them together by "".
    """
    months = rows[time].dt.strftime("%Y-%m")
    is_new = months.is_in(list(added))
    before, after = rows.filter(~is_new), rows.filter(is_new)
    known = [one for one in told.get("", ()) if one.index is not None]
    names = sorted(months.unique().to_list())[-MOST_MONTHS:]
    parts = {name: rows.filter(months == name) for name in names}
    by_month = {month: {one.column: one for one in found} for month, found in told.items()}
    return tuple(_profile(one, before, after, (parts, by_month)) for one in known[:MOST_COLUMNS])


def _profile(
    drift: Drift,
    before: pl.DataFrame,
    after: pl.DataFrame,
    by_month: tuple[dict[str, pl.DataFrame], dict[str, dict[str, Drift]]],
) -> Profile:
    name, (parts, drifts) = drift.column, by_month
    cut = _cut(before[name].drop_nulls(), after[name].drop_nulls())
    told = []
    for month, part in parts.items():
        column = part[name]
        numbers = finite(column) if cut.edges is not None else np.zeros(0)
        mean = float(numbers.mean()) if len(numbers) else None
        one = drifts.get(month, {}).get(name)
        far = (None, None) if one is None else (one.index, one.limit)
        told.append(Month(month, len(column), column.null_count() / max(1, len(column)), mean, *far))
    shares = (cut.shares(table[name]).tolist() for table in (before, after))
    bins = tuple(Bin(*one) for one in zip(cut.labels, *shares, strict=True))
    return Profile(name, drift.index or 0.0, bins, tuple(told), drift.limit)


@dataclass(frozen=True)
class _Cut:
    """How a column is parted: numbers at `edges`, texts by `values` and what is left."""

    labels: tuple[str, ...]
    edges: Floats | None = None
    values: tuple[str, ...] = ()

    def shares(self, column: pl.Series) -> Floats:
        """The share of each part among the values that are not missing; zeros where all are."""
        there = column.drop_nulls()
        if self.edges is not None:
            codes = np.searchsorted(self.edges, finite(there), side="right")
        else:
            place = {value: number for number, value in enumerate(self.values)}
            codes = np.array([place.get(value, len(place)) for value in there.to_list()], dtype=np.int64)
        return np.bincount(codes, minlength=len(self.labels)) / max(1, len(codes))


def _cut(old: pl.Series, new: pl.Series) -> _Cut:
    """Tenths of the earlier numbers, or the most frequent texts of both."""
    if old.dtype in TEXTS:
        counts = pl.concat([old.cast(pl.String), new.cast(pl.String)]).value_counts(sort=True, name="rows")
        frequent = tuple(sorted(counts[old.name].head(MOST_BINS - 1).to_list()))
        return _Cut((*frequent, OTHER), None, frequent)
    numbers = finite(old)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, TENTHS + 1)[1:-1])) if len(numbers) else np.zeros(0)
    names = [figure(float(edge), 2) for edge in edges]
    if not names:
        return _Cut(("all",), edges)
    inner = [f"{low} … {high}" for low, high in itertools.pairwise(names)]
    return _Cut((f"< {names[0]}", *inner, f"≥ {names[-1]}"), edges)


def _column(old: Counted, new: Counted, came: pl.Series, alpha: float) -> Drift:
    both = old.plus(new)
    ends, window = old.end - both.first, (new.first - both.first, new.end - both.first)
    there = both.counts.sum(axis=1)
    step = None if old.parts.opaque else Line(both.counts, there > 0, ends, window).step(moves.index, alpha, NO_MATTER)
    lost = Line(np.stack([both.missing, there], 1), both.missing + there > 0, ends, window).step(
        moves.share, alpha, MISSING**2
    )
    shares = tuple(
        float(one.missing.sum()) / max(1.0, float(one.missing.sum() + one.counts.sum())) for one in (old, new)
    )
    strangers: list[str] = []
    if not (old.parts.numeric or old.parts.opaque):
        strangers = sorted(set(came.drop_nulls().cast(pl.String).unique().to_list()) - old.parts.known)
    many = len(strangers) > moves.newcomers(old.fresh, window[1] - window[0], alpha)
    return Drift(
        old.name,
        None if step is None else step.distance,
        None if step is None else step.limit,
        (shares[0], shares[1]),
        lost is not None and lost.far,
        len(strangers) if many else 0,
        tuple(strangers[:NAMED]),
    )


def _days(moments: pl.Series) -> NDArray[Any]:
    return moments.cast(pl.Date).cast(pl.Int64).to_numpy()
