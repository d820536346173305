"""Rows and events -> features, the same for training, evaluation and serving: `python -m flights.features 2013-05`."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from flights.catalog import FEATURES, GROUPS, Group
from flights.errors import run_stage
from flights.months import month_argument
from flights.schema import EVENTS, ROWS, WEATHER, read_table, write_table
from flights.spans import (
    ARRIVAL_DELAYS,
    COUNTED,
    DELAY,
    DELAY_PRIOR,
    DEPARTURE_DELAYS,
    GONE,
    HISTORY_COUNTS,
    HISTORY_SHARES,
    IN_TIME,
    LIVE_DELAYS,
    LIVE_SHARES,
    NEAR,
    PER_ORIGIN,
    QUEUED,
    ROTATION_SECONDS,
    TIMETABLE_NOTICE,
    WEATHER_SECONDS,
    Counted,
    Keys,
    Share,
)
from flights.windows import (
    Answers,
    Int,
    Questions,
    Timeline,
    Vocabulary,
    asked_seconds,
    joint,
    known_seconds,
)

Column = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
# Events of one instant have no order of their own: this gives them one, down to all that features read of the last one.
ORDER = ("known_at", "flight_id", "kind", "origin", "delay", *WEATHER)
KINDS = tuple(dict.fromkeys(["scheduled", *GONE, "weather", *(kind for told in COUNTED.values() for kind in told)]))
_OTHER = len(KINDS)


class Asked:
    """Rows of which features are asked: all about them that depends on no event, for any number of tables of events."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self.rows = rows.with_columns(hour=pl.col("dep_local").dt.hour().cast(pl.Int8))
        self.asked, self.departs = asked_seconds(rows["decided_at"]), asked_seconds(rows["sched_dep"])
        self._vocabularies: dict[str, Vocabulary] = {}
        self._codes: dict[Keys, Int] = {}
        self._questions: dict[Keys, Questions] = {}

    def features(self, events: pl.DataFrame, groups: Sequence[Group] = GROUPS) -> pl.DataFrame:
        """What `features` gives of these rows and `events`."""
        world = _World(self, events)
        columns: dict[str, pl.Series] = {}
        for group in GROUPS:
            if group in groups:
                columns.update({name: _number(values) for name, values in _COMPUTE[group](world).items()})
        chosen = [feature for feature in FEATURES if feature.group in groups]
        return pl.DataFrame(
            {"flight_id": self.rows["flight_id"]}
            | {
                feature.name: self.rows[feature.name] if feature.category else columns[feature.name]
                for feature in chosen
            }
        )

    def keys(self, keys: Keys) -> Int:
        """The combined code of `keys` for every row; one code for all when there are none."""
        if keys not in self._codes:
            self._codes[keys] = self.joint(self.rows, {}, keys)
        return self._codes[keys]

    def joint(self, table: pl.DataFrame, codes: dict[str, Int], keys: Keys) -> Int:
        """The combined code of `keys` for each line of a table; those of each key are kept in `codes`."""
        if not keys:
            return np.zeros(table.height, dtype=np.int64)
        for key in keys:
            if key not in self._vocabularies:
                self._vocabularies[key] = Vocabulary(self.rows[key])
            if key not in codes:
                codes[key] = self._vocabularies[key].codes(table[key])
        return joint([codes[key] for key in keys], [self._vocabularies[key].size for key in keys])

    def questions(self, keys: Keys) -> Questions:
        """What is asked of timelines of `keys`: until when each row may know."""
        if keys not in self._questions:
            self._questions[keys] = Questions(self.keys(keys), self.asked)
        return self._questions[keys]

    @cached_property
    def reach(self) -> Int:
        """Where history begins at the earliest: a day into the month before the row's own.

        Features of a month are computed from that month and the one before. 28 days back from the first of March is in
        January, so without this limit the same row would get other features when more months are at hand. The day
        leaves out what flights of the month before that were still to tell.
        """
        before = self.rows["dep_local"].dt.truncate("1mo").dt.offset_by("-1mo").dt.offset_by("1d")
        return asked_seconds(before)

    @cached_property
    def schedule(self) -> dict[str, Column]:
        """The features that the timetable tells of a row."""
        rows = self.rows
        minute = {
            end: rows[end].dt.hour().cast(pl.Int32) * 60 + rows[end].dt.minute().cast(pl.Int32)
            for end in ("dep_local", "arr_local")
        }
        return {
            "dep_minute": _float(minute["dep_local"]),
            "arr_minute": _float(minute["arr_local"]),
            "block_minutes": _float((rows["sched_arr"] - rows["sched_dep"]).dt.total_minutes()),
            "distance": _float(rows["distance"]),
            "weekday": _float(rows["dep_local"].dt.weekday()),
        }


