"""Cron expressions, against times that were worked out by hand, and against a walk minute by minute."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.actions.cron import FIELDS, parse, zone
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


@pytest.mark.parametrize(
    ("text", "now", "latest"),
    [
        ("30 6 * * 1-5 TZ=America/New_York", "2026-01-15 12:00", "2026-01-15 11:30"),  # winter: five hours behind
        ("30 6 * * 1-5 TZ=America/New_York", "2026-07-15 12:00", "2026-07-15 10:30"),  # summer: four
        ("30 2 * * * TZ=America/New_York", "2026-03-08 08:00", "2026-03-08 07:00"),  # skipped: 03:00, as GitHub has it
        ("30 2 * * * TZ=America/New_York", "2026-03-08 06:59", "2026-03-07 07:30"),
        ("30 1 * * * TZ=America/New_York", "2026-11-01 07:00", "2026-11-01 05:30"),  # there twice: the first
        ("30 * * * * TZ=America/New_York", "2026-11-01 06:45", "2026-11-01 06:30"),  # every hour: both
        ("30 * * * * TZ=America/New_York", "2026-03-08 07:10", "2026-03-08 06:30"),  # and none that there is not
        ("15 */2 * * * TZ=Asia/Kathmandu", "2026-01-05 00:00", "2026-01-04 22:30"),  # 5 hours and 45 minutes ahead
        ("0 12 30 12 * TZ=Pacific/Apia", "2012-01-05 00:00", "2011-12-30 10:00"),  # a day that was left out
        ("0 0 1 1 * TZ=Pacific/Kiritimati", "2026-01-01 00:00", "2025-12-31 10:00"),
        (
            "0 23 * * * TZ=America/Los_Angeles",
            "2026-06-02 05:00",
            "2026-06-01 06:00",
        ),  # there it is still the day before
        ("0 9 * * MON TZ=Europe/Zurich", "2026-11-23 09:00", "2026-11-23 08:00"),
    ],
)
def test_a_time_zone_moves_the_times(text, now, latest):
    assert parse(text).latest(at(now)) == at(latest)


@given(
    st.sampled_from(["America/New_York", "Europe/Zurich", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 23),
    st.integers(0, 59),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - made aware below
)
def test_a_daily_time_comes_once_a_day_by_the_clock_of_its_zone(name, hour, minute, now):
    now = now.replace(tzinfo=UTC)
    cron = parse(f"{minute} {hour} * * * TZ={name}")
    latest = cron.latest(now)
    assert latest is not None
    assert latest <= now < latest + timedelta(hours=26)
    local = latest.astimezone(zone(name))
    skipped = local.replace(tzinfo=None, fold=0) != local.replace(hour=hour, minute=minute, tzinfo=None, fold=0)
    assert not skipped or local - latest.astimezone(zone(name)) == timedelta(0)
    if skipped:  # the first minute after a gap
        assert (latest - timedelta(minutes=1)).astimezone(zone(name)).utcoffset() != local.utcoffset()
    before = cron.latest(latest - timedelta(minutes=1))
    assert before is not None
    assert timedelta(hours=22) < latest - before < timedelta(hours=26)


@pytest.mark.parametrize("name", ["Nowhere/Else", "../etc/passwd", "America", "", "+02:00", "Europe/Zürich"])
def test_a_time_zone_that_there_is_not_is_refused(name):
    with pytest.raises(PushforwardError, match="is not an IANA time zone"):
        zone(name)
