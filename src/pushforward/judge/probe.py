"""The probe of a case: whether the challenger scores as it was handed over, and knows nothing of the future."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from pushforward import files
from pushforward.errors import USAGE
from pushforward.gate import leakage as honesty
from pushforward.gate import stats
from pushforward.judge import handover, score, scorings
from pushforward.judge.case import Case
from pushforward.judge.score import Pair
from pushforward.pipeline import fitted
from pushforward.pipeline.revision import manifest_of
from pushforward.text import figure


class Answers(NamedTuple):
    """What is wrong with how a challenger scores, or ""; and by how much its answers differ, as a remark, or ""."""

    wrong: str
    differ: str = ""


def probe(case: Case, holdout: Path, rows: pl.DataFrame, events: honesty.Told | None) -> Answers:
    """How the challenger scores, once more.

    A commit on the default branch is asked again here: it must give the predictions that were handed over, and where
    features remember events none of them may change with the future. For a pull request its own jailed run has scored;
    that is compared, and so it is where that run was adopted.
    """
    contract = case.contract
    keys = rows[contract.key]
    before = case.predictions(case.read.predictions, keys)
    if not case.asks:
        return Answers(_handed_over(case, rows, events, before))
    root, model = case.checkout("challenger", case.question.subject), case.asked.contract
    files.remove(root, model.path)  # whatever git has there
    files.copy(case.read.part, handover.MODEL, files.place(root, model.path))

    mine = Pair(case.told(case.asked, holdout), case.scratch("challenger", holdout))

    def run(pairs: Sequence[Pair]) -> None:
        try:
            case.score(case.asked, root, case.question.subject, holdout, pairs)
        except score.ScoringError as failed:
            failed.exit_code = USAGE  # it is the commit that cannot, and not the machine
            raise

    def read(path: Path) -> honesty.Floats:
        return case.predictions(path, keys)

    def replaced(told: Path, out: Path) -> honesty.Floats:
        with honesty.with_the_future_replaced():
            run([Pair(told, out)])
            return read(out)

    case.say(f"challenger, scored again{'' if events is None else ', and with the future replaced'}")
    trials, time, found = list[honesty.Trial](), contract.time, None
    if events is not None and time is not None:
        folder = case.work / "probe"
        trials = honesty.trials(rows, events, key=contract.key, time=time, folder=folder, suffix=mine.out.suffix)
    handed = case.read.part / handover.MODEL
    again, afters = scorings.answers(run, read, mine, trials, at_once=model.repeats, model=handed)
    # What was fitted on another device may have been asked on it too; here it is asked on this machine's own.
    elsewhere = fitted.of(manifest_of(case.read.part / handover.MODEL)).elsewhere
    differs = int(stats.differing(before, again, stats.BETWEEN_DEVICES if elsewhere else stats.ROUNDING).sum())
    if not differs and events is not None and time is not None:
        told = [*zip(trials, afters, strict=True)]
        found = honesty.probe(rows, events, again, told, replaced, key=contract.key, time=time)
    if differs:
        return Answers(f"the model, scored again, gives other predictions than the run handed over in {differs:,} rows")
    return Answers(found.sentence() if found else "", _differ(before, again))


def _differ(before: honesty.Floats, again: honesty.Floats) -> str:
    """By how much two scorings of the same rows differ, where they do, as a sentence without a full stop."""
    off = np.abs(again - before)
    if not off.any():
        return ""
    many = int(off.reshape(len(off), -1).any(axis=1).sum())
    most = figure(float(off.max()))
    return (
        f"scored twice, {many:,} of {len(off):,} predictions differ by up to {most}, which passes for rounding; "
        "the judge's own numbers count"
    )


def _handed_over(case: Case, rows: pl.DataFrame, events: honesty.Told | None, before: honesty.Floats) -> str:
    folder, contract, suffix = case.read.part / handover.PROBES, case.contract, case.read.predictions.suffix
    if events is None or contract.time is None or not honesty.applies(events):
        return ""
    count = len(honesty.instants(rows, contract.time))
    with honesty.with_the_future_replaced():
        afters = [case.predictions(folder / f"{place}{suffix}", rows[contract.key]) for place in range(count)]
    said = folder / handover.SOURCE
    source = said.read_bytes()[:200].decode("utf-8", "replace") if said.is_file() else ""
    found = honesty.compare(rows, events, before, afters, key=contract.key, time=contract.time, source=source)
    return found.sentence() if found else ""
