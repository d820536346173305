"""What it costs and gives to wait for more days: `python benchmarks/extend.py`, a minute of one core.

The models and days are those of `models.py`, whose predictions it takes from the same temporary folder. A look is asked
on 31 days of flights and stays open for 30 more; `sequential` spends its level, and beside it stand asking once, asking
once at the end, and a mixture that may be watched for ever (`rivals.py`).
"""

import functools
import math
from collections.abc import Sequence

import gate
import models
import numpy as np
import numpy.typing as npt
import rivals
from scipy import special
from scipy.stats import binomtest

from pushforward.gate import sequential, stats

Floats = npt.NDArray[np.float64]

FIRST, MORE = 31, 30
TRIED = 300  # draws of a pair of seeds for who asks at times of their own
PLANNED = FIRST + MORE
DRAWS = 40_000
BLOCK = 4_000
STEPS = {
    "once, on 31 days": [FIRST],
    "once, on 61 days": [PLANNED],
    "open, asked every day": [*range(FIRST, PLANNED + 1)],
    "open, asked every week": [*range(FIRST, PLANNED, 7), PLANNED],
}
LEVELS = (gate.ALPHA, gate.ONE_LOOK)


def levels(days: Sequence[int], alpha: float) -> list[float]:
    """The nominal level at each asking."""
    if len(days) == 1:
        return [alpha]  # no look that waits
    return [level(alpha, tuple(days[: place + 1])) for place in range(len(days))]


@functools.cache
def level(alpha: float, days: tuple[int, ...]) -> float:
    """The nominal level of the newest asking."""
    before = [level(alpha, days[:place]) for place in range(1, len(days))]
    return sequential.nominal(alpha, [one / PLANNED for one in days], before)


def by_day(holdout: models.Holdout, champion: Floats, challenger: Floats) -> tuple[Floats, Floats]:
    """Sum of the gain and number of rows of each day."""
    gain = stats.log_loss(holdout.y, champion) - stats.log_loss(holdout.y, challenger)
    day = holdout.day - holdout.first
    return np.bincount(day, weights=gain), np.bincount(day).astype(np.float64)


def t_values(sums: Floats, rows: Floats) -> Floats:
    """(draws, days) -> the gain in its clustered errors after each day but the first; NaN at that one."""
    count = np.arange(1, sums.shape[-1] + 1)
    total, many = np.cumsum(sums, axis=-1), np.cumsum(rows, axis=-1)
    mean = total / many
    square = np.cumsum(sums**2, -1) - 2 * mean * np.cumsum(sums * rows, -1) + mean**2 * np.cumsum(rows**2, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total / np.sqrt(square * count / (count - 1)))


def p_values(t: Floats) -> Floats:
    """One-sided p values after each day."""
    return np.asarray(special.stdtr(np.maximum(np.arange(t.shape[-1]), 1), -t))


def watched(t: Floats, alpha: float, rho: float) -> npt.NDArray[np.bool_]:
    """After which days a one-sided mixture is evident, in units of a day's own deviation."""
    count = np.arange(1, t.shape[-1] + 1)
    scale, total = count + rho, t * np.sqrt(count)
    log_e = (np.log(4 * rho / scale) + total**2 / scale) / 2 + special.log_ndtr(total / np.sqrt(scale))
    return np.asarray(log_e >= math.log(1 / alpha))


def first_days(p: Floats, days: Sequence[int], alpha: float) -> npt.NDArray[np.int64]:
    """After how many days each draw has passed; 0 where it never does."""
    at = np.asarray(days)
    passed = p[:, at - 1] < np.asarray(levels(days, alpha))
    return np.where(passed.any(axis=1), at[passed.argmax(axis=1)], 0)


