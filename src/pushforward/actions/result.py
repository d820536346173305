"""The result of one run: how its jobs ended, what went wrong first, and whose it is. Pure; `act` asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pushforward import cause
from pushforward.actions.log import JobResult, Mask, Reader
from pushforward.actions.rules import needs
from pushforward.actions.workflow import Workflow
from pushforward.cause import Cause
from pushforward.errors import TOOL
from pushforward.text import clean

Conclusion = Literal["success", "failure", "cancelled", "timed-out", "skipped"]


@dataclass(frozen=True)
class WorkflowResult:
    """How a workflow ended, and why. `skipped` means that the conditions of all of its jobs were false.

    `cause` is what went wrong first. Where it is `own`, the same commit would fail so again, wherever it is run; what
    else went wrong may be the machine's.
    """

    workflow: str
    file: str
    conclusion: Conclusion
    seconds: float
    jobs: tuple[JobResult, ...]
    errors: tuple[str, ...]
    log: Path
    learned: Mask | None = None  # where a step has masked something that it may have said before
    cause: Cause = cause.NONE
    own: bool = False


@dataclass(frozen=True)
class End:
    """How the process of act ended: its status, and what cut it short if something did."""

    status: int
    cut: tuple[Conclusion, str] | None


def result_of(
    workflow: Workflow, reader: Reader, end: End | None, reasons: list[str], *, log: Path, mask: Mask, seconds: float
) -> WorkflowResult:
    """The result of a run that ended so, for these reasons; `end` is None where act was not started."""
    conclusion = _conclusion(reader, end, reasons)
    why, own = cause.NONE, False
    if conclusion in ("failure", "timed-out"):
        why, own = _first_cause(workflow, reader, end, reasons)
    return WorkflowResult(
        workflow.name,
        workflow.file,
        conclusion,
        round(seconds, 3),
        (*_jobs(workflow, reader, end), *_skipped(workflow, reader)),
        () if conclusion in ("success", "skipped") else tuple(dict.fromkeys([*reader.errors, *reasons])),
        log,
        mask if mask.learned else None,
        replace(why, text=mask.apply(why.text), next=mask.apply(why.next)),
        own,
    )


def reasons_of(workflow: Workflow, reader: Reader, end: End) -> Iterator[str]:
    """Why the run is not green. act's own status says too little: it is 0 where jobs were left out silently."""
    if end.cut:
        yield end.cut[1]
        return
    results = {job.id: job.result for job in reader.results()}
    for name, job in workflow.jobs.items():
        due = "if" not in job and "uses" not in job
        if due and name not in results and all(results.get(other) == "success" for other in _before(workflow, name)):
            yield f"job {name} did not run"
    yield from reader.passed_over
    for job_result in reader.results():
        if empty := _empty_vectors(workflow, job_result):
            yield f"job {job_result.name}: {empty}"
    for job_result in reader.results():
        if (job_result.result == "success") and (left := _left_out(workflow, reader, job_result)):
            yield f"job {job_result.name}: it ended as a success, and its step {left[0]} did not run to its end"
        if job_result.result != "success" and not reader.errors:
            yield f"job {job_result.name}: {job_result.result}"
    if end.status != 0 and not reader.errors:
        yield f"act ended with status {end.status}"


def _before(workflow: Workflow, name: str) -> set[str]:
    """All that a job needs, near and far: a job without `if` is skipped, as on GitHub, where any of these was."""
    found: set[str] = set()
    waiting = needs(workflow.jobs[name])
    while waiting:
        one = waiting.pop()
        if one not in found and one in workflow.jobs:
            found.add(one)
            waiting += needs(workflow.jobs[one])
    return found


def _empty_vectors(workflow: Workflow, job: JobResult) -> str:
    """What is empty of a matrix that was made in the run: GitHub refuses it, act makes one leg without values."""
    strategy = workflow.jobs.get(job.id, {}).get("strategy")
    asked = strategy.get("matrix") if isinstance(strategy, dict) else None
    if isinstance(asked, str):
        return "" if job.matrix else "its matrix has no vector"
    vectors = [name for name in asked if name not in ("include", "exclude")] if isinstance(asked, dict) else []
    if not vectors:
        return "" if job.matrix or not asked else "its matrix has no vector"
    lacking = [] if job.matrix else vectors
    return f"the matrix vector `{lacking[0]}` has no values" if lacking else ""


def _left_out(workflow: Workflow, reader: Reader, job: JobResult) -> list[str]:
    """The steps of a job that run whatever came before, and of which act tells no end; it is silent of those it skips.

    Steps of workflows that are called have no place in this file, and are passed over.
    """
    if any("uses" in one for one in workflow.jobs.values()):
        return []
    ended = reader.ended(job)
    steps = enumerate(workflow.jobs.get(job.id, {}).get("steps", []))
    named = {str(step.get("id", number)): step for number, step in steps if "if" not in step}
    return [_title(step) for identity, step in named.items() if identity not in ended]


def _title(step: Mapping[str, Any]) -> str:
    name, uses_, run = (str(step.get(key) or "") for key in ("name", "uses", "run"))
    return clean(name or uses_.partition("@")[0] or run.strip().partition("\n")[0])[:100]


def _jobs(workflow: Workflow, reader: Reader, end: End | None) -> Iterator[JobResult]:
    """How jobs ended: no success where a step is missing, whatever act, which may have been cut short, says of it."""
    for job in reader.results():
        if job.result == "success" and _left_out(workflow, reader, job):
            yield replace(job, result="cancelled" if end and end.cut else "failure")
        else:
            yield job


def _first_cause(workflow: Workflow, reader: Reader, end: End | None, reasons: list[str]) -> tuple[Cause, bool]:
    """What went wrong first, and whether the commit has it wrong: not what a tool, or whoever killed it, says."""
    edit = f"edit {workflow.path}"
    if end is None:
        return Cause(reasons[0], edit), True
    if end.cut:
        return Cause(f"{workflow.file}: {end.cut[1]}", _after_cut(workflow, end.cut[0])), True
    if failed := reader.failure():
        told = Cause(failed.named) if failed.named else cause.of(failed.lines, failed.status)
        text = f"{workflow.file}: {failed.job} / {failed.step}: {told.text or 'it failed'}"
        return Cause(text, told.next), failed.status not in {None, TOOL, *cause.KILLED}
    if not reader.jobs and reader.errors and (unread := cause.of_act(workflow.file, reader.errors)):
        return Cause(unread.text, edit), True
    first = [*reader.errors, *reasons, f"{workflow.file}: it did not end well"][0]
    return Cause(first if first.startswith(workflow.file) else f"{workflow.file}: {first}"), reader.unsupported


def _after_cut(workflow: Workflow, how: Conclusion) -> str:
    return f"make it faster, or raise timeout-minutes in {workflow.path}" if how == "timed-out" else "let it take less"


def _skipped(workflow: Workflow, reader: Reader) -> Iterator[JobResult]:
    """The jobs that act does not mention, unless they are calls of other workflows."""
    seen = {job.id for job in reader.results()}
    for name, job in workflow.jobs.items():
        if name not in seen and "uses" not in job:
            yield JobResult(name, name, {}, "skipped", 0.0, ())


def _conclusion(reader: Reader, end: End | None, reasons: list[str]) -> Conclusion:
    if end is None:
        return "failure"
    if end.cut:
        return end.cut[0]
    jobs = reader.results()
    if reasons or end.status != 0 or reader.unsupported or any(job.result != "success" for job in jobs):
        return "failure"
    return "success" if jobs else "skipped"
