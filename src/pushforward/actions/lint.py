"""The linter of workflows: what GitHub would refuse in them, and what this server cannot do as GitHub does. Pure.

The first is told by `grammar` and `rules`, which have it from GitHub; the second is here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from pushforward.actions import dialect, expression, grammar, lines, local, matrix, rules
from pushforward.actions.filters import FILTERS, matches_filters, strings
from pushforward.actions.workflow import FOLDER, RUNNER, Workflow, load, mapping, minutes_of
from pushforward.errors import PushforwardError

# Actions that have a local stand-in, and the release whose inputs it follows. Any full SHA maps to the stand-in.
STAND_INS = {
    "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1",  # v7.0.1
    "actions/setup-python": "5fda3b95a4ea91299a34e894583c3862153e4b97",  # v7.0.0
    "astral-sh/setup-uv": "20cfd1bf945f4377ade1205e4dbc17946fc9a30d",  # v10.0.1
    "actions/cache": "27d5ce7f107fe9357f9df03efb73ab90386fccae",  # v5.0.5
    "actions/upload-artifact": "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",  # v7.0.0
    "actions/download-artifact": "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",  # v8.0.1
}
_BACKGROUND = frozenset({"background", "wait", "wait-all", "cancel", "parallel"})
ReadFile = Callable[[str], str | None]


@dataclass(frozen=True)
class _Place:
    """Where something stands in a file: its line is only looked for where something is told of it."""

    file: str
    source: str
    path: grammar.Path
    of: str

    def at(self, *below: str | int) -> "_Place":
        return replace(self, path=(*self.path, *below))

    def told(self, text: str) -> str:
        line = lines.line(self.source, self.path) if self.source else 0
        return f"{self.file}:{line}: {self.of}{text}" if line else f"{self.file}: {self.of}{text}"


def problems(workflow: Workflow, read_file: ReadFile | None = None) -> list[str]:
    """What GitHub would refuse in a file, or cannot be done here as GitHub does it: one line each, with file and line.

    `read_file` gives the text of a file of the workflow's own commit, or None where there is none; with it, local
    actions and local reusable workflows are looked through too. An empty list means that the file runs here. What
    GitHub refuses is told alone: the rest of the file may not mean what it seems to.
    """
    refused = _refused(workflow)
    if refused:
        return refused
    found = [f"{workflow.file}: {line}" for line in _event_problems(workflow)]
    found += _called_problems(workflow, read_file)
    for flow, job_name, job in _all_jobs(workflow, read_file):
        place = _Place(flow.file, flow.source, ("jobs", job_name), f"job {job_name}: ")
        found += [place.at(*path).told(line) for path, line in _job_problems(job)]
    for place, used in _all_uses(workflow, read_file):
        found += [place.told(line) for line in _uses_problems(used)]
    found += _local_problems(workflow, read_file)
    found += _missing_local(workflow, read_file)
    return list(dict.fromkeys(found))


def called(workflow: Workflow, read_file: ReadFile) -> dict[str, Workflow]:
    """The workflows of the repository that this one calls, and those that they call, by their paths."""
    found: dict[str, Workflow] = {}
    for _, _, job in _all_jobs(workflow, read_file):
        path = str(job.get("uses", "")).removeprefix("./")
        source = read_file(path) if path.startswith(f"{FOLDER}/") else None
        if source is not None:
            found[path] = load(path.removeprefix(f"{FOLDER}/"), source)
    return found


def _refused(workflow: Workflow) -> list[str]:
    """What GitHub's language does not allow, in the order of the file."""
    told = "GitHub reads no merge key `<<`; repeat the keys, or use an alias for all of them"
    merged = [f"{workflow.file}:{line}: {told}" for line in lines.merges(workflow.source)]
    if merged:
        return merged
    found = grammar.faults(workflow.data, "workflow") or list(rules.faults(workflow.data))
    return _told(workflow.file, workflow.source, found)


def _told(file: str, source: str, faults: list[grammar.Fault]) -> list[str]:
    placed = sorted(((lines.line(source, fault.path), fault) for fault in faults), key=lambda one: one[0])
    return [f"{file}:{line}: {lines.spoken(fault.path)}: {fault.text}" for line, fault in placed]


def _called_problems(workflow: Workflow, read_file: ReadFile | None) -> Iterator[str]:
    """What GitHub would refuse in what a workflow calls, and in how it calls it."""
    if read_file is None:
        return
    for caller, name, job in _all_jobs(workflow, read_file):
        place = _Place(caller.file, caller.source, ("jobs", name, "uses"), f"job {name}: ")
        path = str(job.get("uses", "")).removeprefix("./")
        source = read_file(path) if path.startswith(f"{FOLDER}/") else None
        if source is None:
            continue
        flow = load(path.removeprefix(f"{FOLDER}/"), source)
        yield from _refused(flow)
        if "workflow_call" not in flow.on:
            yield place.told(f"uses {job['uses']}: it has no workflow_call under `on:`")
        else:
            found = list(rules.called(job, flow.on["workflow_call"], ("jobs", name)))
            yield from _told(caller.file, caller.source, found)


