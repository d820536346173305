"""Memory of events on disk, beside the log: what was told is known again after a restart; `live` adds, `serve` replays.

No reply waits for it: events are written by a thread, each second, into files that are whole and survive a power cut.
What is older than a version has to know it is taken out. A file that cannot be read is said, and passed over.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from pushforward import durable
from pushforward.errors import PushforwardError
from pushforward.judge import table
from pushforward.serving import tables
from pushforward.serving.events import Events
from pushforward.serving.growing import DAY, Growing
from pushforward.serving.journal import MOST_ROWS, TIDY_SECONDS
from pushforward.serving.port import Columns

FOLDER = "events"
FLUSH_SECONDS = 1.0
AT, EVENT = "at", "event."


@dataclass(frozen=True)
class _Told:
    """Events that wait: when they were told, and the types that the version in use names."""

    at: datetime
    events: Columns
    types: tables.Types
    rows: int

    @property
    def table(self) -> pl.DataFrame:
        """They as a data frame, a line an event."""
        found = tables.frame(self.events, self.types, as_named=False)
        at = pl.lit(self.at, tables.INSTANT).alias(AT)
        return found.select(at, *(pl.col(name).alias(f"{EVENT}{name}") for name in found.columns))


@dataclass
class Memory:
    """The events of the last `days`, in a folder; `told` hears of what cannot be written or read."""

    folder: Path
    days: float
    told: Callable[[str], None]
    lost: int = 0
    _files: Growing = field(init=False)
    _waiting: list[_Told] = field(default_factory=list)
    _count: int = 0
    _failing: bool = False
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._files = Growing(self.folder)

    def add(self, events: Columns, types: tables.Types) -> None:
        """Keep events, all of them columns of one length, until they are written; returns at once."""
        count = len(next(iter(events.values()), ()))
        if self._count + count > MOST_ROWS:
            self._lose(count, "they come faster than they can be written")
        elif count:
            self._waiting.append(_Told(datetime.now(UTC), events, types, count))
            self._count += count

    def replay(self, events: Events) -> int:
        """Have `events` know what is kept, the oldest first; how many those are."""
        count, first = 0, datetime.now(UTC) - timedelta(days=self.days)
        for path in sorted(self.folder.glob("*/*.parquet")):
            try:
                found = table.read(path, path.name).filter(pl.col(AT) >= first)
                named = {name: name.removeprefix(EVENT) for name in found.columns if name.startswith(EVENT)}
                # of whole files of minutes: the newest of them says how long they are kept
                newest = found[AT].max()
                if not isinstance(newest, datetime):
                    continue
                columns = tables.columns(found.select([*named]).rename(named))
            except (PushforwardError, OSError, pl.exceptions.PolarsError) as broken:
                self.told(f"events in {path} cannot be read, and are not known: {str(broken).partition(chr(10))[0]}")
                continue
            events.add(columns, ago=(datetime.now(UTC) - newest).total_seconds())
            count += found.height
        return count

    async def run(self) -> None:
        """Write what waits, each second, until stopped; then the rest."""
        tidied = -TIDY_SECONDS
        while not self._stopping.is_set():
            if time.monotonic() - tidied > TIDY_SECONDS:
                await asyncio.to_thread(self.tidy)
                tidied = time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._stopping.wait()
            await self.flush()

    def stop(self) -> None:
        """Have `run` write what waits, and end."""
        self._stopping.set()

    async def flush(self) -> None:
        """Write what waits now; what cannot be written is lost, and that is said once."""
        waiting, self._waiting, self._count = self._waiting, [], 0
        of_types = itertools.groupby(waiting, lambda one: (list(one.events), one.types))
        for some in [[*group] for _, group in of_types]:
            try:
                await asyncio.to_thread(self._write, some)
            except (OSError, pl.exceptions.PolarsError) as failed:
                count = sum(one.rows for one in some)
                self._lose(count, getattr(failed, "strerror", None) or str(failed).partition("\n")[0])
            else:
                self._failing = False

    def tidy(self) -> None:
        """Take out what is past keeping, and what a server that was killed has left half written."""
        with contextlib.suppress(OSError):
            now = time.time()
            for path in self.folder.glob("*/*"):
                half = path.name.endswith(durable.UNFINISHED)
                age = now - path.lstat().st_mtime
                if DAY.fullmatch(path.parent.name) and age > (TIDY_SECONDS if half else self.days * 86_400):
                    path.unlink(missing_ok=True)

    def _write(self, told: Sequence[_Told]) -> None:
        """Put the file that grows in its place, longer by events of the same columns; or begin a new one."""
        self._files.put(pl.concat([one.table for one in told], how="vertical_relaxed"))

    def _lose(self, count: int, why: str) -> None:
        self.lost += count
        if not self._failing:
            self._failing = True
            self.told(f"events are known and not written to {self.folder}, a restart forgets them: {why}")
