"""The lists: runs, versions and uses of a snapshot in the order and portions that pages show them in; pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pushforward.gate.profile import Month
from pushforward.registry.tags import Assignment, Registered
from pushforward.text import figure
from pushforward.views import charts
from pushforward.views.snapshot import Run, Snapshot, Tag

PER_PAGE = 100


@dataclass(frozen=True)
class Part:
    """Page `number` of `count` of a list whose pages are `<name>.html`, `<name>/2.html`, …"""

    items: Sequence[Any]
    number: int
    count: int
    name: str
    total: int
    query: str = ""  # of the address, where the list is an answer

    def path(self, number: int) -> str:
        """The page of that number."""
        if self.query:
            return f"{self.name}.html?{self.query}&page={number}"
        return f"{self.name}.html" if number == 1 else f"{self.name}/{number}.html"


def portion(items: Sequence[Any], page: str | None, name: str, size: int = PER_PAGE) -> Part | None:
    """Page `page` of a list, as an address has it; None where there is none of that number."""
    number, count = int(page or 1), max(1, math.ceil(len(items) / size))
    if number > count:
        return None
    return Part(items[(number - 1) * size : number * size], number, count, name, len(items))


def measured(snapshot: Snapshot) -> list[Run]:
    """The runs that trained something and were measured; a verdict that stands from before is not measured again."""
    return [run for run in snapshot.runs if run.loss and not run.stands_from]


def verdicts(snapshot: Snapshot) -> dict[str, int]:
    """How often each word was said, the most frequent first."""
    return dict(Counter(run.header.verdict for run in snapshot.runs).most_common())


def made(snapshot: Snapshot) -> dict[str, Run]:
    """Version -> the run that made it."""
    return {run.version: run for run in snapshot.runs if run.version}


def points(runs: Sequence[Run], name: str) -> list[charts.Point]:
    """One metric of the runs (newest first), oldest first."""
    found_points = []
    for run in reversed(runs):
        found = run.header.validation
        for metric in found.numbers if found else ():
            if metric.name == name and found:
                title = f"{run.commit[:7]} {run.about.subject}: {run.header.verdict}, {figure(metric.challenger)}"
                found_points.append(
                    charts.Point(metric.challenger, run.header.verdict, run.version, found.month, title)
                )
    return found_points


@dataclass(frozen=True)
class Use:
    """What an environment holds (None: nothing yet), since when, by whom and why, and who may fill it.

    `foreign` is what GTO has put there before, until a version is.
    """

    environment: str
    version: Registered | None
    seconds: int
    by: str
    reason: str
    policy: str
    run: Run | None
    foreign: str = ""


def uses(snapshot: Snapshot) -> list[Use]:
    """The environments, those of the settings first and in their order."""
    by_version, found = made(snapshot), []
    known = snapshot.registry
    for name in dict.fromkeys([*snapshot.policy, *known.environments, *known.foreign_environments]):
        version, mine = known.in_use(name), known.uses(name)
        tag = snapshot.tags[mine[-1].tag] if mine else None
        run = by_version.get(str(version.version)) if version else None
        since = tag.seconds if tag else 0
        policy, before = snapshot.policy.get(name, ""), known.foreign_use(name)
        found.append(Use(name, version, since, tag.by if tag else "", tag.reason if tag else "", policy, run, before))
    return found


@dataclass(frozen=True)
class Stay:
    """A time that an environment has held a version (None: nothing, or what is no version any more).

    `until` is 0 for the one that is there now. `back` says that it took the place of a later version.
    """

    use: Assignment
    version: Registered | None
    tag: Tag
    until: int
    back: bool


def stays(snapshot: Snapshot) -> dict[str, list[Stay]]:
    """What each environment has held, newest first."""
    versions = {version.commit: version for version in snapshot.registry.versions}
    held: dict[str, list[Stay]] = {}
    for use in snapshot.registry.assignments:
        mine, version, tag = held.setdefault(use.environment, []), versions.get(use.commit), snapshot.tags[use.tag]
        before = mine[-1].version if mine and not mine[-1].use.empties else None
        if mine:
            mine[-1] = replace(mine[-1], until=tag.seconds)
        back = not use.empties and version is not None and before is not None and version.version < before.version
        mine.append(Stay(use, version, tag, 0, back))
    return {name: mine[::-1] for name, mine in held.items()}


def stays_by_version(held: Mapping[str, Sequence[Stay]]) -> dict[str, list[Stay]]:
    """Where the version at each commit has been put to use, newest first."""
    found: dict[str, list[Stay]] = {}
    for stay in sorted((one for mine in held.values() for one in mine), key=lambda one: one.tag.seconds, reverse=True):
        if not stay.use.empties:
            found.setdefault(stay.use.commit, []).append(stay)
    return found


@dataclass(frozen=True)
class Moved:
    """A column and what each month that arrived did to it, oldest first."""

    column: str
    months: tuple[Month, ...]


def rates(snapshot: Snapshot) -> list[tuple[str, int, float]]:
    """(month, rows, share of positive labels) of every month of which a report has told it, oldest first."""
    told: dict[str, tuple[str, int, float]] = {}
    for run in reversed(snapshot.runs):
        told |= {month: (month, rows, rate) for month, rows, rate in run.arrived.months if rate is not None}
    return [told[month] for month in sorted(told)]


def moved(snapshot: Snapshot) -> list[Moved]:
    """What the months that have arrived on the default branch did to columns, the most shifted column first."""
    columns: dict[str, dict[str, Month]] = {}
    for run in reversed(snapshot.runs):
        for profile in run.arrived.profiles if run.header.event == "push" else ():
            came = {one.name: one for one in profile.months if one.index is not None}
            columns.setdefault(profile.column, {}).update(came)
    found = [Moved(name, tuple(months[month] for month in sorted(months))) for name, months in columns.items()]
    return sorted((one for one in found if one.months), key=lambda one: (-_highest(one), one.column))


def _highest(moved: Moved) -> float:
    return max(month.index or 0.0 for month in moved.months)
