"""Moves: how far a column went from one run of days to another, and how far it may by its own past; pure.

Rows of a day share weather, queues, one delivery. So two samples of days always differ, and a test that takes rows as
independent says "two samples of days", not "drift". Here nothing is assumed of rows: what counts as far is learned
from how far runs of days of the past, as long as the ones that are compared, lay from each other.

Runs are consecutive days, never days drawn at random. Days depend on the days beside them (a front passes in three to
five, timetables repeat in seven): random days of a month resemble each other more than one week resembles the next,
and a limit of them is too low. A run moved along day by day has all that in it, weekdays too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pushforward.gate import special

Floats = NDArray[np.float64]
Distance = Callable[[Floats, Floats], Floats]
How = Literal["runs", "year", "halves"]

ALPHA = 0.05  # of a false alarm, over all columns that are looked at together
MONTH, YEAR = 28, 364  # whole weeks
LEAST = 2.0  # runs of the past that do not overlap, for a limit of runs
SLOW = (2, 3, 4, 5, 6)  # months, over which a slow leak adds up
NEARLY = 0.9  # of the days that months of the past have rows on: a month with fewer scatters more than they did
BLOCK, BLOCKS, SPLITS, SEED = 5, 5, 200, 7  # days of a block, and how many at least
NO_MATTER = 0.02  # an index that is no matter however still the past was: a tenth of what folklore calls a shift
MISSING = 0.01  # a share of the rows that is none either
EMPTY = 1e-4  # an empty part would make an index infinite; a hundredth of a percent stands for "hardly any"
# What is known of the scatter of cube roots before a past has shown any, as if of so many runs.
PRIOR_FREEDOM, PRIOR_SCATTER = 4.0, 0.4


def index(before: Floats, after: Floats) -> Floats:
    """The population stability index of counts by part (the last axis): the sum of (after - before) log(after/before).

    It is the symmetric divergence of Kullback and Leibler ("On Information and Sufficiency", 1951), as scorecards use
    it (Siddiqi, "Credit Risk Scorecards", 2006). Not a number where either has no row.
    """
    old, new = (np.maximum(_shares(counts), EMPTY) for counts in (before, after))
    told: Floats = ((new - old) * np.log(new / old)).sum(axis=-1)
    return told


def share(before: Floats, after: Floats) -> Floats:
    """The squared difference of two shares: the last axis is (rows that have it, rows that do not)."""
    told: Floats = (_shares(after)[..., 0] - _shares(before)[..., 0]) ** 2
    return told


def mean(before: Floats, after: Floats) -> Floats:
    """The squared difference of two means: the last axis is (sum, rows)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        told: Floats = (after[..., 0] / after[..., 1] - before[..., 0] / before[..., 1]) ** 2
    return told


