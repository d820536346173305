"""What each guard of the gate costs and finds: how often it is in the way where nothing is wrong, and where much is.

A holdout is 61 days drawn with replacement from October to December, so that what is true of a change is known: its
mean over all of them. A change is a model, or the champion with something done to it of known size. Then every loss of
the gate's table on drawn labels. `python benchmarks/gate.py guards` prints the tables.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from models import FULL, Floats, Holdout

from pushforward.gate import decision, guards, stats
from pushforward.gate.case import Case
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Mode
from pushforward.settings import GateRules

Rows = npt.NDArray[np.intp]
Asked = Callable[[Case, Floats], bool]  # of a case and its champion: whether it stands in the way

DRAWS, SEED, DAYS = 80, 61, 61
ALPHA, ONE_LOOK = 0.05, 0.0025
WIDE = (16, 10, 22, 10, 18)


@dataclass(frozen=True)
class Trial:
    """A change, and what is asked of it; `floor` are the predictions that it must beat."""

    name: str
    champion: Floats
    challenger: Floats
    floor: Floats | None = None
    mode: Mode = "superior"


def logit(p: Floats) -> Floats:
    """Log odds."""
    return np.asarray(np.log(p) - np.log1p(-p))


def expit(x: Floats) -> Floats:
    """What they are the log odds of."""
    return np.asarray(1 / (1 + np.exp(-x)))


def until(holds: Callable[[float], bool], high: float) -> float:
    """The least number up to `high` of which `holds` is true, by bisection; it is of all above it."""
    low = 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


class Draws:
    """So many holdouts of days drawn with replacement: which rows, and which day each is of, the drawn one by one."""

    def __init__(self, holdout: Holdout) -> None:
        self.holdout, random = holdout, np.random.default_rng(SEED)
        _, codes = np.unique(holdout.day, return_inverse=True)
        of_day = [np.flatnonzero(codes == day) for day in range(codes.max() + 1)]
        self.drawn = []
        for _ in range(DRAWS):
            days = [of_day[day] for day in random.integers(0, len(of_day), DAYS)]
            self.drawn.append((np.concatenate(days), np.repeat(np.arange(DAYS), [len(rows) for rows in days])))

    def cases(self, trial: Trial, rules: GateRules) -> Iterator[tuple[Case, Floats]]:
        """The trial on each of the holdouts, with the champion's predictions."""
        for rows, days in self.drawn:
            evidence = Evidence(
                y=self.holdout.y[rows],
                champion=trial.champion[rows],
                challenger=trial.challenger[rows],
                clusters=days,
                mode=trial.mode,
                months=(),
                slices={"origin": self.holdout.origin[rows]},
                floor=None if trial.floor is None else trial.floor[rows],
                floor_name="what is simple",
            )
            yield Case(evidence, rules, "day"), trial.champion[rows]

    def share(self, trial: Trial, asked: Asked, rules: GateRules) -> float:
        """In how many of the holdouts the guard stands in the way."""
        return float(np.mean([asked(case, champion) for case, champion in self.cases(trial, rules)]))


def losses(case: Case, champion: Floats) -> tuple[Floats, Floats]:
    """By row, of both."""
    return stats.log_loss(case.y, champion), stats.log_loss(case.y, case.new)


def passes(case: Case, champion: Floats) -> bool:
    """Whether the main test alone would let it pass."""
    old, new = losses(case, champion)
    bound = -case.rules.refresh_margin * float(np.mean(old)) if case.evidence.mode == "refresh" else 0.0
    return case.mean(old - new).low(case.rules.alpha) > bound


def by_offset(case: Case, champion: Floats) -> bool:
    """The loss with both levels refitted."""
    return guards.offset(case, champion)[2].outcome != "pass"


def by_auc(case: Case, champion: Floats) -> bool:
    """The AUC."""
    return guards.auc(case, champion)[1].outcome != "pass"


def by_slices(case: Case, champion: Floats) -> bool:
    """The slices."""
    return guards.slice_guard(guards.slices_of(case, *losses(case, champion))).outcome != "pass"


def by_floors(case: Case, _: Floats) -> bool:
    """The constant, or the floor where one is given."""
    return guards.floors(case)[-1][1].outcome != "pass"


def by_plausible(case: Case, champion: Floats) -> bool:
    """What is too good to be true."""
    old, new = losses(case, champion)
    main = guards.number("log loss", "lower", old, new, case.mean(old - new), case.rules.alpha)
    return bool(guards.plausible(case, stats.auc(case.y, champion)) or guards.too_good(case, main))


def by_tolerance(case: Case, champion: Floats) -> bool:
    """That of the month's refresh."""
    return not passes(case, champion)


