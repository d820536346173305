"""Guards of the gate, and the numbers beside the gated loss; pure. `decision` asks them all of a case.

Each guard is at its own 5 % (`stats.GUARD_ALPHA`), for a pass needs every one of them.
"""

import dataclasses
import math
from typing import Literal

import numpy as np

from pushforward.gate import loss as losses
from pushforward.gate import stats
from pushforward.gate.case import Case
from pushforward.gate.evidence import MIN_CLUSTERS
from pushforward.gate.stats import GUARD_ALPHA, Estimate, Floats
from pushforward.gate.verdict import OFFSET_TITLE, Guard, Number, Slice
from pushforward.text import figure, signed

AUC_MARGIN = 0.01
# Less than this share of a gain left once the levels are refitted: the rest was level.
MOSTLY_LEVEL = 0.5
SLICE_MARGIN = 0.02  # of the champion's loss in that slice
MIN_SLICE_CLASS = 30
LONGEST_VALUE = 200
NO_FLOOR = Guard("no floor", "pass", "nothing is named that it would have to beat")
RMSE, ABSOLUTE, ACCURACY = "RMSE", "absolute error", "accuracy"


def number(
    name: str,
    better: Literal["lower", "higher"],
    old: Floats,
    new: Floats,
    gain: Estimate,
    alpha: float,
    bound: float | None = None,
) -> Number:
    """A metric of both models by row, `old` and `new`, with its gain and the bounds of it at `alpha`."""
    low = gain.low(alpha)
    passed = None if bound is None else low > bound
    before, after = float(np.mean(old)), float(np.mean(new))
    return Number(name, better, before, after, gain.mean, low, gain.high(alpha), alpha, bound, passed)


def offset(case: Case, champion: Floats) -> tuple[Estimate, Number, Guard]:
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
    shown = number(OFFSET_TITLE, "lower", old, new, gain, alpha)
    if asked:
        shown = dataclasses.replace(shown, bound=0.0, passed=guard.outcome == "pass")
    return gain, shown, guard


def auc(case: Case, champion: Floats) -> tuple[Estimate, Guard]:
    """The gain in AUC: no more than a hundredth may be lost."""
    gain = stats.auc_difference(case.y, champion, case.new, case.clusters)
    low, high = gain.low(GUARD_ALPHA), gain.high(GUARD_ALPHA)
    if low > -AUC_MARGIN:
        return gain, Guard("AUC", "pass", f"AUC loses less than {AUC_MARGIN:g} (at least {signed(low)})")
    if high <= -AUC_MARGIN:
        return gain, Guard("AUC", "fail", f"AUC loses more than {AUC_MARGIN:g} (at most {signed(high)})")
    detail = f"AUC may lose more than {AUC_MARGIN:g} (between {signed(low)} and {signed(high)})"
    return gain, Guard("AUC", "undecided", detail)


def auc_number(case: Case, champion: Floats, gain: Estimate) -> Number:
    """The AUC of both models, with its gain as `auc` has found it."""
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


def plausible(case: Case, champion: float | None) -> list[Guard]:
    """A gain too good to be true stays undecided, until a person has looked."""
    new, jump, ceiling = stats.auc(case.y, case.new), case.rules.suspect_jump, case.rules.suspect_auc
    doubt = ""
    if champion is not None and not new - champion <= jump:
        doubt = f"AUC rises by {figure(new - champion, 3)}; more than {jump:g} at once is more often a leak than a gain"
    elif ceiling is not None and not new <= ceiling:
        doubt = f"AUC is {figure(new, 3)}; above {ceiling:g} it is more likely a leak than a gain"
    return [Guard("plausible", "undecided", f"{doubt}; a person must look at the features")] if doubt else []


