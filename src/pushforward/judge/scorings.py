"""What a model answers to its rows: as they are told, and again for each instant with the future replaced.

`challenge` asks for it in the run of the pushed code, `probe` before the judge. Where the command takes several tables
of events, one process scores them all, and what it was told in truth comes last; where there is a core and memory for
another, two score a half each, and the truth is the last of what its own hears, after a trial. Whoever keeps what they
first heard would show nothing of the future then, so an answer that is a trial's, in every row, is asked for again,
alone.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import parquet
from pushforward.judge.holdout import EVENTS_AT_ONCE
from pushforward.judge.score import Pair, PredictionsError, ScoringError

if TYPE_CHECKING:
    from pushforward.gate import leakage as honesty

Run = Callable[[Sequence[Pair]], None]  # scores the rows, told of each of these
Read = Callable[[Path], "honesty.Floats"]
WORTH = 2  # a process costs a start, which fewer tables of events than these do not pay back
LIGHT = 64 * 1024**2  # bytes of a model that is in memory once more without being missed


def answers(
    run: Run, read: Read, told: Pair, trials: "Sequence[honesty.Trial]", *, at_once: bool, model: Path | None = None
) -> "tuple[honesty.Floats, list[honesty.Floats]]":
    """The predictions of rows that are `told`, and those of each trial, whose events are taken away again.

    `at_once` says that one process takes several tables of events: all, or, of a `model` whose files are known to be
    light, its share. Where that fails they are asked one after the other, so that what is raised says whether it was
    the future that was replaced.
    """
    import numpy as np  # for which who only scores does not wait

    from pushforward.gate import leakage as honesty

    again = [Pair(trial.told, trial.left) for trial in trials]
    try:
        together = at_once and bool(again) and _together(run, [*again, told], _sharing(told, model))
        if not together:
            run([told])
            with honesty.with_the_future_replaced(), ThreadPoolExecutor(_beside(told)) as pool:
                list(pool.map(lambda pair: run([pair]), again))
        before = read(told.out)
        with honesty.with_the_future_replaced():
            afters = [read(pair.out) for pair in again]
        if together and any(np.array_equal(before, after) for after in afters):
            run([told])
            before = _as_alone(before, read(told.out))
        return before, afters
    finally:
        for trial in trials:
            trial.told.unlink(missing_ok=True)


def _as_alone(before: "honesty.Floats", alone: "honesty.Floats") -> "honesty.Floats":
    """What was answered alone; refused where it differs from what was answered `before`, beside others."""
    from pushforward.gate import stats

    if differs := int(stats.differing(before, alone).sum()):
        raise PredictionsError(
            "told of several tables of events by one run, the score command gives other predictions in "
            f"{differs:,} rows than told of one: it keeps what it was told first"
        )
    return alone


def _beside(told: Pair) -> int:
    """How many processes score side by side: of so many events that they are not read at once, memory is for one."""
    size = parquet.measure(told.events) if told.events else None
    return 1 if size is not None and size.rows > EVENTS_AT_ONCE else _cores()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _sharing(told: Pair, model: Path | None) -> int:
    """How many processes may share the tables of events: one that takes them all may be one for the memory's sake."""
    if model is None:
        return 1
    found = [file for file in (model, *model.rglob("*")) if file.is_file()]
    return 1 if sum(file.stat().st_size for file in found) > LIGHT else _beside(told)


def _shares(pairs: Sequence[Pair], most: int) -> list[Sequence[Pair]]:
    """What each of at most so many processes is told, in order; each of at least `WORTH` tables where there are two."""
    count = max(1, min(most, len(pairs) // WORTH))
    ends = [len(pairs) * place // count for place in range(count + 1)]
    return [pairs[first:end] for first, end in itertools.pairwise(ends)]


def _together(run: Run, pairs: Sequence[Pair], most: int) -> bool:
    """Whether processes that take several tables have scored them all; one that was late is not waited for again.

    Where several fail, one is tried: what they fight over, such as a device, may be there for one.
    """
    shares = _shares(pairs, most)
    with ThreadPoolExecutor(len(shares)) as pool:
        ended = [pool.submit(run, share) for share in shares]
    wrong = [failed for one in ended if (failed := one.exception()) is not None]
    for failed in wrong:
        if not isinstance(failed, ScoringError | PredictionsError) or (
            isinstance(failed, ScoringError) and failed.late
        ):
            raise failed
    return not wrong or (len(shares) > 1 and _together(run, pairs, 1))
