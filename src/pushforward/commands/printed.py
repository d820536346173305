"""What a verb prints with --json, as types: docs/schemas is made of them, and the tests hold the verbs to them.

A verb itself prints records and imports none of this, which imports every room. A new verb needs one entry in PRINTED.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pushforward.explaining.explain import Explanation
from pushforward.gate.verdict import Verdict
from pushforward.judge.ahead import Ahead
from pushforward.judge.plan import Plan
from pushforward.judge.rehearse import Rehearsal
from pushforward.monitoring.record import Record as Look
from pushforward.pipeline.environment import Made as Environment
from pushforward.pipeline.stages import Stage
from pushforward.project.locks import Lock
from pushforward.project.pipelines import Candidate
from pushforward.project.scorecard import Card
from pushforward.project.survey import Registry, Remote
from pushforward.release.bundle import Bundle
from pushforward.release.promote import Promotion
from pushforward.release.pull import Pulled
from pushforward.release.release import Made as Use
from pushforward.release.review import Said
from pushforward.server.clone import Command
from pushforward.server.finding import Finding
from pushforward.server.runs import State as RunState
from pushforward.tuning.tune import Tuned
from pushforward.views.show import State

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Record(BaseModel):
    """An object that has these keys and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Heard(Record):
    """What happens to what is served: one object a line, as long as it is."""

    said: str


class Failed(Record):
    """Any verb that fails: what, where and why; the next command to type; the exit code."""

    error: str
    next: str
    exit_code: int


class Proposed(Record):
    """A batch that is asked for, or its correction, and what has become of that."""

    batch: str
    kind: Literal["arrive", "correct"]
    branch: str
    state: Literal["opened", "there", "pushed", "declined", "landed", "merged", "renewed", "untried", "dry"]


class Alarm(Record):
    """What is not as it should be with the batches, since when that is known, and whether it is news."""

    kind: Literal["source", "empty", "refused", "failed", "late", "gone", "gap", "corrected"]
    batch: str
    words: str
    since: str
    new: bool


class Arrived(Record):
    """What came of one look at the source; `last` is the newest batch of the default branch."""

    proposals: list[Proposed]
    alarms: list[Alarm]
    said: list[str]
    last: str


class Metric(Record):
    """A file of metrics, with what it says now."""

    path: str
    line: int
    inside: str
    cached: bool
    values: dict[str, float]


class Found(Record):
    """A model that `adopt` has found."""

    name: str
    file: str
    stages: list[str]
    model: Candidate | None
    metrics: list[Metric]
    environment: list[str]


class Odd(Record):
    """What cannot be read."""

    file: str
    line: int
    why: str


class Written(Record):
    """A file that is written, or would be."""

    path: str
    what: str
    conflicts: int


class Adopted(Record):
    """`adopt`: what was found, the level that comes of it, what is written, what to type next."""

    branch: str
    models: list[Found]
    locks: list[Lock]
    remotes: list[Remote]
    registries: list[Registry]
    workflows: list[str]
    odd: list[Odd]
    level: int
    needs: dict[str, str]
    writes: list[Written]
    notes: list[str]
    next: str


class Stale(Record):
    """`adopt --check`: what is not as this version makes it."""

    stale: list[str]


class Run(Record):
    """A run of a server: of what, how it stands and why, and when; times are seconds since the epoch."""

    id: str
    key: str
    seconds: float
    state: RunState
    verdict: str
    reason: str
    stage: str
    waits_for: str
    attempt: int
    final: bool
    machine: bool
    failures: int
    insisted: bool
    taken_up: str
    asked: float
    started: float
    ended: float
    event: str
    ref: str
    commit: str
    before: str
    pull: int | None
    tag: str
    file: str
    cron: str
    due: str
    on: str
    serial: str
    cause: str
    level: int
    trusted: bool


class RunStep(Record):
    """A step of a run: of which workflow and job, how it ended or that it is running, and its seconds so far."""

    workflow: str
    job: str
    name: str
    result: str
    seconds: float


class Shown(Run):
    """`runs show`: a run and its steps."""

    steps: list[RunStep]


class Dispatched(Record):
    """`dispatch`: the runs that ended meanwhile; `busy` where another dispatcher takes them up."""

    busy: bool
    judged: list[Run]


class Needed(Record):
    """How many hold on to what is kept."""

    versions: int
    branches: int
    runs: int


class Kept(Record):
    """What stays."""

    objects: int
    bytes: int


class Garbage(Record):
    """What goes."""

    kind: str
    path: str
    bytes: int


class Collected(Record):
    """`gc`: what is needed by whom, what went, or would go."""

    refs: str
    needed: Needed
    kept: Kept
    garbage: list[Garbage]
    bytes: int
    notes: list[str]
    deleted: bool


class Elsewhere(Record):
    """`init` of a clone whose server is on another machine."""

    server: str
    elsewhere: Literal[True]
    next: list[str]


