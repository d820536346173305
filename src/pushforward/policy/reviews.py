"""Reviews: a person's word on a verdict, what it may be said of, and what it lets in. `tags`, `versions` and `branches`
ask.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pushforward.git.refs import TAGS, VERDICTS
from pushforward.policy import record, signature, uses
from pushforward.policy.objects import Commit
from pushforward.policy.push import Push, once, short, typed
from pushforward.policy.record import Tag
from pushforward.policy.refusal import PolicyError, shown
from pushforward.registry import ssh
from pushforward.registry.grammar import (
    ACCEPTABLE,
    ACCEPTED,
    MAY_ACCEPT,
    MAY_MAIN,
    REJECTED,
    REVIEW_TAG,
    WHY_NOT,
)

WORDS = (ACCEPTED, REJECTED)
EVENTS = {"push": "", "pull_request": "pull/"}  # where the record of a commit has the verdict on each
# Parts of a review's record that the verdict has among its digests, or says itself.
DIGESTS = ("model", "environment")
PRODUCTION = "production"


class Review(NamedTuple):
    """A review that is here: its name, the object of its tag, the commit that it is of, and its record."""

    name: str
    tag: str
    commit: str
    said: dict[str, Any]


def check(push: Push, counter: int, tag: Tag) -> None:
    """The next number, of a verdict that this server has, by the champion of today, with a reason; not said already."""
    known = listed(push)
    expected = max((int(one.name.rpartition("#")[2]) for one in known), default=0) + 1
    if counter != expected:
        raise PolicyError(f"the next one is number {expected}", _again(tag))
    if sum(bool(REVIEW_TAG.fullmatch(one.ref.removeprefix(TAGS))) for one in push.updates) > 1:
        raise PolicyError("one push says one word", "git push one of them")
    said, commit = tag.record, tag.target
    event = said.get("event")
    if said.get("word") not in WORDS or said.get("commit") != commit or event not in tuple(EVENTS):
        raise PolicyError("its record says no word on the commit that it names", _again(tag))
    reason = said.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise PolicyError("its record says no reason", _again(tag))
    verdict = _verdict(push, said, commit)
    last = [one for one in known if one.commit == commit]
    same = ("word", "event", "sha256")  # on a verdict that came later it is another word
    if last and all(last[-1].said.get(part) == said[part] for part in same):
        raise PolicyError(f"{last[-1].name} has {said['word']} {commit[:9]} already", f"git show '{last[-1].name}'")
    if made := _version_of(push, commit, {one.tag for one in last}):
        raise PolicyError(
            f"{commit[:9]} is {made} already",
            f"pushforward rollback ENVIRONMENT -m WHY where it is in use, then pushforward deprecate {made} -m WHY",
        )
    if said["word"] == ACCEPTED:
        _acceptable(push, said, verdict, commit)


def _again(tag: Tag) -> str:
    verb = "reject" if tag.record.get("word") == REJECTED else "accept"
    return f"pushforward {verb} {tag.target[:9]} -m WHY"


def _verdict(push: Push, said: dict[str, Any], commit: str) -> dict[str, Any]:
    """The verdict that the word is on, as this server has it; refused where the record says another."""
    import hashlib

    text = push.objects.read(f"{VERDICTS}{commit}:{_place(push, said, commit)}", "blob")
    if text is None:
        raise PolicyError(
            f"this server has no verdict of {commit[:9]} to say a word on", f"pushforward report {commit[:9]}"
        )
    verdict: dict[str, Any] = json.loads(text, object_pairs_hook=once)
    told = said.get("sha256"), said.get("verdict"), said.get("champion"), said.get("holdout")
    if told != (hashlib.sha256(text).hexdigest(), verdict.get("verdict"), _champion_of(verdict), _holdout_of(verdict)):
        raise PolicyError(
            f"its record names another verdict than this server has of {commit[:9]}", "git fetch, then say it again"
        )
    digests = typed(verdict, "digests", dict)
    if any(said.get(part) != digests.get(part) for part in DIGESTS):
        raise PolicyError("its record names another model than was judged", "git fetch, then say it again")
    return verdict


def _place(push: Push, said: dict[str, Any], commit: str) -> str:
    """The path of a verdict in the record of its commit: of one of several models its own."""
    folder = EVENTS[str(said["event"])]
    own = f"{folder}{push.model}.json"
    return own if push.objects.find(f"{VERDICTS}{commit}:{own}") else f"{folder}verdict.json"


def _champion_of(verdict: dict[str, Any]) -> str | None:
    champion = verdict.get("champion")
    return str(champion.get("version")) if isinstance(champion, dict) else None


def _holdout_of(verdict: dict[str, Any]) -> str:
    holdout = verdict.get("holdout")
    return str(holdout.get("sha256", "")) if isinstance(holdout, dict) else ""


def _acceptable(push: Push, said: dict[str, Any], verdict: dict[str, Any], commit: str) -> None:
    """Refuse to accept what the gate has decided, and what is no question any more."""
    word = str(verdict.get("verdict"))
    if word not in ACCEPTABLE:
        why = WHY_NOT.get(word, f"it says {shown(word)}")
        raise PolicyError(f"the verdict of {commit[:9]} cannot be accepted: {why}", f"pushforward report {commit[:9]}")
    if not said.get("model"):
        raise PolicyError("no model was made, and there is nothing to take", f"pushforward report {commit[:9]}")
    _check_champion(push, said)
    if said["event"] == "pull_request" and typed(push.server, "protect", bool, default=False):
        beside = _beside(push, said, commit)
        if beside.get("judge") is not False:
            raise PolicyError(
                f"{commit[:9]} changes the judge, which a protected {short(push.default)} takes by a key for it alone",
                f"with a key for {MAY_MAIN}: {ssh.OVERRIDE}WHY; then accept the commit on {short(push.default)}",
            )


def _check_champion(push: Push, said: dict[str, Any]) -> None:
    champion = _champion(push)
    if said.get("champion") != champion:
        raise PolicyError(
            f"it was judged against {said.get('champion') or 'no version'}, and {champion or 'none'} is in use now",
            "push it again: what is judged against the version in use can be accepted",
        )


def _champion(push: Push) -> str | None:
    """The version to beat as the refs are before this push: what production holds, else the newest, if it holds."""
    used = uses.in_use(push, PRODUCTION)
    there = [push.versions[number] for number in sorted(push.versions, reverse=True)]
    left = [name for name in (used, *there) if name and f"{TAGS}{name}!" not in push.refs]
    return left[0] if left else None


def _beside(push: Push, said: dict[str, Any], commit: str) -> dict[str, Any]:
    """What the judge has noted beside a verdict; empty where it has not."""
    raw = push.objects.read(f"{VERDICTS}{commit}:beside/{_place(push, said, commit)}", "blob")
    found = json.loads(raw) if raw else {}
    return found if isinstance(found, dict) else {}


def listed(push: Push) -> list[Review]:
    """The reviews of the model that are here, in order; foreign ones are none."""
    found = []
    for ref, identity in push.refs.items():
        match = REVIEW_TAG.fullmatch(ref.removeprefix(TAGS)) if ref.startswith(TAGS) else None
        raw = push.objects.read(identity, "tag") if match and match["model"] == push.model else None
        if match is None or raw is None or match[0] in push.foreign:
            continue
        told = ssh.tag(raw, match[0])
        found.append((int(match["counter"]), Review(match[0], identity, told.target, record.read(told.message, ""))))
    return [one for _, one in sorted(found, key=lambda one: one[0])]


def _version_of(push: Push, commit: str, reviews: set[str]) -> str:
    """The version of the model that a commit has become, or that rests on one of these reviews; "" for none."""
    for name in push.versions.values():
        raw = push.objects.read(push.refs[TAGS + name], "tag")
        if raw is None:
            continue
        told = record.read(ssh.tag(raw, name).message, "")
        if told.get("commit") == commit or told.get("review") in reviews:
            return name
    return ""


def ground(push: Push, version: dict[str, Any], verdict: dict[str, Any]) -> None:
    """Refuse a version, by its record, of what the gate did not pass, unless a word that holds is on this model."""
    wanted = version.get("review")
    known = listed(push)
    review = next((one for one in known if one.tag == wanted), None)
    if review is None or verdict.get("verdict") not in ACCEPTABLE:
        raise PolicyError(
            f"the verdict of {str(verdict.get('commit'))[:9]} does not promote it",
            f"pushforward report {str(verdict.get('commit'))[:9]}",
        )
    _stands(push, review, known)
    counter = int(known[-1].name.rpartition("#")[2])
    if version.get("reviews") != counter or isinstance(version.get("reviews"), bool):
        raise PolicyError(f"{known[-1].name} was said meanwhile, and its record does not know it", "pushforward show")
    said = review.said
    digests = typed(verdict, "digests", dict)
    told = said.get("verdict"), said.get("champion"), said.get("holdout"), *(said.get(part) for part in DIGESTS)
    judged = verdict.get("verdict"), _champion_of(verdict), _holdout_of(verdict), *(digests.get(one) for one in DIGESTS)
    if told != judged:
        raise PolicyError(
            f"{review.name} is on another model or another question than this version", "pushforward show"
        )
    _check_champion(push, said)


def _stands(push: Push, review: Review, known: list[Review]) -> None:
    """Refuse a word that was not one of acceptance, was taken back, or whose key may not say it any more."""
    there = [one for one in known[known.index(review) :] if one.commit == review.commit]
    back = next((one for one in there if one.said.get("word") != ACCEPTED), None)
    if back is not None:
        raise PolicyError(f"{back.name} has {back.said.get('word')} {review.commit[:9]}", f"git show '{back.name}'")
    raw = push.objects.read(review.tag, "tag") or b""
    signer = signature.signer(push, ssh.tag(raw, review.name), ssh.FOR_GIT)
    signature.check_allowed(signer, allowed=signer.allows(MAY_ACCEPT))


def rejected(push: Push, commit: Commit) -> str:
    """Why a person's word keeps the content of a commit out of a protected branch; "" where none does."""
    for review, _, _ in _on(push, commit):
        if review.said.get("word") == REJECTED:
            signed = ssh.tag(push.objects.read(review.tag, "tag") or b"", review.name)
            return f"rejected by {shown(signed.email)} ({review.name}): {shown(str(review.said.get('reason')))}"
    return ""


