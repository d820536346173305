"""The features as they were first written, a timeline for each: what `features` gives is held against this."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from flights.catalog import FEATURES, GROUPS, Group
from flights.schema import WEATHER
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
    KEYS,
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

Int = npt.NDArray[np.int64]
NO_KEY = -1
_TIME_BITS = 33


def known_seconds(instants: pl.Series) -> Int:
    """Event times in whole seconds since 1970, rounded up: an event is never known too early."""
    microseconds = instants.to_physical().to_numpy()
    return np.asarray(-(-microseconds // 1_000_000), dtype=np.int64)


def asked_seconds(instants: pl.Series) -> Int:
    """Question times in whole seconds since 1970, rounded down."""
    return np.asarray(instants.to_physical().to_numpy() // 1_000_000, dtype=np.int64)


def shared_codes(events: pl.Series, rows: pl.Series) -> tuple[Int, Int]:
    """The same small integer for the same value in both series; `NO_KEY` for null."""
    codes = pl.concat([events, rows]).rank("dense").cast(pl.Int64).fill_null(NO_KEY).to_numpy()
    return codes[: len(events)], codes[len(events) :]


def _stamped(position: npt.NDArray[np.intp], seconds: Int) -> Int:
    """Key and time as one sortable number; times outside 1970 to 2242 count as its ends."""
    return (position.astype(np.int64) << _TIME_BITS) + np.clip(seconds, 0, 2**_TIME_BITS - 1)


def joint(codes: list[Int], sizes: list[int]) -> Int:
    """One code for a combination of codes, each below its size; `NO_KEY` where any of them is."""
    combined = np.zeros_like(codes[0])
    known = np.ones(len(codes[0]), dtype=bool)
    for code, size in zip(codes, sizes, strict=True):
        combined = combined * size + code
        known &= code != NO_KEY
    return np.where(known, combined, NO_KEY)


@dataclass(frozen=True)
class Timeline:
    """Events of one sort, ordered by key and time, with running totals of their integer values.

    Integers, because running totals of floats depend on what was summed before: the same row would get other
    bytes when more history is at hand.
    """

    keys: Int
    stamps: Int
    order: Int
    totals: Int

    @classmethod
    def of(cls, keys: Int, seconds: Int, values: Int | None = None) -> "Timeline":
        """Order events (equal length arrays: key code, second, integer value); events without a key are left out."""
        kept = np.flatnonzero(keys != NO_KEY)
        kept = kept[np.lexsort((seconds[kept], keys[kept]))]
        unique, position = np.unique(keys[kept], return_inverse=True)
        stamps = _stamped(position, seconds[kept])
        value = np.ones(len(kept), dtype=np.int64) if values is None else values[kept]
        return cls(unique, stamps, kept, np.concatenate([[0], np.cumsum(value, dtype=np.int64)]))

    def _until(self, keys: Int, seconds: Int) -> tuple[Int, npt.NDArray[np.bool_]]:
        """For each question, how many ordered events lie at or before it, and whether its key is known at all."""
        position = np.searchsorted(self.keys, keys)
        found = position < len(self.keys)
        found[found] = self.keys[position[found]] == keys[found]
        stamps = _stamped(position, seconds)
        return np.searchsorted(self.stamps, stamps, side="right").astype(np.int64), found

    def between(self, keys: Int, after: Int, until: Int) -> tuple[Int, Int]:
        """Number of events and sum of values with `after` < time <= `until` (seconds), per question."""
        high, found = self._until(keys, until)
        low, _ = self._until(keys, after)
        count = np.where(found, high - low, 0)
        return count, np.where(found, self.totals[high] - self.totals[low], 0)

    def last(self, keys: Int, after: Int, until: Int) -> Int:
        """Index of the last event with `after` < time <= `until`, per question; -1 where there is none."""
        high, _ = self._until(keys, until)
        count, _ = self.between(keys, after, until)
        index = np.full(len(keys), -1, dtype=np.int64)
        some = count > 0
        index[some] = self.order[high[some] - 1]
        return index


Column = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# Events of one instant have no order of their own: this gives them one, down to all that features read of the last one.
ORDER = ("known_at", "flight_id", "kind", "origin", "delay", *WEATHER)


@dataclass(frozen=True)
class _World:
    """Rows and events in the form the groups compute on: seconds since 1970, and codes of the keys they share."""

    rows: pl.DataFrame
    events: pl.DataFrame
    asked: Int
    departs: Int
    known: Int
    row_codes: dict[str, Int]
    event_codes: dict[str, Int]
    sizes: dict[str, int]

    def kind(self, *kinds: str) -> Mask:
        """Which events are of one of these kinds."""
        return self.events["kind"].is_in(kinds).fill_null(value=False).to_numpy()

    def row_keys(self, keys: Keys) -> Int:
        """The combined code of `keys` for every row; one code for all when there are none."""
        return self._joint(self.row_codes, keys, len(self.asked))

    def event_keys(self, keys: Keys) -> Int:
        """The combined code of `keys` for every event; one code for all when there are none."""
        return self._joint(self.event_codes, keys, len(self.known))

    def _joint(self, codes: dict[str, Int], keys: Keys, length: int) -> Int:
        if not keys:
            return np.zeros(length, dtype=np.int64)
        return joint([codes[key] for key in keys], [self.sizes[key] for key in keys])


def features(rows: pl.DataFrame, events: pl.DataFrame, groups: Sequence[Group] = GROUPS) -> pl.DataFrame:
    """`flight_id` and the features of `groups` for every row, in the order of `FEATURES`; numbers are Float32.

    A feature of a row depends on the row itself and on events known at its `decided_at` or before; not on other rows,
    on the order of either table, nor on anything later. Missing means not known then.
    """
    world = _world(rows, events)
    columns: dict[str, pl.Series] = {}
    for group in GROUPS:
        if group in groups:
            columns.update({name: _number(values) for name, values in _COMPUTE[group](world).items()})
    chosen = [feature for feature in FEATURES if feature.group in groups]
    return pl.DataFrame(
        {"flight_id": rows["flight_id"]}
        | {feature.name: rows[feature.name] if feature.category else columns[feature.name] for feature in chosen}
    )


def _number(values: Column) -> pl.Series:
    return pl.Series(values.astype(np.float32)).fill_nan(None)


def _world(rows: pl.DataFrame, events: pl.DataFrame) -> _World:
    events = events.sort(ORDER)
    rows = rows.with_columns(hour=pl.col("dep_local").dt.hour().cast(pl.Int8))
    codes = {key: shared_codes(events[key], rows[key]) for key in KEYS}
    return _World(
        rows=rows,
        events=events,
        asked=asked_seconds(rows["decided_at"]),
        departs=asked_seconds(rows["sched_dep"]),
        known=known_seconds(events["known_at"]),
        row_codes={key: pair[1] for key, pair in codes.items()},
        event_codes={key: pair[0] for key, pair in codes.items()},
        sizes={key: int(max(pair[0].max(initial=0), pair[1].max(initial=0))) + 1 for key, pair in codes.items()},
    )


def _schedule(world: _World) -> dict[str, Column]:
    rows = world.rows
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


def _float(series: pl.Series) -> Column:
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _congestion(world: _World) -> dict[str, Column]:
    """Departures in the timetable within half an hour of this one, itself included."""
    listed = world.events["sched_dep"]
    # Only entries that were known before any row near them is asked, whatever the feed says later.
    early = (listed - world.events["known_at"] >= TIMETABLE_NOTICE).fill_null(value=False).to_numpy()
    kept = np.flatnonzero(world.kind("scheduled") & early)
    departs = known_seconds(listed[kept])
    found = {}
    for name, keys in PER_ORIGIN.items():
        timeline = Timeline.of(world.event_keys(keys)[kept], departs)
        count, _ = timeline.between(world.row_keys(keys), world.departs - NEAR - 1, world.departs + NEAR)
        found[f"departures_{name}"] = count.astype(np.float64)
    return found


def _live(world: _World) -> dict[str, Column]:
    delays = {name: _mean_delay(world, keys, seconds) for name, (keys, seconds) in LIVE_DELAYS.items()}
    return {name: _share(world, share)[0] for name, share in LIVE_SHARES.items()} | delays | _queues(world)


def _counted(world: _World, counted: Counted) -> tuple[Mask, Int]:
    """Which events are counted, and 1 for each that is marked."""
    kinds = COUNTED[counted]
    in_time = (world.events["late"] == 0).fill_null(value=False).to_numpy()
    told = world.kind(*kinds) & (in_time | ~world.kind(*IN_TIME))
    return told, world.kind(*(kind for kind, mark in kinds.items() if mark)).astype(np.int64)


def _share(world: _World, share: Share, since: Int | None = None) -> tuple[Column, Int]:
    """The share, and how many events it stands on."""
    told, marked = _counted(world, share.counted)
    count, total = _window(world, told, marked, share.keys, share.seconds, since)
    return np.asarray((total + share.prior * share.base) / (count + share.prior)), count


def _mean_delay(world: _World, keys: Keys, seconds: int) -> Column:
    minutes = world.events["delay"].clip(*DEPARTURE_DELAYS).fill_null(0).cast(pl.Int64).to_numpy()
    count, total = _window(world, world.kind("departed"), minutes, keys, seconds)
    return np.asarray((total + DELAY_PRIOR * DELAY) / (count + DELAY_PRIOR))


def _window(
    world: _World, counted: Mask, values: Int, keys: Keys, seconds: int, since: Int | None = None
) -> tuple[Int, Int]:
    kept = np.flatnonzero(counted)
    timeline = Timeline.of(world.event_keys(keys)[kept], world.known[kept], values[kept])
    after = world.asked - seconds if since is None else np.maximum(world.asked - seconds, since)
    return timeline.between(world.row_keys(keys), after, world.asked)


def _queues(world: _World) -> dict[str, Column]:
    """Flights whose time has come and that have neither left nor been cancelled, each for at most a day."""
    kept = np.flatnonzero(world.kind("scheduled"))
    gone = (
        world.events.lazy().filter(pl.col("kind").is_in(GONE)).group_by("flight_id").agg(gone=pl.col("known_at").min())
    )
    # A flight joins the queue at its time and leaves it when it goes, not before it joined: many leave early.
    queued = (
        world.events.lazy()
        .filter(pl.col("kind") == "scheduled")
        .join(gone, on="flight_id", how="left", maintain_order="left")
        .with_columns(joins=pl.max_horizontal("sched_dep", "known_at"))
        .with_columns(leaves=pl.max_horizontal("joins", pl.min_horizontal("gone", pl.col("joins") + QUEUED)))
        .select("joins", "leaves")
        .collect()
    )
    found = {}
    ever = np.zeros_like(world.asked)
    for name, keys in PER_ORIGIN.items():
        codes, asked_keys = world.event_keys(keys)[kept], world.row_keys(keys)
        joined, _ = Timeline.of(codes, known_seconds(queued["joins"])).between(asked_keys, ever, world.asked)
        left, _ = Timeline.of(codes, known_seconds(queued["leaves"])).between(asked_keys, ever, world.asked)
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
        "tail_minutes_since": (world.asked - _at(last, world.known.astype(np.float64))) / 60,
    }


def _weather(world: _World) -> dict[str, Column]:
    """The last known reading at the origin, unless older than three hours; never the one of the departure hour."""
    last = _last(world, "weather", "origin", WEATHER_SECONDS)
    return {name: _at(last, _float(world.events[name])) for name in WEATHER}


def _last(world: _World, kind: str, key: str, seconds: int) -> Int:
    """For every row the index of the last event of `kind` with its `key` in the last `seconds`; -1 without one."""
    kept = np.flatnonzero(world.kind(kind))
    timeline = Timeline.of(world.event_codes[key][kept], world.known[kept])
    last = timeline.last(world.row_codes[key], world.asked - seconds, world.asked)
    last[last >= 0] = kept[last[last >= 0]]
    return last


def _at(index: Int, values: Column) -> Column:
    """`values[index]`, NaN where the index is -1."""
    taken = np.full(len(index), np.nan)
    taken[index >= 0] = values[index[index >= 0]]
    return taken


def _history(world: _World) -> dict[str, Column]:
    since = _reach(world.rows)
    shares = {name: _share(world, share, since) for name, share in HISTORY_SHARES.items()}
    counts = {name: shares[share][1].astype(np.float64) for name, share in HISTORY_COUNTS.items()}
    return {name: share for name, (share, _) in shares.items()} | counts


def _reach(rows: pl.DataFrame) -> Int:
    """Where history begins at the earliest: a day into the month before the row's own.

    Features of a month are computed from that month and the one before. 28 days back from the first of March is in
    January, so without this limit the same row would get other features when more months are at hand. The day leaves
    out what flights of the month before that were still to tell.
    """
    before = rows["dep_local"].dt.truncate("1mo").dt.offset_by("-1mo").dt.offset_by("1d")
    return asked_seconds(before)


_COMPUTE: dict[Group, Callable[[_World], dict[str, Column]]] = {
    "schedule": _schedule,
    "congestion": _congestion,
    "live": _live,
    "rotation": _rotation,
    "weather": _weather,
    "history": _history,
}
