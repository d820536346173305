"""Application: routes, limits and replies of the HTTP server, as ASGI; `serve` runs it above the versions.

No framework: what one adds to a reply takes as long as reading and checking a row (docs/serving.md has the numbers).
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import uvicorn

from pushforward.errors import PushforwardError
from pushforward.serving import named, v2
from pushforward.serving.inputs import Inputs, inputs_of
from pushforward.serving.numbers import OTHER, Numbers
from pushforward.serving.openapi import document
from pushforward.serving.port import RefusedError, Served, UnavailableError, Versions
from pushforward.serving.reply import Asked, Reply, full_name, refused, told
from pushforward.serving.strict import RequestError
from pushforward.serving.tracing import traced
from pushforward.serving.wire import Wire

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[bytes, bytes]

MOST_BYTES = 16 * 1024 * 1024  # of a body
MOST_OPEN = 1000  # requests that wait for their reply; more are told to come again
BODY_SECONDS = 30
RETRY_SECONDS = 1
KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 10
BUG = "the server failed at this by a bug of its own; its log has it under the name of the request"
_MODEL = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<verb>infer|ready))?")
_NAMED = re.compile(rb"[\x21-\x7e]{1,128}")
LOG = logging.getLogger(__name__)
_CLOSE = ((b"connection", b"close"),)
_JSON_TYPE = re.compile(rb'application/json\s*(?:;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """What one request may take."""

    body_bytes: int = MOST_BYTES
    body_seconds: float = BODY_SECONDS
    open: int = MOST_OPEN


class Known(NamedTuple):
    """The version that is served, what it takes, and who reads that in the form of the protocol."""

    served: Served
    inputs: Inputs
    reader: v2.Reader


class GoneError(Exception):
    """Whoever asked has hung up before the body was here."""


class Application:
    """The server of one model's versions, for an ASGI server."""

    def __init__(self, versions: Versions, limits: Limits = Limits()) -> None:
        self.versions = versions
        self.numbers = Numbers(versions, lambda: self._open)
        self._limits = limits
        self._open = 0
        self._begun = secrets.token_hex(6)
        self._number = count(1)
        self._known: Known | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        started = time.perf_counter()
        headers: Headers = dict(scope["headers"])
        request = f"{self._begun}-{next(self._number):x}"
        route = OTHER
        self._open += 1
        try:
            route, handler = self._route(scope["path"], scope["method"])
            request = _request(headers, request)
            if self._open > self._limits.open:
                raise UnavailableError("too many requests wait for their reply")
            body = await self._body(route, headers, receive) if scope["method"] == "POST" else b""
            reply = await handler(Asked(body, request, headers))
        except GoneError:
            return
        except RequestError as error:
            reply = self._refused(route, error, request)
        except RefusedError as error:
            reply = self._refused(route, RequestError(error.why, field=error.field), request)
        except (UnavailableError, PushforwardError) as error:
            said = RequestError(str(error).partition("\n")[0], status=503)
            reply = refused(said, request)._replace(headers=((b"retry-after", str(RETRY_SECONDS).encode()),))
        except Exception:  # a bug of ours: it is said here once, and whoever asks next is answered
            LOG.exception("%s of request %s: a bug of the server's own", route, request)
            reply = refused(RequestError(BUG, status=500), request)
        finally:
            self._open -= 1
        self.numbers.count(route, reply, time.perf_counter() - started)
        await _send(send, reply, request)

    def _refused(self, route: str, error: RequestError, request: str) -> Reply:
        """The reply of a refusal; where a body was not read to its end, the connection is closed."""
        self.numbers.refuse(route, error.field, self._known.inputs.names if self._known else ())
        reply = refused(error, request)
        if error.allow:
            return reply._replace(headers=((b"allow", error.allow.encode()),))
        return reply._replace(headers=_CLOSE) if error.status in (408, 413, 415) else reply

    def _route(self, path: str, method: str) -> tuple[str, Callable[[Asked], Awaitable[Reply]]]:
        """The route that a path is of, for the numbers, and what answers it."""
        known = _ROUTES.get(path)
        if known is not None:
            wanted, answer = known
            _allow(method, wanted)
            return path, lambda asked: answer(self, asked)
        match = _MODEL.fullmatch(path)
        if match is None:
            raise RequestError("there is no such page; /openapi.json lists those that are", status=404)
        verb = match["verb"] or ""
        _allow(method, "POST" if verb == "infer" else "GET")
        return f"/v2/models/{verb}".rstrip("/"), lambda asked: self._model(match, verb, asked)

    async def _body(self, route: str, headers: Headers, receive: Receive) -> bytes:
        """The body, whole; refused by its type and size before it is read."""
        _check_type(headers, always=route != v2.INFER)
        most = self._limits.body_bytes
        if int(headers.get(b"content-length", b"0")) > most:
            raise _large(most)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise GoneError
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise _large(most)
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise RequestError(f"the body was not here after {seconds:g} s", status=408) from None

    def _served(self) -> Known:
        """The version that is served, and what it takes."""
        served = self.versions.served
        if served is None:
            raise UnavailableError("no version is served yet")
        known = self._known
        if known is None or (known.served is not served and known.served != served):
            inputs = inputs_of(served)
            known = self._known = Known(served, inputs, v2.Reader(inputs.rows, served.predicted))
        return known

    async def _model(self, match: re.Match[str], verb: str, asked: Asked) -> Reply:
        """A page of the one model that there is, or of the one version of it."""
        if self.versions.served is None and verb == "ready":
            return v2.model_ready(match["model"], None)
        served, inputs, reader = self._served()
        if match["model"] != served.model:
            raise RequestError(f"there is no such model; {served.model} is served", status=404, field="model")
        if match["version"] not in (None, served.version):
            why = f"there is no such version; {full_name(served)} is served"
            raise RequestError(why, status=404, field="version")
        if verb == "infer":
            return await v2.infer(self.versions, served, reader, asked, pinned=match["version"] is not None)
        return v2.model_ready(served.model, served) if verb else v2.model(served, inputs)

    async def predict(self, asked: Asked) -> Reply:
        """`POST /predict`."""
        return await named.predict(self.versions, self._served().inputs, asked)

    async def observe(self, asked: Asked) -> Reply:
        """`POST /events`."""
        known = self._served()
        return await named.observe(self.versions, known.inputs, known.served, asked)

    async def metrics(self, asked: Asked) -> Reply:
        """`GET /metrics`."""
        page, kind = self.numbers.page(asked.headers.get(b"accept", b"").decode("latin-1"))
        return Reply(200, page, kind.encode())

    async def openapi(self, _asked: Asked) -> Reply:
        """`GET /openapi.json`."""
        known = self._served()
        return told(document(known.served, known.inputs), known.served)

    async def server(self, _: Asked) -> Reply:
        """`GET /v2`."""
        return v2.server()

    async def live(self, _: Asked) -> Reply:
        """`GET /v2/health/live`."""
        return v2.live()

    async def ready(self, _: Asked) -> Reply:
        """`GET /v2/health/ready`."""
        return v2.ready(self.versions.served)


