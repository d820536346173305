"""The load generator of the benchmarks: what it counts, and which errors are of the seconds that count."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from benchmarks.load import EARLY, load

OK, BUSY, GONE = (b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable", b"")


@asynccontextmanager
async def serving(*replies):
    """A server whose first connections get the first of `replies`, each of theirs; and how often it was asked."""
    heads, asked = iter(replies), []

    async def answer(reader, writer):
        head = next(heads)
        try:
            while await reader.readuntil(b"{}"):
                asked.append(head)
                if not head:
                    break
                writer.write(head + b"\r\ncontent-length: 2\r\n\r\n[]")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def asking(*replies, connections=1):
    """What the generator tells of a server, and what that was asked."""

    async def run():
        async with serving(*replies) as (port, asked):
            return await load(port, "/predict", b"{}", connections, 0.1, warm=0.05), asked

    return asyncio.run(run())


def test_what_was_answered_is_counted_with_and_without_the_seconds_before():
    told, asked = asking(OK, OK, OK, OK, connections=2)
    assert told["all"] == len(asked) > told["requests"] > 0
    assert (told["errors"], told["first"]) == (0, "")
    assert told["seconds"] >= 0.1
    assert 0 < told["p50"] <= told["p99"]


@pytest.mark.parametrize("before", [BUSY, GONE])
def test_errors_of_the_seconds_before_do_not_count(before):
    told, asked = asking(before, OK)
    assert before in asked
    assert (told["errors"], told["first"]) == (0, "")
    assert told["requests"] == told["all"] == asked.count(OK) > 0


def test_errors_of_the_seconds_that_count_are_told_with_the_first():
    told, asked = asking(OK, BUSY)
    assert told["errors"] == asked.count(BUSY) > 0
    assert told["first"].startswith("HTTP/1.1 503 ")
    assert (told["requests"], told["p50"], told["p99"]) == (0, None, None)
    assert told["all"] == asked.count(OK)


def test_a_connection_that_is_closed_early_is_one_error():
    told, asked = asking(OK, OK, GONE, OK, connections=2)
    assert asked.count(GONE) == 1
    assert (told["errors"], told["first"]) == (1, EARLY.decode())
    assert told["requests"] > 0


def test_where_nobody_listens_each_connection_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = asyncio.run(load(port, "/predict", b"{}", 3, 0.1, warm=0.05))
    assert (told["errors"], told["requests"], told["all"]) == (3, 0, 0)
    assert "ConnectionRefusedError" in told["first"]
