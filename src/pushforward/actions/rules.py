"""What GitHub refuses in a workflow file beside its grammar: names, needs, matrices, inputs, calls, schedules. Pure.

Each rule is one that GitHub's own reader or document has; `grammar` has looked at the file before.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pushforward.actions import cron, matrix
from pushforward.actions.grammar import Fault, Path
from pushforward.errors import PushforwardError

MAX_INPUTS = 25  # of workflow_dispatch
MAX_JOBS = 256  # that one matrix makes
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,98}")
_SHELLS = frozenset({"bash", "sh", "cmd", "powershell", "pwsh", "python"})
_TYPES: dict[str, type | tuple[type, ...]] = {"boolean": bool, "number": (int, float), "string": str}


def faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """What of a workflow that the grammar allows GitHub refuses all the same."""
    jobs = data["jobs"]
    if not jobs:
        yield Fault(("jobs",), "there are no jobs")
    yield from _concurrency(data.get("concurrency"), ("concurrency",))
    yield from _shell(data, ())
    yield from _triggers(data["on"])
    for name, job in jobs.items():
        at: Path = ("jobs", name)
        if not _NAME.fullmatch(name):
            yield Fault(at, f"`{name}` is no name of a job: letters, digits, - and _, from a letter or _ on, below 100")
        yield from _concurrency(job.get("concurrency"), (*at, "concurrency"))
        yield from _shell(job, at)
        yield from _matrix(job.get("strategy"), (*at, "strategy", "matrix"))
        yield from steps(job.get("steps") or [], (*at, "steps"))
    yield from _needs(jobs)


def steps(found: Sequence[Mapping[str, Any]], at: Path) -> Iterator[Fault]:
    """The names and shells of steps, of a job or of a composite action."""
    seen: set[str] = set()
    for number, step in enumerate(found):
        name = step.get("id")
        if name is not None:
            if not _NAME.fullmatch(str(name)) or str(name).startswith("__"):
                yield Fault((*at, number, "id"), f"`{name}` is no id: letters, digits, - and _, from a letter or _ on")
            if str(name) in seen:
                yield Fault((*at, number, "id"), f"two steps have the id `{name}`")
            seen.add(str(name))
        yield from _shell_name(step.get("shell"), (*at, number, "shell"))


def called(job: Mapping[str, Any], trigger: Any, at: Path) -> Iterator[Fault]:
    """A job that calls a workflow of the repository, against what that workflow's `workflow_call` takes."""
    trigger = trigger if isinstance(trigger, dict) else {}
    for kind, given in (("inputs", job.get("with")), ("secrets", job.get("secrets"))):
        key = "with" if kind == "inputs" else kind
        if given == "inherit":
            continue
        declared = {str(name).lower(): (name, how or {}) for name, how in (trigger.get(kind) or {}).items()}
        present = {str(name).lower(): (name, value) for name, value in (given or {}).items()}
        for low, (name, value) in present.items():
            if low not in declared:
                yield Fault((*at, key, str(name)), f"the workflow that is called takes no {kind[:-1]} `{name}`")
                continue
            wanted = _TYPES.get(str(declared[low][1].get("type", "")))
            literal = not (isinstance(value, str) and "${{" in value)
            if wanted and literal and wanted is not str and (not isinstance(value, wanted) or _mixed(value, wanted)):
                yield Fault((*at, key, str(name)), f"`{name}` has to be a {declared[low][1]['type']}")
        for low, (name, how) in declared.items():
            if how.get("required") is True and low not in present:
                yield Fault((*at, "uses"), f"the workflow that is called needs the {kind[:-1]} `{name}`")


def _mixed(value: Any, wanted: Any) -> bool:
    return isinstance(value, bool) and wanted is not bool


def _concurrency(asked: Any, at: Path) -> Iterator[Fault]:
    if isinstance(asked, dict) and asked.get("queue") == "max" and asked.get("cancel-in-progress") is True:
        yield Fault((*at, "queue"), "`queue: max` and `cancel-in-progress: true` exclude one another")


def _shell(where: Mapping[str, Any], at: Path) -> Iterator[Fault]:
    run = (where.get("defaults") or {}).get("run") or {}
    yield from _shell_name(run.get("shell"), (*at, "defaults", "run", "shell"))


