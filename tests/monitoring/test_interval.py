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
    assert interval.factor(30, 0.05) == pytest.approx(-scipy_stats.t.ppf(scipy_stats.norm.cdf(-normal), 29), rel=1e-9)
    assert interval.factor(30, 0.05) == pytest.approx(3.325, abs=0.001)


def test_it_is_wider_than_an_interval_of_one_look_and_narrower_with_a_larger_error():
    assert interval.factor(60, 0.05) > scipy_stats.t.ppf(0.975, 59)
    assert interval.factor(60, 0.2) < interval.factor(60, 0.05) < interval.factor(60, 0.01)


def test_a_mean_of_clusters_with_its_error_by_hand():
    # ten days of two rows: sums of residuals of the days are -1, 1, -1, … so the error is sqrt(10 · 10/9) / 20
    values = np.tile([0.0, 0.0, 0.5, 0.5], 5)
    days = np.repeat(np.arange(10), 2)
    found = interval.of(values, days, 0.05)
    error = math.sqrt(10 * 0.5**2 * 10 / 9) / 20
    assert found.mean == 0.25
    assert found.low == pytest.approx(0.25 - interval.factor(10, 0.05) * error)
    assert (found.rows, found.clusters) == (20, 10)
    assert (found.above(-1.0), found.above(0.25), found.below(1.0)) == (True, False, True)


def test_nothing_is_said_of_fewer_than_ten_clusters():
    found = interval.of(np.arange(18.0), np.repeat(np.arange(9), 2), 0.05)
    assert (found.mean, found.low, found.high) == (8.5, None, None)
    assert (found.above(-100.0), found.below(100.0)) == (False, False)


def test_daily_looks_for_a_year_are_wrong_no_more_often_than_they_may():
    drawn = np.random.default_rng(7)
    factors = np.array([interval.factor(days, 0.05) for days in range(10, 366)])
    ever = once = 0
    for _ in range(500):
        days = drawn.normal(size=365)
        count = np.arange(1, 366)
        mean = np.cumsum(days) / count
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt((np.cumsum(days**2) / count - mean**2) / (count - 1))
        off = np.abs(mean / error)[9:]
        ever += bool((off > factors).any())
        once += bool((off > 1.96).any())
    assert ever <= 0.05 * 500
    assert once > 0.3 * 500  # what a look at 5 % each day would have found
