"""drift: shifts of known size, missing and new values, and a past that knows how far a column may go."""

import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pushforward.gate.drift import MOST_COLUMNS, drift, profiles


def dated(first, days=30, **columns):
    """Rows, one a day in turn, for so many days from the day `first` of the year on."""
    rows = len(next(iter(columns.values())))
    at = [date(2013, 1, 1) + timedelta(days=first + number % days) for number in range(rows)]
    return pl.DataFrame({"at": at, **columns}, schema_overrides={"at": pl.Date})


def moved(before, after, days=30):
    return drift(dated(0, days, **before), dated(days, days, **after), time="at")


def test_rows_that_are_alike_do_not_drift():
    rows = {"x": range(1200), "c": ["a", "b", "b", "b"] * 300, "b": [True, False, False, False] * 300}
    found = moved(rows, rows)
    assert [one.index for one in found] == [0.0, 0.0, 0.0]
    assert not any(one.notable for one in found)


def test_the_index_is_that_of_the_formula():
    (found,) = moved({"c": ["a"] * 50 + ["b"] * 50}, {"c": ["a"] * 80 + ["b"] * 20})
    assert found.index == pytest.approx(0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5))


def test_numbers_are_counted_in_tenths_of_the_earlier_rows():
    before, after = ([float(n % most) for n in range(100) for _ in range(30)] for most in (100, 10))
    (found,) = moved({"x": before}, {"x": after})
    # All of the later rows lie in the first tenth, which held .1; the other nine hold next to none.
    expected = 0.9 * math.log(10) + 9 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert found.index == pytest.approx(expected, rel=1e-6)
    assert found.notable


def test_new_and_missing_values_are_named():
    (found,) = moved({"c": ["a"] * 100}, {"c": ["a"] * 90 + ["z"] * 5 + [None] * 5})
    assert (found.new_values, found.named) == (1, ("z",))
    assert found.missing == (0.0, 0.05)
    assert found.notable
    assert (
        found.sentence()
        == "c: shifted (PSI 0.33, by its own past at most 0.02), missing 0.0 % → 5.0 %, 1 new value (z)"
    )


def test_texts_kept_as_codes_are_told_like_texts():
    before, after = pl.Series(["a"] * 60 + ["b"] * 60), pl.Series(["a"] * 90 + ["z"] * 30)
    plain, coded = (moved({"c": before.cast(kind)}, {"c": after.cast(kind)}) for kind in (pl.String, pl.Categorical))
    assert plain == coded
    assert plain[0].named == ("z",)


def test_a_column_that_names_its_rows_has_no_index_and_no_news():
    before, after = ({"id": [f"{one}{n}" for n in range(2000)]} for one in "rs")
    (found,) = moved(before, after)
    assert (found.index, found.new_values, found.notable) == (None, 0, False)
    (found,) = moved(before, {"id": [None] * 100 + after["id"]})
    assert found.sentence() == "id: missing 0.0 % → 4.8 %"


def test_skipped_columns_and_empty_tables_say_nothing():
    rows = dated(0, x=[1.0], y=[1])
    assert [one.column for one in drift(rows, dated(9, days=30, x=[1.0], y=[1]), time="at", skip=("y",))] == ["x"]
    assert drift(rows.clear(), rows, time="at") == drift(rows, rows.clear(), time="at") == ()
    assert drift(rows, rows, time="at") == ()  # no day lies before


def test_days_that_are_too_few_to_learn_from_accuse_nobody():
    (found,) = moved({"x": [float(n) for n in range(100)]}, {"x": [5.0] * 100}, days=20)
    assert (found.index, found.notable) == (None, False)