class Made:
    """Changes of known size, made of the full model; the noise is that of one draw."""

    def __init__(self, holdout: Holdout) -> None:
        self.y, self.origin, self.full = holdout.y, holdout.origin, holdout.p[FULL]
        self.random = np.random.default_rng(SEED)
        self.noise = self.random.normal(size=len(self.y))
        self.loss = float(np.mean(stats.log_loss(self.y, self.full)))

    def shifted(self, by: float) -> Floats:
        """With all log odds moved."""
        return expit(logit(self.full) + by)

    def noisy(self, much: float, where: npt.NDArray[np.bool_] | bool = True) -> Floats:
        """With noise of that deviation in its log odds, and the same mean."""
        return stats.offset_adjusted(self.y, expit(logit(self.full) + np.where(where, much * self.noise, 0.0)))

    def less_auc(self, by: float) -> Floats:
        """With noise that costs so much AUC."""
        full = stats.auc(self.y, self.full)
        return (
            self.noisy(until(lambda much: full - stats.auc(self.y, self.noisy(much)) >= by, 3.0)) if by else self.full
        )

    def worse(self, share: float, where: npt.NDArray[np.bool_] | bool = True) -> Floats:
        """With noise that costs such a share of the loss, where it is."""
        rows = np.broadcast_to(where, self.y.shape)
        before = stats.log_loss(self.y, self.full)[rows].mean()

        def enough(much: float) -> bool:
            return bool(stats.log_loss(self.y, self.noisy(much, where))[rows].mean() >= (1 + share) * before)

        return self.noisy(until(enough, 3.0), where)

    def towards_constant(self, gain: float) -> Floats:
        """Shrunk towards the constant until it beats it by such a share of its loss alone."""
        rate = float(self.y.mean())
        flat = float(np.mean(stats.log_loss(self.y, np.full_like(self.y, rate))))
        base, around = logit(np.array([rate])), logit(self.full) - logit(self.full).mean()

        def at(kept: float) -> Floats:
            return stats.offset_adjusted(self.y, expit(base + kept * around))

        return at(until(lambda kept: 1 - float(np.mean(stats.log_loss(self.y, at(kept)))) / flat >= gain, 1.0))

    def leaking(self, share: float) -> Floats:
        """Knowing the label of such a share of the rows: they are given 19 to 1."""
        known = self.random.random(len(self.y)) < share
        return np.where(known, np.where(self.y == 1, 0.95, 0.05), self.full)


def table_of_guards(holdout: Holdout) -> None:
    """Print in how many of the holdouts each guard stands in the way of each change."""
    draws, made, p = Draws(holdout), Made(holdout), holdout.p
    rules = GateRules(alpha=ONE_LOOK, slices=["origin"])
    other = p["seed 1"]
    print(f"\nguards: of {DRAWS} holdouts of {DAYS} days, where each stands in the way")
    print(f"    {'change':64}{'of those that pass else':>24}{'of all':>10}")

    def show(guard: str, trials: list[Trial], asked: Asked) -> None:
        print(f"  {guard}")
        for trial in trials:
            found = [(passes(case, old), asked(case, old)) for case, old in draws.cases(trial, rules)]
            would = [stops for main, stops in found if main]
            share = f"{100 * np.mean(would):.1f} % of {len(would)}" if would else "none passes"
            print(f"    {trial.name:64}{share:>24}{100 * np.mean([stops for _, stops in found]):>8.1f} %", flush=True)

    gains = [
        ("rotation added (0.8 %)", "no rotation"),
        ("60 rounds, not 15 (2.0 %)", "15 rounds"),
        ("60 rounds, not 10", "10 rounds"),
    ]
    better = [Trial(f"better: {name}", p[old], made.full) for name, old in gains]
    shifts = [
        Trial(f"level alone: champion off by {by:+.2f}, another seed is not", made.shifted(by), other)
        for by in (0.3, 0.45, 0.6)
    ]
    both = [Trial("level, and rotation: champion off by +0.30", expit(logit(p["no rotation"]) + 0.3), made.full)]
    show("log loss, offset adjusted", better + shifts + both, by_offset)
    worse = [(0.0, other), *((by, made.less_auc(by)) for by in (0.005, 0.01, 0.015, 0.02))]
    aucs = [Trial(f"AUC falls by {by:g}" + (", another seed" if not by else ""), made.full, new) for by, new in worse]
    show("AUC, at most .01 lost", better[:1] + aucs, by_auc)
    place = made.origin == "LGA"
    harms = [(0.0, other), *((by, made.worse(by, place)) for by in (0.02, 0.03, 0.04, 0.06))]
    slices = [Trial(f"{100 * by:g} % worse at one airport of three", made.full, new) for by, new in harms]
    show("slices, 2 %", better[:1] + slices, by_slices)
    weak = [
        Trial(f"beats the constant by {100 * by:g} %", made.full, made.towards_constant(by))
        for by in (0.005, 0.01, 0.02)
    ]
    nothing = expit(logit(np.full_like(made.y, made.y.mean())) + 0.02 * made.noise)
    show("constant", [*better[:1], *weak, Trial("knows nothing", made.full, nothing)], by_floors)
    beaten = [
        Trial(f"beats the floor by {100 * by:g} %", other, made.full, floor=made.worse(by))
        for by in (0.0025, 0.005, 0.01)
    ]
    above = [Trial("loses to the floor by 0.25 %", other, made.worse(0.0025), floor=made.full)]
    show("floor", beaten + above, by_floors)
    leaks = [
        Trial(f"knows the label of {100 * by:g} % of rows", made.full, made.leaking(by)) for by in (0.05, 0.1, 0.2)
    ]
    show("plausible", better + leaks, by_plausible)
    rules = rules.model_copy(update={"alpha": ALPHA})
    costs = [(0.0, other), *((by, made.worse(by)) for by in (0.005, 0.01, 0.015, 0.02))]
    refreshed = [
        Trial(f"costs {100 * by:g} %" + (", another seed" if not by else ""), made.full, new, mode="refresh")
        for by, new in costs
    ]
    show("tolerance of a refresh, 1 %", refreshed, by_tolerance)


