"""Workflow files: what they say, which events they answer to, and what in them cannot run here. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pushforward import untrusted as aliases
from pushforward.actions import cron as schedule
from pushforward.actions.event import Event
from pushforward.actions.expression import ExpressionError, evaluate, text, truth
from pushforward.errors import PushforwardError

FOLDER = ".github/workflows"
RUNNER = "ubuntu-latest"
MAX_BYTES = 64 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 40
JOB_MINUTES = 360.0

# Actions that have a local stand-in, and the release whose inputs it follows. Any full SHA maps to the stand-in.
STAND_INS = {
    "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1",  # v7.0.1
    "actions/setup-python": "5fda3b95a4ea91299a34e894583c3862153e4b97",  # v7.0.0
    "astral-sh/setup-uv": "20cfd1bf945f4377ade1205e4dbc17946fc9a30d",  # v10.0.1
    "actions/cache": "27d5ce7f107fe9357f9df03efb73ab90386fccae",  # v5.0.5
    "actions/upload-artifact": "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",  # v7.0.0
    "actions/download-artifact": "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",  # v8.0.1
}

# The filters that each event knows. GitHub refuses a file with any other key; act would ignore it.
FILTERS: dict[str, frozenset[str]] = {
    "push": frozenset({"branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"}),
    "pull_request": frozenset({"types", "branches", "branches-ignore", "paths", "paths-ignore"}),
    "workflow_run": frozenset({"types", "workflows", "branches", "branches-ignore"}),
}
PULL_REQUEST_TYPES = ("opened", "synchronize", "reopened")

ReadFile = Callable[[str], str | None]


class WorkflowError(PushforwardError):
    """A workflow file that cannot be read or that asks for what cannot be done here."""


@dataclass(frozen=True)
class Workflow:
    """A parsed workflow file: `file` is its name in `.github/workflows`, `on` maps events to their filters."""

    file: str
    name: str
    on: Mapping[str, Any]
    jobs: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Any]

    @property
    def path(self) -> str:
        """The file's path in the repository."""
        return f"{FOLDER}/{self.file}"


@dataclass(frozen=True)
class Concurrency:
    """The group in which only one run goes at a time, and whether a newer run ends the older."""

    group: str
    cancel_in_progress: bool


def load(file: str, source: str) -> Workflow:
    """Parse the workflow file called `file` as YAML 1.2 (where `on` is a word, not a boolean).

    Raises `WorkflowError` for more than 64 KiB, duplicate keys, nesting or aliases that explode, and for
    anything that is not a mapping with `on` and `jobs`.
    """
    data = _mapping(file, source)
    if "on" not in data or not isinstance(data.get("jobs"), dict):
        raise WorkflowError(f"{file}: a workflow needs `on:` and `jobs:`")
    jobs = data["jobs"]
    for name, job in jobs.items():
        if not isinstance(name, str) or not isinstance(job, dict):
            raise WorkflowError(f"{file}: job {name} is not a mapping")
        steps = job.get("steps", [])
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise WorkflowError(f"{file}: job {name}: `steps` is not a list of mappings")
    return Workflow(file, str(data.get("name") or f"{FOLDER}/{file}"), _events(file, data["on"]), jobs, data)


def matches(workflow: Workflow, event: Event) -> bool:
    """Whether GitHub would start `workflow` for `event`. Raises `WorkflowError` for a filter it would refuse."""
    if event.name not in workflow.on:
        return False
    filters = workflow.on[event.name]
    try:
        if event.name == "push":
            return _push(filters, event)
        if event.name == "pull_request":
            types = _strings(filters.get("types", list(PULL_REQUEST_TYPES)))
            return event.action in types and _named(filters, "branches", event.base) and _changed(filters, event.paths)
        if event.name == "workflow_run":
            return (
                event.workflow in _strings(filters.get("workflows", []))
                and event.action in _strings(filters.get("types", [event.action]))
                and _named(filters, "branches", event.head)
            )
        if event.name == "schedule" and event.schedule:
            return event.schedule in crons(workflow)
    except ValueError as bad:
        raise WorkflowError(f"{workflow.file}: on.{event.name}: {bad}") from bad
    return True


