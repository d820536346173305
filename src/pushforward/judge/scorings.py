"""What a model answers to its rows: as they are told, and again for each instant with the future replaced.

`challenge` asks for it in the run of the pushed code, `probe` before the judge. Where the command takes several tables
of events, one process scores them all, and what it was told in truth comes last. Whoever keeps what they first heard
would show nothing of the future then, so an answer that is a trial's, in every row, is asked for again, alone.
"""

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


def answers(
    run: Run, read: Read, told: Pair, trials: "Sequence[honesty.Trial]", *, at_once: bool
) -> "tuple[honesty.Floats, list[honesty.Floats]]":
    """The predictions of rows that are `told`, and those of each trial, whose events are taken away again.

    `at_once` says that one process takes them all. Where it fails they are asked one after the other, so that what is
    raised says whether it was the future that was replaced.
    """
    import numpy as np  # for which who only scores does not wait

    from pushforward.gate import leakage as honesty

    again = [Pair(trial.told, trial.left) for trial in trials]
    try:
        together = at_once and bool(again) and _together(run, [*again, told])
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
    return 1 if size is not None and size.rows > EVENTS_AT_ONCE else os.cpu_count() or 1


def _together(run: Run, pairs: Sequence[Pair]) -> bool:
    """Whether one process has scored them all; one that was late is not waited for again."""
    try:
        run(pairs)
    except ScoringError as failed:
        if failed.late:
            raise
        return False
    except PredictionsError:
        return False
    return True
