"""levels: the promise is kept in the whole tree of histories, whatever is true and whoever answers late."""

from fractions import Fraction
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.judge.levels import LEAST, Share

ALPHA = 0.05


def told(share, answers, refresh=()):
    """The levels of looks that are answered in turn: P passes, f fails, R is the month's refresh."""
    found = []
    for answer in answers:
        found.append(share.level)
        share = share.take_refresh() if answer == "R" else share.take()
        share = share.answer(share.taken, found[-1], passed=answer in "PR")
    return [*found, share.level]


@pytest.mark.parametrize(
    ("looks", "answers", "parts"),
    [
        (10, "fff", [10, 10, 10, 10]),
        # 1/10 of it for the first look, handed on to the nine behind it
        (10, "P", [10, 90]),
        (10, "Pf", [10, 90, 90]),
        # the second pass hands on its ninetieth to eight
        (10, "PP", [10, 90, 720]),
        (10, "fPffP", [10, 10, 80, 80, 80, 400]),
        (4, "ffP", [4, 4, 4, 4]),
        (10, "Rf", [10, 20, 20]),
        (10, "RP", [10, 20, 160]),
        # a refresh behind a pass halves what was handed on
        (10, "PR", [10, 90, 180]),
        (1, "P", [1, 1]),
    ],
)
def test_levels_by_hand(looks, answers, parts):
    assert told(Share.first(ALPHA, looks), answers) == pytest.approx([ALPHA / part for part in parts], rel=1e-12)


def test_the_nodes_of_three_looks_by_hand():
    # n = 3, alpha = 1: the spine has 1/3 each; behind look 1 two nodes of 1/6, behind those of 1/6 one; behind look 2
    # one of 1/3
    assert told(Share.first(1, 3), "PPf") == pytest.approx([1 / 3, 1 / 6, 1 / 6, 1 / 6])
    assert told(Share.first(1, 3), "PfP") == pytest.approx([1 / 3, 1 / 6, 1 / 6, 1 / 6])
    assert told(Share.first(1, 3), "fPf") == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3])


def worst(looks, promotions, refresh=False):
    """The most that the levels of all nodes at which the first false promotion can be add up to: over every history,
    and every assignment of which change gains in truth, with looks that are answered in turn.

    Where a change that gains is asked both answers lead on, for either may come; where one that does not, a pass is the
    error, and what comes after it counts no more.
    """

    @cache
    def behind(share, passes):
        if share.taken == looks or passes == promotions:
            return 0.0
        number, level = share.taken + 1, share.level
        taken = share.take()
        failed = behind(taken.answer(number, level, passed=False), passes)
        gains = behind(taken.answer(number, level, passed=True), passes + 1)
        most = failed + max(level, gains)
        if refresh and not share.refresh:
            monthly = share.take_refresh()
            most = max(most, 2 * behind(monthly, passes))
        return most

    return behind(Share.first(ALPHA, looks), 0)


@pytest.mark.parametrize("looks", range(1, 9))
@pytest.mark.parametrize("promotions", [1, 2, 3, 4])
def test_the_worst_that_can_be_true_costs_no_more_than_is_promised(looks, promotions):
    assert worst(looks, promotions) <= ALPHA * (1 + 1e-12)
    assert worst(looks, promotions) == pytest.approx(ALPHA), "and no less: nothing is wasted"
    assert worst(looks, promotions, refresh=True) <= ALPHA * (1 + 1e-12)


def naive(looks, promotions):
    """The same of looks that all have alpha / looks."""

    def behind(taken, passes):
        if taken == looks or passes == promotions:
            return 0.0
        return behind(taken + 1, passes) + max(ALPHA / looks, behind(taken + 1, passes + 1))

    return behind(0, 0)


def test_without_handing_on_the_promise_is_broken():
    # the oracle can tell: one promotion is within it, several are not
    assert naive(8, 1) == pytest.approx(ALPHA)
    assert naive(8, 3) > 3 * ALPHA


