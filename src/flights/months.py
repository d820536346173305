"""Months as text, like 2013-05: what is one, which come before and after, its days."""

import re
from calendar import monthrange
from datetime import date

from flights.errors import SETTINGS, StageError, shown

MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


def check_month(month: str) -> str:
    """`month` itself when it reads like 2013-05; raises ValueError otherwise."""
    if not MONTH.fullmatch(month):
        raise ValueError(f"{shown(month)} is not a month like 2013-05")
    return month


def month_argument(arguments: list[str], stage: str) -> str:
    """The one command line argument of a stage that works on a month; raises `StageError` (exit code 2) otherwise."""
    try:
        (month,) = arguments
        return check_month(month)
    except ValueError:
        raise StageError(
            f"expected one month, got {shown(' '.join(arguments))}",
            next_step=f"python -m flights.{stage} 2013-05",
            exit_code=SETTINGS,
        ) from None


def month_after(month: str) -> str:
    """The calendar month that follows `month`."""
    return _shifted(month, 1)


def month_before(month: str) -> str:
    """The calendar month that precedes `month`."""
    return _shifted(month, -1)


def _shifted(month: str, by: int) -> str:
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]) - 1 + by, 12)
    return f"{year:04d}-{number + 1:02d}"


def days_of(month: str) -> list[date]:
    """Every day of `month`."""
    year, number = int(month[:4]), int(month[5:])
    return [date(year, number, day) for day in range(1, monthrange(year, number)[1] + 1)]
