"""A person's word as the ground of a promotion: what it would have to be on, and whether one is there that holds."""

import time
from collections.abc import Sequence
from pathlib import Path

from pushforward.errors import POLICY, PushforwardError
from pushforward.gate.verdict import Verdict, changes_judge
from pushforward.git.repository import Repository
from pushforward.judge import identity
from pushforward.pipeline.revision import sha256
from pushforward.registry import reviews, trust
from pushforward.registry.grammar import ACCEPTABLE, MAY_ACCEPT, REJECTED
from pushforward.registry.reviews import Subject, Word
from pushforward.registry.tags import Registry


def subject(verdict: Verdict) -> Subject:
    """What a word on a verdict is on."""
    return Subject(
        commit=verdict.commit,
        event=verdict.event,
        verdict=verdict.verdict,
        sha256=sha256(verdict.to_json().encode()),
        model=verdict.digests.model,
        environment=verdict.digests.environment,
        champion=verdict.champion.version if verdict.champion else "",
        holdout=verdict.holdout.sha256 if verdict.holdout else "",
    )


def on(repository: Repository, known: Registry, verdict: Verdict, signers: Path) -> Word | None:
    """The word that takes what a verdict on the default branch does not promote, among the tags that count.

    It is on this very commit, or on a pull request whose model, scoring code, environment, champion and holdout are the
    same, with the same outcome. Its key may accept by `signers`, today too: when it was signed says its signer alone.
    """
    if verdict.verdict not in ACCEPTABLE or verdict.event != "push":
        return None
    for found in reviews.covering(reviews.read(repository, known), subject(verdict)):
        commits = found.subject.commit, verdict.commit
        if holds(repository, found, signers, now=time.time()) and _same_code(repository, known.model, *commits):
            return found
    return None


def _same_code(repository: Repository, model: str, one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return identity.scoring(repository, one, model) == identity.scoring(repository, other, model)
    except PushforwardError:
        return False


def holds(repository: Repository, said: Word, signers: Path, *, now: float | None = None) -> bool:
    """Whether a word is signed by a key that may accept by `signers`: that held then, and `now` where it is asked."""
    try:
        return trust.verify_tag(repository, said.tag, said.name, signers, now=now).allows(MAY_ACCEPT)
    except PushforwardError:
        return False


def rejections(repository: Repository, words: Sequence[Word], said: Word, commit: str, signers: Path) -> list[Word]:
    """The words of rejection, signed by who may, after `said` on its commit, or last on `commit`, the version's."""
    later = [one for one in words if one.counter > said.counter and one.subject.commit == said.subject.commit]
    mine = [one for one in words if one.subject.commit == commit and holds(repository, one, signers)]
    found = [one for one in later if one.word == REJECTED and (one in mine or holds(repository, one, signers))]
    return found or [one for one in mine[-1:] if one.word == REJECTED]


def check_judge(verdict: Verdict) -> None:
    """Refuse a word on a pull request that changes the judge: whoever may accept may not alter who judges."""
    if verdict.event == "pull_request" and changes_judge(verdict):
        raise PushforwardError(
            f"{verdict.commit[:9]} changes the judge, which nobody's word takes into the default branch",
            next="have who owns the judge merge it; then accept the commit of the default branch",
            exit_code=POLICY,
        )


def check_champion(known: Registry, said: Word) -> None:
    """Refuse a word on what was judged against another version than is in use by now."""
    before, champion = said.subject.champion, known.champion.name if known.champion else ""
    if champion != before:
        raise PushforwardError(
            f"{said.name} is on what was judged against {before or 'no version'}, and {champion or 'none'} is in use "
            "now",
            next="push it again: what is judged against the version in use can be accepted",
            exit_code=POLICY,
        )


def line(said: Word | None) -> str:
    """A word as a version's tag, card and provenance have it; "" where it rests on none."""
    return f"{said.told} ({said.name})" if said else ""
