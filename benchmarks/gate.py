"""What the gate does on real flights: `python benchmarks/gate.py [rules] [promotions] [guards]`.

Champions and challengers are trained on January to September 2013 by the worked example's own code (`models.py`) and
judged on October to December. `rules`: false promotions, power and the calibration trap, by the gate and by those of
`rivals.py`; `promotions`: several on one holdout, and who learns from answers; `guards`: what each costs and finds.
Prints tables; some minutes of one core. Features and predictions are kept in the machine's temporary folder.
"""

import itertools
import math
import sys
import time
from collections.abc import Iterable, Sequence
from statistics import NormalDist

import guards
import models
import numpy as np
import numpy.typing as npt
import promotions
import rivals
from models import FULL, GAINS, SEEDS, TRAPS, Floats, Holdout, judged

from pushforward.gate import stats

Pair = tuple[str, str]

ALPHA, LOOKS = 0.05, 10
# The month's refresh is judged on the same holdout and has half of what is promised for it.
ONE_LOOK = ALPHA / (2 * LOOKS)
DRAWS = 400
WINDOWS = (31, 61)
WITHIN = 0.01
FEEDBACK: tuple[rivals.Feedback, ...] = ("none", "full")
COLUMNS = (
    "any gain",
    "Ladder",
    "McNemar 5 %",
    "row-wise 5 %",
    "mixture e >= 20",
    "gate 5 %",
    f"gate, 1 of {LOOKS} looks",
)


def promoted(holdout: Holdout, rows: npt.NDArray[np.bool_], champion: Floats, challenger: Floats) -> list[bool]:
    """Whether each rule in `COLUMNS` promotes."""
    y, old, new = holdout.y[rows], champion[rows], challenger[rows]
    before, after = stats.log_loss(y, old), stats.log_loss(y, new)
    by_day = stats.clustered_mean(before - after, holdout.day[rows])

    def passes(alpha: float) -> bool:
        # Where its main test fails the gate cannot promote, and most of the cost is in its guards.
        test = by_day.low(alpha) > 0
        return test and judged(holdout, rows, champion, challenger, alpha).verdict == "promote"

    return [
        by_day.mean > 0,
        float(np.mean(after)) < rivals.ladder_threshold(before, after),
        more_often_right(y, old, new),
        by_day.mean > normal_quantile(ALPHA) * rivals.row_wise_error(before - after),
        evident(by_day),
        passes(ALPHA),
        passes(ONE_LOOK),
    ]


def more_often_right(y: Floats, old: Floats, new: Floats) -> bool:
    """McNemar's test of the decisions at .5, one-sided."""
    was, is_ = ((p > 0.5) == (y == 1) for p in (old, new))
    gained, lost = int(np.count_nonzero(is_ & ~was)), int(np.count_nonzero(was & ~is_))
    return gained > lost and rivals.mcnemar(gained, lost) / 2 < ALPHA


def evident(by_day: stats.Estimate) -> bool:
    """A normal mixture of the days' sums, tuned to so many days and read at their end alone.

    In units of one day's deviation the sum of all days is t * sqrt(days), and its variance the number of days.
    """
    days = by_day.freedom + 1
    total = by_day.mean / by_day.error * math.sqrt(days)
    return rivals.one_sided_evidence(total, days, rivals.mixture_rho(days, 2 * ALPHA)) >= math.log(1 / ALPHA)


def normal_quantile(alpha: float) -> float:
    """What a standard normal deviate exceeds with probability `alpha`."""
    return NormalDist().inv_cdf(1 - alpha)


def swapped(holdout: Holdout, days: int) -> Floats:
    """No difference in truth: of two seeds, which is called the challenger is drawn anew for every day."""
    rows, random = holdout.window(0, days), np.random.default_rng(1)
    day = holdout.day - holdout.first
    results = []
    for other in SEEDS[1:6]:
        one, two = holdout.p[FULL], holdout.p[f"seed {other}"]
        for _ in range(DRAWS):
            swap = random.integers(0, 2, int(day.max()) + 1).astype(bool)[day]
            results.append(promoted(holdout, rows, np.where(swap, two, one), np.where(swap, one, two)))
    return np.asarray(np.mean(results, axis=0))


