"""A report as it is kept: its text for people, and beside it as JSON what it was made of, to be shown in any form.

The JSON of a commit's reports is one document. Of the commit itself that says who made it and when: a pull request's
may be gone by the time its report is read.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pushforward.errors import PushforwardError
from pushforward.gate.profile import Profile
from pushforward.gate.verdict import Verdict, worst_first
from pushforward.text import prose, shorten
from pushforward.untrusted import plain_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LONGEST_VERDICT = 30_000  # characters of its JSON, or about that
LONGEST_SUBJECT = 500
SCHEMA = 1

Part = TypeVar("Part", "Context", "About")
_READERS: "dict[type[Any], TypeAdapter[Any]]" = {}
Kind = Literal["judged", "data-refused", "training-failed", "merge-conflict", "carried"]


@dataclass(frozen=True)
class Moved:
    """A row of the validation month whose loss the challenger has changed most, by the keys and labels of its table.

    `champion` and `challenger` are what both predicted, of several classes for the label's; `gain` is by how much the
    challenger has lost less at it.
    """

    key: str
    label: str
    champion: float
    challenger: float
    gain: float


@dataclass(frozen=True)
class Context:
    """What a report tells beside the verdict; every field may stay empty, and its section is left out then.

    `message` is the text of a run that ended before judging (`kind`), line by line. `carried_to` is the commit at
    which the verdict on an earlier commit stands because nothing that a model is made of has changed, `carried_by` the
    event of that commit. `renamed_from` is the champion under the name that the model had before, with which it was not
    compared. `months` are
    (month, rows, share of positive labels or None while that is sealed). Curves are losses by round, on the validation
    month; the champion's is there where its month is the same. `drift` says column by column how the rows of the months
    added differ; `profiles` are the columns that moved most. `trend` is (month, version, value) of `trend_metric` on
    the validation month of each version, this challenger last. `override` says who has let the commit into a protected
    branch by their word, and why; `review` who has accepted or rejected what was judged. `remarks` are what the judge
    could not ask of this project. `moved` are the rows of the validation month that gained most, and then those that
    lost most. `model` is which of several models it is told of. `measured` are (file:path, old, new) of what the run
    wrote, old at `measured_before`, a commit of the target branch.
    """

    kind: Kind = "judged"
    message: str = ""
    branch: str = ""
    target: str = "main"
    carried_to: str = ""
    carried_by: str = ""
    renamed_from: str = ""
    changed_params: tuple[tuple[str, str, str], ...] = ()
    changed_files: tuple[tuple[str, int, int], ...] = ()
    validation_month: str = ""
    validation: Mapping[str, float] = field(default_factory=dict)
    champion_validation_month: str = ""
    champion_validation: Mapping[str, float] = field(default_factory=dict)
    learning_curve: tuple[float, ...] = ()
    champion_learning_curve: tuple[float, ...] = ()
    months_added: tuple[str, ...] = ()
    months: tuple[tuple[str, int, float | None], ...] = ()
    drift: tuple[str, ...] = ()
    profiles: tuple[Profile, ...] = ()
    trend: tuple[tuple[str, str, float], ...] = ()
    trend_metric: str = ""
    next_version: str = ""
    override: str = ""
    review: str = ""
    remarks: tuple[str, ...] = ()
    moved: tuple[Moved, ...] = ()
    model: str = ""
    measured: tuple[tuple[str, float | None, float], ...] = ()
    measured_before: str = ""
    next_step: str = ""
    next_command: str = ""
    reproduce: str = ""


@dataclass(frozen=True)
class Report:
    """A report of a commit: the verdict as JSON, what it tells beside that, its text as markdown."""

    verdict: Mapping[str, Any]
    context: Context
    text: str

    @property
    def event(self) -> str:
        """The event that is judged: a commit has one report for each. A verdict that stands is on an earlier one."""
        return self.context.carried_by or str(self.verdict.get("event", ""))


@dataclass(frozen=True)
class Workflow:
    """How a single workflow of a commit ended, beside its verdict: the event `on` that started it, and seconds."""

    id: str
    file: str
    on: str
    verdict: str
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class About:
    """What a commit says of itself: when it was made, by whom, and its subject."""

    seconds: int = 0
    author: str = ""
    subject: str = ""


def about(commit: bytes) -> About:
    """What a commit says of itself, by the object as git stores it."""
    headers, _, message = commit.decode("utf-8", "replace").partition("\n\n")
    seconds, _ = signature(headers, "committer")
    _, author = signature(headers, "author")
    paragraph = message.lstrip("\n").partition("\n\n")[0]
    return About(seconds, author, " ".join(paragraph.split("\n")).strip())


def signature(headers: str, role: str) -> tuple[int, str]:
    """(seconds, name) of who made a commit or tag; of what git did not write, nothing."""
    found = re.search(rf"^{role} (.*?) ?<[^>\n]*> (\d{{1,12}}) ", headers, re.MULTILINE)
    return (int(found[2]), found[1]) if found else (0, "")


def of(verdict: Verdict, context: Context, text: str) -> Report:
    """The report of a verdict, the longest lists of which are cut where it is too long to be kept."""
    verdict = dataclasses.replace(verdict, reason=shorten(verdict.reason, 2000))
    while True:
        whole = verdict.to_json()
        counts = {name: len(getattr(verdict, name)) for name in ("slices", "touched", "stages")}
        longest = max(counts, key=lambda name: counts[name])
        if len(whole) <= LONGEST_VERDICT or counts[longest] == 0:
            return Report(json.loads(whole), context, text)
        rest = worst_first(verdict.slices) if longest == "slices" else getattr(verdict, longest)
        shorter: dict[str, Any] = {longest: tuple(rest[: counts[longest] // 2])}
        verdict = dataclasses.replace(verdict, **shorter)


def text(reports: Sequence[Report], workflows: Sequence[Workflow] = ()) -> str:
    """The reports of a commit as people read them, one below the other, and below them its single workflows."""
    told = "\n\n".join(one.text.rstrip() for one in reports) + "\n"
    return f"{told}\n{table(workflows)}" if workflows else told


def table(workflows: Sequence[Workflow]) -> str:
    """How single workflows have ended, in markdown; the red ones first."""
    rows = [
        "### Workflows beside the verdict",
        "",
        "| workflow | started by | came to | seconds |",
        "|:--|:--|:--|--:|",
    ]
    for one in sorted(workflows, key=lambda one: (one.verdict == "success", one.id)):
        mark = "✓" if one.verdict == "success" else "**!**"
        why = f": {prose(one.reason, LONGEST_SUBJECT)}" if one.reason else ""
        rows.append(f"| {mark} {one.id} | {one.on} | {one.verdict}{why} | {one.seconds:.1f} |")
    return "\n".join(rows) + "\n"


def dump(reports: Sequence[Report], about: About, workflows: Sequence[Workflow] = ()) -> bytes:
    """The reports of a commit as JSON."""
    short = dataclasses.replace(about, author=about.author[:LONGEST_SUBJECT], subject=about.subject[:LONGEST_SUBJECT])
    tree: dict[str, Any] = {
        "schema": SCHEMA,
        "commit": dataclasses.asdict(short),
        "reports": [
            {"verdict": one.verdict, "context": dataclasses.asdict(one.context), "text": one.text} for one in reports
        ],
    }
    if workflows:
        tree["workflows"] = [dataclasses.asdict(one) for one in workflows]
    return json.dumps(tree, allow_nan=False, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Kept:
    """What is kept of a commit: its reports, newest first, what it says of itself, and its single workflows."""

    commit: About
    reports: tuple[Report, ...]
    workflows: tuple[Workflow, ...] = ()


def load(content: bytes) -> Kept:
    """What `dump` has made of; without what cannot be read."""
    try:
        tree = plain_json(content, "what is kept of a commit's reports")
    except PushforwardError:
        return Kept(About(), ())
    found = tree.get("reports")
    reports = [
        Report(one["verdict"], _valid(Context, one.get("context")), str(one.get("text", "")))
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict) and isinstance(one.get("verdict"), dict)
    ]
    beside = tree.get("workflows")
    told = [one for one in map(_workflow, beside if isinstance(beside, list) else ()) if one is not None]
    return Kept(_valid(About, tree.get("commit")), tuple(reports), tuple(told))


def reader(kind: type[Any]) -> "TypeAdapter[Any]":
    """What reads a part of a note; made once, since making it takes longer than a hundred readings."""
    if kind not in _READERS:
        from pydantic import TypeAdapter

        _READERS[kind] = TypeAdapter(kind)
    return _READERS[kind]


def _workflow(tree: object) -> Workflow | None:
    """A workflow as stored; None where another version has left another form."""
    from pydantic import ValidationError

    try:
        found: Workflow = reader(Workflow).validate_python(tree)
    except ValidationError:
        return None
    return found


def _valid(kind: type[Part], tree: object) -> Part:
    """A part as stored; an empty one where another version has left another form."""
    from pydantic import ValidationError

    try:
        found: Part = reader(kind).validate_python(tree)
    except ValidationError:
        return kind()
    return found
