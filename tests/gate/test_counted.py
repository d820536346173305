"""counted: what falls into which part, and sums over days."""

import math

import numpy as np
import polars as pl
import pytest

from pushforward.gate.counted import MOST_PARTS, Parts, counted, parts_of

DAYS = np.array([10, 10, 11, 13])


def test_numbers_are_parted_in_tenths_and_what_is_none_is_missing():
    parts = parts_of(pl.Series("x", [float(n) for n in range(1, 101)]))
    assert len(parts) == 10
    codes = parts.codes(pl.Series("x", [0.0, 1.0, 100.0, 1e9, None, math.nan, math.inf]))
    assert codes.tolist() == [0, 0, 9, 9, -1, -1, -1]


def test_a_number_that_many_rows_share_is_a_part_of_its_own():
    parts = parts_of(pl.Series("rain", [0.0] * 80 + [float(n) for n in range(1, 21)]))
    dry, least, storm = parts.codes(pl.Series("rain", [0.0, 0.001, 20.0])).tolist()
    assert dry < least < storm
    assert len(parts_of(pl.Series("same", [3.0] * 9))) == 2
    assert len(parts_of(pl.Series("flag", [True, False, True]))) >= 2


def test_texts_are_parted_by_value_and_rare_ones_together():
    texts = [f"v{n:03}" for n in range(60) for _ in range(60 - n)]
    parts = parts_of(pl.Series("c", texts))
    assert (len(parts), len(parts.known)) == (MOST_PARTS + 1, 60)
    assert parts.codes(pl.Series("c", ["v000", "v059", "new", None])).tolist() == [0, MOST_PARTS, MOST_PARTS, -1]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a", "b", "zz"])])
def test_texts_kept_as_codes_are_texts(kind):
    texts = pl.Series("c", ["a", "b", "a", None])
    parts = parts_of(texts.cast(kind))
    assert parts == parts_of(texts)
    assert parts.codes(texts.cast(kind)).tolist() == [0, 1, 0, -1]
    later = pl.Series("c", ["zz"], kind)
    assert counted(later, DAYS[:1], parts, (10, 11), parts.known).fresh.tolist() == [1]


def test_what_names_rows_or_is_neither_is_only_there_or_missing():
    named = parts_of(pl.Series("id", [f"r{n}" for n in range(2000)]))
    assert named == parts_of(pl.Series("at", [DAYS.tolist()])) == Parts(opaque=True)
    one = counted(pl.Series("id", ["r1", None, "r2", None]), DAYS, named, (10, 14))
    assert (one.counts.tolist(), one.missing.tolist()) == ([[1], [1], [0], [0]], [1, 0, 0, 1])
    assert (one.fresh.tolist(), one.parts.known) == ([0, 0, 0, 0], frozenset())


def test_days_are_counted_and_a_day_without_rows_counts_nothing():
    one = counted(pl.Series("x", [1.0, 5.0, None, 6.0]), DAYS, Parts((4.0,)), (10, 14))
    assert one.counts.tolist() == [[1, 1], [0, 0], [0, 0], [0, 1]]
    assert (one.missing.tolist(), one.sums.tolist(), one.end) == ([0, 1, 0, 0], [6, 0, 0, 6], 14)
    wider = one.between(9, 12)
    assert (wider.first, wider.counts.tolist()) == (9, [[0, 0], [1, 1], [0, 0]])
    assert wider.between(20, 22).counts.tolist() == [[0, 0], [0, 0]]


def test_texts_are_new_on_the_day_that_first_has_them():
    old = counted(pl.Series("c", ["a", "b", "a", "c"]), DAYS, Parts(None, ("a", "b")), (10, 14))
    assert (old.fresh.tolist(), old.parts.known) == ([2, 0, 0, 1], {"a", "b", "c"})
    new = counted(pl.Series("c", ["a", "d", "d", None]), DAYS + 4, old.parts, (14, 18), old.parts.known)
    assert new.fresh.tolist() == [1, 0, 0, 0]
    both = old.plus(new)
    assert (both.first, both.fresh.tolist()) == (10, [2, 0, 0, 1, 1, 0, 0, 0])
    assert both.counts.sum(axis=0).tolist() == [3, 1, 3]
    assert both.parts.known == {"a", "b", "c", "d"}
