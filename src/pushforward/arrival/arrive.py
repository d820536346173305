"""Arrival: what a source has and the default branch has not, looked at, proposed, merged, or told. `arrive` calls.

Two halves, which a forge runs as two jobs: `look` runs the project's code and writes nothing; `act` runs none of it,
takes what was found as hostile data, and may push. Both ask again what the default branch has.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pushforward import files, untrusted
from pushforward.arrival import difference, merging, periods, source, told, trial
from pushforward.arrival.difference import Difference
from pushforward.arrival.source import Listed
from pushforward.arrival.taken import Taken
from pushforward.errors import DATA, PushforwardError
from pushforward.forge.proposal import Place, Proposal, held, place_of, propose, remote_of, tree_with
from pushforward.git.repository import Repository
from pushforward.pipeline.checkout import checkout
from pushforward.pipeline.storage import storage
from pushforward.text import code, plain

Say = Callable[[str], None]
NEW, CORRECTED = "arrive", "correct"  # the folders of their branches
FOUND, DONE = "arrival.json", "arrived.json"  # what a look leaves, and what was done of it
LONGEST = 8 << 20  # bytes of what a look has left
LOOK = "pushforward arrive --look"
LONGEST_KEY = 200  # characters by which an alarm is known again


@dataclass(frozen=True)
class Candidate:
    """A batch that is to be proposed: as a new one, or as the correction of one that is there."""

    kind: str
    listed: Listed

    @property
    def branch(self) -> str:
        """The branch that it is proposed on; a name that no branch can have is told apart by its digest."""
        name = self.listed.batch
        plainly = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60]
        if plainly != name:
            plainly = f"{plainly or 'batch'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        if self.kind == CORRECTED:
            plainly += f"-{hashlib.sha256(self.listed.digest.encode()).hexdigest()[:8]}"
        return f"{self.kind}/{plainly}"


@dataclass(frozen=True)
class Looked:
    """What a look has found beside `commit`: the listing, and what trials came to, by branch."""

    commit: str
    listed: tuple[Listed, ...]
    tried: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # outcome, words
    failed: str = ""  # why the source could not be asked

    def document(self) -> str:
        """As JSON, for the other half."""
        tried = {branch: {"outcome": outcome, "words": words} for branch, (outcome, words) in self.tried.items()}
        tree = {"commit": self.commit, "listed": source.written(self.listed), "tried": tried, "failed": self.failed}
        return json.dumps(tree, indent=1) + "\n"

    @classmethod
    def read(cls, content: bytes) -> "Looked":
        """What another job has left, which ran the project's code: refused where it is not of that form."""
        refusal = PushforwardError(
            f"{FOUND} is not what `{LOOK}` writes",
            next=f"{LOOK} FOLDER",
            exit_code=DATA,
        )
        try:
            tree = untrusted.plain_json(content, FOUND)
        except PushforwardError:
            raise refusal from None
        try:
            listed = source.read(json.dumps(tree["listed"]).encode())
            tried = {
                str(branch)[:200]: (str(one["outcome"]), str(one["words"])[: trial.LONGEST])
                for branch, one in tree["tried"].items()
            }
            return cls(str(tree["commit"])[:64], tuple(listed), tried, str(tree["failed"])[: trial.LONGEST])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise refusal from None


@dataclass(frozen=True)
class Alarm:
    """What is not as it should be, of a batch or of several, whose first one `batch` is; `new` has not been told.

    `source` could not be asked, or is `empty`; a batch was `refused`, could not be tried, proposed or merged
    (`failed`), is `late`, `gone`, or not the next one (`gap`); or it was `corrected`, and nothing fetches it anew.
    `of` is what it is another alarm without: a digest, the other batches.
    """

    kind: str
    batch: str
    words: str
    of: str = ""
    since: str = ""
    new: bool = False

    @property
    def key(self) -> str:
        """What makes it the same alarm the next time; where that is long, its digest."""
        whole = " ".join(part for part in (self.kind, self.batch, self.of) if part)
        return whole if len(whole) <= LONGEST_KEY else f"{self.kind} {hashlib.sha256(whole.encode()).hexdigest()}"


