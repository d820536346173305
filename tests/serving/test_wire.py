"""What comes over the wire and is no request: it is answered with 400 or closed, and whoever comes next is served."""

import asyncio
import json
import time

import pytest
from tests.serving.in_process import InProcess, changed, running
from tests.serving.test_app import raw, reply

from pushforward.serving import wire
from pushforward.serving.app import Application

pytestmark = pytest.mark.whole


class Slow(InProcess):
    """Versions that take longer to answer than a head may take to come."""

    async def predict(self, rows, request, *, pinned=False):
        await asyncio.sleep(0.7)
        return await super().predict(rows, request, pinned=pinned)


def then(*parts, versions=None):
    """What a connection gives for bytes until it is closed, in how many seconds, and the status of the next request."""

    async def run():
        async with running(Application(versions or InProcess())) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            begun = time.monotonic()
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.05)
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
    got, seconds, after = then(begun + more)
    assert got == b"" or (more and got.startswith(b"HTTP/1.1 200 "))
    assert seconds > 0.25
    assert after == 200


def test_a_head_without_end_is_closed(monkeypatch):
    monkeypatch.setattr(wire, "MOST_HEAD_BYTES", 5000)
    got, _, after = then(b"GET /v2 HTTP/1.1\r\n" + b"a: b\r\n" * 1000)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.endswith(b"The head of the request is too large.")
    assert after == 200


def test_the_end_of_a_body_is_no_part_of_the_head_that_comes_with_it(monkeypatch):
    monkeypatch.setattr(wire, "MOST_HEAD_BYTES", 500)
    body = json.dumps({"rows": [changed(flight_id=str(number)) for number in range(10)]}).encode()
    large, last = raw(body=body), raw(connection="close")
    assert len(large) > 2000
    got, _, after = then(large[:40], large[40:] + last[:40], last[40:])
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert b"HTTP/1.1 400" not in got
    assert after == 200


@pytest.mark.parametrize("more", [b"POST /predict HT", b"POST /predict HTTP/1.1\r\n" + b"a: b\r\n" * 300])
def test_a_reply_that_is_still_made_comes_whole_whatever_head_comes_after(more, monkeypatch):
    monkeypatch.setattr(wire.Wire, "head_seconds", 0.2)
    monkeypatch.setattr(wire, "MOST_HEAD_BYTES", 1000)
    got, _, after = then(raw(), more[:20], more[20:], versions=Slow())
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["predictions"] == {"p": [0.125]}
    assert after == 200


def test_a_head_without_end_after_a_reply_that_was_still_made_is_closed_then(monkeypatch):
    monkeypatch.setattr(wire, "MOST_HEAD_BYTES", 1000)
    parts = (b"POST /predict HTTP/1.1\r\n", b"a: b\r\n" * 300, b"a: b\r\n")
    got, _, after = then(raw(), *parts, versions=Slow())
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"The head of the request is too large.")
    assert got.count(b"HTTP/1.1 ") == 2
    assert after == 200