def accepted(push: Push, commit: Commit) -> bool:
    """Whether a person's word lets the content of a commit into a protected branch; refused where it no longer holds.

    A word on a verdict that is another by now lets nothing in. Content is that of a merge that was tried and judged;
    each of several models has passed, or was accepted.
    """
    let_in: dict[str, set[str]] = {}
    for review, beside, known in _on(push, commit):
        if review.said.get("word") == ACCEPTED and beside.get("judge") is False and _is_on_this(push, review):
            _stands(push, review, known)
            _check_champion(push, review.said)
            let_in.setdefault(review.commit, set()).add(_place(push, review.said, review.commit))
    return any(_all_land(push, head, accepted) for head, accepted in let_in.items())


def _is_on_this(push: Push, review: Review) -> bool:
    """Whether a word is on the verdict that this server has by now, and that one may be accepted."""
    try:
        verdict = _verdict(push, review.said, review.commit)
    except PolicyError:
        return False
    return verdict.get("verdict") in ACCEPTABLE


def _on(push: Push, commit: Commit) -> Iterator[tuple[Review, dict[str, Any], list[Review]]]:
    """The last word on each pull request whose tried merge holds what a commit does: it, what is noted, all reviews.

    While one is given, the push is about its model.
    """
    before = push.about
    try:
        for model in push.names:
            push.about = model
            known = listed(push)
            last = {one.commit: one for one in known if one.said.get("event") == "pull_request"}
            for review in last.values():
                beside = _beside(push, review.said, review.commit)
                if beside.get("tree") == commit.tree:
                    yield review, beside, known
    finally:
        push.about = before


def _all_land(push: Push, commit: str, accepted: set[str]) -> bool:
    """Whether every verdict on what a pull request has tried lets it in, or was accepted."""
    folder = EVENTS["pull_request"]
    for name in push.objects.tree(f"{VERDICTS}{commit}:{folder.rstrip('/')}"):
        raw = push.objects.read(f"{VERDICTS}{commit}:beside/{folder}{name}", "blob")
        if f"{folder}{name}" not in accepted and not (raw and json.loads(raw).get("lands") is True):
            return False
    return True
