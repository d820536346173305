"""Looks at what is in use, for its page: the newest one, what its days lost beside the promise, the words before it.

What monitoring has kept is read where there is some: to load what reads it takes longer than a page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pushforward.git.refs import MONITORED
from pushforward.git.repository import Repository
from pushforward.text import figure
from pushforward.views import charts
from pushforward.views.snapshot import clock

if TYPE_CHECKING:
    from pushforward.monitoring.record import Record

SIZES = {"wide": (1100, 260), "narrow": (320, 220)}
MOST_NARROW = 30  # days in a drawing on a phone
SHOWN = 12  # looks before


@dataclass(frozen=True)
class Look:
    """A look for people: what was decided of which version, when and why, on which numbers."""

    decision: str
    version: str
    seconds: int
    reasons: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...] = ()
    step: str = ""


@dataclass(frozen=True)
class Looks:
    """The newest look at an environment, its drawing by width, and the looks before it, the newest first."""

    now: Look
    metric: str
    promise: str
    drawn: dict[str, charts.Daily]
    before: tuple[Look, ...]


def looks(repository: Repository, environment: str, model: str = "") -> Looks | None:
    """What was found of an environment; None where nobody has looked at it yet."""
    found = _read(repository, environment, model, SHOWN + 1)
    if not found:
        return None
    from pushforward.monitoring import words

    newest = found[0]
    now = Look(*_said(newest), numbers=tuple(words.numbers(newest)), step=newest.step)
    promise = newest.promise
    told = f"{figure(promise.loss)} on {promise.of}" if promise is not None else ""
    return Looks(now, newest.metric, told, _drawn(newest), tuple(Look(*_said(one)) for one in found[1:]))


def _read(repository: Repository, environment: str, model: str, most: int) -> list["Record"]:
    """The newest records of an environment; nothing is loaded where nobody has looked at it yet."""
    if repository.resolve(f"{MONITORED}{f'{model}@' if model else ''}{environment}") is None:
        return []
    from pushforward.monitoring import kept

    return kept.looks(repository, environment, model, most=most)


def _said(found: "Record") -> tuple[str, str, int, tuple[str, ...]]:
    reasons = tuple(reason.words for reason in found.reasons)
    return found.decision, found.version.partition("@")[2], int(found.at.timestamp()), reasons


def _drawn(found: "Record") -> dict[str, charts.Daily]:
    """Where the days stand, with the promise and the interval of all of them."""
    if not found.days:
        return {}
    loss = found.live.loss if found.live is not None else None
    band = (loss.low, loss.high) if loss is not None and loss.low is not None and loss.high is not None else None
    days = [(one.day, one.loss, f"{one.day}: {figure(one.loss)}, {one.rows:,} answers") for one in found.days]
    limit = found.promise.loss * (1 + found.limits.lose_at_most) if found.promise is not None else None
    promised = found.promise.loss if found.promise is not None else None
    return {
        name: charts.daily(days if name == "wide" else days[-MOST_NARROW:], promised, limit, band, size)
        for name, size in SIZES.items()
    }


@dataclass(frozen=True)
class Newest:
    """The word of the newest look at an environment, when it was, and the first of its reasons."""

    environment: str
    decision: str
    version: str
    when: str
    reason: str


def newest(repository: Repository, environments: Iterable[str], model: str = "") -> tuple[Newest, ...]:
    """The newest look at each environment that somebody has looked at."""
    found = [(name, one) for name in environments for one in _read(repository, name, model, 1)]
    told = [(name, *_said(one)) for name, one in found]
    return tuple(
        Newest(name, decision, version, f"{clock(seconds):%Y-%m-%d}", reasons[0] if reasons else "")
        for name, decision, version, seconds, reasons in told
    )
