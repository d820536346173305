"""Schedules as GitHub reads them: a cron of five fields, in UTC or in the time zone that stands beside it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from pushforward.errors import PushforwardError

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# name, least, most, words and the number of the first word
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 6, DAYS),
)
PART = re.compile(r"(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?")
# From one 29 February to the next it can be eight years.
LIMIT_CHARACTERS = 200
LONGEST = timedelta(days=8 * 366 + 1)
ZONE = " TZ="  # between a cron and its time zone, where both are one text
MINUTE, HOURS = timedelta(minutes=1), frozenset(range(24))


@dataclass(frozen=True)
class Cron:
    """The minutes that an expression names. Where both kinds of days are restricted, either is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    zone: tzinfo = UTC

    def on(self, moment: datetime) -> bool:
        """Whether a day is one of them."""
        month_day = moment.day in self.days
        week_day = (moment.weekday() + 1) % 7 in self.weekdays
        wanted = (month_day or week_day) if self.either else (month_day and week_day)
        return moment.month in self.months and wanted

    def latest(self, now: datetime) -> datetime | None:
        """The newest minute that is not after `now` (aware, any zone), in UTC; None for a day that never comes."""
        last = now.astimezone(UTC).replace(second=0, microsecond=0)
        today = last.astimezone(self.zone).replace(hour=0, minute=0, fold=0, tzinfo=None)
        day = today + timedelta(days=1)  # where a clock goes back over midnight, tomorrow has begun before
        while today - day < LONGEST:
            if self.on(day):
                found = next((moment for moment in self._backwards(day, last) if moment <= last), None)
                if found is not None:
                    return found
            day -= timedelta(days=1)
        return None

    def _backwards(self, day: datetime, last: datetime) -> Iterator[datetime]:
        """The minutes of a day, the latest first, in UTC.

        A time that a clock skips is the next one that there is. One that it shows twice is the first of both, unless
        every hour is wanted: then the hour that is there twice counts twice.
        """
        if self.hours == HOURS:
            moment = min(last, _instant(day + timedelta(days=1), self.zone))
            while (local := moment.astimezone(self.zone)).replace(tzinfo=None, fold=0) >= day:
                if local.minute in self.minutes and local.date() == day.date():
                    yield moment
                moment -= MINUTE
            return
        times = sorted(((hour, minute) for hour in self.hours for minute in self.minutes), reverse=True)
        for hour, minute in times:
            yield _instant(day.replace(hour=hour, minute=minute), self.zone)


def _instant(local: datetime, zone: tzinfo) -> datetime:
    """The moment, in UTC, at which clocks show `local`; of two the first, and for none the next that they show."""
    found = local.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return found
    # in a gap the offset after it leads to before it
    moment = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before = moment.astimezone(zone).utcoffset()
    while moment.astimezone(zone).utcoffset() == before:
        moment += MINUTE
    return moment


def zone(name: Any) -> tzinfo:
    """The time zone of an entry of `on.schedule`, by its IANA name; UTC where it has none.

    Raises `PushforwardError` for a name that is none.
    """
    if name is None:
        return UTC
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError) as unknown:
        raise PushforwardError(
            f"timezone '{name}' is not an IANA time zone such as Europe/Zurich",
            next="edit on.schedule in .github/workflows",
        ) from unknown


def joined(cron: str, name: str | None) -> str:
    """A cron and its time zone as one text, which `parse` reads."""
    return f"{cron}{ZONE}{name}" if name else cron


def parse(text: str) -> Cron:
    """Read an expression such as `30 5 * * MON-FRI`, or `30 5 * * * TZ=Europe/Zurich` of one in a time zone.

    Raises `PushforwardError` that names the field for everything that GitHub refuses.
    """
    text, _, name = text.partition(ZONE)
    if name:
        return replace(parse(text), zone=zone(name))
    if len(text) > LIMIT_CHARACTERS:
        raise PushforwardError(f"a cron has {len(text):,} characters", next="edit on.schedule in .github/workflows")
    words = text.split()
    if len(words) != len(FIELDS):
        raise PushforwardError(
            f"cron '{text}' has {len(words)} fields, not 5: minute, hour, day of the month, month, day of the week",
            next="edit on.schedule in .github/workflows",
        )
    minutes, hours, days, months, weekdays = (
        frozenset(value for part in word.split(",") for value in _values(text, part, *field))
        for word, field in zip(words, FIELDS, strict=True)
    )
    both = not words[2].startswith("*") and not words[4].startswith("*")
    return Cron(minutes, hours, days, months, weekdays, both)


def _values(text: str, part: str, name: str, least: int, most: int, words: tuple[str, ...]) -> range:
    span, slash, step = part.partition("/")
    found = PART.fullmatch(span)
    if found is None or (slash and (not step.isdecimal() or int(step) == 0)):
        raise _refusal(text, name, part)
    first = least if found["all"] else _number(found["first"], least, words)
    last = _number(found["last"], least, words) if found["last"] else most if found["all"] or slash else first
    if first is None or last is None or not least <= first <= last <= most:
        raise _refusal(text, name, part)
    return range(first, last + 1, int(step) if slash else 1)


def _number(word: str, least: int, words: tuple[str, ...]) -> int | None:
    if word.upper() in words:
        return words.index(word.upper()) + least
    return int(word) if word.isascii() and word.isdecimal() else None


def _refusal(text: str, name: str, part: str) -> PushforwardError:
    return PushforwardError(f"cron '{text}': '{part}' is not a {name}", next="edit on.schedule in .github/workflows")
