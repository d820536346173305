"""Score command as the one who answers: for a version that names no `serve`, it is run for each batch of requests.

`channel` asks it as it asks a worker. It takes seconds where a worker takes milliseconds, for the version's code is
started, and the model loaded, each time.
"""

import asyncio
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import text
from pushforward.errors import PushforwardError
from pushforward.judge import score, table
from pushforward.serving import tables
from pushforward.serving.events import Events
from pushforward.serving.line import FailedError, Predicted, Spec
from pushforward.serving.port import Columns, Value
from pushforward.serving.tables import Types

if TYPE_CHECKING:
    import polars as pl

    from pushforward.settings import ModelContract


@dataclass(frozen=True)
class Told:
    """What a score command is told beside its rows: the contract, the types of rows and events, the kind of file."""

    contract: "ModelContract"
    rows: Types
    events: Types
    suffix: str


@dataclass
class Scored:
    """The score command of a version, and the events that it is given each time."""

    spec: Spec
    told: Told
    events: Events
    closed: bool = False

    @classmethod
    async def open(cls, spec: Spec, _on_end: Callable[[], None], *, told: Told) -> "Scored":
        """There is nothing to be loaded before somebody asks."""
        return cls(spec, told, Events(spec.remember_days))

    async def predict(self, rows: Columns, count: int) -> Predicted:
        """Predictions of `count` rows, by as many runs as a key is asked for."""
        return await asyncio.to_thread(self._predict, rows, count)

    async def tell(self, frame: bytes) -> None:
        """Keep a frame of events for the next run."""
        _, events = pickle.loads(frame)  # noqa: S301, pickled by `events` in this process
        self.events.add(events)

    async def close(self) -> None:
        """A run that is under way ends by itself."""
        self.closed = True

    def _predict(self, rows: Columns, count: int) -> Predicted:
        columns = self.spec.predicted
        found: dict[str, list[float]] = {name: [0.0] * count for name in columns}
        for places in _rounds(rows[self.told.contract.key]):
            part = {name: [values[place] for place in places] for name, values in rows.items()}
            for name, values in self._run(part).items():
                for place, value in zip(places, values, strict=True):
                    found[name][place] = value
        return Predicted(found)

    def _run(self, rows: Columns) -> Mapping[str, list[float]]:
        import polars as pl

        with tempfile.TemporaryDirectory(prefix="pushforward-serve-") as folder:
            try:
                return self._scored(rows, Path(folder))
            except PushforwardError as failed:
                raise FailedError(text.clean_lines(failed.message)) from None
            except (OSError, pl.exceptions.PolarsError) as failed:  # a full disk, or a value that no table holds
                raise FailedError(str(failed).partition("\n")[0]) from None

    def _scored(self, rows: Columns, folder: Path) -> Mapping[str, list[float]]:
        contract, suffix = self.told.contract, self.told.suffix
        given, out = folder / f"rows{suffix}", folder / f"predictions{suffix}"
        frame = tables.frame(rows, self.told.rows)
        table.write(frame, given)
        events = None
        if contract.events:
            events = folder / "events.parquet"
            table.write(self._known(), events)
        asked, limit = (given, events, out), self.spec.answer_seconds
        score.score(self.spec.checkout, contract, *asked, python_bin=self.spec.python, timeout=limit)
        found = score.read_predictions(out, frame[contract.key], probability=False, columns=self.spec.predicted)
        several = found.reshape(len(frame), -1)
        return {name: several[:, place].tolist() for place, name in enumerate(self.spec.predicted)}

    def _known(self) -> "pl.DataFrame":
        """All events as one table; one that nobody has told has the columns alone."""
        import polars as pl

        empty: dict[str, list[Value]] = {name: [] for name in self.told.events}
        told = [*self.events.told(self.events.first, self.events.end)]
        return pl.concat([tables.frame(one, self.told.events) for one in told or [empty]], how="diagonal_relaxed")


def _rounds(keys: Sequence[Value]) -> Iterator[list[int]]:
    """Places of rows whose keys are all different: a score command is asked for each key once."""
    rounds: list[list[int]] = []
    seen: dict[Value, int] = {}
    for place, key in enumerate(keys):
        number = seen.get(key, 0)
        seen[key] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(place)
    yield from rounds
