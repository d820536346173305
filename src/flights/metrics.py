"""How good probabilities are: log loss, AUC, Brier score, calibration error; arrays in, numbers out."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int8]
Probabilities = npt.NDArray[np.float64]
CHUNK = 1 << 20  # rows at a time, where a step needs many times what it is given


def log_loss(y: Labels, p: Probabilities) -> float:
    """Mean negative log likelihood in nats; `y` (n,) of 0 and 1, `p` (n,) clipped to [1e-15, 1 - 1e-15]."""
    told = np.empty(len(p), dtype=np.float64)
    for place in range(0, len(p), CHUNK):
        part = slice(place, place + CHUNK)
        clipped = np.clip(p[part], 1e-15, 1 - 1e-15)
        told[part] = np.where(y[part] == 1, np.log(clipped), np.log1p(-clipped))
    return float(-np.mean(told))


def auc(y: Labels, p: Probabilities) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half (Mann-Whitney U).

    NaN when one class is absent.
    """
    positives, negatives = np.sort(p[y == 1]), np.sort(p[y != 1])
    if not len(positives) or not len(negatives):
        return float("nan")
    above = 0  # twice, so that a tie counts as one
    for place in range(0, len(positives), CHUNK):
        part = positives[place : place + CHUNK]
        above += int(np.searchsorted(negatives, part, "left").sum())
        above += int(np.searchsorted(negatives, part, "right").sum())
    return above / 2 / (len(positives) * len(negatives))


def brier(y: Labels, p: Probabilities) -> float:
    """Mean squared difference of probability and outcome."""
    return float(np.mean((p - y) ** 2))


def calibration(y: Labels, p: Probabilities, bins: int) -> npt.NDArray[np.float64]:
    """Reliability table over `bins` equal-size groups by `p`: shape (bins, 3), columns mean p, share of ones, rows."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return np.array([[p[part].mean(), y[part].mean(), len(part)] for part in parts])


def calibration_error(y: Labels, p: Probabilities, bins: int = 10) -> float:
    """Expected calibration error: mean gap of mean p and share of ones over equal-size groups, weighted by rows."""
    table = calibration(y, p, bins)
    return float(np.sum(np.abs(table[:, 0] - table[:, 1]) * table[:, 2]) / len(y))
