"""Score command as the one who answers: for a version that names no `serve`, it is run for each batch of requests.

`channel` asks it as it asks a worker. It takes seconds where a worker takes milliseconds, for the version's code is
started, and the model loaded, each time.
"""

import asyncio
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.errors import PushforwardError
from pushforward.judge import score
from pushforward.serving import tables
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
    closed: bool = False
    _events: list[dict[str, list[Value]]] = field(default_factory=list)

    @classmethod
    async def open(cls, spec: Spec, _on_end: Callable[[], None], *, told: Told) -> "Scored":
        """There is nothing to be loaded before somebody asks."""
        return cls(spec, told)

    async def predict(self, rows: Columns, count: int) -> Predicted:
        """Predictions of `count` rows, by as many runs as a key is asked for."""
        return await asyncio.to_thread(self._predict, rows, count)

    async def tell(self, frame: bytes) -> None:
        """Keep a frame of events for the next run."""
        _, events = pickle.loads(frame)  # noqa: S301, pickled by `events` in this process
        self._events.append(events)

    async def close(self) -> None:
        """A run that is under way ends by itself."""
        self.closed = True

    def _predict(self, rows: Columns, count: int) -> Predicted:
        columns = self.spec.predicted
        found: dict[str, list[float]] = {name: [0.0] * count for name in columns}
        given = rows.get(self.told.contract.key)
        keys: Sequence[Value] = given if given is not None else [f"row-{number}" for number in range(count)]
        for places in _rounds(keys):
            part = {name: [values[place] for place in places] for name, values in rows.items()}
            part[self.told.contract.key] = [keys[place] for place in places]
            for name, values in self._run(part).items():
                for place, value in zip(places, values, strict=True):
                    found[name][place] = value
        return Predicted(found)

    def _run(self, rows: Columns) -> Mapping[str, list[float]]:
        contract, suffix = self.told.contract, self.told.suffix
        with tempfile.TemporaryDirectory(prefix="pushforward-serve-") as folder:
            given, out = Path(folder, f"rows{suffix}"), Path(folder, f"predictions{suffix}")
            table = tables.frame(rows, self.told.rows)
            _write(table, given)
            events = None
            if contract.events:
                events = Path(folder, "events.parquet")
                _write(self._known(), events)
            asked, limit = (given, events, out), self.spec.answer_seconds
            try:
                score.score(self.spec.checkout, contract, *asked, python_bin=self.spec.python, timeout=limit)
                keys = table[contract.key]
                found = score.read_predictions(out, keys, probability=False, columns=self.spec.predicted)
            except PushforwardError as failed:
                raise FailedError(failed.message) from None
        several = found.reshape(len(table), -1)
        return {name: several[:, place].tolist() for place, name in enumerate(self.spec.predicted)}

    def _known(self) -> "pl.DataFrame":
        """All events as one table; one that nobody has told has the columns alone."""
        import polars as pl

        empty: dict[str, list[Value]] = {name: [] for name in self.told.events}
        parts = [tables.frame(one, self.told.events) for one in self._events or [empty]]
        return pl.concat(parts, how="diagonal_relaxed")


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


def _write(table: "pl.DataFrame", path: Path) -> None:
    if path.suffix == ".csv":
        table.write_csv(path)
    else:
        table.write_parquet(path)
