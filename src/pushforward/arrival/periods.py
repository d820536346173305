"""Periods that batches are named by: days, weeks, months; which one comes next, and which should be here. Pure."""

import re
from collections.abc import Container
from datetime import date, datetime, timedelta
from typing import Literal

from pushforward import params
from pushforward.errors import USAGE, PushforwardError

Expect = Literal["daily", "weekly", "monthly"]

FORMS: dict[Expect, tuple[re.Pattern[str], str, str]] = {
    "daily": (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "day", "2013-05-31"),
    "weekly": (re.compile(r"[0-9]{4}-W[0-9]{2}"), "week", "2013-W22"),
    "monthly": (params.MONTH, "month", "2013-05"),
}
MOST = 100  # that are told as missing
LAST = date(9000, 1, 1)  # a day before which every period is over


def overdue(expect: Expect, last: str, grace_days: int, now: datetime, there: Container[str] = ()) -> list[str]:
    """The batches after `last` that are not `there` and should be by `now`: a period has to be over, and the grace."""
    check(expect, last)
    found, name = list[str](), following(expect, last)
    while len(found) < MOST and _end(expect, name) + timedelta(days=grace_days) <= now.date():
        if name not in there:
            found.append(name)
        name = following(expect, name)
    return found


def check(expect: Expect, name: str) -> None:
    """Refuse a batch that is not named by its period."""
    if not fits(expect, name):
        _, noun, example = FORMS[expect]
        raise PushforwardError(
            f"arrive.expect is {expect}, and the batch '{name}' is no {noun} like {example}",
            next="take expect out of pushforward.yaml, or name batches so",
            exit_code=USAGE,
        )


def fits(expect: Expect, name: str) -> bool:
    """Whether a batch is named by its period."""
    try:
        return bool(FORMS[expect][0].fullmatch(name)) and _end(expect, name) < LAST
    except (ValueError, OverflowError):
        return False


def due(expect: Expect, name: str, grace_days: int) -> date:
    """The day from which a batch that is not here is late."""
    return _end(expect, name) + timedelta(days=grace_days)


def ahead(expect: Expect, name: str, now: datetime) -> bool:
    """Whether a period has not begun by `now`."""
    return _first(expect, name) > now.date()


def following(expect: Expect, name: str) -> str:
    """The period after this one."""
    if expect == "monthly":
        return params.next_month(name)
    first = _end(expect, name)
    if expect == "daily":
        return first.isoformat()
    year, week, _ = first.isocalendar()
    return f"{year:04d}-W{week:02d}"


def _first(expect: Expect, name: str) -> date:
    """The first day of a period."""
    if expect == "weekly":
        return date.fromisocalendar(int(name[:4]), int(name[6:]), 1)
    return date.fromisoformat(name if expect == "daily" else f"{name}-01")


def _end(expect: Expect, name: str) -> date:
    """The first day after a period."""
    if expect == "monthly":
        return _first(expect, params.next_month(name))
    return _first(expect, name) + timedelta(days=1 if expect == "daily" else 7)
