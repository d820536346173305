"""Registry tags: append-only, of this model, of now, signed by who may. `hook` asks for every tag of the registry."""

import re

from pushforward.git.refs import TAGS, ZERO
from pushforward.policy import record, signature, uses, versions
from pushforward.policy.names import TAG
from pushforward.policy.push import Push, Update
from pushforward.policy.record import Tag
from pushforward.policy.refusal import CONTROL, PolicyError, readable
from pushforward.registry import ssh
from pushforward.registry.grammar import (
    DEPRECATION_TAG,
    EMPTIED_TAG,
    ENVIRONMENT_TAG,
    GRAMMAR,
    MAY_ACCEPT,
    MAY_VERSION,
    REVIEW_TAG,
    VERSION_TAG,
    number,
)
from pushforward.registry.ssh import Signed

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
    version, use = VERSION_TAG.fullmatch(name), ENVIRONMENT_TAG.fullmatch(name)
    emptied, end = EMPTIED_TAG.fullmatch(name), DEPRECATION_TAG.fullmatch(name)
    review = REVIEW_TAG.fullmatch(name)
    match = version or use or emptied or end or review
    if match is None:
        raise _unsigned(push, name, update.new) or PolicyError(f"a registry tag is {GRAMMAR}", _without(push, name))
    if match["model"] not in push.names:
        raise _other_model(push, match["model"], name)
    push.about = match["model"]
    if use and use["environment"] not in push.environments:
        raise _no_environment(push, use["environment"])
    if version and not push.trusted:
        raise _unsigned(push, name, update.new) or PolicyError(
            "a version is made by a passing push, not by hand", "git push local HEAD:refs/heads/<name>, then merge it"
        )
    signed = _read(push, name, update.new)
    tag = Tag(signed, record.read(signed.message, f"git tag -s '{name}' <commit>"))
    signer = signature.signer(push, signed, ssh.FOR_GIT)
    if version:
        signature.check_allowed(signer, allowed=signer.allows(MAY_VERSION))
        versions.check(push, name, number(version), tag)
    elif use:
        environment = use["environment"]
        auto = push.environments[environment] == "auto"
        signature.check_allowed(signer, allowed=signer.allows(environment, auto=auto))
        uses.assigned(push, environment, int(use["counter"]), tag)
    elif emptied:
        signature.check_allowed(signer, allowed=signer.allows(emptied["environment"]))
        uses.emptied(push, emptied["environment"], int(emptied["counter"]), tag)
    elif review:
        from pushforward.policy import reviews  # few pushes bring one

        signature.check_allowed(signer, allowed=signer.allows(MAY_ACCEPT))
        reviews.check(push, int(review["counter"]), tag)
    else:
        signature.check_allowed(signer, allowed=signer.deprecates)
        uses.deprecated(push, name.removesuffix("!"), tag)


def _unsigned(push: Push, name: str, identity: str) -> PolicyError | None:
    """What is said of a tag of the model that a person pushes as gto makes it: no signature, no record; else None."""
    from pushforward import gto  # only what is refused waits for it

    parts, raw = gto.parse(name), push.objects.read(identity, "tag") or b""
    if push.trusted or parts is None or parts.name not in push.models or ssh.BEGIN in raw or b"\n{" in raw:
        return None
    if parts.stage:
        instead = f"rollback {parts.stage} --empty -m WHY" if parts.cancels else f"release VERSION --to {parts.stage}"
    else:
        instead = "deprecate VERSION -m WHY"
    way = f"pushforward {instead}"
    if parts.number and not parts.cancels:
        way = "git push local HEAD:refs/heads/<name>, which makes a version once it is merged"
    return PolicyError(
        "it is not signed with an ssh key, as no tag of gto's is, and nothing here goes by it",
        f"git tag -d '{name}', then {way}; if it is older than this server: pushforward init keeps it",
    )


def _without(push: Push, name: str) -> str:
    """What pushes all other tags; one of the model's own name that is none of its tags is nobody else's either."""
    found = re.match("[^@#]+[@#]", name)
    if not re.fullmatch(TAG, name) or found is None:
        return "git push local <the others>, by name"  # a shell would not take it as it stands
    if found[0][:-1].casefold() in push.models:
        return f"git tag -d '{name}'"
    return f"git push local 'refs/tags/*' '^refs/tags/{found[0]}*', to push all others"


def _other_model(push: Push, model: str, name: str) -> PolicyError:
    here = " or ".join(push.names)
    if model in push.models:  # it was renamed
        return PolicyError(
            f"the model here is {here} now; what {model} had in use stays as it is",
            f"pushforward release VERSION of {here}, or give the model in pushforward.yaml its name {model} back",
        )
    return PolicyError(f"it has the form of a version or use, and the model here is {here}", _without(push, name))


def _no_environment(push: Push, environment: str) -> PolicyError:
    why = "there is no such environment (promote.environments in pushforward.yaml)"
    if uses.last_of_ours(push).get(environment):
        return PolicyError(f"{why} any more", f"pushforward rollback {environment} --empty -m WHY, or put it back")
    names = ", ".join(f"{push.model}#{environment}#<n>" for environment in push.environments)
    return PolicyError(why, f"one of {names}")


def _read(push: Push, name: str, identity: str) -> Signed:
    """What the tag object says; refused unless it is annotated, signed, called `name`, names a commit and is of now."""
    sign = f"git tag -s '{name}' <commit>"
    raw = push.objects.read(identity, "tag")
    if (raw is None or ssh.BEGIN not in raw) and (refused := _unsigned(push, name, identity)):
        raise refused
    if raw is None:
        raise PolicyError("a registry tag is annotated", sign)
    if not readable(raw) or CONTROL.search(raw.decode().replace("\n", "")):
        raise PolicyError("its text has characters that cannot be shown", sign)
    tag = ssh.tag(raw, name)
    found = push.objects.find(tag.target)
    if found is None or found[1] != "commit":
        raise PolicyError(f"it names a {found[1] if found else 'lost object'}, not a commit", sign)
    late = tag.when - push.now
    if abs(late) > CLOCK_SECONDS:
        ahead = "ahead of" if late > 0 else "behind"
        raise PolicyError(f"it is dated more than 5 minutes {ahead} the clock of this server", "date, then tag again")
    return tag