def crons(workflow: Workflow) -> tuple[str, ...]:
    """The cron lines of `on: schedule`."""
    entries = workflow.on.get("schedule", {}).get("crons", [])
    if not isinstance(entries, list):
        return ()
    return tuple(str(entry["cron"]) for entry in entries if isinstance(entry, dict) and "cron" in entry)


def writes(workflow: Workflow) -> bool:
    """Whether the file asks for the right to write to the repository, as a whole or for one of its jobs."""
    asked = (workflow.data.get("permissions"), *(job.get("permissions") for job in workflow.jobs.values()))
    return any(one == "write-all" or (isinstance(one, dict) and one.get("contents") == "write") for one in asked)


def problems(workflow: Workflow, read_file: ReadFile | None = None) -> list[str]:
    """What act would ignore, turn green though it is not, or fetch from the network: one line each.

    `read_file` gives the text of a file of the workflow's own commit, or None where there is none; with it, local
    actions and local reusable workflows are looked through too. An empty list means that the file runs here.
    """
    found = [f"{workflow.file}: {line}" for line in _event_problems(workflow)]
    for file, job_name, job in _all_jobs(workflow, read_file):
        found += [f"{file}: job {job_name}: {line}" for line in _job_problems(job)]
    for where, used in _all_uses(workflow, read_file):
        found += [f"{where}: {line}" for line in _uses_problems(used)]
    found += _missing_local(workflow, read_file)
    return list(dict.fromkeys(found))


def uses(workflow: Workflow, read_file: ReadFile | None = None) -> list[str]:
    """Every action that is fetched by name, wherever it stands: also under a false `if:`, since act loads all
    of them before it looks at conditions, and inside of local composite actions and reusable workflows."""
    found = (used for _, used in _all_uses(workflow, read_file) if not used.startswith(("./", "docker://")))
    return list(dict.fromkeys(found))


def concurrency(workflow: Workflow, contexts: Mapping[str, Any]) -> Concurrency | None:
    """The workflow's `concurrency:` in these contexts. Raises `WorkflowError` where it cannot be evaluated."""
    asked = workflow.data.get("concurrency")
    if asked is None:
        return None
    if isinstance(asked, str):
        asked = {"group": asked}
    if not isinstance(asked, dict) or "group" not in asked or asked.keys() - {"group", "cancel-in-progress"}:
        raise WorkflowError(f"{workflow.file}: concurrency needs `group` and perhaps `cancel-in-progress`")
    try:
        group = text(evaluate(str(asked["group"]), contexts))
        cancel = asked.get("cancel-in-progress", False)
        cancel = evaluate(cancel, contexts) if isinstance(cancel, str) else cancel
    except ExpressionError as unknown:
        raise WorkflowError(f"{workflow.file}: concurrency: {unknown.message}") from unknown
    if isinstance(cancel, str):
        raise WorkflowError(f"{workflow.file}: cancel-in-progress is neither true nor false but {cancel!r}")
    return Concurrency(group, truth(cancel))


def job_minutes(workflow: Workflow) -> dict[str, float]:
    """Minutes that each job may take: its `timeout-minutes`, or GitHub's default of 360."""
    minutes = {}
    for name, job in workflow.jobs.items():
        asked = job.get("timeout-minutes", JOB_MINUTES)
        minutes[name] = float(asked) if isinstance(asked, (int, float)) else JOB_MINUTES
    return minutes


def limit_minutes(workflow: Workflow) -> float:
    """Minutes that the workflow may take: the sum over its jobs, since all of them may have to run in a row."""
    return sum(job_minutes(workflow).values())


def matches_filters(patterns: Sequence[str], name: str) -> bool:
    """Whether `name` passes a list of patterns in GitHub's way: the last one that matches decides, `!` excludes.

    Raises `ValueError` for a malformed pattern and for a list that only excludes.
    """
    if patterns and all(pattern.startswith("!") for pattern in patterns):
        raise ValueError("a filter needs at least one pattern without `!`")
    passed = False
    for pattern in patterns:
        if matches_pattern(pattern.removeprefix("!"), name):
            passed = not pattern.startswith("!")
    return passed


def matches_pattern(pattern: str, name: str) -> bool:
    """Whether the whole of `name` matches a filter pattern: `*` `**` `?` `+` `[]`, backslash escapes.

    The states of a small automaton are followed, so that no pattern can make it slow (len(pattern) × len(name)).
    Raises `ValueError` for a malformed pattern.
    """
    atoms = _atoms(pattern)
    states = _reach(atoms, {0})
    for character in name:
        states = _reach(atoms, {after for at in states for after in atoms[at].step(at, character)})
        if not states:
            return False
    return len(atoms) - 1 in states


