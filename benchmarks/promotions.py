"""How several promotions on one holdout are paid for: false promotions of teams that learn from answers, and power.

Everything is computed from the day sums of real models' losses. A holdout is a draw of days, with replacement, from
October to December; a change that gains nothing is a pair of models that differ by their seed alone, with the mean of
its day sums taken away; one that gains is the same with that much added. A team has ten looks, and what it is told is a
word a look. `python benchmarks/gate.py promotions` prints the tables; a minute of one core.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import rivals
from scipy import stats as scipy_stats
from scipy.special import stdtrit

from pushforward.judge.levels import Share

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Level = Callable[[str], float]  # of the look behind a history: P for each that has passed, f for any other

ALPHA, LOOKS = 0.05, 10
TEAMS, SEED = 2000, 20131001
MOST = (1, 2, 3, 5)
GAINS = (0.005, 0.009, 0.02)
MONTHS = {1: 31, 2: 61}


class Days:
    """Day sums of the log loss of models that differ by their seed alone, and how many rows each day has."""

    def __init__(self, losses: Floats, day: npt.NDArray[np.int64]) -> None:
        """`losses` has a row a model and a column a flight."""
        _, codes = np.unique(day, return_inverse=True)
        self.rows = np.bincount(codes).astype(np.float64)
        self.sums = np.array([np.bincount(codes, weights=one) for one in losses])
        self.loss = float(self.sums.mean(axis=0).sum() / self.rows.sum())


class World:
    """So many teams, each with its holdout of `days` days and `changes` changes that gain nothing in truth.

    `noise` has an axis each for teams, changes and days: what a change gains that day by chance; `error` is how large
    the error of its mean is in truth, `rows` how many rows a day has.
    """

    def __init__(self, known: Days, days: int, changes: int, seed: int, *, swaps: bool = False) -> None:
        random = np.random.default_rng(seed)
        models, every = known.sums.shape
        drawn = random.integers(0, every, (TEAMS, days))
        self.rows = known.rows[drawn]
        one = random.integers(0, models, (TEAMS, changes))
        other = (one + random.integers(1, models, (TEAMS, changes))) % models
        pair = known.sums[one] - known.sums[other]
        if swaps:
            # which of the two is called the challenger is drawn anew for every day
            self.noise = np.take_along_axis(pair, drawn[:, None, :], axis=2)
            self.noise = self.noise * random.choice((-1.0, 1.0), self.noise.shape)
            spread = pair
        else:
            spread = pair - pair.sum(axis=2, keepdims=True) / known.rows.sum() * known.rows
            self.noise = np.take_along_axis(spread, drawn[:, None, :], axis=2)
        self.error = np.sqrt((spread**2).mean(axis=2) * days) / (known.rows.mean() * days)

    def errors(self, day_sums: Floats) -> Floats:
        """By how many of its errors the mean of each team's day sums lies above nothing (CR1)."""
        days = day_sums.shape[1]
        mean = day_sums.sum(axis=1) / self.rows.sum(axis=1)
        rest = day_sums - mean[:, None] * self.rows
        error = np.sqrt((rest**2).sum(axis=1) * days / (days - 1)) / self.rows.sum(axis=1)
        # two changes may be each other's opposite, and add up to nothing
        return np.divide(mean, error, out=np.zeros(len(mean)), where=error > 1e-12)

    def gaining(self, change: int, gain: Floats | float) -> Floats:
        """The day sums of a change that gains so much a row in truth."""
        return np.asarray(self.noise[:, change] + np.reshape(gain, (-1, 1)) * self.rows)


def transcripts(looks: int, most: int) -> int:
    """How many histories there are at which a look is taken, where the holdout retires with promotion `most`."""
    return sum(math.comb(before, passed) for before in range(looks) for passed in range(min(most, before + 1)))


def handed_on(alpha: float, looks: int, _: int) -> Level:
    """The product's own: what passes hands its level on to the looks behind it, which share it equally."""

    @cache
    def share(history: str) -> Share:
        if not history:
            return Share.first(alpha, looks)
        before = share(history[:-1])
        return before.take().answer(before.taken + 1, before.level, passed=history[-1] == "P")

    return lambda history: share(history).level


