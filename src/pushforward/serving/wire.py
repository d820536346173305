"""Wire: uvicorn's HTTP protocol for whoever is in no hurry: the head of a request has its time and size; for `app`.

uvicorn waits for a head as long as it takes, and keeps what has come of it.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 30.0
MOST_HEAD_BYTES = 64 * 1024


class Wire(HttpToolsProtocol):
    """A connection that is closed where the head of a request does not come in time, or does not end."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._late: asyncio.TimerHandle | None = None
        self._head = 0
        self._only_head = False  # whether the bytes that are read now are of one head alone

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what comes while a head is awaited counts as part of it."""
        self._only_head = self._late is not None
        super().data_received(data)
        if self._late is None:
            return
        # Of what comes with the end of another request nobody knows how much is the head's: what comes after counts.
        if self._only_head:
            self._head += len(data)
        if self._head <= MOST_HEAD_BYTES or self.transport.is_closing():
            return
        if self._answering:
            self.flow.pause_reading()  # until that reply is made, by uvicorn; then more of the head ends it
        else:
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._came()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._came()
        self._only_head = False
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head = 0
        self._late = self.loop.call_later(self.head_seconds, self._end)

    def _end(self) -> None:
        """Close the connection; while an earlier request of it is answered, the next one has its time again."""
        if self._answering:
            self._late = self.loop.call_later(self.head_seconds, self._end)
        else:
            self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