class _World:
    """Events in order of time, kinds as small numbers, and the timelines that rows ask of, each made once."""

    def __init__(self, rows: Asked, events: pl.DataFrame) -> None:
        known = events["known_at"]
        self.asking, self.events = rows, events if known.is_sorted() else events.sort("known_at")
        self.known = known_seconds(self.events["known_at"])
        kinds = self.events["kind"].cast(pl.Enum(KINDS), strict=False).to_physical()
        self._kinds: Codes = kinds.cast(pl.UInt8).fill_null(_OTHER).to_numpy()
        self._codes: dict[str, Int] = {}
        self._keys: dict[Keys, Int] = {}
        self._told: dict[Counted, tuple[Int, Int]] = {}
        self._answers: dict[tuple[Counted, Keys], Answers] = {}

    def kind(self, *kinds: str) -> Mask:
        """Which events are of one of these kinds."""
        chosen = np.zeros(_OTHER + 1, dtype=bool)
        chosen[[KINDS.index(kind) for kind in kinds]] = True
        return np.asarray(chosen[self._kinds])

    def keys(self, keys: Keys) -> Int:
        """The combined code of `keys` for every event: that of the rows, `NO_KEY` where no row has it."""
        if keys not in self._keys:
            self._keys[keys] = self.asking.joint(self.events, self._codes, keys)
        return self._keys[keys]

    def told(self, counted: Counted) -> tuple[Int, Int]:
        """Which events are counted, and 1 for each of them that is marked."""
        if counted not in self._told:
            kinds = COUNTED[counted]
            in_time = (self.events["late"] == 0).fill_null(value=False).to_numpy()
            told = np.flatnonzero(self.kind(*kinds) & (in_time | ~self.kind(*IN_TIME)))
            marked = self.kind(*(kind for kind, mark in kinds.items() if mark))
            self._told[counted] = told, marked[told].astype(np.int64)
        return self._told[counted]

    def counted(self, counted: Counted, keys: Keys) -> Answers:
        """What the rows are told of the events that are counted together."""
        if (counted, keys) not in self._answers:
            self._answers[counted, keys] = self.window(*self.told(counted), keys)
        return self._answers[counted, keys]

    def window(self, kept: Int, values: Int, keys: Keys) -> Answers:
        """What the rows are told of the events `kept`, which are worth `values`."""
        timeline = Timeline.of(self.keys(keys)[kept], self.known[kept], values)
        return timeline.asked(self.asking.questions(keys))


def features(rows: pl.DataFrame, events: pl.DataFrame, groups: Sequence[Group] = GROUPS) -> pl.DataFrame:
    """`flight_id` and the features of `groups` for every row, in the order of `FEATURES`; numbers are Float32.

    A feature of a row depends on the row itself and on events known at its `decided_at` or before; not on other rows,
    on the order of either table, nor on anything later. Missing means not known then.
    """
    return Asked(rows).features(events, groups)


def _number(values: Column) -> pl.Series:
    return pl.Series(values.astype(np.float32)).fill_nan(None)


def _float(series: pl.Series) -> Column:
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _schedule(world: _World) -> dict[str, Column]:
    return world.asking.schedule


def _congestion(world: _World) -> dict[str, Column]:
    """Departures in the timetable within half an hour of this one, itself included."""
    listed, departs = world.events["sched_dep"], world.asking.departs
    # Only entries that were known before any row near them is asked, whatever the feed says later.
    early = (listed - world.events["known_at"] >= TIMETABLE_NOTICE).fill_null(value=False).to_numpy()
    kept = np.flatnonzero(world.kind("scheduled") & early)
    times = known_seconds(listed[kept])
    found = {}
    for name, keys in PER_ORIGIN.items():
        timeline = Timeline.of(world.keys(keys)[kept], times)
        count, _ = timeline.between(world.asking.keys(keys), departs - NEAR - 1, departs + NEAR)
        found[f"departures_{name}"] = count.astype(np.float64)
    return found


def _live(world: _World) -> dict[str, Column]:
    delays = {name: _mean_delay(world, keys, seconds) for name, (keys, seconds) in LIVE_DELAYS.items()}
    return {name: _share(world, share)[0] for name, share in LIVE_SHARES.items()} | delays | _queues(world)


def _share(world: _World, share: Share, since: Int | None = None) -> tuple[Column, Int]:
    """The share, and how many events it stands on."""
    after = world.asking.asked - share.seconds
    count, total = world.counted(share.counted, share.keys).since(after if since is None else np.maximum(after, since))
    return np.asarray((total + share.prior * share.base) / (count + share.prior)), count


