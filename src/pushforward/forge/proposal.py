"""A proposal: files that are to change on the default branch, as one commit on a branch of its own that people merge.

`arrival`, `monitoring` and `tuning` propose. Nothing of a work tree is touched. The branch is pushed by
compare-and-swap: where two propose the same change at once, one of them opens it, and the other one finds it. A server
of ours takes the branch for a pull request by itself; on a forge one is opened by its API.
"""

import re
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pushforward import files
from pushforward.errors import POLICY, TOOL, USAGE, PushforwardError
from pushforward.forge import pulls
from pushforward.git import remote as remotes
from pushforward.git.refs import HEADS
from pushforward.git.remote import Remote
from pushforward.git.repository import DETACH, Repository
from pushforward.text import clean_lines, plain

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
LONGEST_TITLE, LONGEST_BODY = 120, 60_000  # characters
WORD = re.compile(r"(?im)^(?=pushforward-)")  # begins a line by which a person says something to the judge
TRIES = 3  # that the default branch may move on under a proposal

State = Literal["opened", "there", "pushed", "declined", "landed"]


@dataclass(frozen=True)
class Proposal:
    """A change: the `files` whole, by path. Foreign text in `body`, which is markdown, is for its writer to escape."""

    branch: str
    files: Mapping[str, bytes]
    title: str
    body: str


@dataclass(frozen=True)
class Proposed:
    """What became of a proposal, and the `commit` that its branch is at.

    `opened`: just now, as a pull request. `there`: somebody has, before or at the same time. `pushed`: on a forge that
    could not be asked for a pull request, and `words` say how to open one. `declined`: a person has closed it.
    `landed`: the default branch has it already. `address` is that of the pull request, on a forge.
    """

    branch: str
    commit: str
    state: State
    words: str
    address: str = ""


@dataclass(frozen=True)
class Place:
    """Where a proposal goes: the remote, its default branch, the commit of that, and of the branch if it is there."""

    clone: Repository
    remote: Remote
    default: str
    base: str
    there: str


def propose(root: Path, proposal: Proposal, *, say: Callable[[str], None], instead: str = "") -> Proposed:
    """Have a change asked for, once however often it is proposed. Raises where its branch has another change.

    A branch that is at the commit `instead` is moved to this change, whatever it has.
    """
    repository = Repository(root)
    remote = remote_of(repository)
    made = _checked(proposal)
    pushed = _pushed(repository, remote, made, instead)
    return pushed if pushed.state == "landed" or remote.is_server else _asked(root, made, pushed, say)


def remote_of(repository: Repository) -> Remote:
    """The remote that a repository proposes to."""
    remote = remotes.followed(repository)
    if remote is None:
        raise PushforwardError(f"{repository.path} has no git remote to propose to", next="pushforward init")
    return remote


def _checked(proposal: Proposal) -> Proposal:
    """The proposal with words that are harmless in a commit, on a terminal and on a page."""
    if not NAME.fullmatch(proposal.branch) or not proposal.files:
        raise PushforwardError(f"{plain(proposal.branch)!a} is no name of a branch, or nothing is to change in it")
    title = plain(proposal.title, LONGEST_TITLE)
    body = WORD.sub("> ", clean_lines(proposal.body)[:LONGEST_BODY])
    return replace(proposal, title=title or proposal.branch, body=body)


def _pushed(repository: Repository, remote: Remote, proposal: Proposal, instead: str) -> Proposed:
    """Push the branch, unless it is there with the same change."""
    refused = ""
    for _ in range(TRIES):
        place = place_of(repository, remote, proposal.branch)
        tree = tree_with(place, proposal.files)
        if tree == _tree_of(repository, place.base):
            return Proposed(proposal.branch, place.base, "landed", f"{place.default} has it already")
        if place.there != instead and held(place, proposal.branch, tree):
            return Proposed(proposal.branch, place.there, "there", f"{proposal.branch} is there, with this change")
        message = f"{proposal.title}\n\n{proposal.body}".rstrip() + "\n"
        commit = repository.write_commit(tree, [place.base], message, date=f"{int(time.time())} +0000")
        flag, refused = push_to(repository, remote, f"{HEADS}{proposal.branch}", place.there, commit)
        if flag == "=":  # to the letter the same, by somebody else in this second
            return Proposed(proposal.branch, commit, "there", f"{proposal.branch} is there, with this change")
        if not refused:
            return Proposed(proposal.branch, commit, "opened", _words(place, proposal.branch, commit))
        if place_of(repository, remote, proposal.branch) == place:  # nobody was faster: it is refused for itself
            break
    raise PushforwardError(
        f"{place.remote.name} does not take {proposal.branch}: {refused}",
        next=f"git push {place.remote.name} {commit[:12]}:{HEADS}{proposal.branch}, which says all of it",
        exit_code=POLICY if place.remote.is_server else TOOL,
    )


