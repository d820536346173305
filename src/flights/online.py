"""Rolling state of events that gives features at once: what `features` computes from tables, equal to the bit.

`serving` keeps one and tells it events as they come, in any order; the features of a row are read from it in
microseconds. Every number of a definition stands in `spans`, for both.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from math import nan
from typing import Any

import numpy as np

from flights.catalog import FEATURES
from flights.moments import Latest, Moments
from flights.schema import EVENTS, ROWS, WEATHER
from flights.spans import (
    ARRIVAL_DELAYS,
    COUNTED,
    DAY,
    DELAY,
    DELAY_PRIOR,
    DEPARTURE_DELAYS,
    GONE,
    HISTORY_SHARES,
    IN_TIME,
    KEYS,
    LIVE_DELAYS,
    LIVE_SHARES,
    NEAR,
    PER_ORIGIN,
    QUEUED,
    ROTATION_SECONDS,
    TIMETABLE_NOTICE,
    WEATHER_SECONDS,
    Counted,
    Keys,
)
from flights.tallies import PLACE, Ask, Asking, Departures, Table, Tallies, forget
from flights.told import EPOCH, SECOND, Columns, Event, checked, microseconds, rounded_up

# History reaches back 28 days; the others are for questions, and events, that come late.
DAYS = 125
# So many rows are read by arrays; fewer one by one, which is sooner then.
MANY = 32
# A row is asked at most this long before it departs: what the timetable is read for is known by then.
AHEAD = TIMETABLE_NOTICE - timedelta(hours=1)
# Local time is this near to universal time wherever there is an airport.
ZONES = timedelta(hours=14)

_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001  # local times have no zone
_HISTORY = max(share.seconds for share in HISTORY_SHARES.values())
# Where groups of features stand among all, in the order in which they are written.
_SCHEDULE = slice(PLACE["dep_minute"], PLACE["weekday"] + 1)
_ROTATION = slice(PLACE["tail_arr_delay"], PLACE["tail_minutes_since"] + 1)
_WEATHER = slice(PLACE[WEATHER[0]], PLACE[WEATHER[-1]] + 1)
_MINUTE = 60 * SECOND
_ORIGIN, _TAILNUM = KEYS.index("origin"), KEYS.index("tailnum")
_REQUIRED = [name for name in ROWS if name not in ("flight_id", "tailnum", "origin", "dest", "carrier")]
_QUEUED, _AHEAD, _ZONES = (microseconds(span) for span in (QUEUED, AHEAD, ZONES))


@cache
def _reach(year: int, month: int) -> int:
    """Where history begins for a month's rows: `reach` of `features`, in seconds."""
    before = datetime(year - (month == 1), (month - 2) % 12 + 1, 2)  # noqa: DTZ001
    return microseconds(before - _NAIVE) // SECOND


def _clipped(minutes: int, limits: tuple[int, int]) -> int:
    return min(max(minutes, limits[0]), limits[1])


@dataclass(slots=True)
class _Entry:
    """A line of the timetable: when it joins the queue and (in seconds) leaves it, and whose queues these are."""

    joins: int
    leaves: int
    queues: list[Moments]


@dataclass(slots=True)
class _Flight:
    """A flight of the queue: the first moment it was known to be gone, its lines, the last day it was told of."""

    gone: int | None = None
    entries: list[_Entry] = field(default_factory=list)
    day: int = 0

    def leaves(self, joins: int) -> int:
        """The second in which a line that `joins` leaves: when it goes, not before it joined, after a day at most."""
        latest = joins + _QUEUED
        return rounded_up(max(joins, latest if self.gone is None else min(self.gone, latest)))


@dataclass(slots=True)
class _Day:
    """What is remembered by day: which events were told, and of which flights."""

    digests: set[bytes] = field(default_factory=set)
    flights: set[str] = field(default_factory=set)


