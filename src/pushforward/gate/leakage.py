"""The time-honesty probe: replace what was not known at an instant, and no prediction decided by then may change.

Features with a memory see outcomes of earlier rows by right, so hiding the labels is not enough. The probe finds what
reaches a prediction through the events; it says nothing of what a row itself tells. For that the gate has the suspicion
stop: a jump of the AUC too good to be true asks for a person.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
Places = NDArray[np.uint32]
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
    return _Known(events).perturbed(instant, keys, parts, part)


class _Drawn(NamedTuple):
    """What comes after an instant: places of events, the last of which are told about `keys`, where there are some."""

    places: Places
    keys: pl.Series | None = None


class _Known:
    """A part of all events, and what of it replacing needs at whatever instant; found once, for there are several."""

    def __init__(self, events: pl.DataFrame) -> None:
        self.events, self.at = events, _microseconds(events[KNOWN_AT])
        self._coded: dict[str, tuple[pl.Series, Places]] = {}

    def perturbed(self, instant: datetime, keys: pl.Series, parts: Sequence[str] | None, part: Part) -> pl.DataFrame:
        """What the function of this name gives."""
        chosen = self._chosen(keys.name, parts)
        moment = _moment(instant)
        is_later = (self.at > moment).fill_null(value=False)
        later = np.flatnonzero(is_later.to_numpy()).astype(np.uint32)
        if not len(later) and not part.last:
            return self.events  # what comes after it in the other parts is theirs
        random = np.random.default_rng([moment % 2**63, part.place] if part.place else moment % 2**63)
        drawn = self._other_events(later, keys, random) if WHICH in chosen else _Drawn(later)
        others = {
            column: self._others(column, drawn.places, random)
            for column in self.of_values(keys.name, parts)
            if len(self.values(column)[0]) > 1
        }
        known = self.events[KNOWN_AT].gather(drawn.places)
        if KNOWN_AT in chosen:
            known = self._moments(len(known), moment, part, random)
        elif WHICH in chosen:
            # An event that was drawn from the time before must not stay there.
            known = known.zip_with(is_later.gather(drawn.places), self._moments(len(known), moment, part, random))
        return pl.concat([self.events.filter(~is_later), self._told(drawn, others, known, keys.name)])

    def _chosen(self, key: str, parts: Sequence[str] | None) -> Sequence[str]:
        return changeable(self.events.columns, key) if parts is None else parts

    def of_values(self, key: str, parts: Sequence[str] | None) -> list[str]:
        """The columns, of those that are to be replaced, in which values are replaced by others of the column."""
        return [name for name in self._chosen(key, parts) if name not in {KNOWN_AT, WHICH}]

    def values(self, column: str) -> tuple[pl.Series, Places]:
        """Each value that occurs in a column, null among them, and where among these the value of each event is."""
        if column not in self._coded:
            found = self.events[column].unique(maintain_order=True)
            places = found.to_frame("value").with_row_index("place")
            own = self.events.select(value=column).join(
                places, on="value", how="left", nulls_equal=True, maintain_order="left"
            )
            self._coded[column] = found, own["place"].to_numpy()
        return self._coded[column]

    def _told(self, drawn: _Drawn, others: Mapping[str, Places], known: pl.Series, key: str) -> pl.DataFrame:
        """The events that come after an instant, in the order of their moments `known`; `others` are places of values.

        A column that is in neither, such as one of a single value, keeps what it is.
        """
        order = np.argsort(known.to_physical().to_numpy(), kind="stable").astype(np.uint32)

        def column(name: str) -> pl.Series:
            if name == KNOWN_AT:
                return known.gather(order)
            if name in others:
                return self.values(name)[0].gather(others[name][order])
            if name == key and drawn.keys is not None:
                kept = self.events[name].gather(drawn.places[: -len(drawn.keys)])
                return kept.append(drawn.keys).gather(order)
            return self.events[name].gather(drawn.places[order])

        return pl.DataFrame([column(name) for name in self.events.columns])

    def _other_events(self, later: Places, keys: pl.Series, random: np.random.Generator) -> _Drawn:
        """A part of `later` taken away, and twice as many drawn from all events put in, about other keys."""
        gone = random.choice(len(later), len(later) // SHARE, replace=False)
        kept = np.ones(len(later), dtype=bool)
        kept[gone] = False
        strangers = random.integers(0, self.events.height, 2 * len(gone) + 1)
        places = np.concatenate([later[kept], strangers.astype(np.uint32)])
        if keys.name not in self.events.columns or not len(keys):
            return _Drawn(places)
        about = keys.gather(random.integers(0, len(keys), len(strangers)))
        return _Drawn(places, about.cast(self.events.schema[keys.name]))

    def _others(self, column: str, places: Places, random: np.random.Generator) -> Places:
        """For each of the events at `places` where another value of that column is."""
        values, own = self.values(column)
        other = own[places] + random.integers(1, len(values), len(places))
        other -= len(values) * (other >= len(values))
        return other.astype(np.uint32)

    def _moments(self, count: int, moment: int, part: Part, random: np.random.Generator) -> pl.Series:
        """Moments after `moment`, whole seconds away from it, in the type that `known_at` has."""
        first, end = (int(one or moment) for one in (self.at.min(), self.at.max()))  # type: ignore[arg-type]
        begin = max(first - SECOND, moment) if part.place else moment
        span = max(end - begin, 0) + (DAY if part.last else SECOND)
        kind = self.events.schema[KNOWN_AT]
        zone = kind.time_zone if isinstance(kind, pl.Datetime) else None
        drawn = begin + SECOND * random.integers(1, span // SECOND + 1, count)
        return pl.Series(KNOWN_AT, drawn).cast(pl.Datetime("us")).dt.replace_time_zone(zone).cast(kind)


def write_perturbed(
    events: Told, instant: datetime, keys: pl.Series, path: Path, parts: Sequence[str] | None = None
) -> None:
    """Leave all events with the future replaced at `path`; as they are where `parts` is empty."""
    _write_each(events, [(instant, path)], keys, parts)


def _write_each(
    events: Told, asked: Sequence[tuple[datetime, Path]], keys: pl.Series, parts: Sequence[str] | None = None
) -> None:
    """The same for several instants, each with its path: a part of the events is read once for all of them."""
    if len(events) == 1:
        _write_part(events[0], Part(), asked, keys, parts)
        return
    pieces = {path: [_piece(path, place) for place in range(len(events))] for _, path in asked}
    for place, told in enumerate(events):
        part = Part(place, last=place + 1 == len(events))
        _write_part(told, part, [(instant, pieces[path][place]) for instant, path in asked], keys, parts)
    for path, written in pieces.items():
        pl.concat([pl.scan_parquet(piece, glob=False) for piece in written]).sink_parquet(path)
        for piece in written:
            piece.unlink()


def _write_part(
    told: pl.LazyFrame,
    part: Part,
    asked: Sequence[tuple[datetime, Path]],
    keys: pl.Series,
    parts: Sequence[str] | None,
) -> None:
    """One part for each instant: side by side where it is all there is, else one after the other, for the memory."""
    known = _Known(told.collect())
    whole = part == Part()

    def write(one: tuple[datetime, Path]) -> None:
        instant, path = one
        made = known.events if parts == [] else known.perturbed(instant, keys, parts, part)
        # Read once and taken away: what is quick to write, and known to every reader of parquet.
        made.write_parquet(path, compression="snappy", statistics=False)

    with ThreadPoolExecutor(pl.thread_pool_size() if whole else 1) as pool:
        if whole:
            list(pool.map(known.values, known.of_values(keys.name, parts)))
        list(pool.map(write, asked))


def _piece(path: Path, place: int) -> Path:
    return path.with_name(f"{path.stem}-{place}{path.suffix}")


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
    found = [
        Trial(instant, folder / f"{place}-events.parquet", folder / f"{place}{suffix}")
        for place, instant in enumerate(instants(rows, time, count))
    ]
    _write_each(events, [(trial.instant, trial.told) for trial in found], rows[key])
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


def _microseconds(moments: pl.Series) -> pl.Series:
    """Microseconds since 1970; a moment without a zone is UTC."""
    return moments.dt.epoch("us")


def _moment(instant: datetime) -> int:
    return round(instant.timestamp() * SECOND)