def a_quarter(alpha: float, looks: int, _: int) -> Level:
    """The same, but behind a pass each look has a quarter of what is left, so that the next ones have most."""

    @cache
    def left(history: str) -> float:
        if not history:
            return alpha
        before, spent = left(history[:-1]), level(history[:-1])
        return spent if history[-1] == "P" else before - spent

    def level(history: str) -> float:
        rest = looks - len(history)
        return left(history) * (1 / rest if "P" not in history or rest < 4 else 1 / 4)

    return level


def three_quarters(alpha: float, looks: int, most: int) -> Level:
    """A look before any pass has 3/4 of its equal share and hands that on; the rest is spread over all others."""
    own, more = handed_on(alpha * 3 / 4, looks, most), transcripts(looks, most) - looks
    return lambda history: own(history) + (alpha / 4 / max(1, more) if "P" in history else 0.0)


def by_history(alpha: float, looks: int, most: int) -> Level:
    """The union bound over every history alike."""
    return lambda _: alpha / transcripts(looks, most)


def as_if_nothing(alpha: float, looks: int, _: int) -> Level:
    """No pass is paid for: alpha / looks, whatever has passed."""
    return lambda _: alpha / looks


def _weights(looks: int) -> Floats:
    # those of LORD that Javanmard and Montanari (2018) find to be good for normal means
    j = np.arange(1, looks + 1)
    found = np.log(np.maximum(j, 2)) / (j * np.exp(np.sqrt(np.log(j))))
    return np.asarray(found / found.sum())


def lord(alpha: float, looks: int, _: int) -> Level:
    """LORD++ (Ramdas and others 2017): each pass earns level for those behind it, for a rate of false discoveries."""
    weights, first = _weights(looks), alpha / 2

    def level(history: str) -> float:
        now, passes = len(history), [place for place, answer in enumerate(history) if answer == "P"]
        found = weights[now] * first
        for nth, place in enumerate(passes):
            found += weights[now - place - 1] * (alpha - first if nth == 0 else alpha)
        return float(found)

    return level


def investing(alpha: float, looks: int, _: int) -> Level:
    """Alpha-investing (Foster and Stine 2008): a look that fails costs level / (1 - level), a pass earns alpha."""

    @cache
    def wealth(history: str) -> float:
        if not history:
            return alpha * (1 - alpha)
        before, spent = wealth(history[:-1]), level(history[:-1])
        return before + alpha if history[-1] == "P" else before - spent / (1 - spent)

    def level(history: str) -> float:
        part = max(wealth(history), 0.0) / max(1, looks - len(history))
        return part / (1 + part)

    return level


Bound = Callable[
    [npt.NDArray[np.object_], int], Floats
]  # of histories and degrees of freedom: how many errors are asked


def by_level(level: Level) -> Bound:
    """What is asked by a rule that has a level for each history."""

    def bound(histories: npt.NDArray[np.object_], freedom: int) -> Floats:
        told = {history: level(history) for history in set(histories.tolist())}
        return np.asarray(-stdtrit(freedom, np.array([told[history] for history in histories.tolist()])))

    return bound


def ladder(_: npt.NDArray[np.object_], __: int) -> Floats:
    """The Ladder (Blum and Hardt 2015), by day: one error."""
    return np.ones(TEAMS)


def evident(_: npt.NDArray[np.object_], freedom: int) -> Floats:
    """A one-sided normal mixture of day sums with an e value of 20, tuned to so many days and read at their end."""
    days = freedom + 1
    total = rivals.mixture_bound(rivals.one_sided_evidence, days, rivals.mixture_rho(days, 2 * ALPHA), ALPHA)
    return np.full(TEAMS, total / math.sqrt(days))


def noiseless(errors: Floats, _: np.random.Generator) -> Floats:
    """The answer itself."""
    return errors


def thresholdout(errors: Floats, random: np.random.Generator) -> Floats:
    """What Thresholdout (Dwork and others 2015) would say, in errors.

    The team's own estimate is of another month as large; the threshold is two errors and the noise half of one, where
    the authors have eight and two, for thousands of questions.
    """
    own = random.normal(size=errors.shape)
    far = np.abs(errors - own) > 2 + random.laplace(scale=1.0, size=errors.shape)
    return np.where(far, errors + random.laplace(scale=0.5, size=errors.shape), own)


