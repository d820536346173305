"""Journal of predictions: each answer as rows of Parquet, in files that are whole, by day; `live` writes, others read.

An answer never waits for it: rows are kept in memory and written by a thread, every few seconds. Whoever kills the
server loses what was answered since. The last file of a version is put anew in its place, longer each time, until it
is long or old enough. A disk that is full loses rows too: they are counted, and it is said once.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from pushforward import durable
from pushforward.serving import growing, tables
from pushforward.serving.growing import DAY, Growing
from pushforward.serving.line import Predicted
from pushforward.serving.port import Arm, Columns, Served, Value

FLUSH_SECONDS = 5.0
MOST_ROWS = 1_000_000  # in memory, where writing takes longer than answering
TIDY_SECONDS = 3600.0
ROW = "row."


class Asking(NamedTuple):
    """What versions are asked together: the name that whoever asks has for it, and one that no other asking has."""

    request: str
    name: str


@dataclass(frozen=True)
class Entry:
    """One answer: who gave it, to which rows of which asking, and how long it took."""

    at: datetime
    asking: Asking
    served: Served
    arm: Arm
    rows: Columns
    predicted: Predicted
    latency_us: int

    @property
    def count(self) -> int:
        """How many rows."""
        return len(next(iter(self.predicted.columns.values())))


@dataclass
class Journal:
    """The journal in a folder; `told` hears once when rows are lost, and when they are not any more."""

    folder: Path
    told: Callable[[str], None]
    keep_days: float | None = None
    rows: int = 0
    lost: int = 0
    _files: Growing = field(init=False)
    _waiting: list[Entry] = field(default_factory=list)
    _count: int = 0
    _full: asyncio.Event = field(default_factory=asyncio.Event)
    _failing: bool = False
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._files = Growing(self.folder)

    def add(self, entry: Entry) -> None:
        """Keep an answer until it is written; returns at once."""
        count = entry.count
        if self._count + count > MOST_ROWS:
            self._lose(count, "they come faster than they can be written")
            return
        self._waiting.append(entry)
        self._count += count
        if self._count >= growing.MOST_ROWS:
            self._full.set()

    async def run(self) -> None:
        """Write what waits, every few seconds, until stopped; then the rest."""
        tidied = -TIDY_SECONDS
        while not self._stopping:
            if time.monotonic() - tidied > TIDY_SECONDS:
                await asyncio.to_thread(self.tidy)
                tidied = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._full.wait()
            await self.flush()
        await self.flush()  # what came while the last of these was written

    def stop(self) -> None:
        """Have `run` write what waits, and end."""
        self._stopping = True
        self._full.set()

    async def flush(self) -> None:
        """Write what waits now."""
        entries, self._waiting, self._count = self._waiting, [], 0
        self._full.clear()
        versions: dict[str, list[Entry]] = {}
        for one in entries:
            versions.setdefault(one.served.version, []).append(one)
        for some in versions.values():
            count = sum(one.count for one in some)
            try:
                await asyncio.to_thread(self._write, some)
            except (OSError, pl.exceptions.PolarsError) as failed:
                self._lose(count, getattr(failed, "strerror", None) or str(failed).partition("\n")[0])
            else:
                self.rows += count
                if self._failing:
                    self._failing = False
                    self.told(f"predictions are written to {self.folder} again; {self.lost:,} rows are lost")

    def tidy(self) -> None:
        """Take out the days that are past keeping, and what a server that was killed has left half written."""
        with contextlib.suppress(OSError):
            old = time.time() - TIDY_SECONDS
            for path in self.folder.glob(f"*/*{durable.UNFINISHED}"):
                if DAY.fullmatch(path.parent.name) and path.lstat().st_mtime < old:
                    path.unlink(missing_ok=True)
            if self.keep_days is None:
                return
            first = (datetime.now(UTC) - timedelta(days=self.keep_days)).date()
            for day in self.folder.iterdir():
                past = DAY.fullmatch(day.name) and day.name < first.isoformat()
                if past and day.is_dir() and not day.is_symlink():
                    shutil.rmtree(day, ignore_errors=True)

    def _write(self, entries: Sequence[Entry]) -> None:
        """Put the file of a version in its place, longer by these answers; or begin a new one."""
        self._files.put(table(entries), entries[0].served.version)

    def _lose(self, count: int, why: str) -> None:
        self.lost += count
        if not self._failing:
            self._failing = True
            self.told(f"predictions are answered and not written to {self.folder}: {why}")


def table(entries: Sequence[Entry]) -> pl.DataFrame:
    """Answers of one version as a data frame, a line a row."""
    served = entries[0].served
    counts = [one.count for one in entries]

    def each(values: Sequence[Any]) -> list[Any]:
        return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]

    def column(name: str) -> list[Value]:
        return [value for one in entries for value in one.rows.get(name) or [None] * one.count]

    made = [
        pl.Series("at", each([one.at for one in entries]), tables.INSTANT),
        pl.Series("request", each([one.asking.request for one in entries]), pl.String),
        pl.Series("asking", each([one.asking.name for one in entries]), pl.String),
        pl.Series("version", [f"{served.model}@{served.version}"] * sum(counts), pl.String),
        pl.Series("digest", [served.digest] * sum(counts), pl.String),
        pl.Series("arm", each([one.arm for one in entries]), pl.String),
        pl.Series("key", ["" if key is None else str(key) for key in column(served.key)], pl.String),
        pl.Series("time", [_instant(one) for one in column(served.time or "")], tables.INSTANT),
        *(
            pl.Series(name, [p for one in entries for p in one.predicted.columns[name]], pl.Float64)
            for name in served.predicted
        ),
        pl.Series("latency_us", each([one.latency_us for one in entries]), pl.Int64),
        pl.Series("features", [one for each in entries for one in _features(each)], pl.String),
    ]
    types = tables.inputs(served.manifest, "rows")
    names = dict.fromkeys(name for one in entries for name in one.rows)
    rows = tables.frame({name: column(name) for name in names}, types, as_named=False)
    return pl.DataFrame([*made, *(rows[name].alias(f"{ROW}{name}") for name in rows.columns)])


def _features(entry: Entry) -> Sequence[str | None]:
    return entry.predicted.features or [None] * entry.count


def _instant(value: Value) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
