"""Events of a repository: the payload that actions see, and the context of expressions. `server.subject` makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pushforward.actions.cron import ZONE
from pushforward.git.refs import HEADS, PULLS, TAGS

EventName = Literal["push", "pull_request", "workflow_run", "schedule", "workflow_dispatch", "repository_dispatch"]
ZERO = "0" * 40


@dataclass(frozen=True)
class Repository:
    """A bare repository and what workflows call it: `full_name` is `owner/name`."""

    path: Path
    full_name: str
    default_branch: str = "main"


@dataclass(frozen=True)
class Event:
    """One event in the words of GitHub's documentation.

    `sha` is GITHUB_SHA and names the tree from which workflows are taken: the new tip for a push, the merge
    commit for a pull request, the tip of the default branch for `workflow_run` and `schedule`. `paths` are the
    files that changed; None means unknown, which lets path filters pass, as GitHub does for huge differences.
    `inputs` are those of a `workflow_dispatch`, all of them text; of a `repository_dispatch`, `action` is the type.
    """

    name: EventName
    sha: str
    ref: str
    before: str = ZERO
    sender: str = "local"
    message: str = ""
    paths: tuple[str, ...] | None = None
    action: str = ""
    number: int = 0
    base: str = ""
    base_sha: str = ""
    head: str = ""
    head_sha: str = ""
    workflow: str = ""
    source: str = ""
    conclusion: str = ""
    run_id: int = 0
    pull_requests: tuple[int, ...] = ()
    schedule: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    client_payload: Mapping[str, Any] = field(default_factory=dict)


def payload(event: Event, repository: Repository) -> dict[str, Any]:
    """The JSON object that GitHub would send with `event`, as far as a repository alone can know it."""
    repo = _repository(repository)
    common: dict[str, Any] = {
        "ref": event.ref,
        "repository": repo,
        "sender": {"login": event.sender, "type": "User"},
    }
    if event.name == "push":
        return common | _push(event)
    if event.name == "pull_request":
        return common | _pull_request(event, repo)
    if event.name == "workflow_run":
        return common | _workflow_run(event, repo)
    if event.name == "workflow_dispatch":
        return common | {"inputs": dict(event.inputs), "workflow": event.workflow}
    if event.name == "repository_dispatch":
        told = {"action": event.action, "branch": repository.default_branch}
        return common | told | {"client_payload": dict(event.client_payload)}
    return common | {"schedule": event.schedule.partition(ZONE)[0]}


def _push(event: Event) -> dict[str, Any]:
    # Without a literal `deleted: false` act takes the commit from its own folder instead of `after`.
    return {
        "before": event.before,
        "after": event.sha,
        "created": event.before == ZERO,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "pusher": {"name": event.sender},
        "head_commit": {"id": event.sha, "message": event.message},
    }


def _pull_request(event: Event, repo: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": event.action,
        "number": event.number,
        "before": event.before,
        "after": event.head_sha,
        "pull_request": {
            "number": event.number,
            "state": "closed" if event.action == "closed" else "open",
            "draft": False,
            "user": {"login": event.sender},
            "head": {"ref": event.head, "sha": event.head_sha, "repo": repo},
            "base": {"ref": event.base, "sha": event.base_sha, "repo": repo},
            "merge_commit_sha": event.sha,
        },
    }


def _workflow_run(event: Event, repo: dict[str, Any]) -> dict[str, Any]:
    base = {"ref": event.base or repo["default_branch"]}
    head = {"ref": event.head, "sha": event.head_sha}
    return {
        "action": event.action,
        "workflow": {"name": event.workflow},
        "workflow_run": {
            "id": event.run_id,
            "run_number": event.run_id,
            "run_attempt": 1,
            "name": event.workflow,
            "status": "completed" if event.action == "completed" else "queued",
            "conclusion": event.conclusion or None,
            "event": event.source,
            "head_sha": event.head_sha,
            "head_branch": event.head,
            "head_commit": {"id": event.head_sha, "message": event.message},
            "head_repository": repo,
            "repository": repo,
            "pull_requests": [{"number": number, "head": head, "base": base} for number in event.pull_requests],
        },
    }


def context(event: Event, repository: Repository, *, workflow_name: str = "", run_id: int = 0) -> dict[str, Any]:
    """The `github` context of `event`, and its `inputs`, for expressions that are evaluated outside of a job.

    `run_id` is the number of the run that they are evaluated for, 0 where there is none yet.
    """
    kind, short = _split(event.ref)
    return {
        "github": {
            "workflow": workflow_name,
            "event_name": event.name,
            "event": payload(event, repository),
            "ref": event.ref,
            "ref_name": short,
            "ref_type": kind,
            "sha": event.sha,
            "head_ref": event.head if event.name == "pull_request" else "",
            "base_ref": event.base if event.name == "pull_request" else "",
            "repository": repository.full_name,
            "repository_owner": repository.full_name.partition("/")[0],
            "actor": event.sender,
            "run_id": str(run_id),
            "run_number": str(run_id or 1),
            "run_attempt": "1",
        },
        "inputs": dict(event.inputs),
        "vars": {},  # nobody sets any here
    }


def _repository(repository: Repository) -> dict[str, Any]:
    owner, _, name = repository.full_name.partition("/")
    return {
        "name": name,
        "full_name": repository.full_name,
        "owner": {"login": owner, "name": owner},
        "default_branch": repository.default_branch,
        "private": True,
        "fork": False,
        "html_url": repository.path.as_uri(),
        "clone_url": repository.path.as_uri(),
    }


def _split(ref: str) -> tuple[str, str]:
    for prefix, kind in ((HEADS, "branch"), (TAGS, "tag"), (PULLS, "branch")):
        if ref.startswith(prefix):
            return kind, ref.removeprefix(prefix)
    return "branch", ref
