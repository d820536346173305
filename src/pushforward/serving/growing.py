"""Growing tables on disk, a folder a day: `journal` keeps answers in such, and `memory` events.

A file is whole at every moment: a longer one is put in its place until it has many rows or some minutes, or its columns
are others.
"""

import io
import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pushforward import durable

MOST_ROWS = 20_000  # of a file
MOST_SECONDS = 300.0  # that a file grows
DAY = re.compile(r"\d{4}-[01]\d-[0-3]\d")


@dataclass(frozen=True)
class _Open:
    """A file that still grows: where it is, what is in it, and when it was begun."""

    path: Path
    table: pl.DataFrame
    began: float


@dataclass
class Growing:
    """The tables in a folder, one that grows for each name."""

    folder: Path
    _open: dict[str, _Open] = field(default_factory=dict)

    def put(self, fresh: pl.DataFrame, name: str = "") -> None:
        """Have rows on disk, at the end of the table that grows under a name; OSError where that cannot be."""
        day, last = self.folder / datetime.now(UTC).date().isoformat(), self._open.get(name)
        grows = last is not None and last.path.parent == day and time.monotonic() - last.began <= MOST_SECONDS
        if last is None or not grows or last.table.schema != fresh.schema or last.table.height >= MOST_ROWS:
            day.mkdir(parents=True, exist_ok=True)
            last = _Open(_unused(day), fresh.clear(), time.monotonic())
        longer = _Open(last.path, pl.concat([last.table, fresh]), last.began)
        content = io.BytesIO()
        longer.table.write_parquet(content)
        durable.write(longer.path, content.getvalue())
        self._open[name] = longer


def _unused(day: Path) -> Path:
    """A new file in the folder of a day."""
    while True:
        now = datetime.now(UTC)
        path = day / f"{now:%H%M%S}-{now.microsecond:06}-{os.getpid()}.parquet"
        if not path.exists():
            return path
