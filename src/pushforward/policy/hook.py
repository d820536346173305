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

from pushforward.errors import PushforwardError
from pushforward.git.refs import HEADS, OWNED, REGISTRY, TAGS, ZERO
from pushforward.policy import branches, names, origin
from pushforward.policy.push import FOLDER, Push, Update, read, trusted, versions_in, within
from pushforward.policy.refusal import PolicyError, shown

DELETED = f"{FOLDER}/deleted"  # what deleted branches have been at: git deletes their history with them
MOST_REFS = 1000
MOST_SHOWN = 4


def refusals(push: Push) -> list[tuple[str, PushforwardError]]:
    """(ref, why) for each ref that may not move."""
    if len(push.updates) > MOST_REFS:
        many = PolicyError(f"{len(push.updates)} refs at once; {MOST_REFS} is the limit", "git push a few at a time")
        return [("this push", many)]
    if push.updates and (first := origin.original(push.server)):
        copy = PolicyError(
            f"this server is a copy of {shown(first)}, which is still there; it takes nothing in its name",
            f"in a clone: git remote set-url local '{shown(os.getcwd())}' && pushforward init",
        )
        return [("this push", copy)]
    found: list[tuple[str, PushforwardError]] = []
    for update in push.updates:
        try:
            _judge(push, update)
        except PushforwardError as refused:
            found.append((update.ref, refused))
    return found


def _judge(push: Push, update: Update) -> None:
    """Every rule for one ref, in the order in which a person would ask."""
    if update.ref.startswith(OWNED):
        _owned(push, update)
        return
    names.check(push, update)
    if update.ref.startswith(TAGS):
        if names.is_registry(push, update.ref):
            from pushforward.policy import tags  # few pushes need it, and every push would wait for it

            tags.check(push, update)
        return
    if update.ref == push.default:
        branches.check_default(push, update)
    if update.new != ZERO:
        branches.check(push, update)


def _owned(push: Push, update: Update) -> None:
    """What this server writes, nobody else; and what of it only ever grows."""
    if not push.trusted:
        raise PolicyError("this server writes it, nobody else", "git push a branch; reports come back as notes")
    if not update.ref.startswith("refs/pushforward/"):
        return
    if update.new == ZERO:
        raise PolicyError("it only grows, and is never deleted", "git fetch, then push what comes after it")
    if update.ref == REGISTRY and not any(versions_in(one.ref for one in push.updates)):
        raise PolicyError("an entry comes with its version's tag, in one push", "pushforward promote")
    if update.old != ZERO and not within(push, update.old, update.new):
        raise PolicyError("it only grows: what it was is not in what it would be", "git fetch, then push what follows")


def _remember(push: Push) -> None:
    """Keep where the branches that go have been, for the dispatcher: every commit of them is owed a verdict."""
    for number, update in enumerate(push.updates):
        if update.new != ZERO or not update.ref.startswith(HEADS):
            continue
        from pathlib import Path

        log = Path("logs") / update.ref
        if not log.is_file():
            continue
        told = {"ref": update.ref, "log": log.read_text(encoding="utf-8", errors="replace")}
        Path(DELETED).mkdir(exist_ok=True)
        path = Path(DELETED) / f"{time.time_ns()}-{os.getpid()}-{number}.json"
        fresh = path.with_suffix(".unfinished")
        with fresh.open("w") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)


def main() -> int:
    """Read the updates of one push; 0 accepts it, 1 refuses it whole."""
    try:
        push = Push(read(sys.stdin.buffer), trusted=trusted(), now=time.time())
        with contextlib.closing(push.objects):
            found = refusals(push)
        if not found:
            _remember(push)
    except Exception as broken:  # noqa: BLE001  whatever goes wrong here, nothing may pass
        words = str(broken) or type(broken).__name__
        if isinstance(broken, OSError) and broken.filename:
            words = f"{broken.filename}: {broken.strerror}"
        what = shown(" ".join(words.split()))
        print(f"pushforward: the policy could not be checked: {what}\n  next: pushforward check", file=sys.stderr)
        return 1
    for ref, refused in found[:MOST_SHOWN]:
        why, following = (re.sub(r"[^\x20-\x7e]", "?", text)[:300] for text in (refused.message, refused.next))
        print(f"pushforward: {shown(ref)} refused: {why}\n  next: {following}", file=sys.stderr)
    if len(found) > MOST_SHOWN:
        print(f"pushforward: and {len(found) - MOST_SHOWN} more; nothing of this push was taken", file=sys.stderr)
    return 1 if found else 0
