"""The decision: evidence + rules -> verdict; the judging is pure.

A point estimate never decides: a challenger passes where the one-sided lower bound of its gain, clustered by the
contract's cluster column, lies above the bound asked of it. What is neither proven better nor proven not better is
`unknown`, and the champion stays.
"""

import dataclasses
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pushforward import percent
from pushforward.gate import guards, stats
from pushforward.gate.case import Case
from pushforward.gate.evidence import Evidence, problem_of
from pushforward.gate.guards import AUC_MARGIN
from pushforward.gate.loss import LOSSES
from pushforward.gate.stats import GUARD_ALPHA, Estimate, Floats
from pushforward.gate.verdict import DATA_TITLE, OFFSET_TITLE, Guard, Number, Outcome, Validation, Verdict, invalid
from pushforward.text import ROW, figure, plural, signed

if TYPE_CHECKING:
    from pushforward.settings import GateRules

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
    return _judge_pair(Case(evidence, rules, cluster), evidence.champion.astype(np.float64))


def noun(column: str | None, clusters: NDArray[np.str_]) -> str:
    """The word for one cluster: "day" where all are dates (texts like 2013-05-31), else the name of their column.

    Without a column every row is one.
    """
    if column is None:
        return ROW
    dates = all(DATE.fullmatch(str(name)) for name in set(clusters.tolist()))
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
    case = Case(evidence, rules, cluster)
    if evidence.champion is not None and _same(case, evidence.champion.astype(np.float64)):
        return case.verdict("identical", f"every one of {case.rows} predictions is the champion's; it stays")
    if evidence.doubts:
        doubts = tuple(Guard(DATA_TITLE, "undecided", doubt) for doubt in evidence.doubts)
        return case.verdict("unknown", "; ".join(evidence.doubts), guards=doubts)
    return _judge_first(case) if evidence.champion is None else None


def _same(case: Case, champion: Floats) -> bool:
    """Whether every prediction is the champion's, but for rounding."""
    told = case.evidence.same
    return not stats.differing(champion, case.new).any() if told is None else told


def validation(evidence: Evidence, rules: "GateRules", *, cluster: str = "day") -> Validation | None:
    """The same numbers on the validation month, shown freely and decided by nothing; None where they cannot be had."""
    problem = problem_of(dataclasses.replace(evidence, months=()), rules)
    if problem:
        return None
    case = Case(evidence, rules, cluster)
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
    found = _judge_pair(Case(evidence, free, cluster), champion)
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


def _judge_first(case: Case) -> Verdict:
    floors = guards.floors(case) or [(case.mean(case.new), guards.NO_FLOOR)]
    floor, guard = guards.hardest(floors)
    doubts = guards.plausible(case, None) if case.probability else []
    rows = [Number(case.title, "lower", None, float(np.mean(case.loss(case.y, case.new))))]
    if case.probability:
        other = "brier" if case.rules.metric == "logloss" else "logloss"
        rows.append(Number("AUC", "higher", None, stats.auc(case.y, case.new)))
        rows.append(Number(LOSSES[other].title, "lower", None, float(np.mean(LOSSES[other].rows(case.y, case.new)))))
    else:
        rows += guards.in_its_unit(case, None, 0.0)
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


def _judge_pair(case: Case, champion: Floats) -> Verdict:
    alpha, refresh = case.rules.alpha, case.evidence.mode == "refresh"
    old, new = case.loss(case.y, champion), case.loss(case.y, case.new)
    gain = case.mean(old - new)
    if not gain.error > 1e-12 * abs(gain.mean):
        return invalid("the two models differ by a constant loss in every row", case.evidence.mode, case.rules)
    bound = -case.rules.refresh_margin * float(np.mean(old)) if refresh else case.rules.margin
    main = guards.number(case.title, "lower", old, new, gain, alpha, bound)
    beside = _beside(case, champion)
    looks = [*beside.looks, *(_Look(guard) for guard in guards.too_good(case, main))]
    slices = guards.slices_of(case, old, new)
    if slices:
        looks.append(_Look(guards.slice_guard(slices)))
    looks += [_Look(guard, (floor, 0.0, GUARD_ALPHA)) for floor, guard in guards.floors(case)]
    outcome, reason = _decide(case, gain, bound, [look.guard for look in looks])
    days = None
    if outcome == "unknown":
        # No number of days settles a doubt about the features.
        open_ = [] if main.passed else [(gain, bound, alpha)]
        open_ += [look.test for look in looks if look.guard.outcome == "undecided" and look.test]
        days = stats.clusters_to_settle(*open_[0]) if open_ else None
        reason += f"; about {days:,} {plural(case.cluster)} in all would settle it" if days else ""
    return case.verdict(
        outcome,
        reason,
        numbers=(main, *beside.numbers),
        guards=tuple(look.guard for look in looks),
        slices=slices,
        clusters_better=stats.clusters_better(old - new, case.clusters),
        minimum_detectable=stats.minimum_detectable(gain, alpha),
        days_to_settle=days,
    )


class _Look(NamedTuple):
    """A guard, and where more clusters could settle it: the mean, its bound and the level of its test."""

    guard: Guard
    test: tuple[Estimate, float, float] | None = None


class _Beside(NamedTuple):
    """What is shown beside the gated loss, and the guards that come with it."""

    numbers: list[Number]
    looks: list[_Look]


def _beside(case: Case, champion: Floats) -> _Beside:
    alpha = case.rules.alpha
    if not case.probability:
        return _Beside(guards.in_its_unit(case, champion, alpha), [])
    offset, offset_number, offset_guard = guards.offset(case, champion)
    auc, auc_guard = guards.auc(case, champion)
    other = LOSSES["brier" if case.rules.metric == "logloss" else "logloss"]
    before, after = (other.rows(case.y, p) for p in (champion, case.new))
    last = guards.number(other.title, "lower", before, after, case.mean(before - after), alpha)
    looks = [] if case.evidence.mode == "refresh" else [_Look(offset_guard, (offset, 0.0, alpha))]
    looks.append(_Look(auc_guard, (auc, -AUC_MARGIN, GUARD_ALPHA)))
    looks += [_Look(guard) for guard in guards.plausible(case, stats.auc(case.y, champion))]
    return _Beside([offset_number, guards.auc_number(case, champion, auc), last], looks)


def _decide(case: Case, gain: Estimate, bound: float, found: list[Guard]) -> tuple[Outcome, str]:
    """The verdict and its sentence; every comparison is written so that NaN cannot pass."""
    low, high = gain.low(case.rules.alpha), gain.high(case.rules.alpha)
    confidence = f"{percent.confidence(case.rules.alpha, '.6g')} confidence"
    moves = f"{case.title} {'falls' if gain.mean > 0 else 'rises'} by {figure(abs(gain.mean))}"
    spread = f"between {signed(low)} and {signed(high)}"
    by_level = [guard for guard in found if guard.outcome == "fail" and guard.name == OFFSET_TITLE]
    failed = [guard for guard in found if guard.outcome == "fail" and guard.name != OFFSET_TITLE]
    undecided = [guard for guard in found if guard.outcome == "undecided"]
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
    return "unknown", f"{moves}, but these {case.count} {plural(case.cluster)} allow any gain {spread}"
