"""Concurrency groups, as the default branch's workflows say which runs exclude one another, and no branch chooses."""

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

SUPERSEDED = ("pull_request", "schedule", "workflow")  # what a newer run of the same group may end
# Before the first NUL of a group is what it belongs to: one of these, or a ref. A ref has no NUL, so whatever a file
# writes, it names no group of another place.
OURS, MADE = "", "made"  # of the default branch's files; of no file


@functools.lru_cache(maxsize=4)
def _workflows(server: Server, main: str) -> list[Workflow]:
    return pending.workflows(server, main)


def of(server: Server, job: Job, main: str) -> Concurrency:
    """The group of a job: of its workflow's `concurrency`, else what it is about (a branch, an environment, a file).

    A group that the file of a branch or a tag names, and the default branch does not have, is one of that ref alone.
    """
    if job.event == "push":
        return _made(job.ref)  # every push in order, each to its end
    if job.event == "tag":
        return _made(job.ref.rpartition("#")[0])
    if job.event == "workflow":
        found = _own(server, job)
        return _within(OURS if job.trusted else job.ref, found) if found else _made(job.key)
    asked = next(_asked(server, job, main), None)
    return _within(OURS, asked) if asked else _made(job.file or job.ref)


def may_end(newer: Job, older: Job) -> bool:
    """Whether a run may end an older one of its group: a single workflow never ends what a branch is judged by."""
    return older.event in SUPERSEDED and not (newer.event == "workflow" and older.event == "pull_request")


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


def _within(place: str, asked: Concurrency) -> Concurrency:
    return dataclasses.replace(asked, group=f"{place}\0{asked.group}")


def _made(about: str) -> Concurrency:
    return _within(MADE, Concurrency(about, cancel_in_progress=False))


def _own(server: Server, job: Job) -> Concurrency | None:
    """The group of a single workflow: its own, as the commit that it runs says; without one nothing excludes it."""
    with contextlib.suppress(PushforwardError, OSError):
        what = requests.load(server, job).event
        flow = next((one for one in pending.workflows(server, what.sha) if one.file == job.file), None)
        return workflow.concurrency(flow, _context(server, job, flow, what)) if flow else None
    return None


def _context(server: Server, job: Job, flow: Workflow, what: Event) -> dict[str, Any]:
    """What an expression of a group sees: every run has a number of its own, as on GitHub."""
    where = event.Repository(Path(server.bare), server.name, server.default_branch)
    number = int(hashlib.sha256(job.key.encode()).hexdigest()[:12], 16)
    return event.context(what, where, workflow_name=flow.name, run_id=number)


def _asked(server: Server, job: Job, main: str) -> Iterator[Concurrency]:
    what = _event(server, job, main)
    known = _workflows(server, main)
    leads = chain.line(known)
    for flow in known:
        if job.event == "pull_request" and leads and flow.name not in leads:
            continue  # it is a run of its own, with a group of its own
        try:
            if filters.matches(flow, what):
                asked = workflow.concurrency(flow, _context(server, job, flow, what))
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
