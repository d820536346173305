"""Losses that a project computes by itself, one a key: `loss` as a command, run with the judge's code on both answers.

The command is of the revision that judges, so no challenger chooses how it is judged. It gets the labels of the
holdout and predictions that were read before: tables of the judge's own making.
"""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl

from pushforward.errors import DATA, PushforwardError
from pushforward.gate import leakage as honesty
from pushforward.gate import loss as losses
from pushforward.gate import stats
from pushforward.gate.evidence import Evidence
from pushforward.judge import holdout as holdouts
from pushforward.judge import score, table
from pushforward.judge.case import Case
from pushforward.judge.validation import clusters_of

TITLE = "loss"


def given(case: Case, evidence: Evidence, labels: pl.DataFrame, holdout: Path) -> Evidence:
    """The evidence by what each model loses at each key, in place of its predictions."""
    asked = _by_key(case, labels)
    keys = asked[case.contract.loss_key or case.contract.key]
    case.say("losses of both, by the judge's own command" if evidence.champion is not None else "losses")
    theirs, floor = evidence.champion, evidence.floor
    return dataclasses.replace(
        evidence,
        y=np.zeros(len(keys)),
        challenger=_losses(case, "challenger", evidence.challenger, (labels, keys), holdout),
        champion=None if theirs is None else _losses(case, "champion", theirs, (labels, keys), holdout),
        floor=None if floor is None else _losses(case, "floor", floor, (labels, keys), holdout),
        same=theirs is not None and not stats.differing(theirs, evidence.challenger).any(),
        clusters=clusters_of(asked, case.contract.cluster),
        slices=case.slices(asked),
        classes=(),
        loss=losses.given(TITLE),
    )


def _by_key(case: Case, labels: pl.DataFrame) -> pl.DataFrame:
    """The labels' table with one row for each key of the losses; refused where it has two clusters, or two slices."""
    contract = case.contract
    key = contract.loss_key or contract.key
    if key not in labels.columns:
        raise PushforwardError(
            f"the labels of {contract.holdout} have no column {key} (loss_key)",
            next="edit loss_key in pushforward.yaml",
        )
    if labels[key].null_count():
        raise PushforwardError(f"the labels of {contract.holdout}: {labels[key].null_count():,} rows have no {key}")
    for column in (contract.cluster, *case.gate.slices):
        if column is None or column == key or column not in labels.columns:
            continue
        several = labels.group_by(key, maintain_order=True).agg(pl.col(column).n_unique()).filter(pl.col(column) > 1)
        if several.height:
            what = f"{key} {several[key][0]!r:.60} has more than one {column}"
            raise PushforwardError(f"the labels of {contract.holdout}: {what}", next=table.EDIT, exit_code=DATA)
    return labels.unique(key, keep="first", maintain_order=True)


def _losses(
    case: Case, who: str, predictions: honesty.Floats, told: tuple[pl.DataFrame, pl.Series], holdout: Path
) -> honesty.Floats:
    """What `who` loses at each key, by the command in the judge's checkout."""
    labels, keys = told
    contract = case.contract
    assert contract.loss is not None  # noqa: S101, who asks has one
    truth = table.place(holdout, holdouts.LABELS, contract.holdout)
    answers, out = (case.work / f"{who}-{name}{truth.suffix}" for name in ("answers", "losses"))
    columns = predictions.reshape(len(predictions), -1)
    named = {name: columns[:, place] for place, name in enumerate(contract.predicted)}
    table.write(pl.DataFrame({contract.key: labels[contract.key], **named}), answers)
    places = {"{labels}": truth, "{predictions}": answers, "{out}": out}
    case.own(score.Command("loss", contract.loss, f"the loss of the {who}", contract.folder), places)
    return score.read_predictions(out, keys, probability=False, columns=("loss",))
