"""Spells of rows: those of one month, with the events that can tell of them, so that no more of either is in memory.

Features of a row reach back a day into the month before its own, and ahead only to what the timetable lists. So a spell
has the same features alone as among all rows, to the bit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from flights.errors import StageError
from flights.schema import EVENTS, read_columns, read_table
from flights.sizes import check_memory
from flights.spans import DAY, NEAR

AT_ONCE = 200_000  # rows that are asked together, of whatever months: so many take less time than in parts
MARGIN = timedelta(seconds=2 * DAY)  # a local month begins hours beside that of UTC
AHEAD = timedelta(seconds=NEAR)
NEEDED = ("known_at", "kind")
PLACE, MONTH = "_place", "_month"


@dataclass(frozen=True)
class Spell:
    """Rows, their places among all that are asked, and which events they can hear of: `told`, None for all."""

    rows: pl.DataFrame
    places: pl.Series
    told: pl.Expr | None = None

    def events(self, path: Path) -> pl.DataFrame:
        """What of a file of events these rows can hear of; refused as by `schema.read_table`."""
        if self.told is None:
            return read_table(path, EVENTS, required=NEEDED)
        for name in NEEDED:
            if lost := read_columns(path, EVENTS, pl.col(name).is_null(), [name]).height:
                raise StageError(f"{path}: column {name} has missing values in {lost:,} rows")
        found = read_columns(path, EVENTS, self.told)
        check_memory(int(found.estimated_size()), str(path))
        return found


def spells(rows: pl.DataFrame) -> list[Spell]:
    """The rows month by month, or all of them as one where they are few; each in its order."""
    if rows.height <= AT_ONCE:
        return [Spell(rows, pl.Series(range(rows.height)))]
    month = pl.col("dep_local").dt.truncate("1mo").alias(MONTH)
    parts = rows.with_row_index(PLACE).with_columns(month).partition_by(MONTH, maintain_order=True)
    return [_spell(part.drop(PLACE, MONTH), part[PLACE], part[MONTH][0]) for part in parts]


def _spell(rows: pl.DataFrame, places: pl.Series, month: datetime) -> Spell:
    before = (month - timedelta(days=1)).replace(day=1)
    first = pl.lit(before - MARGIN).dt.replace_time_zone("UTC")
    last = rows.select(pl.max_horizontal(pl.col("decided_at").max(), pl.col("sched_dep").max() + AHEAD)).item()
    # What was known long before may still be listed for a time to come.
    recent = (pl.col("known_at") >= first) | (pl.col("sched_dep") >= first).fill_null(value=False)
    return Spell(rows, places, recent & (pl.col("known_at") <= last))


def together(parts: list[Spell], found: list[pl.DataFrame]) -> pl.DataFrame:
    """What was made of each spell, in the order of all rows."""
    if len(parts) == 1:
        return found[0]
    whole = pl.concat([table.with_columns(part.places.alias(PLACE)) for part, table in zip(parts, found, strict=True)])
    return whole.sort(PLACE).drop(PLACE)
