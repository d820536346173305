"""The application behind its HTTP server: limits, methods, half requests, and 500 for a bug of its own alone."""

import asyncio
import json
import socket

import pytest
from tests.serving.in_process import ROW, SERVED, InProcess, Said, ask, asked, changed, running

from pushforward.serving import app
from pushforward.serving.app import Application, Limits

BODY = json.dumps({"rows": [ROW]}).encode()


def raw(path="/predict", body=BODY, *, method="POST", length=None, **headers):
    """A request as it goes over the wire."""
    given = {"host": "here", "content-type": "application/json", "content-length": str(length or len(body))} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def reply(reader, *, body=True):
    """One reply of the wire."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = [tuple(part.strip().encode() for part in line.split(":", 1)) for line in head[1:] if line]
    said = Said(int(head[0].split()[1]), headers, b"")
    if body:
        said.body = await reader.readexactly(int(said.headers["content-length"]))
    return said


def over_the_wire(talk, versions=None, limits=None):
    """What `talk(port)` gives while an application is served."""

    async def run():
        application = Application(versions or InProcess(), limits or Limits())
        async with running(application) as port:
            return await asyncio.wait_for(talk(port), 20)

    return asyncio.run(run())


def sent(*parts, replies=1, limits=None, pause=0.0):
    """The replies to bytes on one connection, and whether it was closed then."""

    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        got = [await reply(reader) for _ in range(replies)]
        writer.write_eof()
        rest = await reader.read()
        writer.close()
        return got, rest

    return over_the_wire(talk, limits=limits)


def test_a_request_is_answered_and_the_connection_kept():
    got, rest = sent(raw(), raw(), replies=2)
    assert [one.status for one in got] == [200, 200]
    assert rest == b""
    assert "server" not in got[0].headers


def test_requests_that_do_not_wait_for_replies_are_answered_in_order():
    named = [raw(**{"x-request-id": f"r{number}"}) for number in range(20)]
    got, _ = sent(b"".join(named), replies=20)
    assert [one.headers["x-request-id"] for one in got] == [f"r{number}" for number in range(20)]


def test_a_body_may_come_in_pieces():
    whole = raw()
    pieces = [whole[place : place + 40] for place in range(0, len(whole), 40)]
    assert sent(*pieces)[0][0].json["predictions"] == {"p": [0.125]}
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:10], BODY[10:])) + b"0\r\n\r\n"
    head = raw(body=b"", **{"content-length": None, "transfer-encoding": "chunked"})
    assert sent(head + chunks)[0][0].status == 200


def test_a_body_that_does_not_come_is_408():
    got, _ = sent(raw()[:-20], limits=Limits(body_seconds=0.2))
    assert got[0].status == 408
    assert got[0].json["error"] == "the body was not here after 0.2 s"
    assert got[0].headers["connection"] == "close"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_413_before_it_is_all_there(chunked):
    small = Limits(body_bytes=100)
    if chunked:
        head = raw(body=b"", **{"content-length": None, "transfer-encoding": "chunked"})
        got, _ = sent(head + b"c8\r\n" + b" " * 200, limits=small)
    else:
        got, _ = sent(raw(body=b"", length=10**12), limits=small)
    assert got[0].status == 413
    assert got[0].json["error"] == "the body is larger than 100 bytes"
    assert got[0].headers["connection"] == "close"


def test_whoever_hangs_up_in_the_middle_harms_nobody(caplog):
    async def talk(port):
        for _ in range(20):
            gone = socket.create_connection(("127.0.0.1", port))
            gone.sendall(raw()[:-20])
            gone.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw())
        got = await reply(reader)
        writer.write(raw("/metrics", b"", method="GET"))
        page = await reply(reader)
        writer.close()
        return got, page

    versions = InProcess()
    got, page = over_the_wire(talk, versions)
    assert got.status == 200
    assert len(versions.rows) == 1
    assert b"pushforward_requests_open 1.0" in page.body
    assert (
        b'pushforward_requests_total{arm="main",route="/predict",status="200",version="flight-delay@v1.3.0"} 1.0'
        in (page.body)
    )
    assert page.body.count(b"pushforward_requests_total{") == 1
    assert caplog.records == []


def test_a_bug_is_500_in_json_counted_and_said_once_and_the_connection_goes_on(caplog):
    class Bug(InProcess):
        async def predict(self, rows, request, *, pinned=False):
            if request == "the-bug":
                raise KeyError("nowhere")
            return await super().predict(rows, request, pinned=pinned)

    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asks = (raw(**{"x-request-id": "the-bug"}), raw(), raw("/metrics", b"", method="GET"))
        got = []
        for one in asks:
            writer.write(one)
            got.append(await reply(reader))
        writer.close()
        return got

    failed, after, page = over_the_wire(talk, Bug())
    assert (failed.status, failed.headers["content-type"]) == (500, "application/json")
    assert failed.headers["x-request-id"] == "the-bug"
    assert failed.json == {"error": app.BUG, "field": None, "row": None, "request": "the-bug"}
    assert after.status == 200
    assert b'pushforward_requests_total{arm="",route="/predict",status="500",version=""} 1.0' in page.body
    assert b"pushforward_requests_open 1.0" in page.body
    (said,) = caplog.records
    assert said.getMessage() == "/predict of request the-bug: a bug of the server's own"
    assert said.exc_info[0] is KeyError


@pytest.mark.parametrize(
    ("headers", "field", "why"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, "content-type", "send JSON"),
        ({"content-type": None}, "content-type", "send JSON, with content-type: application/json"),
        ({"content-type": "application/json; charset=latin-1"}, "content-type", "send JSON"),
        ({"content-encoding": "gzip"}, "content-encoding", "send the body as it is, not compressed"),
    ],
)
def test_another_type_is_415(headers, field, why):
    said = asked("/predict", BODY, headers=headers)
    assert (said.status, said.json["field"]) == (415, field)
    assert why in said.json["error"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_json_may_say_that_it_is_utf_8(kind):
    assert asked("/predict", BODY, headers={"content-type": kind}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/events", "POST"),
        ("POST", "/metrics", "GET"),
        ("DELETE", "/v2/models/flight-delay", "GET"),
        ("GET", "/v2/models/flight-delay/infer", "POST"),
        ("OPTIONS", "/v2/health/live", "GET"),
    ],
)
def test_another_method_is_405_with_the_one_that_is(method, path, allow):
    said = asked(path, method=method)
    assert (said.status, said.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/", "/predict/", "/v2/", "/v2/models", "/v2/models//infer", "/v2/models/a/b", "/é"])
def test_another_path_is_404(path):
    said = asked(path)
    assert (said.status, said.json["field"]) == (404, None)


def test_head_is_get_without_the_body():
    async def talk(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw("/v2", b"", method="HEAD") + raw("/v2", b"", method="GET"))
        got = [await reply(reader, body=False), await reply(reader)]
        writer.close()
        return got

    head, whole = over_the_wire(talk)
    assert head.headers["content-length"] == str(len(whole.body))


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é"])
def test_a_name_of_a_request_that_no_log_could_have_is_refused(given):
    said = asked("/predict", BODY, headers={"x-request-id": given})
    assert (said.status, said.json["field"]) == (400, "x-request-id")


def test_names_of_requests_differ():
    async def run():
        application = Application(InProcess())
        return {(await ask(application, "/v2")).headers["x-request-id"] for _ in range(100)}

    assert len(asyncio.run(run())) == 100


def test_more_at_once_than_are_let_in_are_told_to_come_again():
    class Waiting(InProcess):
        async def predict(self, rows, request, *, pinned=False):
            await asyncio.sleep(0.2)
            return await super().predict(rows, request, pinned=pinned)

    async def run():
        application = Application(Waiting(), Limits(open=3))
        got = await asyncio.gather(*(ask(application, "/predict", BODY) for _ in range(5)))
        return [*got, await ask(application, "/predict", BODY)]

    got = asyncio.run(run())
    assert sorted(one.status for one in got) == [200] * 4 + [503] * 2
    assert got[-1].status == 200
    assert {one.headers["retry-after"] for one in got if one.status == 503} == {"1"}


def test_a_large_refusal_lets_others_through(monkeypatch):
    monkeypatch.setattr(app.named, "MOST_AT_ONCE", 1000)
    many = [changed(flight_id=str(number)) for number in range(5000)] + [changed(flight=1.5)]

    async def run():
        application = Application(InProcess())
        slow = asyncio.ensure_future(ask(application, "/predict", {"rows": many}))
        await asyncio.sleep(0)
        quick = await ask(application, "/predict", BODY)
        return slow.done(), quick.status, (await slow).json["row"]

    assert asyncio.run(run()) == (False, 200, 5000)


def test_inputs_follow_the_version_that_is_served():
    async def run():
        versions = InProcess()
        application = Application(versions)
        before = await ask(application, "/predict", BODY)
        versions.served = SERVED.__class__(**vars(SERVED) | {"manifest": {"inputs": {"rows": {"flight_id": "String"}}}})
        versions.served = SERVED.__class__(**vars(versions.served) | {"time": None, "events": False})
        after = await ask(application, "/predict", BODY)
        return before.status, after.status, after.json["error"]

    assert asyncio.run(run()) == (200, 422, "decided_at, row 0: is no column; known: flight_id")


def test_a_version_whose_manifest_says_nothing_is_not_asked():
    versions = InProcess(SERVED.__class__(**vars(SERVED) | {"manifest": {}}))
    said = asked("/predict", BODY, versions=versions)
    assert said.status == 503
    assert "inputs.rows does not say which columns there are" in said.json["error"]
