"""Rows and events by their columns' names: `POST /predict` and `POST /events`, which `app` routes here."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pushforward.serving.inputs import Inputs
from pushforward.serving.port import Served, Versions
from pushforward.serving.reply import Asked, Reply, answered, full_name, told
from pushforward.serving.strict import RequestError

MOST_AT_ONCE = 64 * 1024  # bytes that are read between two other requests; more are read beside them

Read = TypeVar("Read")


async def aside(read: Callable[[bytes], Read], body: bytes) -> Read:
    """Read a body; a large one in a thread, so that others are answered meanwhile."""
    return read(body) if len(body) <= MOST_AT_ONCE else await asyncio.to_thread(read, body)


async def predict(versions: Versions, inputs: Inputs, asked: Asked) -> Reply:
    """Predictions of named rows, in their order."""
    rows = await aside(inputs.rows.read, asked.body)
    answer = await versions.predict(rows, asked.request)
    served = answer.served
    said = {
        "model": served.model,
        "version": full_name(served),
        "digest": served.digest,
        "arm": answer.arm,
        "request": asked.request,
        "predictions": answer.predictions,
    }
    return answered(said, answer, len(next(iter(rows.values()))))


async def observe(versions: Versions, inputs: Inputs, served: Served, asked: Asked) -> Reply:
    """Tell events to every version; how many are known now."""
    if inputs.events is None:
        raise RequestError(f"{full_name(served)} takes no events", status=404)
    events = await aside(inputs.events.read, asked.body)
    known = await versions.observe(events)
    taken = len(next(iter(events.values())))
    said = {
        "model": served.model,
        "version": full_name(served),
        "digest": served.digest,
        "request": asked.request,
        "taken": taken,
        "known": known,
    }
    return told(said, served)._replace(rows=taken)
