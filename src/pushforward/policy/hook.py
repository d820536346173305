"""The pre-receive hook: who may move which ref to what. Standard library only; it never runs a repository's code.

Run by git in the bare repository, with `<old> <new> <ref>` lines on standard input. All of a push or none of it: one
refused ref refuses the push, and so does a rule that cannot be checked. It reads git objects and what lies in
pushforward/ beside them: server.json, registry.json, allowed_signers, token.
"""

import contextlib
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from pushforward.git.refs import HEADS, TAGS, ZERO
from pushforward.policy.refusal import shown

if TYPE_CHECKING:
    from pushforward.policy.push import Push

DELETED = "pushforward/deleted"  # what deleted branches have been at: git deletes their history with them
PUSHED = "pushforward/pushed"  # tags that are nobody's but their pusher's, for what they start
MOST_SHOWN = 4


def _remember(push: "Push") -> None:
    """Keep where the branches that go have been, for the dispatcher: every commit of them is owed a verdict.

    And which tags have come, for what they start: whatever dies before that is known, the dispatcher finds it.
    """
    for number, update in enumerate(push.updates):
        if update.new != ZERO or not update.ref.startswith(HEADS):
            continue
        from pathlib import Path

        log = Path("logs") / update.ref
        if not log.is_file():
            continue
        told = {"ref": update.ref, "log": log.read_text(encoding="utf-8", errors="replace")}
        _write(DELETED, number, told)
    tags = [(one.ref, one.new) for one in push.updates if one.ref.startswith(TAGS) and one.new != ZERO]
    if tags and not push.trusted:
        from pushforward.policy.names import is_registry

        if free := [tag for tag in tags if not is_registry(push, tag[0])]:
            _write(PUSHED, 0, {"tags": free})


def _write(folder: str, number: int, told: dict[str, Any]) -> None:
    from pathlib import Path

    Path(folder).mkdir(exist_ok=True)
    path = Path(folder) / f"{time.time_ns()}-{os.getpid()}-{number}.json"
    fresh = path.with_suffix(".unfinished")
    with fresh.open("w") as file:
        os.fchmod(file.fileno(), 0o644)  # whoever dispatches reads it, whatever mask its pusher has
        json.dump(told, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def main() -> int:
    """Read the updates of one push; 0 accepts it, 1 refuses it whole."""
    try:
        from pushforward.policy import rules  # inside, so that a damaged copy is told like all that cannot be checked
        from pushforward.policy.push import Push, read, trusted

        push = Push(read(sys.stdin.buffer), trusted=trusted(), now=time.time())
        with contextlib.closing(push.objects):
            found = rules.refusals(push)
        if not found:
            _remember(push)
    except Exception as broken:  # noqa: BLE001  whatever goes wrong here, nothing may pass
        words = str(broken) or type(broken).__name__
        if isinstance(broken, OSError) and broken.filename:
            words = f"{broken.filename}: {broken.strerror}"
        if isinstance(broken, ImportError | SyntaxError):
            words = "the server's copy of the tool is damaged: pushforward/lib"
        what = shown(" ".join(words.split()))
        print(f"pushforward: the policy could not be checked: {what}\n  next: pushforward check", file=sys.stderr)
        return 1
    for ref, refused in found[:MOST_SHOWN]:
        why, following = (re.sub(r"[^\x20-\x7e]", "?", text)[:300] for text in (refused.message, refused.next))
        print(f"pushforward: {shown(ref)} refused: {why}\n  next: {following}", file=sys.stderr)
    if len(found) > MOST_SHOWN:
        print(f"pushforward: and {len(found) - MOST_SHOWN} more; nothing of this push was taken", file=sys.stderr)
    return 1 if found else 0
