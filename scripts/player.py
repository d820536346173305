"""A month of real flights, played to a server as it happened: facts when they became known, questions when asked.

`scripts/simulate.py` plays it; times are those of the flights, so a month takes as long as its answers do.
"""

import http.client
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

MODEL = "flight-delay"
HEADERS = {"Content-Type": "application/json"}
LOGGED = {
    "key": pl.String(),
    "time": pl.Datetime("us", "UTC"),
    "version": pl.String(),
    "arm": pl.String(),
    "p": pl.Float64(),
}


@dataclass(frozen=True)
class Step:
    """What became known since the step before, and then who asks; all of it until `until`."""

    until: datetime
    events: pl.DataFrame
    rows: pl.DataFrame


@dataclass
class Month:
    """A month's questions, and the facts to tell until the last of them; `held` are those left for the next month."""

    rows: pl.DataFrame
    events: pl.DataFrame
    held: pl.DataFrame

    @classmethod
    def of(cls, rows: pl.DataFrame, events: pl.DataFrame, before: pl.DataFrame | None = None) -> "Month":
        """Of the month's own tables and what the month before had still to tell."""
        known = pl.concat([events] if before is None else [before, events]).sort("known_at", maintain_order=True)
        last = rows["decided_at"].max()
        return cls(rows, known.filter(pl.col("known_at") <= last), known.filter(pl.col("known_at") > last))

    def steps(self, minutes: int) -> Iterator[Step]:
        """In order of time, `minutes` at once, as far as anything is asked.

        A row is asked at the end of its step: what the step told after the row's own moment is the version's to leave
        out, and with steps of a minute there is nothing such.
        """
        wide = f"{minutes}m"
        asked = self.rows.with_columns(step=_end(pl.col("decided_at"), wide)).sort("step", maintain_order=True)
        told = self.events.with_columns(step=_end(pl.col("known_at"), wide))
        place = 0
        ends = told["step"]
        for (until,), rows in asked.group_by("step", maintain_order=True):
            reached = int(ends.search_sorted(until, side="right"))
            yield Step(until, told[place:reached].drop("step"), rows.drop("step"))  # type: ignore[arg-type]
            place = reached


def _end(moment: pl.Expr, wide: str) -> pl.Expr:
    """The end of the step that a moment lies in; one on the border is the last of its step."""
    start = (moment - pl.duration(microseconds=1)).dt.truncate(wide)
    return start.dt.offset_by(wide)


@dataclass
class Client:
    """One connection to a server, kept open; counts the rows that were answered, by version and arm."""

    address: str
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._line = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)

    def play(self, steps: Iterable[Step]) -> None:
        """Tell and ask, step by step."""
        for step in steps:
            self.tell(step.events)
            reply = self._said("POST", "/predict", {"columns": _columns(step.rows)})
            self.answered[reply["version"], reply["arm"]] += step.rows.height

    def tell(self, events: pl.DataFrame, rows: int = 5000) -> None:
        """Facts alone, many in several requests; a server that has just started is told those of the past."""
        for part in events.iter_slices(rows):
            self._said("POST", "/events", {"columns": _columns(part)})

    def serves(self, version: str) -> bool:
        """Whether it is this version that answers now."""
        try:
            return bool(self._said("GET", f"/v2/models/{MODEL}/versions/{version}/ready")["ready"])
        except (OSError, http.client.HTTPException, RefusedError):
            self._line.close()
            return False

    def _said(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        self._line.request(verb, path, None if body is None else json.dumps(body).encode(), HEADERS)
        answer = self._line.getresponse()
        words = answer.read()
        if answer.status != http.client.OK:
            raise RefusedError(f"{verb} {path}: {answer.status} {words[:300].decode(errors='replace')}")
        return json.loads(words)


class RefusedError(Exception):
    """The server answers something else than 200."""


def _columns(table: pl.DataFrame) -> dict[str, list[Any]]:
    """Named columns as JSON has them: moments as ISO 8601, with a Z where they are of UTC."""
    texts = []
    for name, dtype in table.schema.items():
        if isinstance(dtype, pl.Datetime):
            texts.append(pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.f" + ("Z" if dtype.time_zone else "")))
    return table.with_columns(texts).to_dict(as_series=False)


def logged(log: Path, since: datetime, until: datetime) -> pl.DataFrame:
    """What a server has logged of questions asked from one moment to another: `key`, `time`, `version`, `arm`, `p`."""
    parts = [pl.read_parquet(path, columns=list(LOGGED)) for path in sorted(log.glob("*/*.parquet"))]
    table = pl.concat([pl.DataFrame(schema=LOGGED), *parts])
    return table.filter(pl.col("time").is_between(since, until))
