"""Server of versions: listens, follows the tags, answers until a signal comes; `commands/serve` starts it.

What is asked of a machine is in `Options`; what a version may take, and who gets a share, is in pushforward.yaml.
"""

import asyncio
import contextlib
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.judge import table
from pushforward.serving import packed, tables
from pushforward.serving.canary import Outcomes
from pushforward.serving.events import Events
from pushforward.serving.follow import Follower, Tell, home
from pushforward.serving.journal import Journal
from pushforward.serving.live import Live
from pushforward.serving.memory import FOLDER, Memory
from pushforward.serving.uses import Uses

if TYPE_CHECKING:
    import uvicorn

    from pushforward.lifecycle import Serve

EXTRA = "pip install 'pushforward[serve]'"
Say = Callable[[str], None]
Around = contextlib.AbstractAsyncContextManager[object]


@dataclass(frozen=True)
class Options:
    """Which environment of which model is served, where, and what is kept of it.

    A bundle is held against `signers`, and with `check` asked alone.
    """

    environment: str
    model: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    log: Path | None = None
    keep_days: float | None = None
    events: Path | None = None
    features: bool = False
    signers: Path | None = None
    check: bool = False


@dataclass
class _Signals:
    """SIGTERM and interrupts before the HTTP server listens to them, and after: they end what `end` ends, nothing else.

    uvicorn sends itself again what it was sent, after it has answered: that must not end what comes after.
    """

    came: bool = False
    end: Callable[[], object] = lambda: None

    def __call__(self, *_: object) -> None:
        self.came = True
        self.end()


@dataclass(frozen=True)
class _Beside:
    """What runs beside the requests, and what is so where it has failed; only what is `vital` ends the server then."""

    run: Callable[[], Coroutine[Any, Any, None]]
    lost: str
    vital: bool = False


@dataclass
class _Serving:
    """What one server is made of, and why what ran beside it has failed."""

    options: Options
    live: Live
    listener: socket.socket
    signals: _Signals
    say: Say
    failures: list[BaseException] = field(default_factory=list)


def serve(root: Path, options: Options, *, say: Say, tell: Tell = lambda *_: None) -> None:
    """Serve what the environment holds until SIGTERM or an interrupt; what is under way by then is answered.

    `tell` is given what a person should hear of, who does not read what this program says.
    """
    _installed()
    uses = Uses(root, options.model)
    told = uses.read()
    live = _live(options, told.serve, say)
    with home(root, uses.model) as folder, _listening(options) as (listener, signals):
        cache = folder.parent.parent / "cache"
        follower = Follower(
            uses, options.environment, live, folder, cache, say, options.features, serve=told.serve, tell=tell
        )
        beside = [_Beside(follower.run, "the server ends, for it cannot follow any more", vital=True)]
        if live.journal is not None:
            looks = Outcomes(follower, live.journal.folder, say)
            beside.append(_Beside(looks.run, "outcomes of a canary are looked at no more"))
        what = f"{uses.model}#{options.environment}"
        _answer(_Serving(options, live, listener, signals, say), what, contextlib.nullcontext(), beside)


def serve_bundle(given: Path, options: Options, *, say: Say) -> None:
    """Serve the version in the bundle `given` in the same way, and follow nothing; where `check` is, ask it alone."""
    _installed()
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        found = packed.prepare(given, options.signers, Path(folder))
        say(found.said)
        made = found.prepared
        say(f"{made.version}: {made.said}")
        if options.check:
            return
        live = _live(options, made.rules.serve, say)
        with _listening(options) as (listener, signals):
            version = packed.answering(found, live, say, features=options.features)
            _answer(_Serving(options, live, listener, signals, say), made.version, version, [])


def _installed() -> None:
    """Refuse to begin where what versions are served with is not installed."""
    try:
        import uvloop  # noqa: F401

        from pushforward.serving import app, counts  # noqa: F401
    except ModuleNotFoundError as missing:
        why = f"{missing.name} is not installed, which versions are served with"
        raise PushforwardError(why, next=EXTRA, exit_code=TOOL) from None