def uses(workflow: Workflow, read_file: ReadFile | None = None) -> list[str]:
    """Every action that is fetched by name, wherever it stands: also under a false `if:`, since act loads all
    of them before it looks at conditions, and inside of local composite actions and reusable workflows."""
    found = (used for _, used in _all_uses(workflow, read_file) if not used.startswith(("./", "docker://")))
    return list(dict.fromkeys(found))


def _labels(job: Mapping[str, Any]) -> list[str]:
    asked = job.get("runs-on", [])
    if isinstance(asked, dict):
        # a group, or a form that nobody knows, is a runner that is not here
        asked = [*_listed_labels(asked.get("labels")), f"group {asked.get('group', '?')}"]
    return [one for label in _listed_labels(asked) for one in _resolved(str(label), job)]


def _resolved(label: str, job: Mapping[str, Any]) -> list[str]:
    """What a label is, in every leg of the job's matrix; as it is written where that is not known before the run."""
    if "${{" not in label:
        return [label]
    strategy = job.get("strategy")
    legs = matrix.legs(strategy.get("matrix")) if isinstance(strategy, dict) else [{}]
    try:
        found = [expression.evaluate(label, {"matrix": leg, "vars": {}}) for leg in legs or ()]
    except PushforwardError:
        return [label]
    return list(dict.fromkeys(expression.text(one) for one in found)) or [label]


def _unknown_to_act(job: Mapping[str, Any]) -> Iterator[str]:
    """What expressions of a job ask for, that GitHub gives and act does not."""
    numbered = dialect.strategy(job) is not None
    for source in local.expressions(job):
        for node in expression.walk(expression.parse(source)):
            if isinstance(node, expression.Call) and node.name.lower() == "case":
                yield "case() is not known to act; write it with && and ||"
            if not isinstance(node, expression.Field) or not isinstance(node.of, expression.Name):
                continue
            of, key = node.of.name.lower(), getattr(node.key, "value", None)
            if of == "strategy" and key in ("job-index", "job-total") and not numbered:
                yield f"strategy.{key} is known here where the matrix is written out; use a value of the matrix"
            elif str(key).lower() in dialect.MISSING.get(of, ()):
                yield f"{of}.{key} is not known here, and would be empty"


def _listed_labels(labels: Any) -> list[Any]:
    return labels if isinstance(labels, list) else [] if labels is None else [labels]


def _event_problems(workflow: Workflow) -> Iterator[str]:
    for name, known in FILTERS.items():
        filters = workflow.on.get(name, {})
        for kind in ("branches", "tags", "paths"):
            if kind in filters and f"{kind}-ignore" in filters:
                yield f"on.{name}: `{kind}` and `{kind}-ignore` exclude one another"
        for key in filters.keys() & known:
            try:
                patterns = strings(filters[key])
                if key not in ("types", "workflows"):
                    matches_filters([*patterns, "**"] if key.endswith("-ignore") else patterns, "")
            except ValueError as bad:
                yield f"on.{name}.{key}: {bad}"
    if "workflow_run" in workflow.on and not workflow.on["workflow_run"].get("workflows"):
        yield "on.workflow_run needs `workflows`"


def _job_problems(job: Mapping[str, Any]) -> Iterator[tuple[grammar.Path, str]]:
    """What of a job cannot be done here, and the key of it."""
    if "uses" not in job:
        asked = _labels(job)
        if set(asked) != {RUNNER}:
            yield ("runs-on",), f"runs-on {', '.join(asked) or 'nothing'} is not available here; use {RUNNER}"
        if not job.get("steps"):
            yield ("steps",), "it has no steps"
    for key, why in (
        ("services", "services need containers, which do not run here"),
        ("container", "containers do not run here"),
        ("continue-on-error", "continue-on-error of a job is not supported here; set it on steps"),
        ("concurrency", "concurrency of a job is not supported here; set it on the workflow"),
        ("snapshot", "a snapshot of a runner's image is not made here"),
    ):
        if job.get(key):
            yield (key,), why
    if minutes_of(job) is None:
        yield ("timeout-minutes",), f"timeout-minutes is {job['timeout-minutes']!r}; here it is a number above 0"
    yield from (((), line) for line in _unknown_to_act(job))
    strategy = job.get("strategy")
    if isinstance(strategy, dict) and strategy.get("matrix") and job.get("outputs"):
        yield ("outputs",), "outputs of a matrix job are those of an arbitrary leg; hand results over as artifacts"
    for at, step in enumerate(job.get("steps", [])):
        yield from ((("steps", at), f"step {at + 1}: {line}") for line in _step_problems(step))


