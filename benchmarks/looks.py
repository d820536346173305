"""Daily looks for a year: how often they call falsely, and how late rightly: `python benchmarks/looks.py`.

A version's excess loss by day is drawn 2,000 times for 365 days, with a true mean of nothing: normal days, strongly
skewed ones (log-normal), days that correlate with the day before (autoregressive). A look is taken each day by the
monitor's own interval at 5 %; counted is in how many years it was ever wholly above nothing (what would retrain) or
below. Then the mean is moved up by a part of a day's scatter, and the day is told by which half of the years were
called. Blocks of one day are what a sequence without blocks would do. Prints one table; ten seconds of one core.
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pushforward.monitoring import interval

Floats = NDArray[np.float64]
YEARS, DAYS, ALPHA, SEED = 2000, 365, 0.05, 7
BLOCKS = (1, interval.BLOCK, 5)
MOVES = (0.3, 0.5, 1.0)  # of the scatter of a day


def draws() -> Iterator[tuple[str, Floats]]:
    """Years of days with mean 0 and scatter 1, by name."""
    chance = np.random.default_rng(SEED)
    yield "independent", chance.normal(size=(YEARS, DAYS))
    skewed = chance.lognormal(size=(YEARS, DAYS)) - np.exp(0.5)
    yield "skewed (log-normal)", skewed / np.sqrt((np.e - 1) * np.e)
    for correlation in (0.2, 0.3, 0.5):
        days = chance.normal(size=(YEARS, DAYS))
        for day in range(1, DAYS):
            fresh = np.sqrt(1 - correlation**2) * days[:, day]
            days[:, day] = correlation * days[:, day - 1] + fresh
        yield f"correlated at {correlation}", days


def looks(days: Floats, block: int) -> tuple[Floats, Floats]:
    """The mean at each look, and how far its interval goes to each side; of one row a day, not a number too early."""
    known = np.arange(1, DAYS + 1)
    sums = np.cumsum(days, axis=1)
    mean = sums / known
    whole = np.cumsum(np.add.reduceat(days, np.arange(0, DAYS, block), axis=1), axis=1)
    squares = np.cumsum(np.diff(whole, axis=1, prepend=0.0) ** 2, axis=1)
    full, part = known // block, known % block
    before, squared = (np.pad(one, ((0, 0), (1, 0)))[:, full] for one in (whole, squares))
    residuals = squared - 2 * block * mean * before + full * (block * mean) ** 2 + (sums - before - part * mean) ** 2
    count = -(-known // block)
    error = np.sqrt(np.maximum(residuals, 0.0) * count / np.maximum(count - 1, 1)) / known
    factors = np.full(DAYS, np.nan)
    for day in range(max(10, 4 * block), DAYS + 1):
        factors[day - 1] = interval.factor(day, ALPHA, block)
    return mean, factors * error


def check(days: Floats) -> None:
    """What is counted here is what the monitor says: refused where it is not."""
    mean, width = (one[0] for one in looks(days[:1], interval.BLOCK))
    for day in (interval.LEAST_CLUSTERS, 50, DAYS):
        told = interval.of(days[0, :day], np.arange(day), ALPHA)
        if not np.allclose((told.low, told.high), (mean[day - 1] - width[day - 1], mean[day - 1] + width[day - 1])):
            sys.exit(f"on day {day} the monitor says {told}, not {mean[day - 1]} ± {width[day - 1]}")


def median_day(mean: Floats, width: Floats) -> int:
    """The day by which half of the years were called."""
    called = mean > width
    first = np.where(called.any(axis=1), called.argmax(axis=1) + 1, DAYS + 1)
    return int(np.median(first))


def main() -> None:
    """Print the table, in markdown."""
    heads = [f"half found by day, {move} of a day's scatter worse" for move in MOVES]
    print(f"| days | in blocks of | called worse | called better | {' | '.join(heads)} |")
    print(f"|:--|{'--:|' * (3 + len(MOVES))}")
    for name, days in draws():
        check(days)
        for block in BLOCKS:
            mean, width = looks(days, block)
            above, below = (float(one.any(axis=1).mean()) for one in (mean > width, mean < -width))
            found = [str(median_day(mean + move, width)) for move in MOVES]
            print(f"| {name} | {block} | {above:.3f} | {below:.3f} | {' | '.join(found)} |")


if __name__ == "__main__":
    main()
