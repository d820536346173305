"""Rolling state of events that gives features at once: what `features` computes from tables, equal to the bit.

`serving` keeps one and tells it events as they come, in any order; the features of a row are read from it in
microseconds. Every number of a definition stands in `spans`, for both.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from math import isnan, nan
from operator import itemgetter
from typing import Any

from flights.catalog import FEATURES
from flights.moments import Latest, Moments, Tally
from flights.schema import EVENTS, ROWS, WEATHER
from flights.spans import (
    ARRIVAL_DELAYS,
    COUNTED,
    DAY,
    DELAY,
    DELAY_PRIOR,
    DEPARTURE_DELAYS,
    GONE,
    HISTORY_COUNTS,
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
    Share,
)

Columns = Mapping[str, Sequence[Any]]
At = tuple[Any, ...]  # the values of KEYS
# History reaches back 28 days; the others are for questions, and events, that come late.
DAYS = 125
# A row is asked at most this long before it departs: what the timetable is read for is known by then.
AHEAD = TIMETABLE_NOTICE - timedelta(hours=1)
# Local time is this near to universal time wherever there is an airport.
ZONES = timedelta(hours=14)
YEARS = range(1971, 2200)  # that seconds are counted in

_SECOND = 1_000_000  # in microseconds, like all that is not said to be seconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE = datetime(1970, 1, 1)  # noqa: DTZ001  # local times have no zone
_HISTORY = max(share.seconds for share in HISTORY_SHARES.values())
_PLACE = {feature.name: place for place, feature in enumerate(FEATURES)}
# Where groups of features stand among all, in the order in which they are written.
_SCHEDULE = ("dep_minute", "arr_minute", "block_minutes", "distance", "weekday", "carrier", "origin", "dest")
_ROTATION = slice(_PLACE["tail_arr_delay"], _PLACE["tail_minutes_since"] + 1)
_WEATHER = slice(_PLACE[WEATHER[0]], _PLACE[WEATHER[-1]] + 1)
_MINUTE = 60 * _SECOND
_UNTIMED = [name for name in EVENTS if name not in ("known_at", "sched_dep")]
_REQUIRED = [name for name in ROWS if name not in ("flight_id", "tailnum", "origin", "dest", "carrier")]


def _microseconds(since: timedelta) -> int:
    return (since.days * DAY + since.seconds) * _SECOND + since.microseconds


def _rounded_up(microseconds: int) -> int:
    return -(-microseconds // _SECOND)


_QUEUED, _NOTICE, _AHEAD, _ZONES = (_microseconds(span) for span in (QUEUED, TIMETABLE_NOTICE, AHEAD, ZONES))


@cache
def _reach(year: int, month: int) -> int:
    """Where history begins for a month's rows: `_reach` of `features`, in seconds."""
    before = datetime(year - (month == 1), (month - 2) % 12 + 1, 2)  # noqa: DTZ001
    return _microseconds(before - _NAIVE) // _SECOND


def _key_of(keys: Keys) -> Callable[[At], Any]:
    """What picks the values of `keys`: one value, several, or none at all."""
    return itemgetter(*(KEYS.index(key) for key in keys)) if keys else lambda _: ()


def _known(key: Any) -> bool:
    """Whether no value is missing: an event without a key is nobody's."""
    return None not in key if isinstance(key, tuple) else key is not None


def _rank(value: Any) -> tuple[int, Any]:
    """The place of a value in the order of tables: missing first, no number last."""
    if value is None:
        return (0, 0)
    return (2, 0) if isinstance(value, float) and isnan(value) else (1, value)


def _clipped(minutes: int, limits: tuple[int, int]) -> int:
    return min(max(minutes, limits[0]), limits[1])


@dataclass(slots=True)
class _Event:
    """An event as it is filed: known at a microsecond and the second after it, about the keys `at`."""

    known: int
    second: int
    departs: int | None
    at: At
    told: dict[str, Any]

    @classmethod
    def of(cls, told: dict[str, Any]) -> "_Event":
        """Read an event; raises ValueError with the column that has no place in time."""
        for name in ("known_at", "kind"):
            if told[name] is None:
                raise ValueError(f"{name}: missing")
        known = _microseconds(_checked("known_at", told["known_at"]) - _EPOCH)
        listed = told["sched_dep"]
        departs = None if listed is None else _microseconds(_checked("sched_dep", listed) - _EPOCH)
        for name in WEATHER:
            if told[name] is not None:
                told[name] = float(told[name])
        return cls(known, _rounded_up(known), departs, tuple(told[key] for key in KEYS), told)

    @property
    def day(self) -> int:
        """The last day on which it, or the flight that it is about, can matter as new."""
        return max(self.known, self.departs or 0) // (DAY * _SECOND)

    def digest(self) -> bytes:
        """Equal for the same event told twice, whatever zone its times were written in."""
        said = [
            self.known,
            self.departs,
            *(self.told[name] for name in EVENTS if name not in ("known_at", "sched_dep")),
        ]
        return hashlib.blake2b(repr(said).encode(), digest_size=16).digest()

    def rank(self) -> tuple[Any, ...]:
        """Its place among those of one kind: `ORDER` of `features`."""
        return (self.known, *(_rank(self.told[name]) for name in ("flight_id", "origin", "delay", *WEATHER)))


