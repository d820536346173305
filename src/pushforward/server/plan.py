"""The plan of a push: which of the workflows that it starts lead to a verdict, and which are runs of their own."""

import dataclasses
from collections.abc import Iterable, Iterator

from pushforward.actions import chain
from pushforward.actions.event import Event
from pushforward.actions.workflow import Workflow
from pushforward.errors import PushforwardError
from pushforward.server.subject import Subject


@dataclasses.dataclass(frozen=True)
class Plan:
    """`line` are told of `what`, and lead to a judge; `beside` are told of the subject's event.

    `judged` says whether anything of this commit leads to a judge, for whatever event.
    """

    what: Event
    line: tuple[Workflow, ...]
    beside: tuple[Workflow, ...]
    judged: bool


def of(subject: Subject) -> Plan:
    """The plan of a push to the default branch, or of a branch: as a pull request, else as a push of the branch.

    What answers to both events of a branch, and is judged, runs once, for the pull request.
    """
    known, first = subject.workflows(subject.commit), subject.event
    leads = names(subject, (flow.name for flow in known))
    due = subject.due(subject.commit, first)
    what, line = first, [flow for flow in due if flow.name in leads]
    if not line and not subject.trusted:
        pushed = as_push(subject)
        if line := [flow for flow in subject.due(subject.commit, pushed) if flow.name in leads]:
            what = pushed
    beside = tuple(flow for flow in due if flow.name not in leads)
    return Plan(what, tuple(line), beside, any(flow.name in leads for flow in known))


def names(subject: Subject, known: Iterable[str]) -> set[str]:
    """The names of the workflows that lead to the judge of a subject; of the first that follows any of `known`."""
    wanted = set(known)
    for judge in subject.judges():
        try:
            leads = chain.line(subject.workflows(judge))
        except PushforwardError:
            continue
        if leads & wanted:
            return leads
    return set()


def as_push(subject: Subject) -> Event:
    """The push of a branch, of what merging it would leave: that is what is judged.

    All that the branch changes counts as changed, for it is judged as a whole.
    """
    job, told = subject.job, subject.event
    return Event("push", subject.commit, job.ref, before=job.before, message=told.message, paths=told.paths)


def leading(subject: Subject, commit: str, what: Event) -> list[Workflow]:
    """Those of the workflows at `commit` that answer to an event, and lead to a judge."""
    due = subject.due(commit, what)
    leads = names(subject, (flow.name for flow in due)) if due else set()
    return [flow for flow in due if flow.name in leads]


def refusals(flows: Iterable[Workflow], branch: str) -> Iterator[tuple[str, str]]:
    """Path and `on:` in words of what would be judged, and answers to no push of a branch."""
    for flow in flows:
        told = [event for event in ("push", "pull_request") if event in flow.on]
        named = [f"{event} of {_branches(flow, event) or branch}" for event in told]
        if named:
            yield flow.path, " and ".join(named)


def _branches(flow: Workflow, event: str) -> str:
    filters = flow.on[event]
    found = filters.get("branches", []) if isinstance(filters, dict) else []
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found)
