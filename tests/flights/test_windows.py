"""Counts, sums and last events over windows agree with a loop."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flights.windows import NO_KEY, Questions, Timeline, Vocabulary, joint

key = st.integers(NO_KEY, 3)
second = st.integers(0, 30)
event = st.tuples(key, second, st.integers(-5, 5))
question = st.tuples(key, second, second)


def _columns(rows, width):
    table = np.array(rows, dtype=np.int64).reshape(-1, width)
    return [table[:, column].copy() for column in range(width)]


@given(st.lists(event, max_size=30), st.lists(question, max_size=10))
def test_windows_agree_with_a_loop(events, questions):
    keys, seconds, values = _columns(events, 3)
    asked, after, until = _columns([(k, min(a, b), max(a, b)) for k, a, b in questions], 3)
    timeline = Timeline.of(keys, seconds, values)
    answers = timeline.asked(Questions(asked, until))
    (count, total), last = answers.since(after), answers.last(after)
    for i, (k, a, b) in enumerate(zip(asked, after, until, strict=True)):
        inside = [j for j, (ek, s, _) in enumerate(events) if ek == k != NO_KEY and a < s <= b]
        assert count[i] == len(inside)
        assert total[i] == sum(events[j][2] for j in inside)
        assert last[i] == max(inside, key=lambda j: (events[j][1], j), default=-1)


@given(st.lists(event, min_size=1, max_size=30), st.lists(event, max_size=30), question)
def test_earlier_history_changes_no_sum(events, earlier, asked):
    keys, seconds, values = _columns(events, 3)
    old_keys, old_seconds, old_values = _columns(earlier, 3)
    window = _columns([(asked[0], 100 + min(asked[1:]), 100 + max(asked[1:]))], 3)
    short = Timeline.of(keys, seconds + 100, values).between(*window)
    whole = Timeline.of(
        np.concatenate([old_keys, keys]),
        np.concatenate([old_seconds, seconds + 100]),
        np.concatenate([old_values, values]),
    ).between(*window)
    np.testing.assert_array_equal(short, whole)


def test_times_that_no_clock_shows_do_not_spill_into_another_key():
    timeline = Timeline.of(np.array([0, 1]), np.array([2**40, 5]))
    count, _ = timeline.between(np.array([0, 1]), np.array([0, 0]), np.array([10, 10]))
    assert count.tolist() == [0, 1]


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 6)), min_size=1))
def test_joint_codes_are_equal_exactly_where_all_parts_are(pairs):
    first, second_ = _columns(pairs, 2)
    codes = joint([first, second_], [5, 7])
    for i, pair in enumerate(pairs):
        assert (codes[i] == NO_KEY) == (NO_KEY in pair)
        for j, other in enumerate(pairs):
            if NO_KEY not in pair + other:
                assert (codes[i] == codes[j]) == (pair == other)


@given(st.lists(st.integers(0, 40), max_size=30), st.lists(st.integers(0, 40), max_size=30))
def test_what_is_in_order_of_time_is_put_into_order_as_what_is_not(seconds, other):
    asked, mine = np.array(other, dtype=np.int64) + 100, np.array(seconds, dtype=np.int64) + 100
    keys, ordered = np.arange(len(mine)) % 3 - 1, np.argsort(mine, kind="stable")
    questions = Questions(np.ones_like(asked), asked)
    found = [
        Timeline.of(keys[order], mine[order]).asked(questions).since(asked - 9)[0].tolist()
        for order in (np.arange(len(mine)), ordered)
    ]
    assert found[0] == found[1] == [int(((keys == 1) & (mine > t - 9) & (mine <= t)).sum()) for t in asked]


def test_more_keys_than_the_fast_order_has_room_for_are_ordered_too():
    keys = np.array([2**17, 3, 2**17, NO_KEY])
    count, _ = Timeline.of(keys, np.array([1, 1, 2, 3])).between(keys, np.zeros(4, np.int64), np.full(4, 9))
    assert count.tolist() == [2, 1, 2, 0]


@pytest.mark.parametrize("dtype", [pl.String, pl.Int32, pl.Int8])
def test_what_is_told_has_the_code_of_the_row_with_its_value_or_none(dtype):
    rows, told = pl.Series([7, None, 3, 7]).cast(dtype), pl.Series([3, 5, None, 7, 0]).cast(dtype)
    vocabulary = Vocabulary(rows)
    mine, theirs = vocabulary.codes(rows).tolist(), vocabulary.codes(told).tolist()
    assert mine[0] == mine[3] == theirs[3] != mine[2] == theirs[0]
    assert [mine[1], theirs[1], theirs[2], theirs[4]] == [NO_KEY] * 4
    assert max(mine) < vocabulary.size
    assert Vocabulary(rows.clear()).codes(told).tolist() == [NO_KEY] * 5
