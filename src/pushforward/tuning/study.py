"""Study: a search for better parameters by Optuna, on folds of the past, that goes on where it was broken off.

`tune` has one run. The sampler of each trial begins with a seed of its own, made of the search's seed and of how many
trials have ended before: so whatever breaks a search off, what it tries next is what it would have tried.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pushforward.errors import TOOL, PushforwardError
from pushforward.lifecycle import Tune
from pushforward.text import figure
from pushforward.tuning import journal, space
from pushforward.tuning.folds import LATE, FailedError, Fold, Ground

WARM = 5  # trials that no fold ends early: before, there is no median to be worse than
RANDOM = 10  # trials before the first that is chosen by what others gave
BROKEN = "Ctrl-C"
GIVE_UP = 3  # of the first trials, if none of them runs at all

State = Literal["complete", "pruned", "failed"]
STATES: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class Trial:
    """A set of parameters that was tried: the number of each fold, as far as they were run, and the mean of all."""

    number: int
    values: Mapping[str, Any]
    state: State
    folds: tuple[float, ...]
    value: float | None
    cause: str
    seconds: float


@dataclass
class Study:
    """A search, as far as it has come; `interrupted` says that Ctrl-C or the time has ended it."""

    name: str
    folds: tuple[str, ...]
    higher: bool
    planned: int
    trials: list[Trial] = field(default_factory=list)
    interrupted: str = ""

    @property
    def complete(self) -> list[Trial]:
        """The trials of which every fold was run."""
        return [trial for trial in self.trials if trial.value is not None]

    @property
    def best(self) -> Trial | None:
        """The best trial; the first of equals."""
        sign = -1 if self.higher else 1
        return min(self.complete, key=lambda trial: sign * (trial.value or 0.0), default=None)


@dataclass(frozen=True)
class Search:
    """What is searched: where, from which values of today, in how many trials, until when.

    At `ends` all has to be done, with the `checks` runs that are to check what was found, on a fold of their own.
    """

    told: Tune
    now: Mapping[str, Any]
    folds: Sequence[Fold]
    trials: int
    seed: int
    until: float | None
    say: Callable[[str], None]
    ends: float | None = None
    checks: int = 0

    @property
    def higher(self) -> bool:
        """Whether a higher number is better."""
        return self.told.better == "higher"


def name_of(*parts: Any) -> str:
    """The name of a study: by what it is of, so that nothing else is taken up again."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def search(path: Path, asked: Search, ground: Ground) -> Study:
    """Try sets of parameters until there are enough, the time is over, or somebody presses Ctrl-C."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = journal.opened(path)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=WARM)
    way = optuna.study.StudyDirection.MAXIMIZE if asked.higher else optuna.study.StudyDirection.MINIMIZE
    study = optuna.create_study(
        study_name=path.stem, storage=storage, pruner=pruner, direction=way, load_if_exists=True
    )
    _forget(study)
    _remember(study, ground)
    found = Study(path.stem, tuple(map(str, asked.folds)), asked.higher, asked.trials, _ended(study))
    try:
        while len(found.trials) < asked.trials:
            if _is_over(asked, ground):
                found.interrupted = LATE
                break
            _one(study, asked, ground, len(found.trials))
            found.trials = _ended(study)
            _tell(found, asked)
    except KeyboardInterrupt:
        found.interrupted = BROKEN
        asked.say("Ctrl-C: the trial at hand is begun again with --resume")
    return found


def _is_over(asked: Search, ground: Ground) -> bool:
    """Whether no trial begins any more; by the longest run so far, the check has to find time after it."""
    if asked.until is not None and time.monotonic() > asked.until:
        return True
    # The fold of the check is the longest of all: it has the time of one run more.
    checks, fresh = (asked.checks + 1, 1) if asked.checks else (0, 0)
    fresh += max(0, len(asked.folds) - ground.pace.ready)
    return not ground.pace.fits(asked.ends, len(asked.folds) + checks, fresh)


def _remember(study: Any, ground: Ground) -> None:
    """Take over how long runs took before the search was broken off."""
    for one in study.get_trials(deepcopy=False):
        ground.pace.runs += one.user_attrs.get("runs", ())
        ground.pace.preparing += one.user_attrs.get("preparing", ())


def _forget(study: Any) -> None:
    """What a kill has left half done counts as never begun: as its turn comes again, the same is tried."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _one(study: Any, asked: Search, ground: Ground, done: int) -> None:
    """One trial, its folds in order; what is worse after a fold than half of the others there goes no further."""
    import optuna
    from optuna.trial import TrialState

    is_today = not done and _begin_with_today(study, asked)
    own = int(hashlib.sha256(f"{asked.seed}.{done}".encode()).hexdigest()[:8], 16)
    study.sampler = optuna.samplers.TPESampler(seed=own, n_startup_trials=RANDOM, multivariate=True)
    began, trial = time.monotonic(), study.ask()
    values = space.asked(trial, asked.told.space)
    if is_today:  # to the last digit, which no other trial has
        values = dict(asked.now)
    trial.set_user_attr("values", values)
    lost: list[float] = []
    pace = ground.pace
    runs, prepared = len(pace.runs), len(pace.preparing)
    try:
        for place, fold in enumerate(asked.folds):
            lost.append(ground.number(fold, values))
            trial.report(statistics.fmean(lost), place)
            trial.set_user_attr("folds", lost)
            if place + 1 < len(asked.folds) and trial.should_prune():
                break
    except FailedError as failed:
        trial.set_user_attr("cause", failed.message)
    trial.set_user_attr("seconds", round(time.monotonic() - began, 2))
    trial.set_user_attr("runs", pace.runs[runs:])
    trial.set_user_attr("preparing", pace.preparing[prepared:])
    if "cause" in trial.user_attrs:
        study.tell(trial, state=TrialState.FAIL)
    elif len(lost) < len(asked.folds):
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, statistics.fmean(lost))


