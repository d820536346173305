"""events: what is kept for the next version goes by the events' own time, within its bounds."""

import pickle
from datetime import UTC, datetime, timedelta

from pushforward.serving import events as module
from pushforward.serving.events import Events

NEW_YEAR = datetime(2013, 1, 1, tzinfo=UTC)


def _days(*numbers):
    return [NEW_YEAR + timedelta(days=number) for number in numbers]


def _kept(events, column="kind"):
    """What the next worker would be told, by the number of its frame."""
    return {number: pickle.loads(frame)[1][column] for number, frame in events.since(0)}


def test_the_oldest_events_go_by_age_and_numbers_stay(tmp_path):
    now = [0.0]
    events = Events(1, clock=lambda: now[0])
    events.add({"kind": ["a"]})
    now[0] = 86_399.0
    events.add({"kind": ["b"]})
    assert [number for number, _ in events.since(0)] == [0, 1]
    now[0] = 86_401.0
    assert events.add({"kind": ["c", "d"]}) == 3
    assert [number for number, _ in events.since(0)] == [1, 2]
    assert (events.rows, events.dropped) == (3, 0)


def test_a_past_that_is_played_in_a_moment_is_forgotten_as_it_was_then():
    events = Events(35)
    for day in range(365):
        events.add({"kind": [day], "known_at": _days(day)})
    assert [kind for (kind,) in _kept(events).values()] == [*range(364 - 35, 365)]
    assert (events.first, events.end, events.rows, events.dropped) == (329, 365, 36, 0)


def test_what_comes_late_goes_by_when_it_was_known_and_not_by_when_it_came():
    events = Events(10)
    events.add({"kind": ["new"], "known_at": _days(20)})
    events.add({"kind": ["late"], "known_at": _days(12)})
    assert events.add({"kind": ["too late"], "known_at": _days(9)}) == 3
    assert _kept(events) == {0: ["new"], 1: ["late"]}
    events.add({"kind": ["newer"], "known_at": _days(23)})
    assert _kept(events) == {0: ["new"], 3: ["newer"]}
    assert (events.rows, events.end) == (2, 4)


def test_a_table_in_any_order_is_kept_from_its_newest_back(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 10)
    events = Events(35)
    days = [day * 7 % 365 for day in range(365)]  # each day once
    events.add({"kind": days, "known_at": _days(*days)})
    kept = sorted(kind for kinds in _kept(events).values() for kind in kinds)
    assert kept == [*range(320, 365)]  # whole frames of ten: the one from 320 on ends at 329
    assert events.rows == 45


def test_nothing_is_known_in_the_future_and_what_tells_no_moment_is_known_now():
    now = NEW_YEAR.timestamp()
    events = Events(1, clock=lambda: now)
    events.add({"kind": ["told now"]})
    events.add({"kind": ["in a thousand years"], "known_at": [datetime(3013, 1, 1, tzinfo=UTC)]})
    events.add({"kind": ["nobody knows"], "known_at": [None]})
    events.add({"kind": ["without a zone"], "known_at": [NEW_YEAR.replace(tzinfo=None) - timedelta(hours=12)]})
    assert events.rows == 4
    now += 86_401
    events.add({"kind": ["a day after"]})
    assert _kept(events) == {4: ["a day after"]}


def test_the_oldest_go_before_their_time_where_there_is_no_room(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    events = Events(35)
    for day in (3, 1, 2, 4):
        events.add({"kind": [f"{day}" * 300], "known_at": _days(day)})
    assert [kinds[0][0] for kinds in _kept(events).values()] == ["3", "4"]
    assert (events.rows, events.dropped) == (2, 2)
    assert events._bytes <= 1_000


def test_what_is_taken_back_leaves_nothing_behind():
    events = Events(35)
    events.add({"kind": ["stays"], "known_at": _days(1)})
    for _ in range(5_000):
        end = events.add({"kind": ["bad"], "known_at": _days(1)})
        assert events.take_back(end - 1) == 1
    assert (_kept(events), events.rows, events.end) == ({0: ["stays"]}, 1, 5_001)
    assert len(events._ages) < 1_100
