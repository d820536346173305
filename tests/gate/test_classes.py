"""gate on labels of several classes: real digits, and losses that a project gives by itself."""

import dataclasses
import re

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from pushforward.gate import loss
from pushforward.gate.decision import judge
from pushforward.gate.evidence import Evidence
from pushforward.settings import GateRules

METRICS = ("logloss", "brier", "accuracy")
WRITERS = 43


class Digits:
    """Handwritten digits (Alpaydin and Kaynak 1998): every third to train on, the others in the groups of writers."""

    def __init__(self):
        x, self.target = load_digits(return_X_y=True)
        self.x = x / 16
        self.out = np.arange(len(x)) % 3 != 0
        self.y = self.target[self.out].astype(float)
        self.writers = np.arange(len(self.y)) * WRITERS // len(self.y)
        self.few, self.every = self.fit(24), self.fit(64)

    def fit(self, pixels):
        model = LogisticRegression(C=1.0, max_iter=400).fit(self.x[~self.out][:, :pixels], self.target[~self.out])
        return model.predict_proba(self.x[self.out][:, :pixels])

    def judge(self, metric, champion, challenger, **changes):
        mode = "first" if champion is None else "superior"
        evidence = Evidence(
            self.y, champion, challenger, self.writers, mode, (), classes=tuple("0123456789"), **changes
        )
        rules = GateRules(metric=metric, suspect_fall=1, slices=list(changes.get("slices", ())))
        return judge(evidence, rules, cluster="writer")


@pytest.fixture(scope="module")
def digits():
    return Digits()


def test_each_mean_is_the_published_one(digits):
    y, p = digits.y, digits.few
    one_hot = np.eye(10)[y.astype(int)]
    assert loss.class_log_loss(y, p).mean() == pytest.approx(metrics.log_loss(y, p), rel=1e-9)
    assert loss.class_brier(y, p).mean() == pytest.approx(((p - one_hot) ** 2).sum(axis=1).mean(), rel=1e-12)
    assert 1 - loss.class_error(y, p).mean() == metrics.accuracy_score(y, p.argmax(axis=1))


@pytest.mark.parametrize("metric", METRICS)
def test_all_pixels_replace_the_upper_rows_and_the_way_back_is_held(digits, metric):
    verdict = digits.judge(metric, digits.few, digits.every)
    assert verdict.verdict == "promote", verdict.reason
    assert "1,198 rows, 43 writers" in verdict.reason
    assert (verdict.positives, verdict.calibration) == (None, None)
    assert [guard.name for guard in verdict.guards] == ["constant"]
    accuracy = verdict.numbers[-1]
    assert (accuracy.name, accuracy.better) == ("accuracy", "higher")
    right = [metrics.accuracy_score(digits.y, p.argmax(axis=1)) for p in (digits.few, digits.every)]
    assert (accuracy.champion, accuracy.challenger) == pytest.approx(right)
    assert accuracy.low < right[1] - right[0] < accuracy.high
    assert digits.judge(metric, digits.every, digits.few).verdict == "hold"


@pytest.mark.parametrize("metric", METRICS)
def test_a_first_model_has_to_beat_the_shares_of_the_classes(digits, metric):
    assert digits.judge(metric, None, digits.every).verdict == "promote"
    shares = np.tile(np.bincount(digits.y.astype(int)) / len(digits.y), (len(digits.y), 1))
    verdict = digits.judge(metric, None, np.roll(shares, 1, axis=1))
    assert verdict.verdict in {"hold", "unknown"}
    assert "beat the shares of the classes" in verdict.reason


def test_harm_to_one_class_is_held(digits):
    worse = digits.every.copy()
    worse[digits.y == 8] = digits.few[digits.y == 8] * 0.5 + 0.05
    slices = {"digit": digits.y.astype(int).astype(str)}
    verdict = digits.judge("logloss", digits.few, worse, slices=slices)
    assert verdict.verdict == "hold"
    assert "digit 8 is more than 2 % worse" in verdict.reason


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda p: p[:, :9], r"the challenger has the shape \(1198, 9\)"),
        (lambda p: p * 0.99, "the challenger predicts probabilities that do not add up to 1"),
        (lambda p: p * 2 - 0.1, r"the challenger predicts outside \[0, 1\]"),
        (lambda p: p * np.nan, "the challenger predicts something that is not a finite number"),
        (lambda p: p[:, 0], r"the challenger has the shape \(1198,\)"),
    ],
)
def test_what_is_no_row_of_probabilities_is_invalid(digits, spoil, why):
    verdict = digits.judge("logloss", digits.few, spoil(digits.every))
    assert verdict.verdict == "invalid"
    assert re.search(why, verdict.reason), verdict.reason


def test_a_given_loss_is_compared_by_cluster_and_nothing_else_is_asked(digits):
    """One loss a query, 1 - NDCG say: what the labels and the predictions were is the project's own."""
    rng = np.random.default_rng(4)
    before = rng.uniform(0.2, 0.6, len(digits.y))
    after = before - 0.05 + np.repeat(rng.normal(0, 0.02, WRITERS), 28)[: len(before)]
    evidence = Evidence(
        np.zeros_like(before), before, after, digits.writers, "superior", (), loss=loss.given("1 - NDCG")
    )
    verdict = judge(evidence, GateRules(), cluster="query")
    assert verdict.verdict == "promote"
    assert verdict.reason.startswith("1 - NDCG falls by 0.0")
    assert verdict.guards == ()
    assert judge(dataclasses.replace(evidence, champion=after, challenger=before), GateRules()).verdict == "hold"
    first = judge(dataclasses.replace(evidence, champion=None, mode="first"), GateRules(), cluster="query")
    assert (first.verdict, first.reason) == (
        "promote",
        "there is no champion, so floors only: nothing is named that it would have to beat (1,198 rows, 43 queries)",
    )
