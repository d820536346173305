"""The data contract: what a month of flights and weather must look like."""

from calendar import monthrange
from functools import lru_cache
from pathlib import Path

import polars as pl

from flights.cells import Column
from flights.schema import LOCAL_ZONE, ORIGINS

AIRPORTS = Path(__file__).with_name("airports.csv")
LONGEST_BLOCK = 18 * 60  # minutes; the windows of the history features count on it


FLIGHTS = {
    "year": Column("int", 2000, 2099),
    "month": Column("int", 1, 12),
    "day": Column("int", 1, 31),
    "dep_time": Column("int", 0, 2400, nullable=True),
    "sched_dep_time": Column("int", 0, 2359),
    "dep_delay": Column("int", -120, 2880, nullable=True),
    "arr_time": Column("int", 0, 2400, nullable=True),
    "sched_arr_time": Column("int", 0, 2400),
    "arr_delay": Column("int", -240, 2880, nullable=True),
    "carrier": Column("text", pattern="^[A-Z0-9]{2}$"),
    "flight": Column("int", 1, 9999),
    "tailnum": Column("text", pattern="^[A-Z0-9]{3,6}$", nullable=True),
    "origin": Column("text", domain=ORIGINS),
    "dest": Column("text", pattern="^[A-Z]{3}$"),
    "air_time": Column("int", 5, 1200, nullable=True),
    "distance": Column("int", 10, 10_000),
    "hour": Column("int", 0, 23),
    "minute": Column("int", 0, 59),
    "time_hour": Column("instant"),
}

WEATHER = {
    "origin": Column("text", domain=ORIGINS),
    "year": Column("int", 2000, 2099),
    "month": Column("int", 1, 12),
    "day": Column("int", 1, 31),
    "hour": Column("int", 0, 23),
    "temp": Column("float", nullable=True),
    "dewp": Column("float", nullable=True),
    "humid": Column("float", nullable=True),
    "wind_dir": Column("float", nullable=True),
    "wind_speed": Column("float", nullable=True),
    "wind_gust": Column("float", nullable=True),
    "precip": Column("float", nullable=True),
    "pressure": Column("float", nullable=True),
    "visib": Column("float", nullable=True),
    "time_hour": Column("instant"),
}

# What an instrument at these airports can read: °F, °F, %, degrees, mph, mph, inches an hour, hPa, miles.
PLAUSIBLE = {
    "temp": (-20.0, 120.0),
    "dewp": (-40.0, 90.0),
    "humid": (0.0, 100.0),
    "wind_dir": (0.0, 360.0),
    "wind_speed": (0.0, 100.0),
    "wind_gust": (0.0, 150.0),
    "precip": (0.0, 5.0),
    "pressure": (920.0, 1070.0),
    "visib": (0.0, 10.0),
}


@lru_cache(maxsize=1)
def airport_zones() -> dict[str, str]:
    """Time zone by airport code."""
    table = pl.read_csv(AIRPORTS, infer_schema=False)
    return dict(zip(table["airport"], table["zone"], strict=True))


def minutes_of_day(column: str) -> pl.Expr:
    """Minutes since midnight of a clock column that reads 1745 for 17:45."""
    return pl.col(column) // 100 * 60 + pl.col(column) % 100


def flight_rules(month: str) -> dict[str, tuple[str, pl.Expr]]:
    """The rules between columns of the flights table: text -> (column to name, expression that holds)."""
    key = ["year", "month", "day", "carrier", "flight", "origin"]
    clocks = {
        f"{name} is no time of day": (name, pl.col(name) % 100 < 60)
        for name in ("dep_time", "arr_time", "sched_dep_time", "sched_arr_time")
    }
    departed = pl.col("dep_time").is_not_null()
    arrived = pl.col("arr_delay").is_not_null()
    return {
        "the flight is there twice (same day, carrier, number, origin)": ("flight", ~pl.struct(key).is_duplicated()),
        f"the row is not of {month}": ("month", _of_month(month)),
        **clocks,
        "sched_dep_time is not hour and minute": (
            "sched_dep_time",
            pl.col("sched_dep_time") == pl.col("hour") * 100 + pl.col("minute"),
        ),
        "time_hour is not the scheduled local hour in UTC": ("time_hour", _same_hour()),
        "dest is not in src/flights/airports.csv (airport,zone)": ("dest", pl.col("dest").is_in(list(airport_zones()))),
        "dest is the origin": ("dest", pl.col("dest") != pl.col("origin")),
        "distance is not that of the other flights of its route (dest or distance wrong?)": (
            "distance",
            pl.col("distance") == pl.col("distance").mode().min().over("origin", "dest"),
        ),
        "dep_delay without dep_time, or the reverse": ("dep_delay", departed == pl.col("dep_delay").is_not_null()),
        "arr_delay of a flight without dep_time and arr_time": (
            "arr_delay",
            ~arrived | (departed & pl.col("arr_time").is_not_null()),
        ),
        "dep_delay does not lead from sched_dep_time to dep_time": (
            "dep_delay",
            (minutes_of_day("sched_dep_time") + pl.col("dep_delay") - minutes_of_day("dep_time")) % 1440 == 0,
        ),
        "arr_delay does not lead from sched_arr_time to arr_time": (
            "arr_delay",
            (minutes_of_day("sched_arr_time") + pl.col("arr_delay") - minutes_of_day("arr_time")) % 1440 == 0,
        ),
        "a flight that left has no tailnum": ("tailnum", ~departed | pl.col("tailnum").is_not_null()),
    }


def weather_rules(month: str) -> dict[str, tuple[str, pl.Expr]]:
    """The rules between columns of the weather table."""
    return {
        "the reading is there twice (same origin and time_hour)": (
            "time_hour",
            ~pl.struct("origin", "time_hour").is_duplicated(),
        ),
        f"the row is not of {month}": ("month", _of_month(month)),
        "time_hour is not the local hour in UTC": ("time_hour", _same_hour()),
    }


def _of_month(month: str) -> pl.Expr:
    year, number = int(month[:4]), int(month[5:])
    return (pl.col("year") == year) & (pl.col("month") == number) & (pl.col("day") <= monthrange(year, number)[1])


def _same_hour() -> pl.Expr:
    local = pl.col("time_hour").dt.convert_time_zone(LOCAL_ZONE).dt
    named = [
        ("year", local.year()),
        ("month", local.month()),
        ("day", local.day()),
        ("hour", local.hour()),
        (None, local.minute()),
    ]
    return pl.all_horizontal(part == (pl.col(name) if name else 0) for name, part in named)
