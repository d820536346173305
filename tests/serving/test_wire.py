"""What comes over the wire and is no request: it is answered with 400 or closed, and whoever comes next is served."""

import asyncio
import time

import pytest
from tests.serving.in_process import InProcess, running
from tests.serving.test_app import raw, reply

from pushforward.serving import wire
from pushforward.serving.app import Application


def then(*parts):
    """What a connection gives for bytes until it is closed, in how many seconds, and the status of the next request."""

    async def run():
        async with running(Application(InProcess())) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            begun = time.monotonic()
            writer.write(b"".join(parts))
            got = await asyncio.wait_for(reader.read(), 10)
            seconds = time.monotonic() - begun
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw())
            after = await reply(reader)
            writer.close()
            return got, seconds, after.status

    return asyncio.run(run())


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"POST /\xff HTTP/1.1\r\n\r\n",
        b"CONNECT here:80 HTTP/1.1\r\n\r\n",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nhost here\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400_and_closed(head):
    got, _, after = then(head)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert after == 200


@pytest.mark.parametrize("begun", [b"", b"POST /predict HT", b"POST /predict HTTP/1.1\r\nhost: here\r\n", raw()])
def test_a_head_that_does_not_come_closes_the_connection(begun, monkeypatch):
    monkeypatch.setattr(wire.Wire, "head_seconds", 0.3)
    more = b"POST /predict HTTP/1.1\r\n" if begun.endswith(b"}") else b""  # the second on a connection
    got, seconds, after = then(begun, more)
    assert got == b"" or (more and got.startswith(b"HTTP/1.1 200 "))
    assert seconds > 0.25
    assert after == 200


def test_a_head_without_end_is_closed(monkeypatch):
    monkeypatch.setattr(wire, "MOST_HEAD_BYTES", 5000)
    got, _, after = then(b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 1000)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.endswith(b"The head of the request is too large.")
    assert after == 200
