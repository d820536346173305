"""Server of versions: listens, follows the tags, answers until a signal comes; `commands/serve` starts it.

What is asked of a machine is in `Options`; what a version may take, and who gets a share, is in pushforward.yaml.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.judge import table
from pushforward.serving import tables
from pushforward.serving.canary import Outcomes
from pushforward.serving.events import Events
from pushforward.serving.follow import Follower, Tell, home
from pushforward.serving.journal import Journal
from pushforward.serving.live import Live
from pushforward.serving.memory import FOLDER, Memory
from pushforward.serving.uses import Uses

if TYPE_CHECKING:
    import uvicorn

EXTRA = "pip install 'pushforward[serve]'"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """Which environment of which model is served, where, and what is kept of it."""

    environment: str
    model: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    log: Path | None = None
    keep_days: float | None = None
    events: Path | None = None
    features: bool = False


def serve(root: Path, options: Options, *, say: Say, tell: Tell = lambda *_: None) -> None:
    """Serve what the environment holds until SIGTERM or an interrupt; what is under way by then is answered.

    `tell` is given what a person should hear of, who does not read what this program says.
    """
    try:
        import uvloop

        from pushforward.serving import app, counts
    except ModuleNotFoundError as missing:
        why = f"{missing.name} is not installed, which versions are served with"
        raise PushforwardError(why, next=EXTRA, exit_code=TOOL) from None
    uses = Uses(root, options.model)
    told = uses.read()
    events = Events(told.serve.remember_days)
    memory = Memory(options.log / FOLDER, told.serve.remember_days, say) if options.log is not None else None
    if memory is not None and (count := memory.replay(events)):
        say(f"events that were told before and are known again: {count:,}")
    if options.events is not None:
        events.add(tables.columns(table.read(options.events, str(options.events))))
    journal = Journal(options.log, say, options.keep_days) if options.log is not None else None
    live = Live(events, journal, told.serve.share, told.serve.slower, memory=memory)
    with home(root, uses.model) as folder, _listening(options) as listener:
        cache = folder.parent.parent / "cache"
        follower = Follower(
            uses, options.environment, live, folder, cache, say, options.features, serve=told.serve, tell=tell
        )
        application = app.Application(live)
        application.numbers.registry.register(counts.Counts(live))
        server = app.server(application, options.host, options.port)
        place = f"http://{_shown(options.host)}:{listener.getsockname()[1]}/"
        say(f"listens on {place} for {uses.model}#{options.environment}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(server, listener, follower, live))


async def _run(server: "uvicorn.Server", listener: socket.socket, follower: Follower, live: Live) -> None:
    """Answer until a signal comes; then what is under way, then the versions end, and the log is written."""
    beside = [asyncio.create_task(follower.run())]
    journal, kept = live.journal, [one for one in (live.journal, live.memory) if one is not None]
    writing = [asyncio.create_task(one.run()) for one in kept]
    if journal is not None:
        beside.append(asyncio.create_task(Outcomes(follower, journal.folder, follower.say).run()))
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
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
