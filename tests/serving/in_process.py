"""The versions' half in this process: one model, whose answer is made from the rows, and the client that asks it."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

from pushforward.serving.app import Application
from pushforward.serving.port import Answer, Served

INPUTS = {
    "rows": {
        "flight_id": {"type": "string"},
        "decided_at": {"type": "instant"},
        "dep_local": {"type": "local"},
        "origin": {"type": "string", "values": ["EWR", "JFK", "LGA"]},
        "carrier": {"type": "string"},
        "flight": {"type": "int32"},
        "tailnum": {"type": "string", "nullable": True},
        "distance": {"type": "int16"},
        "stops": {"type": "int8", "nullable": True, "values": [0, 1, 2]},
        "fare": {"type": "float64"},
        "load": {"type": "float32", "nullable": True},
        "charter": {"type": "boolean"},
    },
    "events": {
        "known_at": {"type": "instant"},
        "kind": {"type": "string", "values": ["departed", "weather"]},
        "delay": {"type": "int32", "nullable": True},
    },
}
SERVED = Served(
    "flight-delay", "v1.3.0", "ab" * 32, "production", "flight_id", "decided_at", ("p",), True, {"inputs": INPUTS}
)
ROW = {
    "flight_id": "UA1545",
    "decided_at": "2013-06-01T07:15:00Z",
    "dep_local": "2013-06-01T05:15:00",
    "origin": "EWR",
    "carrier": "UA",
    "flight": 1545,
    "tailnum": "N14228",
    "distance": 1400,
    "stops": None,
    "fare": 129.5,
    "load": 0.83,
    "charter": False,
}
EVENT = {"known_at": "2013-06-01T09:20:00Z", "kind": "departed", "delay": 4}


class InProcess:
    """Versions of one model; `served`, `failing` and `slow` may be set."""

    def __init__(self, served=SERVED):
        self.served = served
        self.failing = None
        self.canary = None
        self.rows = []
        self.events = []
        self.pinned = []

    async def predict(self, rows, request, *, pinned=False):
        if self.failing is not None:
            raise self.failing
        self.rows.append(rows)
        self.pinned.append(pinned)
        served, arm = (self.canary, "canary") if self.canary and not pinned else (self.served, "main")
        count = len(next(iter(rows.values())))
        return Answer(served, arm, {name: [(place + 1) / 8] * count for place, name in enumerate(served.predicted)})

    async def observe(self, events):
        self.events.append(events)
        return sum(len(one["known_at"]) for one in self.events)


class Said:
    """A reply: status, headers, body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.decode(): value.decode() for name, value in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


async def ask(application, path, body=None, *, method=None, headers=None, parts=None):
    """Ask an application without a server between; `body` is sent as it is, or as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    method = method or ("GET" if body is None else "POST")
    given = {"content-type": "application/json", "content-length": str(len(raw))} if body is not None else {}
    given |= headers or {}
    messages = [{"type": "http.request", "body": raw, "more_body": False}] if parts is None else [*parts]
    sent = []

    async def receive():
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value is not None],
    }
    await application(scope, receive, send)
    if not sent:
        return None
    return Said(sent[0]["status"], sent[0]["headers"], b"".join(one.get("body", b"") for one in sent[1:]))


def asked(path, body=None, *, versions=None, **more):
    """One question to an application of its own."""
    return asyncio.run(ask(Application(versions or InProcess()), path, body, **more))


def changed(**values):
    """The row with other values."""
    return ROW | values


def served_as(**inputs):
    """The same version with other columns of rows."""
    return replace(SERVED, manifest={"inputs": INPUTS | {"rows": INPUTS["rows"] | inputs}})


@asynccontextmanager
async def running(application):
    """The application behind its HTTP server, on a free port."""
    from pushforward.serving.app import server

    http = server(application, "127.0.0.1", 0)
    task = asyncio.ensure_future(http.serve())
    while not http.started:
        await asyncio.sleep(0.01)
    try:
        yield http.servers[0].sockets[0].getsockname()[1]
    finally:
        http.should_exit = True
        await task
