"""A person's word on a verdict that does not promote: a tag that they sign takes the model all the same, or refuses it.

The tag binds the verdict by its bytes, the model, the version that it was held against and the holdout. The remote's
policy checks all of it once more; what a forge takes is checked by whoever goes by it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import POLICY, PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.repository import Repository
from pushforward.judge import records
from pushforward.registry import authority, reviews, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTABLE, ACCEPTED, MAY_ACCEPT, REJECTED, UNMADE, UNTRAINED, WHY_NOT
from pushforward.registry.reviews import Subject, Word
from pushforward.registry.tags import Registry
from pushforward.registry.transaction import Batch, Seen, Tag
from pushforward.release import signing, word
from pushforward.report import notes

VERBS = {ACCEPTED: "accept", REJECTED: "reject"}


@dataclass(frozen=True)
class Said:
    """What was signed: the tag, the word, what it is on, why, who, and what comes next."""

    tag: str
    word: str
    commit: str
    event: str
    verdict: str
    model: str
    champion: str
    reason: str
    by: str
    remote: str
    next: str


def accept(root: Path, commit: str, reason: str, *, model: str = "", say: Callable[[str], None] | None = None) -> Said:
    """Take the model of a commit whose verdict is `unknown` or `calibration-only`, by a tag that the person signs.

    Raises `PushforwardError` where the verdict may not be accepted, another version is in use by now than it was held
    against, or the key may not. With `say` it waits for what the tag starts on a server, and tells of it.
    """
    return _say(root, ACCEPTED, commit, reason, model, say)


def reject(root: Path, commit: str, reason: str, *, model: str = "", say: Callable[[str], None] | None = None) -> Said:
    """Say that what was judged at a commit shall not be taken; it takes back a word of acceptance, before a version.

    With `say` it waits until the report on the server says so.
    """
    return _say(root, REJECTED, commit, reason, model, say)


def _say(root: Path, what: str, commit: str, reason: str, model: str, say: Callable[[str], None] | None) -> Said:
    repository, why = Repository(root), tagging.one_line(reason)
    remote, rules = signing.remote(repository).name, signing.rules(root, model)
    hand, name = signing.person(repository), rules.model.name
    with authority.of(root) as source:
        judged = _judged(source.repository, commit, repository.resolve(commit), model)
    on = word.subject(judged)
    if what == ACCEPTED and not (on.verdict in ACCEPTABLE and on.model):
        why_not = UNMADE if on.verdict in ACCEPTABLE else WHY_NOT.get(on.verdict, f"it says {on.verdict}")
        raise PushforwardError(
            f"the verdict on {on.commit[:9]} cannot be accepted: {why_not}",
            next=f"pushforward report {on.commit[:9]}",
            exit_code=POLICY,
        )
    if what == ACCEPTED and trust.is_forge(root, remote):  # a server's policy asks it where its main is protected
        word.check_judge(judged)
    if repository.resolve(on.commit) is None:
        repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, on.commit)
    told = reviews.record(what, on, reason=why, by=f"{hand.name} <{hand.email}>")
    message = reviews.message(what, on, hand.email, told)
    made: list[str] = []

    def step(seen: Seen) -> Batch:
        _check(repository, seen.known, on, what)
        made.append(f"{name}@review#{seen.known.next_review(seen.taken)}")
        return Batch((Tag(made[-1], on.commit, message, lambda signer: signer.allows(MAY_ACCEPT)),))

    push = tagging.watching(say) if say else tagging.without_waiting
    with trust.signers_file(root, remote) as signers:
        tagging.transact(
            repository,
            remote,
            name,
            step,
            hand=hand,
            signers=signers,
            environments=rules.promote.environments,
            push=push,
        )
    signed = Word(made[-1], "", what, hand.email, 0, why, on)
    return Said(
        signed.name, what, on.commit, on.event, on.verdict, name, on.champion, why, hand.email, remote, signed.step
    )


def _judged(repository: Repository, named: str, here: str | None, model: str) -> Verdict:
    """The verdict that a word on a commit is on, as the repository that counts has it; main's goes first."""
    commit = repository.resolve(here or named) or repository.resolve(named)
    if commit is None:
        raise PushforwardError(f"nobody has judged {named[:60]!r}: it is not on the server", next="pushforward runs")
    for event in ("push", "pull_request"):
        if found := records.judged(repository, commit, event, model):
            return Verdict.from_json(found[1])
    told = next((one.verdict for one in notes.read(repository, commit)), {})
    outcome, short = str(told.get("verdict", "")), commit[:9]
    if str(told.get("reason", "")).startswith(UNTRAINED):
        raise PushforwardError(
            f"{short} was not trained, and there is no model to say a word on",
            next=f"pushforward runs retry {short} first; accept what it comes to",
            exit_code=POLICY,
        )
    if outcome in WHY_NOT:
        raise PushforwardError(
            f"no word can be said on the verdict of {commit[:9]}: {WHY_NOT[outcome]}",
            next=f"pushforward report {commit[:9]}",
            exit_code=POLICY,
        )
    raise PushforwardError(f"there is no verdict on {commit[:9]}", next=f"pushforward report {commit[:9]}")


def _check(repository: Repository, known: Registry, on: Subject, what: str) -> None:
    """Refuse what the policy would refuse, and what a forge would not: one word twice, too late, or of another day."""
    words = reviews.read(repository, known)
    last = reviews.last(words, on.commit)
    if last is not None and (last.word, last.subject.event, last.subject.sha256) == (what, on.event, on.sha256):
        raise PushforwardError(
            f"{on.commit[:9]} is {last.told} ({last.name}) already", next=f"git show '{last.name}'", exit_code=POLICY
        )
    if made := _version_of(repository, known, on.commit, words):
        back = f"pushforward rollback ENVIRONMENT -m WHY where it is in use, then pushforward deprecate {made} -m WHY"
        raise PushforwardError(f"{on.commit[:9]} is {made} already", next=back, exit_code=POLICY)
    champion = known.champion.name if known.champion else ""
    if what == ACCEPTED and on.champion != champion:
        raise PushforwardError(
            f"{on.commit[:9]} was judged against {on.champion or 'no version'}, and {champion or 'none'} is in use "
            "now: what was judged is the question no more",
            next="push it again: what is judged against the version in use can be accepted",
            exit_code=POLICY,
        )


def _version_of(repository: Repository, known: Registry, commit: str, words: list[Word]) -> str:
    """The version that a commit has become, or that rests on a word on it; "" for none."""
    tags = {one.tag for one in words if one.subject.commit == commit}
    found = repository.objects([version.tag for version in known.versions])
    for version, raw in zip(known.versions, found, strict=True):
        told = registry.record(raw[1].decode("utf-8", "replace")) if raw else {}
        if told.get("commit") == commit or told.get("review") in tags:
            return version.name
    return ""
