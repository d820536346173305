"""The window that grows: which one a change is judged on, and how long a look that could not tell may wait for days.

A window is extended by a change that adds batches to their list and as many to `gate.window`: what models train on
stays, and what is asked has come since. With `gate.extend` that is an arrival like any other, and a look that could not
tell is taken up again on all of it (`ledger`, `askings`).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from pushforward.gate import stats
from pushforward.gate import verdict as verdicts
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Validation, Verdict
from pushforward.judge import ledger, names
from pushforward.judge.askings import DIGEST, Days, Plan
from pushforward.judge.looks import Look
from pushforward.pipeline.revision import Revision
from pushforward.settings import Settings
from pushforward.text import plural


def window_of(judge: Revision, subject: Revision) -> int:
    """How many of the newest batches the holdout of a change has: those of the judge, unless the change extends it.

    That is a change that leaves all batches that were there and adds to the window as many as to their list; where
    looks may wait for them. Where the window that has grown has retired, a change may have it begin anew as long as it
    once began.
    """
    rules, theirs = judge.settings, subject.settings
    window = rules.gate.window
    if not (rules.extend and rules.batched and theirs.batched):
        return window
    asked, old, new = theirs.gate.window, judge.batches, subject.batches
    if asked >= window:
        return asked if asked - window == len(new) - len(old) and new[: len(old)] == old else window
    book, grown = ledger.of(judge.repository.path, subject.model), old[-window:]
    began = grown[: grown.index(book.began(grown)) + 1]
    return asked if asked == len(began) and book.state(names.ledger(began)).retired else window


def until(book: ledger.Ledger, rules: Settings, window: Sequence[str]) -> str:
    """The last batch that a window had when it was first looked at, where it has grown since; else ""."""
    began = book.began(window) if rules.extend and rules.batched else window[-1]
    return "" if began == window[-1] else began


def plan_of(rules: Settings, evidence: Evidence, labels: pl.DataFrame) -> Plan | None:
    """How a look at these rows may wait; None where none may."""
    batches = len(evidence.months)
    if not (rules.extend and rules.batched):
        return None
    days = days_of(evidence, labels[rules.contract.key], labels[rules.contract.label])
    return Plan(days, math.ceil(len(days.digests) * (batches + rules.extend) / batches - 1e-9))


def days_of(evidence: Evidence, keys: pl.Series, labels: pl.Series) -> Days:
    """The clusters of the rows, by which a look knows them again; a row's key is told by its text."""
    assert evidence.champion is not None  # noqa: S101, without one there is no look
    told = [stats.rounded(p.astype(np.float64)) for p in (evidence.champion, evidence.challenger)]
    texts, names_, became = keys.cast(pl.String).to_list(), evidence.clusters.tolist(), labels.to_list()
    order = sorted(range(len(texts)), key=texts.__getitem__)
    hashes = {name: hashlib.sha256(str(name).encode()) for name in names_}
    for row in order:
        hashes[names_[row]].update(b"\0" + texts[row].encode() + b"\0" + b"".join(p[row].tobytes() for p in told))
    digests = {name: found.digest()[:DIGEST] for name, found in hashes.items()}
    lines = tuple((digests[names_[row]], f"{texts[row]} {became[row]!r}\n") for row in order)
    return Days(frozenset(digests.values()), lines)


def told(verdict: Verdict, taken: Look, panel: Validation | None) -> Verdict:
    """The verdict with how far its look has come, and, where days may still settle it, about how many.

    By the numbers of the holdout where those are told, else by the gain of the validation month, which anybody may see.
    """
    waits = taken.waits
    if waits is None:
        return verdict
    count, is_open = waits.last.clusters, verdict.verdict == "unknown" and not waits.over
    needed = _needed(verdict, panel, count, waits.last.level) if is_open else None
    more = None if needed is None else max(1, needed - count)
    found = verdicts.Waiting(len(waits.askings), waits.planned, waits.alpha, waits.spent, is_open, more)
    verdict = replace(verdict, look=verdict.look and replace(verdict.look, waiting=found))
    if not is_open:
        return verdict
    return replace(verdict, reason=f"{verdict.reason}; {sentence(found, count, verdict.cluster)}")


def sentence(waiting: "verdicts.Waiting", count: int, cluster: str) -> str:
    """That a look stays open, and for how long."""
    left = waiting.planned - count
    most = f"the look stays open for {left:,} {plural(cluster) if left > 1 else cluster} more"
    if waiting.more is None:
        return most
    if waiting.more > left:
        return f"{most}, which will hardly settle it"
    return f"{most}: about {waiting.more:,} more {plural(cluster) if waiting.more > 1 else cluster} settle it"


def _needed(verdict: Verdict, panel: Validation | None, count: int, level: float) -> int | None:
    """How many clusters in all would settle it."""
    if not verdict.sealed:
        return verdict.days_to_settle
    if panel is None or not panel.gain_error or not panel.numbers or panel.clusters < 2:
        return None
    gain, mode = panel.numbers[0].gain, verdict.mode
    if gain is None or (gain <= 0 and mode != "refresh"):
        return None
    # The error of a mean over days falls with the root of their number.
    error = panel.gain_error * math.sqrt(panel.clusters / count)
    return stats.clusters_to_settle(stats.Estimate(gain, error, count - 1), 0.0, level)
