"""Check one month against the contract and split it by what is known when: `python -m flights.validate 2013-05`."""

from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from flights.cells import Breach, breach, breaches_of, refuse, typed
from flights.contract import FLIGHTS, LONGEST_BLOCK, PLAUSIBLE, WEATHER, flight_rules, weather_rules
from flights.errors import run_stage
from flights.months import days_of, month_argument
from flights.params import Section, read_section
from flights.schema import ORIGINS, read_table, write_table
from flights.timeline import events_of, labels_of, rows_of, with_schedule


class Validate(Section):
    """`validate`: what counts as late, when a flight must be answered, and how whole a month must be."""

    late_after_minutes: Annotated[int, Field(ge=1, le=120)]
    decide_minutes_before: Annotated[int, Field(ge=0, le=720)]
    min_flights_a_day: Annotated[int, Field(ge=1)]
    min_weather_share: Annotated[float, Field(ge=0, le=1)]
    max_implausible_weather_share: Annotated[float, Field(ge=0, le=1)]


def checked_flights(delivered: pl.DataFrame, month: str, settings: Validate) -> pl.DataFrame:
    """The month's flights, typed, with their schedule; raises `StageError` with every rule that is broken."""
    file = delivered["source_file"][0]
    flights, breaches = typed(delivered, FLIGHTS)
    refuse(month, file, breaches)
    refuse(month, file, breaches_of(flights, FLIGHTS, flight_rules(month)))
    flights = with_schedule(flights, settings.decide_minutes_before)
    refuse(month, file, _whole_month(flights, month, settings))
    return flights


def _whole_month(flights: pl.DataFrame, month: str, settings: Validate) -> list[Breach]:
    """Rules about the month as a whole, and the one about block times, which need the destination's zone."""
    breaches = []
    per_day = dict(flights.group_by("day").len().iter_rows())
    thin = [f"{day:%Y-%m-%d}" for day in days_of(month) if per_day.get(day.day, 0) < settings.min_flights_a_day]
    if thin:
        days = f"{len(thin)} days, first {thin[0]}" if len(thin) > 1 else thin[0]
        breaches.append(Breach("day", f"fewer than {settings.min_flights_a_day} flights on {days}", []))
    absent = [origin for origin in ORIGINS if origin not in flights["origin"]]
    if absent:
        breaches.append(Breach("origin", f"no flight from {', '.join(absent)}", []))
    late = labels_of(flights, settings.late_after_minutes)["late"]
    if late.n_unique() < 2:
        breaches.append(Breach("arr_delay", f"every flight is {'late' if late[0] else 'in time'}", []))
    block = (flights["sched_arr"] - flights["sched_dep"]).dt.total_minutes()
    impossible = (block < 15) | (block > LONGEST_BLOCK)
    if impossible.any():
        what = f"the flight would take under 15 or over {LONGEST_BLOCK} minutes"
        breaches.append(breach("sched_arr_time", what, flights["source_row"], impossible))
    return breaches


def checked_weather(delivered: pl.DataFrame, month: str, settings: Validate) -> tuple[pl.DataFrame, int]:
    """The month's readings, typed, and how many implausible ones were taken out; raises `StageError`.

    A gauge now and then reports 1,048 mph. Such a reading is no reading, so it becomes missing, is counted and told;
    when more than the tolerated share is implausible the delivery is wrong (units?) and is refused.
    """
    file = delivered["source_file"][0]
    weather, breaches = typed(delivered, WEATHER)
    refuse(month, file, breaches)
    refuse(month, file, breaches_of(weather, WEATHER, weather_rules(month)))
    breaches, removed = [], 0
    for name, (low, high) in PLAUSIBLE.items():
        wrong = ~weather[name].is_between(low, high).fill_null(value=True)
        if wrong.sum() > settings.max_implausible_weather_share * weather.height:
            first = weather[name].filter(wrong)[0]
            what = f"{first} is outside {low:g} to {high:g} (another unit?)"
            breaches.append(breach(name, what, weather["source_row"], wrong))
        weather = weather.with_columns(weather[name].set(wrong, None))
        removed += int(wrong.sum())
    # No air is wetter than saturated. Which of the two is wrong in a single reading cannot be told.
    wrong = (weather["dewp"] > weather["temp"]).fill_null(value=False)
    if wrong.sum() > settings.max_implausible_weather_share * weather.height:
        breaches.append(breach("dewp", "dewp is above temp (swapped?)", weather["source_row"], wrong))
    weather = weather.with_columns(weather[name].set(wrong, None) for name in ("temp", "dewp"))
    removed += int(wrong.sum())
    hours = 24 * len(days_of(month))
    per_origin = dict(weather.group_by("origin").len().iter_rows())
    for origin in ORIGINS:
        found = per_origin.get(origin, 0)
        if found < settings.min_weather_share * hours:
            breaches.append(Breach("origin", f"{origin} has {found} hourly readings of {hours}", []))
    refuse(month, file, breaches)
    return weather, removed


def main(arguments: list[str]) -> None:
    """Write `data/valid/{rows,events,labels}/<month>.parquet`."""
    month = month_argument(arguments, "validate")
    settings = read_section("validate", Validate)
    raw, valid = Path("data/raw"), Path("data/valid")
    flights = checked_flights(_delivered(raw / f"flights-{month}.parquet"), month, settings)
    weather, removed = checked_weather(_delivered(raw / f"weather-{month}.parquet"), month, settings)
    tables = {
        "rows": rows_of(flights),
        "events": events_of(flights, weather, settings.late_after_minutes),
        "labels": labels_of(flights, settings.late_after_minutes),
    }
    for name, table in tables.items():
        write_table(table, valid / name / f"{month}.parquet")
    late = float(tables["labels"]["late"].to_numpy().mean())
    note = f"; {removed} implausible weather readings taken out" if removed else ""
    print(f"{month}: {flights.height:,} flights, {late:.1%} late, {tables['events'].height:,} events{note}", flush=True)


def _delivered(path: Path) -> pl.DataFrame:
    read_table(path, {"source_file": pl.String(), "source_row": pl.Int64()})
    return pl.read_parquet(path, glob=False)


if __name__ == "__main__":
    run_stage(main)
