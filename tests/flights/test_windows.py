"""Counts, sums and last events over windows agree with a loop."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flights.windows import NO_KEY, Timeline, joint

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
    count, total = timeline.between(asked, after, until)
    last = timeline.last(asked, after, until)
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