# A filter pattern is a row of atoms; `least` and `most` say how often one may repeat, `skip` how many may be left out.
@dataclass(frozen=True)
class _Atom:
    accepts: frozenset[str] | None  # None: any character
    refuses: str = ""
    least: int = 1
    endless: bool = False
    skip: int = 0

    def step(self, at: int, character: str) -> tuple[int, ...]:
        if self.skip or character in self.refuses:
            return ()
        if self.accepts is not None and character not in self.accepts:
            return ()
        return (at, at + 1) if self.endless else (at + 1,)


_END = _Atom(frozenset())


def _reach(atoms: Sequence[_Atom], states: set[int]) -> set[int]:
    waiting = list(states)
    while waiting:
        at = waiting.pop()
        atom = atoms[at]
        jumps = [at + 1] if atom.least == 0 else []
        if atom.skip:
            jumps = [at + 1, at + 1 + atom.skip]
        for after in jumps:
            if after not in states:
                states.add(after)
                waiting.append(after)
    return states


def _atoms(pattern: str) -> list[_Atom]:
    atoms: list[_Atom] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            # `**/x` matches `x` too, at the top and after any folder
            atoms += [_Atom(None, skip=2), _Atom(None, least=0, endless=True), _Atom(frozenset("/"))]
            at += 3
        elif pattern.startswith("**", at):
            atoms.append(_Atom(None, least=0, endless=True))
            at += 2
        elif character == "*":
            atoms.append(_Atom(None, refuses="/", least=0, endless=True))
            at += 1
        elif character in "?+":
            if not atoms or atoms[-1].accepts is None or atoms[-1].least == 0 or atoms[-1].endless:
                raise ValueError(f"pattern {pattern!r}: {character} has no character before it")
            atoms[-1] = (
                _Atom(atoms[-1].accepts, least=0) if character == "?" else _Atom(atoms[-1].accepts, endless=True)
            )
            at += 1
        elif character == "[":
            end = pattern.find("]", at)
            if end < at + 2:
                raise ValueError(f"pattern {pattern!r}: [ without ]")
            atoms.append(_Atom(_listed(pattern, pattern[at + 1 : end])))
            at = end + 1
        else:
            at += character == "\\" and at + 1 < len(pattern)
            atoms.append(_Atom(frozenset(pattern[at])))
            at += 1
    return [*atoms, _END]


def _listed(pattern: str, inside: str) -> frozenset[str]:
    characters: set[str] = set()
    at = 0
    while at < len(inside):
        if at + 2 < len(inside) and inside[at + 1] == "-":
            first, last = inside[at], inside[at + 2]
            if not (first.isalnum() and last.isalnum() and first <= last):
                raise ValueError(f"pattern {pattern!r}: range {first}-{last}")
            characters.update(chr(code) for code in range(ord(first), ord(last) + 1))
            at += 3
        else:
            characters.add(inside[at])
            at += 1
    return frozenset(characters)


