"""The linter of workflows: what in them act would ignore or turn green, or has no stand-in for. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from pushforward.actions import cron
from pushforward.actions.filters import FILTERS, matches_filters, strings
from pushforward.actions.workflow import FOLDER, RUNNER, Workflow, crons, load, mapping
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
ReadFile = Callable[[str], str | None]


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


def _labels(job: Mapping[str, Any]) -> list[str]:
    asked = job.get("runs-on", [])
    if isinstance(asked, dict):
        # a group, or a form that nobody knows, is a runner that is not here
        asked = [*_listed_labels(asked.get("labels")), f"group {asked.get('group', '?')}"]
    return [str(label) for label in (asked if isinstance(asked, list) else [asked])]


def _listed_labels(labels: Any) -> list[Any]:
    return labels if isinstance(labels, list) else [] if labels is None else [labels]


def _event_problems(workflow: Workflow) -> Iterator[str]:
    for line in crons(workflow):
        try:
            cron.parse(line)
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
                patterns = strings(filters[key])
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
            action = mapping(file, source)
            return action if isinstance(action.get("runs"), dict) else None
    return None
