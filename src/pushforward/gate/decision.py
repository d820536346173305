"""The decision: evidence + rules -> verdict; the judging is pure.

A point estimate never decides: a challenger passes where the one-sided lower bound of its gain, clustered by the
contract's cluster column, lies above the bound asked of it. What is neither proven better nor proven not better is
`unknown`, and the champion stays.
"""

import dataclasses
import math
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pushforward import percent
from pushforward.gate import loss as losses
from pushforward.gate import stats
from pushforward.gate.evidence import MIN_CLUSTERS, Evidence, problem_of
from pushforward.gate.loss import LOSSES
from pushforward.gate.stats import Estimate, Floats
from pushforward.gate.verdict import (
    DATA_TITLE,
    OFFSET_TITLE,
    Calibration,
    Guard,
    Number,
    Outcome,
    Slice,
    Validation,
    Verdict,
    invalid,
)
from pushforward.text import figure, signed

if TYPE_CHECKING:
    from pushforward.settings import GateRules

GUARD_ALPHA = 0.05
AUC_MARGIN = 0.01
# Less than this share of a gain left once the levels are refitted: the rest was level.
MOSTLY_LEVEL = 0.5
SLICE_MARGIN = 0.02  # of the champion's loss in that slice
MIN_SLICE_CLASS = 30
LONGEST_VALUE = 200
RMSE, ABSOLUTE = "RMSE", "absolute error"
DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T].*)?")


def judge(evidence: Evidence, rules: "GateRules", *, cluster: str = "day") -> Verdict:
    """Judge a challenger; pure, and the same to the last decimals for any order of the rows.

    `cluster` is the word for one cluster in the sentences. In order: validity; identical predictions; the clustered
    difference of the gated loss; the guards (offset-adjusted loss, AUC, slices, the constant predictor), all needed,
    each at its own 5 % because a pass needs every one of them.
    """
    told = without_look(evidence, rules, cluster=cluster)
    if told is not None:
        return told
    assert evidence.champion is not None  # noqa: S101, or it would be a first model
    return _judge_pair(_Case(evidence, rules, cluster), evidence.champion.astype(np.float64))


def noun(column: str, clusters: NDArray[np.str_]) -> str:
    """The word for one cluster: "day" where all are dates (texts like 2013-05-31), else the name of their column."""
    dates = all(DATE.fullmatch(str(name)) for name in np.unique(clusters))
    return "day" if dates else column.replace("_", " ")


def without_look(evidence: Evidence, rules: "GateRules", *, cluster: str = "day") -> Verdict | None:
    """The verdict where no champion is compared with: invalid, identical, doubted, or a first model; None where one is.

    None of these tells which of two models the holdout's labels prefer, so none of them uses up the holdout.
    """
    if (evidence.champion is None) != (evidence.mode == "first"):
        raise ValueError("a first model has no champion, any other has one")
    problem = problem_of(evidence, rules)
    if problem:
        return invalid(problem, evidence.mode, rules)
    case = _Case(evidence, rules, cluster)
    if evidence.champion is not None and np.array_equal(evidence.champion, evidence.challenger):
        return case.verdict("identical", f"every one of {case.rows} predictions is the champion's; it stays")
    if evidence.doubts:
        guards = tuple(Guard(DATA_TITLE, "undecided", doubt) for doubt in evidence.doubts)
        return case.verdict("unknown", "; ".join(evidence.doubts), guards=guards)
    return _judge_first(case) if evidence.champion is None else None


def validation(evidence: Evidence, rules: "GateRules", *, cluster: str = "day") -> Validation | None:
    """The same numbers on the validation month, shown freely and decided by nothing; None where they cannot be had."""
    problem = problem_of(dataclasses.replace(evidence, months=()), rules)
    if problem:
        return None
    case = _Case(evidence, rules, cluster)
    month, rows, clusters = evidence.months[0], len(case.y), case.count
    if evidence.champion is None:
        found = _judge_first(case)
        return Validation(month, rows, clusters, found.numbers, calibration=found.calibration)
    champion = evidence.champion.astype(np.float64)
    gain = case.mean(case.loss(case.y, champion) - case.loss(case.y, case.new))
    if not gain.error > 1e-12 * abs(gain.mean):
        alone = _judge_first(case)
        return Validation(month, rows, clusters, alone.numbers, calibration=alone.calibration)
    free = rules.model_copy(update={"alpha": GUARD_ALPHA})
    found = _judge_pair(_Case(evidence, free, cluster), champion)
    return Validation(
        month,
        rows,
        clusters,
        tuple(dataclasses.replace(number, bound=None, passed=None) for number in found.numbers),
        slices=found.slices,
        calibration=found.calibration,
        clusters_better=found.clusters_better,
        gain_error=gain.error,
    )


