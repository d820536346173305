"""Live numbers of a version: its loss beside what the verdict promised, calibration, slices. Pure. `look` asks.

Every difference is a mean of clustered rows and has an interval that holds at all looks at once (`interval`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward.gate import stats
from pushforward.gate.loss import Loss
from pushforward.gate.stats import Floats
from pushforward.gate.verdict import Verdict
from pushforward.monitoring import interval
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.outcomes import LABEL, TIME, Wait

FAMILIES = 4  # of claims that share the error: the loss since the start and lately, the calibration, the slices
RUN_DAYS = 28  # what has happened lately is counted from the start of the run of days before the one that goes on
LEAST_ROWS = 200  # of a slice


@dataclass(frozen=True)
class Promise:
    """What the verdict on a version says that it loses, on which rows; `rival` is what the best constant loses there.

    The rival is None where the verdict does not tell.
    """

    loss: float
    of: str
    rival: float | None = None

    @property
    def skill(self) -> float | None:
        """The share of the constant's loss that the model takes away."""
        return None if not self.rival else 1 - self.loss / self.rival


@dataclass(frozen=True)
class Part:
    """The answers where `column` is `value`, and by how much they lose more than is allowed."""

    column: str
    value: str
    loss: float
    over: Interval


@dataclass(frozen=True)
class Live:
    """What a version has lost where it served.

    Of `asked` answers `old` are old enough to count, `missing` of these have no outcome all the same. `naive` is the
    loss over all `naive_rows` whose outcome is known, however young. `over` is the loss beyond what is allowed, against
    the promise as it stands; `worse` the same against a promise that moves as the loss of the best constant does, None
    where there is none; `late` is the sharper of the two since the run of days before the one that goes on. `bias` is
    the mean prediction less the rate, None where predictions are no probabilities.
    """

    wait: Wait
    asked: int
    old: int
    missing: int
    naive: float | None
    naive_rows: int
    loss: Interval | None = None
    rival: float | None = None
    over: Interval | None = None
    worse: Interval | None = None
    late: Interval | None = None
    bias: Interval | None = None
    calibration_error: float | None = None
    parts: tuple[Part, ...] = ()

    @property
    def skill(self) -> float | None:
        """The share of the best constant's loss that the version took away where it served."""
        return None if self.loss is None or not self.rival else 1 - self.loss.mean / self.rival


@dataclass(frozen=True)
class Question:
    """How live numbers are taken: the `kind` of loss, the columns of predictions, what may be lost, at which error."""

    kind: Loss
    columns: Sequence[str]
    promise: Promise | None
    allowed: float
    alpha: float
    slices: Mapping[str, str] = field(default_factory=dict)  # name -> column of the answers
    cluster: str = "cluster"

    @property
    def share(self) -> float:
        """The error of one family of claims."""
        return self.alpha / FAMILIES


def measure(answers: pl.DataFrame, old: pl.DataFrame, wait: Wait, asked: Question) -> Live:
    """The live numbers: `answers` are all with their labels where known, `old` those of them that count."""
    young = answers.filter(pl.col(LABEL).is_not_null())
    naive = float(_losses(young, asked).mean()) if young.height else None
    there = old.filter(pl.col(LABEL).is_not_null())
    counts = (wait, answers.height, old.height, old.height - there.height, naive, young.height)
    if not there.height:
        return Live(*counts)
    y, p, clusters = there[LABEL].to_numpy().astype(np.float64), _predicted(there, asked), _clusters(there, asked)
    losses = asked.kind.rows(y, p)
    rival = _rival(asked.kind, y)
    excess = _excess(losses, rival, asked.promise, asked.allowed)
    over, worse = (None if one is None else interval.of(one, clusters, asked.share) for one in excess)
    sharpest = excess[1] if excess[1] is not None else excess[0]
    return Live(
        *counts,
        loss=interval.of(losses, clusters, asked.share),
        rival=None if rival is None else float(rival.mean()),
        over=over,
        worse=worse,
        late=_late(there, (y, losses, clusters), asked),
        bias=interval.of(p - y, clusters, asked.share) if asked.kind.probability else None,
        calibration_error=stats.calibration_error(y, p) if asked.kind.probability else None,
        parts=() if sharpest is None else tuple(_parts(there, losses, sharpest, clusters, asked)),
    )