class Server(Record):
    """`init`: the server, what it has, who signs, and what the project lacks."""

    server: str
    elsewhere: Literal[False]
    store: str
    keys: str
    trust: bool
    protect: bool
    signer: str
    lacks: list[Finding]
    next: list[str]


class New(Record):
    """`new`: the project."""

    folder: str
    files: list[str]
    commits: list[str]
    next: list[str]


class Promoted(Record):
    """`promote`, of one model: its verdict, and the version that came of it."""

    model: str
    verdict: str
    promotion: Promotion | None


class Hooked(Record):
    """`pull --install-hooks`: the hooks that call it now."""

    install: list[str]


class Unhooked(Record):
    """`pull --remove-hooks`: the hooks that are gone."""

    remove: list[str]


class Recorded(Record):
    """`record`: where the report is now, and the commits that have its pictures."""

    commit: str
    place: str
    pictures: str
    names: list[str]
    shown: str
    card: str


class Reproduced(Record):
    """`repro`: every stage, where the hand-over is, how many objects were fetched and sent."""

    commit: str
    folder: str
    stages: list[Stage]
    seconds: float
    pulled: int
    pushed: int


class Scored(Record):
    """`score`: the models that were asked; the sentence of what the probes found, "" where nothing."""

    folder: str
    scored: list[str]
    leak: str


class Call(Record):
    """A call of a forge's API."""

    kind: Literal["call"]
    method: str
    path: str
    body: Any
    why: str


class Secret(Record):
    """A secret that is set; never its value."""

    kind: Literal["secret"]
    name: str
    scope: str
    why: str


class File(Record):
    """A file that the pull request writes."""

    kind: Literal["file"]
    path: str
    why: str


class Step(Record):
    """A thing that `setup` sees to: how it was found, and each act that is left to do, or was done."""

    name: str
    found: str
    right: bool
    optional: bool
    lost: str
    by_hand: str
    acts: list[Call | Secret | File]


class SetUp(Record):
    """`setup`: every step, and the pull request that asks for the files."""

    dry_run: bool
    steps: list[Step]
    pull_request: str


class Told(Record):
    """A message to a target of `notify:`: which host has taken it, or why it has not."""

    target: str
    host: str
    ok: bool
    reason: str


class States(Record):
    """`show`, of several models."""

    models: list[State]


class Key(Record):
    """A key whose signature counts: for what, and until when."""

    principal: str
    may: list[str]
    valid_before: str
    key: str
    fingerprint: str


class Hop(Record):
    """A hop from a version's tag to its bytes; `ok` is null where it was not taken."""

    name: str
    ok: bool | None
    said: str
    place: str = ""
    expected: str = ""
    found: str = ""
    next: str = ""


class Verified(Record):
    """`verify`: each hop of a version."""

    version: str
    ok: bool
    hops: list[Hop]
    foreign: str = ""


class SeveralVerified(Record):
    """`verify --in-use`, of several models."""

    models: list[Verified]


class Looks(Record):
    """`monitor`: of several models, or of none that is in use; `failed` are those that could not be looked at."""

    looks: list[Look]
    failed: dict[str, Failed] = {}


class Exported(Record):
    """`web --export`: how many files, and where."""

    files: int
    folder: str


# verb, or verb and word -> what it prints on standard output
PRINTED: dict[str, Any] = {
    "accept": Said,
    "act": Command,
    "adopt": Adopted | Stale,
    "arrive": Arrived,
    "bundle": Bundle,
    "check": list[Finding],
    "deprecate": Use,
    "dispatch": Dispatched,
    "env": Environment,
    "error": Failed,
    "explain": Explanation,
    "gate": Verdict | Plan | Ahead,
    "gc": Collected,
    "init": Server | Elsewhere,
    "monitor": Look | Looks,
    "new": New,
    "notify": list[Told],
    "promote": list[Promoted],
    "pull": Pulled | Hooked | Unhooked,
    "record": Recorded,
    "rehearse": Rehearsal,
    "reject": Said,
    "release": Use,
    "report": Verdict,
    "repro": Reproduced,
    "rollback": Use,
    "runs": list[Run],
    "runs cancel": Run,
    "runs retry": Run,
    "runs show": Shown,
    "runs start": list[Run],
    "score": Scored,
    "score-card": Card,
    "serve": Heard,
    "setup": SetUp,
    "show": State | States,
    "trust": list[Key],
    "tune": Tuned,
    "verify": Verified | SeveralVerified,
    "web": Exported,
}


def schema(verb: str) -> dict[str, Any]:
    """The JSON schema of what a verb prints."""
    said = (
        f"What `pushforward {verb} --json` prints" if verb != "error" else "What any verb prints with --json that fails"
    )
    return TypeAdapter(PRINTED[verb]).json_schema() | {"$schema": DIALECT, "title": said}


def file(verb: str) -> Path:
    """The name of its file in docs/schemas."""
    return Path(f"{verb.replace(' ', '-')}.json")
