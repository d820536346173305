"""Chains of workflows: which one follows which, which one hands over a verdict, and which can never start. Pure.

A workflow follows others by `on: workflow_run: workflows: [names]`. As GitHub has it, at most three follow one another
after the one that an event has started (docs.github.com, events that trigger workflows, workflow_run).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pushforward.actions.filters import matches_filters, strings
from pushforward.actions.workflow import Workflow

MOST_LEVELS = 3  # followers in a row
VERDICT = "verdict"  # the artifact in which a judge hands it over
JUDGE = "judge"
# What happens to a repository that is nothing but one: all else on GitHub's list never does.
HAPPENS = frozenset(
    {"push", "pull_request", "workflow_run", "workflow_dispatch", "repository_dispatch", "schedule", "workflow_call"}
)
PULL_TYPES = frozenset({"opened", "synchronize"})  # of a branch that is pushed for the first time, and again
COMPLETED = "completed"
INSTEAD = {
    "pull_request_target": "nobody has a fork here; on: pull_request runs for every branch",
    "merge_group": "there is no merge queue here",
    "create": "nothing is told of a new ref but its push; on: push runs for it",
    "delete": "nothing is told of a ref that goes",
    "release": "there are no releases of a forge here; a tag is one: on: push: tags",
}
_GATE = re.compile(r"\bpushforward[\"']?[ \t]+gate\b(?![^\n;&|]*--(?:plan|ahead))")
_PLACE = r"PUSHFORWARD_ARTIFACTS\S*/verdict\b"
# It makes the folder, writes to it, or has it as the last word of a copy; who reads it hands over nothing.
_WRITES = re.compile(
    rf"\bmkdir\b[^\n;&|]*{_PLACE}|>[ \t]*\S*{_PLACE}|\btee\b[^\n;&|]*{_PLACE}"
    rf"|\b(?:cp|mv|install|rsync|ln)\b[^\n;&|]*[ \t]\S*{_PLACE}\S*[ \t]*(?=[\n;&|]|$)"
)
_SAID = re.compile(r"""\b(?:echo|printf)\b(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|[^\s;&|<>"']+))*""")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)


@dataclass(frozen=True)
class Never:
    """Why an event of a workflow file never happens here, and what to do instead; `whole`: no other one of it does."""

    file: str
    event: str
    why: str
    next: str
    whole: bool


def followed(flow: Workflow) -> list[str]:
    """The names of the workflows that one follows."""
    found = flow.on.get("workflow_run")
    named = found.get("workflows", []) if isinstance(found, Mapping) else []
    try:
        return strings(named)
    except ValueError:
        return []


def judges(flows: Iterable[Workflow]) -> list[Workflow]:
    """Those that hand over a verdict: they run the gate, or upload the artifact `verdict`; else those that write it to
    where artifacts are; else those with a job `judge`.

    Only what follows another one judges, and nothing that follows one of these: its verdict is there by then.
    """
    followers = [flow for flow in flows if followed(flow)]
    for tells in (_hands_over, _writes, _is_called_so):
        if told := [flow for flow in followers if tells(flow)]:
            names = {flow.name for flow in told}
            return [flow for flow in told if not names & set(followed(flow))] or told
    return []


def handing(flow: Workflow) -> list[str]:
    """The jobs of a judge that hand over the verdict, and have to end well."""
    if JUDGE in flow.jobs:
        return [JUDGE]
    steps = {name: job.get("steps", []) for name, job in flow.jobs.items()}
    told = [name for name, found in steps.items() if any(map(_tells, found))]
    return told or [name for name, found in steps.items() if any(map(_puts, found))]


def line(flows: Sequence[Workflow]) -> set[str]:
    """The names of what leads to a judge, and the judges: what has to end, one after the other, for a verdict."""
    found = {flow.name for flow in judges(flows)}
    for _ in range(MOST_LEVELS):
        found |= {name for flow in flows if flow.name in found for name in followed(flow)}
    return found


def before(flows: Iterable[Workflow], files: Iterable[str]) -> set[str]:
    """These files, and those of the workflows that they follow, one after the other."""
    known = list(flows)
    found = {flow.file for flow in known} & set(files)
    for _ in range(MOST_LEVELS):
        names = {name for flow in known if flow.file in found for name in followed(flow)}
        found |= {flow.file for flow in known if flow.name in names}
    return found


def levels(flows: Sequence[Workflow]) -> dict[str, int]:
    """Name of a workflow -> how many it follows at least, one after the other; without those that nothing starts."""
    found = {flow.name: 0 for flow in flows if set(flow.on) & (HAPPENS - {"workflow_run", "workflow_call"})}
    for level in range(1, len(flows) + 1):
        for flow in flows:
            if flow.name not in found and any(found.get(name) == level - 1 for name in followed(flow)):
                found[flow.name] = level
    return found