def too_good(case: Case, main: Number) -> list[Guard]:
    """A loss that falls too far at once stays undecided, until a person has looked: every loss knows this alarm."""
    most, before, after = case.rules.suspect_fall, main.champion, main.challenger
    if before is None or after >= (1 - most) * before:
        return []
    doubt = f"{case.title} falls from {figure(before)} to {figure(after)}; more than {100 * most:g} % at once is more"
    return [Guard("plausible", "undecided", f"{doubt} often a leak than a gain; a person must look at the features")]


def floors(case: Case) -> list[tuple[Estimate, Guard]]:
    """Against the best constant in hindsight, and against the column that the contract names as the one to beat."""
    rival = case.kind.rival(case.y)
    found = [_floor(case, "constant", *rival)] if rival else []
    if case.evidence.floor is not None:
        found.append(_floor(case, "floor", f"the floor, {case.evidence.floor_name}", case.evidence.floor.astype(float)))
    return found


def _floor(case: Case, name: str, what: str, rival: Floats) -> tuple[Estimate, Guard]:
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


def hardest(floors: list[tuple[Estimate, Guard]]) -> tuple[Estimate, Guard]:
    """The first of the floors that a model fails, else that it is not shown to beat, else the last."""
    for outcome in ("fail", "undecided"):
        for floor in floors:
            if floor[1].outcome == outcome:
                return floor
    return floors[-1]


def in_its_unit(case: Case, champion: Floats | None, alpha: float) -> list[Number]:
    """What people think in, beside the loss: the RMSE, the mean absolute error, the accuracy; of a given loss nothing.

    Bounds of the RMSE by the delta method: sqrt(m) moves by dm / (2 sqrt(m)) for a small dm of the mean square m.
    """
    if case.kind.form == "given":
        return []
    loss, title = (stats.squared, RMSE) if case.kind.rmse else (stats.absolute, ABSOLUTE)
    if case.kind.form == "classes":
        loss, title = losses.class_right, ACCURACY
    old = None if champion is None else loss(case.y, champion)
    return [_beside(case, title, old, loss(case.y, case.new), alpha)]


def _beside(case: Case, title: str, old: Floats | None, new: Floats, alpha: float) -> Number:
    """A number that nothing is asked of; that of squares is shown as its root."""
    better: Literal["lower", "higher"] = "higher" if title == ACCURACY else "lower"
    root = title == RMSE
    after = float(np.mean(new))
    if old is None:
        return Number(title, better, None, math.sqrt(after) if root else after)
    if not root:
        return number(title, better, old, new, case.mean(old - new if better == "lower" else new - old), alpha)
    before = math.sqrt(float(np.mean(old)))
    after = math.sqrt(after)
    slopes = [1 / (2 * level) if level else 0.0 for level in (before, after)]
    error = case.mean(old * slopes[0] - new * slopes[1]).error
    gain = Estimate(before - after, error, case.count - 1)
    return Number(title, better, before, after, gain.mean, gain.low(alpha), gain.high(alpha), alpha)


def slices_of(case: Case, old: Floats, new: Floats) -> tuple[Slice, ...]:
    """The loss in every slice, `old` and `new` by row; harm is tested in those large enough, by Holm over all."""
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


def slice_guard(slices: tuple[Slice, ...]) -> Guard:
    """No slice may be shown to be worse than the margin."""
    harmed = [one for one in slices if one.harmed]
    small = sum(not one.eligible for one in slices)
    note = f" ({small} too small to tell)" if small else ""
    if not harmed:
        return Guard("slices", "pass", f"no slice is shown to be {100 * SLICE_MARGIN:g} % worse{note}")
    # A champion without any loss in a slice is harmed by any.
    worst = min(harmed, key=lambda one: one.gain / one.champion if one.champion else -math.inf)
    detail = f"{worst.column} {worst.value} is more than {100 * SLICE_MARGIN:g} % worse ({signed(worst.gain)})"
    return Guard("slices", "fail", detail + (f" and {len(harmed) - 1} more" if len(harmed) > 1 else "") + note)