class Online:
    """The events of the last `days` days on which there were any, filed so that features are read at once.

    The same event told again is told once. What is older than `days` is forgotten and, when it comes, left out; a row
    that would need it is refused. A day that one stray event claims displaces one old day, no more.
    """

    def __init__(self, days: int = DAYS) -> None:
        self._kept = days
        self._days: dict[int, _Day] = {}
        self._forgotten = 0  # seconds: all after this is known
        self._delays = [Tallies(keys) for keys, _ in LIVE_DELAYS.values()]
        for tallies, (name, (_, seconds)) in zip(self._delays, LIVE_DELAYS.items(), strict=True):
            tallies.asks.append(Ask(PLACE[name], seconds, DELAY_PRIOR, DELAY_PRIOR * DELAY))
        self._counted: dict[tuple[Counted, Keys], Tallies] = {}
        for name, share in (LIVE_SHARES | HISTORY_SHARES).items():
            tallies = self._counted.setdefault((share.counted, share.keys), Tallies(share.keys))
            tallies.asks.append(Ask.of(name, share))
        self._marks: dict[str, list[tuple[Tallies, int]]] = defaultdict(list)
        for (counted, _), tallies in self._counted.items():
            for kind, mark in COUNTED[counted].items():
                self._marks[kind].append((tallies, mark))
        self._departures = [Departures(name, keys) for name, keys in PER_ORIGIN.items()]
        self._flights: dict[str, _Flight] = {}
        self._aircraft: dict[Any, Latest] = {}
        self._readings: dict[Any, Latest] = {}

    def observe(self, events: Columns) -> None:
        """File events, columns of `EVENTS` of one length; raises ValueError, and files none, when one cannot be."""
        for event in sorted(map(Event.of, _lines(events, EVENTS)), key=lambda event: event.known):
            self._observe(event)

    def _observe(self, event: Event) -> None:
        number = event.day
        if number * DAY < self._forgotten:
            return
        if number not in self._days:
            self._days[number] = _Day()
            if len(self._days) > self._kept:
                self._forget(min(self._days))
        day = self._days.get(number)
        if day is None or event.digest in day.digests:
            return
        day.digests.add(event.digest)
        if event.kind == "scheduled":
            self._list(event, day)
        if event.kind in GONE:
            self._gone(event, day)
        self._count(event)
        if event.kind == "arrived":
            delay = nan if event.delay is None else float(_clipped(event.delay, ARRIVAL_DELAYS))
            _tell(self._aircraft, event.at[_TAILNUM], event, (delay, float(event.second)))
        if event.kind == "weather":
            readings = tuple(nan if value is None else value for value in event.weather)
            _tell(self._readings, event.at[_ORIGIN], event, readings)

    def _count(self, event: Event) -> None:
        if event.kind == "departed":
            for tallies in self._delays:
                tallies.add(event, _clipped(event.delay or 0, DEPARTURE_DELAYS))
        if event.kind in IN_TIME and event.late != 0:
            return
        for tallies, mark in self._marks.get(event.kind, ()):
            tallies.add(event, mark)

    def _flight(self, event: Event, day: _Day) -> _Flight:
        if event.flight_id is None:
            return _Flight()
        day.flights.add(event.flight_id)
        flight = self._flights.setdefault(event.flight_id, _Flight())
        flight.day = max(flight.day, event.day)
        return flight

    def _list(self, event: Event, day: _Day) -> None:
        flight = self._flight(event, day)
        joins = event.known if event.departs is None else max(event.departs, event.known)
        entry = _Entry(joins, flight.leaves(joins), [])
        for departures in self._departures:
            departures.tell(event)
            left = departures.join(event, joins)
            if left is not None:
                left.add(entry.leaves)
                entry.queues.append(left)
        flight.entries.append(entry)

    def _gone(self, event: Event, day: _Day) -> None:
        flight = self._flight(event, day)
        if flight.gone is not None and flight.gone <= event.known:
            return
        flight.gone = event.known
        for entry in flight.entries:
            leaves = flight.leaves(entry.joins)
            if leaves < entry.leaves and entry.leaves > self._forgotten:
                for left in entry.queues:
                    left.remove(entry.leaves)
                    left.add(leaves)
                entry.leaves = leaves

    def _forget(self, oldest: int) -> None:
        """Forget the day `oldest`: what was known by its end, and flights that were not told of since."""
        for name in self._days.pop(oldest).flights:
            if self._flights[name].day <= oldest:
                del self._flights[name]
        self._forgotten = until = (oldest + 1) * DAY
        for tallies in (*self._delays, *self._counted.values()):
            tallies.forget(until)
        for departures in self._departures:
            departures.forget(until)
        forget(self._aircraft, until)
        forget(self._readings, until)

    def features(self, rows: Columns) -> Table:
        """The features of every row, in the order of `FEATURES`: NaN where not known, and for categories.

        `rows` are columns of `ROWS` of one length. Raises ValueError, with the column, for a row that cannot be
        answered: without a time, asked half a day ahead or more, or about days that are forgotten.
        """
        lines = _lines(rows, ROWS)
        for name in _REQUIRED:
            if None in rows[name]:
                raise ValueError(f"{name}: missing in row {list(rows[name]).index(None)}")
        asking = Asking()
        found = [self._row(line, asking) for line in lines]
        if len(found) < MANY:
            for row, values in enumerate(found):
                at, asked = asking.at[row], asking.asked[row]
                for departures in self._departures:
                    departures.read(values, at, asked, asking.departs[row])
                for tallies in (*self._delays, *self._counted.values()):
                    tallies.read(values, at, asked, asking.since[row])
        table = np.array(found, dtype=np.float64).reshape(len(found), len(FEATURES))
        if len(found) >= MANY:
            for departures in self._departures:
                departures.read_many(table, asking)
            for tallies in (*self._delays, *self._counted.values()):
                tallies.read_many(table, asking)
        return table

    def _row(self, line: tuple[Any, ...], asking: Asking) -> list[float]:
        """What a row tells of itself, and what was told last of its aircraft and its origin; it joins `asking`."""
        _, decided_at, sched_dep, sched_arr, dep_local, arr_local, *keys, distance = line
        origin, _, _, _, tailnum = keys
        departs = microseconds(checked("sched_dep", sched_dep) - EPOCH)
        decided = microseconds(checked("decided_at", decided_at) - EPOCH)
        since = _reach(dep_local.year, dep_local.month)
        self._check(departs, decided, dep_local, since)
        asked = decided // SECOND
        asking.at.append((*keys, dep_local.hour))
        asking.asked.append(asked)
        asking.departs.append(departs // SECOND)
        asking.since.append(since)
        block = microseconds(sched_arr - sched_dep)
        found = [nan] * len(FEATURES)
        found[_SCHEDULE] = (
            float(dep_local.hour * 60 + dep_local.minute),
            float(arr_local.hour * 60 + arr_local.minute),
            float(abs(block) // _MINUTE * (1 if block > 0 else -1)),
            float(distance),
            float(dep_local.isoweekday()),
        )
        aircraft, reading = self._aircraft.get(tailnum), self._readings.get(origin)
        last = aircraft.last(asked - ROTATION_SECONDS, asked) if aircraft else None
        if last:
            found[_ROTATION] = (last[0], (asked - last[1]) / 60)
        weather = reading.last(asked - WEATHER_SECONDS, asked) if reading else None
        if weather:
            found[_WEATHER] = weather
        return found

    def _check(self, departs: int, decided: int, dep_local: datetime, since: int) -> None:
        if departs - decided > _AHEAD:
            raise ValueError(f"decided_at: more than {AHEAD.seconds // 3600} hours before sched_dep")
        if abs(microseconds(dep_local - _NAIVE) - departs) > _ZONES:
            raise ValueError("dep_local: not the time of sched_dep in any zone")
        oldest = min(max(decided // SECOND - _HISTORY, since), departs // SECOND - NEAR - 1)
        if oldest < self._forgotten:
            raise ValueError("decided_at: events of so long ago are forgotten")


def _lines(columns: Columns, names: Iterable[str]) -> list[tuple[Any, ...]]:
    """Columns as lines; raises ValueError, with the column, when one is missing or of another length."""
    missing = next((name for name in names if name not in columns), None)
    if missing:
        raise ValueError(f"{missing}: missing")
    wanted = [columns[name] for name in names]
    other = next((name for name in names if len(columns[name]) != len(wanted[0])), None)
    if other:
        raise ValueError(f"{other}: {len(columns[other])} values, where the others have {len(wanted[0])}")
    return list(zip(*wanted, strict=True))


def _tell(kept: dict[Any, Latest], key: Any, event: Event, told: tuple[float, ...]) -> None:
    if key is not None:
        kept.setdefault(key, Latest()).add(event.rank(), event.second, told)
