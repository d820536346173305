"""benchmarks/promotions.py: the rules that it weighs, by hand and over every history, and the numbers it tells."""

import importlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pushforward.gate import stats

ALPHA, LOOKS = 0.05, 8
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def promotions():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("promotions")


def worst(level, most):
    """What the levels add up to at the histories of a first false promotion, whatever is true."""

    @cache
    def behind(history):
        if len(history) == LOOKS or history.count("P") == most:
            return 0.0
        return behind(history + "f") + max(level(history), behind(history + "P"))

    return behind("")


@pytest.mark.parametrize("most", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["handed_on", "a_quarter", "three_quarters", "by_history"])
def test_rules_that_are_said_to_keep_the_promise_do(promotions, name, most):
    assert worst(getattr(promotions, name)(ALPHA, LOOKS, most), most) <= ALPHA * (1 + 1e-12)


@pytest.mark.parametrize("name", ["as_if_nothing", "investing", "lord"])
def test_others_promise_it_for_one_promotion_at_most(promotions, name):
    rule = getattr(promotions, name)
    assert worst(rule(ALPHA, LOOKS, 1), 1) <= ALPHA * (1 + 1e-12)
    assert worst(rule(ALPHA, LOOKS, 3), 3) > 2 * ALPHA


def test_histories_are_counted(promotions):
    # ten looks, the second promotion retires: 1 + 2 + ... + 10
    assert [promotions.transcripts(10, most) for most in (1, 2, 10)] == [10, 55, 2**10 - 1]


def test_levels_of_rivals_by_hand(promotions):
    investing = promotions.investing(0.05, 10, 3)
    # wealth .0475 of .05 (1 - .05): a tenth of it for each look, at level w / (1 + w)
    assert investing("") == pytest.approx(0.00475 / 1.00475)
    assert investing("P") == pytest.approx((0.0975 / 9) / (1 + 0.0975 / 9))
    lord = promotions.lord(0.05, 10, 3)
    assert sum(lord("f" * place) for place in range(10)) == pytest.approx(0.025)
    assert lord("P") == pytest.approx(lord("f") + lord(""), rel=1e-12), "a pass earns what the first look had, anew"


@pytest.mark.parametrize(
    ("count", "of", "expected"),
    [(0, 10, (0, 0.3085)), (5, 10, (0.1871, 0.8129)), (10, 10, (0.6915, 1)), (10, 100, (0.0490, 0.1762))],
)
def test_intervals_are_those_of_clopper_and_pearson(promotions, count, of, expected):
    assert promotions.interval(count, of) == pytest.approx(expected, abs=5e-5)


def test_errors_of_day_sums_are_those_of_the_gate(promotions):
    random = np.random.default_rng(3)
    day = np.sort(random.integers(0, 40, 4000))
    losses = 0.4 + 0.1 * random.normal(size=(3, 4000)) + 0.02 * random.normal(size=(3, 40))[:, day]
    known = promotions.Days(losses, day)
    world = promotions.World(known, 31, 2, seed=5)
    day_sums, rows = world.noise[0, 0], world.rows[0].astype(int)
    # a row for each flight, all of a day alike: the clustered error knows the sums alone
    values = np.repeat(day_sums / rows, rows)
    found = stats.clustered_mean(values, np.repeat(np.arange(31), rows))
    assert world.errors(world.noise[:, 0])[0] == pytest.approx(found.mean / found.error, rel=1e-9)
