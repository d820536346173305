"""The commits of a push, as GitHub's event has them, with authors, times and changed files; and the number of a run."""

from datetime import datetime
from typing import Any

from pushforward.actions.event import ZERO, Event
from pushforward.git.repository import Repository

MAX_COMMITS = 250
_FIELDS = ("%H", "%T", "%cI", "%an", "%ae", "%cn", "%ce", "%B")
_KINDS = {"A": "added", "D": "removed"}


def pushed(repository: Repository, event: Event, url: str) -> dict[str, Any]:
    """What a push adds to its event: `commits`, the oldest first, `head_commit` and `compare`.

    Of a new branch or tag it is the tip alone; `url` is the repository's.
    """
    several = event.before != ZERO and repository.resolve(event.before) is not None
    which = [f"{event.before}..{event.sha}"] if several else ["-n1", event.sha]
    form = f"--format=%x00{'%x00'.join(_FIELDS)}%x00"  # no name and no message has a NUL
    limits = [f"--max-count={MAX_COMMITS}"] if several else []
    plain = ("-c", "core.quotePath=false", "log", "--name-status", "--no-renames")
    parts = repository.git(*plain, *limits, form, *which, "--").text.split("\0")[1:]
    size = len(_FIELDS) + 1
    found = [_commit(parts[at : at + size], url) for at in range(0, len(parts) - size + 1, size)]
    found.reverse()
    head = next((one for one in found if one["id"] == event.sha), None)
    known = {"commits": found, "compare": f"{url}/compare/{event.before[:12]}...{event.sha[:12]}"}
    return known | ({"head_commit": head} if head else {})


def number(repository: Repository, sha: str) -> int:
    """The number of a run at `sha`: how many commits its branch has had, merges counted once.

    GitHub counts the runs of each workflow. Here git alone remembers, so that it grows with each push and has gaps; the
    same commit, run again, has the same, as on GitHub.
    """
    return int(repository.git("rev-list", "--count", "--first-parent", sha, "--").text)


def _commit(parts: list[str], url: str) -> dict[str, Any]:
    oid, tree, when, author, author_mail, committer, committer_mail, message, changed = parts
    files: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}
    for line in changed.split("\n"):
        kind, tab, path = line.partition("\t")
        if tab:
            files[_KINDS.get(kind[:1], "modified")].append(path)
    return {
        "id": oid,
        "tree_id": tree,
        "distinct": True,
        "message": message.strip(),
        "timestamp": datetime.fromisoformat(when).isoformat(),
        "url": f"{url}/commit/{oid}",
        "author": {"name": author, "email": author_mail, "username": author},
        "committer": {"name": committer, "email": committer_mail, "username": committer},
        **files,
    }
