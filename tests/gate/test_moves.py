"""moves: distances by their formulas, limits by what they promise, and days that hang together."""

import math

import numpy as np
import pytest

from pushforward.gate import moves
from pushforward.gate.moves import Line


def line(days, window, ends=None):
    """A line of numbers, one a day, with a row each; none where the number is none."""
    there = ~np.isnan(np.asarray(days, float))
    totals = np.stack([np.where(there, days, 0.0), there], 1)
    return Line(totals, there, len(days) - window if ends is None else ends, (len(days) - window, len(days)))


def with_gap(chance, gap, window, past=150):
    """Days that have nothing to do with each other, of which those of a gap before the window have no rows."""
    days = chance.normal(size=past + gap + window)
    days[past : past + gap] = np.nan
    return line(days, window, ends=past)


def autoregressive(chance, days, rho):
    """Days of which each is `rho` times the one before and something new, of variance 1 in all."""
    found = [chance.normal()]
    for step in chance.normal(size=days - 1):
        found.append(rho * found[-1] + math.sqrt(1 - rho**2) * step)
    return np.array(found)


def test_distances_are_those_of_their_formulas():
    halves, tilted = np.array([50.0, 50.0]), np.array([80.0, 20.0])
    wanted = 0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5)
    assert moves.index(halves, tilted) == pytest.approx(wanted)
    assert moves.index(np.stack([halves, tilted]), np.stack([tilted, tilted])).tolist() == pytest.approx([wanted, 0])
    # An empty part counts as a hundredth of a percent.
    assert moves.index(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(2 * (1 - 1e-4) * math.log(1e4))
    assert moves.share(np.array([10.0, 90.0]), np.array([30.0, 70.0])) == pytest.approx(0.2**2)
    assert moves.mean(np.array([10.0, 5.0]), np.array([50.0, 10.0])) == pytest.approx(3.0**2)
    assert moves.volume(np.array([100.0, 10.0]), np.array([40.0, 2.0])) == pytest.approx(math.log(2) ** 2)
    assert np.isnan(moves.index(np.zeros(2), halves))


@pytest.mark.parametrize("freedom", [1, 4, 9])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_a_limit_of_many_runs_is_the_quantile_of_chi_square(freedom, alpha):
    from scipy.stats import chi2

    told = chi2.ppf((np.arange(20_000) + 0.5) / 20_000, freedom)
    wanted = chi2.ppf(1 - alpha, freedom)
    told = told[told < 0.99 * wanted]  # or the largest of them would be the limit
    assert moves.limit(told, 20_000, alpha) == pytest.approx(wanted, rel=0.15)


def test_a_limit_of_few_runs_is_wider_and_never_below_what_the_past_did():
    past = np.array([1.0, 1.1, 0.9, 1.0])
    assert moves.limit(past, 4, 0.05) > moves.limit(past, 40, 0.05) > 1.1
    assert moves.limit(np.array([1.0] * 99 + [50.0]), 100, 0.5) == 50.0
    assert moves.limit(np.zeros(5), 5, 0.05) == 0.0


@pytest.mark.parametrize("window", [1, 3, 14, 28])
@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_days_that_are_as_ever_seldom_go_beyond_the_limit_however_they_hang_together(rho, window):
    chance, trials = np.random.default_rng(5), 300
    moved = [line(autoregressive(chance, 140 + window, rho), window).step(moves.mean, 0.05) for _ in range(trials)]
    assert {move.how for move in moved} == {"runs"}
    assert sum(move.far for move in moved) / trials < 0.08  # 5 % and three standard errors


def test_a_limit_of_days_drawn_at_random_would_be_exceeded_all_the_time():
    chance, far = np.random.default_rng(5), 0
    for _ in range(200):
        days = autoregressive(chance, 168, 0.7)
        drawn = [chance.permutation(140) for _ in range(100)]
        random = np.array([(days[one[:28]].mean() - days[one[28:56]].mean()) ** 2 for one in drawn])
        far += (days[140:].mean() - days[112:140].mean()) ** 2 > moves.limit(random, 1000, 0.05)
    assert far / 200 > 0.2  # four times what it promises


def test_a_step_is_far_and_says_which_days_it_compared():
    days = np.concatenate([np.random.default_rng(1).normal(size=120), np.full(30, 3.0)])
    move = line(days, 30).step(moves.mean, 0.05)
    assert move.far
    assert (move.how, move.before, move.after, move.months) == ("runs", (90, 120), (120, 150), 0)
    assert move.runs == 3.0
    assert move.distance == pytest.approx((3 - days[90:120].mean()) ** 2)


def test_a_short_window_is_held_against_runs_as_short():
    days = autoregressive(np.random.default_rng(2), 143, 0.5)
    three, month = line(days, 3).step(moves.mean, 0.05), line(days, 28).step(moves.mean, 0.05)
    assert (three.before, three.after) == ((112, 140), (140, 143))
    assert three.limit > 3 * month.limit


def test_time_that_nobody_has_seen_widens_the_limit():
    days = np.random.default_rng(3).normal(size=200)
    near, far = line(days[:140], 28), line(days, 28, ends=112)
    assert far.step(moves.mean, 0.05).limit == pytest.approx(3.142857 * near.step(moves.mean, 0.05).limit)
    near, far = line(days[:58], 28), line(days[:88], 28, ends=30)  # as far again as the 30 days of the past are long
    assert {one.step(moves.mean, 0.05).how for one in (near, far)} == {"halves"}
    assert far.step(moves.mean, 0.05).limit == pytest.approx(2 * near.step(moves.mean, 0.05).limit)


def test_a_season_is_held_against_the_same_season_where_the_past_has_it():
    chance, at = np.random.default_rng(4), np.arange(900)
    season = 20 * np.sin(2 * np.pi * at / 365.25) + chance.normal(size=900)
    move = line(season, 30).step(moves.mean, 0.01)
    assert (move.how, move.before) == ("year", (506, 536))
    assert not move.far
    assert line(np.concatenate([season[:-30], season[-30:] + 6]), 30).step(moves.mean, 0.01).far
    assert move.limit < line(season[-200:], 30).step(moves.mean, 0.01).limit / 10


def test_a_past_too_short_for_runs_is_split_in_blocks():
    days = np.concatenate([np.random.default_rng(6).normal(size=31), np.full(28, 5.0)])
    move = line(days, 28).step(moves.mean, 0.05)
    assert (move.how, move.before, move.far) == ("halves", (0, 31), True)
    assert line(days, 28).step(moves.mean, 0.05) == move  # the same splits again
    assert line(np.concatenate([days[:31], days[:28]]), 28).step(moves.mean, 0.05).far is False
    assert line(days[:40], 20).step(moves.mean, 0.05) is None  # four blocks


def test_a_past_in_blocks_allows_the_same_below_zero_as_above():
    chance = np.random.default_rng(8)
    warm = chance.normal(20, 3, 45 + 28)
    wanted = line(warm, 28).step(moves.mean, 0.05)
    for cold in (20, 30, 60):  # of both signs, and below zero alone
        move = line(warm - cold, 28).step(moves.mean, 0.05)
        assert (move.how, move.runs, move.far) == ("halves", 2.25, False)
        assert (move.distance, move.limit) == pytest.approx((wanted.distance, wanted.limit))


def test_a_slow_leak_is_seen_although_no_step_of_it_is():
    days = np.random.default_rng(10).normal(size=364)
    leak = 0.5 * (1 + np.arange(84) // 28)
    months = [np.concatenate([days[:280], days[280:end] + leak[: end - 280]]) for end in (308, 336, 364)]
    assert not any(line(one, 28).step(moves.mean, 0.01).far for one in months)
    seen = line(months[-1], 28).slow(moves.mean, 0.01)
    assert (seen.far, seen.months, seen.before, seen.after) == (True, 3, (252, 280), (336, 364))
    assert not line(days, 28).slow(moves.mean, 0.01).far
    assert line(days[:100], 28).slow(moves.mean, 0.01) is None


def test_a_few_days_after_a_gap_are_no_month():
    chance, trials = np.random.default_rng(12), 100
    for window in (1, 3, 7, 14):
        for gap, told in ((0, True), (2, True), (40, False)):
            found = [with_gap(chance, gap, window).slow(moves.mean, 0.05) for _ in range(trials)]
            assert {one is not None for one in found} == {told}, (window, gap)
            assert sum(one is not None and one.far for one in found) / trials <= 0.02, (window, gap)


def test_a_month_after_a_gap_is_held_against_months_that_the_end_of_the_past_has_not_cut():
    chance = np.random.default_rng(13)
    for gap in range(5, 50, 5):
        for _ in range(20):
            one = with_gap(chance, gap, 28)
            move = one.slow(moves.mean, 0.05)
            assert one.there[slice(*move.before)].sum() >= 26, gap
            assert not move.far, gap


def test_days_of_the_week_that_never_have_rows_make_no_month_short():
    days = np.random.default_rng(14).normal(size=364)
    days[np.isin(np.arange(364) % 7, (5, 6))] = np.nan
    assert line(days, 7).slow(moves.mean, 0.05).far is False
    days[-21:-7] = np.nan
    assert line(days, 7).slow(moves.mean, 0.05) is None


def test_a_window_is_as_long_as_its_rows_are():
    chance, trials, far = np.random.default_rng(15), 200, 0
    for _ in range(trials):
        days = chance.normal(size=157)
        days[150:156] = np.nan
        move = line(days, 7).step(moves.mean, 0.05)
        assert (move.after, move.before) == ((156, 157), (122, 150))
        far += move.far
    assert far / trials <= 0.05  # one day held against weeks would be far in a third of them


def test_days_without_rows_say_nothing():
    days = np.ones(140)
    days[30:60] = np.nan
    move = line(days, 28).step(moves.mean, 0.05)
    assert (move.distance, move.limit) == (0, 0)
    days[112:] = np.nan
    assert line(days, 28).step(moves.mean, 0.05) is None


def test_the_longest_absence_lies_between_two_days_with():
    assert moves.longest_absence([True, False, False, True, False]) == 2
    assert moves.longest_absence([True, True]) == 0
    assert moves.longest_absence([False, True, False]) == 3
