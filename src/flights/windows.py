"""Exact counts and sums over time windows, by key: the primitive that every feature with a memory is made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

Int = npt.NDArray[np.int64]
NO_KEY = -1
_TIME_BITS = 33
_RADIX = 2**16  # numpy sorts integers below this without comparing them: in time that is linear in their number


def known_seconds(instants: pl.Series) -> Int:
    """Event times in whole seconds since 1970, rounded up: an event is never known too early."""
    microseconds = instants.to_physical().to_numpy()
    return np.asarray(-(-microseconds // 1_000_000), dtype=np.int64)


def asked_seconds(instants: pl.Series) -> Int:
    """Question times in whole seconds since 1970, rounded down."""
    return np.asarray(instants.to_physical().to_numpy() // 1_000_000, dtype=np.int64)


class Vocabulary:
    """The values of a column of the rows, as small integers: what rows and all that is told of them are joined by."""

    def __init__(self, rows: pl.Series) -> None:
        self.values = rows.drop_nulls().unique().sort()
        self.size = max(1, len(self.values))

    def codes(self, column: pl.Series) -> Int:
        """The place of each value; `NO_KEY` for null, and for one that no row has."""
        if self.values.dtype == pl.String:
            places = column.cast(pl.Enum(self.values), strict=False).to_physical()
            return places.cast(pl.Int64).fill_null(NO_KEY).to_numpy()
        numbers, asked = self.values.to_numpy(), column.fill_null(0).to_numpy()
        if not len(numbers):
            return np.full(len(asked), NO_KEY, dtype=np.int64)
        place = np.minimum(np.searchsorted(numbers, asked), len(numbers) - 1)
        return np.where((numbers[place] == asked) & column.is_not_null().to_numpy(), place, NO_KEY)


def joint(codes: list[Int], sizes: list[int]) -> Int:
    """One code for a combination of codes, each below its size; `NO_KEY` where any of them is."""
    combined = np.zeros_like(codes[0])
    known = np.ones(len(codes[0]), dtype=bool)
    for code, size in zip(codes, sizes, strict=True):
        combined = combined * size + code
        known &= code != NO_KEY
    return np.where(known, combined, NO_KEY)


def _stamped(position: npt.NDArray[np.intp], seconds: Int) -> Int:
    """Key and time as one sortable number; times outside 1970 to 2242 count as its ends."""
    return (position.astype(np.int64) << _TIME_BITS) + np.clip(seconds, 0, 2**_TIME_BITS - 1)


def _ordered(keys: Int, seconds: Int) -> Int:
    """The places of keys and times in the order of both, equal ones as they came; `NO_KEY` is first.

    What is in order of time already, as feeds and timetables are, needs no more than its keys put together.
    """
    if np.any(seconds[1:] < seconds[:-1]):
        return np.lexsort((seconds, keys))
    small = keys.max(initial=0) < _RADIX - 1
    return np.argsort((keys + 1).astype(np.uint16) if small else keys, kind="stable")


class Questions:
    """Keys, and the seconds until which each asks (arrays of one length), in the order that timelines are in.

    So neighbours find their answers beside each other. What is asked depends on no event, so it serves many timelines.
    """

    def __init__(self, keys: Int, until: Int) -> None:
        self.order = _ordered(keys, until)
        self.keys, self.until = keys[self.order], until[self.order]

    def in_place(self, answers: Int) -> Int:
        """Answers to these, in the order in which they came."""
        found = np.empty_like(answers)
        found[self.order] = answers
        return found


@dataclass(frozen=True)
class Timeline:
    """Events of one sort, ordered by key and time, with running totals of their integer values.

    Integers, because running totals of floats depend on what was summed before: the same row would get other
    bytes when more history is at hand.
    """

    keys: Int
    stamps: Int
    order: Int
    values: Int | None = None

    @classmethod
    def of(cls, keys: Int, seconds: Int, values: Int | None = None) -> "Timeline":
        """Order events (equal length arrays: key code, second, integer value); events without a key are left out."""
        order = _ordered(keys, seconds)
        order = order[np.searchsorted(keys[order], NO_KEY, side="right") :]
        ordered = keys[order]
        begins = np.ones(len(ordered), dtype=bool)
        begins[1:] = ordered[1:] != ordered[:-1]
        stamps = _stamped(np.cumsum(begins) - 1, seconds[order])
        return cls(ordered[begins], stamps, order, None if values is None else values[order])

    @property
    def tied(self) -> bool:
        """Whether two events are of one key and one second: which of them came last only a finer order can tell."""
        return bool(np.any(self.stamps[1:] == self.stamps[:-1]))

    @cached_property
    def totals(self) -> Int:
        """The sum of the values before each event, and of all of them; each is 1 where none were given."""
        if self.values is None:
            return np.arange(len(self.stamps) + 1, dtype=np.int64)
        return np.concatenate([[0], np.cumsum(self.values, dtype=np.int64)])

    def asked(self, questions: Questions) -> "Answers":
        """What these questions are to be told."""
        return Answers(self, questions)

    def between(self, keys: Int, after: Int, until: Int) -> tuple[Int, Int]:
        """Number of events and sum of values with `after` < time <= `until` (seconds), per question."""
        return self.asked(Questions(keys, until)).since(after)


class Answers:
    """A timeline before questions: over windows that all end when each question does."""

    def __init__(self, timeline: Timeline, questions: Questions) -> None:
        self._timeline, self._questions = timeline, questions
        position = np.searchsorted(timeline.keys, questions.keys)
        found = position < len(timeline.keys)
        found[found] = timeline.keys[position[found]] == questions.keys[found]
        self._position, self._found = position, found
        self._high = self._until(questions.until)

    def since(self, after: Int) -> tuple[Int, Int]:
        """Number of events and sum of values after the seconds `after`, per question."""
        low = self._until(after[self._questions.order])
        count = np.where(self._found, self._high - low, 0)
        totals = self._timeline.totals
        total = np.where(self._found, totals[self._high] - totals[low], 0)
        return self._questions.in_place(count), self._questions.in_place(total)

    def last(self, after: Int) -> Int:
        """Index of the last event after the seconds `after`, per question; -1 where there is none."""
        low = self._until(after[self._questions.order])
        index = np.full(len(low), -1, dtype=np.int64)
        some = self._found & (self._high > low)
        index[some] = self._timeline.order[self._high[some] - 1]
        return self._questions.in_place(index)

    def _until(self, seconds: Int) -> Int:
        """How many ordered events lie at or before each."""
        stamps = _stamped(self._position, seconds)
        return np.searchsorted(self._timeline.stamps, stamps, side="right").astype(np.int64, copy=False)
