"""A push that starts nothing that is judged: the verdict before it stands, or it is said why nothing runs."""

import dataclasses
import json

from pushforward.errors import PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.judge import recorded
from pushforward.report.note import Context
from pushforward.report.terminal import terminal
from pushforward.server import plan
from pushforward.server.record import Outcome
from pushforward.server.subject import Subject


class WaitsError(PushforwardError):
    """A run that cannot end before the default branch's `commit` has its verdict."""

    def __init__(self, commit: str) -> None:
        super().__init__(f"it changes nothing that is trained, and waits for the verdict on {commit[:9]}")
        self.commit = commit


def would_run_on_main(subject: Subject) -> bool:
    """Whether the same files, pushed to the default branch, would start what is judged there.

    A forge needs a run for every pull request, to have a status to wait for. Here an edit of the README is not worth
    one on a branch if it is not worth one on main.
    """
    return bool(plan.leading(subject, subject.main, subject.as_if_merged()))


def carried(subject: Subject) -> Outcome:
    """Nothing that a workflow reads has changed: the verdict before stands."""
    job = subject.job
    source = subject.before if subject.trusted else subject.last_run(subject.main)
    stored = subject.verdict_of(source)
    if not stored and not subject.trusted and subject.awaits(source):
        raise WaitsError(source)
    if not stored:
        raise _unmatched(subject)
    due = plan.leading(subject, source, subject.event) if subject.trusted else would_run_on_main(subject)
    if due:
        raise _switched_off(subject, source)
    verdict = dataclasses.replace(verdicts.Verdict.from_json(json.dumps(stored)), stages=())
    then = "mend what is named above and push again" if verdict.verdict == "invalid" else "nothing to do"
    context = Context(kind="carried", carried_to=job.commit, carried_by=job.event, branch=job.branch, next_step=then)
    report = recorded.report(verdict, context)
    return Outcome(verdict.verdict, terminal(verdict, context), report, verdict.reason, subject=source)


def _switched_off(subject: Subject, source: str) -> PushforwardError:
    """The refusal of a change that would be judged, if the workflows of its own commit ran for it."""
    default = subject.server.default_branch
    if not subject.trusted:
        before = {flow.file: flow.on for flow in subject.workflows(source)}
        same = [flow for flow in subject.workflows(subject.commit) if before.get(flow.file) == flow.on]
        judged = [flow for flow in same if flow.name in plan.names(subject, [flow.name])]
        for path, told in plan.refusals(judged, default):
            return PushforwardError(
                f"nothing that is judged runs for a branch: {path} runs for {told} alone, and here a branch is a "
                f"pull request into {default}, and a push of itself",
                next=f"add pull_request: under on: in {path}",
            )
    return PushforwardError(
        f"the workflows of this commit are not run for a change that those of {source[:9]} are run for",
        next="change on: in .github/workflows by itself first",
    )


def _unmatched(subject: Subject) -> PushforwardError:
    """The refusal of a push that starts no workflow, with the branches that the workflows name."""
    default, flows = subject.server.default_branch, subject.workflows(subject.commit)
    named = [
        (flow.path, ", ".join(map(str, branches)) if isinstance(branches, list) else str(branches))
        for flow in flows
        if (branches := (flow.on.get(subject.event.name) or {}).get("branches"))
    ]
    if not named:
        return PushforwardError("no workflow of this server matches the push", next="edit on: in .github/workflows")
    path, names = named[0]
    return PushforwardError(
        f"no workflow of this server matches the push: its default branch is {default}, {path} runs for {names}",
        next=f"name {default} under on: in {path}, in judge.yml too where it names a branch",
    )
