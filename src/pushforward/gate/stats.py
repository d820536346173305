"""Paired, clustered statistics of two models on one holdout; pure.

Rows of one cluster (a day, say) move together, so every error here is computed from cluster sums, and every
quantile is Student's t with clusters - 1 degrees of freedom.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pushforward.gate import special

Floats = NDArray[np.float64]

# A prediction of exactly 0 or 1 that turns out wrong has infinite log loss; one row must not decide.
CLIP = 1e-7
# What threads and GPUs may make of one prediction from call to call: a share of it, or of the largest of all.
ROUNDING, NOTHING = 1e-9, 1e-12
# What two devices may make of one: a few of the last bits of a number of 32.
BETWEEN_DEVICES = 2e-6
KEPT_BITS = 2.0**28
BINS = 10  # of equal width, of a calibration
GUARD_ALPHA = 0.05  # the level of each guard


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and degrees of freedom."""

    mean: float
    error: float
    freedom: int

    def low(self, alpha: float) -> float:
        """The one-sided lower bound at confidence 1 - alpha."""
        return self.mean - _upper(alpha, self.freedom) * self.error

    def high(self, alpha: float) -> float:
        """The one-sided upper bound at confidence 1 - alpha."""
        return self.mean + _upper(alpha, self.freedom) * self.error

    def p_below(self, bound: float) -> float:
        """The one-sided p value against "the mean is at least `bound`"."""
        excess = self.mean - bound
        if self.error > 0:
            return special.stdtr(self.freedom, excess / self.error)
        return 0.0 if excess < 0 else 1.0


def differing(before: Floats, after: Floats, rounding: float = ROUNDING) -> NDArray[np.bool_]:
    """Which rows, of one prediction or several, differ by more than `rounding`; beside what is no number all do."""
    off, size = np.abs(after - before), np.maximum(np.abs(before), np.abs(after))
    differs = ~(off <= np.maximum(rounding * size, NOTHING * size.max(initial=0.0)))
    return np.asarray(differs if differs.ndim == 1 else differs.any(axis=1))


def rounded(p: Floats) -> Floats:
    """Predictions by which a model is known again, whose last bits threads and GPUs choose."""
    mantissa, exponent = np.frexp(p)
    same: Floats = np.ldexp(np.round(mantissa * KEPT_BITS) / KEPT_BITS, exponent) + 0.0
    return same


