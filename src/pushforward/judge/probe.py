"""The probe of a case: whether the challenger scores as it was handed over, and knows nothing of the future."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from pushforward import files
from pushforward.errors import USAGE, PushforwardError
from pushforward.gate import leakage as honesty
from pushforward.gate import stats
from pushforward.judge import handover, score
from pushforward.judge.case import Case
from pushforward.text import figure


class Answers(NamedTuple):
    """What is wrong with how a challenger scores, or ""; and by how much its answers differ, as a remark, or ""."""

    wrong: str
    differ: str = ""


def probe(case: Case, holdout: Path, rows: pl.DataFrame, events: pl.DataFrame | None) -> Answers:
    """How the challenger scores, once more.

    A commit on the default branch is asked again here: it must give the predictions that were handed over, and where
    features remember events none of them may change with the future. For a pull request its own jailed run has scored;
    that is compared.
    """
    contract = case.contract
    keys = rows[contract.key]
    before = case.predictions(case.read.predictions, keys)
    if not case.trusted:
        return Answers(_handed_over(case, rows, events, before))
    root, model = case.checkout("challenger", case.question.subject), case.asked.contract
    files.remove(root, model.path)  # whatever git has there
    files.copy(case.read.part, handover.MODEL, files.place(root, model.path))

    def answer(told: Path | None, out: Path) -> honesty.Floats:
        try:
            case.score(case.asked, root, case.question.subject, holdout, told, out)
        except score.ScoringError as failed:
            raise PushforwardError(failed.message, next=failed.next, exit_code=USAGE) from failed
        return case.predictions(out, keys)

    def replaced(told: Path, out: Path) -> honesty.Floats:
        with honesty.with_the_future_replaced():
            return answer(told, out.with_suffix(mine.suffix))

    case.say(f"challenger, scored again{'' if events is None else ', and with the future replaced'}")
    mine = case.scratch("challenger", holdout)
    again = answer(case.told(case.asked, holdout), mine)
    differs = int(stats.differing(before, again).sum())
    if differs:
        return Answers(f"the model, scored again, gives other predictions than the run handed over in {differs:,} rows")
    told = _differ(before, again)
    if events is None or contract.time is None:
        return Answers("", told)
    found = honesty.probe(
        rows, events, again, replaced, key=contract.key, time=contract.time, folder=case.work / "probe"
    )
    return Answers(found.sentence() if found else "", told)


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


def _handed_over(case: Case, rows: pl.DataFrame, events: pl.DataFrame | None, before: honesty.Floats) -> str:
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