def _words(place: Place, branch: str, commit: str) -> str:
    if place.remote.is_server:
        return f"{branch} is pushed, {commit[:9]}: {place.remote.name} judges it as a pull request into {place.default}"
    return f"{branch} is pushed, {commit[:9]}"


def place_of(repository: Repository, remote: Remote, branch: str = "") -> Place:
    """Where the proposal goes, as it is there now, with `branch` if one is asked for; what is there is fetched."""
    wanted = [f"{HEADS}{branch}"] if branch else []
    asked = repository.remote("ls-remote", "--symref", remote.name, "HEAD", *wanted, check=False)
    if asked.returncode != 0:
        said = asked.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise PushforwardError(
            f"{remote.name} cannot be read: {plain(said[0])}", next=f"git ls-remote {remote.name}", exit_code=TOOL
        )
    rows = [line.partition("\t") for line in asked.text.splitlines()]
    head = next((left.removeprefix("ref: ") for left, _, right in rows if right == "HEAD" and left[:5] == "ref: "), "")
    heads = {ref: left for left, _, ref in rows if not left.startswith("ref: ")}
    if not head or "HEAD" not in heads:
        raise PushforwardError(f"{remote.name} has no default branch yet", next=f"git push {remote.name} main")
    if head == f"{HEADS}{branch}":
        raise PushforwardError(f"{branch} is the default branch: a proposal has one of its own")
    repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote.name, *heads.values())
    default = head.removeprefix(HEADS)
    return Place(repository, remote, default, heads["HEAD"], heads.get(f"{HEADS}{branch}", ""))


def tree_with(place: Place, changed: Mapping[str, bytes]) -> str:
    """The tree of the default branch with these files, and nothing else, changed."""
    files.check_tree(place.clone.tree(place.base), changed)
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        return place.clone.write_tree(place.base, changed, index=Path(folder) / "index")


def held(place: Place, branch: str, tree: str) -> bool:
    """Whether the branch, once merged, leaves this `tree` to the last file; raises where it has another change.

    One that is not there, or all of which the default branch has by now, holds nothing.
    """
    if not place.there:
        return False
    merged = place.clone.merge_tree(place.base, place.there)[0]
    if merged == tree:
        return True
    if merged == _tree_of(place.clone, place.base):  # merged, or squashed: it may be moved on
        return False
    name = place.remote.name
    raise PushforwardError(
        f"{name} has a branch {branch} with another change ({place.there[:9]})",
        next=f"git push {name} --delete {shlex.quote(branch)}, if nobody needs it, then the same again",
        exit_code=USAGE,
    )


def _tree_of(repository: Repository, commit: str) -> str:
    return repository.git("rev-parse", f"{commit}^{{tree}}").text


def push_to(clone: Repository, remote: Remote, ref: str, old: str, commit: str) -> tuple[str, str]:
    """Move a branch of a remote that is at `old` ("": not there): what git did (`*` new, `=` it was there) or why not.

    Nobody waits for the verdict on what is pushed.
    """
    waits = ("-o", DETACH) if remote.is_server else ()
    lease = f"--force-with-lease={ref}:{old}"
    done = clone.remote("push", "--porcelain", lease, *waits, remote.name, f"{commit}:{ref}", check=False)
    flag = next((line[:1] for line in done.stdout.decode("utf-8", "replace").splitlines() if ref in line), "")
    if done.returncode == 0:
        return flag, ""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return flag, plain(" ".join(line.removeprefix("remote: ") for line in lines[:3]), 300) or "the push failed"


def _asked(root: Path, proposal: Proposal, pushed: Proposed, say: Callable[[str], None]) -> Proposed:
    """Have the forge open a pull request; where it cannot be asked, say how a person opens one."""
    try:
        at = pulls.forge(root, say)
        known = pulls.find(at, proposal.branch)
        if pushed.state == "there" and known and known.state == "closed" and known.head in ("", pushed.commit):
            words = f"{known.address} was closed by a person: it is not opened again while {proposal.branch} is there"
            return replace(pushed, state="declined", words=words, address=known.address)
        pull, made = pulls.open_or_find(at, proposal.branch, proposal.title, proposal.body)
    except PushforwardError as failed:
        how = f"open a pull request of it by hand{f', or {failed.next}' if failed.next else ''}"
        words = (
            f"{proposal.branch} is pushed, {pushed.commit[:9]}, and nobody asks for it: {failed.message}; next: {how}"
        )
        return replace(pushed, state="pushed", words=words)
    if made:
        return replace(pushed, state="opened", words=f"{pull.address} asks for it", address=pull.address)
    return replace(pushed, state="there", words=f"{pull.address} is open, with this change", address=pull.address)
