"""drift: shifts of known size, missing and new values."""

import math

import polars as pl
import pytest

from pushforward.gate.drift import drift


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
