"""shares: a key is always of the same side, and a canary goes where it is shown to be worse, else seldom."""

import math

import numpy as np
import pytest

from pushforward.gate import loss as losses
from pushforward.serving.shares import ALPHA, Pairs, level, within, worse

LOGLOSS = losses.LOSSES["logloss"]


def test_a_share_of_the_keys_is_in_it_and_always_the_same():
    keys = [f"key-{number}" for number in range(20_000)]
    inside = [within(key, "salt", 0.1) for key in keys]
    assert inside == [within(key, "salt", 0.1) for key in keys]
    assert abs(np.mean(inside) - 0.1) < 0.01
    other = [within(key, "another", 0.1) for key in keys]
    assert abs(np.mean([one and two for one, two in zip(inside, other, strict=True)]) - 0.01) < 0.005
    assert not any(within(key, "salt", 1e-12) for key in keys)
    assert all(within(key, "salt", 1.0) for key in keys)


def test_a_larger_share_has_all_keys_of_a_smaller_one():
    keys = [f"key-{number}" for number in range(1_000)]
    small, large = ({key for key in keys if within(key, "salt", share)} for share in (0.1, 0.3))
    assert small < large


def test_looks_without_end_spend_no_more_than_alpha():
    assert math.isclose(sum(level(look) for look in range(1, 100_000)), ALPHA, rel_tol=1e-4)


def test_failures_where_the_other_answers_are_enough_and_where_neither_does_are_not():
    pairs = Pairs(3.0)
    for _ in range(50):
        pairs.add(None, None)
    pairs.add(None, 1.0)
    pairs.add(None, 1.0)
    assert pairs.fault() == ""
    pairs.add(None, 1.0)
    assert pairs.fault() == "3 of its last 3 answers failed where the version in use answered"


def test_failures_that_are_long_ago_are_forgotten():
    pairs = Pairs(3.0)
    for _ in range(10):
        pairs.add(None, 1.0)
        for _ in range(60):
            pairs.add(1.0, 1.0)
    assert pairs.fault() == ""


@pytest.mark.parametrize(
    ("mine", "other", "slow"),
    [(40.0, 10.0, True), (29.0, 10.0, False), (4.0, 1.0, False), (10.0, 40.0, False)],
)
def test_times_are_compared_by_their_medians_and_not_below_what_a_machine_does(mine, other, slow):
    pairs = Pairs(3.0)
    for number in range(99):
        pairs.add(mine if number % 10 else 10_000.0, other)
    assert pairs.fault() == ""
    pairs.add(mine, other)
    assert pairs.fault() == ("it takes 40 ms where the version in use takes 10 (medians of 100)" if slow else "")


def _days(seed, *, harm, days=30, rows=100):
    """Labels and predictions of two models of rows in days that share a mood; the second one `harm` off in logit."""
    random = np.random.default_rng(seed)
    mood = random.normal(0, 0.5, days).repeat(rows)
    true = random.normal(0, 1, days * rows) + mood
    y = (random.random(days * rows) < 1 / (1 + np.exp(-true))).astype(float)
    noise = random.normal(0, 0.3, (2, days * rows))
    main, canary = (1 / (1 + np.exp(-(true - mood + one + off))) for one, off in zip(noise, (0.0, harm), strict=True))
    return y, main, canary, np.array([f"day-{day:02}" for day in range(days)]).repeat(rows)


def test_a_canary_that_is_worse_goes_with_the_reason():
    why = worse(*_days(1, harm=1.0), LOGLOSS, look=1)
    assert why.startswith("its log loss is higher by 0.")
    assert why.endswith("97.5 % confidence (3,000 outcomes, 30 days, look 1)")


def test_one_that_is_better_or_has_too_few_days_stays():
    y, main, canary, days = _days(1, harm=1.0)
    assert worse(y, canary, main, days, LOGLOSS, look=1) == ""
    assert worse(*_days(1, harm=1.0, days=5), LOGLOSS, look=1) == ""


def test_one_that_is_no_worse_goes_as_seldom_as_is_said():
    gone = sum(bool(worse(*_days(seed, harm=0.0), LOGLOSS, look=1)) for seed in range(400))
    # 2.5 % of 400 are 10; more than 20 have a probability below 0.2 %
    assert gone <= 20
