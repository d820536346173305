"""Bounds of a question that is asked again: published tables, and what is never spent."""

import math
from itertools import pairwise

import numpy as np
import pytest

from pushforward.gate import sequential

EQUAL = {count: [(place + 1) / count for place in range(count)] for count in range(2, 7)}
# Jennison and Turnbull (2000), tables 2.1 and 2.3: two-sided levels, each side half of it.
POCOCK = {(2, 0.05): 2.178, (3, 0.05): 2.289, (4, 0.05): 2.361, (5, 0.05): 2.413, (2, 0.1): 1.875, (5, 0.1): 2.122}
OBRIEN_FLEMING = {(2, 0.05): 1.977, (3, 0.05): 2.004, (4, 0.05): 2.024, (5, 0.05): 2.040}


@pytest.mark.parametrize(("case", "bound"), POCOCK.items())
def test_the_constants_of_pocock_spend_their_level(case, bound):
    count, alpha = case
    assert sum(sequential.crossing(EQUAL[count], [bound] * count)) == pytest.approx(alpha / 2, rel=2e-3)


@pytest.mark.parametrize(("case", "constant"), OBRIEN_FLEMING.items())
def test_the_constants_of_o_brien_and_fleming_spend_their_level(case, constant):
    count, alpha = case
    bounds = [constant / math.sqrt(share) for share in EQUAL[count]]
    assert sum(sequential.crossing(EQUAL[count], bounds)) == pytest.approx(alpha / 2, rel=4e-3)


def bounds_of(monkeypatch, spending, level, shares):
    monkeypatch.setattr(sequential, "spent", lambda share, _rho: spending(share) / level)
    levels = []
    for place in range(len(shares)):
        levels.append(sequential.nominal(level, shares[: place + 1], levels))
    return [sequential.quantile(1 - one) for one in levels]


def obrien_fleming(share):
    return 2 * (1 - float(_phi(sequential.quantile(1 - 0.0125) / math.sqrt(share))))


def pocock(share):
    return 0.025 * math.log(1 + (math.e - 1) * share)


def _phi(z):
    return 0.5 * math.erfc(-z / math.sqrt(2))


@pytest.mark.parametrize(
    ("spending", "known"),
    [
        (obrien_fleming, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        (pocock, [2.4380, 2.4268, 2.4102, 2.3966, 2.3860]),
    ],
    ids=["O'Brien-Fleming", "Pocock"],
)
def test_the_bounds_of_five_askings_are_those_of_ldbounds(monkeypatch, spending, known):
    """R's ldbounds (Reboussin, DeMets, Kim and Lan 2000) at equal steps, .025 on each side."""
    assert bounds_of(monkeypatch, spending, 0.025, EQUAL[5]) == pytest.approx(known, abs=2e-4)


@pytest.mark.parametrize("level", [0.05, 0.005, 0.0025])
@pytest.mark.parametrize("shares", [[1.0], [0.5, 1.0], [0.3, 0.31, 0.8], [n / 61 for n in range(31, 62, 3)]], ids=len)
def test_what_is_spent_is_the_share_and_never_more(level, shares):
    levels = []
    for place in range(len(shares)):
        levels.append(sequential.nominal(level, shares[: place + 1], levels))
    found = sequential.crossing(shares, [sequential.quantile(1 - one) for one in levels])
    expected = [level * sequential.spent(share) for share in shares]
    assert np.cumsum(found) == pytest.approx(np.array(expected), rel=1e-6)
    assert all(0 < one <= level for one in levels)


def test_a_single_asking_at_the_end_is_the_usual_test():
    assert sequential.nominal(0.005, [1.0], []) == pytest.approx(0.005, rel=1e-9)


def test_many_walks_cross_as_often_as_is_said():
    shares, level = [0.4, 0.55, 0.6, 0.9, 1.0], 0.05
    levels = []
    for place in range(len(shares)):
        levels.append(sequential.nominal(level, shares[: place + 1], levels))
    bounds = np.array([sequential.quantile(1 - one) for one in levels])
    steps = np.sqrt(np.diff([0.0, *shares]))
    walks = np.cumsum(np.random.default_rng(7).standard_normal((200_000, 5)) * steps, axis=1) / np.sqrt(shares)
    first = (walks > bounds).argmax(axis=1)[(walks > bounds).any(axis=1)]
    found = np.bincount(first, minlength=5) / len(walks)
    assert found == pytest.approx(np.array(sequential.crossing(shares, list(bounds))), abs=0.0012)
    drifted = walks + 2.5 * np.sqrt(shares)
    assert (drifted > bounds).any(axis=1).mean() == pytest.approx(
        sum(sequential.crossing(shares, list(bounds), 2.5)), abs=0.004
    )


def test_one_asking_more_can_only_lower_what_the_later_ones_are_held_to():
    often = [n / 60 for n in range(30, 61, 3)]
    levels = {}
    for shares in ([0.5, 1.0], often):
        found = []
        for place in range(len(shares)):
            found.append(sequential.nominal(0.05, shares[: place + 1], found))
        levels[len(shares)] = found
    assert levels[11][-1] < levels[2][-1]
    assert all(before != after for before, after in pairwise(levels[11]))


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.5, 0.4], [0.0], []], ids=str)
def test_shares_that_do_not_rise_are_refused(shares):
    with pytest.raises(ValueError, match="levels before the askings"):
        sequential.nominal(0.05, shares, [0.01] * max(0, len(shares) - 1))
