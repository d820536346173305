"""The record of alarms in git: since when each has been there, so that one is news once. `arrive` writes it.

Compared and swapped, where the refs that count are: of two who find the same alarm at once, one has news.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from pushforward import untrusted
from pushforward.errors import PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import ARRIVAL, ZERO
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.swap import swap

DOCUMENT, TOLD = "alarms.json", "run"  # the alarms, and the run of a server that has told of them last
RUN = "PUSHFORWARD_RUN"  # whose run this is
TRIES = 5
LONGEST = 1 << 20
UNTOLD = "the run has failed before its end: its log says why"


def since(
    root: Path, alarms: Mapping[str, str], now: datetime, *, say: Callable[[str], None], dry: bool, whole: bool = True
) -> dict[str, tuple[str, bool]]:
    """Since when each alarm (its key and its words) has been there, and whether that is news.

    Those that are over are forgotten. That the `whole` run of a server has come to alarms is recorded too, be they old
    ones: of one that failed otherwise that is news.
    """
    run = os.environ.get(RUN, "") if whole and alarms else ""
    today = now.isoformat(timespec="seconds")
    refused, dated = "", dict.fromkeys(alarms, (today, True))
    try:
        for _ in range(TRIES):
            repository, remote = _place(root)
            old = repository.resolve(ARRIVAL) or ""
            known = _read(repository, old)
            found = {key: (known[key][0] if key in known else today, words) for key, words in alarms.items()}
            dated = {key: (when, key not in known) for key, (when, _) in found.items()}
            if dry or (found == known and run in ("", _told(repository, old))):
                return dated
            refused = _write(repository, remote, old, found, run)
            if not refused:
                return dated
    except PushforwardError as failed:  # an alarm that cannot be kept is one all the same
        refused = failed.message
    say(f"alarms cannot be recorded in {ARRIVAL}, and are told again: {refused}")
    return dated


def fresh(repository: Repository, seconds: float) -> list[str]:
    """The words of alarms that were not there before a moment."""
    known = _read(repository, repository.resolve(ARRIVAL) or "")
    return [words for when, words in known.values() if _seconds(when) >= seconds - 1]


def told(repository: Repository, run: str) -> bool:
    """Whether a run has come to its end, and to alarms: that is why it failed."""
    return _told(repository, repository.resolve(ARRIVAL) or "") == run


def _told(repository: Repository, commit: str) -> str:
    content = repository.read(commit, TOLD) if commit else None
    return (content or b"").decode("utf-8", "replace").strip()


def _seconds(when: str) -> float:
    try:
        return datetime.fromisoformat(when).timestamp()
    except ValueError:
        return 0.0


def _place(root: Path) -> tuple[Repository, str]:
    """The repository whose refs count, or the clone and the remote that does, as it is now."""
    repository = Repository(root)
    there = remotes.authority(repository)
    if there is None:
        return repository, ""
    if there.folder is not None and there.folder.is_dir():
        return Repository(there.folder), ""
    every = f"+{ARRIVAL}*:{ARRIVAL}*"
    repository.remote("fetch", "-q", "--no-tags", "--prune", "--no-write-fetch-head", there.name, every)
    return repository, there.name


def _read(repository: Repository, commit: str) -> dict[str, tuple[str, str]]:
    """What is recorded; of a document that is none, nothing: an alarm is told once more then."""
    content = repository.read(commit, DOCUMENT) if commit else None
    try:
        tree = untrusted.plain_json(content[:LONGEST], DOCUMENT) if content else {}
    except PushforwardError:
        return {}
    return {
        str(key): (str(one.get("since", "")), str(one.get("words", "")))
        for key, one in tree.items()
        if isinstance(one, dict)
    }


def _write(repository: Repository, remote: str, old: str, found: Mapping[str, tuple[str, str]], run: str) -> str:
    """Record it on top of what was there; why it did not move, or ""."""
    tree_of = {key: {"since": when, "words": words} for key, (when, words) in found.items()}
    content = json.dumps(tree_of, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        files = {DOCUMENT: content.encode(), TOLD: f"{run}\n".encode()}
        tree = repository.write_tree(EMPTY_TREE, files, index=Path(folder) / "index")
    parents = [old] if old else []
    commit = repository.write_commit(
        tree, parents, "What has not arrived as it should\n", date=f"{int(time.time())} +0000"
    )
    if remote:
        return swap(repository, remote, ARRIVAL, old, commit)
    return "" if repository.update_ref(ARRIVAL, commit, old or ZERO) else "it is not writable, or another was first"