def promise(verdict: Verdict, kind: Loss) -> Promise | None:
    """What a verdict promises: the loss on the holdout, or where that is sealed on the rows of the validation."""
    if verdict.numbers and verdict.holdout is not None:
        rate = verdict.calibration.rate if verdict.calibration else None
        where = f"the holdout ({', '.join(verdict.holdout.months) or 'keys held out'})"
        return Promise(verdict.numbers[0].challenger, where, _at(kind, rate))
    told = verdict.validation
    if told is not None and told.numbers:
        rate = told.calibration.rate if told.calibration else None
        why = ", while the numbers of the holdout are sealed" if verdict.sealed else ""
        return Promise(told.numbers[0].challenger, f"the validation ({told.month}{why})", _at(kind, rate))
    return None


def _at(kind: Loss, rate: float | None) -> float | None:
    """What the best constant loses where a share `rate` of the labels is 1; None where that says nothing."""
    if rate is None or not kind.probability:
        return None
    one, none = kind.rows(np.array([1.0, 0.0]), np.array([rate, rate]))
    return float(rate * one + (1 - rate) * none) or None


def _rival(kind: Loss, y: Floats) -> Floats | None:
    found = kind.rival(y)
    return None if found is None else kind.rows(y, found[1])


def _excess(
    losses: Floats, rival: Floats | None, promised: Promise | None, allowed: float
) -> tuple[Floats | None, Floats | None]:
    """By row, what is lost beyond the promise and what is allowed: as it stands, and moved by the constant's loss."""
    if promised is None:
        return None, None
    over = losses - (1 + allowed) * promised.loss
    if promised.rival is None or rival is None:
        return over, None
    return over, losses - (1 + allowed) * promised.loss / promised.rival * rival


def _late(there: pl.DataFrame, told: tuple[Floats, Floats, NDArray[Any]], asked: Question) -> Interval | None:
    """What is lost beyond what is allowed since the run of days before the one that goes on; None in the first two.

    The sequence that begins with the n-th run has 6 / (pi n)² of the error: all of them together have no more.
    """
    if TIME not in there.columns:
        return None
    days = there[TIME].dt.date().cast(pl.Int32).to_numpy()
    number = int(days.max() - days.min()) // RUN_DAYS - 1
    if number < 1:
        return None
    rows = days - days.min() >= number * RUN_DAYS
    y, losses, clusters = (one[rows] for one in told)
    over, worse = _excess(losses, _rival(asked.kind, y), asked.promise, asked.allowed)
    sharpest = worse if worse is not None else over
    return None if sharpest is None else interval.of(sharpest, clusters, asked.share * 6 / (math.pi * number) ** 2)


def _parts(
    there: pl.DataFrame, losses: Floats, excess: Floats, clusters: NDArray[Any], asked: Question
) -> Iterator[Part]:
    """The slices that are large enough; they share the error of their family."""
    found = []
    for name, column in asked.slices.items():
        texts = there[column].cast(pl.String).fill_null("none").to_numpy()
        for value in sorted(set(texts.tolist())):
            rows = texts == value
            if rows.sum() >= LEAST_ROWS and len(set(clusters[rows].tolist())) >= interval.LEAST_CLUSTERS:
                found.append((name, value, rows))
    for name, value, rows in found:
        over = interval.of(excess[rows], clusters[rows], asked.share / len(found))
        yield Part(name, value, float(losses[rows].mean()), over)


def _losses(rows: pl.DataFrame, asked: Question) -> Floats:
    return asked.kind.rows(rows[LABEL].to_numpy().astype(np.float64), _predicted(rows, asked))


def _predicted(rows: pl.DataFrame, asked: Question) -> Floats:
    found = rows.select(pl.col(asked.columns).cast(pl.Float64)).to_numpy()
    return np.ascontiguousarray(found if len(asked.columns) > 1 else found[:, 0], dtype=np.float64)


def _clusters(rows: pl.DataFrame, asked: Question) -> NDArray[Any]:
    return rows[asked.cluster].cast(pl.String).fill_null("none").to_numpy()