LOSSES: dict[str, dict[str, float]] = {
    "logloss": {},
    "brier": {},
    "squared": {},
    "absolute": {},
    "huber": {"delta": 1.0},
    "pinball": {"quantile": 0.9},
    "poisson": {},
    "percentage": {},
}


def drawn(metric: str, random: np.random.Generator, gain: float) -> Evidence:
    """61 days of 40 rows: labels, and two models whose errors have a part that a whole day shares.

    Without a `gain` it is drawn anew for each day which of the two is called the challenger; with one, the challenger's
    errors are so much smaller.
    """
    days, rows = 61, 40
    day = np.repeat(np.arange(days), rows)
    truth = random.normal(size=days * rows) + random.normal(size=days)[day]

    def model(scale: float) -> Floats:
        error = 0.5 * random.normal(size=days * rows) + 0.3 * random.normal(size=days)[day]
        return np.asarray(truth + scale * error)

    one, two = model(1.0), model(1.0 - gain)
    if not gain:
        swap = random.integers(0, 2, days).astype(bool)[day]
        one, two = np.where(swap, two, one), np.where(swap, one, two)
    if metric in ("logloss", "brier"):
        y = (random.random(len(truth)) < expit(truth)).astype(np.float64)
        one, two = expit(one), expit(two)
    elif metric in ("poisson", "percentage"):
        means = np.exp(truth / 2)
        one, two = np.exp(one / 2), np.exp(two / 2)
        y = (
            random.poisson(means).astype(np.float64)
            if metric == "poisson"
            else means * random.lognormal(0, 0.3, len(means))
        )
    else:
        # three rows in a hundred are far off
        far = np.where(random.random(len(truth)) < 0.03, 5.0, 1.0)
        shift = stats_normal(0.9) if metric == "pinball" else 0.0
        y, one, two = truth + far * random.normal(size=len(truth)), one + shift, two + shift
    return Evidence(y, one, two, day, "superior", ())


def stats_normal(share: float) -> float:
    """The normal deviate that is exceeded with probability 1 - share."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def table_of_losses() -> None:
    """Print how often each loss promotes what is no better, at 5 % and at one of ten looks, and what is."""
    count = 500
    print(f"\nlosses: {count} drawn holdouts of 61 days, share promoted")
    heads = ("no better, 5 %", "at .25 %", "errors 5 % less, 5 %", "10 % less", "10 % less, .25 %")
    print(f"    {'loss':14}" + "".join(f"{head:>{wide + 2}}" for head, wide in zip(heads, WIDE, strict=True)))
    for metric, parameter in LOSSES.items():
        rules = GateRules(metric=metric, alpha=ALPHA, suspect_fall=1.0, **parameter)
        cells = []
        for gain, alpha in ((0.0, ALPHA), (0.0, ONE_LOOK), (0.05, ALPHA), (0.1, ALPHA), (0.1, ONE_LOOK)):
            random = np.random.default_rng(SEED)
            asked = rules.model_copy(update={"alpha": alpha})
            told = [decision.judge(replace(drawn(metric, random, gain)), asked).verdict for _ in range(count)]
            cells.append(100 * float(np.mean([word == "promote" for word in told])))
        print(
            f"    {metric:14}" + "".join(f"{share:>{wide}.1f} %" for share, wide in zip(cells, WIDE, strict=True)),
            flush=True,
        )
