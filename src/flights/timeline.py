"""Validated flights and weather -> rows (what is asked), events (what the world told, and when), labels."""

import polars as pl

from flights.contract import airport_zones, minutes_of_day
from flights.schema import EVENTS, INSTANT, LABELS, LOCAL_ZONE, ROWS, shaped

# A flight is in the timetable long before; a day is enough for every feature and safe for late changes.
TIMETABLE_LEAD = pl.duration(hours=24)
# An hourly reading stamped 14:00 may describe the hour until 15:00: it counts as known when that hour is over.
WEATHER_DELAY = pl.duration(hours=1)


def with_schedule(flights: pl.DataFrame, decide_minutes_before: int) -> pl.DataFrame:
    """Typed flights plus everything known at schedule time, sorted so that row order tells nothing.

    Deliveries list a day's flights by actual departure, cancelled ones last: the order itself is a leak.
    """
    zones = pl.col("dest").replace_strict(airport_zones(), return_dtype=pl.String)
    frame = flights.with_columns(
        sched_dep=pl.col("time_hour") + pl.duration(minutes=pl.col("minute")),
        zone=zones,
    )
    frame = pl.concat(_with_arrival(part) for part in frame.partition_by("zone", maintain_order=True))
    return frame.with_columns(
        decided_at=pl.col("sched_dep") - pl.duration(minutes=decide_minutes_before),
        dep_local=pl.col("sched_dep").dt.convert_time_zone(LOCAL_ZONE).dt.replace_time_zone(None),
        date=pl.date("year", "month", "day"),
        flight_id=pl.concat_str(
            pl.date("year", "month", "day").dt.strftime("%Y-%m-%d"),
            "origin",
            "carrier",
            pl.col("flight").cast(pl.String),
            separator="-",
        ),
    ).sort("sched_dep", "carrier", "flight", "origin")


def _with_arrival(part: pl.DataFrame) -> pl.DataFrame:
    """`sched_arr` and `arr_local` of flights to one time zone: the first such clock time there after departure."""
    zone = part["zone"][0]
    there = pl.col("sched_dep").dt.convert_time_zone(zone).dt.replace_time_zone(None)
    clock = there.dt.hour().cast(pl.Int32) * 60 + there.dt.minute().cast(pl.Int32)
    ahead = (minutes_of_day("sched_arr_time") - clock) % 1440
    part = part.with_columns(arr_local=there + pl.duration(minutes=ahead))
    arrival = (
        pl.col("arr_local")
        .dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
        .dt.convert_time_zone("UTC")
    )
    # No clock shows 02:30 in the night when summer time begins; what the timetable means there is an hour on.
    return part.with_columns(
        sched_arr=pl.coalesce(arrival, pl.col("sched_dep") + pl.duration(minutes=ahead)).cast(INSTANT)
    )


def rows_of(flights: pl.DataFrame) -> pl.DataFrame:
    """The question table, one row a flight, in timetable order."""
    return shaped(flights, ROWS)


def labels_of(flights: pl.DataFrame, late_after_minutes: int) -> pl.DataFrame:
    """1: arrived more than `late_after_minutes` late, or did not arrive (cancelled, diverted); 0: arrived in time."""
    hour = pl.col("hour")
    distance = pl.col("distance")
    labels = flights.select(
        "flight_id",
        late=(pl.col("arr_delay").is_null() | (pl.col("arr_delay") > late_after_minutes)).cast(pl.Int8),
        date=pl.col("date"),
        origin=pl.col("origin"),
        carrier=pl.col("carrier"),
        hours=pl.when(hour < 9)
        .then(pl.lit("00-08"))
        .when(hour < 13)
        .then(pl.lit("09-12"))
        .when(hour < 17)
        .then(pl.lit("13-16"))
        .when(hour < 20)
        .then(pl.lit("17-19"))
        .otherwise(pl.lit("20-23")),
        distance=pl.when(distance < 500)
        .then(pl.lit("0-499"))
        .when(distance < 1000)
        .then(pl.lit("500-999"))
        .when(distance < 1500)
        .then(pl.lit("1000-1499"))
        .otherwise(pl.lit("1500+")),
    )
    return shaped(labels, LABELS)


def events_of(flights: pl.DataFrame, weather: pl.DataFrame, late_after_minutes: int) -> pl.DataFrame:
    """Every fact with the moment from which it is known, ordered by that moment.

    A cancellation counts as known at the scheduled departure, the conservative choice. A flight that is not there
    `late_after_minutes` after its time is known to be late then; by how much is known when it comes.
    """
    limit = pl.duration(minutes=late_after_minutes)
    departs = pl.col("sched_dep") + pl.duration(minutes=pl.col("dep_delay"))
    arrives = pl.col("sched_arr") + pl.duration(minutes=pl.col("arr_delay"))
    departed = flights.filter(pl.col("dep_time").is_not_null())
    arrived = departed.filter(pl.col("arr_delay").is_not_null())
    none = pl.lit(None)
    late_departure = pl.col("dep_delay") > late_after_minutes
    late_arrival = pl.col("arr_delay") > late_after_minutes
    parts = [
        _told(flights, "scheduled", pl.col("sched_dep") - TIMETABLE_LEAD, none, none),
        _told(flights.filter(pl.col("dep_time").is_null()), "cancelled", pl.col("sched_dep"), none, none),
        _told(departed, "departed", departs, pl.col("dep_delay"), late_departure),
        _told(departed.filter(late_departure), "departure_overdue", pl.col("sched_dep") + limit, none, none),
        _told(arrived, "arrived", arrives, pl.col("arr_delay"), late_arrival),
        _told(
            departed.filter(late_arrival.fill_null(value=True)),
            "arrival_overdue",
            pl.col("sched_arr") + limit,
            none,
            none,
        ),
        weather.with_columns(known_at=pl.col("time_hour") + WEATHER_DELAY, kind=pl.lit("weather")).drop("hour"),
    ]
    events = pl.concat(parts, how="diagonal")
    missing = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENTS.items() if name not in events.columns]
    return shaped(events.with_columns(missing), EVENTS).sort("known_at", "flight_id", "kind", "origin")


def _told(flights: pl.DataFrame, kind: str, known_at: pl.Expr, delay: pl.Expr, late: pl.Expr) -> pl.DataFrame:
    # Which aircraft flies is told by the departure, not by the timetable: tailnum is missing for nearly every
    # cancelled flight.
    tailnum = pl.col("tailnum") if kind in ("departed", "arrived") else pl.lit(None, dtype=pl.String)
    return flights.select(
        "flight_id",
        "origin",
        "dest",
        "carrier",
        "flight",
        "sched_dep",
        pl.col("hour").cast(pl.Int8),
        tailnum=tailnum,
        known_at=known_at,
        kind=pl.lit(kind),
        delay=delay.cast(pl.Int32),
        late=late.cast(pl.Int8),
    )
