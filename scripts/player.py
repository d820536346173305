"""A month of real flights, played to a server as it happened: facts when they became known, questions when asked.

`scripts/simulate.py` plays it; times are those of the flights, so a month takes as long as its answers do.
"""

import http.client
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

OUTCOMES = ("cancelled", "arrived", "arrival_overdue")
HEADERS = {"Content-Type": "application/json"}


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


def outcomes(events: pl.DataFrame) -> pl.DataFrame:
    """What came of each flight, from when on that is known: `flight_id`, `late`, `known_at`."""
    told = events.filter(pl.col("kind").is_in(OUTCOMES))
    in_time = (pl.col("kind") == "arrived") & (pl.col("late") == 0)
    late = pl.col("kind") != "arrived"
    return told.filter(in_time | late).select("flight_id", late=late.cast(pl.Int8), known_at="known_at")


@dataclass
class Client:
    """One connection to a server, kept open; counts what was answered."""

    address: str
    answered: int = 0
    by: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._line = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)

    def play(self, steps: Iterable[Step]) -> None:
        """Tell and ask, step by step."""
        for step in steps:
            if step.events.height:
                self._post("/events", {"events": _columns(step.events)})
            reply = self._post("/predict", {"rows": _columns(step.rows)})
            self.answered += step.rows.height
            self.by[reply["version"]] = self.by.get(reply["version"], 0) + step.rows.height

    def tell(self, events: pl.DataFrame, rows: int = 5000) -> None:
        """Facts alone, as a server is given that has just started."""
        for part in events.iter_slices(rows):
            self._post("/events", {"events": _columns(part)})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        self._line.request("POST", path, json.dumps(body).encode(), HEADERS)
        answer = self._line.getresponse()
        words = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"POST {path}: {answer.status} {words[:300].decode(errors='replace')}")
        return json.loads(words)


def _columns(table: pl.DataFrame) -> dict[str, list[Any]]:
    """Named columns as JSON has them: moments as ISO 8601, with a Z where they are of UTC."""
    texts = []
    for name, dtype in table.schema.items():
        if isinstance(dtype, pl.Datetime):
            texts.append(pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.f" + ("Z" if dtype.time_zone else "")))
    return table.with_columns(texts).to_dict(as_series=False)


def month_tables(data: Path, month: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and events of a month as `flights.validate` has written them."""
    rows, events = (pl.read_parquet(data / "valid" / name / f"{month}.parquet") for name in ("rows", "events"))
    return rows, events
