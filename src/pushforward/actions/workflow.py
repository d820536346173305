"""Workflow files: what they say, parsed and bounded. Pure; `filters` and `lint` read on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.error import YAMLError

from pushforward import untrusted
from pushforward.actions import cron, lines, matrix
from pushforward.actions.expression import ExpressionError, evaluate, text
from pushforward.errors import PushforwardError

FOLDER = ".github/workflows"
RUNNER = "ubuntu-latest"
MAX_BYTES = 64 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 40
JOB_MINUTES = 360.0


class WorkflowError(PushforwardError):
    """A workflow file that cannot be read or that asks for what cannot be done here."""


@dataclass(frozen=True)
class Workflow:
    """A parsed workflow file: `file` is its name in `.github/workflows`, `on` maps events to their filters.

    `built_in` is its text where it comes with the tool, and no commit has it; `source` is its text wherever it is from.
    """

    file: str
    name: str
    on: Mapping[str, Any]
    jobs: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Any]
    built_in: str = ""
    source: str = field(default="", compare=False, repr=False)

    @property
    def path(self) -> str:
        """The file's path in the repository."""
        return f"{FOLDER}/{self.file}"


@dataclass(frozen=True)
class Concurrency:
    """The group in which only one run goes at a time, and whether a newer run ends the older.

    `queue` says how many may wait: `single` is the newest alone, `max` all of them, in order.
    """

    group: str
    cancel_in_progress: bool
    queue: str = "single"


def load(file: str, source: str) -> Workflow:
    """Parse the workflow file called `file` as YAML 1.2 (where `on` is a word, not a boolean).

    Raises `WorkflowError` for more than 64 KiB, duplicate keys, nesting or aliases that explode, and for
    anything that is not a mapping with `on` and `jobs`.
    """
    data = mapping(file, source)
    if "on" not in data or not isinstance(data.get("jobs"), dict):
        raise WorkflowError(f"{file}: a workflow needs `on:` and `jobs:`")
    jobs = data["jobs"]
    for name, job in jobs.items():
        if not isinstance(name, str) or not isinstance(job, dict):
            raise WorkflowError(f"{file}:{lines.line(source, ('jobs', name))}: job {name} is not a mapping")
        steps = job.get("steps", [])
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            at = lines.line(source, ("jobs", name, "steps"))
            raise WorkflowError(f"{file}:{at}: job {name}: `steps` is not a list of mappings")
    name = str(data.get("name") or f"{FOLDER}/{file}")
    return Workflow(file, name, _events(file, data["on"]), jobs, data, source=source)


def crons(workflow: Workflow) -> tuple[str, ...]:
    """The entries of `on: schedule`: cron lines, with their time zone where they have one, as `cron.parse` reads it."""
    entries = workflow.on.get("schedule", {}).get("crons", [])
    if not isinstance(entries, list):
        return ()
    found = [entry for entry in entries if isinstance(entry, dict) and "cron" in entry]
    return tuple(cron.joined(str(entry["cron"]), entry.get("timezone")) for entry in found)


def writes(workflow: Workflow) -> bool:
    """Whether the file asks for the right to write to the repository, as a whole or for one of its jobs."""
    asked = (workflow.data.get("permissions"), *(job.get("permissions") for job in workflow.jobs.values()))
    return any(one == "write-all" or (isinstance(one, dict) and one.get("contents") == "write") for one in asked)


def concurrency(workflow: Workflow, contexts: Mapping[str, Any]) -> Concurrency | None:
    """The workflow's `concurrency:` in these contexts. Raises `WorkflowError` where it cannot be evaluated."""
    asked = workflow.data.get("concurrency")
    if asked is None:
        return None
    contexts = {**contexts, "inputs": _typed(workflow, contexts.get("inputs") or {})}
    if isinstance(asked, str):
        asked = {"group": asked}
    known = {"group", "cancel-in-progress", "queue"}
    unknown = [key for key in asked if key not in known] if isinstance(asked, dict) else []
    if unknown:
        at = lines.line(workflow.source, ("concurrency", unknown[0]))
        listed = ", ".join(sorted(known))
        raise WorkflowError(f"{workflow.file}:{at}: concurrency: there is no key `{unknown[0]}`; known are {listed}")
    if not isinstance(asked, dict) or "group" not in asked:
        raise WorkflowError(f"{workflow.file}: concurrency needs `group`")
    try:
        group = text(evaluate(str(asked["group"]), contexts))
        cancel = asked.get("cancel-in-progress", False)
        cancel = evaluate(cancel, contexts) if isinstance(cancel, str) else cancel
        queue = text(evaluate(str(asked.get("queue", "single")), contexts))
    except ExpressionError as wrong:
        raise WorkflowError(f"{workflow.file}: concurrency: {wrong.message}") from wrong
    if not isinstance(cancel, bool):
        raise WorkflowError(f"{workflow.file}: cancel-in-progress is neither true nor false but {text(cancel)!r}")
    if queue not in ("single", "max"):
        raise WorkflowError(f"{workflow.file}: concurrency.queue is {queue!r}, not single or max")
    if queue == "max" and cancel:
        raise WorkflowError(f"{workflow.file}: `queue: max` and cancel-in-progress exclude one another")
    return Concurrency(group, cancel, queue)


def _typed(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a run by hand as the context `inputs` has them: true and false are no text there."""
    declared = (workflow.on.get("workflow_dispatch") or {}).get("inputs") or {}
    truths = {name for name, how in declared.items() if isinstance(how, dict) and how.get("type") == "boolean"}
    return {
        name: value == "true" if name in truths and value in ("true", "false") else value
        for name, value in given.items()
    }


def job_minutes(workflow: Workflow) -> dict[str, float]:
    """Minutes that each job may take: its `timeout-minutes`, or GitHub's default of 360."""
    return {name: minutes_of(job) or JOB_MINUTES for name, job in workflow.jobs.items()}


def minutes_of(job: Mapping[str, Any]) -> float | None:
    """The `timeout-minutes` of a job, the most of its legs; None where it is no time, or not known before the run."""
    asked = job.get("timeout-minutes", JOB_MINUTES)
    found = [asked]
    if isinstance(asked, str) and "${{" in asked:
        strategy = job.get("strategy")
        legs = matrix.legs(strategy.get("matrix")) if isinstance(strategy, dict) else [{}]
        try:
            found = [evaluate(asked, {"vars": {}, "matrix": leg}) for leg in legs or ()]
        except ExpressionError:
            return None
    usable = [float(one) for one in found if isinstance(one, (int, float)) and not isinstance(one, bool) and one > 0]
    return max(usable) if usable and len(usable) == len(found) else None


def limit_minutes(workflow: Workflow) -> float:
    """Minutes that the workflow may take: the sum over its jobs, since all of them may have to run in a row."""
    return sum(job_minutes(workflow).values())


def mapping(file: str, source: str) -> dict[str, Any]:
    """The mapping in a file of YAML 1.2, bounded. Raises `WorkflowError` where there is none."""
    size = len(source.encode())
    if size > MAX_BYTES:
        raise WorkflowError(f"{file}: {size} bytes; the limit is {MAX_BYTES}")
    try:
        untrusted.check(source, nodes=MAX_NODES, depth=MAX_DEPTH)
        data = lines.read(source)
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
