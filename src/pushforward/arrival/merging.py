"""The merge of a batch by itself: where the settings say so, and the verdict on its pull request is promote.

Never on another word, nor on a verdict that was come to beside an older state of the default branch. Whoever refuses a
push or a merge (a protected branch, a required status) is heard: nothing goes around a rule.
"""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from pushforward.forge import pulls
from pushforward.forge.client import reason
from pushforward.forge.docket import NAME
from pushforward.forge.proposal import Place, push_to
from pushforward.git.refs import HEADS
from pushforward.report import notes
from pushforward.text import plain

WANTED = "promote"
STALE = "stale"  # the default branch has moved on since the verdict


def word(root: Path, place: Place) -> str:
    """The verdict on the tip of a proposal as it stands: "" for none yet, `stale` for one beside an older branch."""
    for told in notes.read(notes.of(root), place.there):
        if told.event == "pull_request" and told.verdict.get("commit") in (place.there, None):
            return str(told.verdict.get("verdict", "")) if told.verdict.get("base") == place.base else STALE
    return ""


def merge(root: Path, place: Place, branch: str, say: Callable[[str], None]) -> tuple[bool, str]:
    """Merge a proposal whose verdict is promote; whether it was, in words."""
    if place.remote.is_server:
        return _by_push(place, branch)
    at = pulls.forge(root, say)
    pull = pulls.find(at, branch)
    if pull is None or pull.state != "open":
        return False, f"{branch} has no open pull request on {at.name}: it is not merged"
    if pull.head and pull.head != place.there:
        return False, f"{pull.address} is at {pull.head[:9]} and {branch} at {place.there[:9]}: it is not merged"
    if why := pulls.withheld(at, place.there, NAME, WANTED):
        return False, f"{pull.address} is not merged: {why}"
    answer = at.api.answer(pulls.merging(at, pull, place.there))
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        return False, f"{pull.address} is not merged: {at.name} answers {answer.status}: {plain(reason(answer), 300)}"
    return True, f"{pull.address} is merged"


def _by_push(place: Place, branch: str) -> tuple[bool, str]:
    """Push the merge that was tried to the default branch of a server, if that is where it was."""
    commit, conflicts = place.clone.merge_commit(place.base, place.there)
    if commit is None:
        return False, f"{branch} conflicts with {place.default} in {', '.join(conflicts[:3])}: it is not merged"
    refused = push_to(place.clone, place.remote, f"{HEADS}{place.default}", place.base, commit)[1]
    if refused:
        return False, f"{branch} is not merged: {refused}"
    return True, f"{branch} is merged into {place.default}, {commit[:9]}"