def volume(before: Floats, after: Floats) -> Floats:
    """The squared log ratio of rows a day: the last axis is (rows, days)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        told: Floats = np.log((after[..., 0] / after[..., 1]) / (before[..., 0] / before[..., 1])) ** 2
    return told


def _shares(counts: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        told: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return told


@dataclass(frozen=True)
class Move:
    """How far it went, how far it may, and what that was learned from: `runs` of the past that do not overlap.

    `before` and `after` are the runs compared, by (first, end) of the line. `how`: `runs` next to each other, the like
    days of the `year` before, or `halves` where the past is too short for either. A slow one went over `months`.
    """

    distance: float
    limit: float
    how: How
    runs: float
    before: tuple[int, int]
    after: tuple[int, int]
    months: int = 0

    @property
    def far(self) -> bool:
        """Whether it went further than its past explains."""
        return self.distance > self.limit


def limit(distances: Floats, runs: float, alpha: float) -> float:
    """The distance that one more run exceeds with probability `alpha`, by those of `runs` runs; no less than any.

    A squared difference of means, as every distance here is to first order, is spread as chi-square, and the cube
    root of that nearly as the normal (Wilson and Hilferty, "The Distribution of Chi-square", 1931). Its upper bound
    for one future value is Student's (Hahn and Meeker, "Statistical Intervals", 1991, 4.7). Few runs show their
    scatter badly: what chi-square has of one or two degrees of freedom, .4 of its mean, counts as four more of them
    (as Smyth draws variances together: "Linear Models and Empirical Bayes Methods", 2004).
    """
    roots = np.cbrt(distances)
    mean, freedom = float(roots.mean()), max(0.0, runs - 1)
    scatter = PRIOR_FREEDOM * (PRIOR_SCATTER * mean) ** 2 + freedom * float(roots.var()) * runs / max(freedom, 1.0)
    total = PRIOR_FREEDOM + freedom
    bound = mean + special.stdtrit(total, 1 - alpha) * float(np.sqrt(scatter / total * (1 + 1 / runs)))
    return max(bound**3, float(distances.max()))


@dataclass(frozen=True)
class Line:
    """Days in a row: what a distance adds up of each, and where the reference ends and the window begins and ends.

    `there` are the days that say something: those with rows, or all of them where no row says something too.
    """

    totals: Floats
    there: NDArray[np.bool_]
    ends: int
    window: tuple[int, int]

    def _sums(self) -> Floats:
        width = self.totals.shape[1]
        return np.concatenate([np.zeros((1, width)), np.cumsum(self.totals, axis=0)])

    def step(self, distance: Distance, alpha: float, least: float = 0.0) -> Move | None:
        """From what was before to the window; None where the past is too short to say anything.

        Held against the like days of the year before, where there are enough such pairs in the past; else against the
        days before, as many as the window has, and up to four weeks as far as three such runs are left before them.
        The window is taken from its first day with rows to its last: one day of a week is held against days.
        """
        first, end = self.window
        days = first + np.flatnonzero(self.there[first:end])
        if not len(days):
            return None
        line, sums = replace(self, window=(int(days[0]), int(days[-1]) + 1)), self._sums()
        yearly = line._yearly(sums, distance, alpha, least)
        return yearly if yearly is not None else line._lately(sums, distance, alpha, least)

    def _lately(self, sums: Floats, distance: Distance, alpha: float, least: float) -> Move | None:
        """Against the days before, by runs of the past next to each other."""
        first, end = self.window
        length = end - first
        back = max(length, min(MONTH, self.ends - 3 * length))
        runs = (self.ends - back) / length
        if runs < LEAST:
            return self._halves(sums, distance, alpha, least)
        starts = np.arange(back, self.ends - length + 1, max(1, length // 10))
        past = _known(distance(_run(sums, starts - back, starts), _run(sums, starts, starts + length)))
        told = distance(sums[self.ends] - sums[self.ends - back], sums[end] - sums[first])
        if not len(past) or not np.isfinite(told):
            return None
        allowed = limit(past, runs, alpha) * self._gap(back)
        return Move(float(told), max(least, allowed), "runs", runs, (self.ends - back, self.ends), self.window)

    def _gap(self, back: int) -> float:
        """What a gap before the window allows more: it is time in which a column may have gone as far again."""
        return 1 + (self.window[0] - self.ends) / back

    def _yearly(self, sums: Floats, distance: Distance, alpha: float, least: float) -> Move | None:
        """Against the days of the year before around those of the window, by pairs of the past that lie so."""
        first, end = self.window
        length = end - first
        around = max(0, MONTH - length) // 2
        earliest = YEAR + around
        runs = (self.ends - earliest) / length
        if runs < 2 * LEAST or first < earliest or end - YEAR + around > self.ends:
            return None
        starts = np.arange(earliest, self.ends - length + 1, max(1, length // 10))
        old = starts - YEAR
        past = _known(distance(_run(sums, old - around, old + length + around), _run(sums, starts, starts + length)))
        before = (first - YEAR - around, end - YEAR + around)
        told = distance(sums[before[1]] - sums[before[0]], sums[end] - sums[first])
        if not len(past) or not np.isfinite(told):
            return None
        return Move(float(told), max(least, limit(past, runs, alpha)), "year", runs, before, self.window)

    def _halves(self, sums: Floats, distance: Distance, alpha: float, least: float) -> Move | None:
        """Against all days of a past too short to have runs, by many splits of it, of whole blocks of days."""
        first, end = self.window
        blocks = [np.arange(at, min(at + BLOCK, self.ends)) for at in range(0, self.ends, BLOCK)]
        blocks = [block for block in blocks if self.there[block].any()]
        wanted = max(1, min(len(blocks) // 2, round((end - first) / BLOCK)))
        if len(blocks) < BLOCKS:
            return None
        held = np.array([self.totals[block].sum(axis=0) for block in blocks])
        chance = np.random.default_rng(SEED)
        taken = np.zeros((SPLITS, len(blocks)))
        for row in taken:
            row[chance.permutation(len(blocks))[:wanted]] = 1
        past = _known(distance((1 - taken) @ held, taken @ held))
        told = distance(sums[self.ends], sums[end] - sums[first])
        if not len(past) or not np.isfinite(told):
            return None
        runs = len(blocks) / wanted
        allowed = max(least, limit(past, runs, alpha) * self._gap(self.ends))
        return Move(float(told), allowed, "halves", runs, (0, self.ends), self.window)

    def slow(self, distance: Distance, alpha: float, least: float = 0.0) -> Move | None:
        """The move over two to six months that went furthest for what it may; None where the past is too short.

        Steps without a direction go a distance that grows with their number: of a move over k months, a k-th is held
        against the moves of up to k months before it began, each by its own number. What leaks goes one way: its
        distance grows with the square, and after some months it is seen although no step was. Of a month cut short, by
        a gap or by an end of the rows, nothing is said: few days lie further from a month than months do.
        """
        sums, (first, end) = self._sums(), self.window
        length = max(end - first, MONTH)
        found = [self._over(sums, distance, (months, length, alpha / len(SLOW), least)) for months in SLOW]
        told = [one for one in found if one is not None]
        return max(told, key=lambda one: one.distance / one.limit) if told else None

    def _over(self, sums: Floats, distance: Distance, asked: tuple[int, int, float, float]) -> Move | None:
        months, length, alpha, least = asked
        end = self.window[1]
        old = end - (months + 1) * length, end - months * length
        runs = (old[1] - length) / length
        if runs < LEAST or not self._whole((old[0], end - length), length):
            return None
        past = []
        for lag in range(1, months + 1):
            starts = np.arange(lag * length, old[1] - length + 1, length // 7)
            early = starts - lag * length
            past.append(distance(_run(sums, early, early + length), _run(sums, starts, starts + length)) / lag)
        known = _known(np.concatenate(past))
        told = distance(sums[old[1]] - sums[old[0]], sums[end] - sums[end - length])
        if not len(known) or not np.isfinite(told):
            return None
        allowed = max(least, limit(known, runs, alpha) * months)
        return Move(float(told), allowed, "runs", runs, old, (end - length, end), months)

    def _whole(self, starts: tuple[int, int], length: int) -> bool:
        """Whether runs that start so have rows on nearly as many days as runs of the reference mostly have."""
        days = np.concatenate([[0], np.cumsum(self.there)])
        runs = days[length:] - days[:-length]
        known = runs[: max(0, self.ends - length + 1)]
        usual = float(np.median(known)) if len(known) else length
        return all(runs[start] >= NEARLY * usual for start in starts)


def _run(sums: Floats, first: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
    told: Floats = sums[end] - sums[first]
    return told


def _known(distances: Floats) -> Floats:
    """Those that are some: a run without a row has none."""
    return distances[np.isfinite(distances)]


def newcomers(fresh: Floats, length: int, alpha: float) -> float:
    """How many new texts a run of `length` days may bring, by those that `fresh` days had; none where it had none.

    Counts of rare things are spread as Poisson's, whose cube roots are nearly normal too.
    """
    back = max(MONTH, length)
    starts = np.arange(back, len(fresh) - length + 1)
    if not len(starts):
        return 0.0
    sums = np.concatenate([[0.0], np.cumsum(fresh)])
    return limit(sums[starts + length] - sums[starts], (len(fresh) - back) / length, alpha)


def longest_absence(there: Sequence[bool] | NDArray[np.bool_]) -> int:
    """The most days in a row without, between two with."""
    places = np.flatnonzero(np.asarray(there))
    return int(np.diff(places).max() - 1) if len(places) > 1 else len(there)
