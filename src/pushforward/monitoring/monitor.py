"""Monitoring of an environment from end to end: a look, a retrain proposed where one is due, the record in git.

`commands.monitor` calls it.
"""

import dataclasses
import os
from collections.abc import Mapping

from pushforward.errors import PushforwardError
from pushforward.forge import proposal as proposals
from pushforward.git.repository import Repository
from pushforward.monitoring import kept, retrain, words
from pushforward.monitoring.look import Asked, look
from pushforward.monitoring.record import Record
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority

RUNS = ("PUSHFORWARD_RUN", "GITHUB_RUN_ID")  # what says whose run this is: on a server, on a forge


def monitor(asked: Asked, *, dry_run: bool) -> Record | None:
    """Look, do what follows, keep the record; None where the environment is empty.

    With `dry_run` nothing is proposed and nothing kept: the record says what would have been.
    """
    found = look(asked)
    return None if found is None else act(asked, found, dry_run=dry_run)


def act(asked: Asked, found: Record, *, dry_run: bool) -> Record:
    """Do what follows from a look and keep its record; nothing of the project's code is run."""
    book = kept.book(asked.root, asked.model)
    before = book.last(asked.environment)
    told = dataclasses.replace(found, before=before.decision if before is not None else "", run=of_run(os.environ))
    same = before is not None and before.version == found.version
    own = before if same else book.last_at(asked.environment, found.version)
    if own is not None:  # whatever the word is now, and whatever was in use since: it is proposed once
        days = [day for day in (own.first, found.first) if day is not None]
        told = dataclasses.replace(told, proposed=own.proposed, first=min(days, default=None))
    if told.decision == "retrain":
        told = _retrained(asked, told, dry_run=dry_run)
    if not dry_run:
        book.put(told, words.markdown)
    return told


def of_run(told: Mapping[str, str]) -> str:
    """Whose run this is, by the environment; "" where a person has typed it."""
    return next((told[name] for name in RUNS if told.get(name)), "")


def _retrained(asked: Asked, found: Record, *, dry_run: bool) -> Record:
    """The record with what came of the retrain; where it cannot be proposed, with why."""
    if found.proposed:
        return dataclasses.replace(found, step=f"{found.proposed} was proposed for {found.version} before")
    try:
        return _proposed(asked, found, dry_run=dry_run)
    except PushforwardError as failed:
        then = f"; {failed.next}" if failed.next else ""
        step = f"the retrain could not be proposed: {failed.message.splitlines()[0]}{then}"
    asked.say(step)
    return dataclasses.replace(found, step=step)


def _proposed(asked: Asked, found: Record, *, dry_run: bool) -> Record:
    """The record with the retrain proposed, or words on why none is and what else to do."""
    with authority.of(asked.root) as source:
        main = Revision(source.repository, source.repository.commit("HEAD"), asked.model)
        arrives = main.settings.project.arrive is not None
        step = retrain.step(found, main, arrives=arrives, report=words.markdown(found))
    if step.proposal is None:
        return dataclasses.replace(found, step=step.words)
    if dry_run:
        return dataclasses.replace(found, step=f"would propose: {step.words}")
    made = proposals.propose(Repository(asked.root).path, step.proposal, say=asked.say)
    return dataclasses.replace(found, proposed=made.branch, step=made.words)
