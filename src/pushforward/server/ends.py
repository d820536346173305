"""How the workflows of a run have ended, which is what others follow; and how that is known after a killed attempt."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pushforward.actions import chain
from pushforward.actions.result import WorkflowResult
from pushforward.actions.workflow import Workflow
from pushforward.server import plan
from pushforward.server.subject import Subject


@dataclasses.dataclass(frozen=True)
class Ended:
    """A workflow that has ended: by which event it was started, as the how manieth in a row, and whether it judges."""

    flow: Workflow
    result: WorkflowResult
    source: str
    level: int
    judge: bool = False


def of_version(subject: Subject) -> Iterator[Ended]:
    """The ends that have led to a version, where nobody is left who saw them: no version is made of a red one."""
    planned = plan.of(subject)
    for flow in planned.line:
        yield from _green(subject, flow, planned.what.name, 0)


def _green(subject: Subject, flow: Workflow, source: str, level: int) -> Iterator[Ended]:
    done = Ended(flow, well(flow), source, level)
    yield done
    if level >= chain.MOST_LEVELS:
        return
    known = subject.workflows(subject.judge)
    judging, leads = {one.file for one in chain.judges(known)}, chain.line(known)
    for one in subject.due(subject.judge, subject.follow_up(flow, done.result, subject.judge)):
        if one.file in judging:
            yield Ended(one, well(one), "workflow_run", level + 1, judge=True)
        elif one.name in leads:
            yield from _green(subject, one, source, level + 1)


def well(flow: Workflow) -> WorkflowResult:
    """The end of a workflow that ended well, where nobody is left who saw it."""
    return WorkflowResult(flow.name, flow.file, "success", 0.0, (), (), Path())
