"""Losses that can be gated, a row at a time: what each asks of labels and predictions, and the constant to beat. Pure.

`gate.decision` judges by them; `loss` in the settings names one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from pushforward.gate import stats
from pushforward.gate.stats import Floats

if TYPE_CHECKING:
    from pushforward.settings import GateRules

# The square of a sum of squared errors must still be a number.
LARGEST = 1e60


Form = Literal["number", "probability", "classes", "given"]
ROUNDED = 1e-6  # what the probabilities of one row may miss 1 by


@dataclass(frozen=True)
class Loss:
    """One loss: its `title` in sentences, its value per row (`rows(y, p)`), the best `constant(y)` in hindsight.

    By its `form` labels and predictions are numbers; or labels 0 and 1, and the probability of 1; or the places of
    `classes` labels, and a row of a probability each, (rows, classes); or nothing that is looked at, for the losses
    are given: then y is not used, and p is the loss. A `positive` loss takes labels from 0 on and predictions above 0;
    `zero_label` says whether a label may be 0. Beside the loss of numbers people are shown the `rmse`, or else the mean
    absolute error: both are in the unit of the label. Pictures are drawn in another process, so it can be pickled.
    """

    title: str
    rows: Callable[[Floats, Floats], Floats]
    constant: Callable[[Floats], float] | None = None
    form: Form = "number"
    positive: bool = False
    zero_label: bool = True
    rmse: bool = False
    classes: int = 0

    @property
    def probability(self) -> bool:
        """Whether predictions are probabilities of a label that is 0 or 1."""
        return self.form == "probability"

    def rival(self, y: Floats) -> tuple[str, Floats] | None:
        """What any model has to beat, and its predictions: the best constant, or the shares of the classes."""
        if self.form == "classes":
            shares = np.bincount(y.astype(np.int64), minlength=self.classes) / len(y)
            return "the shares of the classes", np.tile(shares, (len(y), 1))
        if self.constant is None:
            return None
        best = self.constant(y)
        return f"the constant prediction {best:.4g}", np.full_like(y, best)

    def label_problem(self, y: Floats) -> str:
        """Why the labels `y`, all finite, are none that this loss can be taken of, or ""."""
        if self.probability and not np.all((y == 0) | (y == 1)):
            return "a label is neither 0 nor 1"
        if self.form == "classes" and len(np.unique(y)) < 2:
            return "the holdout has rows of one class only"
        if self.positive and np.any(y < 0):
            return f"a label is below 0, and the {self.title} is of counts"
        if not self.zero_label and np.any(y == 0):
            return f"a label is 0, and the {self.title} divides by it"
        return ""

    def prediction_problem(self, p: Floats) -> str:
        """What the predictions `p`, all finite, do that this loss cannot be taken of ("predicts …"), or ""."""
        if self.form in {"probability", "classes"} and not (np.all(p >= 0) and np.all(p <= 1)):
            return "predicts outside [0, 1]"
        if self.form == "classes" and np.any(np.abs(p.sum(axis=1) - 1) > ROUNDED):
            return "predicts probabilities that do not add up to 1"
        if self.positive and not np.all(p > 0):
            return f"predicts 0 or less, and the {self.title} is of positive means"
        return ""


def of(rules: "GateRules", classes: int = 0) -> Loss:
    """The loss that the settings name, with its parameter; of a label of so many `classes` where it has some."""
    if classes:
        title, rows = OF_CLASSES[rules.metric]
        return Loss(title, rows, form="classes", classes=classes)
    if rules.metric == "pinball":
        assert rules.quantile is not None  # noqa: S101, the settings ask for it
        return _pinball(rules.quantile)
    if rules.metric == "huber":
        assert rules.delta is not None  # noqa: S101, the settings ask for it
        return _huber(rules.delta)
    return LOSSES[rules.metric]


def given(title: str) -> Loss:
    """The loss that a project computes by itself, one number a key; nothing is known of labels and predictions."""
    return Loss(title, _itself, form="given")


def class_log_loss(y: Floats, p: Floats) -> Floats:
    """Per row: -log of the probability given to the class that it was, clipped at 1e-7; `p` is (rows, classes)."""
    losses: Floats = -np.log(np.clip(_picked(y, p), stats.CLIP, 1.0))
    return losses


def class_brier(y: Floats, p: Floats) -> Floats:
    """Per row: the sum over classes of (p - 1 where it was that class)², from 0 to 2 (Brier 1950)."""
    squares: Floats = (p**2).sum(axis=1)
    losses: Floats = squares - 2 * _picked(y, p) + 1
    return losses


def class_right(y: Floats, p: Floats) -> Floats:
    """Per row: 1 where the class of the largest probability, the first of equals, is the right one, else 0."""
    return 1 - class_error(y, p)


def class_error(y: Floats, p: Floats) -> Floats:
    """Per row: 0 where the class of the largest probability, the first of equals, is the right one, else 1."""
    wrong: Floats = (p.argmax(axis=1) != y).astype(np.float64)
    return wrong


def _itself(_: Floats, losses: Floats) -> Floats:
    return losses


def _picked(y: Floats, p: Floats) -> Floats:
    picked: Floats = p[np.arange(len(y)), y.astype(np.int64)]
    return picked


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


def _quantile(y: Floats, quantile: float) -> float:
    return float(np.quantile(y, quantile))


def _pinball(quantile: float) -> Loss:
    return Loss(
        f"pinball loss at {quantile:g}",
        partial(pinball, quantile=quantile),
        partial(_quantile, quantile=quantile),
    )


def _huber(delta: float) -> Loss:
    return Loss(f"Huber loss at {delta:g}", partial(huber, delta=delta), partial(_centre, delta=delta))


LOSSES = {
    "logloss": Loss("log loss", stats.log_loss, _mean, form="probability"),
    "brier": Loss("Brier score", stats.squared, _mean, form="probability"),
    "absolute": Loss("absolute error", stats.absolute, _median, rmse=True),
    "squared": Loss("squared error", stats.squared, _mean, rmse=True),
    "poisson": Loss("Poisson deviance", poisson, _mean, positive=True),
    "percentage": Loss("absolute percentage error", percentage, _weighted_median, zero_label=False),
}
OF_CLASSES = {
    "logloss": ("log loss", class_log_loss),
    "brier": ("Brier score", class_brier),
    "accuracy": ("error rate", class_error),
}
