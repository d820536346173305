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
    """A column in one month; `mean` is of numbers alone. `index` is of a month that arrived, against the days before.

    `limit` is what its own past allows of that; None where that is too short, or a version before did not ask.
    """

    name: str
    rows: int
    missing: float
    mean: float | None = None
    index: float | None = None
    limit: float | None = None

    @property
    def far(self) -> bool:
        """Whether the month is beyond what the column's own past allows."""
        return self.index is not None and self.limit is not None and self.index > self.limit


@dataclass(frozen=True)
class Profile:
    """One column: its population stability index and what its past allows of it, its bins, and its months."""

    column: str
    index: float
    bins: tuple[Bin, ...] = ()
    months: tuple[Month, ...] = ()
    limit: float | None = None

    @property
    def far(self) -> bool:
        """Whether it shifted beyond what its own past allows."""
        return self.limit is not None and self.index > self.limit
