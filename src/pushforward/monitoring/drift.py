"""Drift: whether rows that came are as those of the reference; pure. `monitor` and whoever shows it call it.

What counts as far is learned from the reference's own days (`gate.moves` has the formulas, docs/drift.md the reasons):
a window of three days is held against runs of three days of the past, a month against months.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

from pushforward import percent
from pushforward.gate import moves
from pushforward.gate.counted import OTHER, Counted, Floats
from pushforward.gate.moves import ALPHA, MISSING, MONTH, NO_MATTER, Line, Move
from pushforward.monitoring.reference import Reference, Unseen, Window
from pushforward.text import figure

Kind = Literal[
    "index", "mean", "missing", "slow index", "slow mean", "slow missing", "unseen", "gone", "volume", "absent",
    "added", "type",
]  # fmt: skip
ROUNDING = 1e-6  # of a mean: what sums of many rows may lose
RARE = 0.001  # of the rows: unseen texts in fewer are told, and alarm nobody
SETTLED = 10  # days with a value, before its absence says anything
NAMED = 3


@dataclass(frozen=True)
class Finding:
    """What was measured of a column ("" is of the rows), how much of it is allowed, and both in words.

    `far` is an alarm; the rest was looked at and lies within its limit. `move` has the runs of days that were compared.
    """

    column: str
    kind: Kind
    measured: float
    limit: float
    words: str
    far: bool
    move: Move | None = None


def compare(reference: Reference, window: Window, *, volume: bool = True) -> tuple[Finding, ...]:
    """Everything that was looked at, what is furthest beyond its limit first; nothing where either has no row.

    A false alarm anywhere has probability `ALPHA` for each kind of finding, over all columns together, as far as the
    days to come are as the past: seasons that it has not seen are not. Days of the reference that are not before the
    window, as where a version has trained on later ones, say nothing of what it may. `volume` says whether the rows of
    a day are to be as many as they were.
    """
    reference = reference.before(window.first)
    if not reference.rows.sum() or not window.rows.sum():
        return ()
    found = [*_frame(reference, window), *(_volume(reference, window) if volume else ())]
    came = {one.name: one for one in window.columns}
    pairs = [(one, came[one.name]) for one in reference.columns if one.name in came]
    for old, new in pairs:
        found += _column(old, new, ALPHA / len(pairs))
        found += [*_gone(old, new), *_unseen(reference, old, window)]
    return tuple(sorted(found, key=lambda one: (not one.far, -_excess(one), one.column, one.kind)))


def alarms(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those that are beyond their limit."""
    return tuple(one for one in found if one.far)


def _excess(one: Finding) -> float:
    return one.measured / one.limit if one.limit else math.inf if one.far else 0.0


def _column(old: Counted, new: Counted, alpha: float) -> Iterator[Finding]:
    """How the values, their mean and the missing ones of a column moved, at once and slowly."""
    both = old.plus(new)
    there = both.counts.sum(axis=1)
    asked: list[tuple[Kind, Kind, moves.Distance, Floats, float, float]] = [
        ("missing", "slow missing", moves.share, np.stack([both.missing, there], 1), MISSING**2, alpha)
    ]
    each = alpha / 2 if old.parts.numeric else alpha
    if not old.parts.opaque:
        asked.append(("index", "slow index", moves.index, both.counts, NO_MATTER, each))
    if old.parts.numeric:
        rounding = ROUNDING * float(np.abs(old.sums).sum()) / max(1.0, float(old.counts.sum()))
        asked.append(("mean", "slow mean", moves.mean, np.stack([both.sums, there], 1), rounding**2, each))
    for at_once, slowly, distance, totals, least, level in asked:
        days = (totals[:, 0] + there if distance is moves.share else there) > 0
        line = Line(totals, days, old.end - both.first, (new.first - both.first, new.end - both.first))
        step, slow = line.step(distance, level, least), line.slow(distance, level, 4 * least)
        if step is not None:
            yield _moved(both, at_once, step)
        if slow is not None and not (step is not None and step.far):  # a jump is no leak as well
            yield _moved(both, slowly, slow)


def _moved(both: Counted, kind: Kind, move: Move) -> Finding:
    squared = not kind.endswith("index")
    measured, limit = (math.sqrt(one) if squared else one for one in (move.distance, move.limit))
    words = f"{both.name}: {_what(both, kind, move)}; {_why(both, kind, move, limit)}"
    return Finding(both.name, kind, measured, limit, words, move.far, move)