def adaptive(t: Floats, p: Floats, alpha: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Who asks at times of their own: at random days; and, reading every number, only after a day that looks good.

    Whether each of some draws passes.
    """
    found = []
    for looks_good in (False, True):
        passes = []
        for draw in range(len(p)):
            days, hit = (FIRST,), bool(p[draw, FIRST - 1] < level(alpha, (FIRST,)))
            chosen = t[draw, FIRST:PLANNED] > 1.3 if looks_good else random.random(MORE) < 0.15
            asked = [FIRST + 1 + int(place) for place in np.flatnonzero(chosen)][:6]
            for day in [*asked, *([PLANNED] if PLANNED not in asked else [])]:
                if hit:
                    break
                days = (*days, day)
                hit = bool(p[draw, day - 1] < level(alpha, days))
            passes.append(hit)
        found.append(np.asarray(passes, dtype=np.float64))
    return found[0], found[1]


def null(holdout: models.Holdout) -> None:
    """No difference in truth: of two seeds, which is called the challenger is drawn anew for every day."""
    random = np.random.default_rng(2)
    counts: dict[tuple[str, float], list[bool]] = {}
    rho = {alpha: rivals.mixture_rho(PLANNED, 2 * alpha) for alpha in LEVELS}
    for other in models.SEEDS[1:6]:
        sums, rows = by_day(holdout, holdout.p[models.FULL], holdout.p[f"seed {other}"])
        for _ in range(DRAWS // BLOCK // 5):
            order = np.array([random.permutation(len(sums))[:PLANNED] for _ in range(BLOCK)])
            t = t_values(sums[order] * random.choice([-1.0, 1.0], order.shape), rows[order])
            p = p_values(t)
            for alpha in LEVELS:
                for name, days in STEPS.items():
                    counts.setdefault((name, alpha), []).extend(first_days(p, days, alpha) > 0)
                mixed = watched(t, alpha, rho[alpha])[:, FIRST - 1 :].any(axis=1)
                counts.setdefault(("mixture, watched every day", alpha), []).extend(mixed)
        some = adaptive(t[:TRIED], p[:TRIED], gate.ALPHA, random)
        for name, passes in zip(("open, at random days", "open, after good days, numbers read"), some, strict=True):
            counts.setdefault((name, gate.ALPHA), []).extend(passes > 0)
    print(
        f"\n{'no difference in truth: share that passes':44}{'level':>8}{'found':>9}{'95 % interval':>19}{'draws':>9}"
    )
    for (name, alpha), passes in sorted(counts.items(), key=lambda one: -one[0][1]):
        found = binomtest(int(np.sum(passes)), len(passes)).proportion_ci()
        span = f"{100 * found.low:.2f} to {100 * found.high:.2f} %"
        print(f"    {name:40}{100 * alpha:7.2f}%{100 * np.mean(passes):8.2f}%{span:>19}{len(passes):9,}")


def power(holdout: models.Holdout) -> None:
    """Better in truth, every run of 61 days: which share the whole gate promotes, and after how many days."""
    for alpha in LEVELS:
        print(f"\n{f'better in truth, level {100 * alpha:g} %: promoted, days':44}", end="")
        print("".join(f"{name:>28}" for name in (*STEPS, "mixture, watched")))
        rho = rivals.mixture_rho(PLANNED, 2 * alpha)
        for name, champion in models.GAINS.items():
            old, new = holdout.p[champion], holdout.p[models.FULL]
            sums, rows = by_day(holdout, old, new)
            cells = []
            for days in [*STEPS.values(), None]:
                ends = []
                for start in holdout.starts(PLANNED):
                    part = slice(start, start + PLANNED)
                    t = t_values(sums[None, part], rows[None, part])
                    ends.append(_end(holdout, (old, new), start, t, days, alpha, rho))
                found = [one for one in ends if one]
                shown = f"{100 * len(found) / len(ends):.1f} %"
                mean = np.mean([one or (days or STEPS["open, asked every day"])[-1] for one in ends])
                cells.append(f"{shown:>18}{mean:10.1f}")
            print(f"    {name:40}" + "".join(cells))


def _end(
    holdout: models.Holdout,
    pair: tuple[Floats, Floats],
    start: int,
    t: Floats,
    days: Sequence[int] | None,
    alpha: float,
    rho: float,
) -> int:
    """After how many days the gate promotes, 0 where it never does; of the mixture its test alone."""
    if days is None:
        passed = watched(t, alpha, rho)[0, FIRST - 1 :]
        return FIRST + int(passed.argmax()) if passed.any() else 0
    p = p_values(t)[0]
    for day, held in zip(days, levels(days, alpha), strict=True):
        if p[day - 1] < held:
            rows = holdout.window(start, day)
            if models.judged(holdout, rows, *pair, held).verdict == "promote":
                return day
    return 0


def main() -> None:
    """Print the tables."""
    table = models.kept("predictions", models.predictions)
    holdout = models.Holdout({name: table[name].to_numpy() for name in table.columns})
    for alpha in LEVELS:
        told = levels(STEPS["open, asked every week"], alpha)
        print(f"level {100 * alpha:g} %, asked weekly: " + ", ".join(f"{100 * one:.3f} %" for one in told))
    null(holdout)
    power(holdout)


if __name__ == "__main__":
    main()
