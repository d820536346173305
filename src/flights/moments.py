"""Moments in order that grow and forget: what `online` keeps of the events of one key."""

from array import array
from bisect import bisect_left, bisect_right, insort
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt


class Moments:
    """Seconds in order; how many there ever were is told also after the oldest are forgotten."""

    __slots__ = ("_dropped", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self._dropped = 0

    def add(self, second: int) -> None:
        """One more, in its place."""
        insort(self.times, second)

    def remove(self, second: int) -> None:
        """One less of those that were added with `second` and are not forgotten."""
        del self.times[bisect_left(self.times, second)]

    def until(self, second: int) -> int:
        """How many there ever were at or before `second`, which nothing forgotten is after."""
        return self._dropped + bisect_right(self.times, second)

    def until_each(self, seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """`until` of each."""
        return self._dropped + np.frombuffer(self.times, np.int64).searchsorted(seconds, "right")

    def forget(self, until: int) -> bool:
        """Drop those at or before `until`; whether none is left."""
        gone = bisect_right(self.times, until)
        del self.times[:gone]
        self._dropped += gone
        return not self.times


class Tally:
    """Seconds in order, and the running total of their values: `totals[i]` is the sum before `times[i]`.

    What comes late waits in `late` until `settle`, so that many late ones cost one sort.
    """

    __slots__ = ("late", "times", "totals")

    def __init__(self) -> None:
        self.times = array("q")
        self.totals = array("q", [0])
        self.late: list[tuple[int, int]] = []

    def add(self, second: int, value: int) -> None:
        """An event at `second`."""
        if self.times and second < self.times[-1]:
            self.late.append((second, value))
        else:
            self.times.append(second)
            self.totals.append(self.totals[-1] + value)

    def settle(self) -> None:
        """Put what came late in its place."""
        start = bisect_right(self.times, min(self.late)[0])
        after = self.totals[start:]
        values = [high - low for low, high in pairwise(after)]
        tail = sorted([*zip(self.times[start:], values, strict=True), *self.late])
        self.late = []
        self.times[start:] = array("q", [second for second, _ in tail])
        self.totals[start:] = array("q", accumulate((value for _, value in tail), initial=after[0]))

    def forget(self, until: int) -> bool:
        """Drop what is at or before `until`; whether nothing is left."""
        if self.late:
            self.settle()
        gone = bisect_right(self.times, until)
        del self.times[:gone]
        del self.totals[:gone]
        return not self.times


class Latest:
    """What was told last: `told[i]` at second `times[i]`, in an order of its own that moments agree with."""

    __slots__ = ("_ranks", "_times", "_told")

    def __init__(self) -> None:
        self._ranks: list[tuple[Any, ...]] = []
        self._times = array("q")
        self._told: list[tuple[float, ...]] = []

    def add(self, rank: tuple[Any, ...], second: int, told: tuple[float, ...]) -> None:
        """Something told at `second`, in its place by `rank`."""
        place = bisect_right(self._ranks, rank)
        self._ranks.insert(place, rank)
        self._times.insert(place, second)
        self._told.insert(place, told)

    def last(self, after: int, until: int) -> tuple[float, ...] | None:
        """What was told last with `after` < second <= `until`; None where nothing was."""
        place = bisect_right(self._times, until) - 1
        return self._told[place] if place >= 0 and self._times[place] > after else None

    def forget(self, until: int) -> bool:
        """Drop what was told at or before `until`; whether nothing is left."""
        gone = bisect_right(self._times, until)
        del self._ranks[:gone], self._times[:gone], self._told[:gone]
        return not self._times
