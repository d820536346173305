"""Losses that can be gated, a row at a time: what each asks of labels and predictions, and the constant to beat. Pure.

`gate.decision` judges by them; `gate.metric` of the settings names one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pushforward.gate import stats
from pushforward.gate.stats import Floats

if TYPE_CHECKING:
    from pushforward.settings import GateRules

# The square of a sum of squared errors must still be a number.
LARGEST = 1e60


@dataclass(frozen=True)
class Loss:
    """One loss: its `title` in sentences, its value per row (`rows(y, p)`), the best `constant(y)` in hindsight.

    A `probability` takes labels of 0 and 1, and predictions between them; a `positive` loss labels from 0 on, and
    predictions above 0; `zero_label` says whether a label may be 0. Beside the loss of numbers people are shown
    the `rmse`, or else the mean absolute error: both are in the unit of the label.
    """

    title: str
    rows: Callable[[Floats, Floats], Floats]
    constant: Callable[[Floats], float]
    probability: bool = False
    positive: bool = False
    zero_label: bool = True
    rmse: bool = False

    def label_problem(self, y: Floats) -> str:
        """Why the labels `y`, all finite, are none that this loss can be taken of, or ""."""
        if self.probability and not np.all((y == 0) | (y == 1)):
            return "a label is neither 0 nor 1"
        if self.positive and np.any(y < 0):
            return f"a label is below 0, and the {self.title} is of counts"
        if not self.zero_label and np.any(y == 0):
            return f"a label is 0, and the {self.title} divides by it"
        return ""

    def prediction_problem(self, p: Floats) -> str:
        """What the predictions `p`, all finite, do that this loss cannot be taken of ("predicts …"), or ""."""
        if self.probability and not (np.all(p >= 0) and np.all(p <= 1)):
            return "predicts outside [0, 1]"
        if self.positive and not np.all(p > 0):
            return f"predicts 0 or less, and the {self.title} is of positive means"
        return ""


def of(rules: "GateRules") -> Loss:
    """The loss that the settings name, with its parameter."""
    if rules.metric == "pinball":
        assert rules.quantile is not None  # noqa: S101, the settings ask for it
        return _pinball(rules.quantile)
    if rules.metric == "huber":
        assert rules.delta is not None  # noqa: S101, the settings ask for it
        return _huber(rules.delta)
    return LOSSES[rules.metric]


def poisson(y: Floats, p: Floats) -> Floats:
    """Per row: 2 (y log(y / p) - y + p), the unit deviance of a count y >= 0 with mean p > 0.

    McCullagh and Nelder (1989), Generalized Linear Models, table 2.1; y log y is 0 where y is 0.
    """
    ratio = np.divide(y, p, out=np.ones_like(p), where=y > 0)
    return 2 * (y * np.log(ratio) - y + p)


def pinball(y: Floats, p: Floats, quantile: float) -> Floats:
    """Per row: q (y - p) above the prediction, (1 - q) (p - y) below it (Koenker and Bassett 1978)."""
    return np.maximum(quantile * (y - p), (quantile - 1) * (y - p))


def percentage(y: Floats, p: Floats) -> Floats:
    """Per row: |y - p| / |y|, as a share of the label, which is not 0."""
    return np.abs(y - p) / np.abs(y)


def huber(y: Floats, p: Floats, delta: float) -> Floats:
    """Per row: e²/2 up to |e| = delta, delta (|e| - delta/2) beyond, in squared units of the label (Huber 1964)."""
    error = np.abs(y - p)
    return np.where(error <= delta, error**2 / 2, delta * (error - delta / 2))


def _weighted_median(y: Floats) -> float:
    """The median of `y`, each weighted by 1 / |y|: the constant of least absolute percentage error."""
    order = np.argsort(y, kind="stable")
    weights = np.cumsum(1 / np.abs(y[order]))
    return float(y[order][np.searchsorted(weights, weights[-1] / 2)])


def _centre(y: Floats, delta: float) -> float:
    """The constant of least Huber loss: where the errors, each cut off at ±delta, sum to nothing; by bisection."""
    low, high = float(np.min(y)), float(np.max(y))
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if np.clip(y - middle, -delta, delta).sum() > 0 else (low, middle)
    return (low + high) / 2


def _mean(y: Floats) -> float:
    return float(np.mean(y))


def _median(y: Floats) -> float:
    return float(np.median(y))


def _pinball(quantile: float) -> Loss:
    return Loss(
        f"pinball loss at {quantile:g}",
        partial(pinball, quantile=quantile),
        lambda y: float(np.quantile(y, quantile)),
    )


def _huber(delta: float) -> Loss:
    return Loss(f"Huber loss at {delta:g}", partial(huber, delta=delta), partial(_centre, delta=delta))


LOSSES = {
    "logloss": Loss("log loss", stats.log_loss, _mean, probability=True),
    "brier": Loss("Brier score", stats.squared, _mean, probability=True),
    "absolute": Loss("absolute error", stats.absolute, _median, rmse=True),
    "squared": Loss("squared error", stats.squared, _mean, rmse=True),
    "poisson": Loss("Poisson deviance", poisson, _mean, positive=True),
    "percentage": Loss("absolute percentage error", percentage, _weighted_median, zero_label=False),
}
