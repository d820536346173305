"""Intervals that hold at every look: a version is looked at daily for as long as it serves. Pure. `live` asks.

A look at 5 % each day would find something in any version in the end. A gate spends its error over a number of looks
that it knows; nobody knows how often a version will be looked at, so nothing is spent here: the interval is one of a
sequence that covers the mean at all times at once (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform
central limit theory and asymptotic confidence sequences", theorem 2.2: the normal mixture of Robbins 1970). To look
twice, to dry-run or to look again where a run has broken off costs nothing.

Days are not independent: a storm lasts three. So the variance is that of blocks of three days that follow each other,
which costs days where they are independent, and keeps the promise where they are not (`benchmarks/looks.py`).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pushforward.gate import stats
from pushforward.gate.stats import Floats

BLOCK = 3  # clusters that follow each other, taken as one
LEAST_CLUSTERS = 12  # four blocks: before that, no variance is known well enough
TIGHTEST_AT = 30  # clusters: where the sequence is narrowest, in days a month after a version was put to use


@dataclass(frozen=True)
class Interval:
    """A mean, and where it lies at all looks together but for a share `alpha`; without `low` and `high` too early."""

    mean: float
    low: float | None
    high: float | None
    rows: int
    clusters: int
    alpha: float

    def above(self, bound: float) -> bool:
        """Whether the mean is proven to be above `bound`."""
        return self.low is not None and self.low > bound

    def below(self, bound: float) -> bool:
        """Whether the mean is proven to be below `bound`."""
        return self.high is not None and self.high < bound


def of(values: Floats, clusters: NDArray[Any], alpha: float) -> Interval:
    """The interval of the mean of `values`, in the order of time, whose rows move together by cluster and its next.

    There is one row at least.
    """
    blocks, count = _blocks(clusters)
    if count < LEAST_CLUSTERS:
        return Interval(float(values.mean()), None, None, len(values), count, alpha)
    found = stats.clustered_mean(values, blocks)
    width = factor(count, alpha) * found.error
    return Interval(found.mean, found.mean - width, found.mean + width, len(values), count, alpha)


def factor(clusters: int, alpha: float, block: int = BLOCK) -> float:
    """How many standard errors wide the sequence is to each side, after so many clusters.

    sqrt(2 (t r² + 1) / (t r²) log(sqrt(t r² + 1) / alpha)); the tail beyond it is then taken of Student's t, as its
    variance comes of the same clusters, in blocks of `block`.
    """
    from scipy.special import ndtr, stdtrit

    spread = clusters * (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TIGHTEST_AT  # t r²
    normal = math.sqrt(2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))
    return float(-stdtrit(math.ceil(clusters / block) - 1, ndtr(-normal)))


def _blocks(clusters: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """The block of each row, by the order in which clusters come, and how many clusters there are."""
    order: dict[Any, int] = {}
    places = [order.setdefault(one, len(order)) for one in clusters.tolist()]
    return np.asarray(places, dtype=np.int64) // BLOCK, len(order)