def _step_problems(step: Mapping[str, Any]) -> Iterator[str]:
    if background := _BACKGROUND & step.keys():
        yield f"steps do not run in the background here: {', '.join(sorted(background))}"
    minutes = step.get("timeout-minutes", 1)
    whole = isinstance(minutes, int) and not isinstance(minutes, bool) and minutes > 0
    if not whole and not (isinstance(minutes, str) and "${{" in minutes):
        yield f"timeout-minutes is {minutes!r}; here it is a whole number above 0"
    if step.get("continue-on-error") not in (None, True, False) and "${{" not in str(step["continue-on-error"]):
        yield "continue-on-error is neither true nor false"


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


def _all_jobs(workflow: Workflow, read_file: ReadFile | None) -> Iterator[tuple[Workflow, str, Mapping[str, Any]]]:
    """Every job of the workflow and of the local reusable workflows that it calls, with its workflow and its name."""
    waiting, seen = [workflow], {workflow.path}
    while waiting:
        current = waiting.pop()
        for name, job in current.jobs.items():
            yield current, name, job
            path = str(job.get("uses", "")).removeprefix("./")
            if path in seen or not path.startswith(f"{FOLDER}/") or read_file is None:
                continue
            seen.add(path)
            source = read_file(path)
            if source is not None:
                waiting.append(load(path.removeprefix(f"{FOLDER}/"), source))


def _all_uses(workflow: Workflow, read_file: ReadFile | None) -> Iterator[tuple[_Place, str]]:
    """Every `uses:` with the place where it stands: jobs, steps, and steps of local composite actions."""
    waiting: list[tuple[_Place, str]] = []
    for flow, name, job in _all_jobs(workflow, read_file):
        place = _Place(flow.file, flow.source, ("jobs", name), f"job {name}: ")
        called = job.get("uses")
        if called is not None and not str(called).startswith(f"./{FOLDER}/"):
            yield place.at("uses"), str(called)
        waiting += _used(job.get("steps", []), place)
    seen: set[str] = set()
    while waiting:
        where, used = waiting.pop(0)
        yield where, used
        path = _local(used)
        if path is None or path in seen or read_file is None:
            continue
        seen.add(path)
        if (found := _action_file(path, read_file)) is None:
            continue
        file, source, action = found
        runs = action.get("runs")
        runs = runs if isinstance(runs, dict) else {}
        place = _Place(file, source, ("runs",), "")
        if str(runs.get("using", "")).lower() == "docker":
            yield place.at("using"), f"docker://{runs.get('image', path)}"
        waiting += _used(runs.get("steps"), place)


def _used(steps: Any, place: _Place) -> list[tuple[_Place, str]]:
    """The actions that a list of steps uses, and where."""
    listed = enumerate(steps if isinstance(steps, list) else [])
    found = [(at, step) for at, step in listed if isinstance(step, dict) and "uses" in step]
    return [(place.at("steps", at, "uses"), str(step["uses"])) for at, step in found]


def _local_problems(workflow: Workflow, read_file: ReadFile | None) -> Iterator[str]:
    """What is wrong with the local actions that are used, and with what is asked of them."""
    if read_file is None:
        return
    for path in dict.fromkeys(_local(used) for _, used in _all_uses(workflow, read_file)):
        if path is not None and (found := _action_file(path, read_file)) and isinstance(found[2].get("runs"), dict):
            yield from local.problems(*found)
    for flow, name, job in _all_jobs(workflow, read_file):
        declared = {}
        for step in job.get("steps", []):
            path = _local(str(step.get("uses", "")))
            if path is not None and "id" in step and (action := _action(path, read_file)):
                declared[str(step["id"]).lower()] = local.outputs(action)
        place = _Place(flow.file, flow.source, ("jobs", name), f"job {name}: ")
        yield from (place.told(line) for line in local.undeclared(job, declared))


def _missing_local(workflow: Workflow, read_file: ReadFile | None) -> Iterator[str]:
    if read_file is None:
        return
    for flow, name, job in _all_jobs(workflow, read_file):
        called = str(job.get("uses", ""))
        if called.startswith(f"./{FOLDER}/") and read_file(called.removeprefix("./")) is None:
            place = _Place(flow.file, flow.source, ("jobs", name, "uses"), f"job {name}: ")
            yield place.told(f"uses {called}: there is no such file in this commit")


def _local(used: str) -> str | None:
    if not used.startswith("./") or ".." in PurePosixPath(used).parts:
        return None
    return PurePosixPath(used).as_posix()


def _action(path: str, read_file: ReadFile) -> dict[str, Any] | None:
    found = _action_file(path, read_file)
    return found[2] if found and isinstance(found[2].get("runs"), dict) else None


def _action_file(path: str, read_file: ReadFile) -> tuple[str, str, dict[str, Any]] | None:
    """The file of a local action, its text, and what it says; None where there is none."""
    for name in ("action.yml", "action.yaml"):
        file = f"{path}/{name}" if path != "." else name
        source = read_file(file)
        if source is not None:
            return file, source, mapping(file, source)
    return None
