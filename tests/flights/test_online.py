"""Features that are read as events come equal those of training to the bit, whatever came when."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flights.catalog import FEATURES
from flights.features import features
from flights.online import MANY, Online
from flights.schema import EVENTS, INSTANT, LOCAL, ROWS, WEATHER, shaped

pytestmark = pytest.mark.whole

HOUR = timedelta(hours=1)


def columns(frame):
    return {name: frame[name].to_list() for name in frame.columns}


def differing(found, rows, wanted):
    """Names of the features that are not equal to the bit; categories are the rows' own."""
    got = {
        feature.name: rows[feature.name]
        if feature.category
        else pl.Series(found[:, place].astype(np.float32)).fill_nan(None)
        for place, feature in enumerate(FEATURES)
    }
    return [name for name, values in got.items() if not values.equals(wanted[name], check_dtypes=True)]


@pytest.fixture(scope="module")
def asked(months):
    """Rows of February and March, and their features as training has them: from the month and the one before."""
    rows = pl.concat([months["2013-02"].rows, months["2013-03"].rows])
    trained = [
        features(months[month].rows, pl.concat([months[before].events, months[month].events]))
        for before, month in (("2013-01", "2013-02"), ("2013-02", "2013-03"))
    ]
    assert rows.height > 10_000
    return rows, pl.concat(trained)


@pytest.fixture(scope="module")
def told(months):
    return pl.concat([month.events for month in months.values()])


@pytest.fixture(scope="module")
def filed(told):
    online = Online()
    online.observe(columns(told))
    return online


@pytest.mark.parametrize("size", [1, 7, 1000, 20_000])
@pytest.mark.ml_test_score("Data 7", "Monitoring 3")
def test_ten_thousand_rows_have_the_features_of_training_alone_and_in_batches(asked, filed, size):
    rows, trained = asked
    found = [filed.features(columns(rows[start : start + size])) for start in range(0, rows.height, size)]
    assert differing(np.concatenate(found), rows, trained) == []


def test_the_order_in_which_events_came_does_not_matter(asked, told):
    rows, trained = asked
    online, shuffled = Online(), told.sample(fraction=1.0, shuffle=True, seed=1)
    for start in range(0, told.height, 5000):
        online.observe(columns(shuffled[start : start + 5000]))
    assert differing(online.features(columns(rows)), rows, trained) == []


def test_events_that_come_late_twice_and_between_questions_do_not_matter(asked, told):
    """Each event comes up to three hours late, some come again; a row is asked three hours after its moment.

    45 days are remembered, of three months; and so a row of February is refused in the end.
    """
    rows, trained = asked
    online, random = Online(days=45), np.random.default_rng(2)
    late = (random.random(told.height) * 3 * 3600).astype(int)
    coming = told.with_columns(at=pl.col("known_at") + pl.duration(seconds=pl.Series(late)))
    again = coming.sample(fraction=0.1, seed=3).with_columns(at=pl.col("at") + pl.duration(hours=20))
    coming = pl.concat([coming, again]).sample(fraction=1.0, shuffle=True, seed=4)
    asking = rows.with_row_index("place").with_columns(at=pl.col("decided_at") + pl.duration(hours=3))
    steps = {step[0]: part for step, part in coming.group_by(pl.col("at").dt.truncate("1h"))}
    questions = {step[0]: part for step, part in asking.group_by(pl.col("at").dt.truncate("1h"))}
    found = {}
    for step in sorted(steps.keys() | questions.keys()):
        # Questions of an hour come after the events of the hour: later than their moment, never before it.
        if step in steps:
            online.observe(columns(steps[step].select(list(EVENTS))))
        if step in questions:
            part = questions[step].sample(fraction=1.0, shuffle=True, seed=5)
            found |= dict(zip(part["place"], online.features(columns(part.select(list(ROWS)))), strict=True))
    assert differing(np.array([found[place] for place in range(rows.height)]), rows, trained) == []
    with pytest.raises(ValueError, match="decided_at: events of so long ago are forgotten"):
        online.features(columns(rows.head(1)))


MIDNIGHT = datetime(2013, 3, 1, 5, tzinfo=UTC)  # when March begins in New York
# Few values, so that much falls together: the same moment, key or flight; and the ends of what features look back on.
MOMENTS = st.builds(
    lambda days, quarters, microseconds: (
        MIDNIGHT + timedelta(days=days, minutes=15 * quarters, microseconds=microseconds)
    ),
    st.sampled_from([0, 0, 0, 0, -1, 1, -7, -27, -28, -29]),
    st.integers(-6, 6),
    st.sampled_from([0, 0, 0, 0, 1, 999_999]),
)
SMALL = {
    "origin": ["JFK", "JFK", "EWR", None],
    "dest": ["LAX", "LAX", "ORD", None],
    "carrier": ["UA", "UA", "B6", None],
    "flight": [1, 2],
    "tailnum": ["N1", "N2", None],
}
KINDS = (
    "scheduled",
    "scheduled",
    "scheduled",
    "cancelled",
    "departed",
    "departure_overdue",
    "arrived",
    "arrival_overdue",
    "weather",
    "gossip",
)


