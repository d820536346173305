"""Traces: a span for each request, where OpenTelemetry is installed and set up; for `app`.

Where it is not, nothing stands between server and application.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

UNTRACED = "v2/health,metrics"
_TOLD = {  # header of a reply -> attribute of its span
    b"x-request-id": "pushforward.request",
    b"pushforward-version": "pushforward.version",
    b"pushforward-digest": "pushforward.digest",
    b"pushforward-arm": "pushforward.arm",
}


def traced(application: Asgi) -> Asgi:
    """The application, in a span for each request where somebody has said where spans go."""
    try:
        from opentelemetry import trace
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    except ImportError:
        return application
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return application

    async def named(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        span = trace.get_current_span()

        async def told(message: Message) -> None:
            for name, value in message.get("headers", ()):
                if name in _TOLD:
                    span.set_attribute(_TOLD[name], value.decode("latin-1"))
            await send(message)

        await application(scope, receive, told)

    return OpenTelemetryMiddleware(named, excluded_urls=UNTRACED, exclude_spans=["send", "receive"])
