"""Outcomes of answers that were given: which are known at a moment, and the age from which nearly all are. Pure.

`live` counts with them. What is known early is no sample of what comes: on time is known on time, and late is known
late, or the other way round. So answers count from an age on at which nearly all outcomes are known, whatever they say.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from pushforward.gate.stats import Floats

SHARE = 0.99  # of the outcomes, that is nearly all of them
LEAST = 100  # answers that were followed for as long as an age, before anything is said of it
LONG = 10.0
ROUNDING = 1e-12
KEY, TIME, LABEL, KNOWN = "key", "time", "label", "known_at"


@dataclass(frozen=True)
class Wait:
    """The age from which nearly all outcomes are known; None where what is there does not tell it yet.

    It was learned from `rows` answers; `share` of the outcomes are known at the age `followed`, the oldest that can be
    told: that of the oldest answer where there are too few of them.
    """

    age: timedelta | None
    rows: int
    share: float
    followed: timedelta = timedelta()

    @property
    def words(self) -> str:
        """What is known of it, as part of a sentence."""
        if self.age is not None and self.share < SHARE:
            return f"{span(self.age)} are waited for; {1 - self.share:.1%} of the outcomes never come"
        if self.age is not None:
            return f"{SHARE:.0%} of the outcomes are known after {span(self.age)}"
        if self.rows < LEAST:
            return f"{self.rows:,} answers are too few to tell when their outcomes are known"
        if not self.share:
            return f"no outcome of {self.rows:,} answers has come within {self._long}"
        return f"{self.share:.1%} of the outcomes are known after {self._long}: how long to wait is not to be told yet"

    @property
    def _long(self) -> str:
        return span(self.followed)


def known(outcomes: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Of each key the newest label that is known at `now`, and in `known_at` the moment of its first."""
    there = outcomes.filter(pl.col(KNOWN) <= now).sort(KNOWN, maintain_order=True)
    kept = pl.all().exclude(KEY, KNOWN).last()
    return there.group_by(KEY, maintain_order=True).agg(kept, pl.col(KNOWN).first())


def joined(answers: pl.DataFrame, outcomes: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The answers that were asked until `now`, each with its label as it is known then, or null.

    Those without a key are left out: no outcome can come to them, so none is waited for.
    """
    asked = answers.filter((pl.col(TIME) <= now) & (pl.col(KEY) != ""))
    told = known(outcomes, now)
    own = [name for name in told.columns if name == KEY or name not in asked.columns]
    return asked.join(told.select(own), on=KEY, how="left", maintain_order="left")


def learned(time: pl.Series, known_at: pl.Series, now: datetime, *, never: float = 0.0) -> Wait:
    """The wait, from when rows were asked and their outcomes known: `known_at` is null where none is known yet.

    What is not known yet counts as such, at the age that it has: the estimate is that of Kaplan and Meier (1958).
    Without that the slow ones among the new rows would be missing, and the age be too short. An age that fewer than
    `LEAST` rows have been followed for tells nothing. Where a share of at most `never` has not come after `LONG` times
    the age at which nearly all others had, it is taken never to come.
    """
    from scipy import stats as scipy_stats  # two seconds to import

    followed = _seconds(pl.Series([now] * len(time), dtype=time.dtype) - time)
    seen = known_at.is_not_null().to_numpy()
    ages = np.where(seen, np.maximum(_seconds((known_at - time).fill_null(timedelta())), 0.0), followed)
    oldest = float(np.partition(followed, -LEAST)[-LEAST]) if len(ages) >= LEAST else float(max(followed, default=0.0))
    if len(ages) < LEAST or not seen.any():
        return Wait(None, len(ages), 0.0, timedelta(seconds=oldest))
    sample = scipy_stats.CensoredData(uncensored=ages[seen], right=ages[~seen])
    curve = scipy_stats.ecdf(sample).cdf
    told = curve.quantiles <= oldest
    times, shares = curve.quantiles[told], curve.probabilities[told]
    share = float(shares[-1]) if len(shares) else 0.0
    wanted = SHARE if share >= SHARE - ROUNDING else SHARE * share
    enough = np.flatnonzero(shares >= wanted - ROUNDING)
    age = float(times[enough[0]]) if len(enough) else None
    if age is not None and share < SHARE - ROUNDING and (share < 1 - never - ROUNDING or oldest < LONG * age):
        age = None
    length = timedelta(seconds=age) if age is not None else None
    return Wait(length, len(ages), share, timedelta(seconds=oldest))


def covered(joined: pl.DataFrame) -> bool:
    """Whether outcomes are told of these rows at all: of the past not every command does."""
    return joined.height >= LEAST and joined[KNOWN].null_count() <= (1 - SHARE) * joined.height


def settled(answers: pl.DataFrame, wait: Wait, now: datetime) -> pl.DataFrame:
    """The answers that are old enough to count, with an outcome or without; none while the age is not known."""
    if wait.age is None:
        return answers.clear()
    return answers.filter(pl.col(TIME) <= now - wait.age)


def span(length: timedelta) -> str:
    """A length of time for people: 9.4 h, 12 d."""
    hours = length.total_seconds() / 3600
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _seconds(lengths: pl.Series) -> Floats:
    return np.asarray(lengths.dt.total_microseconds().to_numpy() / 1e6, dtype=np.float64)
