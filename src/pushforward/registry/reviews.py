"""Reviews: what people have said of verdicts, as the tags of a registry have it, and what of it still holds. Pure.

A word is on one verdict: on its bytes, the model judged, the version it was held against and the holdout. A rejection
takes back what was accepted before on the same commit. Whether a signature counts, whoever reads the tags has asked.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pushforward.git.repository import Repository
from pushforward.registry import ssh
from pushforward.registry import tags as registry
from pushforward.registry.grammar import ACCEPTABLE, ACCEPTED, REJECTED
from pushforward.registry.tags import Registry
from pushforward.text import plain

LONGEST = 300
EVENTS = ("push", "pull_request")
TEXTS = ("commit", "event", "verdict", "sha256", "model", "environment", "holdout")


@dataclass(frozen=True)
class Subject:
    """What a word is on: the outcome, SHA-256 of the verdict, the model and its environment, champion ("" for none) and
    holdout.
    """

    commit: str
    event: str
    verdict: str
    sha256: str
    model: str
    environment: str
    champion: str
    holdout: str

    @property
    def question(self) -> tuple[str, ...]:
        """What has to be the same where a word on one commit counts for another."""
        return self.verdict, self.model, self.environment, self.champion, self.holdout


@dataclass(frozen=True)
class Word:
    """A person's word: in the tag `name`, whose object is `tag`, by the address `by`, signed at `when` (seconds)."""

    name: str
    tag: str
    word: str
    by: str
    when: int
    reason: str
    subject: Subject

    @property
    def counter(self) -> int:
        """Its number among the words on the model."""
        return int(self.name.rpartition("#")[2])

    @property
    def promotes(self) -> bool:
        """Whether it takes what is on the default branch already; what is on a branch its merge promotes."""
        return self.word == ACCEPTED and self.subject.event == "push"

    @property
    def step(self) -> str:
        """What comes next."""
        if self.word == REJECTED:
            return "a protected default branch does not take it; change it, and push again"
        if self.promotes:
            return "nothing to do: a version is made of the model that was judged"
        return "merge it: the default branch takes it, and makes a version of the very same model"

    @property
    def told(self) -> str:
        """It in one sentence without a full stop, as tags, cards and reports have it."""
        return f"{self.word} by {self.by} against `{self.subject.verdict}`: {self.reason}"


def record(word: str, subject: Subject, *, reason: str, by: str) -> dict[str, Any]:
    """What the tag of a review says to machines."""
    told = {name: getattr(subject, name) for name in TEXTS}
    return {"schema": 2, "word": word, **told, "champion": subject.champion or None, "reason": reason, "by": by}


def message(word: str, subject: Subject, by: str, told: dict[str, Any]) -> str:
    """The message of a review's tag: its sentence, then the record."""
    line = f"{word} by {by} against `{subject.verdict}` ({subject.commit[:9]}): {told['reason']}"
    return f"{line}\n\n{json.dumps(told, sort_keys=True, separators=(',', ':'))}\n"


def read(repository: Repository, known: Registry) -> list[Word]:
    """The words of a registry in their order; what is none of ours is left out."""
    if not known.reviews:
        return []
    found = repository.objects([review.tag for review in known.reviews])
    words = (parse(one.name, one.tag, raw[1]) for one, raw in zip(known.reviews, found, strict=True) if raw)
    return [word for word in words if word]


def parse(name: str, identity: str, raw: bytes) -> Word | None:
    """The word in a tag object; None where it has another form, or speaks of another commit than the tag names."""
    content = raw.decode("utf-8", "replace")
    told, tagger = registry.record(content), ssh.TAGGER.search(content)
    champion = told.get("champion")
    typed = all(isinstance(told.get(part), str) for part in ("word", "reason", *TEXTS))
    if tagger is None or not typed or not (champion is None or isinstance(champion, str)):
        return None
    known = told["word"] in {ACCEPTED, REJECTED} and told["event"] in EVENTS
    if not known or not content.startswith(f"object {told['commit']}\n"):
        return None
    subject = Subject(**{part: told[part] for part in TEXTS}, champion=champion or "")
    why = plain(told["reason"], LONGEST)
    return Word(name, identity, told["word"], plain(tagger["email"]), int(tagger["when"]), why, subject)


def last(words: Sequence[Word], commit: str) -> Word | None:
    """The word that counts on a commit."""
    return next((word for word in reversed(words) if word.subject.commit == commit), None)


def covering(words: Sequence[Word], subject: Subject) -> list[Word]:
    """The words of acceptance on the very same question that nobody took back: on this commit first, then the newest.

    None where the last word on this commit is a rejection.
    """
    own = last(words, subject.commit)
    if subject.verdict not in ACCEPTABLE or (own is not None and own.word == REJECTED):
        return []
    rejected = {word.subject.commit: place for place, word in enumerate(words) if word.word == REJECTED}
    fit = [
        word
        for place, word in reversed(list(enumerate(words)))
        if word.word == ACCEPTED
        and word.subject.question == subject.question
        and place > rejected.get(word.subject.commit, -1)
    ]
    return sorted(fit, key=lambda word: word.subject.commit != subject.commit)
