"""Drift: how the rows of the months that arrived differ from those before: shares, missing values, new values; pure."""

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward import percent
from pushforward.gate.profile import Bin, Month, Profile
from pushforward.text import figure

Floats = NDArray[np.float64]

BINS = 10
# A population stability index above .2 is the usual word for a shift that someone should look at.
SHIFTED = 0.2
MISSING = 0.01
NAMED = 3
MOST_COLUMNS, MOST_BINS, MOST_MONTHS = 12, 10, 24  # of profiles
OTHER = "other"
# A column with more values than this names its rows rather than describes them.
MOST_VALUES = 1000


@dataclass(frozen=True)
class Drift:
    """One column that differs: its population stability index, its missing share before and after, its new values.

    The index is the sum over bins of (after - before) log(after / before), in tenths of the earlier rows for numbers,
    by value for texts; None for a column that names its rows. It is the symmetric divergence of Kullback and Leibler
    ("On Information and Sufficiency", 1951), as scorecards use it (Siddiqi, "Credit Risk Scorecards", 2006).
    """

    column: str
    index: float | None
    missing_before: float
    missing_after: float
    new_values: int
    named: tuple[str, ...] = ()

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
        if self.index is not None and self.index > SHIFTED:
            parts.append(f"shifted (PSI {self.index:.2f})")
        if abs(self.missing_after - self.missing_before) > MISSING:
            parts.append(f"missing {percent.share(self.missing_before)} → {percent.share(self.missing_after)}")
        if self.new_values:
            more = ", …" if self.new_values > len(self.named) else ""
            plural = "s" if self.new_values > 1 else ""
            parts.append(f"{self.new_values} new value{plural} ({', '.join(self.named)}{more})")
        return parts


def drift(before: pl.DataFrame, after: pl.DataFrame, *, skip: tuple[str, ...] = ()) -> tuple[Drift, ...]:
    """Every column of both tables but `skip`, the most shifted first; nothing where either table has no row."""
    if not before.height or not after.height:
        return ()
    found = [
        _column(before[name], after[name]) for name in before.columns if name in after.columns and name not in skip
    ]
    return tuple(sorted(found, key=lambda one: (-(one.index or 0.0), one.column)))


def profiles(
    rows: pl.DataFrame, months: pl.Series, added: Collection[str], *, skip: tuple[str, ...] = ()
) -> tuple[Profile, ...]:
    """The columns that have shifted most since months were `added`; `months` says of each row which one it is of."""
    is_new = months.is_in(list(added))
    before, after = rows.filter(~is_new), rows.filter(is_new)
    known = [one.column for one in drift(before, after, skip=skip) if one.index is not None]
    names = sorted(months.unique().to_list())[-MOST_MONTHS:]
    parts = {name: rows.filter(months == name) for name in names}
    found = [_profile(column, before, after, parts, added) for column in known]
    return tuple(sorted(found, key=lambda one: (-one.index, one.column))[:MOST_COLUMNS])


def _profile(
    name: str, before: pl.DataFrame, after: pl.DataFrame, parts: dict[str, pl.DataFrame], added: Collection[str]
) -> Profile:
    cut = _cut(before[name].drop_nulls(), after[name].drop_nulls())
    old, new = (cut.shares(table[name]) for table in (before, after))
    told = []
    for month, part in parts.items():
        column = part[name]
        numbers = _finite(column) if cut.edges is not None else np.zeros(0)
        mean = float(numbers.mean()) if len(numbers) else None
        index = _index(old, cut.shares(column)) if month in added else None
        told.append(Month(month, len(column), column.null_count() / max(1, len(column)), mean, index))
    bins = tuple(Bin(*one) for one in zip(cut.labels, old.tolist(), new.tolist(), strict=True))
    return Profile(name, _index(old, new), bins, tuple(told))


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
            codes = np.searchsorted(self.edges, _finite(there), side="right")
        else:
            place = {value: number for number, value in enumerate(self.values)}
            codes = np.array([place.get(value, len(place)) for value in there.to_list()], dtype=np.int64)
        return np.bincount(codes, minlength=len(self.labels)) / max(1, len(codes))


def _finite(column: pl.Series) -> Floats:
    """The numbers of a column that are some: neither missing nor without an end."""
    numbers = column.drop_nulls().cast(pl.Float64)
    return numbers.filter(numbers.is_finite()).to_numpy()


def _cut(old: pl.Series, new: pl.Series) -> _Cut:
    """Tenths of the earlier numbers, or the most frequent texts of both."""
    if old.dtype == pl.String:
        counts = pl.concat([old, new]).value_counts(sort=True, name="rows")
        frequent = tuple(sorted(counts[old.name].head(MOST_BINS - 1).to_list()))
        return _Cut((*frequent, OTHER), None, frequent)
    numbers = _finite(old)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])) if len(numbers) else np.zeros(0)
    names = [figure(float(edge), 2) for edge in edges]
    if not names:
        return _Cut(("all",), edges)
    inner = [f"{low} … {high}" for low, high in itertools.pairwise(names)]
    return _Cut((f"< {names[0]}", *inner, f"≥ {names[-1]}"), edges)


def _column(before: pl.Series, after: pl.Series) -> Drift:
    old, new = before.drop_nulls(), after.drop_nulls()
    index: float | None = None
    strangers: list[str] = []
    if before.dtype.is_numeric() or before.dtype == pl.Boolean:
        index = _index(*_tenths(_finite(old), _finite(new)))
    elif before.dtype == pl.String:
        values = old.unique().to_list()
        strangers = sorted(set(new.unique().to_list()) - set(values))
        if len(values) <= MOST_VALUES:
            index = _index(*_by_value(old, new, [*values, *strangers]))
        else:
            strangers = []
    return Drift(
        before.name,
        index,
        before.null_count() / len(before),
        after.null_count() / len(after),
        len(strangers),
        tuple(strangers[:NAMED]),
    )


def _tenths(old: Floats, new: Floats) -> tuple[Floats, Floats]:
    if not len(old) or not len(new):
        return np.zeros(1), np.zeros(1)
    edges = np.unique(np.quantile(old, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) for values in (old, new)
    ]
    return shares[0] / len(old), shares[1] / len(new)


def _by_value(old: pl.Series, new: pl.Series, values: list[str]) -> tuple[Floats, Floats]:
    place = {value: number for number, value in enumerate(values)}
    counts = [np.bincount([place[value] for value in column.to_list()], minlength=len(values)) for column in (old, new)]
    return counts[0] / max(1, len(old)), counts[1] / max(1, len(new))


def _index(before: Floats, after: Floats) -> float:
    # An empty bin would make it infinite; a hundredth of a percent stands for "hardly any".
    floor = 1e-4
    return float(
        sum((b - a) * math.log(b / a) for a, b in zip(np.maximum(before, floor), np.maximum(after, floor), strict=True))
    )
