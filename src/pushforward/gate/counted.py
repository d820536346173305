"""Counted: a column as counts by day, of parts that its reference fixes; pure. `drift` and monitoring count so.

The counts of days are all that drift needs: any run of days, and what it is held against, is a sum of them. So rows
need not be read again, and days, not rows, stay what is compared.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Texts = frozenset[str]
Span = tuple[int, int]

TENTHS = 10
MOST_PARTS = 50  # of texts: the most frequent ones by name, the others together
# A column with more values than this names its rows rather than describes them.
MOST_VALUES = 1000
OTHER = "other"
TEXTS = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Parts:
    """How a column is parted: numbers at `edges`, texts by `values` and what is left. `known` are all its texts.

    One that is `opaque` names its rows, or holds neither numbers nor texts: only whether it is missing can be compared.
    """

    edges: tuple[float, ...] | None = None
    values: tuple[str, ...] = ()
    known: Texts = frozenset()
    opaque: bool = False

    @property
    def numeric(self) -> bool:
        """Whether the column is one of numbers."""
        return self.edges is not None

    def __len__(self) -> int:
        return 1 + len(self.values if self.edges is None else self.edges)

    def codes(self, column: pl.Series) -> Codes:
        """The part of each value; -1 for what is missing, or no finite number."""
        if self.edges is not None:
            numbers = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
            told = np.searchsorted(np.array(self.edges), numbers, side="right")
            return np.where(np.isfinite(numbers), told, -1)
        if self.opaque:
            return np.where(column.is_null().to_numpy(), -1, 0)
        codes = {"value": self.values, "code": range(len(self.values))}
        place = pl.DataFrame(codes, {"value": pl.String, "code": pl.Int64})
        asked = pl.DataFrame({"value": column.cast(pl.String)})
        found = asked.join(place, on="value", how="left", maintain_order="left")
        other = pl.when(pl.col("value").is_null()).then(-1).otherwise(len(self.values))
        return found.select(pl.coalesce("code", other)).to_series().to_numpy().astype(np.int64)


def parts_of(column: pl.Series) -> Parts:
    """Tenths of numbers, values of texts; opaque for what is neither, or names its rows.

    A number that many rows share (no rain, a clear sky) fills several tenths. It is a part of its own then: else
    "none" and "some" would be one.
    """
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        numbers = finite(column)
        if not len(numbers):
            return Parts(())
        tenths = np.quantile(numbers, np.linspace(0, 1, TENTHS + 1)[1:-1])
        edges, times = np.unique(tenths, return_counts=True)
        atoms = edges[(times > 1) & (edges < numbers.max())]
        return Parts(tuple(np.unique([*edges, *np.nextafter(atoms, np.inf)]).tolist()))
    if column.dtype not in TEXTS:
        return Parts(opaque=True)
    column = column.cast(pl.String)
    counts = column.drop_nulls().value_counts(name="rows").sort("rows", column.name, descending=[True, False])
    if counts.height > MOST_VALUES:
        return Parts(opaque=True)
    values = counts[column.name].to_list()
    return Parts(None, tuple(sorted(values[:MOST_PARTS])), frozenset(values))


def finite(column: pl.Series) -> Floats:
    """The numbers of a column that are some: neither missing nor without an end."""
    numbers = column.drop_nulls().cast(pl.Float64)
    return numbers.filter(numbers.is_finite()).to_numpy()


@dataclass(frozen=True)
class Counted:
    """A column by day, from the day `first` (days since 1970) on: rows by part, missing ones, sums of numbers.

    `fresh` counts the texts that a day has and no day before had. A day without rows counts nothing.
    """

    name: str
    parts: Parts
    first: int
    counts: Floats
    missing: Floats
    sums: Floats
    fresh: Floats

    @property
    def end(self) -> int:
        """The day after the last."""
        return self.first + len(self.counts)

    def between(self, first: int, end: int) -> "Counted":
        """These days alone, empty where there are none."""

        def cut(values: Floats) -> Floats:
            before, after = (min(end - first, max(0, days)) for days in (self.first - first, end - self.end))
            kept = values[max(0, first - self.first) : max(0, end - self.first)]
            return np.concatenate([np.zeros((before, *values.shape[1:])), kept, np.zeros((after, *values.shape[1:]))])

        days = (cut(one) for one in (self.counts, self.missing, self.sums, self.fresh))
        return Counted(self.name, self.parts, first, *days)

    def plus(self, other: "Counted") -> "Counted":
        """Both together, by the parts of this one."""
        first, end = min(self.first, other.first), max(self.end, other.end)
        mine, theirs = self.between(first, end), other.between(first, end)
        known = self.parts.known | other.parts.known
        return Counted(
            self.name,
            replace(self.parts, known=known),
            first,
            mine.counts + theirs.counts,
            mine.missing + theirs.missing,
            mine.sums + theirs.sums,
            mine.fresh + theirs.fresh,
        )


def counted(column: pl.Series, days: Codes, parts: Parts, span: Span, before: Texts = frozenset()) -> Counted:
    """A column by `parts`, whose rows are of the `days` of a span (first, end), after rows with the texts `before`."""
    first, end = span
    codes, place, width = parts.codes(column), days - first, end - first
    there = codes >= 0
    counts = np.bincount(place[there] * len(parts) + codes[there], minlength=width * len(parts))
    sums, fresh, known = np.zeros(width), np.zeros(width), before
    if parts.numeric:
        numbers = column.cast(pl.Float64).fill_null(0.0).to_numpy()
        sums += np.bincount(place[there], weights=numbers[there], minlength=width)
    elif not parts.opaque:
        rows = pl.DataFrame({"value": column.cast(pl.String), "place": place}).drop_nulls()
        seen = rows.group_by("value").agg(pl.col("place").min()).filter(~pl.col("value").is_in(sorted(before)))
        fresh += np.bincount(seen["place"].to_numpy(), minlength=width)
        known = before | frozenset(seen["value"].to_list())
    return Counted(
        column.name,
        replace(parts, known=known),
        first,
        counts.reshape(width, len(parts)).astype(np.float64),
        np.bincount(place[~there], minlength=width).astype(np.float64),
        sums,
        fresh,
    )