@dataclass(frozen=True)
class Done:
    """What one call came to: a proposal for each candidate, alarms, all of it in words; `whole` where it ended well."""

    batches: tuple[str, ...]
    proposals: tuple[dict[str, str], ...]
    alarms: tuple[Alarm, ...]
    words: tuple[str, ...]
    whole: bool = True


def look(root: Path, *, say: Say) -> Looked:
    """Ask the source, and try what would be proposed and is not yet; in a scratch checkout of the default branch."""
    repository = Repository(root)
    place = place_of(repository, remote_of(repository))
    taken = Taken.of(repository, place.base)
    with trial.scratch() as folder:
        scratch = checkout(repository, place.base, Path(folder) / "checkout")
        trial.apart(scratch, storage(root), Path(folder))
        say(f"what the source of batches has ({taken.arrive.source})")
        try:
            listed = tuple(source.ask(scratch, taken.arrive.source))
        except PushforwardError as failed:
            return Looked(place.base, (), failed=_why(failed))
        tried = dict[str, tuple[str, str]]()
        for one in _candidates(taken, _found(listed, taken)):
            try:
                changed = _changed(taken, one)
                there = place_of(repository, place.remote, one.branch)
                if _proposes(there, one, changed):
                    continue  # it was tried when it was proposed
            except PushforwardError:
                continue  # who acts meets the same, and tells of it
            say(f"{one.listed.batch} is tried")
            try:
                result = trial.attempt(scratch, changed, one.listed.batch, taken.arrive, say=say)
                tried[one.branch] = result.outcome, result.words
            except PushforwardError as failed:
                tried[one.branch] = "failed", _why(failed)
            Repository(scratch).git("checkout", "-q", "-f", place.base)
    return Looked(place.base, listed, tried)


def act(root: Path, looked: Looked, now: datetime, *, dry: bool, say: Say, keep: Callable[[Done], None]) -> Done:
    """Propose what was found good, merge what may be, tell what is wrong; nothing of the project's code is run.

    `keep` gets what it came to, also where it ends in an error: what was wrong before that is wrong all the same.
    """
    repository = Repository(root)
    base = place_of(repository, remote_of(repository)).base
    taken = Taken.of(repository, base)
    found = _found(looked.listed, taken)
    tried = looked.tried if looked.commit == base else {}  # beside another state it may come to another end
    proposals, words, alarms = list[dict[str, str]](), list[str](), [*_alarms(taken, found, looked, now)]
    whole = False
    try:
        for one in _candidates(taken, found):
            came = _asked(root, one, taken, tried.get(one.branch, ("", "")), dry=dry, say=say)
            if isinstance(came, Alarm):
                alarms.append(came)
                continue
            proposals.append({"batch": one.listed.batch, "kind": one.kind, "branch": one.branch, "state": came[0]})
            words.append(came[1])
        words += _rest(taken, found, looked)
        whole = True
    finally:
        known = told.since(root, {one.key: one.words for one in alarms}, now, say=say, dry=dry, whole=whole)
        dated = tuple(replace(one, since=known[one.key][0], new=known[one.key][1]) for one in alarms)
        done = Done(tuple(taken.names), tuple(proposals), dated, tuple(words), whole)
        keep(done)
    return done


def _asked(
    root: Path, one: Candidate, taken: Taken, tried: tuple[str, str], *, dry: bool, say: Say
) -> Alarm | tuple[str, str]:
    """Have a candidate asked for where its trial has taken it; its state and the words for it, or what is wrong."""
    name, (outcome, said) = one.listed.batch, tried
    if outcome in ("refused", "failed"):
        words = _refused(one, said) if outcome == "refused" else plain(said, trial.LONGEST)
        return Alarm(outcome, name, words, one.listed.digest)
    try:
        repository = Repository(root)
        place = place_of(repository, remote_of(repository), one.branch)
        return _proposed(root, place, one, taken, outcome, dry=dry, say=say)
    except PushforwardError as failed:
        return Alarm("failed", name, f"{name} is not proposed: {_why(failed)}", one.listed.digest)


