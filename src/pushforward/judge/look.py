"""The look of a case at its holdout: reserved before anything is computed, for a comparison uses the holdout up."""

import dataclasses
import json

import polars as pl

from pushforward.errors import PushforwardError
from pushforward.gate import decision as gate
from pushforward.gate import stats
from pushforward.gate import verdict as verdicts
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Validation, Verdict
from pushforward.judge import ledger, looks, names, seal, waiting
from pushforward.judge.case import Case
from pushforward.judge.epochs import Epoch
from pushforward.pipeline.revision import sha256


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows that are asked: their digest, of an `epoch` where there are no batches, and of batches their labels.

    `panel` are the numbers of the validation month, by which is told how long a look may take.
    """

    digest: str
    epoch: Epoch | None = None
    labels: pl.DataFrame | None = None
    panel: Validation | None = None


def look(case: Case, evidence: Evidence, rows: Rows) -> Verdict:
    """The verdict; a comparison with the champion uses the holdout up, so its look is reserved first.

    Of a table that the run itself has scored nothing is sealed: whoever has it can tell what is in it.
    """
    rules = case.gate
    shown = rules.reveal == "numbers" or case.rules.self_scored
    word = gate.noun(case.contract.cluster, evidence.clusters)
    told = gate.without_look(evidence, rules, cluster=word)
    if told is None or told.verdict == "promote":
        _check_name(case)
    if told is not None:
        return told if shown else seal.public(told, None)
    book = ledger.of(case.repository.path, case.subject.model)
    epoch, months = rows.epoch, evidence.months
    plan = None if rows.labels is None else waiting.plan_of(case.rules, evidence, rows.labels)
    if plan and (began := waiting.until(book, case.rules, months)):
        months = months[: months.index(began) + 1]  # more have come since
    name, keys = (epoch.name, epoch.listed) if epoch else (names.ledger(months), None)
    assert evidence.champion is not None  # noqa: S101, without one no look is needed
    key = looks.Key(
        # Of the predictions, not of the model: the same model scored by other code is another challenger. Not of their
        # last bits, or a model that threads add up would be another challenger each time.
        challenger=sha256(stats.rounded(evidence.challenger).tobytes()),
        champion=sha256(stats.rounded(evidence.champion).tobytes()),
        holdout=rows.digest,
        # where a window may grow, a longer one is no other rule
        rules=looks.digest(
            json.dumps([rules.model_dump(exclude={"window"} if plan else None), evidence.mode], sort_keys=True)
        ),
    )
    try:
        head = case.question.head
        taken = book.reserve(
            name,
            key,
            alpha=rules.alpha,
            looks=rules.looks,
            promotions=case.rules.promotions,
            mode=evidence.mode,
            commit=head,
            keys=keys,
            plan=plan,
        )
    except looks.ClosedError as closed:
        return verdicts.unanswered(closed.message, evidence.mode, rules)
    verdict = gate.judge(evidence, rules.model_copy(update={"alpha": taken.asked}), cluster=word)
    verdict = dataclasses.replace(verdict, rules=rules.model_dump())
    word_told = verdict.verdict if shown else seal.word(verdict)
    book.settle(name, taken, word_told, verdict.to_json(), reveal=shown)
    state = book.state(name)
    # What passes on the default branch retires the holdout with its tag where it is the last that may be promoted.
    before = _promoted(state, taken)
    retires = case.trusted and verdict.verdict == "promote" and before is not None and before + 1 >= state.promotions
    if not (shown or retires or state.retired):
        verdict = seal.public(verdict, taken)
    most = None if before is None else state.promotions
    spent = verdicts.Look(taken.number, taken.of, taken.asked, taken.replayed, before, most)
    return waiting.told(dataclasses.replace(verdict, look=spent, ledger=state.tip), taken, rows.panel)


def _promoted(state: looks.State, taken: looks.Look) -> int | None:
    """How many other looks have made a version; None of the month's refresh, which is not among them."""
    if state.refresh is not None and state.refresh.number == taken.number:
        return None
    return sum(number != taken.number for number, _ in state.promoted)


def _check_name(case: Case) -> None:
    """A version is of the name that its judge knows: what would pass under another one cannot be tagged."""
    before, after = case.contract.name, case.asked.model.name
    if before != after:
        raise PushforwardError(
            f"the model is renamed from {before} to {after} by a commit that changes what it predicts; rename it "
            f"by itself, or push once more on top of this: the next push is judged as {after}"
        )
