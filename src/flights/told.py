"""Events as they are told, read once: when they were known, which keys they are about; `online` files them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

from flights.schema import EVENTS, WEATHER
from flights.spans import DAY, KEYS

Columns = Mapping[str, Sequence[Any]]
At = tuple[Any, ...]  # the values of KEYS
YEARS = range(1971, 2200)  # that seconds are counted in
SECOND = 1_000_000  # in microseconds, like all that is not said to be seconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNTIMED = [name for name in EVENTS if name not in ("known_at", "sched_dep")]


def microseconds(since: timedelta) -> int:
    """A span in whole microseconds."""
    return (since.days * DAY + since.seconds) * SECOND + since.microseconds


def rounded_up(microseconds: int) -> int:
    """The second in which, or at whose end, something is known: never too early."""
    return -(-microseconds // SECOND)


@dataclass(slots=True)
class Event:
    """An event as it is filed: known at a microsecond and the second after it, about the keys `at`."""

    known: int
    second: int
    departs: int | None
    at: At
    told: dict[str, Any]

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Event":
        """Read an event; raises ValueError with the column that has no place in time."""
        for name in ("known_at", "kind"):
            if told[name] is None:
                raise ValueError(f"{name}: missing")
        known = microseconds(checked("known_at", told["known_at"]) - EPOCH)
        listed = told["sched_dep"]
        departs = None if listed is None else microseconds(checked("sched_dep", listed) - EPOCH)
        for name in WEATHER:
            if told[name] is not None:
                told[name] = float(told[name])
        return cls(known, rounded_up(known), departs, tuple(told[key] for key in KEYS), told)

    @property
    def day(self) -> int:
        """The last day on which it, or the flight that it is about, can matter as new."""
        return max(self.known, self.departs or 0) // (DAY * SECOND)

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


def checked(name: str, instant: datetime) -> datetime:
    """`instant` itself; raises ValueError, with the column, in a year that seconds are not counted in."""
    if instant.year not in YEARS:
        raise ValueError(f"{name}: the year {instant.year} is out of reach")
    return instant


def _rank(value: Any) -> tuple[int, Any]:
    """The place of a value in the order of tables: missing first, no number last."""
    if value is None:
        return (0, 0)
    return (2, 0) if isinstance(value, float) and isnan(value) else (1, value)
