"""Swaps under load: `python benchmarks/swaps.py [SWAPS] [RATE]`, from the root of the repository, with .venv-test.

A real server repository with two versions, `pushforward serve`, and a client that sends RATE requests a second (500)
over 32 connections while the environment's tag goes back and forth SWAPS times (50). Counts replies that are no 200, or
not one version's whole, and prints how long a tag takes to be live: from the moment that its push has ended.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.serving.shelf import Shelf  # noqa: E402
from tests.team import Hub, _git  # noqa: E402

CONNECTIONS = 32
BODY = json.dumps({"rows": [{"id": "a", "x": 0.5, "at": "2020-03-01T00:00:00Z"}]}).encode()
ASKED = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
GIVES = {"toy@v1.0.0": 0.25, "toy@v1.1.0": 0.75}
WAIT_SECONDS = 120.0


class Load:
    """A client that asks at a rate, whatever becomes of its questions."""

    def __init__(self, port: int, rate: float) -> None:
        self.port, self.rate = port, rate
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self.seen: dict[str, float] = {}  # version -> when it has answered last
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Ask until it is ended."""
        await asyncio.gather(*(self._connection(place) for place in range(CONNECTIONS)))

    async def _connection(self, place: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        pause = CONNECTIONS / self.rate
        due = time.perf_counter() + pause * place / CONNECTIONS
        while not self.ended.is_set():
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += pause
            began = time.perf_counter()
            writer.write(ASKED % (len(BODY), BODY))
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            said = json.loads(await reader.readexactly(int(length[1]) if length else 0))
            self.seconds.append(time.perf_counter() - began)
            version = said.get("version")
            if not head.startswith(b"HTTP/1.1 200") or said["predictions"]["p"] != [GIVES[version]]:
                self.wrong.append(str(said)[:200])
            else:
                self.seen[version] = time.perf_counter()
        writer.close()


async def play(shelf: Shelf, port: int, swaps: int, rate: float) -> None:
    """Ask and swap; print what came of it."""
    load = Load(port, rate)
    task = asyncio.create_task(load.run())
    await asyncio.sleep(20)  # the version before is made ready too
    began, live, whole = time.perf_counter(), [], []
    for number in range(swaps):
        version = ("toy@v1.0.0", "toy@v1.1.0")[number % 2]
        asked = time.perf_counter()
        await asyncio.to_thread(shelf.use, version, reason="back and forth")
        pushed = time.perf_counter()
        while load.seen.get(version, 0.0) < asked:
            assert time.perf_counter() < pushed + WAIT_SECONDS, version
            await asyncio.sleep(0.005)
        live.append(max(0.0, load.seen[version] - pushed))
        whole.append(time.perf_counter() - asked)
    seconds = time.perf_counter() - began
    load.ended.set()
    await task
    taken = statistics.quantiles(load.seconds, n=1000)
    print(f"{swaps} swaps in {seconds:.0f} s, load average {os.getloadavg()[0]:.1f}")
    print(f"{len(load.seconds):,} replies, {len(load.seconds) / (seconds + 20):.0f} a second; {len(load.wrong)} wrong")
    print(f"a reply: p50 {1000 * taken[499]:.1f} ms, p99 {1000 * taken[989]:.1f}, most {1000 * max(load.seconds):.0f}")
    print(f"live after its push: median {statistics.median(live):.2f} s, most {max(live):.2f} s")
    print(f"with the command that signs and pushes: median {statistics.median(whole):.2f} s, most {max(whole):.2f} s")
    for one in load.wrong[:5]:
        print(f"  {one}")


def main() -> None:
    """Make the repository, start the server, play."""
    told = [float(one) for one in sys.argv[1:3]]
    swaps, rate = [*told, *(50.0, 500.0)[len(told) :]]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = folder
        shelf = Shelf(Hub(Path(folder), _git))
        for p in GIVES.values():
            shelf.use(shelf.add(json.dumps({"p": p}), lambda _, p=p: p))
        words = [sys.executable, "-m", "pushforward", "serve", "--port", "0", "--log", f"{folder}/log"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(words, cwd=shelf.hub.clone, env=environment, stderr=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stderr.readline().split(":")[2].partition("/")[0])
                print(server.stderr.readline().strip())
                asyncio.run(play(shelf, port, int(swaps), rate))
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
