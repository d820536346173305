"""Line: one worker process and the wire to it; it is asked one thing at a time, and believed nothing.

`channel` opens one after the other. A worker that dies, is late, or says what was not asked for is a fault: the line is
cut, and with it the process and all that it has started. `worker` is the program at the other end.
"""

import array
import asyncio
import contextlib
import json
import math
import os
import pickle
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pushforward import files, text
from pushforward.pipeline.environment import search_path
from pushforward.process import clean_environment
from pushforward.serving import worker
from pushforward.serving.port import Columns, RefusedError

LOAD_SECONDS = 120.0
ANSWER_SECONDS = 10.0
MOST_HEAD = 65_536
ROW_OF_HEAD = 64  # a digest of a row's features
LAST_BYTES = 4096
DOUBLE = 8


class FaultError(Exception):
    """A version that did not answer as it has to: nothing that who asked can mend."""


class FailedError(FaultError):
    """A version that says itself that it failed: its worker can still be asked."""


@dataclass(frozen=True)
class Spec:
    """What a worker is started with, and what its answers have to be."""

    python: Path
    checkout: Path
    folder: str
    entry: str
    model: Path
    predicted: tuple[str, ...]
    probability: bool
    memory: int
    load_seconds: float = LOAD_SECONDS
    answer_seconds: float = ANSWER_SECONDS
    features: bool = False
    remember_days: float = math.inf  # how long events are kept, by what keeps them outside of a worker


@dataclass(frozen=True)
class Predicted:
    """Predictions by column, and of each row a digest of its features where the version tells them."""

    columns: Mapping[str, list[float]]
    features: list[str] | None = None


class _Wire(asyncio.Protocol):
    """Frames of a worker, each for the one future that waits; what comes unasked cuts the wire."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[tuple[bytes, bytes]] | None = None
        self.most = (MOST_HEAD, 0)
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # those of uvloop are no children of it

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._fail("it ended")

    def data_received(self, data: bytes) -> None:
        if self.waiting is None or self.waiting.done():
            self._fail("it says what it was not asked")
            return
        self._buffer += data
        size = worker.SAID.size
        if len(self._buffer) < size:
            return
        head, body = worker.SAID.unpack_from(self._buffer)
        if head > self.most[0] or body > self.most[1]:
            self._fail(f"it answers with {head + body:,} bytes")
        elif len(self._buffer) >= size + head + body:
            whole = bytes(self._buffer)
            self._buffer.clear()
            if len(whole) > size + head + body:
                self._fail("it says more than it was asked")
            else:
                self.waiting.set_result((whole[size : size + head], whole[size + head :]))

    def _fail(self, why: str) -> None:
        self.gone.set()
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(FaultError(why))
        if self.transport is not None:
            self.transport.abort()


@dataclass
class Line:
    """One worker process."""

    spec: Spec
    process: asyncio.subprocess.Process
    wire: _Wire
    on_end: Callable[[], None] = lambda: None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _tail: bytearray = field(default_factory=bytearray)

    @classmethod
    async def open(cls, spec: Spec, on_end: Callable[[], None] = lambda: None) -> "Line":
        """Start a worker and have it load the model; `FaultError` where it does not, and then nothing of it is left."""
        process, wire = await _connected(spec)
        made = cls(spec, process, wire, on_end)
        for part in (made._drain(), made._mourn()):
            task = asyncio.ensure_future(part)
            made._tasks.add(task)
            task.add_done_callback(made._tasks.discard)
        told = {"entry": spec.entry, "folder": str(spec.model), "memory": spec.memory}
        try:
            await made._ask(pickle.dumps(("load", told), protocol=5), spec.load_seconds)
        except (FaultError, RefusedError) as failed:
            await made.close()
            raise FaultError(f"it does not load: {failed}{made.last_words()}") from None
        except BaseException:
            await made.close()
            raise
        return made

    @property
    def closed(self) -> bool:
        """Whether it can be asked no more."""
        return self.wire.gone.is_set()

    async def predict(self, rows: Columns, count: int) -> Predicted:
        """Predictions of `count` rows: finite, as many as rows, of the columns that the version has to give."""
        frame = pickle.dumps(("features" if self.spec.features else "predict", rows), protocol=5)
        # half of the time that a request has: what one worker did not answer, the next one may
        told, body = await self._ask(frame, self.spec.answer_seconds / 2, rows=count)
        if told.get("columns") != dict.fromkeys(self.spec.predicted, count):
            raise FaultError(f"it answers {count} rows with {str(told.get('columns'))[:200]}")
        size = count * DOUBLE
        if len(body) != size * len(self.spec.predicted):
            raise FaultError("it answers with another number of bytes than it says")
        found = {}
        for place, name in enumerate(told["columns"]):
            values = array.array("d", body[place * size : (place + 1) * size]).tolist()
            found[name] = values
        digests = told.get("features")
        texts = isinstance(digests, list) and len(digests) == count and all(map(_digest, digests))
        return Predicted(found, digests if texts else None)

    async def tell(self, frame: bytes) -> None:
        """Tell it a frame of events."""
        await self._ask(frame, self.spec.load_seconds)

    def last_words(self) -> str:
        """What it printed last, for whoever runs the server."""
        lines = bytes(self._tail).decode("utf-8", "replace").strip().splitlines()[-6:]
        return "".join(f"\n  {text.clean(line)[:300]}" for line in lines)

    def kill(self) -> None:
        """End it, and all that it has started."""
        self.wire.gone.set()
        if self.wire.transport is not None:
            self.wire.transport.abort()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End it and wait until it is gone."""
        self.kill()
        await self.process.wait()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _ask(self, frame: bytes, seconds: float, *, rows: int = 0) -> tuple[dict[str, Any], bytes]:
        wire = self.wire
        if self.closed or wire.transport is None:
            raise FaultError(f"it ended{self.last_words()}")
        wire.most = (MOST_HEAD + ROW_OF_HEAD * rows, rows * DOUBLE * len(self.spec.predicted))
        wire.waiting = asyncio.get_running_loop().create_future()
        wire.transport.writelines((worker.ASKED.pack(len(frame)), frame))
        try:
            async with asyncio.timeout(seconds):
                head, body = await wire.waiting
        except TimeoutError:
            raise FaultError(f"it did not answer within {seconds:g} s") from None
        return _said(head), body

    async def _drain(self) -> None:
        """Read what it prints, so that it can go on printing; the last of it is kept."""
        assert self.process.stdout is not None  # noqa: S101, a pipe was asked for
        while data := await self.process.stdout.read(65_536):
            self._tail += data
            del self._tail[:-LAST_BYTES]

    async def _mourn(self) -> None:
        await self.wire.gone.wait()
        self.on_end()


