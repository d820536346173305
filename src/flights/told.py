"""Events as they are told, read once: when they were known, which keys they are about; `online` files them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

from flights.spans import DAY

Columns = Mapping[str, Sequence[Any]]
At = tuple[Any, ...]  # the values of `KEYS` of `spans`
YEARS = range(1971, 2200)  # that seconds are counted in
SECOND = 1_000_000  # in microseconds, like all that is not said to be seconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(since: timedelta) -> int:
    """A span in whole microseconds."""
    return (since.days * DAY + since.seconds) * SECOND + since.microseconds


def rounded_up(microseconds: int) -> int:
    """The second in which, or at whose end, something is known: never too early."""
    return -(-microseconds // SECOND)


@dataclass(slots=True)
class Event:
    """An event as it is filed: known at a microsecond and by the end of a second, about the keys `at`.

    `digest` is equal for the same event told twice, whatever zone its times were written in.
    """

    known: int
    second: int
    departs: int | None
    kind: str
    flight_id: str | None
    at: At
    delay: int | None
    late: int | None
    weather: tuple[float | None, ...]
    digest: bytes

    @classmethod
    def of(cls, line: tuple[Any, ...]) -> "Event":
        """Read the columns of `EVENTS`; raises ValueError with the one that has no place in time."""
        known_at, kind, flight_id, origin, dest, carrier, flight, tailnum, sched_dep, hour, delay, late, *rest = line
        if known_at is None or kind is None:
            raise ValueError(f"{'known_at' if known_at is None else 'kind'}: missing")
        known = microseconds(checked("known_at", known_at) - EPOCH)
        departs = None if sched_dep is None else microseconds(checked("sched_dep", sched_dep) - EPOCH)
        weather = tuple(None if value is None else float(value) for value in rest)
        at = (origin, dest, carrier, flight, tailnum, hour)
        said = repr((known, departs, kind, flight_id, at, delay, late, weather))
        digest = hashlib.blake2b(said.encode(), digest_size=16).digest()
        return cls(known, rounded_up(known), departs, kind, flight_id, at, delay, late, weather, digest)

    @property
    def day(self) -> int:
        """The last day on which it, or the flight that it is about, can matter as new."""
        return max(self.known, self.departs or 0) // (DAY * SECOND)

    def rank(self) -> tuple[Any, ...]:
        """Its place among those of one kind: `ORDER` of `features`."""
        return (self.known, *map(_rank, (self.flight_id, self.at[0], self.delay, *self.weather)))


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