def _shell_name(shell: Any, at: Path) -> Iterator[Fault]:
    if isinstance(shell, str) and "${{" not in shell and shell.lower() not in _SHELLS and "{0}" not in shell:
        listed = ", ".join(sorted(_SHELLS))
        yield Fault(at, f"`{shell}` is no shell: use one of {listed}, or a command with {{0}} for the script")


def _matrix(strategy: Any, at: Path) -> Iterator[Fault]:
    found = (strategy or {}).get("matrix") if isinstance(strategy, dict) else None
    if not isinstance(found, dict):
        return
    vectors = {name: values for name, values in found.items() if name not in ("include", "exclude")}
    for name, values in vectors.items():
        if values == []:
            yield Fault((*at, name), f"the matrix vector `{name}` has no values")
    if not vectors and not found.get("include"):
        yield Fault(at, "a matrix needs at least one vector")
    legs = matrix.legs(found)
    if legs is not None and len(legs) > MAX_JOBS:
        yield Fault(at, f"the matrix makes {len(legs):,} jobs; the limit is {MAX_JOBS}")
    elif legs == [] and all(vectors.values()):
        yield Fault(at, "the matrix makes no job: `exclude` leaves nothing")


def _needs(jobs: Mapping[str, Mapping[str, Any]]) -> Iterator[Fault]:
    needed = {name: needs(job) for name, job in jobs.items()}
    for name, others in needed.items():
        for other in others:
            if other not in jobs:
                yield Fault(("jobs", name, "needs"), f"there is no job `{other}`")
    done: set[str] = set()
    while ready := {name for name in needed if name not in done and all(one in done for one in needed[name])}:
        done |= ready
    for name in needed:
        if name not in done and all(one in jobs for one in needed[name]) and _reaches(needed, name):
            yield Fault(("jobs", name, "needs"), f"the job `{name}` needs itself, by way of what it needs")


def _reaches(needed: Mapping[str, list[str]], name: str) -> bool:
    waiting, seen = list(needed[name]), set[str]()
    while waiting:
        one = waiting.pop()
        if one == name:
            return True
        if one not in seen:
            seen.add(one)
            waiting += needed.get(one, [])
    return False


def needs(job: Mapping[str, Any]) -> list[str]:
    """The names of the jobs that a job needs."""
    asked = job.get("needs") or []
    return [str(one) for one in (asked if isinstance(asked, list) else [asked])]


def _triggers(on: Any) -> Iterator[Fault]:
    if not isinstance(on, dict):
        return
    for number, entry in enumerate(on.get("schedule") or []):
        try:
            if cron.ZONE in str(entry["cron"]):  # our own form of both, which no file has
                raise PushforwardError(f"cron '{entry['cron']}' has more than 5 fields; name the zone as timezone:")
            cron.parse(str(entry["cron"]))
            cron.zone(entry.get("timezone"))
        except PushforwardError as wrong:
            yield Fault(("on", "schedule", number), wrong.message)
    for event in ("workflow_dispatch", "workflow_call"):
        inputs = (on.get(event) or {}).get("inputs") or {}
        at: Path = ("on", event, "inputs")
        if event == "workflow_dispatch" and len(inputs) > MAX_INPUTS:
            yield Fault(at, f"{len(inputs)} inputs; the limit is {MAX_INPUTS}")
        for name, how in inputs.items():
            if not _NAME.fullmatch(str(name)):
                yield Fault((*at, str(name)), f"`{name}` is no name of an input")
            yield from _input(how or {}, (*at, str(name)))


def _input(how: Mapping[str, Any], at: Path) -> Iterator[Fault]:
    kind, options, default = how.get("type", "string"), how.get("options"), how.get("default")
    if kind == "choice" and not options:
        yield Fault(at, "a choice needs `options`")
    if kind != "choice" and options is not None:
        yield Fault((*at, "options"), f"`options` are for a choice, not for a {kind}")
    if kind == "choice" and options and default is not None and default not in options:
        yield Fault((*at, "default"), f"`{default}` is none of the options")
    wanted = _TYPES.get(kind)
    if default is None or wanted in (None, str) or (isinstance(default, str) and "${{" in default):
        return
    if wanted and (not isinstance(default, wanted) or _mixed(default, wanted)):
        yield Fault((*at, "default"), f"the default of a {kind} has to be a {kind}")