def _checked(name: str, instant: datetime) -> datetime:
    if instant.year not in YEARS:
        raise ValueError(f"{name}: the year {instant.year} is out of reach")
    return instant


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
        return _rounded_up(max(joins, latest if self.gone is None else min(self.gone, latest)))


@dataclass(slots=True)
class _Day:
    """What is remembered by day: which events were told, and of which flights."""

    digests: set[bytes] = field(default_factory=set)
    flights: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Ask:
    """A feature of a tally: its place, how far it looks back, and what it is drawn towards; and where it is counted."""

    place: int
    seconds: int
    prior: int
    imagined: float
    count: int | None = None

    @classmethod
    def of(cls, name: str, share: Share) -> "_Ask":
        """The feature `name`, and the one that tells how many events it stands on."""
        count = next((_PLACE[counter] for counter, counted in HISTORY_COUNTS.items() if counted == name), None)
        return cls(_PLACE[name], share.seconds, share.prior, share.prior * share.base, count)


class _Tallies:
    """The tallies by key of what is counted together: `told` of an event, and the features that `asks` of it."""

    def __init__(self, keys: Keys) -> None:
        self.key_of = _key_of(keys)
        self.asks: list[_Ask] = []
        self._tallies: dict[Any, Tally] = {}

    def add(self, event: _Event, value: int) -> None:
        """Count an event."""
        key = self.key_of(event.at)
        if not _known(key):
            return
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.add(event.second, value)

    def read(self, found: list[Any], at: At, asked: int, since: int) -> None:
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

    def forget(self, until: int) -> None:
        """Drop what is at or before `until`."""
        _forget(self._tallies, until)


class _Departures:
    """Per origin, or origin and airline: departures in the timetable, and flights that joined and left the queue."""

    def __init__(self, name: str, keys: Keys) -> None:
        self._departures, self._queue = _PLACE[f"departures_{name}"], _PLACE[f"queue_{name}"]
        self._key_of = _key_of(keys)
        self._listed: dict[Any, Moments] = {}
        self._joined: dict[Any, Moments] = {}
        self._left: dict[Any, Moments] = {}

    def tell(self, event: _Event) -> None:
        """Count a line of the timetable, where it was known early enough."""
        key = self._key_of(event.at)
        if _known(key) and event.departs is not None and event.departs - event.known >= _NOTICE:
            self._listed.setdefault(key, Moments()).add(_rounded_up(event.departs))

    def join(self, event: _Event, joins: int) -> Moments | None:
        """Let a flight join at `joins`; the moments of its queue at which flights leave."""
        key = self._key_of(event.at)
        if not _known(key):
            return None
        self._joined.setdefault(key, Moments()).add(_rounded_up(joins))
        return self._left.setdefault(key, Moments())

    def read(self, found: list[Any], at: At, asked: int, departs: int) -> None:
        """Write the features of a row into `found`."""
        key = self._key_of(at)
        listed, joined = self._listed.get(key), self._joined.get(key)
        near = listed.until(departs + NEAR) - listed.until(departs - NEAR - 1) if listed else 0
        found[self._departures] = float(near)
        found[self._queue] = float(joined.until(asked) - self._left[key].until(asked)) if joined else 0.0

    def forget(self, until: int) -> None:
        """Drop what is at or before `until`."""
        _forget(self._listed, until)
        # Of those who joined before and leave after, the numbers dropped keep count: both go, or neither.
        for key in list(self._joined):
            if self._joined[key].forget(until) & self._left[key].forget(until):
                del self._joined[key], self._left[key]


def _forget(kept: dict[Any, Any], until: int) -> None:
    for key in [key for key, moments in kept.items() if moments.forget(until)]:
        del kept[key]