def _live(options: Options, may: "Serve", say: Say) -> Live:
    events = Events(may.remember_days)
    memory = Memory(options.log / FOLDER, may.remember_days, say) if options.log is not None else None
    if memory is not None and (count := memory.replay(events)):
        say(f"events that were told before and are known again: {count:,}")
    if options.events is not None:
        events.add(tables.columns(table.read(options.events, str(options.events))))
    journal = Journal(options.log, say, options.keep_days) if options.log is not None else None
    return Live(events, journal, may.share, may.slower, memory=memory)


def _answer(serving: _Serving, what: str, around: Around, beside: Sequence[_Beside]) -> None:
    """Answer for `what` until a signal comes, inside of `around`; `beside` runs meanwhile."""
    import uvloop

    from pushforward.serving import app, counts

    options, live = serving.options, serving.live
    application = app.Application(live)
    application.numbers.registry.register(counts.Counts(live))
    server = app.server(application, options.host, options.port)
    port = serving.listener.getsockname()[1]
    serving.say(f"listens on http://{_shown(options.host)}:{port}/ for {what}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(server, serving, around, beside))
    if serving.failures:
        raise serving.failures[0]


async def _run(server: "uvicorn.Server", serving: _Serving, around: Around, beside: Sequence[_Beside]) -> None:
    """Answer until a signal comes; then what is under way, then the versions end, and the log is written."""
    live = serving.live
    known = ((live.journal, "answers are logged no more"), (live.memory, "events are written no more"))
    kept = [(one, lost) for one, lost in known if one is not None]

    def began(one: _Beside) -> "asyncio.Task[None]":
        task = asyncio.create_task(one.run())
        task.add_done_callback(partial(_ended, server, serving, one))
        return task

    writing = [began(_Beside(one.run, lost)) for one, lost in kept]
    try:
        async with contextlib.AsyncExitStack() as stack:
            if await _ready(server, serving.signals, stack, around):
                tasks = [began(one) for one in beside]
                try:
                    await server.serve(sockets=[serving.listener])
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for one, _ in kept:
            one.stop()
        await asyncio.gather(*writing, return_exceptions=True)


async def _ready(server: "uvicorn.Server", signals: _Signals, stack: contextlib.AsyncExitStack, around: Around) -> bool:
    """Enter `around`, which may load a version for minutes; False where a signal has ended that."""
    loop, entering = asyncio.get_running_loop(), asyncio.ensure_future(stack.enter_async_context(around))
    signals.end = lambda: loop.call_soon_threadsafe(entering.cancel)
    if signals.came:
        entering.cancel()
    await asyncio.wait([entering])
    signals.end = partial(setattr, server, "should_exit", True)
    if not entering.cancelled():
        entering.result()
    return not signals.came


def _ended(server: "uvicorn.Server", serving: _Serving, one: _Beside, task: "asyncio.Task[None]") -> None:
    """Say what has failed beside the requests: it is a bug, and raised when the server ends."""
    if task.cancelled() or (failed := task.exception()) is None:
        return
    serving.failures.append(failed)
    serving.say(f"{one.lost}: {type(failed).__name__}: {failed}")
    if one.vital:
        server.should_exit = True


@contextlib.contextmanager
def _listening(options: Options) -> Iterator[tuple[socket.socket, _Signals]]:
    """A socket that is bound, and signals that do not end this process before it has answered."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=2048)
    except OSError as failed:
        why = f"cannot listen on {options.host}:{options.port}: {failed.strerror}"
        raise PushforwardError(why, next="pushforward serve --port 0", exit_code=USAGE) from None
    signals = _Signals()
    before = {one: signal.signal(one, signals) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with listener:
            yield listener, signals
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