_ROUTES: Mapping[str, tuple[str, Callable[[Application, Asked], Awaitable[Reply]]]] = {
    "/predict": ("POST", Application.predict),
    "/events": ("POST", Application.observe),
    "/metrics": ("GET", Application.metrics),
    "/openapi.json": ("GET", Application.openapi),
    "/v2": ("GET", Application.server),
    "/v2/health/live": ("GET", Application.live),
    "/v2/health/ready": ("GET", Application.ready),
}


def _allow(method: str, wanted: str) -> None:
    if method != wanted and (method, wanted) != ("HEAD", "GET"):
        raise RequestError(f"this page takes {wanted}", status=405, allow=wanted)


def _check_type(headers: Headers, *, always: bool) -> None:
    """Refuse what is not JSON as it is; where not `always`, a body of no type is taken for JSON.

    No page of another site sends JSON by its type without asking first. The protocol's own clients name no type.
    """
    if v2.BINARY in headers:
        raise RequestError(v2.NO_BINARY, status=415, field=v2.BINARY.decode())
    kind = headers.get(b"content-type")
    if not (_JSON_TYPE.fullmatch(kind) if kind is not None else not always):
        raise RequestError("send JSON, with content-type: application/json", status=415, field="content-type")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestError("send the body as it is, not compressed", status=415, field="content-encoding")


def _large(most: int) -> RequestError:
    return RequestError(f"the body is larger than {most:,} bytes", status=413)


def _request(headers: Headers, made: str) -> str:
    """The name of a request in log and reply: whoever asks may give it."""
    given = headers.get(b"x-request-id")
    if given is None:
        return made
    if not _NAMED.fullmatch(given):
        raise RequestError("must be 1 to 128 visible characters of ASCII", status=400, field="x-request-id")
    return given.decode("ascii")


async def _send(send: Send, reply: Reply, request: str) -> None:
    headers = [
        (b"content-type", reply.type),
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-request-id", request.encode("ascii")),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def server(application: Application, host: str, port: int) -> uvicorn.Server:
    """The HTTP server of an application; `await server.serve()` returns when a signal has ended it."""
    return uvicorn.Server(
        uvicorn.Config(
            traced(application),
            host=host,
            port=port,
            loop="uvloop",
            http=Wire,
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
