"""Exact counts and sums over time windows, by key: the primitive that every feature with a memory is made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Int = npt.NDArray[np.int64]
NO_KEY = -1
_TIME_BITS = 33


def known_seconds(instants: pl.Series) -> Int:
    """Event times in whole seconds since 1970, rounded up: an event is never known too early."""
    microseconds = instants.to_physical().to_numpy()
    return np.asarray(-(-microseconds // 1_000_000), dtype=np.int64)


def asked_seconds(instants: pl.Series) -> Int:
    """Question times in whole seconds since 1970, rounded down."""
    return np.asarray(instants.to_physical().to_numpy() // 1_000_000, dtype=np.int64)


def shared_codes(events: pl.Series, rows: pl.Series) -> tuple[Int, Int]:
    """The same small integer for the same value in both series; `NO_KEY` for null."""
    codes = pl.concat([events, rows]).rank("dense").cast(pl.Int64).fill_null(NO_KEY).to_numpy()
    return codes[: len(events)], codes[len(events) :]


def _stamped(position: npt.NDArray[np.intp], seconds: Int) -> Int:
    """Key and time as one sortable number; times outside 1970 to 2242 count as its ends."""
    return (position.astype(np.int64) << _TIME_BITS) + np.clip(seconds, 0, 2**_TIME_BITS - 1)


def joint(codes: list[Int], sizes: list[int]) -> Int:
    """One code for a combination of codes, each below its size; `NO_KEY` where any of them is."""
    combined = np.zeros_like(codes[0])
    known = np.ones(len(codes[0]), dtype=bool)
    for code, size in zip(codes, sizes, strict=True):
        combined = combined * size + code
        known &= code != NO_KEY
    return np.where(known, combined, NO_KEY)


@dataclass(frozen=True)
class Timeline:
    """Events of one sort, ordered by key and time, with running totals of their integer values.

    Integers, because running totals of floats depend on what was summed before: the same row would get other
    bytes when more history is at hand.
    """

    keys: Int
    stamps: Int
    order: Int
    totals: Int

    @classmethod
    def of(cls, keys: Int, seconds: Int, values: Int | None = None) -> "Timeline":
        """Order events (equal length arrays: key code, second, integer value); events without a key are left out."""
        kept = np.flatnonzero(keys != NO_KEY)
        kept = kept[np.lexsort((seconds[kept], keys[kept]))]
        unique, position = np.unique(keys[kept], return_inverse=True)
        stamps = _stamped(position, seconds[kept])
        value = np.ones(len(kept), dtype=np.int64) if values is None else values[kept]
        return cls(unique, stamps, kept, np.concatenate([[0], np.cumsum(value, dtype=np.int64)]))

    def _until(self, keys: Int, seconds: Int) -> tuple[Int, npt.NDArray[np.bool_]]:
        """For each question, how many ordered events lie at or before it, and whether its key is known at all."""
        position = np.searchsorted(self.keys, keys)
        found = position < len(self.keys)
        found[found] = self.keys[position[found]] == keys[found]
        stamps = _stamped(position, seconds)
        return np.searchsorted(self.stamps, stamps, side="right").astype(np.int64), found

    def between(self, keys: Int, after: Int, until: Int) -> tuple[Int, Int]:
        """Number of events and sum of values with `after` < time <= `until` (seconds), per question."""
        high, found = self._until(keys, until)
        low, _ = self._until(keys, after)
        count = np.where(found, high - low, 0)
        return count, np.where(found, self.totals[high] - self.totals[low], 0)

    def last(self, keys: Int, after: Int, until: Int) -> Int:
        """Index of the last event with `after` < time <= `until`, per question; -1 where there is none."""
        high, _ = self._until(keys, until)
        count, _ = self.between(keys, after, until)
        index = np.full(len(keys), -1, dtype=np.int64)
        some = count > 0
        index[some] = self.order[high[some] - 1]
        return index
