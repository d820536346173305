"""Fuzz of the server from its own OpenAPI: `python benchmarks/fuzz_serving.py [--requests 10000] [--seed 7]`.

Half of the requests are right, half have one thing broken, over HTTP to one process. Prints how many there were of each
status, and exits 1 at a 5xx, at a reply that is not of the document, at a right request that is refused, and where the
process is another one at the end. Two minutes.
"""

import argparse
import asyncio
import http.client
import json
import multiprocessing
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.serving import fuzz
from tests.serving.in_process import ROW, InProcess, Said, running

from pushforward.serving.app import Application


def serve(pipe) -> None:
    """The server, in a process of its own, until the pipe says something."""

    async def run() -> None:
        async with running(Application(InProcess())) as port:
            pipe.send(port)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


def ask(connection: http.client.HTTPConnection, request: fuzz.Request) -> Said:
    """The reply to a request."""
    headers = {"content-type": "application/json"} if request.method == "POST" else {}
    connection.request(request.method, quote(request.path), request.body or None, headers | request.headers)
    answer = connection.getresponse()
    return Said(
        answer.status, [(one.lower().encode(), value.encode()) for one, value in answer.getheaders()], answer.read()
    )


def main() -> int:
    """Ask, count, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", here.recv(), timeout=20)
    document = ask(connection, fuzz.Request("GET", "/openapi.json", {}, b"", True, {})).json
    statuses: Counter[int] = Counter()
    faults: Counter[str] = Counter()

    @seed(options.seed)
    @settings(
        max_examples=options.requests,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(fuzz.requests(document))
    def each(request: fuzz.Request) -> None:
        said = ask(connection, request)
        statuses[said.status] += 1
        if found := fuzz.fault(request, said, document):
            faults[found] += 1
            print(found, said.status, request, said.body[:300], flush=True)

    each()
    body = json.dumps({"rows": [ROW]}).encode()
    last = ask(connection, fuzz.Request("POST", "/predict", {}, body, True, {}))
    alive = server.is_alive() and last.status == 200
    print(f"{sum(statuses.values()):,} requests, seed {options.seed}, one process: {alive}")
    print(", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items())))
    print(f"faults: {dict(faults) or 'none'}")
    here.send("end")
    server.join()
    return 0 if alive and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