class _Case:
    """The evidence as float arrays, and what every verdict on it states."""

    def __init__(self, evidence: Evidence, rules: "GateRules", cluster: str) -> None:
        self.evidence, self.rules, self.cluster = evidence, rules, cluster
        self.y = evidence.y.astype(np.float64)
        self.new = evidence.challenger.astype(np.float64)
        self.clusters = evidence.clusters
        self.kind = losses.of(rules)
        self.loss, self.title, self.probability = self.kind.rows, self.kind.title, self.kind.probability
        self.count = len(np.unique(self.clusters))
        self.rows = f"{len(self.y):,}"

    def mean(self, values: Floats) -> Estimate:
        return stats.clustered_mean(values, self.clusters)

    def verdict(self, outcome: Outcome, reason: str, **found: Any) -> Verdict:
        return Verdict(
            outcome,
            reason,
            self.evidence.mode,
            self.rules.metric,
            self.rules.model_dump(),
            rows=len(self.y),
            clusters=self.count,
            cluster=self.cluster,
            positives=int(self.y.sum()) if self.probability else None,
            clipped=stats.clipped(self.new) if self.rules.metric == "logloss" else 0,
            calibration=_calibration(self) if self.probability else None,
            **found,
        )

    @property
    def sample(self) -> str:
        return f"{self.rows} rows, {self.count} {self.cluster}s"


def _judge_first(case: _Case) -> Verdict:
    floors = _floors(case)
    floor, guard = _hardest(floors)
    doubts = _plausible(case, None) if case.probability else []
    rows = [Number(case.title, "lower", None, float(np.mean(case.loss(case.y, case.new))))]
    if case.probability:
        other = "brier" if case.rules.metric == "logloss" else "logloss"
        rows.append(Number("AUC", "higher", None, stats.auc(case.y, case.new)))
        rows.append(Number(LOSSES[other].title, "lower", None, float(np.mean(LOSSES[other].rows(case.y, case.new)))))
    else:
        rows.append(_in_its_unit(case, None, 0.0))
    outcome: Outcome = "promote"
    reason = f"there is no champion, so floors only: {guard.detail} ({case.sample})"
    if guard.outcome != "pass":
        outcome = "hold" if guard.outcome == "fail" else "unknown"
    elif doubts:
        outcome, reason = "unknown", f"there is no champion, and {doubts[0].detail} ({case.sample})"
    unsettled = guard.outcome == "undecided"
    return case.verdict(
        outcome,
        reason,
        numbers=tuple(rows),
        guards=(*(own for _, own in floors), *doubts),
        days_to_settle=stats.clusters_to_settle(floor, 0.0, GUARD_ALPHA) if unsettled else None,
    )


def _hardest(floors: list[tuple[Estimate, Guard]]) -> tuple[Estimate, Guard]:
    """The first of the floors that a model fails, else that it is not shown to beat, else the last."""
    for outcome in ("fail", "undecided"):
        for floor in floors:
            if floor[1].outcome == outcome:
                return floor
    return floors[-1]


