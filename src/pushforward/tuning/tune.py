"""`pushforward tune` as a whole: a search by `study` on the `folds` of a commit, the `check` of what it has found.

What is searched is the commit that is checked out; its holdout is in no fold. What a trial makes comes into no cache.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pushforward import files, settings
from pushforward.errors import PushforwardError
from pushforward.forge.proposal import Proposed
from pushforward.git.repository import Repository
from pushforward.lifecycle import Tune
from pushforward.pipeline.storage import home, is_project
from pushforward.schema import FILE
from pushforward.settings import Settings
from pushforward.tuning import journal, space, study
from pushforward.tuning.check import Check, check
from pushforward.tuning.folds import FailedError, Fold, Ground, folds
from pushforward.tuning.study import BROKEN, Search, Study, Trial

PLACE = ".dvc/tmp/tune"
LOG = "stages.log"  # what they have printed, of the last search
EXAMPLE = "tune: {space: {train.learning_rate: {low: 0.01, high: 0.3, log: true}}, trials: 30}"


@dataclass(frozen=True)
class Wish:
    """What is asked of a search beside the settings: of which model, with which seed, how far, and whether anew.

    After `minutes` no trial begins any more; `within` so many all is done, the check too, by the longest run so far.
    """

    model: str = ""
    seed: int = 0
    trials: int | None = None
    minutes: float | None = None
    within: float | None = None
    resume: bool = False


@dataclass(frozen=True)
class Tuned:
    """What a search has found of a commit: its trials, the best beside today's, and what of it is more than chance.

    `past` says that its folds are moments of the past, in which no batch of the holdout had arrived; `unchecked` why a
    check that was begun came to no end.
    """

    study: str
    commit: str
    model: str
    file: str
    number: str
    better: str
    folds: tuple[str, ...]
    kept_back: str
    planned: int
    trials: tuple[Trial, ...]
    today: Mapping[str, Any]
    best: Mapping[str, Any] | None
    importances: Mapping[str, float]
    check: Check | None
    interrupted: str
    past: bool = False
    unchecked: str = ""
    proposed: Proposed | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """What the best has otherwise than today."""
        return {name: value for name, value in (self.best or {}).items() if value != self.today.get(name)}

    def of_state(self, state: str) -> int:
        """How many trials ended so."""
        return sum(trial.state == state for trial in self.trials)


def tune(root: Path, wish: Wish, *, say: Callable[[str], None]) -> Tuned:
    """Search, and check what was found; `say` tells how it goes."""
    began = time.monotonic()
    _need_optuna()
    repository = Repository(root)
    rules, told = _rules(root, repository, wish.model)
    where = files.place(root, f"{home(root)}/{PLACE}".lstrip("/"))
    with journal.alone(where), _scratch(where) as scratch:
        (log := where / LOG).unlink(missing_ok=True)
        ground = Ground(root, rules, told, scratch, log, say)
        text = repository.read("HEAD", ground.file) or b""
        now = space.today(text, told.space, ground.file)
        seed = ("", 0) if told.seed is None else (told.seed, space.seed_of(text, told.seed, ground.file))
        *before, last = folds(rules, told, lambda file: repository.read("HEAD", file))
        searched = before or [last]
        tree = repository.git("rev-parse", "HEAD^{tree}").text
        name = study.name_of(
            tree, rules.model.name, wish.seed, told.model_dump(), [list(one.listed) for one in searched]
        )
        path = where / f"{name}{journal.SUFFIX}"
        _may(path, wish)
        minutes = wish.minutes or told.timeout_minutes
        until, ends = (began + 60 * given if given else None for given in (minutes, wish.within))
        checks = 2 * (told.seeds if told.seed else 1)
        asked = Search(told, now, searched, wish.trials or told.trials, wish.seed, until, say, ends, checks)
        _begin(name, asked, last if before else None)
        found = study.search(path, asked, ground)
        checked, unchecked = _check(ground, found, (now, last), seed, ends, apart=bool(before))
        made = _told(repository, ground, found, now, last if before else None, study.importances(path), checked)
        return replace(made, past=bool(last.listed), unchecked=unchecked)


def _need_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise PushforwardError(
            "a search needs Optuna, which is not installed here", next="pip install 'pushforward[tune]'"
        ) from None


def _rules(root: Path, repository: Repository, model: str) -> tuple[Settings, Tune]:
    """The settings of the commit that is checked out, of one model."""
    if not is_project(root):
        raise PushforwardError(f"{root} is not a DVC project", next="dvc init")
    if dirty := repository.unclean():
        raise PushforwardError(
            f"this folder differs from its commit: {dirty[0]}; what is searched is the commit",
            next="git commit, or git stash -u",
        )
    rules = settings.load(root)
    if rules.several and not model:
        raise PushforwardError(f"{FILE} has several models", next=f"--model {next(iter(rules.project.models))}")
    rules, told = rules.of(model), rules.project.tune
    if told is None:
        raise PushforwardError(f"{FILE} has no section tune, which says what is searched", next=f"add {EXAMPLE}")
    if told.metric is None and (rules.level < 3 or not rules.batched):
        raise PushforwardError(
            "tune.metric is missing: without batches there is no past to try parameters in, so a number of validation "
            "rows has to be named",
            next=f"add FILE:KEY of such a number to tune in {FILE}; of no test set, for what is judged must not choose",
        )
    if told.metric is None and rules.contract.loss is not None:
        raise PushforwardError(
            "tune.metric is missing: the loss is a command of the project's own, which a search does not run",
            next=f"add FILE:KEY of a number of the pipeline's validation rows to tune in {FILE}",
        )
    if told.metric is not None and rules.measures and told.metric in rules.limits:
        raise PushforwardError(
            f"tune.metric: {told.metric} is what commits are judged by; parameters that are chosen by it prove nothing",
            next="name a number of other rows, those of validation",
        )
    return rules, told


@contextmanager
def _scratch(where: Path) -> Iterator[Path]:
    """A folder to be thrown away; what a kill has left of earlier ones goes first."""
    for left in where.glob("run-*"):
        shutil.rmtree(left, ignore_errors=True)
    own = where / f"run-{time.time_ns()}"
    own.mkdir()
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _may(path: Path, wish: Wish) -> None:
    """Refuse to go on with what nobody asked to go on with, and to go on with nothing."""
    if path.exists() and not wish.resume:
        raise PushforwardError(
            "a search of this commit with these settings has begun already",
            next=f"pushforward tune --resume, which goes on with it, or --seed {wish.seed + 1}, which is another",
        )
    if wish.resume and not path.exists():
        raise PushforwardError(
            f"no search of this commit with these settings and seed {wish.seed} has begun here",
            next="pushforward tune, which begins one",
        )


def _begin(name: str, asked: Search, kept_back: Fold | None) -> None:
    folds = "; ".join(map(str, asked.folds))
    asked.say(f"study {name}: {asked.trials} trials, each on {folds}")
    if kept_back is not None:
        asked.say(f"kept back, to check what was found: {kept_back}")
    elif asked.folds[0].listed:
        asked.say("too few batches to keep some back: what is found is checked where it was found")
    else:
        asked.say(f"no batches: each trial is one run, and its number {asked.told.metric}")
    if out := space.outside(asked.now, asked.told.space):
        asked.say(f"today's {', '.join(out)} lie outside of tune.space: today's parameters are none of the trials")


def _check(
    ground: Ground,
    found: Study,
    now: tuple[Mapping[str, Any], Fold],
    seed: tuple[str, int],
    ends: float | None,
    *,
    apart: bool,
) -> tuple[Check | None, str]:
    """The best beside today's; nothing where there is no best, or it is today's, or nobody waits for it.

    A check that fails or comes too late costs itself alone: what was found stays, and the reason is told beside.
    """
    (today, fold), (param, first), best = now, seed, found.best
    if best is None or dict(best.values) == dict(today) or found.interrupted == BROKEN:
        return None, ""
    old = next((one.value for one in found.complete if dict(one.values) == dict(today)), None)
    sign = -1 if found.higher else 1
    promised = None if old is None or best.value is None else sign * (old - best.value)
    seeds = range(first + 1, first + 1 + ground.told.seeds) if param else ()
    try:
        values, tried = (today, best.values), (param, list(seeds))
        made = check(ground, fold, values, tried, apart=apart, promised=promised, say=ground.say, ends=ends)
    except FailedError as failed:
        return None, failed.message
    except KeyboardInterrupt:
        found.interrupted = BROKEN
        return None, ""
    return made, ""


def _told(
    repository: Repository,
    ground: Ground,
    found: Study,
    now: Mapping[str, Any],
    kept_back: Fold | None,
    shares: Mapping[str, float],
    checked: Check | None,
) -> Tuned:
    rules, told = ground.rules, ground.told
    return Tuned(
        study=found.name,
        commit=repository.commit("HEAD"),
        model=rules.model.name,
        file=ground.file,
        number=told.metric or rules.gate.metric,
        better=told.better,
        folds=found.folds,
        kept_back="" if kept_back is None else str(kept_back),
        planned=found.planned,
        trials=tuple(found.trials),
        today=now,
        best=None if found.best is None else found.best.values,
        importances=shares,
        check=checked,
        interrupted=found.interrupted,
    )