@dataclass(frozen=True)
class Rule:
    """Who gates: how a look's level comes of its history, or what is asked anyway, and what noise is added."""

    name: str
    level: Callable[[float, int, int], Level] | None = None
    asks: Bound | None = None
    noise: Callable[[Floats, np.random.Generator], Floats] = noiseless

    def bound(self, alpha: float, most: int) -> Bound:
        """How many errors a change must gain, where `most` promotions may be."""
        if self.asks is not None:
            return self.asks
        assert self.level is not None
        return by_level(self.level(alpha, LOOKS, most))


OURS = Rule("handed on, shared equally: the gate's", handed_on)
FREE = Rule("alpha / looks, no pass is paid for", as_if_nothing)
RULES = (
    OURS,
    Rule("handed on, a quarter of the rest to each", a_quarter),
    Rule("3/4 handed on, 1/4 to all others alike", three_quarters),
    Rule("every history alike", by_history),
    FREE,
    Rule("alpha-investing", investing),
    Rule("LORD++", lord),
    Rule("Ladder, by day", asks=ladder),
    Rule("mixture by day, e >= 20", asks=evident),
    Rule("Thresholdout", as_if_nothing, noise=thresholdout),
)


class Play:
    """Teams at their looks: what each has been told so far, and which have promoted what gains nothing."""

    def __init__(self, world: World, rule: Rule, most: int, *, alpha: float = ALPHA, seen: str = "") -> None:
        self.world, self.noise, self.most = world, rule.noise, most
        self.freedom = world.rows.shape[1] - 1
        self.ask = rule.bound(alpha, most)
        self.histories = np.full(TEAMS, seen, dtype=object)
        self.found = np.zeros(TEAMS, dtype=np.int64)
        self.false = np.zeros(TEAMS, dtype=np.bool_)
        self.passes = np.zeros(TEAMS, dtype=np.int64)
        self.random = np.random.default_rng(SEED)

    @property
    def asked(self) -> Floats:
        """How many errors each team's next change must gain."""
        return self.ask(self.histories, self.freedom)

    def look(self, day_sums: Floats, *, gains: bool) -> tuple[Bools, Bools]:
        """Which teams' change passes, and which is shown to gain nothing (`hold`); of retired holdouts neither."""
        errors, asked = self.noise(self.world.errors(day_sums), self.random), self.asked
        open_ = self.passes < self.most
        passed, held = open_ & (errors > asked), open_ & (errors <= -asked)
        self.passes += passed
        if gains:
            self.found += passed
        else:
            self.false |= passed
        self.histories = self.histories + np.where(passed, "P", "f").astype(object)
        return passed, held


def tries(play: Play) -> None:
    """Ten changes that gain nothing, one after another."""
    for change in range(LOOKS):
        play.look(play.world.noise[:, change], gains=False)


def climbs(play: Play, probes: int, below: float) -> None:
    """Changes that do gain, so little that chance decides; what passed and what did not says which way chance points.

    Each moves the model in a direction of its own, and gains what is asked less `below` errors. Then come changes that
    gain nothing and go in all of these directions at once, each the way that its answer has pointed.
    """
    ways = np.zeros((TEAMS, probes))
    for probe in range(probes):
        gain = (play.asked - below) * play.world.error[:, probe]
        passed, _ = play.look(play.world.gaining(probe, gain), gains=True)
        ways[:, probe] = np.where(passed, 1.0, -1.0)
    _strike(play, ways)


def listens(play: Play, probes: int, _: float) -> None:
    """The same by changes that do harm: `hold` or `unknown` says which way chance points, and none of them passes."""
    ways = np.zeros((TEAMS, probes))
    for probe in range(probes):
        _, held = play.look(play.world.gaining(probe, -play.asked * play.world.error[:, probe]), gains=True)
        ways[:, probe] = np.where(held, -1.0, 1.0)
    _strike(play, ways)


def _strike(play: Play, ways: Floats) -> None:
    """The looks that are left: the way that all probes have pointed, that of those that passed, then anything new."""
    world, probes = play.world, ways.shape[1]
    for place in range(LOOKS - probes):
        if place > 1:
            play.look(world.noise[:, probes + place], gains=False)
            continue
        weights = (ways if place == 0 else np.maximum(ways, 0.0)) / world.error[:, :probes]
        nothing = (weights == 0).all(axis=1)
        weights[nothing] = -1 / world.error[nothing, :probes]
        play.look(np.einsum("tk,tkd->td", weights, world.noise[:, :probes]), gains=False)


