"""A person's word as the ground of a promotion: what it would have to be on, and whether one is there that holds."""

from pushforward.errors import POLICY, PushforwardError
from pushforward.gate.verdict import Verdict, changes_judge
from pushforward.git.repository import Repository
from pushforward.judge import identity
from pushforward.pipeline.revision import sha256
from pushforward.registry import reviews
from pushforward.registry.grammar import ACCEPTABLE
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


def on(repository: Repository, known: Registry, verdict: Verdict) -> Word | None:
    """The word that takes what a verdict on the default branch does not promote, among the tags that count.

    It is on this very commit, or on a pull request whose model, scoring code, environment, champion and holdout are the
    same, with the same outcome.
    """
    if verdict.verdict not in ACCEPTABLE or verdict.event != "push":
        return None
    found = reviews.covering(reviews.read(repository, known), subject(verdict))
    if found is None or found.subject.commit == verdict.commit:
        return found
    try:
        scored = [identity.scoring(repository, one, known.model) for one in (found.subject.commit, verdict.commit)]
    except PushforwardError:
        return None
    return found if scored[0] == scored[1] else None


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
