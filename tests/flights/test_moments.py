"""Moments in any order of arrival agree with a loop over all of them, also when old ones are forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from flights.moments import Latest, Moments, Tally

SECONDS = st.integers(0, 40)


@given(st.lists(SECONDS), st.lists(st.tuples(SECONDS, SECONDS)), SECONDS)
def test_moments_count_all_there_ever_were(added, moved, forgotten):
    moments, truth = Moments(), sorted(added)
    for second in added:
        moments.add(second)
    for old, new in moved:
        if old in truth:
            moments.remove(old)
            moments.add(new)
            truth[truth.index(old)] = new
    assert moments.forget(forgotten) is all(second <= forgotten for second in truth)
    for asked in range(forgotten, 42):
        assert moments.until(asked) == sum(second <= asked for second in truth)


@given(st.lists(st.tuples(SECONDS, st.integers(-9, 9), st.booleans())), SECONDS)
def test_a_tally_totals_what_came_in_any_order(added, forgotten):
    tally = Tally()
    for second, value, settled in added:
        tally.add(second, value)
        if settled and tally.late:
            tally.settle()
    assert tally.forget(forgotten) is all(second <= forgotten for second, _, _ in added)
    assert list(tally.times) == sorted(second for second, _, _ in added if second > forgotten)
    for place, second in enumerate(tally.times):
        until = sum(value for known, value, _ in added if forgotten < known <= second)
        last = place + 1 == len(tally.times) or tally.times[place + 1] > second
        assert not last or tally.totals[place + 1] - tally.totals[0] == until


@given(st.lists(SECONDS, unique=True), SECONDS, SECONDS, SECONDS)
def test_the_latest_is_the_last_within_the_span(told, forgotten, span, asked):
    latest = Latest()
    for second in told:
        latest.add((second,), second, (float(second),))
    assert latest.forget(forgotten) is all(second <= forgotten for second in told)
    within = [second for second in told if max(asked - span, forgotten) < second <= asked]
    assert latest.last(asked - span, asked) == ((float(max(within)),) if within else None)


def test_of_two_told_in_one_second_the_higher_rank_is_last():
    latest = Latest()
    latest.add((5, "b"), 5, (2.0,))
    latest.add((5, "a"), 5, (1.0,))
    assert latest.last(4, 5) == (2.0,)
    assert latest.last(5, 9) is None
