"""Before any training: whether the run of a push will ask a holdout that answers no more. Server and `gate` ask.

The ledger's own state is asked, by the name that the judge will ask it by, with the settings of the commit that judges.
Nothing is trained and no look is taken. Where it cannot be known before the run, nothing is said.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pushforward import params, schema
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Champion, Verdict, told_only
from pushforward.git.repository import Repository
from pushforward.judge import ledger, looks, names, records
from pushforward.judge.change import WINDOW, arrived, earlier_than, mode_of
from pushforward.judge.question import Question
from pushforward.pipeline import declared
from pushforward.pipeline.lock import making, within
from pushforward.pipeline.revision import Revision
from pushforward.registry import reviews
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTED
from pushforward.settings import Settings

FILE = "ahead.txt"  # where `gate` leaves the first line for whoever posts it
POINTER = ".dvc"
BRINGS_KEYS, WAS_ASKED = "brings enough unseen keys", "asks what was asked of it already"
PREDICTS_THE_SAME, WAS_ACCEPTED = "predicts what the champion predicts", "is what a person has accepted"
OR = " or "


@dataclass(frozen=True)
class Closed:
    """A holdout that a run will ask in vain: of which `model`, "" where there is one; `why`, and `until` when.

    `unless` says what the change may be that comes to something for all that, which only its run can tell; "" where it
    can be none of it. `shows` says whether a validation month tells of the change.
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
        """Whether nothing can come of the change for any model, for certain."""
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
    state = book.state(_ledger(book, rules, months)) if months else book.epoch() if epochs else None
    if state is None or not state.closed:
        return None
    unless = OR.join(_unless(judging, subject, champion, state, reviews.read(repository, known), question.event))
    told = Champion(champion.name, champion.commit)
    shows = rules.validation is not None
    return Closed(model, looks.refusal(state), until(state.holdout, months), told, months, unless, shows)


def _asked(judging: Revision, subject: Revision, champion: registry.Registered, model: str) -> tuple[str, ...]:
    """The batches that the judge will ask; none where there are none, or where only the run tells which."""
    rules = judging.settings
    if not rules.self_scored:
        return tuple(arrived(judging, subject)[-_window(judging, subject) :])
    return _test_set(subject, champion, model)


def _window(judging: Revision, subject: Revision) -> int:
    """How many of the newest batches are asked."""
    if not judging.settings.extend:
        return judging.settings.gate.window
    from pushforward.judge import waiting  # it computes, and most holdouts do not grow

    return waiting.window_of(judging, subject)


def _ledger(book: ledger.Ledger, rules: Settings, months: tuple[str, ...]) -> str:
    """The ledger of a window: the one that it began with, where it has grown since."""
    began = book.began(months) if rules.extend else months[-1]
    return names.ledger(months[: months.index(began) + 1])


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


def _unless(
    judging: Revision,
    subject: Revision,
    champion: registry.Registered,
    state: looks.State,
    words: list[reviews.Word],
    event: str,
) -> Iterator[str]:
    """What a change may be of which something comes though its holdout answers no more; only its run can tell."""
    repository = subject.repository
    if names.number(state.holdout):
        yield BRINGS_KEYS  # enough of them may be there already, or come by a parameter or a stage
    sets = _sets(judging, subject, champion)

    def may_be(commit: str) -> bool:
        if not sets or not repository.resolve(commit):
            return True
        other = _recipe(Revision(repository, commit, subject.model), _made_of(subject, champion))
        return all(other.get(name, value) == value for name, value in sets.items())

    if may_be(champion.commit):
        yield PREDICTS_THE_SAME
    if any(map(may_be, _repeated(state, champion, repository))):
        yield WAS_ASKED
    if event == "push" and any(map(may_be, _accepted(words, champion))):
        yield WAS_ACCEPTED  # a word on a pull request counts when the default branch has it


def _sets(judging: Revision, subject: Revision, champion: registry.Registered) -> Mapping[str, str]:
    """What a change sets of all that the champion was made with: parameter or pointer to data -> its value now.

    Nothing where it changes code too: whether that predicts the same, only a run can tell. Nor are the batches: what
    they do to the holdout is the judge's to say.
    """
    repository = subject.repository
    changed = repository.changed(judging.commit, subject.commit)
    changed = declared.without(repository, subject.commit, changed)
    pointers = {path for path in changed if path.endswith(POINTER)}
    if not told_only(changed, subject.leaves, pointers):
        return {}
    made_of = _made_of(subject, champion)
    before, after = _recipe(judging, made_of), _recipe(subject, made_of)
    return {name: value for name, value in after.items() if before.get(name, value) != value}


def _made_of(subject: Revision, champion: registry.Registered) -> tuple[set[str], set[str]]:
    """The files and the parameters that the champion was made with, by the lock of its version."""
    before = Revision(subject.repository, champion.commit, subject.model)
    rules = before.settings
    out = rules.predictions.path if rules.predictions is not None else rules.model.path
    return making(before.whole_lock, out) if out else (set(), set())


def _recipe(revision: Revision, made_of: tuple[set[str], set[str]]) -> dict[str, str]:
    """The values of those parameters at a revision, and what its pointers to those files say."""
    paths, used = made_of
    prefixes = tuple(f"{name}." for name in used)
    leaves = {name: repr(value) for name, value in revision.leaves.items() if f"{name}.".startswith(prefixes)}
    for name in (revision.arrivals, WINDOW):
        leaves.pop(name, None)
    pointers = {path: entry for path, entry in revision.tree.items() if path.endswith(POINTER)}
    read = {
        path: entry
        for path, entry in pointers.items()
        if any(within(path.removesuffix(POINTER), named) for named in paths)
    }
    return leaves | read


def _repeated(state: looks.State, champion: registry.Registered, repository: Repository) -> Iterator[str]:
    """The commits of questions that get their answer all the same: asked once more, it costs no look.

    Of what has passed and is not promoted yet; of looks without their last word, or that more days may settle, while
    the holdout has not retired, though all of them are taken.
    """
    if state.retired is None:
        yield from (look.commit for look in state.looks if not look.verdict or look.open)
    if state.retired == "promoted" and state.by == champion.name:
        return  # all that has passed was compared with another champion
    done = {number for number, _ in state.promoted} | ({state.refresh.number} if state.refresh else set())
    passed = [look.commit for look in state.looks if look.verdict == looks.PASS and look.number not in done]
    yield from (commit for commit in passed if repository.merge_base(commit, champion.commit) != commit)


def _accepted(words: list[reviews.Word], champion: registry.Registered) -> Iterable[str]:
    """The commits that a person's word takes, of what was held against the version in use."""
    last = {word.subject.commit: word for word in words}
    return [commit for commit, word in last.items() if word.word == ACCEPTED and word.subject.champion == champion.name]


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
