"""The time-honesty probe: replace what was not known at an instant, and no prediction decided by then may change.

Features with a memory see outcomes of earlier rows by right, so hiding the labels is not enough. The probe finds what
reaches a prediction through the events; it says nothing of what a row itself tells. For that the gate has the suspicion
stop: a jump of the AUC too good to be true asks for a person.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward.errors import PushforwardError
from pushforward.gate import stats
from pushforward.text import figure

KNOWN_AT = "known_at"
WHICH = "which events there are"
SEVERAL = "several columns together"
UNSTABLE = "nothing"

INSTANTS = 3
SHARE = 5  # of the events after an instant, one in so many is taken away
NAMED = 3
SECOND = 1_000_000
DAY = 86_400 * SECOND

Floats = NDArray[np.float64]
# Events in order, part by part, of which no more than one is in memory.
Told = Sequence[pl.LazyFrame]
# Scores the rows with the events of the first file, leaves its predictions in the second; in the order of the rows.
Score = Callable[[Path, Path], Floats]


class Trial(NamedTuple):
    """An instant to probe at: the events with what became known later replaced, and where the predictions go."""

    instant: datetime
    told: Path
    left: Path


@dataclass(frozen=True)
class Violation:
    """Predictions decided by `instant` that changed when only what became known later did.

    `rows` is how many, `keys` the first of them, `largest` the largest change, `source` the column of the events
    through which they see it: a name, or one of `WHICH`, `SEVERAL` and `UNSTABLE` (scoring the very same events again
    gives other predictions).
    """

    instant: datetime
    rows: int
    keys: tuple[str, ...]
    largest: float
    source: str

    def sentence(self) -> str:
        """What is wrong, for the verdict."""
        some = ", ".join(self.keys) + (", …" if self.rows > len(self.keys) else "")
        many = f"{self.rows:,} prediction{'s' if self.rows > 1 else ''} ({some})"
        if self.source == UNSTABLE:
            most = f"by up to {figure(self.largest)}"
            return f"scoring the same rows and events again moves {many} {most}: it cannot be judged"
        through = {
            WHICH: "by which events there are, or how many",
            SEVERAL: "by several columns of the events together",
        }.get(self.source, f"by the column {self.source!r} of the events")
        return (
            f"the features see the future: {many} decided by {self.instant:%Y-%m-%d %H:%M} UTC change by up to "
            f"{figure(self.largest)} when only what became known later is replaced; they see it {through}"
        )


def instants(rows: pl.DataFrame, time: str, count: int = INSTANTS) -> tuple[datetime, ...]:
    """Moments at which to probe: on each of the `count` busiest days another one, spread over the day's decisions.

    Each is the `time` of some row, so that what is known exactly then still counts as known. Oldest first.
    """
    decided = rows.select(at=_microseconds(rows[time])).filter(pl.col("at").is_not_null())
    days = decided.group_by(day=pl.col("at") // DAY).agg(pl.len(), pl.col("at").sort())
    busiest = days.sort("len", "day", descending=[True, False]).head(count)["at"].to_list()
    chosen = {times[len(times) * (place + 1) // (len(busiest) + 1)] for place, times in enumerate(busiest)}
    return tuple(datetime.fromtimestamp(at / SECOND, UTC) for at in sorted(chosen))


class Part(NamedTuple):
    """Which part of all events a table of them is: its place, and whether it is the last."""

    place: int = 0
    last: bool = True


def perturbed(
    events: pl.DataFrame,
    instant: datetime,
    keys: pl.Series,
    parts: Sequence[str] | None = None,
    part: Part = Part(),  # noqa: B008, it is frozen
) -> pl.DataFrame:
    """`events` with everything that became known after `instant` replaced; the same for the same arguments.

    Every value of every column but the key (the column named as `keys` is) becomes another one of that column; the
    moments from which events are known move but stay after `instant`; some events go and more come, about `keys` that
    are drawn at random. `parts` limits this to some of `changeable(events.columns, keys.name)`. Earlier events keep
    their bytes and their order; later ones follow, ordered by `known_at`. Of a `part` of all events values and moments
    are those of that part: parts that follow each other in time still do.
    """
    chosen = changeable(events.columns, keys.name) if parts is None else parts
    at = _microseconds(events[KNOWN_AT])
    moment = _moment(instant)
    is_later = (at > moment).fill_null(value=False)
    earlier, later = events.filter(~is_later), events.filter(is_later)
    if later.is_empty() and not part.last:
        return events  # what comes after it in the other parts is theirs
    random = np.random.default_rng([moment % 2**63, part.place] if part.place else moment % 2**63)
    first, end = (int(one or moment) for one in (at.min(), at.max()))  # type: ignore[arg-type]
    begin = max(first - SECOND, moment) if part.place else moment
    span = max(end - begin, 0) + (DAY if part.last else SECOND)
    if WHICH in chosen:
        later = _other_events(events, later, keys, random)
    replaced = [
        _moments(later, begin, span, random) if column == KNOWN_AT else _others(later[column], events[column], random)
        for column in chosen
        if column != WHICH
    ]
    later = later.with_columns(replaced)
    if WHICH in chosen and KNOWN_AT not in chosen:
        # An event that was drawn from the time before must not stay there.
        stays = (_microseconds(later[KNOWN_AT]) > moment).fill_null(value=False)
        later = later.with_columns(later[KNOWN_AT].zip_with(stays, _moments(later, begin, span, random)))
    return pl.concat([earlier, later.sort(KNOWN_AT, maintain_order=True)])


def write_perturbed(
    events: Told, instant: datetime, keys: pl.Series, path: Path, parts: Sequence[str] | None = None
) -> None:
    """Leave all events with the future replaced at `path`; as they are where `parts` is empty."""

    def made(place: int) -> pl.DataFrame:
        table = events[place].collect()
        of_all = Part(place, last=place + 1 == len(events))
        return table if parts == [] else perturbed(table, instant, keys, parts, of_all)

    if len(events) == 1:
        made(0).write_parquet(path)
        return
    pieces = [path.with_name(f"{path.stem}-{place}{path.suffix}") for place in range(len(events))]
    for place, piece in enumerate(pieces):
        made(place).write_parquet(piece)
    pl.concat([pl.scan_parquet(piece, glob=False) for piece in pieces]).sink_parquet(path)
    for piece in pieces:
        piece.unlink()


def changeable(columns: Sequence[str], key: str) -> list[str]:
    """What `perturbed` can replace: every column but the key, `known_at` last, then `WHICH`."""
    return [*(name for name in columns if name not in {key, KNOWN_AT}), KNOWN_AT, WHICH]


def changed(rows: pl.DataFrame, before: Floats, after: Floats, instant: datetime, time: str) -> NDArray[np.bool_]:
    """Which rows decided by `instant` have another prediction, but for rounding; arrays are in the order of `rows`."""
    decided = (_microseconds(rows[time]) <= _moment(instant)).fill_null(value=False).to_numpy()
    return np.asarray(decided & stats.differing(before.astype(np.float64), after.astype(np.float64)))


def trials(
    rows: pl.DataFrame,
    events: Told,
    *,
    key: str,
    time: str,
    folder: Path,
    suffix: str = ".parquet",
    count: int = INSTANTS,
) -> list[Trial]:
    """What a model is to be told again, once an instant, as tables in `folder`; nothing where no event could leak.

    The predictions of instant n are to be in `folder/n<suffix>`.
    """
    if not applies(events):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for place, instant in enumerate(instants(rows, time, count)):
        found.append(Trial(instant, folder / f"{place}-events.parquet", folder / f"{place}{suffix}"))
        write_perturbed(events, instant, rows[key], found[-1].told)
    return found


def probe(
    rows: pl.DataFrame,
    events: Told,
    before: Floats,
    afters: Sequence[tuple[Trial, Floats]],
    score: Score,
    *,
    key: str,
    time: str,
) -> Violation | None:
    """What the trials have shown, None where no prediction decided by their instants changed.

    `before` are the predictions that are judged, `afters` those of each trial, in the order of `rows`. Finding the
    column costs half a dozen scorings more.
    """

    def score_with(parts: Sequence[str], trial: Trial) -> Floats:
        told, left = trial.left.with_name("again-events.parquet"), trial.left.with_stem("again")
        write_perturbed(events, trial.instant, rows[key], told, parts)
        try:
            return score(told, left)
        finally:
            told.unlink()

    for trial, after in afters:
        instant = trial.instant
        if not changed(rows, before, after, instant, time).any():
            continue
        again = score_with([], trial)
        if changed(rows, before, again, instant, time).any():
            return _violation(rows, before, again, instant, key, time, UNSTABLE)
        source = _source(
            changeable(columns_of(events), key),
            lambda parts: bool(changed(rows, before, score_with(parts, trial), instant, time).any()),  # noqa: B023
        )
        return _violation(rows, before, after, instant, key, time, source)
    return None


def compare(
    rows: pl.DataFrame,
    events: Told,
    before: Floats,
    afters: Sequence[Floats],
    *,
    key: str,
    time: str,
    source: str = "",
) -> Violation | None:
    """The same from predictions that a jailed run has left, one for each of the instants; nothing is scored.

    `source` is what that run says of the column: taken only where the events have such a thing.
    """
    chosen = instants(rows, time, len(afters))
    known = source if source in {*changeable(columns_of(events), key), SEVERAL, UNSTABLE} else SEVERAL
    for instant, after in zip(chosen, afters, strict=True):
        if changed(rows, before, after, instant, time).any():
            return _violation(rows, before, after, instant, key, time, known)
    return None


@contextlib.contextmanager
def with_the_future_replaced() -> Iterator[None]:
    """Says of an error inside that it comes of the probe: there the challenger had scored well before."""
    try:
        yield
    except PushforwardError as failed:
        said = f"with the future replaced the challenger cannot be scored: {failed.message}"
        raise PushforwardError(said, next=failed.next, exit_code=failed.exit_code) from failed


def applies(events: Told) -> bool:
    """Whether anything in the events becomes known at some moment."""
    if KNOWN_AT not in columns_of(events):
        return False
    known = pl.col(KNOWN_AT).is_not_null().any()
    return any(part.select(known).collect().item() for part in events)


def columns_of(events: Told) -> list[str]:
    """The columns that they have."""
    return events[0].collect_schema().names()


def _violation(
    rows: pl.DataFrame, before: Floats, after: Floats, instant: datetime, key: str, time: str, source: str
) -> Violation:
    wrong = changed(rows, before, after, instant, time)
    keys = tuple(str(one) for one in rows[key].filter(pl.Series(wrong)).head(NAMED))
    largest = float(np.nanmax(np.abs(after[wrong] - before[wrong])))
    return Violation(instant, int(wrong.sum()), keys, largest, source)


def _source(parts: list[str], changes: Callable[[list[str]], bool]) -> str:
    """The one part that, replaced alone, changes a prediction: by halves, since every trial is a scoring."""
    while len(parts) > 1:
        half = parts[: len(parts) // 2]
        parts = half if changes(half) else parts[len(parts) // 2 :]
    return parts[0] if changes(parts) else SEVERAL


def _other_events(
    events: pl.DataFrame, later: pl.DataFrame, keys: pl.Series, random: np.random.Generator
) -> pl.DataFrame:
    """A part of `later` taken away, and twice as many drawn from all events put in, about other keys."""
    gone = random.choice(later.height, later.height // SHARE, replace=False)
    kept = np.ones(later.height, dtype=bool)
    kept[gone] = False
    strangers = events[random.integers(0, events.height, 2 * len(gone) + 1)]
    if keys.name in strangers.columns and len(keys):
        drawn = keys.gather(random.integers(0, len(keys), strangers.height)).cast(strangers.schema[keys.name])
        strangers = strangers.with_columns(drawn)
    return pl.concat([later.filter(pl.Series(kept)), strangers])


def _others(column: pl.Series, pool: pl.Series, random: np.random.Generator) -> pl.Series:
    """For each value another one that occurs in `pool`, null among them; a column of one value stays as it is."""
    values = pool.unique(maintain_order=True)
    if len(values) < 2 or not len(column):
        return column
    places = values.to_frame("value").with_row_index("place")
    own = column.to_frame("value").join(places, on="value", how="left", nulls_equal=True, maintain_order="left")
    step = random.integers(1, len(values), len(column))
    return values.gather((own["place"].to_numpy() + step) % len(values)).alias(column.name)


def _moments(later: pl.DataFrame, moment: int, span: int, random: np.random.Generator) -> pl.Series:
    """Moments after `moment`, whole seconds away from it, in the type that `known_at` has."""
    kind = later.schema[KNOWN_AT]
    zone = kind.time_zone if isinstance(kind, pl.Datetime) else None
    drawn = moment + SECOND * random.integers(1, span // SECOND + 1, later.height)
    return pl.Series(KNOWN_AT, drawn).cast(pl.Datetime("us")).dt.replace_time_zone(zone).cast(kind)


def _microseconds(moments: pl.Series) -> pl.Series:
    """Microseconds since 1970; a moment without a zone is UTC."""
    return moments.dt.epoch("us")


def _moment(instant: datetime) -> int:
    return round(instant.timestamp() * SECOND)
