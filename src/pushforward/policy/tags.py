"""Registry tags: append-only, of this model, of now, signed by who may. `hook` asks for every tag of the registry."""

import json
import re
from typing import Any

from pushforward.policy import signature, uses, versions
from pushforward.policy.names import TAG
from pushforward.policy.push import (
    MAY_ANY,
    MAY_MAIN,
    MAY_VERSION,
    NAME,
    NUMBERS,
    TAGS,
    VERSION,
    ZERO,
    Push,
    Update,
    once,
)
from pushforward.policy.refusal import CONTROL, PolicyError, readable, shown

DEPRECATION = re.compile(rf"({NAME})@v{NUMBERS}!")
TAGGER = re.compile(r"tagger [^<>]*<([^<>\s]+)> (\d{1,11}) [+-]\d{4}")
CLOCK_SECONDS = 300


def check(push: Push, update: Update) -> None:
    """Append-only, of this model, annotated, of now, signed by someone who may; then the rules of its kind."""
    name = update.ref.removeprefix(TAGS)
    if update.old != ZERO or update.ref in push.refs:
        raise PolicyError(
            "it already exists: a registry tag never moves and is never deleted", "git fetch --tags --force"
        )
    if update.new == ZERO:
        raise PolicyError("there is no such tag, and none is ever deleted", "git fetch --tags --force")
    version, use, end = VERSION.fullmatch(name), uses.ENVIRONMENT.fullmatch(name), DEPRECATION.fullmatch(name)
    emptied = uses.EMPTIED.fullmatch(name)
    match = version or use or end or emptied
    if match is None:
        raise PolicyError(
            "a registry tag is <model>@v<major>.<minor>.<patch>, that and a '!', or <model>#<environment>[!]#<n>",
            _without(push, name),
        )
    if match[1] != push.model:
        raise _other_model(push, match[1], name)
    if use and use[2] not in push.environments:
        raise _no_environment(push, use[2])
    if version and not push.trusted:
        raise PolicyError(
            "a version is made by a passing push, not by hand", "git push local HEAD:refs/heads/<name>, then merge it"
        )
    tag = _read_tag(push, name, update.new)
    may = signature.signer(push, tag, tag.content, tag.signature, "git")
    if version:
        signature.check_allowed(MAY_VERSION in may, may)
        versions.check(push, name, tuple(int(part) for part in version.groups()[1:]), tag)
    elif use:
        auto = MAY_VERSION in may and push.environments[use[2]] == "auto"
        signature.check_allowed(use[2] in may or MAY_ANY in may or auto, may)
        uses.assigned(push, use[2], int(use[3]), tag)
    elif emptied:
        signature.check_allowed(emptied[2] in may or MAY_ANY in may, may)
        uses.emptied(push, emptied[2], int(emptied[3]), tag)
    else:
        signature.check_allowed(bool(may - {MAY_VERSION, MAY_MAIN}), may)
        uses.deprecated(push, name.removesuffix("!"), tag)


def _without(push: Push, name: str) -> str:
    """What pushes all other tags; one of the model's own name that is none of its tags is nobody else's either."""
    found = re.match("[^@#]+[@#]", name)
    if not TAG.fullmatch(name) or found is None:
        return "git push local <the others>, by name"  # a shell would not take it as it stands
    if found[0][:-1].casefold() in push.models:
        return f"git tag -d '{name}'"
    return f"git push local 'refs/tags/*' '^refs/tags/{found[0]}*', to push all others"


def _other_model(push: Push, model: str, name: str) -> PolicyError:
    if model in push.models:  # it was renamed
        return PolicyError(
            f"the model here is {push.model} now; what {model} had in use stays as it is",
            f"pushforward release VERSION of {push.model}, or give model.name in params.yaml back to {model}",
        )
    return PolicyError(f"it has the form of a version or use, and the model here is {push.model}", _without(push, name))


def _no_environment(push: Push, environment: str) -> PolicyError:
    why = "there is no such environment (promote.environments in params.yaml)"
    if uses.last_of(push.refs, push.model).get(environment):
        return PolicyError(f"{why} any more", f"pushforward rollback {environment} --empty -m WHY, or put it back")
    names = ", ".join(f"{push.model}#{environment}#<n>" for environment in push.environments)
    return PolicyError(why, f"one of {names}")


def _read_tag(push: Push, name: str, identity: str) -> signature.Tag:
    """The tag object; refused unless it is annotated, signed, called `name`, names a commit and is of now."""
    sign = f"git tag -s '{name}' <commit>"
    raw = push.objects.read(identity, "tag")
    if raw is None:
        raise PolicyError("a registry tag is annotated", sign)
    at = raw.rfind(b"\n-----BEGIN ") + 1
    armor = signature.ARMOR.fullmatch(raw, at) if at else None
    content = raw[: at or len(raw)]
    if not readable(content) or CONTROL.search(content.decode().replace("\n", "")):
        raise PolicyError("its text has characters that cannot be shown", sign)
    if b"-----BEGIN " in content:
        raise PolicyError("its text holds what reads as the beginning of a signature", sign)
    head, _, message = content.decode().partition("\n\n")
    lines = head.split("\n")
    tagger = TAGGER.fullmatch(lines[3]) if len(lines) == 4 else None
    if tagger is None or not lines[0].startswith("object ") or not lines[1].startswith("type "):
        raise PolicyError("the tag object has other lines than object, type, tag and tagger", sign)
    if lines[2] != f"tag {name}":
        raise PolicyError(f"the tag object inside has another name, {shown(lines[2][4:])}", sign)
    target = lines[0].removeprefix("object ")
    found = push.objects.find(target)
    if lines[1] != "type commit" or found is None or found[1] != "commit":
        raise PolicyError(f"it names a {shown(lines[1][5:])}, not a commit", sign)
    if armor is None:
        damaged = raw.startswith(b"-----BEGIN SSH", at)
        why = "its signature is damaged, or something follows it" if damaged else "it is not signed with an ssh key"
        raise PolicyError(why, f"git -c gpg.format=ssh tag -s '{name}' <commit>")
    late = int(tagger[2]) - push.now
    if abs(late) > CLOCK_SECONDS:
        ahead = "ahead of" if late > 0 else "behind"
        raise PolicyError(f"it is dated more than 5 minutes {ahead} the clock of this server", "date, then tag again")
    return signature.Tag(target, tagger[1], int(tagger[2]), _record(message, sign), content, raw[at:])


def _record(message: str, sign: str) -> dict[str, Any]:
    """The line of JSON in a tag's message; empty where there is none."""
    lines = [line for line in message.split("\n") if line.startswith("{")]
    if not lines:
        return {}
    try:
        record = json.loads(lines[0], object_pairs_hook=once) if len(lines) == 1 else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("schema") != 2:
        raise PolicyError("its record is not one line of JSON of schema 2", sign)
    return record
