"""loss: each against a published implementation, the constant against a search, and what none may be taken of."""

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import optimize, special
from sklearn import metrics

from pushforward.gate import loss, stats
from pushforward.gate.decision import judge
from pushforward.gate.evidence import Evidence
from pushforward.settings import GateRules

RULES = {
    "poisson": GateRules(metric="poisson"),
    "pinball": GateRules(metric="pinball", quantile=0.9),
    "percentage": GateRules(metric="percentage"),
    "huber": GateRules(metric="huber", delta=1.5),
    "squared": GateRules(metric="squared"),
    "absolute": GateRules(metric="absolute"),
}
PUBLISHED = {
    "poisson": metrics.mean_poisson_deviance,
    "pinball": lambda y, p: metrics.mean_pinball_loss(y, p, alpha=0.9),
    "percentage": metrics.mean_absolute_percentage_error,
    "huber": lambda y, p: special.huber(1.5, y - p).mean(),
    "squared": metrics.mean_squared_error,
    "absolute": metrics.mean_absolute_error,
}
DAYS = np.repeat(np.arange(40), 30)


class Counts:
    """Rentals an hour, say: a mean that varies by row and by day, and counts about it."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.mean = np.exp(rng.normal(2, 0.6, len(DAYS)) + np.repeat(rng.normal(0, 0.2, 40), 30))
        self.y = rng.poisson(self.mean).astype(float)
        self.noisy = self.mean * np.exp(rng.normal(0, 0.5, len(DAYS)))
        self.group_mean = np.full(len(DAYS), self.y.mean())

    def evidence(self, champion, challenger, **changes):
        mode = "first" if champion is None else "superior"
        plain = Evidence(self.y, champion, challenger, DAYS, mode, ())
        return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def counts():
    return Counts()


@pytest.mark.parametrize("metric", RULES)
def test_its_mean_is_the_published_one(counts, metric):
    y = counts.y + (metric == "percentage")
    found = loss.of(RULES[metric]).rows(y, counts.noisy).mean()
    assert found == pytest.approx(PUBLISHED[metric](y, counts.noisy), rel=1e-12)


def test_four_rows_by_hand():
    y, p = np.array([0.0, 1.0, 2.0, 10.0]), np.array([1.0, 1.0, 4.0, 5.0])
    assert loss.poisson(y, p) == pytest.approx([2, 0, 2 * (2 * np.log(0.5) + 2), 2 * (10 * np.log(2) - 5)])
    assert loss.pinball(y, p, 0.9) == pytest.approx([0.1, 0, 0.2, 4.5])
    assert loss.percentage(y[1:], p[1:]) == pytest.approx([0, 1, 0.5])
    assert loss.huber(y, p, 2.0) == pytest.approx([0.5, 0, 2, 2 * (5 - 1)])


@pytest.mark.parametrize("metric", RULES)
def test_no_other_constant_has_a_smaller_mean(counts, metric):
    kind, y = loss.of(RULES[metric]), counts.y + (metric == "percentage")

    def mean(constant):
        return kind.rows(y, np.full_like(y, constant)).mean()

    best = optimize.minimize_scalar(mean, bounds=(0.1, 60), method="bounded", options={"xatol": 1e-9})
    assert mean(kind.constant(y)) <= best.fun * (1 + 1e-12)


@pytest.mark.parametrize("metric", RULES)
def test_what_knows_more_replaces_what_knows_less(counts, metric):
    y = counts.y + (metric == "percentage")
    rules = RULES[metric].model_copy(update={"suspect_fall": 1.0})
    scale = 1.6 if metric == "pinball" else 1.0
    verdict = judge(counts.evidence(scale * counts.noisy, scale * counts.mean, y=y), rules)
    assert verdict.verdict == "promote", verdict.reason
    assert verdict.numbers[0].name == loss.of(rules).title
    assert judge(counts.evidence(scale * counts.mean, scale * counts.noisy, y=y), rules).verdict == "hold"


@pytest.mark.parametrize(
    ("metric", "label", "p", "why"),
    [
        ("poisson", -1.0, 1.0, "a label is below 0, and the Poisson deviance is of counts"),
        ("poisson", 0.0, 0.0, "the challenger predicts 0 or less, and the Poisson deviance is of positive means"),
        ("percentage", 0.0, 1.0, "a label is 0, and the absolute percentage error divides by it"),
    ],
)
def test_what_it_cannot_be_taken_of_is_invalid(counts, metric, label, p, why):
    y, challenger = counts.y + 1, counts.noisy.copy()
    y[5], challenger[5] = label, p
    verdict = judge(counts.evidence(counts.mean, challenger, y=y), RULES[metric])
    assert (verdict.verdict, verdict.reason) == ("invalid", why)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"metric": "pinball"}, "the loss pinball needs gate.quantile"),
        ({"metric": "huber"}, "the loss huber needs gate.delta"),
        ({"metric": "squared", "quantile": 0.9}, "gate.quantile is of the loss pinball, which no model has"),
        ({"metric": "pinball", "quantile": 0.9, "delta": 1.0}, "gate.delta is of the loss huber, which no model has"),
    ],
)
def test_a_parameter_belongs_to_its_loss(wrong, why):
    with pytest.raises(ValidationError, match=why):
        GateRules(**wrong)


def test_a_loss_that_falls_by_more_than_half_at_once_waits_for_a_person(counts):
    far, near = counts.y + 60 * np.sin(np.arange(len(DAYS))), counts.y + np.sin(np.arange(len(DAYS)) * 2)
    verdict = judge(counts.evidence(far, near), RULES["squared"])
    assert verdict.verdict == "unknown"
    assert "more than 50 % at once is more often a leak than a gain; a person must look" in verdict.reason
    assert judge(counts.evidence(far, near), GateRules(metric="squared", suspect_fall=1)).verdict == "promote"


@pytest.mark.ml_test_score("Model 5")
def test_a_model_that_loses_to_the_floor_is_held_whatever_it_gains(counts):
    worse, better = (counts.group_mean + share * (counts.mean - counts.group_mean) for share in (0.3, 0.5))
    free = counts.evidence(worse, better)
    floored = dataclasses.replace(free, floor=counts.mean, floor_name="hourly_mean")
    verdict = judge(floored, RULES["squared"])
    assert verdict.verdict == "hold"
    assert "it does not beat the floor, hourly_mean (squared error " in verdict.reason
    first = judge(dataclasses.replace(floored, champion=None, mode="first"), RULES["squared"])
    assert (first.verdict, [guard.name for guard in first.guards]) == ("hold", ["constant", "floor"])


def test_a_refresh_need_not_be_shown_to_beat_the_floor_again_but_not_be_seen_to_lose(counts):
    rng = np.random.default_rng(5)
    champion = counts.noisy
    challenger = champion * np.exp(rng.normal(0, 0.01, len(DAYS)))
    by_day = np.repeat(rng.normal(0, 1, 40), 30)
    base = (counts.y - challenger) ** 2
    gain = by_day * 30 - 1  # noisy by day: above 0 on the whole, and not for certain
    gain = np.maximum(gain, -0.9 * base)
    floor = counts.y - np.sqrt(base + gain)
    estimate = stats.clustered_mean(gain, DAYS)
    assert estimate.mean > 0 > estimate.low(0.05)
    asked = counts.evidence(champion, challenger, floor=floor, floor_name="mean", mode="refresh")
    verdict = judge(asked, RULES["squared"])
    assert {guard.name: guard.outcome for guard in verdict.guards}["floor"] == "pass"
    assert "if not for certain" in next(guard.detail for guard in verdict.guards if guard.name == "floor")
    as_new = judge(dataclasses.replace(asked, mode="superior"), RULES["squared"])
    assert {guard.name: guard.outcome for guard in as_new.guards}["floor"] == "undecided"
    lower = dataclasses.replace(asked, floor=counts.y - np.sqrt(np.maximum(base + gain - 2 * estimate.mean, 0)))
    held = judge(lower, RULES["squared"])
    assert {guard.name: guard.outcome for guard in held.guards}["floor"] == "fail"
