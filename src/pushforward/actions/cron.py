"""Cron expressions as GitHub reads them: five fields, in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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


@dataclass(frozen=True)
class Cron:
    """The minutes that an expression names. Where both kinds of days are restricted, either is enough."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, moment: datetime) -> bool:
        """Whether a day is one of them."""
        month_day = moment.day in self.days
        week_day = (moment.weekday() + 1) % 7 in self.weekdays
        wanted = (month_day or week_day) if self.either else (month_day and week_day)
        return moment.month in self.months and wanted

    def latest(self, now: datetime) -> datetime | None:
        """The newest minute that is not after `now` (aware, any zone), in UTC; None for a day that never comes."""
        last = now.astimezone(UTC).replace(second=0, microsecond=0)
        day = last.replace(hour=0, minute=0)
        times = sorted(((hour, minute) for hour in self.hours for minute in self.minutes), reverse=True)
        while last - day < LONGEST:
            if self.on(day):
                for hour, minute in times:
                    found = day.replace(hour=hour, minute=minute)
                    if found <= last:
                        return found
            day -= timedelta(days=1)
        return None


def parse(text: str) -> Cron:
    """Read an expression such as `30 5 * * MON-FRI` or `*/15 0-6 1,15 * *`.

    Raises `PushforwardError` that names the field for everything that GitHub refuses.
    """
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
    return PushforwardError(
        f"cron '{text}': '{part}' is not a {name}", next="edit on.schedule in .github/workflows; times are in UTC"
    )
