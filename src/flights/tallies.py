"""Tallies by key of what features count, read for a row or for many at once; `online` keeps them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from flights.catalog import FEATURES
from flights.moments import Moments, Tally
from flights.spans import HISTORY_COUNTS, KEYS, NEAR, TIMETABLE_NOTICE, Keys, Share
from flights.told import At, Event, microseconds, rounded_up

Table = npt.NDArray[np.float64]
Row = list[float] | Table
Int = npt.NDArray[np.int64]
# Rows of one key that are read by arrays; fewer are read one by one, which is sooner then.
SEVERAL = 6
PLACE = {feature.name: place for place, feature in enumerate(FEATURES)}
_NOTICE = microseconds(TIMETABLE_NOTICE)


def _key_of(keys: Keys) -> Callable[[At], Any]:
    """What picks the values of `keys`: one value, several, or none at all."""
    return itemgetter(*(KEYS.index(key) for key in keys)) if keys else lambda _: ()


def _known(key: Any) -> bool:
    """Whether no value is missing: an event without a key is nobody's."""
    return None not in key if isinstance(key, tuple) else key is not None


@dataclass
class Asking:
    """Rows that are asked together: their keys, and when they are asked, depart, and have history from, in seconds."""

    at: list[At] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    departs: list[int] = field(default_factory=list)
    since: list[int] = field(default_factory=list)
    _rows: dict[Keys, dict[Any, list[int]]] = field(default_factory=dict)

    @cached_property
    def each(self) -> tuple[Int, Int, Int]:
        """`asked`, `departs` and `since` as arrays."""
        return np.array(self.asked), np.array(self.departs), np.array(self.since)

    def rows_of(self, keys: Keys) -> dict[Any, list[int]]:
        """Which rows have each key."""
        if keys not in self._rows:
            key_of, rows = _key_of(keys), defaultdict(list)
            for row, at in enumerate(self.at):
                rows[key_of(at)].append(row)
            self._rows[keys] = rows
        return self._rows[keys]


@dataclass(frozen=True)
class Ask:
    """A feature of a tally: its place, how far it looks back, and what it is drawn towards; and where it is counted."""

    place: int
    seconds: int
    prior: int
    imagined: float
    count: int | None = None

    @classmethod
    def of(cls, name: str, share: Share) -> "Ask":
        """The feature `name`, and the one that tells how many events it stands on."""
        count = next((PLACE[counter] for counter, counted in HISTORY_COUNTS.items() if counted == name), None)
        return cls(PLACE[name], share.seconds, share.prior, share.prior * share.base, count)


class Tallies:
    """The tallies by key of what is counted together: `told` of an event, and the features that `asks` of it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.key_of = _key_of(keys)
        self.asks: list[Ask] = []
        self._tallies: dict[Any, Tally] = {}

    def add(self, event: Event, value: int) -> None:
        """Count an event."""
        key = self.key_of(event.at)
        if not _known(key):
            return
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.add(event.second, value)

    def read(self, found: Row, at: At, asked: int, since: int) -> None:
        """Write the features of a row into `found`: over what is not before `since`, or longer ago than each looks."""
        tally = self._tallies.get(self.key_of(at))
        if tally is None:
            for ask in self.asks:
                found[ask.place] = ask.imagined / ask.prior
                if ask.count is not None:
                    found[ask.count] = 0.0
            return
        if tally.late:
            tally.settle()
        times, totals = tally.times, tally.totals
        high = bisect_right(times, asked)
        for ask in self.asks:
            low = bisect_right(times, max(asked - ask.seconds, since), 0, high)
            found[ask.place] = (totals[high] - totals[low] + ask.imagined) / (high - low + ask.prior)
            if ask.count is not None:
                found[ask.count] = float(high - low)

    def read_many(self, found: Table, asking: "Asking") -> None:
        """The same for many rows: those of one key at once, where it has several."""
        for key, rows in asking.rows_of(self.keys).items():
            tally = self._tallies.get(key)
            if tally is None or len(rows) < SEVERAL:
                for row in rows:
                    self.read(found[row], asking.at[row], asking.asked[row], asking.since[row])
                continue
            if tally.late:
                tally.settle()
            times, totals = np.frombuffer(tally.times, np.int64), np.frombuffer(tally.totals, np.int64)
            asked, _, since = (each[rows] for each in asking.each)
            high = times.searchsorted(asked, "right")
            for ask in self.asks:
                low = times.searchsorted(np.maximum(asked - ask.seconds, since), "right")
                found[rows, ask.place] = (totals[high] - totals[low] + ask.imagined) / (high - low + ask.prior)
                if ask.count is not None:
                    found[rows, ask.count] = high - low

    def forget(self, until: int) -> None:
        """Drop what is at or before `until`."""
        forget(self._tallies, until)


class Departures:
    """Per origin, or origin and airline: departures in the timetable, and flights that joined and left the queue."""

    def __init__(self, name: str, keys: Keys) -> None:
        self._keys = keys
        self._departures, self._queue = PLACE[f"departures_{name}"], PLACE[f"queue_{name}"]
        self._key_of = _key_of(keys)
        self._listed: dict[Any, Moments] = {}
        self._joined: dict[Any, Moments] = {}
        self._left: dict[Any, Moments] = {}

    def tell(self, event: Event) -> None:
        """Count a line of the timetable, where it was known early enough."""
        key = self._key_of(event.at)
        if _known(key) and event.departs is not None and event.departs - event.known >= _NOTICE:
            self._listed.setdefault(key, Moments()).add(rounded_up(event.departs))

    def join(self, event: Event, joins: int) -> Moments | None:
        """Let a flight join at `joins`; the moments of its queue at which flights leave."""
        key = self._key_of(event.at)
        if not _known(key):
            return None
        self._joined.setdefault(key, Moments()).add(rounded_up(joins))
        return self._left.setdefault(key, Moments())

    def read(self, found: Row, at: At, asked: int, departs: int) -> None:
        """Write the features of a row into `found`."""
        key = self._key_of(at)
        listed, joined = self._listed.get(key), self._joined.get(key)
        near = listed.until(departs + NEAR) - listed.until(departs - NEAR - 1) if listed else 0
        found[self._departures] = float(near)
        found[self._queue] = float(joined.until(asked) - self._left[key].until(asked)) if joined else 0.0

    def read_many(self, found: Table, asking: "Asking") -> None:
        """The same for many rows."""
        for key, rows in asking.rows_of(self._keys).items():
            listed, joined = self._listed.get(key), self._joined.get(key)
            asked, departs, _ = (each[rows] for each in asking.each)
            near = listed.until_each(departs + NEAR) - listed.until_each(departs - NEAR - 1) if listed else 0
            found[rows, self._departures] = near
            found[rows, self._queue] = joined.until_each(asked) - self._left[key].until_each(asked) if joined else 0

    def forget(self, until: int) -> None:
        """Drop what is at or before `until`."""
        forget(self._listed, until)
        # Of those who joined before and leave after, the numbers dropped keep count: both go, or neither.
        for key in list(self._joined):
            if self._joined[key].forget(until) & self._left[key].forget(until):
                del self._joined[key], self._left[key]


def forget(kept: dict[Any, Any], until: int) -> None:
    """Drop what is at or before `until`, and keys of which nothing is left."""
    for key in [key for key, moments in kept.items() if moments.forget(until)]:
        del kept[key]
