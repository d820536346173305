"""The floor: what something simple predicts, which every model has to beat. `judge` asks for it here.

It is a column of the labels, or what a command writes: one of the revision that judges, told what a model is told, so
that no challenger chooses what it has to beat.
"""

from pathlib import Path

import polars as pl

from pushforward.gate import leakage as honesty
from pushforward.judge import holdout as holdouts
from pushforward.judge import score, table
from pushforward.judge.case import Case


def predictions(case: Case, labels: pl.DataFrame, holdout: Path) -> tuple[honesty.Floats | None, str]:
    """One prediction for each of `labels`, and where it comes from; None where nothing is named."""
    contract = case.contract
    if contract.floor is not None:
        return labels[contract.floor].cast(pl.Float64).to_numpy(), contract.floor
    if contract.floor_command is None:
        return None, ""
    case.say("the floor, by the judge's own command")
    out = case.scratch("floor", holdout)
    places = {"{rows}": table.place(holdout, holdouts.ROWS, contract.holdout), "{out}": out}
    if "{events}" in contract.floor_command:
        places["{events}"] = holdout / holdouts.EVENTS
    case.own(score.Command("floor", contract.floor_command, "the floor", contract.folder), places)
    name = " ".join(word for word in contract.floor_command.split() if "{" not in word)
    return case.predictions(out, labels[contract.key]), name
