"""Load generator for HTTP servers, alone: `python benchmarks/load.py PORT PATH BODY CONNECTIONS SECONDS`.

Each connection asks, waits for the whole reply, and asks again: the same bytes, over raw sockets, to every server.
Prints JSON: requests (answered with 200), those of the seconds before too (`all`), errors and the first of them,
seconds, and the latencies in ms at 50 and 99 %.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

EARLY = b"the server closed the connection before its time"


class Client(asyncio.Protocol):
    """A connection that asks until `until`."""

    def __init__(self, request: bytes, until: float, taken: list[float], errors: list[bytes]) -> None:
        self.request, self.until = request, until
        self.taken, self.errors = taken, errors
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self.transport = transport
        self._ask()

    def _ask(self) -> None:
        self._buffer, self._wanted = b"", 0
        self._began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take the reply, and ask again when it is whole."""
        self._buffer += data
        if not self._wanted:
            head, found, _ = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self._wanted = len(head) + 4 + int(lines[b"content-length"])
        if len(self._buffer) < self._wanted:
            return
        now = time.perf_counter()
        if self._buffer[9:12] == b"200":
            self.taken.append(now - self._began)
        else:
            self.errors.append(self._buffer)
        if now < self.until:
            self._ask()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """End; before its time that is an error."""
        if not self.ended.done():
            self.ended.set_result(None)
        if error or time.perf_counter() < self.until:
            self.errors.append(repr(error).encode() if error else EARLY)


async def load(
    port: int, path: str, body: bytes, connections: int, seconds: float, *, warm: float = 1.0
) -> dict[str, object]:
    """Ask over `connections` for `seconds`, after `warm` seconds that do not count."""
    lines = ("host: 127.0.0.1", "content-type: application/json", f"content-length: {len(body)}")
    head = "\r\n".join((f"POST {path} HTTP/1.1", *lines, "", ""))
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    errors: list[bytes] = []
    before = 0
    for lasts in (warm, seconds):
        before = len(taken)
        taken.clear()
        errors.clear()
        began = time.perf_counter()
        clients = [Client(head.encode() + body, began + lasts, taken, errors) for _ in range(connections)]
        for client in clients:
            try:
                await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
            except OSError as refused:
                client.connection_lost(refused)
        await asyncio.gather(*(client.ended for client in clients))
        took = time.perf_counter() - began
    taken.sort()
    at = {f"p{share}": 1000 * taken[int(len(taken) * share / 100)] if taken else None for share in (50, 99)}
    first = errors[0][:300].decode(errors="replace") if errors else ""
    return {
        "requests": len(taken),
        "all": before + len(taken),
        "errors": len(errors),
        "first": first,
        "seconds": took,
        **at,
    }


if __name__ == "__main__":
    port, path, body, connections, seconds = sys.argv[1:]
    print(json.dumps(uvloop.run(load(int(port), path, Path(body).read_bytes(), int(connections), float(seconds)))))