def _judge_pair(case: _Case, champion: Floats) -> Verdict:
    alpha, refresh = case.rules.alpha, case.evidence.mode == "refresh"
    old, new = case.loss(case.y, champion), case.loss(case.y, case.new)
    gain = case.mean(old - new)
    if not gain.error > 1e-12 * abs(gain.mean):
        return invalid("the two models differ by a constant loss in every row", case.evidence.mode, case.rules)
    bound = -case.rules.refresh_margin * float(np.mean(old)) if refresh else case.rules.margin
    main = _number(case.title, "lower", old, new, gain, alpha, bound)
    numbers, guards, undecided = [main], [], [] if main.passed else [(gain, bound, alpha)]
    if case.probability:
        offset, number, guard = _offset(case, champion)
        numbers.append(number)
        if not refresh:
            guards.append(guard)
            if guard.outcome == "undecided":
                undecided.append((offset, 0.0, alpha))
        auc, guard = _auc(case, champion)
        numbers.append(_auc_number(case, champion, auc))
        guards.append(guard)
        if guard.outcome == "undecided":
            undecided.append((auc, -AUC_MARGIN, GUARD_ALPHA))
        guards += _plausible(case, stats.auc(case.y, champion))
        other = "brier" if case.rules.metric == "logloss" else "logloss"
        before, after = (LOSSES[other].rows(case.y, p) for p in (champion, case.new))
        numbers.append(_number(LOSSES[other].title, "lower", before, after, case.mean(before - after), alpha))
    else:
        numbers.append(_in_its_unit(case, champion, alpha))
    guards += _too_good(case, main)
    slices = _slices(case, old, new)
    if slices:
        guards.append(_slice_guard(slices))
    for floor, guard in _floors(case):
        guards.append(guard)
        if guard.outcome == "undecided":
            undecided.append((floor, 0.0, GUARD_ALPHA))
    outcome, reason = _decide(case, gain, bound, guards)
    days = None
    if outcome == "unknown":
        # No number of days settles a doubt about the features.
        days = stats.clusters_to_settle(*undecided[0]) if undecided else None
        reason += f"; about {days:,} {case.cluster}s in all would settle it" if days else ""
    return case.verdict(
        outcome,
        reason,
        numbers=tuple(numbers),
        guards=tuple(guards),
        slices=slices,
        clusters_better=stats.clusters_better(old - new, case.clusters),
        minimum_detectable=stats.minimum_detectable(gain, alpha),
        days_to_settle=days,
    )


def _decide(case: _Case, gain: Estimate, bound: float, guards: list[Guard]) -> tuple[Outcome, str]:
    """The verdict and its sentence; every comparison is written so that NaN cannot pass."""
    low, high = gain.low(case.rules.alpha), gain.high(case.rules.alpha)
    confidence = f"{percent.confidence(case.rules.alpha, '.6g')} confidence"
    moves = f"{case.title} {'falls' if gain.mean > 0 else 'rises'} by {figure(abs(gain.mean))}"
    spread = f"between {signed(low)} and {signed(high)}"
    by_level = [guard for guard in guards if guard.outcome == "fail" and guard.name == OFFSET_TITLE]
    failed = [guard for guard in guards if guard.outcome == "fail" and guard.name != OFFSET_TITLE]
    undecided = [guard for guard in guards if guard.outcome == "undecided"]
    if low > bound:
        if by_level:
            return "calibration-only", (
                f"{moves}, but mostly by its overall level: {by_level[0].detail}; a season can turn that round"
            )
        if failed:
            return "hold", f"{moves}, but {failed[0].detail}"
        if undecided:
            return "unknown", f"{moves}, but {undecided[0].detail}"
        recipe = "same recipe, newer data: " if case.evidence.mode == "refresh" else ""
        if low <= 0:
            return "promote", (
                f"{recipe}{moves} and at {confidence} costs no more than {figure(-low)} "
                f"({figure(-bound)} is allowed; {case.sample})"
            )
        return "promote", f"{recipe}{moves}, by {figure(low)} or more at {confidence} ({case.sample})"
    if high <= bound:
        asked = "at least " + signed(bound) if bound else "more than 0"
        return "hold", f"{moves}: the gain is {spread}, and {asked} is asked ({case.sample})"
    if failed:
        return "hold", f"{failed[0].detail}, and {moves} is not proven either way"
    return "unknown", f"{moves}, but these {case.count} {case.cluster}s allow any gain {spread}"


def _number(
    name: str,
    better: Literal["lower", "higher"],
    old: Floats,
    new: Floats,
    gain: Estimate,
    alpha: float,
    bound: float | None = None,
) -> Number:
    low = gain.low(alpha)
    passed = None if bound is None else low > bound
    before, after = float(np.mean(old)), float(np.mean(new))
    return Number(name, better, before, after, gain.mean, low, gain.high(alpha), alpha, bound, passed)


