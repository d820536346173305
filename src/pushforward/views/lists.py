"""The lists: runs, versions and uses of a snapshot in the order and portions that pages show them in; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pushforward.registry.tags import Registered
from pushforward.text import figure
from pushforward.views import charts
from pushforward.views.snapshot import Run, Snapshot

PER_PAGE = 100


@dataclass(frozen=True)
class Part:
    """Page `number` of `count` of a list whose pages are `<name>.html`, `<name>/2.html`, …"""

    items: Sequence[Any]
    number: int
    count: int
    name: str
    total: int

    def path(self, number: int) -> str:
        """The page of that number."""
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
    """What an environment holds (None: nothing yet), since when, by whose tag, and who may fill it.

    `foreign` is what GTO has put there before, until a version is.
    """

    environment: str
    version: Registered | None
    seconds: int
    tagger: str
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
        found.append(Use(name, version, since, tag.tagger if tag else "", policy, run, before))
    return found
