"""Channel: a version that answers, whatever becomes of its workers: requests wait and go together, a fault is mended.

`live` has one for each version that is asked. While the worker is busy, requests queue; all that fit go in one frame,
and the answers are split again. A worker that fails is ended and started again, ever later; what it was asked is asked
once more, alone, and then given up. So are events that end one: this version is told them no more, others are.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pushforward.serving.events import Events
from pushforward.serving.line import FailedError, FaultError, Line, Predicted, Spec, unsound
from pushforward.serving.port import Columns, RefusedError, UnavailableError

MOST_ROWS = 10_000  # of one frame
MOST_WAITING = 100_000  # rows
BACK_OFF_SECONDS = (0.1, 30.0)
MOST_FAILURES = 5  # in a row: then the worker is ended, for what it remembers may be what is wrong
STEADY_SECONDS = 60.0  # a worker that lived so long begins anew with the shortest wait


class Asked(Protocol):
    """What answers for a version: a worker, or its score command."""

    @property
    def closed(self) -> bool:
        """Whether it can be asked no more."""

    async def predict(self, rows: Columns, count: int) -> Predicted:
        """Predictions; `RefusedError`, or `FaultError`."""

    async def tell(self, frame: bytes) -> None:
        """Tell it a frame of events."""

    async def close(self) -> None:
        """End it."""


Opens = Callable[[Spec, Callable[[], None]], Awaitable[Asked]]


@dataclass
class _Request:
    rows: Columns
    count: int
    answer: "asyncio.Future[Predicted]"
    alone: bool = False  # it was in a frame that failed


@dataclass
class _Hearing:
    """Frames of events that somebody waits for, and why some of them were refused, by their numbers."""

    first: int
    end: int
    refused: dict[int, str] = field(default_factory=dict)


@dataclass
class Channel:
    """A version's workers, one after the other. `told` hears of each fault."""

    spec: Spec
    events: Events
    told: Callable[[str], None]
    opens: Opens = Line.open
    faults: int = 0
    starts: int = 0
    _line: Asked | None = None
    _waiting: deque[_Request] = field(default_factory=deque)
    _rows: int = 0
    _heard: int = 0  # the number of the first frame of events that the worker has not been told
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None
    _hearings: list[_Hearing] = field(default_factory=list)
    _skipped: set[int] = field(default_factory=set)  # frames that ended two workers: no other one is told them
    _suspect: int | None = None  # the frame that the last worker was told when it ended
    _said: bool = False  # that this worker refuses events
    _failures: int = 0

    async def start(self) -> None:
        """Open the first worker and tell it all events; `FaultError` where that fails."""
        line = await self._open()
        try:
            await self._tell(line)
        except BaseException:
            await line.close()
            raise
        self._line = line
        self._task = asyncio.create_task(self._work(line))

    async def predict(self, rows: Columns, count: int) -> Predicted:
        """Predictions of `count` rows, in time or not at all."""
        if self._task is None or self._task.done():
            raise UnavailableError("this version is not asked any more")
        if self._rows + count > MOST_WAITING:
            raise UnavailableError(f"{self._rows:,} rows are waiting")
        request = _Request(rows, count, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._rows += count
        self._wake.set()
        try:
            async with asyncio.timeout(self.spec.answer_seconds):
                return await request.answer
        except TimeoutError:
            raise UnavailableError(f"no answer within {self.spec.answer_seconds:g} s") from None
        finally:
            self._rows -= count

    async def observed(self, first: int, end: int) -> dict[int, str]:
        """Wait until the worker knows the events from the number `first` on, before `end`; why it refused which."""
        hearing = _Hearing(first, end)
        self._hearings.append(hearing)
        self._wake.set()
        try:
            async with asyncio.timeout(self.spec.answer_seconds):
                while self._heard < end:
                    self._caught_up.clear()
                    await self._caught_up.wait()
        except TimeoutError:
            raise UnavailableError(f"events were not taken within {self.spec.answer_seconds:g} s") from None
        finally:
            self._hearings.remove(hearing)
        return hearing.refused

    def wake(self) -> None:
        """Have the worker told what is new, and wait for nothing."""
        self._wake.set()

    async def stop(self) -> None:
        """Answer what waits, then end the worker, whatever became of this."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.spec.answer_seconds):
                    while self._rows and self._task is not None and not self._task.done():
                        await asyncio.sleep(0.01)
        finally:
            await self._end()

    async def _end(self) -> None:
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
        finally:
            for request in self._waiting:
                _fail(request, "this version is not asked any more")
            if self._line is not None:
                await self._line.close()

    async def _open(self) -> Asked:
        self._heard, self._said = 0, False
        self._skipped = {number for number in self._skipped if number >= self.events.first}
        self.starts += 1
        with _faults():
            return await self.opens(self.spec, self._wake.set)

    async def _work(self, line: Asked) -> None:
        """Answer; after a fault open another worker, ever later while none holds."""
        shortest, longest = BACK_OFF_SECONDS
        wait, began = shortest, time.monotonic()
        while True:
            try:
                with _faults():
                    await self._until_it_fails(line)
            except FaultError as fault:
                self._fault(str(fault))
            wait = shortest if time.monotonic() - began > STEADY_SECONDS else wait
            while True:
                await asyncio.sleep(wait)
                wait, began = min(2 * wait, longest), time.monotonic()
                try:
                    line = self._line = await self._open()
                    break
                except FaultError as fault:
                    self._fault(str(fault))
                    # nobody waits for them any more, and while no worker starts nobody else takes them out
                    self._waiting = deque(one for one in self._waiting if not one.answer.done())

    async def _until_it_fails(self, line: Asked) -> None:
        try:
            await self._answer(line)
        finally:
            await line.close()

    async def _answer(self, line: Asked) -> None:
        while True:
            await self._tell(line)
            if batch := self._batch():
                await self._ask(line, batch)
                continue
            if line.closed:
                raise FaultError("it ended")
            self._wake.clear()
            if not self._waiting and self._heard >= self.events.end:
                await self._wake.wait()

    async def _tell(self, line: Asked) -> None:
        for number, frame in self.events.since(self._heard):
            if line.closed:
                raise FaultError("it ended")  # before it was told this frame, which is not at fault
            if number not in self._skipped:
                await self._tell_one(line, number, frame)
            self._heard = number + 1
            self._caught_up.set()
        self._heard = self.events.end  # what is kept no longer is told to nobody
        self._caught_up.set()

    async def _tell_one(self, line: Asked, number: int, frame: bytes) -> None:
        try:
            with _faults():
                await line.tell(frame)
        except (RefusedError, FailedError) as refused:
            self._refuse(number, str(refused))
        except FaultError:
            if self._suspect == number:
                self._skipped.add(number)
                self._refuse(number, "the version failed on them")
            self._suspect = number
            raise
        if self._suspect == number:
            self._suspect = None

    def _refuse(self, number: int, why: str) -> None:
        """Have who waits for a frame know why it was refused; where nobody does, it is a fault, said once a worker."""
        waiting = [one for one in self._hearings if one.first <= number < one.end]
        for one in waiting:
            one.refused[number] = why
        if not waiting and not self._said:
            self._said = True
            self._fault(f"it refuses events: {why}")

    def _batch(self) -> list[_Request]:
        batch: list[_Request] = []
        rows = 0
        while self._waiting:
            one = self._waiting[0]
            if one.answer.done():  # nobody waits for it any more
                self._waiting.popleft()
                continue
            differs = batch and (one.alone or one.rows.keys() != batch[0].rows.keys() or rows + one.count > MOST_ROWS)
            if differs:
                break
            batch.append(self._waiting.popleft())
            rows += one.count
            if one.alone:
                break
        return batch

    async def _ask(self, line: Asked, batch: list[_Request]) -> None:
        """Ask for a batch at once; where it fails or is refused, for each of it alone."""
        count = sum(one.count for one in batch)
        try:
            with _faults():
                found = await line.predict(_joined(batch), count)
        except RefusedError as refused:
            if len(batch) > 1:
                self._again(batch)
            elif not batch[0].answer.done():
                name, colon, why = refused.why.partition(": ")
                named = bool(colon) and name in batch[0].rows
                batch[0].answer.set_exception(RefusedError(name, why) if named else RefusedError("", refused.why))
            return
        except FailedError as failed:
            self._failed(batch, str(failed))
            return
        except FaultError as fault:
            self._give_up(batch, str(fault))
            raise
        except BaseException:
            for one in batch:
                _fail(one, "this version is not asked any more")
            raise
        if why := unsound(found, probability=self.spec.probability):
            self._failed(batch, why)
            return
        self._failures = 0
        _split(batch, found)

    def _failed(self, batch: list[_Request], why: str) -> None:
        """Rows on which the version fails by itself: those alone are without an answer, and the worker goes on."""
        self._give_up(batch, why)
        if len(batch) > 1:
            return
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            self._failures = 0
            raise FaultError(f"{MOST_FAILURES} failures in a row; the last: {why}")
        self._fault(why)

    def _give_up(self, batch: list[_Request], why: str) -> None:
        """What was asked alone fails; what was together, or for the first time, is asked once more."""
        for one in batch:
            if one.alone:
                _fail(one, why)
        self._again([one for one in batch if not one.alone])

    def _again(self, batch: list[_Request]) -> None:
        for one in reversed(batch):
            one.alone = True
            self._waiting.appendleft(one)

    def _fault(self, why: str) -> None:
        self.faults += 1
        self.told(why)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Whatever else goes wrong with a version, a full disk or too many open files, is a fault like any other."""
    try:
        yield
    except (FaultError, RefusedError):
        raise
    except Exception as failed:
        raise FaultError(f"{type(failed).__name__}: {failed}") from failed


def _fail(request: _Request, why: str) -> None:
    if not request.answer.done():
        request.answer.set_exception(UnavailableError(why))


def _joined(batch: list[_Request]) -> Columns:
    """The rows of a batch as columns, each a list: what a predictor is promised."""
    if len(batch) == 1:
        rows = batch[0].rows
        return {name: values if isinstance(values, list) else list(values) for name, values in rows.items()}
    return {name: [value for one in batch for value in one.rows[name]] for name in batch[0].rows}


def _split(batch: list[_Request], found: Predicted) -> None:
    start = 0
    for one in batch:
        end = start + one.count
        if not one.answer.done():
            columns = {name: values[start:end] for name, values in found.columns.items()}
            one.answer.set_result(Predicted(columns, found.features[start:end] if found.features else None))
        start = end
