"""The probe of a case: whether the challenger scores as it was handed over, and knows nothing of the future."""

from pathlib import Path

import polars as pl

from pushforward import files
from pushforward.errors import USAGE, PushforwardError
from pushforward.gate import leakage as honesty
from pushforward.judge import handover, score
from pushforward.judge.case import Case


def probe(case: Case, holdout: Path, rows: pl.DataFrame, events: pl.DataFrame | None) -> str:
    """What is wrong with how the challenger scores, or "".

    A commit on the default branch is asked again here: it must give the predictions that were handed over, and where
    features remember events none of them may change with the future. For a pull request its own jailed run has scored;
    that is compared.
    """
    contract = case.contract
    keys = rows[contract.key]
    before = case.predictions(case.read.predictions, keys)
    if not case.trusted:
        return _handed_over(case, rows, events, before)
    root, model = case.checkout("challenger", case.question.subject), case.asked.model
    files.remove(root, model.path)  # whatever git has there
    files.copy(case.read.folder, handover.MODEL, files.place(root, model.path))

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
    differs = int(honesty.differing(before, again).sum())
    if differs:
        return f"the model, scored again, gives other predictions than the run handed over in {differs:,} rows"
    if events is None or contract.time is None:
        return ""
    found = honesty.probe(
        rows, events, before, replaced, key=contract.key, time=contract.time, folder=case.work / "probe"
    )
    return found.sentence() if found else ""


def _handed_over(case: Case, rows: pl.DataFrame, events: pl.DataFrame | None, before: honesty.Floats) -> str:
    folder, contract, suffix = case.read.folder / handover.PROBES, case.contract, case.read.predictions.suffix
    if events is None or contract.time is None or not honesty.applies(events):
        return ""
    count = len(honesty.instants(rows, contract.time))
    with honesty.with_the_future_replaced():
        afters = [case.predictions(folder / f"{place}{suffix}", rows[contract.key]) for place in range(count)]
    said = folder / handover.SOURCE
    source = said.read_bytes()[:200].decode("utf-8", "replace") if said.is_file() else ""
    found = honesty.compare(rows, events, before, afters, key=contract.key, time=contract.time, source=source)
    return found.sentence() if found else ""
