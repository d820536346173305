"""Predictions of a version as served, held against those of rows that no fit of it has seen. `look` asks.

They are a table of their own, beside the inputs: a prediction moves with every input at once, and would share its error
with columns that it follows. Those of training rows do not do for a past: a model is surer of what it has seen.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pushforward import durable
from pushforward.errors import DATA, PushforwardError
from pushforward.judge import score
from pushforward.monitoring import past, reference
from pushforward.monitoring.drift import Finding
from pushforward.monitoring.outcomes import KEY, TIME
from pushforward.monitoring.past import GROWS_DAYS
from pushforward.monitoring.reference import Reference, refer
from pushforward.monitoring.tables import ARM
from pushforward.settings import ModelContract

NAME = "predictions"
MAIN = "main"  # the arm that answers whoever asks; canaries and shadows are asked by others, or twice
FORM = 1  # of what is kept
DIGITS = 6  # that count: scored twice, a prediction may differ by a billionth, and one that many rows share is a part


@dataclass(frozen=True)
class Unseen:
    """Predictions of rows that no fit has seen, counted by day, and what they are in words."""

    reference: Reference
    words: str


@dataclass(frozen=True)
class Told:
    """What predictions as served were held against, in words, and what was looked at; nothing without a past."""

    against: str
    looked: tuple[Finding, ...] = ()


def load(
    outs: Sequence[tuple[str, str]], bring: Callable[[], Path], contract: ModelContract, month: str, asked: pl.DataFrame
) -> Unseen:
    """The predictions of the validation `month` in the table `contract.validation`, by the day that each was asked.

    `asked` has the key and the moment of the rows that the version was made from. `outs` (path, object) are what both
    come from: what was counted is kept by their digest, and `bring` gives the table where it is not yet.
    """
    columns = [contract.key, contract.time, contract.cluster, *contract.predicted]
    folder = past.folder([FORM, reference.FORMAT, sorted(outs), month, columns])
    kept = folder / "predictions.json"
    try:
        known = reference.of_summary(json.loads(kept.read_bytes()))
    except (OSError, ValueError, KeyError):
        known = _counted(bring(), contract, month, asked)
        folder.mkdir(parents=True, exist_ok=True)
        durable.write(kept, json.dumps(known.summary()))
    return Unseen(known, f"{int(known.rows.sum()):,} of rows that no fit has seen ({_days(known)})")


def _counted(path: Path, contract: ModelContract, month: str, asked: pl.DataFrame) -> Reference:
    table = score.read_validation(path, contract, month, ())
    named = table.select(pl.col(contract.key).cast(pl.String).alias(KEY), pl.col(contract.predicted))
    there = asked.unique(KEY, keep="first").join(named, on=KEY, how="inner", maintain_order="left")
    if not there.height:
        said = f"none of the {table.height:,} rows of {path.name} is among those of monitor.reference"
        raise PushforwardError(said, next="edit monitor.reference in pushforward.yaml", exit_code=DATA)
    return refer(_table(there, contract.predicted), time=TIME)


def compared(unseen: Unseen | None, answers: pl.DataFrame, predicted: Sequence[str], today: date, days: int) -> Told:
    """The predictions of the last whole `days`, of the arm that answers, held against what is `unseen`.

    How many rows came, the inputs tell: those of a validation are not as many as are asked.
    Where nothing is, they are held against the first days that the version has served: those say what it did, and not
    whether it was right to.
    """
    rows = _table(answers.filter(pl.col(ARM) == MAIN), predicted)
    if not rows.height:
        return Told("nothing yet: the version has answered nobody")
    if unseen is not None:
        return Told(unseen.words, past.held(unseen.reference, rows, today, days, volume=False))
    first = rows[TIME].dt.date().min()
    assert isinstance(first, date)  # noqa: S101, there are rows and none is without a moment
    until = first + timedelta(days=GROWS_DAYS)
    if today - timedelta(days=days) < until:
        served = f"it serves since {first}"
        return Told(f"nothing yet: there is no `validation`, and of its first {GROWS_DAYS} days not enough: {served}")
    early = pl.col(TIME).dt.date() < until
    known = refer(rows.filter(early), time=TIME)
    words = f"the first {GROWS_DAYS} days that it has served ({_days(known)}), for there is no `validation`"
    return Told(words, past.held(known, rows.filter(~early), today, days, volume=False))


def _table(rows: pl.DataFrame, predicted: Sequence[str]) -> pl.DataFrame:
    """The predictions by the names that findings have for them, with the moment asked."""
    several = len(predicted) > 1
    names = {column: f"{NAME} of {column.removeprefix('p_')}" if several else NAME for column in predicted}
    return rows.select(
        TIME, *(pl.col(column).cast(pl.Float64).round_sig_figs(DIGITS).alias(name) for column, name in names.items())
    )


def _days(known: Reference) -> str:
    first, last = (date(1970, 1, 1) + timedelta(days=day) for day in (known.first, known.end - 1))
    return f"{first} to {last}"