async def _connected(spec: Spec) -> tuple[asyncio.subprocess.Process, _Wire]:
    """A worker's process and the wire to it; `FaultError` where there is none, and then nothing is left open."""
    with contextlib.ExitStack() as left:
        try:
            ours, theirs = socket.socketpair()
            left.enter_context(ours)
            ours.setblocking(False)
            with theirs:
                process = await _start(spec, theirs)
        except OSError as missing:
            raise FaultError(f"{spec.python} cannot be run: {missing.strerror}") from missing
        except files.LinkError as led:
            raise FaultError(led.message) from None
        _, wire = await asyncio.get_running_loop().create_unix_connection(_Wire, sock=ours)
        left.pop_all()
    return process, wire


async def _start(spec: Spec, theirs: socket.socket) -> asyncio.subprocess.Process:
    folder = files.place(spec.checkout, spec.folder) if spec.folder != "." else spec.checkout
    sources = dict.fromkeys(str(place.absolute()) for place in (folder / "src", spec.checkout / "src", folder))
    told = {
        "PATH": search_path(spec.python),
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONUNBUFFERED": "1",
        "OMP_WAIT_POLICY": "passive",
        "TZ": "UTC",
    }
    # -P: the folder of the program has modules of ours, and none of them stands for one of the version's
    words = (str(spec.python), "-P", worker.__file__, str(theirs.fileno()))
    return await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        env=clean_environment(told),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        pass_fds=(theirs.fileno(),),
        start_new_session=True,
    )


def _said(head: bytes) -> dict[str, Any]:
    """What a worker says, as an object; its refusal and its failure are raised."""
    try:
        told = json.loads(head)
    except (ValueError, RecursionError):
        raise FaultError("it answers with what is no JSON") from None
    if not isinstance(told, dict):
        raise FaultError("it answers with what is no object")
    if "refused" in told:
        raise RefusedError("", text.plain(str(told["refused"]), worker.LONGEST_WORDS))
    if "ok" not in told:
        raise FailedError(text.plain(str(told.get("failed", "it says nothing")), worker.LONGEST_WORDS))
    return told


def _digest(told: object) -> bool:
    """Whether it can stand in the log: what a version says is any text, halves of a character too."""
    return isinstance(told, str) and told.isascii()


def unsound(predicted: Predicted, *, probability: bool) -> str:
    """Why predictions are none, or ""."""
    for name, values in predicted.columns.items():
        for value in values:
            if not math.isfinite(value):
                return f"{name} is {value}"
            if probability and not 0.0 <= value <= 1.0:
                return f"{name} is {value}, and has to be in [0, 1]"
    return ""
