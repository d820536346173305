"""Events and a small workflow, for the tests of what answers to what."""

from pushforward.actions import workflow
from pushforward.actions.event import Event

PUSH = Event("push", "a" * 40, "refs/heads/main")
TAG = Event("push", "a" * 40, "refs/tags/v1.0")
PULL = Event("pull_request", "a" * 40, "refs/pull/7/merge", action="opened", number=7, base="main", head="topic/x")
JUDGE = Event(
    "workflow_run",
    "a" * 40,
    "refs/heads/main",
    action="completed",
    head="topic/x",
    head_sha="b" * 40,
    workflow="train",
    source="pull_request",
    conclusion="success",
    run_id=9,
    pull_requests=(7,),
)


def load(on: str, rest: str = "") -> workflow.Workflow:
    job = "jobs: {one: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"
    return workflow.load("ci.yml", f"on: {on}\n{rest}\n{job}\n")