def another_seed(holdout: Holdout, days: int) -> tuple[Floats, Floats]:
    """Every seed against every other: the share promoted, and of champions how many lose their place to one of 30."""
    rows = holdout.window(0, days)
    table = {
        (one, two): promoted(holdout, rows, holdout.p[f"seed {one}"], holdout.p[f"seed {two}"])
        for one, two in itertools.permutations(SEEDS, 2)
    }
    results = np.array(list(table.values()), dtype=np.float64)
    lost = []
    for champion in SEEDS:
        tried = np.array([table[champion, other] for other in SEEDS if other != champion])
        # The gate answers ten of them; the rest finds the holdout retired.
        lost.append(np.append(tried[:, :-1].any(axis=0), tried[:LOOKS, -1].any()))
    return results.mean(axis=0), np.mean(lost, axis=0)


def over_windows(holdout: Holdout, champion: str, challenger: str, days: int) -> Floats:
    """The share of all windows of so many days in which each rule promotes."""
    pairs = (
        promoted(holdout, holdout.window(start, days), holdout.p[champion], holdout.p[challenger])
        for start in holdout.starts(days)
    )
    return np.asarray(np.mean(list(pairs), axis=0))


def gain(holdout: Holdout, champion: str, challenger: str, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> str:
    """The mean gain in log loss, and in per cent."""
    old, new = (stats.log_loss(holdout.y[rows], holdout.p[name][rows]) for name in (champion, challenger))
    return f"{np.mean(old - new):+.4f} ({100 * np.mean(old - new) / np.mean(old):+.1f} %)"


def line(title: str, shares: Sequence[float] | Floats) -> None:
    """One line of the table."""
    print(
        f"{title:52}"
        + "".join(f"{100 * share:>{len(name) + 3}.1f} %" for share, name in zip(shares, COLUMNS, strict=True))
    )


def heading(text: str) -> None:
    """One heading of the table."""
    print(f"\n{text}\n{'share promoted by':52}" + "".join(f"{name:>{len(name) + 5}}" for name in COLUMNS))


def trap(holdout: Holdout) -> None:
    """The verdicts on retraining with one more month, and on a shift of the level that October would have liked."""
    october = holdout.window(0, 31)
    refitted = stats.offset_adjusted(holdout.y[october], holdout.p[FULL][october])
    shift = np.mean(_logit(refitted) - _logit(holdout.p[FULL][october]))
    holdout.p["shifted"] = 1 / (1 + np.exp(-_logit(holdout.p[FULL]) - shift))
    cases = {f"{name}, with September": (f"{name} to August", f"{name} to September") for name in TRAPS}
    cases[f"logits of a full model shifted by {shift:+.2f}"] = (FULL, "shifted")
    print(f"\n{'verdicts':52}{'October':>20}{'Oct and Nov':>20}{'gain in December':>24}")
    for name, (champion, challenger) in cases.items():
        words = [
            judged(holdout, holdout.window(0, days), holdout.p[champion], holdout.p[challenger], ONE_LOOK).verdict
            for days in WINDOWS
        ]
        later = gain(holdout, champion, challenger, holdout.window(61, 31))
        print(f"{name:52}{words[0]:>20}{words[1]:>20}{later:>24}")


def worth(holdout: Holdout) -> None:
    """How much the rows of a day move together: the error by day against that by row, of every pair of seeds."""
    print(
        f"\n{'error by day / error by row, two seeds':52}{'median':>10}{'from':>10}{'to':>10}{'rows':>10}{'worth':>10}"
    )
    for days in WINDOWS:
        rows = holdout.window(0, days)
        losses = [stats.log_loss(holdout.y[rows], holdout.p[f"seed {seed}"][rows]) for seed in SEEDS]
        gains = [one - two for one, two in itertools.combinations(losses, 2)]
        ratios = [stats.clustered_mean(by, holdout.day[rows]).error / rivals.row_wise_error(by) for by in gains]
        middle, count = float(np.median(ratios)), int(rows.sum())
        numbers = "".join(f"{number:10.1f}" for number in (middle, min(ratios), max(ratios)))
        print(f"    {f'{days} days':48}{numbers}{count:10,}{count / middle**2:10,.0f}")


def rows_asked(holdout: Holdout) -> None:
    """What ease.ml/ci asks for, whose bounds know nothing of the models but which decisions they change."""
    asked = [f"{rivals.hoeffding_rows(2, WITHIN, ALPHA, LOOKS, feedback):,}" for feedback in FEEDBACK]
    print(f"\nease.ml/ci, {LOOKS} looks, delta {ALPHA:g}: independent rows, by feedback {' / '.join(FEEDBACK)}")
    print(f"    any two accuracies, their difference to +/- {WITHIN:g}: {' / '.join(asked)}")
    for name, champion in GAINS.items():
        old, new = (holdout.p[one] > 0.5 for one in (champion, FULL))
        changed = float(np.mean(old != new))
        more = float(np.mean(new == (holdout.y == 1)) - np.mean(old == (holdout.y == 1)))
        what = f"    {name}: {100 * changed:.1f} % of decisions change, accuracy {more:+.4f}"
        if more > 0:
            asked = [f"{rivals.bennett_rows(changed, more, ALPHA, LOOKS, feedback):,.0f}" for feedback in FEEDBACK]
            what += f", to tell that from 0: {' / '.join(asked)}"
        print(what)


def levels_asked() -> None:
    """How many errors by day a gain must be above 0, by rule; and what the rule's p value is worth as evidence."""

    def show(name: str, asked: Iterable[float]) -> None:
        print(f"    {name:48}" + "".join(f"{errors:12.2f}" for errors in asked))

    print(f"\n{'errors that a gain must exceed':52}" + "".join(f"{f'{days} days':>12}" for days in WINDOWS))
    for name, alpha in (("the only look", ALPHA), (f"1 of {LOOKS} looks", ONE_LOOK)):
        high = (stats.Estimate(0.0, 1.0, days - 1).high(alpha) for days in WINDOWS)
        show(f"{name}: p {alpha:g}, an e value of {rivals.e_value(alpha):.1f}", high)
    for name, evidence, alpha in (
        ("one-sided", rivals.one_sided_evidence, 2 * ALPHA),
        ("two-sided", rivals.two_sided_evidence, ALPHA),
    ):
        rhos = {days: rivals.mixture_rho(days, alpha) for days in WINDOWS}
        bounds = (rivals.mixture_bound(evidence, days, rho, ALPHA) / math.sqrt(days) for days, rho in rhos.items())
        show(f"{name} mixture, one challenger watched daily", bounds)


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p) - np.log1p(-p))


