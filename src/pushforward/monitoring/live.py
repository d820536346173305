"""Live numbers of a version: its loss beside what the verdict promised, calibration, slices. Pure. `look` asks.

Every difference is a mean of clustered rows and has an interval that holds at all looks at once (`interval`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward.gate import decision as gate
from pushforward.gate import stats
from pushforward.gate.loss import LARGEST, Loss
from pushforward.gate.stats import Floats
from pushforward.gate.verdict import Verdict
from pushforward.judge import score
from pushforward.monitoring import interval
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.outcomes import KNOWN, LABEL, TIME, Wait
from pushforward.monitoring.tables import AT, ROW

FAMILIES = 4  # of claims that share the error: the loss since the start and lately, the calibration, the slices
RUN_DAYS = 28  # what has happened lately is counted from the start of the run of days before the one that goes on
LEAST_ROWS = 200  # of a slice
EPOCH = date(1970, 1, 1)
NONE = "none"  # a slice or a cluster that a row has none of


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
    the mean prediction less the rate, None where predictions are no probabilities. `cluster` is a word for one.
    `begun` is the first day that was ever counted, where that can be counted no more: then nothing is proven of all
    that was answered, only of what is `late`; "" where all is there.
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
    cluster: str = "day"
    begun: str = ""

    @property
    def skill(self) -> float | None:
        """The share of the best constant's loss that the version took away where it served."""
        return None if self.loss is None or not self.rival else 1 - self.loss.mean / self.rival


@dataclass(frozen=True)
class Question:
    """How live numbers are taken: the `kind` of loss, the columns of predictions, what may be lost, at which error.

    `begun` is the earliest day that a look before has counted, None where none has, and `first` the earliest that is
    still there, counted by the answers to be had of it, also where they were asked again since; `noun` names the
    clusters.
    """

    kind: Loss
    columns: tuple[str, ...]
    promise: Promise | None
    allowed: float
    alpha: float
    slices: Mapping[str, str] = field(default_factory=dict)  # name -> column of the answers
    cluster: str = "cluster"
    noun: str | None = None
    begun: date | None = None
    first: date | None = None

    @property
    def share(self) -> float:
        """The error of one family of claims."""
        return self.alpha / FAMILIES

    def nth(self, number: int) -> float:
        """The error of the n-th claim of a family that may grow: all of them together have no more than it has."""
        return self.share * 6 / (math.pi * number) ** 2


def unfit(known: pl.DataFrame, kind: Loss, columns: tuple[str, ...]) -> str:
    """Why the loss cannot be taken of these answers, whose labels are known, or ""."""
    if not known.height:
        return ""
    given = kind.form == "given"
    y, p = known[LABEL].to_numpy().astype(np.float64), score.matrix(known, columns)
    for name, values in (("label", y), ("loss" if given else "prediction", p)):
        if np.any(np.abs(values) > LARGEST):
            return f"a {name} is beyond {LARGEST:g}, too large to square"
    if given:
        return ""
    wrong = "" if kind.form == "classes" else kind.label_problem(y)  # of some days there may be one class only
    said = kind.prediction_problem(p)
    return wrong or (f"the version {said}" if said else "")


def measure(answers: pl.DataFrame, old: pl.DataFrame, wait: Wait, asked: Question) -> Live:
    """The live numbers: `answers` are all with their labels where known, `old` those of them that count."""
    young = answers.filter(pl.col(LABEL).is_not_null())
    naive = float(_losses(young, asked).mean()) if young.height else None
    there = old.filter(pl.col(LABEL).is_not_null())
    counts = (wait, answers.height, old.height, old.height - there.height, naive, young.height)
    if not there.height:
        return Live(*counts)
    y, p = there[LABEL].to_numpy().astype(np.float64), score.matrix(there, asked.columns)
    clusters, begun = _clusters(there, asked), _lost(asked)
    proven = _without_bounds if begun else interval.of
    losses = asked.kind.rows(y, p)
    rival = _rival(asked.kind, y)
    excess = _excess(losses, rival, asked.promise, asked.allowed)
    over, worse = (None if one is None else proven(one, clusters, asked.share) for one in excess)
    sharpest = excess[1] if excess[1] is not None else excess[0]
    return Live(
        *counts,
        loss=proven(losses, clusters, asked.share),
        rival=None if rival is None else float(rival.mean()),
        over=over,
        worse=worse,
        late=_late(there, (y, losses, clusters), asked),
        bias=proven(p - y, clusters, asked.share) if asked.kind.probability else None,
        calibration_error=stats.calibration_error(y, p) if asked.kind.probability else None,
        parts=() if sharpest is None or begun else tuple(_parts(answers, there, (losses, sharpest, clusters), asked)),
        cluster=gate.noun(asked.noun, clusters) if asked.noun is not None else "day",
        begun=begun,
    )