def _offset(case: _Case, champion: Floats) -> tuple[Estimate, Number, Guard]:
    """The log loss once the level of both models is refitted: a superior challenger must gain in it too.

    The gain must hold at the level of the main test, for of two models that differ by their level alone half gain a
    little; and it must be a good part of the whole gain, for a small real one must not carry a large shift. A pass
    needs both tests, so neither needs a correction.
    """
    alpha, asked = case.rules.alpha, case.evidence.mode != "refresh"
    before, after = (stats.log_loss(case.y, p) for p in (champion, case.new))
    old, new = (stats.log_loss(case.y, stats.offset_adjusted(case.y, p)) for p in (champion, case.new))
    gain = case.mean(old - new)
    low, high = gain.low(alpha), gain.high(alpha)
    what = "with the level of both models refitted, log loss"
    if not gain.mean > max(0.0, MOSTLY_LEVEL * float(np.mean(before - after))):
        falls = "falls little" if gain.mean > 0 else "does not fall"
        guard = Guard(OFFSET_TITLE, "fail", f"{what} {falls} ({signed(gain.mean)})")
    elif low > 0:
        guard = Guard(OFFSET_TITLE, "pass", f"{what} still falls ({signed(gain.mean)})")
    else:
        doubt = f"{what} does not fall for certain (between {signed(low)} and {signed(high)})"
        guard = Guard(OFFSET_TITLE, "undecided", doubt)
    number = _number(OFFSET_TITLE, "lower", old, new, gain, alpha)
    if asked:
        number = dataclasses.replace(number, bound=0.0, passed=guard.outcome == "pass")
    return gain, number, guard


def _auc(case: _Case, champion: Floats) -> tuple[Estimate, Guard]:
    gain = stats.auc_difference(case.y, champion, case.new, case.clusters)
    low, high = gain.low(GUARD_ALPHA), gain.high(GUARD_ALPHA)
    if low > -AUC_MARGIN:
        return gain, Guard("AUC", "pass", f"AUC loses less than {AUC_MARGIN:g} (at least {signed(low)})")
    if high <= -AUC_MARGIN:
        return gain, Guard("AUC", "fail", f"AUC loses more than {AUC_MARGIN:g} (at most {signed(high)})")
    detail = f"AUC may lose more than {AUC_MARGIN:g} (between {signed(low)} and {signed(high)})"
    return gain, Guard("AUC", "undecided", detail)


def _plausible(case: _Case, champion: float | None) -> list[Guard]:
    """A gain too good to be true stays undecided, until a person has looked."""
    new, jump, ceiling = stats.auc(case.y, case.new), case.rules.suspect_jump, case.rules.suspect_auc
    doubt = ""
    if champion is not None and not new - champion <= jump:
        doubt = f"AUC rises by {figure(new - champion, 3)}; more than {jump:g} at once is more often a leak than a gain"
    elif ceiling is not None and not new <= ceiling:
        doubt = f"AUC is {figure(new, 3)}; above {ceiling:g} it is more likely a leak than a gain"
    return [Guard("plausible", "undecided", f"{doubt}; a person must look at the features")] if doubt else []


def _auc_number(case: _Case, champion: Floats, gain: Estimate) -> Number:
    low = gain.low(GUARD_ALPHA)
    return Number(
        "AUC",
        "higher",
        stats.auc(case.y, champion),
        stats.auc(case.y, case.new),
        gain.mean,
        low,
        gain.high(GUARD_ALPHA),
        GUARD_ALPHA,
        -AUC_MARGIN,
        low > -AUC_MARGIN,
    )


def _floors(case: _Case) -> list[tuple[Estimate, Guard]]:
    """Against the best constant in hindsight, and against the column that the contract names as the one to beat."""
    best = case.kind.constant(case.y)
    found = [_floor(case, "constant", f"the constant prediction {figure(best)}", np.full_like(case.y, best))]
    if case.evidence.floor is not None:
        found.append(_floor(case, "floor", f"the floor, {case.evidence.floor_name}", case.evidence.floor.astype(float)))
    return found


def _floor(case: _Case, name: str, what: str, rival: Floats) -> tuple[Estimate, Guard]:
    """Whether the challenger beats `rival`: shown to, but of a refresh only that it is not seen to lose.

    One month is noisy: to ask that a model of the same recipe be shown anew to beat the floor would refuse good ones.
    """
    theirs = case.loss(case.y, rival)
    gain = case.mean(theirs - case.loss(case.y, case.new))
    low, high = gain.low(GUARD_ALPHA), gain.high(GUARD_ALPHA)
    what = f"{what} ({case.title} {figure(float(np.mean(theirs)))})"
    if low > 0:
        return gain, Guard(name, "pass", f"it beats {what} by {figure(low)} or more")
    if high <= 0 or (case.evidence.mode == "refresh" and not gain.mean > 0):
        return gain, Guard(name, "fail", f"it does not beat {what}")
    if case.evidence.mode == "refresh":
        return gain, Guard(name, "pass", f"it beats {what} by {figure(gain.mean)}, if not for certain")
    return gain, Guard(name, "undecided", f"it is not shown to beat {what}")


