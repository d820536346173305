"""Pull requests of a forge: the one of a branch is looked up, and opened where nobody has; asked by `proposal`.

On GitLab they are merge requests. What is there is told by the forge; nothing of it is kept here.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import github, project, setup
from pushforward.forge.github import GitHub
from pushforward.forge.port import Call
from pushforward.forge.project import Project
from pushforward.project import workflows
from pushforward.text import plain

HOST = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?P<host>[\w.-]+)")
GITHUB = re.compile(r"github|\.ghe\.com$")

State = Literal["open", "closed", "merged"]


@dataclass(frozen=True)
class Pull:
    """The newest pull request of a branch: its number, its address for people, the commit that it is at."""

    number: int
    address: str
    head: str
    state: State


def forge(root: Path, say: Callable[[str], None]) -> GitHub | Project:
    """The forge that the clone in `root` has its remote on, with who is logged in; an error where nobody is."""
    at = setup.address(root)
    found = HOST.match(at)
    host = found["host"] if found else ""
    kind = workflows.forge_of(root, host)
    if kind == workflows.GITLAB:
        return project.find(at, say)
    here = os.environ.get("GITHUB_SERVER_URL", "").rpartition("/")[2]
    if kind == workflows.GITHUB and host and (GITHUB.search(host) or host == here):
        return github.find(at, say)
    # whatever it is, no token of ours is for it
    raise PushforwardError(f"what is at {plain(host or at)} is asked for no pull request from here", exit_code=TOOL)


def find(at: GitHub | Project, branch: str) -> Pull | None:
    """The newest pull request of a branch of this repository into its default branch; None where there is none."""
    if isinstance(at, GitHub):
        path = f"repos/{at.owner}/{at.repo}/pulls"
        listed = at.api.listed(path, head=f"{at.owner}:{branch}", base=at.branch, state="all")
        found = [_of_github(one) for one in listed]
    else:
        path = f"projects/{quote(at.path, safe='')}/merge_requests"
        listed = at.api.listed(path, source_branch=branch, target_branch=at.branch)
        found = [_of_gitlab(one) for one in listed]
    return max(found, key=lambda one: one.number, default=None)


def open_or_find(at: GitHub | Project, branch: str, title: str, body: str) -> tuple[Pull, bool]:
    """The open pull request of a branch, and whether it was opened just now; who is second finds the first one's."""
    there = find(at, branch)
    if there is not None and there.state == "open":
        return there, False
    asked = at.open_pull(branch, title, body)
    if asked is not None:
        try:
            at.call(asked)
        except PushforwardError:
            there = find(at, branch)  # somebody was faster, or it was done and its answer was lost
            if there is None or there.state != "open":
                raise
            return there, False
    made = find(at, branch)
    if made is None:
        raise PushforwardError(
            f"{at.name} has opened a pull request of {branch}, and does not list it",
            next=f"look at {at.place}",
            exit_code=TOOL,
        )
    return made, asked is not None


def withheld(at: GitHub | Project, commit: str, name: str, word: str) -> str:
    """Why the status `name` of a commit does not let it be merged for its verdict being `word`; "" where it does."""
    if isinstance(at, GitHub):
        asked = at.api.listed(f"repos/{at.owner}/{at.repo}/commits/{commit}/statuses")
        found = [(one.get("state"), one.get("description")) for one in asked if one.get("context") == name]
    else:
        asked = at.api.listed(f"projects/{quote(at.path, safe='')}/repository/commits/{commit}/statuses")
        named = [one for one in asked if name in (one.get("name"), one.get("context"))]
        found = [(one.get("status"), one.get("description")) for one in reversed(named)]
    state, said = found[0] if found else ("missing", "")  # the newest comes first
    if state == "success" and str(said).startswith(word):
        return ""
    return f"its status {name} is {plain(str(state))}{f' ({plain(str(said))})' if said else ''}"


def merging(at: GitHub | Project, pull: Pull, commit: str) -> Call:
    """The call that merges a pull request at this commit and at no other."""
    if isinstance(at, GitHub):
        return Call(
            "PUT", f"repos/{at.owner}/{at.repo}/pulls/{pull.number}/merge", {"sha": commit, "merge_method": "merge"}
        )
    return Call("PUT", f"projects/{quote(at.path, safe='')}/merge_requests/{pull.number}/merge", {"sha": commit})


def _of_github(told: dict[str, object]) -> Pull:
    head = told.get("head")
    state: State = "open" if told.get("state") == "open" else "merged" if told.get("merged_at") else "closed"
    commit = str(head.get("sha", "")) if isinstance(head, dict) else ""
    return Pull(_number(told.get("number")), str(told.get("html_url", "")), commit, state)


def _of_gitlab(told: dict[str, object]) -> Pull:
    states: dict[object, State] = {"opened": "open", "locked": "open", "merged": "merged"}
    state = states.get(told.get("state"), "closed")
    return Pull(_number(told.get("iid")), str(told.get("web_url", "")), str(told.get("sha", "")), state)


def _number(told: object) -> int:
    if not isinstance(told, int):
        raise PushforwardError("the forge lists a pull request without a number", exit_code=TOOL)
    return told
