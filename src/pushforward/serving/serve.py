"""Server of versions: listens, follows the tags, answers until a signal comes; `commands/serve` starts it.

What is asked of a machine is in `Options`; what a version may take, and who gets a share, is in pushforward.yaml.
"""

import asyncio
import contextlib
import signal
import socket
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
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
Beside = Callable[[], Coroutine[Any, Any, None]]
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


def serve(root: Path, options: Options, *, say: Say, tell: Tell = lambda *_: None) -> None:
    """Serve what the environment holds until SIGTERM or an interrupt; what is under way by then is answered.

    `tell` is given what a person should hear of, who does not read what this program says.
    """
    _installed()
    uses = Uses(root, options.model)
    told = uses.read()
    live = _live(options, told.serve, say)
    with home(root, uses.model) as folder, _listening(options) as listener:
        cache = folder.parent.parent / "cache"
        follower = Follower(
            uses, options.environment, live, folder, cache, say, options.features, serve=told.serve, tell=tell
        )
        beside: list[Beside] = [follower.run]
        if live.journal is not None:
            beside.append(Outcomes(follower, live.journal.folder, say).run)
        _answer(options, live, listener, f"{uses.model}#{options.environment}", say, contextlib.nullcontext(), beside)


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
        with _listening(options) as listener:
            version = packed.answering(found, live, say, features=options.features)
            _answer(options, live, listener, made.version, say, version, [])


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


def _answer(
    options: Options, live: Live, listener: socket.socket, what: str, say: Say, around: Around, beside: Sequence[Beside]
) -> None:
    """Answer for `what` until a signal comes, inside of `around`; `beside` runs meanwhile."""
    import uvloop

    from pushforward.serving import app, counts

    application = app.Application(live)
    application.numbers.registry.register(counts.Counts(live))
    server = app.server(application, options.host, options.port)
    say(f"listens on http://{_shown(options.host)}:{listener.getsockname()[1]}/ for {what}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(server, listener, live, around, beside))


async def _run(
    server: "uvicorn.Server", listener: socket.socket, live: Live, around: Around, beside: Sequence[Beside]
) -> None:
    """Answer until a signal comes; then what is under way, then the versions end, and the log is written."""
    kept = [one for one in (live.journal, live.memory) if one is not None]
    writing = [asyncio.create_task(one.run()) for one in kept]
    try:
        async with around:
            tasks = [asyncio.create_task(run()) for run in beside]
            try:
                await server.serve(sockets=[listener])
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for one in kept:
            one.stop()
        await asyncio.gather(*writing)


@contextlib.contextmanager
def _listening(options: Options) -> Iterator[socket.socket]:
    """A socket that is bound, and signals that do not end this process before it has answered."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=2048)
    except OSError as failed:
        why = f"cannot listen on {options.host}:{options.port}: {failed.strerror}"
        raise PushforwardError(why, next="pushforward serve --port 0", exit_code=USAGE) from None
    # uvicorn sends itself again what it was sent, after it has answered: that must not end what comes after
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with listener:
            yield listener
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