def concurrent(looks, at_once):
    """The same where up to `at_once` looks are out, answered in any order, one of them the month's refresh.

    A change is chosen when its look is taken, so there its level counts, once, whatever the answers that are out turn
    out to be; of one that gains nothing only the answer that it does not pass leads on.
    """

    @cache
    def behind(share, out):
        options = [0.0]
        if share.taken < looks and len(out) < at_once:
            number = share.taken + 1
            options.append(share.level + behind(share.take(), (*out, (number, share.level, "null"))))
            options.append(behind(share.take(), (*out, (number, share.level, "gains"))))
            if not share.refresh:
                options.append(behind(share.take_refresh(), (*out, (number, share.level, "refresh"))))
        for place, (number, level, kind) in enumerate(out):
            rest = (*out[:place], *out[place + 1 :])
            failed = behind(share.answer(number, level, passed=False), rest)
            if kind == "null":
                options.append(failed)
            else:
                options.append(failed + behind(share.answer(number, level, passed=True), rest))
        return max(options)

    return behind(Share.first(ALPHA, looks), ())


@pytest.mark.parametrize(("looks", "at_once"), [(2, 2), (3, 2), (4, 2), (3, 3), (4, 3)])
def test_looks_whose_answers_are_out_cost_no_more_either(looks, at_once):
    assert concurrent(looks, at_once) <= ALPHA * (1 + 1e-12)


def extended(looks, times):
    """The same where a look that could not tell may be asked `times` in all, at an equal part of its level."""

    @cache
    def behind(share, out, open_):
        options = [0.0]
        if share.taken < looks and not out:
            number, level = share.taken + 1, share.level
            for gains in (True, False):
                asked = (number, level, 1, gains)
                options.append((0.0 if gains else level) + behind(share.take(), asked, open_))
            if not share.refresh:
                monthly = share.take_refresh()
                options.append(2 * behind(monthly, (), open_))
        for place, (number, level, asked, gains) in enumerate(open_ if not out else ()):
            rest = (*open_[:place], *open_[place + 1 :])
            options.append(behind(share.again(number), (number, level, asked + 1, gains), rest))
        if out:
            number, level, asked, gains = out
            left = (*open_, out) if asked < times else open_
            cannot_tell = behind(share.answer(number, level / times, passed=False), (), left)
            held = behind(share.answer(number, level / times, passed=False), (), open_)
            passed = behind(share.answer(number, level / times, passed=True), (), open_) if gains else 0.0
            options.append(max(cannot_tell, held) + passed)
        return max(options)

    return behind(Share.first(ALPHA, looks), (), ())


@pytest.mark.parametrize(("looks", "times"), [(1, 4), (2, 2), (2, 3), (3, 2), (3, 3), (4, 2)])
def test_looks_that_are_taken_up_again_cost_no_more_either(looks, times):
    assert extended(looks, times) <= ALPHA * (1 + 1e-12)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.text("Pf", max_size=40))
def test_what_is_handed_on_is_shared_equally_and_never_more_than_was_spent(looks, answers):
    levels = told(Share.first(ALPHA, looks), answers[:looks])
    assert all(after <= before for before, after in pairwise(levels))
    exact, handed, since = Fraction(1, looks), Fraction(1), 0
    for place, answer in enumerate(answers[:looks]):
        if answer == "P":
            handed, since = exact, place + 1
            exact = handed / max(1, looks - since)
    assert levels[-1] == pytest.approx(max(ALPHA * float(exact), LEAST), rel=1e-9)


def test_a_look_taken_up_again_hands_on_what_that_time_has_spent():
    share = Share.first(ALPHA, 5).take().answer(1, 0.004, passed=False).take().answer(2, 0.01, passed=False)
    assert share.again(1).answer(1, 0.006, passed=True).level == pytest.approx(0.006 / 3)
    # another has passed since: either answer leads on, and each gets half
    passed = share.take().answer(3, 0.01, passed=True)
    assert passed.again(1).level == passed.again(1).answer(1, 0.006, passed=True).level == pytest.approx(0.01 / 2 / 2)
    monthly = Share.first(ALPHA, 5).take_refresh()
    assert monthly.again(1).answer(1, 0.05, passed=True).level == pytest.approx(0.01 / 4)


def test_a_level_never_comes_to_nothing():
    share = Share.first(ALPHA, 1000)
    for _ in range(200):
        level, share = share.level, share.take()
        share = share.answer(share.taken, level, passed=True)
    assert share.level == LEAST