def _listed_ahead(event):
    """Most lines of the timetable are known a day ahead."""
    if event["kind"] == "scheduled" and event["sched_dep"] and event["delay"] != 0:
        event["known_at"] = event["sched_dep"] - 24 * HOUR
    return event


EVENT = st.fixed_dictionaries(
    {name: st.sampled_from(values) for name, values in SMALL.items()}
    | {
        "known_at": MOMENTS,
        "kind": st.sampled_from(KINDS),
        "flight_id": st.sampled_from(["a", "b", "c", None]),
        "sched_dep": st.one_of(st.none(), MOMENTS),
        "hour": st.sampled_from([0, 4, 12, None]),
        "delay": st.sampled_from([-99, -2, -1, 0, 20, 999, None]),
        "late": st.sampled_from([0, 0, 1, None]),
    }
    | {name: st.sampled_from([None, -1.5, 0.1]) for name in WEATHER}
).map(_listed_ahead)


@st.composite
def _rows(draw):
    departs = draw(MOMENTS)
    local = (departs - 5 * HOUR).replace(tzinfo=None)
    return {name: draw(st.sampled_from(values)) for name, values in SMALL.items()} | {
        "flight_id": "a",
        "decided_at": departs - draw(st.sampled_from([HOUR * 0, 2 * HOUR, 12 * HOUR, timedelta(microseconds=1)])),
        "sched_dep": departs,
        "sched_arr": departs + draw(st.sampled_from([timedelta(seconds=90), timedelta(seconds=-90), HOUR])),
        "dep_local": local,
        "arr_local": local + HOUR,
        "distance": 700,
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENT, max_size=60), st.lists(_rows(), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_whatever_happens_features_equal_those_of_tables(events, rows, random):
    known, table_of_rows = (
        shaped(pl.DataFrame(lines, schema_overrides=schema, orient="row"), schema)
        if lines
        else pl.DataFrame(schema=schema)
        for lines, schema in ((events, EVENTS), (rows, ROWS))
    )
    assert (known.schema["known_at"], table_of_rows.schema["dep_local"]) == (INSTANT, LOCAL)
    online, order = Online(), [*range(len(events))] * 2
    random.shuffle(order)
    for place in order:
        online.observe(columns(known[place : place + 1]))
    trained = features(table_of_rows, known.unique(maintain_order=True))
    assert differing(online.features(columns(table_of_rows)), table_of_rows, trained) == []
    many = pl.concat([table_of_rows] * MANY)
    assert differing(online.features(columns(many)), many, pl.concat([trained] * MANY)) == []


def row(**changed):
    """A flight that departs at noon in New York, asked two hours before."""
    noon = datetime(2013, 3, 5, 17, tzinfo=UTC)
    local = datetime(2013, 3, 5, 12)  # noqa: DTZ001  # local times have no zone
    return {
        "flight_id": ["x"],
        "decided_at": [noon - 2 * HOUR],
        "sched_dep": [noon],
        "sched_arr": [noon + 3 * HOUR],
        "dep_local": [local],
        "arr_local": [local + 2 * HOUR],
        "origin": ["JFK"],
        "dest": ["ORD"],
        "carrier": ["UA"],
        "flight": [1],
        "tailnum": ["N1"],
        "distance": [740],
    } | {name: [value] for name, value in changed.items()}


def event(kind, known_at, **changed):
    told = dict.fromkeys(EVENTS) | {"kind": kind, "known_at": known_at, "origin": "JFK", "carrier": "UA"} | changed
    return {name: [value] for name, value in told.items()}


def read(online, **changed):
    return dict(zip([feature.name for feature in FEATURES], online.features(row(**changed))[0], strict=True))


TEN = datetime(2013, 3, 5, 15, tzinfo=UTC)


def test_a_flight_waits_from_its_time_until_it_is_gone_and_no_longer_than_a_day():
    online = Online()
    listed = {"sched_dep": TEN - HOUR, "flight_id": "a"}
    online.observe(event("scheduled", TEN - 25 * HOUR, **listed))
    assert read(online)["queue_origin"] == 1
    later = {"decided_at": TEN + 23 * HOUR, "sched_dep": TEN + 25 * HOUR, "dep_local": datetime(2013, 3, 6, 12)}  # noqa: DTZ001
    assert read(online, **later)["queue_origin"] == 0
    online.observe(event("departed", TEN - HOUR / 2, **listed))
    assert read(online)["queue_origin"] == 0
    assert read(online, decided_at=TEN - HOUR * 0.75)["queue_origin"] == 1
    online.observe(event("departed", TEN - 2 * HOUR, **listed))  # a correction: it left before its time
    assert read(online, decided_at=TEN - HOUR * 0.75)["queue_origin"] == 0


def test_a_line_of_the_timetable_counts_where_it_was_known_thirteen_hours_ahead():
    online = Online()
    for flight_id, hours in (("a", 24), ("b", 13), ("c", 12.99)):
        online.observe(event("scheduled", TEN + 2 * HOUR - hours * HOUR, sched_dep=TEN + 2 * HOUR, flight_id=flight_id))
    assert read(online)["departures_origin"] == 2


def test_the_same_event_again_counts_once_and_a_correction_beside_it():
    online = Online()
    for _ in range(3):
        online.observe(event("departed", TEN - HOUR / 2, flight_id="a", delay=-1, late=0))
    assert read(online)["dep_delay_origin_1h"] == pytest.approx((30 - 1) / 4)
    # In Python -1 and -2 have one hash.
    online.observe(event("departed", TEN - HOUR / 2, flight_id="a", delay=-2, late=0))
    assert read(online)["dep_delay_origin_1h"] == pytest.approx((30 - 3) / 5)


def test_nothing_known_after_the_moment_is_used():
    online = Online()
    before = read(online)
    online.observe(event("weather", TEN + timedelta(microseconds=1), temp=20.0))
    online.observe(event("departed", TEN + timedelta(seconds=1), flight_id="a", delay=90, late=0))
    assert repr(read(online)) == repr(before)
    online.observe(event("weather", TEN, temp=21.0))
    assert read(online)["temp"] == 21.0


def test_one_stray_event_of_the_future_displaces_one_day():
    online = Online(days=3)
    for day in (3, 4, 5):
        online.observe(event("weather", datetime(2013, 3, day, 14, tzinfo=UTC), temp=float(day)))
    online.observe(event("weather", datetime(2099, 1, 1, tzinfo=UTC), temp=99.0))
    with pytest.raises(ValueError, match="forgotten"):
        read(online)
    assert len(online.features(row(**_of_april()))) == 1
    online.observe(event("weather", datetime(2013, 3, 3, 14, tzinfo=UTC), temp=3.0))  # too late: left out
    assert len(online.features(row(**_of_april()))) == 1


def _of_april():
    noon = datetime(2013, 4, 5, 16, tzinfo=UTC)
    local = datetime(2013, 4, 5, 12)  # noqa: DTZ001
    return {"decided_at": noon - 2 * HOUR, "sched_dep": noon, "dep_local": local, "arr_local": local + HOUR}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"decided_at": None}, "decided_at: missing in row 0"),
        ({"distance": None}, "distance: missing in row 0"),
        ({"decided_at": TEN - 11 * HOUR}, "decided_at: more than 12 hours before sched_dep"),
        ({"dep_local": datetime(2013, 4, 5, 12)}, "dep_local: not the time of sched_dep in any zone"),  # noqa: DTZ001
        ({"decided_at": datetime(1, 1, 1, tzinfo=UTC)}, "decided_at: the year 1 is out of reach"),
    ],
)
def test_a_row_that_cannot_be_answered_is_refused_by_its_column(changed, why):
    with pytest.raises(ValueError, match=why):
        Online().features(row(**changed))


def test_columns_that_are_missing_or_of_another_length_are_refused():
    rows = row()
    with pytest.raises(ValueError, match="dest: 2 values, where the others have 1"):
        Online().features(rows | {"dest": ["ORD", "LAX"]})
    del rows["dest"]
    with pytest.raises(ValueError, match="dest: missing"):
        Online().features(rows)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"known_at": None}, "known_at: missing"),
        ({"kind": None}, "kind: missing"),
        ({"sched_dep": datetime(9999, 1, 1, tzinfo=UTC)}, "sched_dep: the year 9999 is out of reach"),
    ],
)
def test_where_one_event_cannot_be_filed_none_is(changed, why):
    online, good = Online(), event("weather", TEN, temp=20.0)
    bad = event("weather", TEN, temp=21.0) | {name: [value] for name, value in changed.items()}
    with pytest.raises(ValueError, match=why):
        online.observe({name: good[name] + bad[name] for name in EVENTS})
    assert np.isnan(read(online)["temp"])
