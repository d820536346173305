"""Events: what was told of the world since when a version has to know it, so that the next one knows it too.

`channel` tells them to each worker, from the first that is kept, whenever it starts. They are in memory: a server that
starts anew is told them again, from what `memory` has written, or from a table.
"""

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pushforward.serving.port import Columns

DAY_SECONDS = 86_400.0
MOST_BYTES = 1024**3
CHUNK_ROWS = 10_000


@dataclass
class _Told:
    at: float
    rows: int
    frame: bytes  # pickled: the form in which a worker is told


class Events:
    """Frames of events in the order in which they came, each with its number; the oldest go."""

    def __init__(self, days: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = days * DAY_SECONDS, clock
        self.first = 0
        self.rows = 0
        self.dropped = 0  # rows that went before their time, for want of memory
        self._bytes = 0
        self._kept: deque[_Told] = deque()

    @property
    def end(self) -> int:
        """The number that the next frame gets."""
        return self.first + len(self._kept)

    def add(self, columns: Columns, *, ago: float = 0.0) -> int:
        """Keep events, all of them columns of one length, told `ago` seconds; the number after their last frame."""
        count = len(next(iter(columns.values()), ()))
        for start in range(0, count, CHUNK_ROWS):
            part = {name: list(values[start : start + CHUNK_ROWS]) for name, values in columns.items()}
            rows = min(CHUNK_ROWS, count - start)
            frame = pickle.dumps(("observe", part), protocol=5)
            self._kept.append(_Told(self.clock() - ago, rows, frame))
            self.rows += rows
            self._bytes += len(frame)
        self._forget()
        return self.end

    def since(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The frames from the one with this number on; more may come while they are told."""
        while (number := max(number, self.first)) < self.end:
            yield number, self._kept[number - self.first].frame
            number += 1

    def take_back(self, first: int, end: int) -> None:
        """Forget frames that a version has refused: the next one need not be asked."""
        for number in range(max(first, self.first), min(end, self.end)):
            one = self._kept[number - self.first]
            self.rows -= one.rows
            self._bytes -= len(one.frame)
            one.rows, one.frame = 0, b""

    def _forget(self) -> None:
        oldest = self.clock() - self.seconds
        while self._kept and (self._kept[0].at < oldest or self._bytes > MOST_BYTES):
            gone = self._kept.popleft()
            self.dropped += gone.rows if gone.at >= oldest else 0
            self.first += 1
            self.rows -= gone.rows
            self._bytes -= len(gone.frame)
