"""What a person's word takes, as the remote has it now: found for a verdict that does not promote, or by its tag.

Who may write to a forge can rewrite what the judge has recorded there. So all that the signed tag binds is asked of it,
and of the ledger whether it has told that outcome at that look.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import POLICY, PushforwardError
from pushforward.gate.verdict import Verdict, changes_judge, lands
from pushforward.git import kept
from pushforward.git.refs import RUNS, TAGS, VERDICTS
from pushforward.git.repository import Repository
from pushforward.judge import passed, records
from pushforward.pipeline.lock import METRICS
from pushforward.pipeline.revision import Revision
from pushforward.registry import reviews, trust
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTABLE, ACCEPTED, REJECTED, REVIEW_TAG
from pushforward.registry.reviews import Word
from pushforward.registry.tags import Level, Registry
from pushforward.release import word
from pushforward.release.promote import Passed, authority_of


@dataclass(frozen=True)
class Taken:
    """A word that counts, and what it promotes: as it was judged, at the commit that its run has left; else None."""

    word: Word
    passed: Passed | None = None
    target: str = ""


def word_on(root: Path, verdict: Verdict, model: str = "") -> Word | None:
    """The person's word that takes what a verdict does not promote, as the remote has it now; None for none."""
    repository = Repository(root)
    if not any("@review#" in ref.name for ref in repository.refs(TAGS)):
        return None
    known = _believed(root, repository, verdict.commit, model)
    with trust.signers_file(root, authority_of(repository)) as signers:
        return word.on(repository, known, verdict, signers)


def reviewed(root: Path, tag: str, head: str = "") -> Taken:
    """The word in the tag of a review, and what it promotes, all from the remote.

    A word on a pull request promotes nothing: its merge does. Raises `PushforwardError` where the tag does not count,
    or is not of the commit `head`, where one is given, or is on another verdict than the judge has recorded, or another
    version is in use by now.
    """
    repository, found = Repository(root), REVIEW_TAG.fullmatch(tag)
    if found is None:
        raise PushforwardError(f"{tag[:80]} is no review", next="git tag --list '*@review#*'")
    known = _believed(root, repository, "HEAD", found["model"])
    words = reviews.read(repository, known)
    named = next((one for one in words if one.name == tag), None)
    if named is None:
        why = next((one for one in known.problems if one.startswith(tag)), f"{tag} is not there, or says no word")
        raise PushforwardError(why, next="pushforward trust, to see who may accept", exit_code=POLICY)
    if head and head != named.subject.commit:
        raise PushforwardError(
            f"{tag} is a word on {named.subject.commit[:9]}, and says nothing of {head[:40]}",
            next=f"pushforward accept {head[:9]} -m WHY, where that is what somebody wants",
            exit_code=POLICY,
        )
    said = reviews.last(words, named.subject.commit) or named
    if said.word != ACCEPTED:
        return Taken(said)
    with trust.signers_file(root, authority_of(repository)) as signers:
        if not word.holds(repository, said, signers, now=time.time()):
            why = f"the key of {said.by} may not accept any more, and {said.name} takes nothing"
            raise PushforwardError(why, next="pushforward trust, to see who may accept", exit_code=POLICY)
    return _taken(root, repository, known, said)


def answer(root: Path, said: Word) -> tuple[str, str] | None:
    """The outcome and the reason that a word leaves for the status of its commit; None where that stays as it is.

    The one status is of all models that were judged: green where each of them may land, or was accepted, and red where
    one was rejected. One of which there is no verdict leaves it as the judge has set it.
    """
    repository, own = Repository(root), said.name.partition("@")[0]
    commit, event = said.subject.commit, said.subject.event
    _fetch(repository, commit)
    rules = Revision(repository, repository.commit("HEAD"), own).settings
    models = list(rules.project.models) if rules.several else [own]
    accepted, waiting, unjudged = list[Word](), list[tuple[str, str]](), False
    for model in models:
        known = _believed(root, repository, "HEAD", model)
        last = reviews.last(reviews.read(repository, known), commit)
        if last is not None and last.word == REJECTED:
            return said_of(last)
        stored = records.judged(repository, commit, event, model)
        if stored is None:
            unjudged = True
            continue
        verdict = Verdict.from_json(stored[1])
        if last is not None and _lets_in(root, repository, known, last, verdict):
            accepted.append(last)
        elif not lands(verdict):
            waiting.append((verdict.verdict, f"{model}: {verdict.reason}" if rules.several else verdict.reason))
    if waiting:
        return min(waiting, key=lambda one: one[0] in ACCEPTABLE)  # what no word can alter says most
    return said_of(accepted[-1]) if accepted and not unjudged else None