def _begin_with_today(study: Any, asked: Search) -> bool:
    """Have the first trial be of the values of today, where the space has them; whether it is."""
    from optuna.trial import TrialState

    if space.outside(asked.now, asked.told.space):
        return False
    if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial({name: space.code(value, asked.told.space[name]) for name, value in asked.now.items()})
    return True


def _ended(study: Any) -> list[Trial]:
    """The trials that have ended, in order; one that a kill ended is none."""
    ended = [one for one in study.get_trials(deepcopy=False) if one.state.name in STATES]
    counted = [one for one in ended if one.state.name != "FAIL" or "cause" in one.user_attrs]
    return [
        Trial(
            number,
            one.user_attrs["values"],
            STATES[one.state.name],
            tuple(one.user_attrs.get("folds", ())),
            one.value if one.state.name == "COMPLETE" else None,
            str(one.user_attrs.get("cause", "")),
            float(one.user_attrs.get("seconds", 0)),
        )
        for number, one in enumerate(counted)
    ]


def _tell(found: Study, asked: Search) -> None:
    last, best = found.trials[-1], found.best
    if last.state == "failed":
        what = f"failed: {last.cause}"
    elif last.value is None:
        what = f"{figure(last.folds[-1])} in {asked.folds[len(last.folds) - 1]}, and no further"
    else:
        what = f"{figure(last.value)}{' · the best' if last is best else ''}"
    asked.say(f"{last.number + 1}/{asked.trials}  {what}  ({last.seconds:.1f} s)  {space.said(last.values)}")
    if len(found.trials) >= GIVE_UP and not any(trial.state != "failed" for trial in found.trials):
        raise PushforwardError(
            f"none of the first {len(found.trials)} trials ran: {last.cause}",
            next="pushforward repro, which tells what fails; or mend tune.space in pushforward.yaml",
            exit_code=TOOL,
        )


def importances(path: Path) -> dict[str, float]:
    """How much of what the trials differ by is each parameter's (PED-ANOVA, Watanabe et al. 2023), largest first."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=path.stem, storage=journal.opened(path))
    whole = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in whole}) < 2:
        return {}  # they do not differ
    return {name: float(share) for name, share in optuna.importance.get_param_importances(study).items()}
