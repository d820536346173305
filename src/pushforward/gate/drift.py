"""Drift: how the rows of the months that arrived differ from those before: shares, missing values, new values; pure."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward import percent

Floats = NDArray[np.float64]

BINS = 10
# A population stability index above .2 is the usual word for a shift that someone should look at.
SHIFTED = 0.2
MISSING = 0.01
NAMED = 3
# A column with more values than this names its rows rather than describes them.
MOST_VALUES = 1000


@dataclass(frozen=True)
class Drift:
    """One column that differs: its population stability index, its missing share before and after, its new values.

    The index is the sum over bins of (after - before) log(after / before), in tenths of the earlier rows for numbers
    and moments, by value for texts; None for a column that names its rows.
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


def _column(before: pl.Series, after: pl.Series) -> Drift:
    old, new = before.drop_nulls(), after.drop_nulls()
    index: float | None = None
    strangers: list[str] = []
    if before.dtype.is_numeric() or before.dtype == pl.Boolean:
        index = _index(*_tenths(old.cast(pl.Float64).to_numpy(), new.cast(pl.Float64).to_numpy()))
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
