"""How good probabilities are: log loss, AUC, Brier score, calibration error; arrays in, numbers out."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int8]
Probabilities = npt.NDArray[np.float64]


def log_loss(y: Labels, p: Probabilities) -> float:
    """Mean negative log likelihood in nats; `y` (n,) of 0 and 1, `p` (n,) clipped to [1e-15, 1 - 1e-15]."""
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(y == 1, np.log(clipped), np.log1p(-clipped))))


def auc(y: Labels, p: Probabilities) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half (Mann-Whitney U).

    NaN when one class is absent.
    """
    positives = int(np.sum(y == 1))
    negatives = len(y) - positives
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(p, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(count) - (count - 1) / 2
    return float((middle_rank[place][y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


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