def _mean_delay(world: _World, keys: Keys, seconds: int) -> Column:
    departed = np.flatnonzero(world.kind("departed"))
    minutes = world.events["delay"].gather(departed).clip(*DEPARTURE_DELAYS).fill_null(0).cast(pl.Int64).to_numpy()
    count, total = world.window(departed, minutes, keys).since(world.asking.asked - seconds)
    return np.asarray((total + DELAY_PRIOR * DELAY) / (count + DELAY_PRIOR))


def _queues(world: _World) -> dict[str, Column]:
    """Flights whose time has come and that have neither left nor been cancelled, each for at most a day."""
    kept = np.flatnonzero(world.kind("scheduled"))
    told = world.events.select("flight_id", "known_at", "sched_dep")
    gone = told[np.flatnonzero(world.kind(*GONE))].group_by("flight_id").agg(gone=pl.col("known_at").min())
    # A flight joins the queue at its time and leaves it when it goes, not before it joined: many leave early.
    queued = (
        told[kept]
        .join(gone, on="flight_id", how="left", maintain_order="left")
        .with_columns(joins=pl.max_horizontal("sched_dep", "known_at"))
        .with_columns(leaves=pl.max_horizontal("joins", pl.min_horizontal("gone", pl.col("joins") + QUEUED)))
    )
    joins, leaves = known_seconds(queued["joins"]), known_seconds(queued["leaves"])
    found = {}
    ever = np.zeros_like(world.asking.asked)
    for name, keys in PER_ORIGIN.items():
        codes, questions = world.keys(keys)[kept], world.asking.questions(keys)
        joined, _ = Timeline.of(codes, joins).asked(questions).since(ever)
        left, _ = Timeline.of(codes, leaves).asked(questions).since(ever)
        found[f"queue_{name}"] = (joined - left).astype(np.float64)
    return found


def _rotation(world: _World) -> dict[str, Column]:
    """The aircraft's last completed leg out of New York: how late it arrived, and how long ago.

    A row without tailnum is a row about whose aircraft nothing is known, like one that was never seen: a missing
    tailnum must tell nothing, since nearly all such flights were cancelled.
    """
    last = _last(world, "arrived", "tailnum", ROTATION_SECONDS)
    return {
        "tail_arr_delay": _at(last, _float(world.events["delay"].clip(*ARRIVAL_DELAYS))),
        "tail_minutes_since": (world.asking.asked - _at(last, world.known.astype(np.float64))) / 60,
    }


def _weather(world: _World) -> dict[str, Column]:
    """The last known reading at the origin, unless older than three hours; never the one of the departure hour."""
    last = _last(world, "weather", "origin", WEATHER_SECONDS)
    return {name: _at(last, _float(world.events[name])) for name in WEATHER}


def _last(world: _World, kind: str, key: str, seconds: int) -> Int:
    """For every row the index of the last event of `kind` with its `key` in the last `seconds`; -1 without one."""
    kept, codes = np.flatnonzero(world.kind(kind)), world.keys((key,))
    timeline = Timeline.of(codes[kept], world.known[kept])
    if timeline.tied:
        kept = kept[world.events[kept].select(pl.arg_sort_by(ORDER)).to_series().to_numpy()]
        timeline = Timeline.of(codes[kept], world.known[kept])
    last = timeline.asked(world.asking.questions((key,))).last(world.asking.asked - seconds)
    last[last >= 0] = kept[last[last >= 0]]
    return last


def _at(index: Int, values: Column) -> Column:
    """`values[index]`, NaN where the index is -1."""
    taken = np.full(len(index), np.nan)
    taken[index >= 0] = values[index[index >= 0]]
    return taken


def _history(world: _World) -> dict[str, Column]:
    shares = {name: _share(world, share, world.asking.reach) for name, share in HISTORY_SHARES.items()}
    counts = {name: shares[share][1].astype(np.float64) for name, share in HISTORY_COUNTS.items()}
    return {name: share for name, (share, _) in shares.items()} | counts


_COMPUTE: dict[Group, Callable[[_World], dict[str, Column]]] = {
    "schedule": _schedule,
    "congestion": _congestion,
    "live": _live,
    "rotation": _rotation,
    "weather": _weather,
    "history": _history,
}


def main(arguments: list[str]) -> None:
    """Write `data/features/<month>.parquet` from the month's rows and events and the events of the month before."""
    month = month_argument(arguments, "features")
    data = Path("data")
    rows = read_table(data / "valid" / "rows" / f"{month}.parquet", ROWS)
    before = read_table(data / "lookback" / f"{month}.parquet", EVENTS)
    events = read_table(data / "valid" / "events" / f"{month}.parquet", EVENTS)
    table = features(rows, pl.concat([before, events]))
    write_table(table, data / "features" / f"{month}.parquet")
    print(f"{month}: {table.height:,} flights, {table.width - 1} features", flush=True)


if __name__ == "__main__":
    run_stage(main)