def table_of_rules(holdout: Holdout) -> None:
    """Print what each rule promotes, at one look."""
    heading("(a) no difference in truth: two seeds, swapped at random day by day")
    for days in WINDOWS:
        line(f"    {days} days", swapped(holdout, days))

    heading(f"(b) challengers that differ by their seed only: {len(SEEDS)} models, every pair")
    for days in WINDOWS:
        share, lost = another_seed(holdout, days)
        line(f"    {days} days", share)
        line("      a champion that meets 30 of them loses to one", lost)

    heading("(c) better in truth: every window of so many days")
    for name, champion in GAINS.items():
        print(f"    {name}: {gain(holdout, champion, FULL)}")
        for days in WINDOWS:
            line(f"      {days} days", over_windows(holdout, champion, FULL, days))

    heading("(d) the calibration trap: trained to September instead of August")
    for name in TRAPS:
        pair = f"{name} to August", f"{name} to September"
        print(f"    {name}: {gain(holdout, *pair)}")
        for days in WINDOWS:
            line(f"      {days} days", over_windows(holdout, *pair, days))
    trap(holdout)
    worth(holdout)
    rows_asked(holdout)
    levels_asked()
    rows = holdout.window(0, 61)
    start = time.process_time()
    judged(holdout, rows, holdout.p["10 rounds"], holdout.p[FULL], ONE_LOOK)
    print(f"\none judgement of {int(rows.sum()):,} rows: {time.process_time() - start:.2f} CPU s")


def table_of_promotions(holdout: Holdout) -> None:
    """Print what several promotions on one holdout cost, and find."""
    losses = np.array([stats.log_loss(holdout.y, holdout.p[f"seed {seed}"]) for seed in SEEDS])
    promotions.tables(promotions.Days(losses, holdout.day))


def table_of_guards(holdout: Holdout) -> None:
    """Print what each guard costs and finds, and each loss."""
    guards.table_of_guards(holdout)
    guards.table_of_losses()


TABLES = {"rules": table_of_rules, "promotions": table_of_promotions, "guards": table_of_guards}


def main() -> None:
    """Print the tables that are named on the command line, or all."""
    asked = sys.argv[1:] or list(TABLES)
    if unknown := [name for name in asked if name not in TABLES]:
        sys.exit(f"no table is called {', '.join(unknown)}; there are {', '.join(TABLES)}")
    began = time.process_time()
    holdout = models.holdout()
    print(f"October to December 2013: {len(holdout.y):,} flights, {100 * holdout.y.mean():.1f} % late")
    print(f"features and models {time.process_time() - began:.0f} CPU s")
    for name in asked:
        start = time.process_time()
        TABLES[name](holdout)
        print(f"\n{name}: {time.process_time() - start:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
