"""Events: what was told of the world since when a version has to know it, so that the next one knows it too.

`channel` tells them to each worker, from the first that is kept, whenever it starts. They are in memory: a server that
starts anew is told them again, from what `memory` has written, or from a table. How old one is goes by `known_at`, its
own moment, against the newest that is known: of a past that is told now as much is kept as was then.
"""

import heapq
import pickle
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pushforward.serving.port import Columns, Value

KNOWN = "known_at"
DAY_SECONDS = 86_400.0
MOST_BYTES = 1024**3
CHUNK_ROWS = 10_000
SLACK = 1_000  # places of frames that were taken back


@dataclass(frozen=True)
class _Told:
    at: float  # when the newest of its events was known
    rows: int
    frame: bytes  # pickled: the form in which a worker is told


class Events:
    """Frames of events in the order in which they came, each with its number; the oldest by their own time go."""

    def __init__(self, days: float, clock: Callable[[], float] = time.time) -> None:
        self.days, self.clock = days, clock
        self.end = 0  # the number that the next frame gets
        self.rows = 0
        self.dropped = 0  # rows that went before their time, for want of memory
        self._newest = float("-inf")
        self._bytes = 0
        self._kept: OrderedDict[int, _Told] = OrderedDict()
        self._ages: list[tuple[float, int]] = []  # a heap of when each frame was known, and its number

    @property
    def first(self) -> int:
        """The number of the first frame that is kept."""
        return next(iter(self._kept), self.end)

    def add(self, columns: Columns, *, ago: float = 0.0) -> int:
        """Keep events, all of them columns of one length, told `ago` seconds; the number after their last frame."""
        count = len(next(iter(columns.values()), ()))
        known = self._known(columns, count, self.clock() - ago)
        order = list(range(count)) if count <= CHUNK_ROWS else sorted(range(count), key=known.__getitem__)
        for start in range(0, count, CHUNK_ROWS):
            places = order[start : start + CHUNK_ROWS]
            part = {name: [values[place] for place in places] for name, values in columns.items()}
            told = _Told(max(known[place] for place in places), len(places), pickle.dumps(("observe", part), 5))
            self._kept[self.end] = told
            heapq.heappush(self._ages, (told.at, self.end))
            self.end += 1
            self.rows += told.rows
            self._bytes += len(told.frame)
            self._newest = max(self._newest, told.at)
        self._forget()
        return self.end

    def since(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The frames from the one with this number on that are kept; more may come while they are told."""
        while (number := max(number, self.first)) < self.end:
            if (told := self._kept.get(number)) is not None:
                yield number, told.frame
            number += 1

    def take_back(self, number: int) -> int:
        """Forget a frame that a version has refused: the next one need not be asked. How many rows it had."""
        rows = self._drop(number)
        if len(self._ages) > 2 * len(self._kept) + SLACK:
            self._ages = [(told.at, number) for number, told in self._kept.items()]
            heapq.heapify(self._ages)
        return rows

    def told(self, first: int, end: int) -> Iterator[Columns]:
        """The events of the frames from the number `first` on, before `end`, that are kept."""
        for number, frame in self.since(first):
            if number >= end:
                return
            yield pickle.loads(frame)[1]  # noqa: S301, pickled by `add`

    def _known(self, columns: Columns, count: int, came: float) -> list[float]:
        """When each event was known: none later than it came, and then those that do not say it."""
        return [min(_seconds(value, came), came) for value in columns.get(KNOWN, ())] or [came] * count

    def _forget(self) -> None:
        oldest = self._newest - self.days * DAY_SECONDS
        while self._ages and (self._ages[0][0] < oldest or self._bytes > MOST_BYTES):
            at, number = heapq.heappop(self._ages)
            rows = self._drop(number)
            self.dropped += rows if at >= oldest else 0

    def _drop(self, number: int) -> int:
        """Keep a frame no longer; how many rows it had."""
        gone = self._kept.pop(number, None)
        if gone is None:
            return 0
        self.rows -= gone.rows
        self._bytes -= len(gone.frame)
        return gone.rows


def _seconds(value: Value, came: float) -> float:
    """A moment in seconds since 1970; one without a zone is taken for UTC."""
    if not isinstance(value, datetime):
        return came
    return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