def months(levels, a_day=40, spread=1.0):
    """Months of 30 days, of which each has its level, and each day its own beside."""
    chance, days = np.random.default_rng(3), 30 * len(levels)
    day = np.repeat(chance.normal(0, spread, days) + np.repeat(levels, 30), a_day)
    at = [date(2013, 1, 1) + timedelta(days=number // a_day) for number in range(days * a_day)]
    return pl.DataFrame({"at": at, "x": day + chance.normal(0, 1, days * a_day)})


def split(rows, month):
    end = date(2013, 1, 1) + timedelta(days=30 * month)
    return rows.filter(pl.col("at") < end), rows.filter(pl.col("at").is_between(end, end + timedelta(days=29)))


def test_what_months_before_did_too_is_no_shift():
    rows = months([0, 3, 0, 3, 0, 3, 0])
    (found,) = drift(*split(rows, 6), time="at")
    assert found.index > 0.5  # folklore would have called that one, and each before it
    assert not found.notable
    (found,) = drift(*split(months([0, 0, 0, 0, 0, 0, 3]), 6), time="at")
    assert found.far


def test_days_of_one_month_are_not_told_from_each_other():
    chance, told = np.random.default_rng(4), 0
    rows = months([0] * 5, spread=2.0)
    for _ in range(20):
        rows = rows.with_columns(pl.col("x") + np.repeat(chance.normal(0, 2, 150), 40))
        (found,) = drift(*split(rows, 4), time="at")
        told += found.notable
    assert told <= 1


def by_month(**columns):
    """Rows of three months, 100 each, by what each column has in each month."""
    at = [date(2013, month, 1 + number % 28) for month in (1, 2, 3) for number in range(100)]
    return pl.DataFrame(
        {"at": at} | {name: [value for month in parts for value in month] for name, parts in columns.items()}
    )


def profiled(rows, added=("2013-03",)):
    is_new = pl.col("at").dt.strftime("%Y-%m").is_in(added)
    found = drift(rows.filter(~is_new), rows.filter(is_new), time="at")
    return profiles(rows, added, {"": found} | dict.fromkeys(added, found), time="at")


def test_a_profile_has_the_shares_of_its_bins_and_of_each_month_that_came():
    hundred = [float(n) for n in range(100)]
    (found,) = profiled(by_month(x=[hundred, hundred, [float(n % 10) for n in range(90)] + [None] * 10]))
    assert found.column == "x"
    assert [round(one.before, 9) for one in found.bins] == [0.1] * 10
    assert [one.after for one in found.bins] == [1.0] + [0.0] * 9
    assert (found.bins[0].label, found.bins[-1].label) == ("< 9.90", "≥ 89.10")
    expected = 0.9 * math.log(10) + 9 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert found.index == pytest.approx(expected, rel=1e-6)
    assert [(one.name, one.rows, one.missing) for one in found.months] == [
        ("2013-01", 100, 0.0),
        ("2013-02", 100, 0.0),
        ("2013-03", 100, 0.1),
    ]
    assert [one.mean for one in found.months] == [49.5, 49.5, 4.5]
    assert [one.index for one in found.months] == [None, None, pytest.approx(expected, rel=1e-6)]
    assert [one.far for one in found.months] == [False, False, True]
    assert found.far
    assert found.months[2].limit == found.limit < expected


def test_texts_are_counted_by_value_and_rare_ones_together():
    letters = [chr(97 + n % 20) for n in range(80)]
    (found,) = profiled(by_month(c=[["a"] * 20 + letters, ["a"] * 20 + letters, ["b"] * 100]))
    assert len(found.bins) == 10
    assert found.bins[-1].label == "other"
    shares = {one.label: (one.before, one.after) for one in found.bins}
    assert shares["a"] == (0.24, 0.0)
    assert shares["b"] == (0.04, 1.0)
    assert sum(one.before for one in found.bins) == pytest.approx(1)
    assert all(one.mean is None for one in found.months)


def test_what_has_no_end_no_value_or_names_its_rows_breaks_no_profile():
    wide = {f"c{number:02}": [[float(number)] * 100] * 3 for number in range(MOST_COLUMNS + 4)}
    rows = by_month(
        inf=[[math.inf] * 100, [math.nan] * 100, [1.0] * 100],
        gone=[[None] * 100] * 3,
        name=[[f"{month}{n}" for n in range(100)] for month in "abc"],
        **wide,
    ).with_columns(pl.col("gone").cast(pl.Float64))
    found = profiled(rows)
    assert len(found) == MOST_COLUMNS
    numbers = [one.index for one in found] + [bin_.after for one in found for bin_ in one.bins]
    assert all(math.isfinite(number) for number in numbers)
    assert profiled(rows, ()) == profiled(rows, ("2013-01", "2013-02", "2013-03")) == ()
