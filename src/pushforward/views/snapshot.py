"""The snapshot: what a repository says of runs, pull requests, tags and holdouts at one moment; plain data.

`history` reads it; whoever shows it takes it from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from pushforward.gate import verdict as verdicts
from pushforward.gate.profile import Profile
from pushforward.judge.looks import State
from pushforward.registry import tags as registry
from pushforward.registry.tags import Registry
from pushforward.report import note
from pushforward.report.note import About

REJECTED = ("hold",)


class _Part(BaseModel):
    """A part of a verdict as a list of runs needs it; what else is there is left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Metric(_Part):
    """One metric of a run; `gain` is positive where it is better than the champion, `low` and `high` its bounds."""

    name: str
    better: Literal["lower", "higher"]
    challenger: float
    gain: float | None = None
    low: float | None = None
    high: float | None = None


class _Validation(_Part):
    month: str
    numbers: tuple[Metric, ...] = ()


class _Look(_Part):
    number: int
    of: int


class _Epoch(_Part):
    number: int


class _Holdout(_Part):
    months: tuple[str, ...]
    epoch: _Epoch | None = None


class _Champion(_Part):
    version: str
    commit: str = ""


class Header(_Part):
    """The part of a verdict that a list shows; of `validation`, and of open `numbers`, the gated loss stands first."""

    verdict: str
    reason: str
    mode: str
    event: str
    ref: str
    commit: str = ""
    pull: int | None = None
    numbers: tuple[Metric, ...] = ()
    validation: _Validation | None = None
    holdout: _Holdout | None = None
    look: _Look | None = None
    touched: tuple[str, ...] = ()
    champion: _Champion | None = None


class Arrived(_Part):
    """What a report tells of the months: (month, rows, share of positive labels), which ones came, what they moved.

    And the event of the commit, where an earlier verdict stands at it.
    """

    months: tuple[tuple[str, int, float | None], ...] = ()
    months_added: tuple[str, ...] = ()
    profiles: tuple[Profile, ...] = ()
    carried_by: str = ""


class Judged(_Part):
    """A report, as a list of runs needs it."""

    verdict: Header
    context: Arrived = Arrived()


class Kept(_Part):
    """What is kept of a commit's reports, as a list of runs needs it."""

    commit: About = About()
    reports: tuple[Judged, ...] = ()


@dataclass(frozen=True)
class Run:
    """One verdict on one pushed commit. `version` is the tag that it made."""

    commit: str
    header: Header
    about: About = field(default_factory=About)
    version: str = ""
    arrived: Arrived = field(default_factory=Arrived)

    @property
    def branch(self) -> str:
        """The branch that was pushed."""
        return self.header.ref.removeprefix("refs/heads/")

    @property
    def event(self) -> str:
        """The event that is judged, as its report has it."""
        return self.arrived.carried_by or self.header.event

    @property
    def pull(self) -> int | None:
        """The number of the pull request that it was judged as."""
        return self.header.pull if self.header.event == "pull_request" else None

    @property
    def stands_from(self) -> str:
        """The earlier commit whose verdict stands here, or ""."""
        return "" if self.header.commit in ("", self.commit) else self.header.commit

    @property
    def loss(self) -> Metric | None:
        """The gated loss on the validation month."""
        found = self.header.validation
        return found.numbers[0] if found and found.numbers else None


@dataclass(frozen=True)
class Pull:
    """A pull request: the verdicts on its pushes, newest first."""

    number: int
    runs: tuple[Run, ...]
    merged: bool
    closed: bool = False  # its branch is gone, and it was not merged

    @property
    def state(self) -> str:
        """Where it stands: merged, closed, rejected by its verdict, or open."""
        if self.merged or self.closed:
            return "merged" if self.merged else "closed"
        return "rejected" if self.newest.header.verdict in REJECTED else "open"

    @property
    def newest(self) -> Run:
        """The last push."""
        return self.runs[0]


@dataclass(frozen=True)
class Tag:
    """A tag object as stored; there are many, and few of them are looked into. A lightweight tag says nothing."""

    raw: bytes = b""

    @property
    def target(self) -> str:
        """The object that it names."""
        return self.raw[7:47].decode("ascii", "replace")

    @property
    def seconds(self) -> int:
        """When it was made."""
        return note.signature(self._parts[0], "tagger")[0]

    @property
    def tagger(self) -> str:
        """Who made it."""
        return note.signature(self._parts[0], "tagger")[1]

    @property
    def record(self) -> dict[str, Any]:
        """The JSON in its message."""
        return registry.record(self._parts[1])

    @property
    def by(self) -> str:
        """Who asked for it, as the record says, else who made it."""
        return str(self.record.get("by") or self.tagger).partition(" <")[0]

    @property
    def reason(self) -> str:
        """Why it was made, as far as its record says it."""
        return str(self.record.get("reason") or "")

    @property
    def _parts(self) -> tuple[str, str]:
        headers, _, message = self.raw.decode("utf-8", "replace").partition("\n\n")
        return headers, message


@dataclass(frozen=True)
class Snapshot:
    """A repository at one moment. `runs` and `pulls` are newest first; `policy` says who fills an environment.

    `measured` is the level of settings by which no run fills one without a person's word; "" otherwise.
    `kept` and `reports` are where the reports of a commit and their pictures are; `unread` are commits with a report
    that this version cannot read.
    """

    model: str = ""
    policy: Mapping[str, str] = field(default_factory=dict)
    registry: Registry = field(default_factory=lambda: Registry(""))
    tags: Mapping[str, Tag] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    pulls: tuple[Pull, ...] = ()
    models: tuple[str, ...] = ()  # of the default branch; the one that is read is among them
    holdouts: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    measured: str = ""

    def pull(self, number: int) -> Pull | None:
        """A pull request by its number."""
        return next((pull for pull in self.pulls if pull.number == number), None)


@dataclass(frozen=True)
class Report:
    """One report of a commit: its text as markdown and, where it can be read, the verdict. `pictures` are names."""

    markdown: str
    event: str
    verdict: verdicts.Verdict | None
    context: note.Context
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looks:
    """The ledger of one holdout; `numbers` by look, once published; `problem` where the chain cannot be read."""

    holdout: str
    state: State
    numbers: Mapping[int, verdicts.Verdict] = field(default_factory=dict)
    problem: str = ""


def clock(seconds: int) -> datetime:
    """A moment in git, in UTC."""
    return datetime.fromtimestamp(min(seconds, 253402300799), UTC)