def said_of(said: Word) -> tuple[str, str]:
    """A word as an outcome and its reason."""
    return said.word, said.told.removeprefix(f"{said.word} ")


def _lets_in(root: Path, repository: Repository, known: Registry, said: Word, verdict: Verdict) -> bool:
    """Whether a word of acceptance is on this very verdict, by a key that may, and on what a merge would take today."""
    if said.word != ACCEPTED or verdict.verdict not in ACCEPTABLE or word.subject(verdict) != said.subject:
        return False
    if verdict.event == "pull_request":  # what is on the default branch may have become a version by the word
        champion = known.champion.name if known.champion else ""
        if changes_judge(verdict) or said.subject.champion != champion:
            return False
    with trust.signers_file(root, authority_of(repository)) as signers:
        return word.holds(repository, said, signers, now=time.time())


def _believed(root: Path, repository: Repository, commit: str, model: str) -> Registry:
    """What counts of the registry that the remote has; `commit` has the settings."""
    rules, remote = Revision(repository, repository.commit(commit), model).settings, authority_of(repository)
    with trust.signers_file(root, remote) as signers:
        environments = rules.promote.environments
        return tagging.look_believed(repository, remote, rules.model.name, environments, signers).known


def _fetch(repository: Repository, commit: str) -> None:
    """Fetch what the judge has recorded of a commit, and what its run has left."""
    specs = [f"+{place}{commit}*:{place}{commit}*" for place in (VERDICTS, RUNS)]
    repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", authority_of(repository), *specs)


def _taken(root: Path, repository: Repository, known: Registry, said: Word) -> Taken:
    """What a word of acceptance takes; refused where it is on something else than the judge has recorded."""
    commit, event = said.subject.commit, said.subject.event
    _fetch(repository, commit)
    stored = records.judged(repository, commit, event, known.model)
    verdict = Verdict.from_json(stored[1]) if stored else None
    if stored is None or verdict is None or word.subject(verdict) != said.subject:
        raise PushforwardError(
            f"{said.name} is on another verdict than the judge has recorded of {commit[:9]}",
            next=f"pushforward report {commit[:9]}, then pushforward accept {commit[:9]} -m WHY",
            exit_code=POLICY,
        )
    word.check_judge(verdict)
    model = "" if stored[0] == records.place(event, "") else known.model
    passed.check_look(root, verdict, model)
    if not said.promotes:
        word.check_champion(known, said)
        return Taken(said)
    ref, target = f"{VERDICTS}{commit}", repository.resolve(f"{RUNS}{commit}")
    beside = repository.read(ref, f"{records.BESIDE}{stored[0]}")
    golden = repository.read(ref, f"{records.GOLDEN}{stored[0]}")
    if target is None or beside is None or golden is None:
        raise PushforwardError(
            f"the remote does not have all that the run of {commit[:9]} has left",
            next=f"pushforward runs retry {commit[:9]}",
        )
    _check_target(repository, verdict, target)
    level: Level = json.loads(beside)["level"]
    return Taken(said, Passed(verdict, level, golden, model), target)


def _check_target(repository: Repository, verdict: Verdict, target: str) -> None:
    """Refuse a commit that no run of the judged one leaves: neither it nor its child with other locks and metrics."""
    commit = verdict.commit
    parents = repository.git("rev-list", "--parents", "--max-count=1", target).text.split()[1:]
    files = repository.changed(commit, target) if parents == [commit] else []
    inside = all(kept.is_lock(path) or path.startswith(f"{METRICS}/") or kept.sound(path) for path in files)
    is_left = target == commit or (parents == [commit] and inside)
    if not is_left or Revision(repository, target).locks_digest != verdict.digests.lock:
        raise PushforwardError(
            f"what the run of {commit[:9]} has left is not the model that was judged there: {target[:9]} is something "
            "else",
            next=f"pushforward report {commit[:9]}, and push it again",
            exit_code=POLICY,
        )
