"""Uses: which version an environment may hold next, and which may be deprecated. `tags` asks, after the signature."""

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from pushforward.git.refs import TAGS
from pushforward.policy.push import Push
from pushforward.policy.record import Tag
from pushforward.policy.refusal import PolicyError, shown
from pushforward.registry.grammar import EMPTIED_TAG, ENVIRONMENT_TAG, VERSION_TAG


def assigned(push: Push, environment: str, counter: int, tag: Tag) -> None:
    """The next number of its environment, and a version that holds."""
    _counted(push, environment, counter, f"{push.model}#{environment}#")
    named = tag.record.get("version")
    if named is not None:
        target = _target(push, TAGS + named) if isinstance(named, str) and _is_version(push, named) else None
        if target != tag.target:
            raise PolicyError(
                f"its record says {shown(str(named))}, which is no version of its commit", "pushforward show"
            )
        there = [str(named)]
    else:
        names = [ref.removeprefix(TAGS) for ref in push.after if ref.startswith(f"{TAGS}{push.model}@")]
        there = [name for name in names if _is_version(push, name) and _target(push, TAGS + name) == tag.target]
    if not there:
        raise PolicyError("it names a commit that no version names", "git tag --list '*@v*'")
    if all(f"{TAGS}{name}!" in push.after for name in there):
        raise PolicyError(f"{there[0]} is deprecated", "pushforward show, and choose another version")
    _, last = last_of_ours(push).get(environment, (0, ""))
    if ENVIRONMENT_TAG.fullmatch(last.removeprefix(TAGS)):
        _forward(push, environment, last, max(there, key=_number), tag.record)


def _is_version(push: Push, name: str) -> bool:
    """Whether a tag of this name is a version: of the form, and no foreign one, which nobody here has judged."""
    return bool(VERSION_TAG.fullmatch(name)) and name not in push.foreign


def last_of_ours(push: Push) -> dict[str, tuple[int, str]]:
    """Environment -> (number, ref) of the last tag before the push that filled or emptied it, less the foreign ones."""
    return last_of((ref for ref in push.refs if ref.removeprefix(TAGS) not in push.foreign), push.model)


def _forward(push: Push, environment: str, ref: str, name: str, record: dict[str, Any]) -> None:
    """Not to an older version than the environment tag `ref` names, unless the record says so, and why."""
    present = _in_use(push, ref)
    if not present or _number(name) >= _number(present):
        return
    reason = record.get("reason")
    if record.get("older") is not True or not isinstance(reason, str) or not reason.strip():
        raise PolicyError(
            f"{environment} holds {present}, and {name} is older",
            f"pushforward rollback {environment} -m <why>, or "
            f"pushforward release {name} --to {environment} --older -m <why>",
        )


def in_use(push: Push, environment: str) -> str:
    """The version that an environment holds before the push; "" where it holds none."""
    _, last = last_of_ours(push).get(environment, (0, ""))
    return _in_use(push, last) if ENVIRONMENT_TAG.fullmatch(last.removeprefix(TAGS)) else ""


def _in_use(push: Push, ref: str) -> str:
    """The version that an environment tag of this server names, "" where none does."""
    target = _target(push, ref)
    raw = push.objects.read(push.refs[ref], "tag") or b""
    said = next((line for line in raw.decode("utf-8", "replace").split("\n") if line.startswith("{")), "{}")
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        named = json.loads(said).get("version")
        if named in push.versions.values() and _target(push, TAGS + named) == target:
            return str(named)
    mine = [name for name in push.versions.values() if _target(push, TAGS + name) == target]
    return max(mine, key=_number, default="")


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.rpartition("@v")[2].split("."))


def emptied(push: Push, environment: str, counter: int, tag: Tag) -> None:
    """The next number of its environment, which holds what the tag names, and a reason."""
    _counted(push, environment, counter, f"{push.model}#{environment}!#")
    _, ref = last_of_ours(push).get(environment, (0, ""))
    if not ENVIRONMENT_TAG.fullmatch(ref.removeprefix(TAGS)):
        raise PolicyError(f"{environment} holds no version", "pushforward show")
    target, named = _target(push, ref), tag.record.get("version")
    version = f"{TAGS}{named}" if isinstance(named, str) and VERSION_TAG.fullmatch(named) else ""
    if target != tag.target or _target(push, version) != target:
        raise PolicyError(f"it or its record names another version than {environment} holds", "pushforward show")
    reason = tag.record.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise PolicyError("its record says no reason", f"pushforward rollback {environment} --empty -m WHY")


def _counted(push: Push, environment: str, counter: int, prefix: str) -> None:
    """The next number of its environment, and the only one of this push."""
    expected = max(last_of_ours(push).get(environment, (0, ""))[0], _foreign(push, environment)) + 1
    if counter != expected:
        raise PolicyError(f"the next one is number {expected}", f"git tag -s '{prefix}{expected}' <commit>")
    moved = [EMPTIED_TAG.fullmatch(one.ref.removeprefix(TAGS)) for one in push.updates]
    if any(
        f"{TAGS}{push.model}#{environment}#{one['counter']}" in push.after
        for one in moved
        if one and one["environment"] == environment
    ):
        raise PolicyError("one push fills or empties an environment once", "git push one of them")


def _foreign(push: Push, environment: str) -> int:
    """The highest number that GTO has given there before this server was: some of its forms are not ours."""
    if not push.foreign:
        return 0
    from pushforward import gto  # few servers have one, and every use would wait for it

    return gto.last(push.foreign, push.model, environment)


def last_of(refs: Iterable[str], model: str) -> dict[str, tuple[int, str]]:
    """Environment -> (number, ref) of the last tag that filled or emptied it."""
    found: dict[str, tuple[int, str]] = {}
    for ref in refs:
        if not ref.startswith(f"{TAGS}{model}#"):
            continue
        name = ref.removeprefix(TAGS)
        use = ENVIRONMENT_TAG.fullmatch(name) or EMPTIED_TAG.fullmatch(name)
        if use:
            # of one number that two pushes took at once, the one that empties counts, as everywhere
            name = use["environment"]
            found[name] = max(found.get(name, (0, "")), (int(use["counter"]), ref), key=_last)
    return found


def _last(use: tuple[int, str]) -> tuple[int, bool]:
    return use[0], "!" in use[1]


def deprecated(push: Push, version: str, tag: Tag) -> None:
    """Of a version that is there, that nobody uses, with a reason."""
    target = None if version in push.foreign else _target(push, TAGS + version)
    if target is None:
        why = f"{version} is foreign, and no version" if version in push.foreign else f"there is no version {version}"
        raise PolicyError(why, "pushforward show")
    if target != tag.target:
        raise PolicyError(f"it names another commit than {version}", f"pushforward deprecate {version}")
    reason = tag.record.get("reason")
    if tag.record.get("version") != version or not isinstance(reason, str) or not reason.strip():
        raise PolicyError("its record says no version or no reason", f"pushforward deprecate {version} -m <why>")
    after = (ref for ref in push.after if ref.removeprefix(TAGS) not in push.foreign)
    for environment, (_, ref) in sorted(last_of(after, push.model).items()):
        if ENVIRONMENT_TAG.fullmatch(ref.removeprefix(TAGS)) and _target(push, ref) == target:
            raise PolicyError(
                f"{environment} uses {version}",
                f"pushforward rollback {environment} -m WHY; where nothing was before it, with --empty",
            )


def _target(push: Push, ref: str) -> str | None:
    """The commit that a tag names once the push is taken."""
    identity = push.after.get(ref)
    found = push.objects.find(f"{identity}^{{commit}}") if identity else None
    return found[0] if found else None
