"""drift: shifts of known size, missing and new values."""

import math

import polars as pl
import pytest

from pushforward.gate.drift import MOST_COLUMNS, drift, profiles


def test_rows_that_are_alike_do_not_drift():
    rows = pl.DataFrame({"x": range(1000), "c": ["a", "b"] * 500, "b": [True, False] * 500})
    assert [one.index for one in drift(rows, rows)] == [0.0, 0.0, 0.0]
    assert not any(one.notable for one in drift(rows, rows))


def test_the_index_is_that_of_the_formula():
    before = pl.DataFrame({"c": ["a"] * 50 + ["b"] * 50})
    after = pl.DataFrame({"c": ["a"] * 80 + ["b"] * 20})
    (found,) = drift(before, after)
    assert found.index == pytest.approx(0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5))
    assert found.notable


def test_numbers_are_counted_in_tenths_of_the_earlier_rows():
    before = pl.DataFrame({"x": [float(n) for n in range(100)]})
    after = pl.DataFrame({"x": [float(n % 10) for n in range(100)]})
    (found,) = drift(before, after)
    # All of the later rows lie in the first tenth, which held .1; the other nine hold next to none.
    expected = 0.9 * math.log(10) + 9 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert found.index == pytest.approx(expected, rel=1e-6)


def test_new_and_missing_values_are_named():
    before = pl.DataFrame({"c": ["a"] * 100})
    after = pl.DataFrame({"c": ["a"] * 90 + ["z"] * 5 + [None] * 5})
    (found,) = drift(before, after)
    assert (found.new_values, found.named) == (1, ("z",))
    assert (found.missing_before, found.missing_after) == (0.0, 0.05)
    assert found.notable
    assert found.sentence() == "c: shifted (PSI 0.33), missing 0.0 % → 5.0 %, 1 new value (z)"


def test_a_column_that_names_its_rows_has_no_index_and_no_news():
    before = pl.DataFrame({"id": [f"r{n}" for n in range(2000)]})
    after = pl.DataFrame({"id": [f"s{n}" for n in range(2000)]})
    (found,) = drift(before, after)
    assert (found.index, found.new_values) == (None, 0)


def test_skipped_columns_and_empty_tables_say_nothing():
    rows = pl.DataFrame({"x": [1.0], "at": [1]})
    assert [one.column for one in drift(rows, rows, skip=("at",))] == ["x"]
    assert drift(rows.clear(), rows) == ()


def by_month(**columns):
    """Rows of three months, 100 each, by what each column has in each month."""
    rows = pl.DataFrame({name: [value for month in parts for value in month] for name, parts in columns.items()})
    months = pl.Series([month for month in ("2013-01", "2013-02", "2013-03") for _ in range(100)])
    return rows, months


def test_a_profile_has_the_shares_of_its_bins_and_of_each_month_that_came():
    hundred = [float(n) for n in range(100)]
    rows, months = by_month(x=[hundred, hundred, [float(n % 10) for n in range(90)] + [None] * 10])
    (found,) = profiles(rows, months, ["2013-03"])
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


def test_texts_are_counted_by_value_and_rare_ones_together():
    letters = [chr(97 + n % 20) for n in range(80)]
    rows, months = by_month(c=[["a"] * 20 + letters, ["a"] * 20 + letters, ["b"] * 100])
    (found,) = profiles(rows, months, ["2013-03"])
    assert len(found.bins) == 10
    assert found.bins[-1].label == "other"
    shares = {one.label: (one.before, one.after) for one in found.bins}
    assert shares["a"] == (0.24, 0.0)
    assert shares["b"] == (0.04, 1.0)
    assert sum(one.before for one in found.bins) == pytest.approx(1)
    assert all(one.mean is None for one in found.months)


def test_what_has_no_end_no_value_or_names_its_rows_breaks_no_profile():
    wide = {f"c{number:02}": [[float(number)] * 100] * 3 for number in range(MOST_COLUMNS + 4)}
    rows, months = by_month(
        inf=[[math.inf] * 100, [math.nan] * 100, [1.0] * 100],
        gone=[[None] * 100] * 3,
        name=[[f"{month}{n}" for n in range(100)] for month in "abc"],
        **wide,
    )
    rows = rows.with_columns(pl.col("gone").cast(pl.Float64))
    found = profiles(rows, months, ["2013-03"])
    assert len(found) == MOST_COLUMNS
    numbers = [one.index for one in found] + [bin_.after for one in found for bin_ in one.bins]
    assert all(math.isfinite(number) for number in numbers)
    assert profiles(rows, months, []) == profiles(rows, months, ["2013-01", "2013-02", "2013-03"]) == ()
