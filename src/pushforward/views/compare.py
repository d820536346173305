"""The comparison of two runs or versions: what each is, how they were measured, and what differs; pure.

It judges nothing: that is the gate's, which pairs rows. Numbers of two months stand beside each other, and no
difference is told of them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pushforward import params
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Digests, Number, Verdict
from pushforward.text import beside, figure
from pushforward.views.snapshot import Report, Run, Snapshot

COMMIT = re.compile(r"[0-9a-f]{7,40}")
DIGESTS = (("model", "model"), ("data", "data"), ("lock", "lock"), ("params", "params"), ("packages", "environment"))


@dataclass(frozen=True)
class Side:
    """One of the two: a run, by the name that was asked for; `params` are the leaves of its params.yaml."""

    name: str
    run: Run
    report: Report | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict | None:
        """Its verdict, where it can be read."""
        return self.report.verdict if self.report else None

    @property
    def month(self) -> str:
        """The month that it was measured on."""
        found = self.run.header.validation
        return found.month if found else ""


@dataclass(frozen=True)
class Row:
    """A line of the comparison; `differs` is None where that is no question."""

    name: str
    left: str
    right: str
    difference: str = ""
    differs: bool | None = None


def find(snapshot: Snapshot, text: str) -> tuple[str, Run] | None:
    """The run that made the version, or has the commit, that `text` names; of a commit judged twice the newest."""
    name = text.strip().rpartition("@")[2]
    if name.startswith("v"):
        return next(((name, run) for run in snapshot.runs if run.version == name), None)
    if not COMMIT.fullmatch(name):
        return None
    return next(((run.commit[:7], run) for run in snapshot.runs if run.commit.startswith(name)), None)


def leaves(content: tuple[str, bytes] | None) -> Mapping[str, Any]:
    """The parameters in a params.yaml; none where there is none that can be read."""
    try:
        return params.flatten(content[1]) if content and content[0] == "blob" else {}
    except PushforwardError:
        return {}


def numbers(left: Side, right: Side) -> list[Row]:
    """The metrics of both on their validation months; the difference where that is one month, + is better."""
    mine, theirs = (_numbers(side) for side in (left, right))
    rows = []
    for name in dict.fromkeys([*mine, *theirs]):
        one, other = mine.get(name), theirs.get(name)
        difference = ""
        if one and other and left.month == right.month:
            gain = (other.challenger - one.challenger) * (-1 if other.better == "lower" else 1)
            difference = beside(gain, other.challenger)
        mine_shown, theirs_shown = (figure(number.challenger) if number else "" for number in (one, other))
        rows.append(Row(name, mine_shown, theirs_shown, difference))
    return rows


def digests(left: Side, right: Side) -> list[Row]:
    """What both are made of, by SHA-256."""
    mine, theirs = (side.verdict.digests if side.verdict else Digests() for side in (left, right))
    pairs = [(name, getattr(mine, key), getattr(theirs, key)) for name, key in DIGESTS]
    return [Row(name, one[:12], other[:12], differs=one != other) for name, one, other in pairs if one or other]


def parameters(left: Side, right: Side) -> list[Row]:
    """The parameters that differ."""
    names = sorted({*left.params, *right.params})
    pairs = [(name, left.params.get(name), right.params.get(name)) for name in names]
    return [Row(name, _shown(one), _shown(other), differs=True) for name, one, other in pairs if one != other]


def _numbers(side: Side) -> dict[str, Number]:
    found = side.verdict.validation if side.verdict else None
    return {number.name: number for number in found.numbers} if found else {}


def _shown(value: Any) -> str:
    return (
        "–"
        if value is None
        else value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
    )
