"""Before any training: whether the run of a push will ask a holdout that answers no more. Server and `gate` ask.

The ledger's own state is asked, by the name that the judge will ask it by, with the settings of the commit that judges.
Nothing is trained and no look is taken. Where it cannot be known before the run, nothing is said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward import params, schema
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Champion, Verdict
from pushforward.git.repository import Repository
from pushforward.judge import ledger, looks, names, records
from pushforward.judge.change import arrived, earlier_than, mode_of
from pushforward.judge.question import Question
from pushforward.pipeline.revision import Revision
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging

FILE = "ahead.txt"  # where `gate` leaves the first line for whoever posts it
POINTER = ".dvc"
BRINGS_KEYS, HAS_PASSED = "brings enough unseen keys", "is what has passed on it already"


@dataclass(frozen=True)
class Closed:
    """A holdout that a run will ask in vain: of which `model`, "" where there is one; `why`, and `until` when.

    `unless` says what the change may be that gets an answer for all that; "" where nothing can. `shows` says whether a
    validation month tells of the change.
    """

    model: str
    why: str
    until: str
    champion: Champion
    months: tuple[str, ...]
    unless: str
    shows: bool

    def lines(self, *, trains: bool = True) -> list[str]:
        """What a pusher is told before the work: the first line says it, the others why."""
        shown = "trained and shown on validation only" if self.shows else "trained, and nothing is shown of its gain"
        does = shown if trains else f"not trained ({schema.FILE}: server.when_closed)"
        which = "this holdout" if not self.model else f"the holdout of {self.model}"
        unless = f", unless it {self.unless}" if self.unless else ""
        return [f"{which} answers no more until {self.until}; your change is {does}{unless}", self.why]


@dataclass(frozen=True)
class Ahead:
    """What is known of the answer to a push: the holdouts that answer no more, and whether every one asked is one."""

    closed: tuple[Closed, ...] = ()
    every: bool = False

    def __bool__(self) -> bool:
        return bool(self.closed)

    @property
    def in_vain(self) -> bool:
        """Whether no model of the change can get a verdict on new predictions, for certain."""
        return self.every and not any(one.unless for one in self.closed)


def ahead(root: Path, question: Question, judge: str) -> Ahead:
    """Whether what is pushed will ask holdouts in vain, judged by the commit `judge`, with what counts for `root`."""
    repository = Repository(root)
    try:
        models = _models(repository, question, judge)
        found = [_closed(root, repository, question, judge, model) for model in models]
    except PushforwardError:
        return Ahead()  # what cannot be read is the verdict, and it says so
    return Ahead(tuple(one for one in found if one), every=bool(found) and all(found))


def _models(repository: Repository, question: Question, judge: str) -> list[str]:
    known = Revision(repository, judge).settings
    if not known.several:
        return [""]
    there = Revision(repository, question.subject).settings.project.models
    return [name for name in known.project.models if name in there] or list(known.project.models)


def _closed(root: Path, repository: Repository, question: Question, judge: str, model: str) -> Closed | None:
    """The holdout that is asked for a model, where it answers no more; None where it answers, or nothing is asked."""
    judging, subject = (Revision(repository, commit, model) for commit in (judge, question.subject))
    rules = judging.settings
    if rules.measures:
        return None
    known = registry.fold(rules.model.name, repository.refs(*registry.PLACES))
    known = tagging.counting(root, known, rules.promote.environments)
    champion = earlier_than(repository, known, question).champion
    if champion is None or _predicts_the_same(subject, champion, trusted=question.event == "push"):
        return None  # neither asks for a look
    book = ledger.of(root, model)
    months = _asked(judging, subject, champion, model)
    epochs = not (rules.batched or rules.self_scored)
    state = book.state(names.ledger(months)) if months else book.epoch() if epochs else None
    if state is None or not state.closed:
        return None
    keys = epochs and _brings_keys(judging, subject)
    unless = BRINGS_KEYS if keys else HAS_PASSED if _may_repeat(state, champion, repository) else ""
    told = Champion(champion.name, champion.commit)
    shows = rules.validation is not None
    return Closed(model, looks.refusal(state), until(state.holdout, months), told, months, unless, shows)


def _asked(judging: Revision, subject: Revision, champion: registry.Registered, model: str) -> tuple[str, ...]:
    """The batches that the judge will ask; none where there are none, or where only the run tells which."""
    rules = judging.settings
    if not rules.self_scored:
        return tuple(arrived(judging, subject)[-rules.gate.window :])
    return _test_set(subject, champion, model)


def _test_set(subject: Revision, champion: registry.Registered, model: str) -> tuple[str, ...]:
    """The test set on which the champion was judged, where the change names no other one."""
    before = Revision(subject.repository, champion.commit, model)
    (tag,) = subject.repository.objects([champion.tag])
    commit = registry.record(tag[1].decode("utf-8", "replace")).get("commit") if tag else None
    text = records.read(subject.repository, str(commit), model) if commit else None
    told, now = before.settings.predictions, subject.settings.predictions
    if text is None or told is None or now is None or told.test_set != now.test_set:
        return ()
    holdout = Verdict.from_json(text.decode()).holdout
    return holdout.months if holdout else ()


def _predicts_the_same(subject: Revision, champion: registry.Registered, *, trusted: bool) -> bool:
    """Whether nothing that a model is made of, or scored with, differs from the champion's commit."""
    if mode_of(subject, champion, (), trusted=trusted) != "refresh":
        return False
    before = Revision(subject.repository, champion.commit, subject.model)
    return before.leaves.get(before.arrivals) == subject.leaves.get(subject.arrivals)


def _may_repeat(state: looks.State, champion: registry.Registered, repository: Repository) -> bool:
    """Whether something has passed and is not promoted yet: merged, it gets its answer again."""
    if state.retired == "promoted" and state.by == champion.name:
        return False  # all that has passed was compared with another champion
    done = {number for number, _ in state.promoted} | ({state.refresh.number} if state.refresh else set())
    passed = [look.commit for look in state.looks if look.verdict == looks.PASS and look.number not in done]
    return any(repository.merge_base(commit, champion.commit) != commit for commit in passed)


def _brings_keys(judging: Revision, subject: Revision) -> bool:
    """Whether a change may bring rows, where no batch tells: then only its run knows how many of them are unseen."""
    changed = subject.repository.changed(judging.commit, subject.commit)
    named = judging.settings.contract.data
    return any(path in named or path.endswith(POINTER) for path in changed)


def until(holdout: str, months: tuple[str, ...]) -> str:
    """What opens the next holdout, as the end of a sentence."""
    if names.number(holdout):
        return "enough unseen keys have come"
    if months and params.monthly(months):
        return f"{params.next_month(months[-1])} arrives"
    word = names.opening(holdout)
    return f"{word} is named" if holdout.startswith(params.TEST_SET) else f"{word} arrives"


def told(found: Ahead, *, trains: bool = True) -> Iterator[str]:
    """The lines for a log, of each holdout that answers no more."""
    for one in found.closed:
        head, *rest = one.lines(trains=trains)
        yield f"! {head}"
        yield from (f"    {line}" for line in rest)
