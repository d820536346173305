"""Cron expressions, against times that were worked out by hand, and against a walk minute by minute."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.actions.cron import FIELDS, parse
from pushforward.errors import PushforwardError

NOW = datetime(2026, 11, 23, 23, 50, 30, tzinfo=UTC)  # a Monday


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "latest", "following"),
    [
        ("* * * * *", "2026-11-23 23:50", "2026-11-23 23:51"),
        ("*/15 * * * *", "2026-11-23 23:45", "2026-11-24 00:00"),
        ("5/20 1 * * *", "2026-11-23 01:45", "2026-11-24 01:05"),
        ("30 5 * * MON-FRI", "2026-11-23 05:30", "2026-11-24 05:30"),
        ("17 4 * * 0", "2026-11-22 04:17", "2026-11-29 04:17"),
        ("0 0 1 jan *", "2026-01-01 00:00", "2027-01-01 00:00"),
        ("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00"),
        ("0,30 6-8 1,15 * *", "2026-11-15 08:30", "2026-12-01 06:00"),
        ("0 12 13 * FRI", "2026-11-20 12:00", "2026-11-27 12:00"),  # the 13th, and every Friday
        ("0 12 */13 * FRI", "2026-08-14 12:00", "2026-11-27 12:00"),  # 1, 14 or 27, if it is a Friday
    ],
)
def test_the_times_before_and_after(text, latest, following):
    assert parse(text).latest(NOW) == at(latest)
    cron, following = parse(text), at(following)
    assert cron.latest(following) == following
    assert cron.latest(following - timedelta(minutes=1)) == at(latest)


def test_a_day_that_never_comes():
    assert parse("0 0 31 2 *").latest(NOW) is None


def test_times_are_those_of_utc_wherever_the_clock_hangs():
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    assert parse("0 20 * * *").latest(there) == at("2026-11-23 20:00")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("* * * *", "4 fields, not 5"),
        ("", "0 fields, not 5"),
        ("@daily", "1 fields, not 5"),
        ("60 * * * *", "'60' is not a minute"),
        ("* 24 * * *", "'24' is not a hour"),
        ("* * 0 * *", "'0' is not a day of the month"),
        ("* * * 13 *", "'13' is not a month"),
        ("* * * * 7", "'7' is not a day of the week"),
        ("*/0 * * * *", r"'\*/0' is not a minute"),
        ("5-1 * * * *", "'5-1' is not a minute"),
        ("1,,2 * * * *", "'' is not a minute"),
        ("MON * * * *", "'MON' is not a minute"),
        ("² * * * *", "'²' is not a minute"),
        ("-1 * * * *", "'-1' is not a minute"),
        ("* * * L *", "'L' is not a month"),
    ],
)
def test_what_a_forge_would_refuse_is_refused_by_its_field(text, wrong):
    with pytest.raises(PushforwardError, match=wrong):
        parse(text)


def field(least, most):
    number = st.integers(least, most)
    span = st.tuples(number, number).map(lambda two: f"{min(two)}-{max(two)}")
    step = st.integers(1, most + 1)
    part = st.one_of(number.map(str), span, st.just("*"), st.tuples(span, step).map(lambda two: f"{two[0]}/{two[1]}"))
    return st.lists(part, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(*(field(least, most) for _, least, most, _ in FIELDS)).map(" ".join)


@given(EXPRESSIONS, st.integers(0, 3_000_000), st.floats(0, 1))
def test_nothing_lies_between_the_latest_and_now(text, minutes, part):
    cron = parse(text)
    now = NOW.replace(second=0) + timedelta(minutes=minutes)
    latest = cron.latest(now)
    if latest is None:
        assert cron.latest(now - timedelta(days=1000 * part)) is None
        return
    assert latest <= now
    assert cron.latest(latest) == latest
    assert cron.latest(latest + (now - latest) * part) == latest
    before = cron.latest(latest - timedelta(minutes=1))
    assert before is None or before < latest