def _lost(asked: Question) -> str:
    """The first day that was ever counted, where log or outcomes have it no more, else ""."""
    if asked.begun is None or asked.first is None:
        return ""
    return asked.begun.isoformat() if asked.first > asked.begun else ""


def _without_bounds(values: Floats, clusters: NDArray[Any], alpha: float) -> Interval:
    """A mean of which nothing is proven: a sequence holds for all that came since it began, and not for the rest."""
    return Interval(float(values.mean()), None, None, len(values), len(set(clusters.tolist())), alpha)


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

    Runs are counted from the first day that was ever looked at; None too where the log has lost the start of this one.
    """
    if asked.first is None:
        return None
    days = there[TIME].dt.date().cast(pl.Int32).to_numpy()
    oldest = (asked.first - EPOCH).days
    first = oldest if asked.begun is None else min(oldest, (asked.begun - EPOCH).days)
    number = int(days.max() - first) // RUN_DAYS - 1
    if number < 1 or oldest > first + number * RUN_DAYS:
        return None
    rows = days - first >= number * RUN_DAYS
    y, losses, clusters = (one[rows] for one in told)
    over, worse = _excess(losses, _rival(asked.kind, y), asked.promise, asked.allowed)
    sharpest = worse if worse is not None else over
    return None if sharpest is None else interval.of(sharpest, clusters, asked.nth(number))


def _parts(
    answers: pl.DataFrame, there: pl.DataFrame, told: tuple[Floats, Floats, NDArray[Any]], asked: Question
) -> Iterator[Part]:
    """The slices that are large enough; each has its share of the error by its place in the order of appearance.

    That stays, as the number of those that are large enough does not: a claim keeps the error that it began with, but
    where what a row belongs to is corrected, or the log has lost it.
    """
    losses, excess, clusters = told
    texts = {name: there.select(_text(column)).to_series() for name, column in asked.slices.items()}
    places = {part: number for number, part in enumerate(_appeared(answers, asked.slices), 1)}
    for name, value in sorted(places, key=lambda part: (list(texts).index(part[0]), part[1])):
        rows = (texts[name] == value).to_numpy()
        if rows.sum() >= LEAST_ROWS and len(set(clusters[rows].tolist())) >= interval.LEAST_CLUSTERS:
            over = interval.of(excess[rows], clusters[rows], asked.nth(places[name, value]))
            yield Part(name, value, float(losses[rows].mean()), over)


def _appeared(answers: pl.DataFrame, slices: Mapping[str, str]) -> list[tuple[str, str]]:
    """(name, value) of all slices in the order in which they came: inputs when answered, the rest with its outcome.

    Of all answers, those too young to count as well: whatever comes later comes after them.
    """
    found = []
    for place, (name, column) in enumerate(slices.items()):
        moment = AT if column.startswith(ROW) else KNOWN  # a client may name any TIME
        there = answers.filter(pl.col(moment).is_not_null())
        firsts = there.group_by(_text(column).alias("value")).agg(pl.col(moment).min().alias("first"))
        found += [(first, place, name, value) for value, first in firsts.iter_rows()]
    return [(name, value) for _, _, name, value in sorted(found)]


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).fill_null(NONE)


def _losses(rows: pl.DataFrame, asked: Question) -> Floats:
    return asked.kind.rows(rows[LABEL].to_numpy().astype(np.float64), score.matrix(rows, asked.columns))


def _clusters(rows: pl.DataFrame, asked: Question) -> NDArray[Any]:
    return rows.select(_text(asked.cluster)).to_series().to_numpy()