class Online:
    """The events of the last `days` days on which there were any, filed so that features are read at once.

    The same event told again is told once. What is older than `days` is forgotten and, when it comes, left out; a row
    that would need it is refused. A day that one stray event claims displaces one old day, no more.
    """

    def __init__(self, days: int = DAYS) -> None:
        self._kept = days
        self._days: dict[int, _Day] = {}
        self._forgotten = 0  # seconds: all after this is known
        self._delays = [_Tallies(keys) for keys, _ in LIVE_DELAYS.values()]
        for tallies, (name, (_, seconds)) in zip(self._delays, LIVE_DELAYS.items(), strict=True):
            tallies.asks.append(_Ask(_PLACE[name], seconds, DELAY_PRIOR, DELAY_PRIOR * DELAY))
        self._counted: dict[tuple[Counted, Keys], _Tallies] = {}
        for name, share in (LIVE_SHARES | HISTORY_SHARES).items():
            tallies = self._counted.setdefault((share.counted, share.keys), _Tallies(share.keys))
            tallies.asks.append(_Ask.of(name, share))
        self._departures = [_Departures(name, keys) for name, keys in PER_ORIGIN.items()]
        self._flights: dict[str, _Flight] = {}
        self._aircraft: dict[Any, Latest] = {}
        self._readings: dict[Any, Latest] = {}

    def observe(self, events: Columns) -> None:
        """File events, columns of `EVENTS` of one length; raises ValueError, and files none, when one cannot be."""
        told = [_Event.of(dict(zip(EVENTS, values, strict=True))) for values in _lines(events, EVENTS)]
        for event in sorted(told, key=lambda event: event.known):
            self._observe(event)

    def _observe(self, event: _Event) -> None:
        number = event.day
        if number * DAY < self._forgotten:
            return
        if number not in self._days:
            self._days[number] = _Day()
            if len(self._days) > self._kept:
                self._forget(min(self._days))
        day = self._days.get(number)
        digest = event.digest()
        if day is None or digest in day.digests:
            return
        day.digests.add(digest)
        kind, told = event.told["kind"], event.told
        if kind == "scheduled":
            self._list(event, day)
        if kind in GONE:
            self._gone(event, day)
        self._count(event)
        if kind == "arrived":
            delay = nan if told["delay"] is None else float(_clipped(told["delay"], ARRIVAL_DELAYS))
            _tell(self._aircraft, told["tailnum"], event, (delay, float(event.second)))
        if kind == "weather":
            readings = (told[name] for name in WEATHER)
            _tell(self._readings, told["origin"], event, tuple(nan if value is None else value for value in readings))

    def _count(self, event: _Event) -> None:
        kind = event.told["kind"]
        if kind == "departed":
            for tallies in self._delays:
                tallies.add(event, _clipped(event.told["delay"] or 0, DEPARTURE_DELAYS))
        if kind in IN_TIME and event.told["late"] != 0:
            return
        for (counted, _), tallies in self._counted.items():
            mark = COUNTED[counted].get(kind)
            if mark is not None:
                tallies.add(event, mark)

    def _flight(self, event: _Event, day: _Day) -> _Flight:
        name = event.told["flight_id"]
        if name is None:
            return _Flight()
        day.flights.add(name)
        flight = self._flights.setdefault(name, _Flight())
        flight.day = max(flight.day, event.day)
        return flight

    def _list(self, event: _Event, day: _Day) -> None:
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

    def _gone(self, event: _Event, day: _Day) -> None:
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
        _forget(self._aircraft, until)
        _forget(self._readings, until)

    def features(self, rows: Columns) -> list[list[Any]]:
        """The features of every row, in the order of `FEATURES`; NaN where not known, categories as they are asked.

        `rows` are columns of `ROWS` of one length. Raises ValueError, with the column, for a row that cannot be
        answered: without a time, asked half a day ahead or more, or about days that are forgotten.
        """
        lines = _lines(rows, ROWS)
        for name in _REQUIRED:
            if None in rows[name]:
                raise ValueError(f"{name}: missing in row {list(rows[name]).index(None)}")
        return [self._row(line) for line in lines]

    def _row(self, row: tuple[Any, ...]) -> list[Any]:
        _, decided_at, sched_dep, sched_arr, dep_local, arr_local, origin, dest, carrier, flight, tailnum, distance = (
            row
        )
        departs = _microseconds(_checked("sched_dep", sched_dep) - _EPOCH)
        decided = _microseconds(_checked("decided_at", decided_at) - _EPOCH)
        since = _reach(dep_local.year, dep_local.month)
        asked, leaves = decided // _SECOND, departs // _SECOND
        self._check(departs, decided, dep_local, since)
        block = _microseconds(sched_arr - sched_dep)
        found: list[Any] = [nan] * len(FEATURES)
        found[: len(_SCHEDULE)] = (
            float(dep_local.hour * 60 + dep_local.minute),
            float(arr_local.hour * 60 + arr_local.minute),
            float(abs(block) // _MINUTE * (1 if block > 0 else -1)),
            float(distance),
            float(dep_local.isoweekday()),
            carrier,
            origin,
            dest,
        )
        at = (origin, dest, carrier, flight, tailnum, dep_local.hour)
        for departures in self._departures:
            departures.read(found, at, asked, leaves)
        for tallies in (*self._delays, *self._counted.values()):
            tallies.read(found, at, asked, since)
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
        if abs(_microseconds(dep_local - _NAIVE) - departs) > _ZONES:
            raise ValueError("dep_local: not the time of sched_dep in any zone")
        oldest = min(max(decided // _SECOND - _HISTORY, since), departs // _SECOND - NEAR - 1)
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


def _tell(kept: dict[Any, Latest], key: Any, event: _Event, told: tuple[float, ...]) -> None:
    if key is not None:
        kept.setdefault(key, Latest()).add(event.rank(), event.second, told)
