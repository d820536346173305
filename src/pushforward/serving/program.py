"""Program: what a server has done by a process of its own, so that nothing of it takes the time of who answers.

`candidate` and `asking` are such programs, `follow` and `canary` start them. A program prints one line of JSON on
standard output: what it has found, or why it has not.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pushforward
from pushforward import text
from pushforward.errors import TOOL, PushforwardError
from pushforward.serving import worker

LAST_LINES = 4
GRACE_SECONDS = 5.0  # to end what it has started, before it is killed


def tell(act: Callable[[], dict[str, Any]]) -> None:
    """Be a program: do `act` and print what it gives, or why it failed; dies with whoever has started it.

    SIGTERM leaves `act` by an exception, so that it ends what it has started in sessions of their own.
    """
    signal.signal(signal.SIGTERM, _leave)
    worker.die_with_parent(signal.SIGTERM)
    out = os.dup(1)
    os.dup2(2, 1)  # what DVC, an installer and others print is progress
    try:
        told = act()
    except PushforwardError as failed:
        told = {"error": failed.message, "next": failed.next, "exit_code": failed.exit_code}
    except OSError as trouble:  # a full disk is no fault of who is asked
        told = {"error": f"{trouble.filename or ''}: {trouble.strerror}", "next": "df -h", "exit_code": TOOL}
    os.write(out, json.dumps(told).encode() + b"\n")


def _leave(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what cleans up is not to be left too
    sys.exit(128 + signal.SIGTERM)


async def ask(module: str, *words: object, seconds: float) -> dict[str, Any]:
    """Have the program of a module say what it finds; raises the `PushforwardError` that it tells of, or that it died.

    Nothing of it outlives this, also where this is cancelled.
    """
    async with _begun(sys.executable, "-P", "-m", f"pushforward.serving.{module}", *map(str, words)) as child:
        try:
            async with asyncio.timeout(seconds):
                out, said = await child.communicate()
        except TimeoutError:
            raise PushforwardError(f"it was not ready after {seconds:.0f} s", exit_code=TOOL) from None
    if child.returncode != 0 or not out:
        lines = said.decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        why = ["its process ended before it was ready", *map(text.clean, lines)]
        raise PushforwardError("\n  ".join(why), exit_code=TOOL)
    return read(out)


def read(said: bytes) -> dict[str, Any]:
    """What a program has printed; the `PushforwardError` that it tells of is raised."""
    try:
        told: dict[str, Any] = json.loads(said)
    except ValueError:
        raise PushforwardError("its process said nothing", exit_code=TOOL) from None
    if "error" in told:
        raise PushforwardError(told["error"], next=told["next"], exit_code=told["exit_code"])
    return told


@contextlib.asynccontextmanager
async def _begun(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    source = str(Path(pushforward.__file__).parent.parent)
    known = os.environ.get("PYTHONPATH", "")
    env = os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{known}" if known else source}
    child = await asyncio.create_subprocess_exec(
        *words, env=env, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        yield child
    finally:
        try:
            if child.returncode is None:
                _signal(child, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GRACE_SECONDS):
                        await child.wait()
        finally:
            _signal(child, signal.SIGKILL)
            await child.wait()


def _signal(child: asyncio.subprocess.Process, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, how)
