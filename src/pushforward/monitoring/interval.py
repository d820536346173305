"""Intervals that hold at every look: a version is looked at daily for as long as it serves. Pure. `live` asks.

A look at 5 % each day would find something in any version in the end. A gate spends its error over a number of looks
that it knows; nobody knows how often a version will be looked at, so nothing is spent here: the interval is one of a
sequence that covers the mean at all times at once (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform
central limit theory and asymptotic confidence sequences", theorem 2.2: the normal mixture of Robbins 1970). To look
twice, to dry-run or to look again where a run has broken off costs nothing.
"""

import math
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pushforward.gate import stats
from pushforward.gate.stats import Floats

LEAST_CLUSTERS = 10  # before that, no variance is known well enough
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
    """The interval of the mean of `values`, whose rows move together by cluster; there is one row at least."""
    count = len(set(clusters.tolist()))
    if count < LEAST_CLUSTERS:
        return Interval(float(values.mean()), None, None, len(values), count, alpha)
    found = stats.clustered_mean(values, clusters)
    width = factor(count, alpha) * found.error
    return Interval(found.mean, found.mean - width, found.mean + width, len(values), count, alpha)


def factor(clusters: int, alpha: float) -> float:
    """How many standard errors wide the sequence is to each side, after so many clusters.

    sqrt(2 (t r² + 1) / (t r²) log(sqrt(t r² + 1) / alpha)); the tail beyond it is then taken of Student's t, as its
    variance comes of the same clusters.
    """
    from scipy.special import ndtr, stdtrit

    spread = clusters * (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TIGHTEST_AT  # t r²
    normal = math.sqrt(2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))
    return float(-stdtrit(clusters - 1, ndtr(-normal)))