def never(
    flows: Sequence[Workflow], unlisted: Callable[[], Mapping[str, str]], *, branch: str, own_tags: Sequence[str]
) -> Iterator[Never]:
    """What of these workflows can never start here. `unlisted` gives name -> file of those
    that are there and not run here.

    `branch` is the default branch, `own_tags` how the names of tags begin that only the server makes.
    """
    reached = levels(flows)
    for flow in flows:
        whys = {name: _why(flow, name, reached, unlisted, branch, own_tags) for name in flow.on}
        whole = all(why is not None for why in whys.values())
        for name, why in whys.items():
            if why is not None:
                yield Never(flow.file, name, *why, whole=whole)


def line_of(source: str, event: str) -> int:
    """The line of a workflow's text in which an event is named below `on:`; 1 where it cannot be told."""
    lines = source.splitlines()
    on = next((at for at, text in enumerate(lines) if re.match(r"""["']?on["']?\s*:""", text)), 0)
    named = re.compile(rf"(?<![\w-]){re.escape(event)}(?![\w-])")
    return next((at for at in range(on, len(lines)) if named.search(lines[at])), on) + 1


def _why(
    flow: Workflow,
    event: str,
    reached: Mapping[str, int],
    unlisted: Callable[[], Mapping[str, str]],
    branch: str,
    own_tags: Sequence[str],
) -> tuple[str, str] | None:
    """Why an event of a file never happens, and what to do; None where it may."""
    filters = flow.on[event] if isinstance(flow.on[event], Mapping) else {}
    if event not in HAPPENS:
        return INSTEAD.get(event, "nothing like it happens to a plain repository"), f"take {event} out of {flow.path}"
    try:
        if event == "pull_request":
            return _pull(flow, filters, branch)
        if event == "push":
            return _push(flow, filters, own_tags)
        if event == "workflow_run":
            return _run(flow, filters, reached, unlisted)
    except ValueError:
        return None  # whoever reads the filter for a run says what is wrong with it
    return None


def _pull(flow: Workflow, filters: Mapping[str, Any], branch: str) -> tuple[str, str] | None:
    types = strings(filters.get("types", [*PULL_TYPES]))
    if not PULL_TYPES & set(types):
        return "a branch here is opened and pushed to, and nothing else", f"types: [opened, synchronize] in {flow.path}"
    named = strings(filters.get("branches", [branch]))
    if not matches_filters(named, branch):
        return f"a branch here is a pull request into {branch}, and into no other", f"branches: [{branch}]"
    return None


def _push(flow: Workflow, filters: Mapping[str, Any], own_tags: Sequence[str]) -> tuple[str, str] | None:
    if "tags" not in filters or "branches" in filters or "branches-ignore" in filters:
        return None
    named = [pattern for pattern in strings(filters["tags"]) if not pattern.startswith("!")]
    mine = [pattern for pattern in named if any(pattern.startswith(begin) for begin in own_tags)]
    if not named or len(mine) < len(named):
        return None
    why = f"tags such as {mine[0]} are made by the server, and what it makes starts nothing"
    return why, f"on: workflow_run: workflows: [{JUDGE}] in {flow.path}, or a tag that people push"


def _run(
    flow: Workflow, filters: Mapping[str, Any], reached: Mapping[str, int], unlisted: Callable[[], Mapping[str, str]]
) -> tuple[str, str] | None:
    types = strings(filters.get("types", [COMPLETED]))
    if COMPLETED not in types:
        return "followers are told of an end alone here", f"types: [completed] in {flow.path}"
    named = followed(flow)
    there = [name for name in named if name in reached]
    if not there:
        others = unlisted()
        left = next((name for name in named if name in others), "")
        if left:
            why = f"{left} ({others[left]}) is not run here"
            return why, f"name {others[left].rpartition('.')[0]} under server.workflows in pushforward.yaml"
        known = ", ".join(sorted(reached)) or "none"
        return f"nothing here that starts is called {', '.join(named) or 'so'}", f"name one of these: {known}"
    level = min(reached[name] for name in there) + 1
    if level > MOST_LEVELS:
        return (
            f"it would be number {level} in a row; at most {MOST_LEVELS} follow one another",
            f"follow {there[0]} less deep",
        )
    return None


def _hands_over(flow: Workflow) -> bool:
    return any(map(_tells, _steps(flow)))


def _writes(flow: Workflow) -> bool:
    return any(map(_puts, _steps(flow)))


def _is_called_so(flow: Workflow) -> bool:
    return JUDGE in flow.jobs


def _steps(flow: Workflow) -> Iterator[Mapping[str, Any]]:
    return (step for job in flow.jobs.values() for step in job.get("steps", []))


def _tells(step: Mapping[str, Any]) -> bool:
    given = step.get("with")
    name = given.get("name") if isinstance(given, Mapping) else None
    uploads = str(step.get("uses", "")).startswith("actions/upload-artifact@") and name == VERDICT
    return uploads or bool(_GATE.search(_done(step)))


def _puts(step: Mapping[str, Any]) -> bool:
    return bool(_WRITES.search(_done(step)))


def _done(step: Mapping[str, Any]) -> str:
    """What the script of a step does, a command in one line; without its comments, and without what it only says."""
    script = str(step.get("run", "")).replace("\\\n", " ")
    return _COMMENT.sub("", _SAID.sub(":", script))