def _mapping(file: str, source: str) -> dict[str, Any]:
    size = len(source.encode())
    if size > MAX_BYTES:
        raise WorkflowError(f"{file}: {size} bytes; the limit is {MAX_BYTES}")
    yaml = YAML(typ="safe", pure=True)
    try:
        aliases.check(source, nodes=MAX_NODES, depth=MAX_DEPTH)
        data = yaml.load(source)
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError) as bad:
        mark = getattr(bad, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        problem = getattr(bad, "problem", None) or (str(bad).splitlines() or ["it cannot be read"])[0]
        raise WorkflowError(f"{where}: not valid YAML: {problem}") from bad
    if not isinstance(data, dict):
        raise WorkflowError(f"{file}: not a mapping")
    return data


def _events(file: str, on: Any) -> dict[str, Any]:
    if isinstance(on, str):
        return {on: {}}
    if isinstance(on, list) and all(isinstance(name, str) for name in on):
        return {name: {} for name in on}
    if not isinstance(on, dict) or not all(isinstance(name, str) for name in on):
        raise WorkflowError(f"{file}: `on:` is not an event, a list of events or a mapping of events")
    events: dict[str, Any] = {}
    for name, filters in on.items():
        if name == "schedule" and isinstance(filters, list):
            events[name] = {"crons": filters}
        elif filters is None or isinstance(filters, dict):
            events[name] = filters or {}
        else:
            raise WorkflowError(f"{file}: on.{name} is not a mapping of filters")
    return events


def _push(filters: Mapping[str, Any], event: Event) -> bool:
    if event.ref.startswith("refs/tags/"):
        # Path filters are not evaluated for tags, and a file that filters branches only does not want tags.
        if _has(filters, "branches") and not _has(filters, "tags"):
            return False
        return _named(filters, "tags", event.ref.removeprefix("refs/tags/"))
    if _has(filters, "tags") and not _has(filters, "branches"):
        return False
    return _named(filters, "branches", event.ref.removeprefix("refs/heads/")) and _changed(filters, event.paths)


def _has(filters: Mapping[str, Any], kind: str) -> bool:
    return kind in filters or f"{kind}-ignore" in filters


def _named(filters: Mapping[str, Any], kind: str, name: str) -> bool:
    if f"{kind}-ignore" in filters:
        return not any(matches_pattern(pattern, name) for pattern in _strings(filters[f"{kind}-ignore"]))
    return kind not in filters or matches_filters(_strings(filters[kind]), name)


def _changed(filters: Mapping[str, Any], paths: tuple[str, ...] | None) -> bool:
    if paths is None:
        return True
    if "paths-ignore" in filters:
        ignored = _strings(filters["paths-ignore"])
        return any(not any(matches_pattern(pattern, path) for pattern in ignored) for path in paths)
    if "paths" in filters:
        patterns = _strings(filters["paths"])
        return any(matches_filters(patterns, path) for path in paths)
    return True


def _strings(value: Any) -> list[str]:
    """A filter's value as a list; a number such as `1.0` is what its author typed, up to YAML."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, (dict, list, type(None))) for item in values):
        raise ValueError("a filter is a string or a list of strings")
    return [str(item) for item in values]


def _labels(job: Mapping[str, Any]) -> list[str]:
    asked = job.get("runs-on", [])
    if isinstance(asked, dict):
        # a group, or a form that nobody knows, is a runner that is not here
        asked = [*_listed_labels(asked.get("labels")), f"group {asked.get('group', '?')}"]
    return [str(label) for label in (asked if isinstance(asked, list) else [asked])]


def _listed_labels(labels: Any) -> list[Any]:
    return labels if isinstance(labels, list) else [] if labels is None else [labels]


def _event_problems(workflow: Workflow) -> Iterator[str]:
    for cron in crons(workflow):
        try:
            schedule.parse(cron)
        except PushforwardError as wrong:
            yield f"on.schedule: {wrong.message}"
    for name, known in FILTERS.items():
        filters = workflow.on.get(name, {})
        for key in filters.keys() - known:
            yield f"on.{name}: there is no filter `{key}`; known are {', '.join(sorted(known))}"
        for kind in ("branches", "tags", "paths"):
            if kind in filters and f"{kind}-ignore" in filters:
                yield f"on.{name}: `{kind}` and `{kind}-ignore` exclude one another"
        for key in filters.keys() & known:
            try:
                patterns = _strings(filters[key])
                if key not in ("types", "workflows"):
                    matches_filters([*patterns, "**"] if key.endswith("-ignore") else patterns, "")
            except ValueError as bad:
                yield f"on.{name}.{key}: {bad}"
    if "workflow_run" in workflow.on and not workflow.on["workflow_run"].get("workflows"):
        yield "on.workflow_run needs `workflows`"


def _job_problems(job: Mapping[str, Any]) -> Iterator[str]:
    if "uses" not in job:
        asked = _labels(job)
        if asked != [RUNNER]:
            yield f"runs-on {', '.join(asked) or 'nothing'} is not available here; use {RUNNER}"
        if not job.get("steps"):
            yield "it has no steps"
    for key, why in (
        ("services", "services need containers, which do not run here"),
        ("container", "containers do not run here"),
        ("continue-on-error", "continue-on-error of a job is not supported here; set it on steps"),
        ("concurrency", "concurrency of a job is not supported here; set it on the workflow"),
    ):
        if job.get(key):
            yield why
    minutes = job.get("timeout-minutes", 1)
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or minutes <= 0:
        yield f"timeout-minutes is {minutes!r}; here it is a number above 0"
    strategy = job.get("strategy")
    if isinstance(strategy, dict) and strategy.get("matrix") and job.get("outputs"):
        yield "outputs of a matrix job are those of an arbitrary leg; hand results over as artifacts"
    for at, step in enumerate(job.get("steps", []), 1):
        minutes = step.get("timeout-minutes", 1)
        whole = isinstance(minutes, int) and not isinstance(minutes, bool) and minutes > 0
        if not whole and not (isinstance(minutes, str) and "${{" in minutes):
            yield f"step {at}: timeout-minutes is {minutes!r}; here it is a whole number above 0"
        if step.get("continue-on-error") not in (None, True, False) and "${{" not in str(step["continue-on-error"]):
            yield f"step {at}: continue-on-error is neither true nor false"


def _uses_problems(used: str) -> Iterator[str]:
    if used.startswith("docker://"):
        yield f"uses {used}: actions in containers do not run here"
    elif used.startswith("$/"):
        yield f"uses {used}: write ./{used[2:]}, the form that runs everywhere"
    elif used.startswith("./"):
        if ".." in PurePosixPath(used).parts:
            yield f"uses {used}: a local action lies inside of the repository"
    else:
        action, _, ref = used.partition("@")
        if not re.fullmatch(r"[0-9a-f]{40}", ref):
            yield f"uses {used}: pin it by a full commit SHA of 40 digits"
        if action not in STAND_INS:
            yield f"uses {action}: there is no local stand-in for it; known are {', '.join(sorted(STAND_INS))}"


def _all_jobs(workflow: Workflow, read_file: ReadFile | None) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Every job of the workflow and of the local reusable workflows that it calls, with file and job name."""
    waiting, seen = [workflow], {workflow.path}
    while waiting:
        current = waiting.pop()
        for name, job in current.jobs.items():
            yield current.file, name, job
            path = str(job.get("uses", "")).removeprefix("./")
            if path in seen or not path.startswith(f"{FOLDER}/") or read_file is None:
                continue
            seen.add(path)
            source = read_file(path)
            if source is not None:
                waiting.append(load(path.removeprefix(f"{FOLDER}/"), source))


def _all_uses(workflow: Workflow, read_file: ReadFile | None) -> Iterator[tuple[str, str]]:
    """Every `uses:` with the place where it stands: jobs, steps, and steps of local composite actions."""
    waiting: list[tuple[str, str]] = []
    for file, name, job in _all_jobs(workflow, read_file):
        called = job.get("uses")
        if called is not None and not str(called).startswith(f"./{FOLDER}/"):
            yield f"{file}: job {name}", str(called)
        waiting += [(f"{file}: job {name}", str(step["uses"])) for step in job.get("steps", []) if "uses" in step]
    seen: set[str] = set()
    while waiting:
        where, used = waiting.pop(0)
        yield where, used
        path = _local(used)
        if path is None or path in seen or read_file is None:
            continue
        seen.add(path)
        action = _action(path, read_file)
        runs = action.get("runs") if action else {}
        runs = runs if isinstance(runs, dict) else {}
        if str(runs.get("using", "")).lower() == "docker":
            yield path, f"docker://{runs.get('image', path)}"
        steps = runs.get("steps")
        steps = steps if isinstance(steps, list) else []
        waiting += [(path, str(step["uses"])) for step in steps if isinstance(step, dict) and "uses" in step]


def _missing_local(workflow: Workflow, read_file: ReadFile | None) -> Iterator[str]:
    if read_file is None:
        return
    for file, name, job in _all_jobs(workflow, read_file):
        called = str(job.get("uses", ""))
        if called.startswith(f"./{FOLDER}/") and read_file(called.removeprefix("./")) is None:
            yield f"{file}: job {name}: uses {called}: there is no such file in this commit"


def _local(used: str) -> str | None:
    if not used.startswith("./") or ".." in PurePosixPath(used).parts:
        return None
    return PurePosixPath(used).as_posix()


def _action(path: str, read_file: ReadFile) -> dict[str, Any] | None:
    for name in ("action.yml", "action.yaml"):
        file = f"{path}/{name}" if path != "." else name
        source = read_file(file)
        if source is not None:
            action = _mapping(file, source)
            return action if isinstance(action.get("runs"), dict) else None
    return None
