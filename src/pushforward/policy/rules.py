"""Rules for each ref of a push, in the order in which a person would ask. `hook` asks for a whole push."""

import os

from pushforward.errors import PushforwardError
from pushforward.git.refs import FOREIGN, OWNED, REGISTRY, TAGS, ZERO
from pushforward.policy import branches, names, origin
from pushforward.policy.push import Push, Update, versions_in, within
from pushforward.policy.refusal import PolicyError, shown

MOST_REFS = 1000


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
    if update.ref.startswith(FOREIGN):
        raise PolicyError("foreign is only what was there before the server", "pushforward init, in its clone")
    if update.old != ZERO and not within(push, update.old, update.new):
        raise PolicyError("it only grows: what it was is not in what it would be", "git fetch, then push what follows")
