"""Check of what a search has found: its parameters and those of today on a fold that was kept back, seed by seed.

The best of many trials looks better than it is: it was chosen by the very numbers that it is then praised with. So it
is held against today's where nothing was chosen, and with seeds that nothing was tried with. `tune` asks.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pushforward.gate import stats
from pushforward.text import figure, plain, signed
from pushforward.tuning.folds import LATE, FailedError, Fold, Ground

ALPHA = 0.05  # of both sides together


@dataclass(frozen=True)
class Check:
    """What today's parameters and the best give on `fold`, a number for each seed; `apart` says that it was kept back.

    `gain` is by how much the best is better, seed for seed, between `low` and `high` at 95 %. There were to be
    `planned` seeds, had the time not been over.
    """

    fold: str
    apart: bool
    seeds: tuple[int, ...]
    today: tuple[float, ...]
    best: tuple[float, ...]
    gain: float
    low: float | None
    high: float | None
    promised: float | None
    planned: int = 0

    @property
    def worth(self) -> bool:
        """Whether the gain is more than what seeds differ by."""
        return self.low is not None and self.low > 0

    def sentences(self) -> list[str]:
        """What came of it, in words."""
        where = f"{self.fold}, {'which no trial has seen' if self.apart else 'on which the trials were compared'}"
        told = [f"on {where}: {figure(statistics.fmean(self.best))}, today's {figure(statistics.fmean(self.today))}"]
        late = f" of {self.planned}, for the time was over," if self.planned > len(self.seeds) else ""
        if self.low is None or self.high is None:
            why = "the time was over for others" if late else "tune.seed names none"
            told.append(f"one seed alone: {signed(self.gain)} better; {why}, so its noise is not known")
        else:
            bounds = f"between {signed(self.low)} and {signed(self.high)} at 95 %"
            what = "more than a seed's noise" if self.worth else "no more than a seed's noise"
            told.append(f"with {len(self.seeds)} seeds{late} each {signed(self.gain)} better, {bounds}: {what}")
        if not self.apart:
            told.append("that was not kept back: the best of many looks better there than it is, with whatever seed")
        elif self.promised is not None:
            told.append(
                f"the search promised {signed(self.promised)}; the best of many looks better than it is, the check is "
                "what counts"
            )
        return told


def check(
    ground: Ground,
    fold: Fold,
    values: tuple[Mapping[str, Any], Mapping[str, Any]],
    seeds: tuple[str, Sequence[int]],
    *,
    apart: bool,
    promised: float | None,
    say: Callable[[str], None],
    ends: float | None = None,
) -> Check:
    """Today's parameters and the best (`values`) on the fold, with each of the `seeds`: parameter, values.

    No run begins that would not end before `ends`, as long as the longest so far: what is whole by then counts.
    """
    now, best = values
    param, tried = seeds
    pairs: list[tuple[float, float]] = []
    for number in tried or (0,):
        if not ground.pace.fits(ends, 2, fresh=1 if apart and not pairs else 0):
            break
        seed = {param: number} if param else {}
        today = ground.number(fold, {**now, **seed})
        if not ground.pace.fits(ends, 1):
            break
        pairs.append((today, ground.number(fold, {**best, **seed})))
        which = f"check, {plain(param)} {number}" if param else "check"
        say(f"{which}: {figure(pairs[-1][1])}, today's {figure(pairs[-1][0])}")
    if not pairs:
        raise FailedError(LATE)
    sign = -1 if ground.told.better == "higher" else 1
    gains = [sign * (today - other) for today, other in pairs]
    mean, low, high = statistics.fmean(gains), None, None
    if len(gains) > 1:
        one = stats.Estimate(mean, statistics.stdev(gains) / math.sqrt(len(gains)), len(gains) - 1)
        low, high = one.low(ALPHA / 2), one.high(ALPHA / 2)
    olds, news = zip(*pairs, strict=True)
    done = tuple(tried)[: len(pairs)]
    return Check(str(fold), apart, done, tuple(olds), tuple(news), mean, low, high, promised, len(tried))
