"""What should have arrived: hand-computed days."""

from datetime import UTC, datetime

import pytest

from pushforward.arrival import difference, periods
from pushforward.arrival.source import Listed
from pushforward.errors import USAGE, PushforwardError


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expect", "last", "grace", "now", "late"),
    [
        ("monthly", "2013-04", 7, "2013-06-07", []),
        ("monthly", "2013-04", 7, "2013-06-08", ["2013-05"]),
        ("monthly", "2013-11", 0, "2014-02-01", ["2013-12", "2014-01"]),
        ("daily", "2020-02-28", 0, "2020-03-01", ["2020-02-29"]),
        ("daily", "2019-12-31", 2, "2020-01-03", []),
        ("weekly", "2020-W52", 0, "2021-01-11", ["2020-W53", "2021-W01"]),
        ("weekly", "2013-W22", 1, "2013-06-10", []),
        ("weekly", "2013-W22", 1, "2013-06-11", ["2013-W23"]),
    ],
)
def test_a_period_is_late_when_it_is_over_and_the_grace_is(expect, last, grace, now, late):
    assert periods.overdue(expect, last, grace, at(now)) == late


def test_what_the_source_lists_is_not_late_and_what_is_before_it_is():
    assert periods.overdue("daily", "2013-05-29", 0, at("2013-06-02"), ["2013-05-31"]) == ["2013-05-30", "2013-06-01"]


@pytest.mark.parametrize(
    ("expect", "taken", "listed", "gap"),
    [
        ("daily", "2013-05-29", "2013-05-31", "2013-05-30"),
        ("daily", "2013-05-30", "2013-05-31", ""),
        ("weekly", "2020-W52", "2021-W01", "2020-W53"),
        ("weekly", "2020-W53", "2021-W01", ""),
        ("monthly", "2013-11", "2014-01", "2013-12"),
        (None, "2013-05-29", "2013-05-31", ""),
    ],
)
def test_a_gap_is_the_period_that_comes_next(expect, taken, listed, gap):
    found = difference.of([Listed(taken, "sha256:0"), Listed(listed, "sha256:1")], [taken], {}, expect)
    assert ([one.batch for one in found.new], found.gap) == ([listed], gap)


@pytest.mark.parametrize(
    ("expect", "taken", "source", "passed"),
    [
        ("daily", ("2013-05-29", "2013-06-01"), ("2013-05-28", "2013-05-31", "2013-05-30", "2013-06-02"), "30 31"),
        ("daily", ("2013-05-29", "2013-06-01"), ("2013-05-29", "2013-06-01"), ""),
        ("daily", ("2013-05-29", "notes", "2013-05-30"), ("2013-05-29x", "notes2"), ""),
        ("weekly", ("2020-W52", "2021-W01"), ("2020-W53",), "53"),
        ("daily", (), ("2013-05-29",), ""),
        (None, ("a", "c"), ("a", "b", "c"), ""),
    ],
)
def test_what_was_passed_over_lies_between_what_is_taken(expect, taken, source, passed):
    found = difference.of([Listed(name, "sha256:0") for name in source], list(taken), {}, expect)
    assert " ".join(name[-2:] for name in found.passed) == passed


@pytest.mark.parametrize(
    ("expect", "name", "now", "ahead"),
    [
        ("daily", "2020-03-01", "2020-03-01", False),
        ("daily", "2020-03-01", "2020-02-29", True),
        ("weekly", "2020-W53", "2020-12-28", False),
        ("weekly", "2020-W53", "2020-12-27", True),
        ("monthly", "2020-03", "2020-03-01", False),
        ("monthly", "2020-03", "2020-02-29", True),
    ],
)
def test_a_period_is_ahead_until_its_first_day(expect, name, now, ahead):
    assert periods.ahead(expect, name, at(now)) is ahead


def test_what_has_not_come_for_years_is_bounded():
    assert len(periods.overdue("daily", "1990-01-01", 0, at("2026-01-01"))) == periods.MOST


@pytest.mark.parametrize(
    ("expect", "name"),
    [
        ("monthly", "2013-13"),
        ("daily", "2013-02-30"),
        ("weekly", "2013-W53"),
        ("weekly", "2013-05"),
        ("daily", "b-7"),
        ("daily", "9999-12-31"),
    ],
)
def test_a_name_that_is_no_such_period_is_refused(expect, name):
    with pytest.raises(PushforwardError) as refused:
        periods.check(expect, name)
    assert f"arrive.expect is {expect}, and the batch '{name}' is no " in refused.value.message
    assert refused.value.exit_code == USAGE