def _what(both: Counted, kind: Kind, move: Move) -> str:
    """What moved, from where to where."""
    runs = move.before, move.after
    old, new = (_sum(both.counts, run) for run in runs)
    many = [max(1.0, float(rows.sum())) for rows in (old, new)]
    if kind.endswith("missing"):
        gone = [float(_sum(both.missing, run)) for run in runs]
        shares = [lost / max(1.0, lost + float(rows.sum())) for lost, rows in zip(gone, (old, new), strict=True)]
        return f"missing {percent.share(shares[0])} → {percent.share(shares[1])}"
    stability = [f"PSI {figure(move.distance, 2)}"] if kind.endswith("index") else []
    if both.parts.numeric:
        means = [float(_sum(both.sums, run)) / rows for run, rows in zip(runs, many, strict=True)]
        return ", ".join([f"mean {figure(means[0], 2)} → {figure(means[1], 2)}", *stability])
    before, after = old / many[0], new / many[1]
    names = (*both.parts.values, OTHER)
    most = [at for at in np.argsort(-np.abs(after - before), kind="stable")[:NAMED] if after[at] != before[at]]
    told = [f"{names[at]} {percent.share(before[at])} → {percent.share(after[at])}" for at in most]
    return ", ".join([*told, *stability])


def _why(both: Counted, kind: Kind, move: Move, limit: float) -> str:
    """What it is held against, and why so much is allowed."""
    first, end = (_date(both.first + at) for at in (move.before[0], move.before[1] - 1))
    length = move.after[1] - move.after[0]
    allowed = percent.share(limit) if kind.endswith("missing") else figure(limit, 2)
    learned = {
        "runs": f"its moves between runs of {length} days",
        "year": "its moves from one year to the next on like days",
        "halves": "halves of its days, a past too short to know seasons,",
    }[move.how]
    over = f"over {move.months} times {length} days, " if move.months else ""
    return f"{over}against {first} to {end}, where {learned} allow {allowed}"


def _frame(reference: Reference, window: Window) -> Iterator[Finding]:
    """Columns that did not come, came as something else, or are new."""
    for name in window.absent:
        yield Finding(name, "absent", 1.0, 0.0, f"{name}: no such column came", far=True)
    for name, dtype in window.wrong:
        one = reference.column(name)
        kind = "numbers" if one is not None and one.parts.numeric else "texts"
        yield Finding(name, "type", 1.0, 0.0, f"{name}: came as {dtype}, where the reference has {kind}", far=True)
    for name in window.added:
        yield Finding(name, "added", 1.0, 1.0, f"{name}: a column that the reference does not have", far=False)


def _volume(reference: Reference, window: Window) -> Iterator[Finding]:
    first, end = min(reference.first, window.first), max(reference.end, window.end)
    rows = np.zeros(end - first)
    for one in (reference, window):
        rows[one.first - first : one.end - first] += one.rows
    every, span = np.ones(len(rows)), (window.first - first, window.end - first)
    line = Line(np.stack([rows, every], 1), every > 0, reference.end - first, span)
    move = line.step(moves.volume, ALPHA, math.log(1.1) ** 2)
    if move is None:
        return
    old, new = (float(_sum(rows, run)) / (run[1] - run[0]) for run in (move.before, move.after))
    factor = math.exp(math.sqrt(move.limit))
    words = f"{old:,.0f} → {new:,.0f} rows a day, where its past allows {old / factor:,.0f} to {old * factor:,.0f}"
    yield Finding("", "volume", math.sqrt(move.distance), math.sqrt(move.limit), words, move.far, move)


def _gone(old: Counted, new: Counted) -> Iterator[Finding]:
    """Values that were there until lately, and have been away for twice as long as ever before."""
    if old.parts.numeric or old.parts.opaque:
        return
    open_days = old.counts.sum(axis=1) > 0
    lately = old.counts[-max(MONTH, len(new.counts)) :].sum(axis=0)
    total = max(1.0, float(lately.sum()))
    away = int((new.counts.sum(axis=1) > 0).sum())
    for at, value in enumerate(old.parts.values):
        there = old.counts[open_days, at] > 0
        if not lately[at] or new.counts[:, at].any() or there.sum() < SETTLED:
            continue
        since = away + int(len(there) - 1 - np.flatnonzero(there)[-1])
        longest, share = moves.longest_absence(there), percent.share(lately[at] / total)
        limit = 2.0 * (longest + 1)
        words = f"{old.name}: {value} is gone, {share} of the rows before; away for {since} days, before for {longest}"
        yield Finding(old.name, "gone", float(since), limit, words, since >= limit)


def _unseen(reference: Reference, old: Counted, window: Window) -> Iterator[Finding]:
    """Texts that no day had before, against how many new ones runs of days of the past brought."""
    told: Unseen | None = next((one for one in window.unseen if one.column == old.name), None)
    if told is None:
        return
    texts = sum(not (one.parts.numeric or one.parts.opaque) for one in reference.columns)
    limit = moves.newcomers(old.fresh, len(window.rows), ALPHA / texts)
    names = ", ".join(told.named) + (", …" if told.values > len(told.named) else "")
    words = (
        f"{old.name}: {told.values} unseen value{'s' if told.values > 1 else ''} ({names}) in "
        f"{percent.share(told.share)} of the rows, where its past allows {limit:.0f}"
    )
    yield Finding(old.name, "unseen", told.values, limit, words, told.values > limit and told.share >= RARE)


def _sum(days: Floats, run: tuple[int, int]) -> Floats:
    told: Floats = days[run[0] : run[1]].sum(axis=0)
    return told


def _date(day: int) -> date:
    return date(1970, 1, 1) + timedelta(days=day)
