"""Concurrency groups, as the default branch's workflows say which runs exclude one another, and no branch chooses."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from pushforward import schema
from pushforward.actions import chain, event, filters, workflow
from pushforward.actions.event import Event
from pushforward.actions.workflow import Concurrency, Workflow
from pushforward.errors import PushforwardError
from pushforward.git.refs import PULLS
from pushforward.git.server import Server
from pushforward.pipeline.revision import Revision
from pushforward.server import pending, requests
from pushforward.server.runs import Job


@functools.lru_cache(maxsize=4)
def _workflows(server: Server, main: str) -> list[Workflow]:
    return pending.workflows(server, main)


def of(server: Server, job: Job, main: str) -> Concurrency:
    """The group of a job: of its workflow's `concurrency`, else what it is about (a branch, an environment, a file)."""
    if job.event == "push":
        return Concurrency(job.ref, cancel_in_progress=False)  # every push in order, each to its end
    if job.event == "tag":
        return Concurrency(job.ref.rpartition("#")[0], cancel_in_progress=False)
    if job.event == "workflow":
        return _own(server, job)
    found = next(_asked(server, job, main), None)
    return found or Concurrency(job.file or job.ref, cancel_in_progress=False)


def exclude(server: Server, one: Job, other: Job, main: str) -> bool:
    """Whether two runs must not go on at the same time."""
    if one.event == other.event and one.event not in {"schedule", "workflow"} and one.ref == other.ref:
        return True
    return of(server, one, main).group == of(server, other, main).group


@functools.lru_cache(maxsize=4)
def jobs(server: Server, main: str) -> int:
    """How many runs may go on side by side, as the default branch says."""
    try:
        return Revision(server.repository, main).settings.server.jobs
    except PushforwardError:
        return schema.Server().jobs


def _own(server: Server, job: Job) -> Concurrency:
    """The group of a single workflow: its own, as the commit that it runs says; without one nothing excludes it."""
    alone = Concurrency(job.key, cancel_in_progress=False)
    with contextlib.suppress(PushforwardError):
        what = requests.load(server, job).event
        where = event.Repository(Path(server.bare), server.name, server.default_branch)
        flow = next(one for one in pending.workflows(server, what.sha) if one.file == job.file)
        return workflow.concurrency(flow, event.context(what, where, workflow_name=flow.name)) or alone
    return alone


def _asked(server: Server, job: Job, main: str) -> Iterator[Concurrency]:
    what = _event(server, job, main)
    where = event.Repository(Path(server.bare), server.name, server.default_branch)
    known = _workflows(server, main)
    leads = chain.line(known)
    for flow in known:
        if job.event == "pull_request" and leads and flow.name not in leads:
            continue  # it is a run of its own, with a group of its own
        try:
            if filters.matches(flow, what):
                asked = workflow.concurrency(flow, event.context(what, where, workflow_name=flow.name))
                if asked is not None:
                    yield asked
        except PushforwardError:
            continue  # its run says what is wrong


def _event(server: Server, job: Job, main: str) -> Event:
    if job.event == "schedule":
        return Event("schedule", main, job.ref, schedule=job.cron)
    return Event(
        "pull_request",
        job.commit,
        f"{PULLS}{job.pull}/merge",
        before=job.before,
        action="synchronize",
        number=job.pull or 0,
        base=server.default_branch,
        base_sha=main,
        head=job.branch,
        head_sha=job.commit,
    )
