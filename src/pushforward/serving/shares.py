"""Shares: which requests another version is asked too, and when a canary has shown that it is worse. Pure.

A key is always of the same side, so that whoever asks twice is answered by the same version. Of a canary's share both
versions are asked, and each row is its own pair: what is compared is the difference of losses of the same row.
`live` counts faults and times, `canary` joins outcomes; both ask here.
"""

import hashlib
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from pushforward import percent
from pushforward.gate import stats
from pushforward.gate.evidence import scarce
from pushforward.gate.loss import Loss
from pushforward.gate.stats import Floats
from pushforward.text import figure

ALPHA = 0.05  # of a canary that is no worse, over all looks together, to be taken back
RECENT = 100  # answers that failures are counted among
MOST_FAILURES = 3
TIMED = 100  # pairs before times are compared
SLACK_MS = 5.0  # that a canary may take longer whatever the times are: below this it is the machine
SCALE = 2**64


def within(key: str, salt: str, share: float) -> bool:
    """Whether a key is in the share; another salt chooses others."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * SCALE


@dataclass
class Pairs:
    """What a canary's answers were like, beside those of the version in use to the same requests."""

    slower: float
    asked: int = 0
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))
    _times: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=10 * TIMED))

    def add(self, canary_ms: float | None, main_ms: float | None) -> None:
        """One request that both were asked, and how long each took; None for one that could not answer."""
        if main_ms is None:
            return  # where neither answers, the canary is not at fault
        self.asked += 1
        self._recent.append(canary_ms is None)
        if canary_ms is not None:
            self._times.append((canary_ms, main_ms))

    def fault(self) -> str:
        """Why the canary has to go at once, or ""."""
        failures = sum(self._recent)
        if failures >= MOST_FAILURES:
            return f"{failures} of its last {len(self._recent)} answers failed where the version in use answered"
        if len(self._times) < TIMED:
            return ""
        mine, other = (statistics.median(times) for times in zip(*self._times, strict=True))
        if mine > self.slower * other and mine > other + SLACK_MS:
            return f"it takes {mine:.3g} ms where the version in use takes {other:.3g} (medians of {len(self._times)})"
        return ""


def level(look: int) -> float:
    """The level of the look with this number, from 1 on: 1 / (k (k + 1)) of `ALPHA`, so that no number of looks has
    more than all of it.
    """
    return ALPHA / (look * (look + 1))


def worse(y: Floats, main: Floats, canary: Floats, clusters: NDArray[Any], loss: Loss, *, look: int) -> str:
    """Why outcomes show that a canary is worse than the version in use at this look, or "".

    By the gate's own statistics: the one-sided lower bound of what its loss is above that of the other, of the same
    rows, clustered, lies above nothing.
    """
    if scarce(clusters):
        return ""
    excess = stats.clustered_mean(loss.rows(y, canary) - loss.rows(y, main), clusters)
    low = excess.low(level(look))
    if not low > 0:
        return ""
    confidence = percent.confidence(level(look), ".6g")
    count = len(set(clusters.tolist()))
    return (
        f"its {loss.title} is higher by {figure(excess.mean)}, by {figure(low)} or more at {confidence} confidence "
        f"({len(y):,} outcomes, {count} days, look {look})"
    )