def _in_its_unit(case: _Case, champion: Floats | None, alpha: float) -> Number:
    """What an error is in the unit of the label: the RMSE, or the mean absolute error; bounds of the former by delta.

    sqrt(m) moves by dm / (2 sqrt(m)) for a small dm of the mean square m (the delta method).
    """
    rows, title = (stats.squared, RMSE) if case.kind.rmse else (stats.absolute, ABSOLUTE)
    new = rows(case.y, case.new)
    mean = float(np.mean(new))
    after = math.sqrt(mean) if case.kind.rmse else mean
    if champion is None:
        return Number(title, "lower", None, after)
    old = rows(case.y, champion)
    if not case.kind.rmse:
        return _number(title, "lower", old, new, case.mean(old - new), alpha)
    before = math.sqrt(float(np.mean(old)))
    slope = [1 / (2 * root) if root else 0.0 for root in (before, after)]
    error = case.mean(old * slope[0] - new * slope[1]).error
    gain = Estimate(before - after, error, case.count - 1)
    return Number(title, "lower", before, after, gain.mean, gain.low(alpha), gain.high(alpha), alpha)


def _too_good(case: _Case, main: Number) -> list[Guard]:
    """A loss that falls too far at once stays undecided, until a person has looked: every loss knows this alarm."""
    most, before, after = case.rules.suspect_fall, main.champion, main.challenger
    if before is None or after >= (1 - most) * before:
        return []
    doubt = f"{case.title} falls from {figure(before)} to {figure(after)}; more than {100 * most:g} % at once is more"
    return [Guard("plausible", "undecided", f"{doubt} often a leak than a gain; a person must look at the features")]


def _slices(case: _Case, old: Floats, new: Floats) -> tuple[Slice, ...]:
    found, p_harm = [], []
    for column in case.rules.slices:
        values = np.asarray([str(value)[:LONGEST_VALUE] for value in case.evidence.slices[column]], dtype=object)
        for value in sorted(set(values)):
            inside = values == value
            clusters = case.clusters[inside]
            count = len(np.unique(clusters))
            positives = int(case.y[inside].sum()) if case.probability else None
            rows = int(inside.sum())
            smaller = rows // 2 if positives is None else min(positives, rows - positives)
            before = float(np.mean(old[inside]))
            slice_ = Slice(
                column=column,
                value=value,
                rows=rows,
                clusters=count,
                positives=positives,
                champion=before,
                challenger=float(np.mean(new[inside])),
                gain=float(np.mean((old - new)[inside])),
                low=None,
                high=None,
                p_harm=None,
                eligible=count >= MIN_CLUSTERS and smaller >= MIN_SLICE_CLASS,
                harmed=False,
            )
            if slice_.eligible:
                gain = stats.clustered_mean((old - new)[inside], clusters)
                slice_ = dataclasses.replace(slice_, low=gain.low(GUARD_ALPHA), high=gain.high(GUARD_ALPHA))
                p_harm.append(gain.p_below(-SLICE_MARGIN * before))
            found.append(slice_)
    adjusted = iter(stats.holm(p_harm))
    return tuple(
        dataclasses.replace(one, p_harm=(p := next(adjusted)), harmed=p <= GUARD_ALPHA) if one.eligible else one
        for one in found
    )


def _slice_guard(slices: tuple[Slice, ...]) -> Guard:
    harmed = [one for one in slices if one.harmed]
    small = sum(not one.eligible for one in slices)
    note = f" ({small} too small to tell)" if small else ""
    if not harmed:
        return Guard("slices", "pass", f"no slice is shown to be {100 * SLICE_MARGIN:g} % worse{note}")
    # A champion without any loss in a slice is harmed by any.
    worst = min(harmed, key=lambda one: one.gain / one.champion if one.champion else -math.inf)
    detail = f"{worst.column} {worst.value} is more than {100 * SLICE_MARGIN:g} % worse ({signed(worst.gain)})"
    return Guard("slices", "fail", detail + (f" and {len(harmed) - 1} more" if len(harmed) > 1 else "") + note)


def _calibration(case: _Case) -> Calibration:
    old = case.evidence.champion
    return Calibration(
        rate=float(np.mean(case.y)),
        champion_mean=None if old is None else float(np.mean(old)),
        challenger_mean=float(np.mean(case.new)),
        champion_error=None if old is None else stats.calibration_error(case.y, old.astype(np.float64)),
        challenger_error=stats.calibration_error(case.y, case.new),
    )
