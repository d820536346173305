"""The profile: how one column is spread, before and after months arrived, and month by month. `drift` makes it.

Plain data without the arithmetic, for whoever keeps or shows it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bin:
    """A range of values, or one value, and its share of the rows that are not missing."""

    label: str
    before: float
    after: float


@dataclass(frozen=True)
class Month:
    """A column in one month; `mean` is of numbers alone. `index` is against the months before those that arrived."""

    name: str
    rows: int
    missing: float
    mean: float | None = None
    index: float | None = None


@dataclass(frozen=True)
class Profile:
    """One column: its population stability index, its bins, and its months."""

    column: str
    index: float
    bins: tuple[Bin, ...] = ()
    months: tuple[Month, ...] = ()