def _rest(taken: Taken, found: Difference, looked: Looked) -> Iterator[str]:
    """What is to be said beside proposals: that more waits, or that there is nothing new."""
    later = len(found.new) - 1
    if found.new and not found.gap and later:
        yield f"{later} more after {found.new[0].batch}: one at a time"
    if looked.listed and not found.new and not found.corrected:
        yield f"nothing new: the source has {len(looked.listed)}, and the last one here is {taken.names[-1]}"


def _candidates(taken: Taken, found: Difference) -> Iterator[Candidate]:
    """The oldest of the new ones, unless one before it is missing; and the oldest correction that can be made."""
    if found.new and not found.gap:
        yield Candidate(NEW, found.new[0])
    if found.corrected and taken.arrive.corrected:
        yield Candidate(CORRECTED, found.corrected[0])


def _found(listed: Sequence[Listed], taken: Taken) -> Difference:
    return difference.of(listed, taken.names, taken.digests, taken.arrive.expect)


def _why(failed: PushforwardError) -> str:
    """What has failed and what to do, as an alarm has it."""
    return plain(f"{failed.message}; next: {failed.next}" if failed.next else failed.message, trial.LONGEST)


def _changed(taken: Taken, one: Candidate) -> dict[str, bytes]:
    return taken.adding(one.listed) if one.kind == NEW else taken.correcting(one.listed)


def _proposes(place: Place, one: Candidate, changed: Mapping[str, bytes]) -> bool:
    """Whether the branch asks for these files and for nothing else; raises where it asks for another change."""
    return bool(place.there) and held(place, one.branch, tree_with(place, changed))


def _proposed(
    root: Path, place: Place, one: Candidate, taken: Taken, outcome: str, *, dry: bool, say: Say
) -> tuple[str, str]:
    """Have a candidate asked for, or merged; its state and the words for it."""
    changed = _changed(taken, one)
    open_already = _proposes(place, one, changed)
    if not open_already and outcome != "valid":
        return (
            "untried",
            f"{one.listed.batch} has not been tried beside {place.base[:9]}: pushforward arrive, once more",
        )
    if dry:
        state, line = ("there", "is proposed already") if open_already else ("dry", "would be proposed")
        return state, f"{one.listed.batch} {line}, as {one.branch}; nothing was changed"
    asked = Proposal(one.branch, changed, *_words(one))
    if not open_already:
        done = propose(root, asked, say=say)
        return done.state, done.words
    return _open(root, place, asked, taken, say)


def _open(root: Path, place: Place, asked: Proposal, taken: Taken, say: Say) -> tuple[str, str]:
    """What becomes of a proposal that is there: merged by itself where that was asked for, else what it waits for."""
    if taken.arrive.merge == "promote":
        verdict = merging.word(root, place)
        if verdict == merging.WANTED:
            merged, line = merging.merge(root, place, asked.branch, say)
            return ("merged" if merged else "there"), line
        if verdict == merging.STALE:
            done = propose(root, asked, say=say, instead=place.there)
            return "renewed", f"{place.default} has moved on since the verdict on {asked.branch}: {done.words}"
        said = f"its verdict is {verdict}: it is not merged by itself" if verdict else "it has no verdict yet"
        done = propose(root, asked, say=say)
        return done.state, f"{done.words}; {said}"
    done = propose(root, asked, say=say)
    return done.state, f"{done.words}; it waits for whoever merges it"


def _words(one: Candidate) -> tuple[str, str]:
    """Title and body of a proposal; what a source calls a batch is foreign text."""
    name, digest = one.listed.batch, code(one.listed.digest)
    if one.kind == NEW:
        body = f"The source has {code(name)}, with the digest {digest}. Its own stages took it before this was written."
        return f"Take in {plain(name)}", body
    body = (
        f"The source has another {code(name)} than was taken in: its digest is {digest} now. This has it fetched "
        "again. Verdicts and versions of before stay as they are."
    )
    return f"Take in the correction of {plain(name)}", body


def _refused(one: Candidate, said: str) -> str:
    what = "was refused, and nothing is proposed" if one.kind == NEW else "is corrected by what was refused"
    return f"{one.listed.batch} {what}: {plain(said, trial.LONGEST)}"


