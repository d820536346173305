"""The interval at all looks against its formula by hand, and against coverage by simulation."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from pushforward.monitoring import interval


def test_the_factor_is_that_of_the_formula_through_students_t():
    # r² = (-2 log .05 + log(-2 log .05 + 1)) / 30 = (5.9915 + log 6.9915) / 30; t r² = 7.9361 at t = 30
    spread = 5.991464547 + math.log(6.991464547)
    normal = math.sqrt(2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / 0.05))
    assert normal == pytest.approx(3.0352, abs=0.0001)
    # 30 days are ten blocks of three: the variance has nine degrees of freedom
    assert interval.factor(30, 0.05) == pytest.approx(-scipy_stats.t.ppf(scipy_stats.norm.cdf(-normal), 9), rel=1e-9)
    assert interval.factor(30, 0.05, block=1) == pytest.approx(3.325, abs=0.001)


def test_it_is_wider_than_an_interval_of_one_look_and_narrower_with_a_larger_error():
    assert interval.factor(60, 0.05) > scipy_stats.t.ppf(0.975, 59)
    assert interval.factor(60, 0.2) < interval.factor(60, 0.05) < interval.factor(60, 0.01)


def test_a_mean_of_clusters_with_its_error_by_hand():
    # twelve days of two rows, residuals of a day ∓.5: a block of three days sums to -.5, .5, …, so the error is
    # sqrt(4 · .5² · 4/3) / 24
    values = np.tile([0.0, 0.0, 0.5, 0.5], 6)
    days = np.repeat(np.array([f"day {place}" for place in range(12)]), 2)
    found = interval.of(values, days, 0.05)
    error = math.sqrt(4 * 0.5**2 * 4 / 3) / 24
    assert found.mean == 0.25
    assert found.low == pytest.approx(0.25 - interval.factor(12, 0.05) * error)
    assert (found.rows, found.clusters) == (24, 12)
    assert (found.above(-1.0), found.above(0.25), found.below(1.0)) == (True, False, True)


def test_blocks_are_of_clusters_that_follow_each_other_by_their_first_row():
    # a good day, two bad ones, and so on: every block is as the next, whatever the days are called
    days = np.array([7, 3, 9, 1, 0, 5, 2, 4, 6, 8, 11, 10])
    found = interval.of(np.tile([0.0, 1.0, 1.0], 4), days, 0.05)
    assert found.low == pytest.approx(2 / 3)
    assert interval.of(np.repeat([0.0, 1.0, 1.0], 4), days, 0.05).low < 0.5


def test_nothing_is_said_of_fewer_than_four_blocks_of_clusters():
    found = interval.of(np.arange(22.0), np.repeat(np.arange(11), 2), 0.05)
    assert (found.mean, found.low, found.high) == (10.5, None, None)
    assert (found.above(-100.0), found.below(100.0)) == (False, False)


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_daily_looks_for_a_year_are_wrong_no_more_often_than_they_may(correlation):
    drawn = np.random.default_rng(7)
    day = np.arange(12, 366, 3)
    factors = np.array([interval.factor(int(one), 0.05) for one in day])
    ever = once = 0
    for _ in range(500):
        days = drawn.normal(size=366)
        for place in range(1, 366):
            days[place] = correlation * days[place - 1] + math.sqrt(1 - correlation**2) * days[place]
        blocks = days.reshape(-1, 3).sum(axis=1)
        count = np.arange(1, 123)
        mean = np.cumsum(blocks) / count
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt((np.cumsum(blocks**2) / count - mean**2) / (count - 1))
        high = (mean / error)[3:][: len(day)]
        ever += bool((high > factors[: len(high)]).any())
        once += bool((high > 1.645).any())
    assert ever <= 0.05 * 500
    assert once > 0.2 * 500  # what a look at 5 % each day would have found
