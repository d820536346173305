"""What a person's word takes, as the remote has it now: found for a verdict that does not promote, or by its tag."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import POLICY, PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import RUNS, TAGS, VERDICTS
from pushforward.git.repository import Repository
from pushforward.judge import records
from pushforward.pipeline.revision import Revision
from pushforward.registry import reviews, trust
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTED, REVIEW_TAG
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


def reviewed(root: Path, tag: str) -> Taken:
    """The word in the tag of a review, and what it promotes, all from the remote.

    A word on a pull request promotes nothing: its merge does. Raises `PushforwardError` where the tag does not count,
    or is on another verdict than the judge has recorded, or another version is in use by now.
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
    said = reviews.last(words, named.subject.commit) or named
    if said.word != ACCEPTED:
        return Taken(said)
    with trust.signers_file(root, authority_of(repository)) as signers:
        if not word.holds(repository, said, signers, now=time.time()):
            why = f"the key of {said.by} may not accept any more, and {said.name} takes nothing"
            raise PushforwardError(why, next="pushforward trust, to see who may accept", exit_code=POLICY)
    return _taken(repository, known, said)


def _believed(root: Path, repository: Repository, commit: str, model: str) -> Registry:
    """What counts of the registry that the remote has; `commit` has the settings."""
    rules, remote = Revision(repository, repository.commit(commit), model).settings, authority_of(repository)
    with trust.signers_file(root, remote) as signers:
        environments = rules.promote.environments
        return tagging.look_believed(repository, remote, rules.model.name, environments, signers).known


def _taken(repository: Repository, known: Registry, said: Word) -> Taken:
    """What a word of acceptance takes; refused where it is on something else than the judge has recorded."""
    commit, event = said.subject.commit, said.subject.event
    specs = [f"+{place}{commit}*:{place}{commit}*" for place in (VERDICTS, RUNS)]
    remote = authority_of(repository)
    repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, *specs)
    stored = records.judged(repository, commit, event, known.model)
    verdict = Verdict.from_json(stored[1]) if stored else None
    if stored is None or verdict is None or word.subject(verdict) != said.subject:
        raise PushforwardError(
            f"{said.name} is on another verdict than the judge has recorded of {commit[:9]}",
            next=f"pushforward report {commit[:9]}, then pushforward accept {commit[:9]} -m WHY",
            exit_code=POLICY,
        )
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
    level: Level = json.loads(beside)["level"]
    alone = stored[0] == records.place(event, "")
    return Taken(said, Passed(verdict, level, golden, "" if alone else known.model), target)