def log_loss(y: Floats, p: Floats) -> Floats:
    """Per row: -log of the probability given to what happened, `p` clipped to [1e-7, 1 - 1e-7]."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def clipped(p: Floats) -> int:
    """How many predictions `log_loss` moves."""
    return int(np.count_nonzero((p < CLIP) | (p > 1 - CLIP)))


def squared(y: Floats, p: Floats) -> Floats:
    """Per row: (y - p)^2. Its mean is the Brier score where y is 0 or 1 and p a probability."""
    return (y - p) ** 2


def absolute(y: Floats, p: Floats) -> Floats:
    """Per row: |y - p|."""
    return np.abs(y - p)


def clustered_mean(values: Floats, clusters: NDArray[Any]) -> Estimate:
    """The mean of `values`, with the CR1 error for `clusters`: sqrt(sum_g S_g^2 * G / (G - 1)) / n.

    S_g is the sum of the residuals of cluster g. With one row a cluster this is the usual s / sqrt(n). At least
    two clusters are needed; NaN in, NaN out.
    """
    codes, count = _codes(clusters)
    mean = float(np.mean(values))
    sums = np.bincount(codes, weights=values - mean, minlength=count)
    return Estimate(mean, math.sqrt(float(sums @ sums) * count / (count - 1)) / len(values), count - 1)


def clusters_better(differences: Floats, clusters: NDArray[Any]) -> int:
    """In how many clusters the differences sum to more than zero."""
    codes, count = _codes(clusters)
    return int(np.count_nonzero(np.bincount(codes, weights=differences, minlength=count) > 0))


def auc(y: Floats, p: Floats) -> float:
    """The area under the ROC curve, ties counted half; y is 0 or 1 and has both."""
    return float(np.mean(_placements(y == 1, p)[0]))


def auc_difference(y: Floats, champion: Floats, challenger: Floats, clusters: NDArray[Any]) -> Estimate:
    """AUC of the challenger less AUC of the champion, with its error for clustered rows.

    DeLong, DeLong and Clarke-Pearson (1988), extended to clusters by Obuchowski (1997); with one row a cluster it
    is DeLong's variance exactly. At least two clusters with a positive and two with a negative are needed.
    """
    positive = y == 1
    old, new = _placements(positive, champion), _placements(positive, challenger)
    codes, count = _codes(clusters)
    sums, groups, means = [], [], []
    for rows, before, after in zip((positive, ~positive), old, new, strict=True):
        difference = after - before
        means.append(float(np.mean(difference)))
        residuals = (difference - means[-1]) / len(difference)
        sums.append(np.bincount(codes[rows], weights=residuals, minlength=count))
        groups.append(len(np.unique(codes[rows])))
    (of_positives, of_negatives), (with_positives, with_negatives) = sums, groups
    variance = (
        with_positives / (with_positives - 1) * float(of_positives @ of_positives)
        + with_negatives / (with_negatives - 1) * float(of_negatives @ of_negatives)
        + 2 * count / (count - 1) * float(of_positives @ of_negatives)
    )
    return Estimate(means[0], math.sqrt(max(variance, 0.0)), count - 1)


def offset_adjusted(y: Floats, p: Floats) -> Floats:
    """The predictions with one free intercept refitted, so that their mean is the mean of y.

    Returns sigmoid(logit(p) + c) for the one c that does so (the maximum likelihood intercept). What is left of a
    difference between two models after this is no difference of level, which a season alone can turn round.
    """
    logits = np.log(np.clip(p, CLIP, 1 - CLIP)) - np.log1p(-np.clip(p, CLIP, 1 - CLIP))
    rate = float(np.mean(y))
    low, high = -2 * abs(math.log(CLIP)) - 20, 2 * abs(math.log(CLIP)) + 20
    shift = 0.0
    for _ in range(200):
        adjusted = 1 / (1 + np.exp(-(logits + shift)))
        excess = float(np.mean(adjusted)) - rate
        low, high = (low, shift) if excess > 0 else (shift, high)
        step = shift - excess / max(float(np.mean(adjusted * (1 - adjusted))), 1e-300)
        # Newton where it stays inside the bracket, else halve: the mean is monotone in the shift.
        following = step if low < step < high else (low + high) / 2
        if abs(following - shift) <= 1e-14 * max(1.0, abs(shift)):
            break
        shift = following
    return 1 / (1 + np.exp(-(logits + shift)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def calibration_error(y: Floats, p: Floats) -> float:
    """The expected calibration error: |mean p - mean y| in bins of equal width, weighted by rows."""
    codes = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    return float(np.abs(np.bincount(codes, weights=p - y, minlength=BINS)).sum() / len(y))


def minimum_detectable(estimate: Estimate, alpha: float, power: float = 0.8) -> float:
    """The smallest true mean that a test of this error and size finds with this power."""
    return (_upper(alpha, estimate.freedom) + _quantile(power, estimate.freedom)) * estimate.error


def clusters_to_settle(estimate: Estimate, bound: float, alpha: float, power: float = 0.8) -> int | None:
    """How many clusters in all would decide a mean where this one is: G (t_a + t_b)^2 SE^2 / (mean - bound)^2.

    None where the mean lies on the bound, which no number of clusters decides.
    """
    distance = estimate.mean - bound
    needed = minimum_detectable(estimate, alpha, power)
    if distance == 0 or needed / abs(distance) > 1e4:
        return None
    return math.ceil((estimate.freedom + 1) * (needed / distance) ** 2)


def _quantile(probability: float, freedom: int) -> float:
    return special.stdtrit(freedom, probability)


def _upper(alpha: float, freedom: int) -> float:
    # not of 1 - alpha, which is 1 of a small one
    return -_quantile(alpha, freedom)


def _codes(clusters: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    names, codes = np.unique(clusters, return_inverse=True)
    return codes, len(names)


def _placements(positive: NDArray[np.bool_], p: Floats) -> tuple[Floats, Floats]:
    """Of each positive the share of negatives below it, of each negative the share of positives above."""
    above, below = p[positive], p[~positive]
    every = _midranks(p)
    return (
        (every[positive] - _midranks(above)) / len(below),
        1 - (every[~positive] - _midranks(below)) / len(above),
    )


def _midranks(values: Floats) -> Floats:
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    last: Floats = np.cumsum(counts).astype(np.float64)
    return (last - (counts - 1) / 2)[codes]