def _alarms(taken: Taken, found: Difference, looked: Looked, now: datetime) -> Iterator[Alarm]:
    """What is not as it should be, but for trials."""
    if looked.failed:
        yield Alarm("source", "", f"the source could not be asked: {plain(looked.failed, trial.LONGEST)}")
    elif not looked.listed:
        yield Alarm("empty", "", "the source lists nothing at all")
    elif found.gone:
        some = f"the source has no {_some(found.gone)} any more; nothing is taken out here"
        yield Alarm("gone", found.gone[0], some, ",".join(found.gone[1:]))
    if found.gap:
        first = found.new[0].batch
        yield Alarm("gap", found.gap, f"after {taken.names[-1]} comes {found.gap}, and the source has {first} next")
    if found.passed:
        some = f"the source lists what is not taken in, though later ones are: {_some(found.passed)}"
        yield Alarm("gap", found.passed[0], f"{some}; next: edit {taken.file}", ",".join(found.passed[1:]))
    if found.corrected and not taken.arrive.corrected:
        names = [one.batch for one in found.corrected]
        words = f"the source has another {_some(names)} than was taken in, and nothing fetches it: "
        words += "set arrive.corrected, or fetch it anew by hand"
        yield Alarm("corrected", names[0], words, " ".join(f"{one.batch} {one.digest}" for one in found.corrected))
    if taken.arrive.expect is not None:
        yield from _periods(taken, taken.arrive.expect, [one.batch for one in looked.listed], now)


def _periods(taken: Taken, expect: periods.Expect, listed: Sequence[str], now: datetime) -> Iterator[Alarm]:
    """The periods that should have come since the last one taken in; and the names that are none."""
    others = [name for name in dict.fromkeys([*taken.names, *listed]) if not periods.fits(expect, name)]
    if others:
        try:
            periods.check(expect, others[0])
        except PushforwardError as misnamed:
            more = f" (so is {_some(others[1:])})" if others[1:] else ""
            yield Alarm("failed", others[0], f"{misnamed.message}{more}; next: {misnamed.next}", ",".join(others[1:]))
    here = [name for name in taken.names if periods.fits(expect, name)]
    ahead = [name for name in here if periods.ahead(expect, name, now)]
    begun, grace = [name for name in here if name not in ahead], taken.arrive.grace_days
    next_ones = {periods.following(expect, name) for name in here}
    early = [name for name in ahead if not begun or name not in next_ones]
    if early:
        some = f"{_some(early)} is taken in, and has not begun yet: what comes before it is not asked for"
        yield Alarm("failed", early[0], f"{some}; next: edit {taken.file}", ",".join(early[1:]))
    for name in periods.overdue(expect, max(begun), grace, now, {*here, *listed}) if begun else ():
        day = periods.due(expect, name, grace)
        yield Alarm("late", name, f"{name} has not arrived, and should have by {day.isoformat()}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def read(folder: Path) -> Looked:
    """What a look has left in a folder."""
    return Looked.read(files.left(folder, FOUND, LONGEST, by=LOOK))


def news(folder: Path) -> list[str]:
    """The words of the alarms that are news, of what was done in another job; where it came to no end, that too."""
    try:
        tree = untrusted.plain_json(files.left(folder, DONE, LONGEST, by=LOOK), DONE)
        alarms = [str(one["words"]) for one in tree["alarms"] if one["new"]]
        return alarms if tree["whole"] else [*alarms, told.UNTOLD]
    except (PushforwardError, KeyError, TypeError):
        return [told.UNTOLD]


def document(done: Done) -> str:
    """What a call came to, for whoever tells of it."""
    return json.dumps(record(done) | {"whole": done.whole}, indent=1) + "\n"


def record(done: Done) -> dict[str, Any]:
    """What a call came to, for a program."""
    alarms = [
        {"kind": one.kind, "batch": one.batch, "words": one.words, "key": one.key, "since": one.since, "new": one.new}
        for one in done.alarms
    ]
    return {"proposals": list(done.proposals), "alarms": alarms, "said": list(done.words), "last": done.batches[-1]}