Plan = Callable[[Play], None]
ATTACKS: dict[str, list[Plan]] = {
    "tries": [tries],
    "climbs": [partial(climbs, probes=probes, below=below) for probes in range(1, LOOKS) for below in (0.0, 1.0)],
    "listens": [partial(listens, probes=probes, _=0.0) for probes in range(1, LOOKS)],
}


def interval(count: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's, at 95 %."""
    low = 0.0 if count == 0 else float(scipy_stats.beta.ppf(0.025, count, of - count + 1))
    high = 1.0 if count == of else float(scipy_stats.beta.ppf(0.975, count + 1, of - count))
    return low, high


def false_promotions(worlds: tuple[World, World], rule: Rule, most: int, attack: str) -> int:
    """Of how many teams a change that gains nothing was ever promoted: by the plan that does best with other teams."""

    def count(world: World, plan: Plan) -> int:
        play = Play(world, rule, most)
        plan(play)
        return int(play.false.sum())

    plans = ATTACKS[attack]
    best = plans[0] if len(plans) == 1 else max(plans, key=lambda plan: count(worlds[0], plan))
    return count(worlds[1], best)


def found(world: World, rule: Rule, most: int, gain: float) -> npt.NDArray[np.int64]:
    """How many gains each team has had promoted on a holdout whose first look was the month's refresh.

    Of the nine looks behind that, every second one is at a change that gains so much in truth.
    """
    play = Play(world, rule, most, alpha=ALPHA / 2, seen="f")
    for change in range(LOOKS - 1):
        gains = change % 2 == 0
        play.look(world.gaining(change, gain if gains else 0.0), gains=gains)
    return play.found


def error_table(known: Days) -> None:
    """Print how often a change that gains nothing is promoted, by rule, attack and number of promotions."""
    heads = [f"{attack}, m = {most}" for attack in ATTACKS for most in MOST]
    for name, swaps, rules in (("swapped by day", True, RULES), ("day sums centred", False, (OURS, FREE))):
        one, other = (World(known, MONTHS[2], LOOKS, SEED + place, swaps=swaps) for place in range(2))
        print(f"\n{f'no gain promoted, ever, of {TEAMS:,}: {name}':52}" + "".join(f"{head:>18}" for head in heads))
        for rule in rules:
            cells = []
            for attack, most in itertools.product(ATTACKS, MOST):
                count = false_promotions((one, other), rule, most, attack)
                low, high = interval(count, TEAMS)
                cells.append(f"{100 * count / TEAMS:.1f} ({100 * low:.1f}-{100 * high:.1f})")
            print(f"    {rule.name:48}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


def power_table(known: Days) -> None:
    """Print which share of teams has a first, second and third gain promoted, and how many a team has on average."""
    cases = [(months, gain) for months in MONTHS for gain in GAINS]
    worlds = {months: World(known, days, LOOKS, SEED + 9) for months, days in MONTHS.items()}
    heads = [f"{months} mo, {100 * gain:g} %" for months, gain in cases]
    print(f"\n{'gains promoted: 1st / 2nd / 3rd, mean':48}" + "".join(f"{head:>24}" for head in heads))
    for rule, most in [*((OURS, most) for most in MOST), *((rule, 3) for rule in RULES[1:])]:
        cells = []
        for months, gain in cases:
            made = found(worlds[months], rule, most, gain * known.loss)
            shares = " / ".join(f"{100 * np.mean(made >= number):.0f}" for number in (1, 2, 3))
            cells.append(f"{shares}, {np.mean(made):.2f}")
        print(f"    {f'{rule.name}, m = {most}':44}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


def asked_table() -> None:
    """Print how many errors each promotion asks for, where every second look behind the month's refresh passes."""
    level = handed_on(ALPHA / 2, LOOKS, LOOKS)
    print(f"\n{'errors that a gain must exceed, by promotion':52}" + "".join(f"{nth:>10}" for nth in range(1, 6)))
    for months, days in MONTHS.items():
        asked = [-float(stdtrit(days - 1, level("f" + "Pf" * nth))) for nth in range(5)]
        print(f"    {f'{months} months':48}" + "".join(f"{errors:>10.2f}" for errors in asked))
    print(f"    {'level':48}" + "".join(f"{level('f' + 'Pf' * nth):>10.2g}" for nth in range(5)))


def tables(known: Days) -> None:
    """Print all three."""
    error_table(known)
    power_table(known)
    asked_table()
