"""serve: over HTTP, as a process that is signalled and killed; each reply is of one version, and none is dropped."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from tests.serving.shelf import PREDICT, Shelf
from tests.serving.versions import PREDICTOR, workers

from pushforward.commands.cli import main
from pushforward.errors import USAGE, PushforwardError
from pushforward.release.bundle import bundle
from pushforward.serving import serve as serving
from pushforward.serving.events import Events
from pushforward.serving.journal import Journal
from pushforward.serving.live import Live
from pushforward.serving.serve import Options

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent.parent
ROW = {"id": "a", "x": 0.5, "at": "2020-03-01T00:00:00Z"}


class Server:
    """`pushforward serve` in the clone of a hub, as a process."""

    def __init__(self, hub, *args):
        self.hub = hub
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        self.said = (self.hub.folder / "said").open("w+")
        command = [sys.executable, "-m", "pushforward", "serve", "--port", "0", *args]
        self.process = subprocess.Popen(
            command, cwd=self.hub.clone, env=environment, stderr=self.said, stdout=self.said
        )
        self.url = self.until(lambda: next((w for w in self.text().split() if w.startswith("http://")), ""))

    def text(self):
        """What it has said."""
        return (self.hub.folder / "said").read_text()

    def until(self, what, seconds=90.0):
        """Wait until something is so; what it is."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, self.text()
            assert self.process.poll() is None, self.text()
            time.sleep(0.02)
        return found

    def ask(self, path, body=None):
        """Status and JSON of a request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def predict(self, **row):
        """Status and prediction, or reply, of one row."""
        return self.ask("predict", {"rows": [ROW | row]})

    def answers(self, version):
        """Wait until this version answers."""
        self.until(lambda: version in json.dumps(self.predict()[1]))

    def end(self, how=signal.SIGTERM):
        """End it; the exit status."""
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def started():
    """Starts servers, and ends those that a test has left."""
    made = []

    def start(shelf, *args):
        made.append(Server(shelf.hub, *args))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        one.said.close()


def test_it_answers_follows_logs_and_ends_when_it_is_told_to(hub, started):
    shelf = Shelf(hub)
    first, second = shelf.add('{"p": 0.25}', lambda _: 0.25), shelf.add('{"p": 0.75}', lambda _: 0.75)
    shelf.use(first)
    log = hub.folder / "log"
    table = hub.folder / "events.parquet"
    pl.DataFrame({"id": ["a"], "kind": ["x"]}).write_parquet(table)
    one = started(shelf, "--log", str(log), "--events", str(table))
    one.answers("v1.0.0")
    status, reply = one.predict()
    assert (status, reply["version"]) == (200, "toy@v1.0.0"), reply
    assert one.predict(x=-1)[0] == 422
    shelf.use(second)
    one.answers("v1.1.0")
    with urllib.request.urlopen(one.url + "metrics") as page:
        text = page.read().decode()
    assert "pushforward_swaps_total 2.0" in text
    assert "pushforward_events 1.0" in text
    assert one.end() == 0
    assert workers(hub.folder) == []
    found = pl.concat(pl.read_parquet(path) for path in log.glob("*/*.parquet"))
    assert set(found["version"]) == {"toy@v1.0.0", "toy@v1.1.0"}
    assert set(found["p"]) == {0.25, 0.75}


def test_killed_in_the_middle_of_a_swap_it_starts_again_with_what_the_tag_says(hub, started):
    shelf = Shelf(hub)
    first, second = shelf.add('{"p": 0.25}', lambda _: 0.25), shelf.add('{"p": 0.75}', lambda _: 0.75)
    shelf.use(first)
    log = hub.folder / "log"
    one = started(shelf, "--log", str(log))
    one.answers("v1.0.0")
    event = {"id": "a", "kind": "x", "known_at": "2020-03-01T00:00:00Z"}
    assert one.ask("events", {"events": [event]})[0] == 200
    one.until(lambda: [*log.glob("events/*/*.parquet")])
    shelf.use(second)
    one.until(lambda: len(workers(hub.folder)) + len(workers(Path.home())) > 1)  # the candidate's
    assert one.end(signal.SIGKILL) == -signal.SIGKILL
    again = started(shelf, "--log", str(log))
    again.answers("v1.1.0")
    assert "events that were told before and are known again: 1" in again.text()
    assert again.ask("events", {"events": [event]})[1]["known"] == 2
    assert again.end() == 0


@pytest.mark.slow
def test_swaps_under_load_drop_no_request_and_each_reply_is_of_one_version(hub, started):
    shelf = Shelf(hub)
    first, second = shelf.add('{"p": 0.25}', lambda _: 0.25), shelf.add('{"p": 0.75}', lambda _: 0.75)
    shelf.use(first)
    one = started(shelf)
    one.answers("v1.0.0")
    shelf.use(second)
    one.answers("v1.1.0")  # from here on both are warm
    found = asyncio.run(_load(shelf, one, swaps=5))
    assert {status for status, _, _ in found} == {200}
    assert {(version, p) for _, version, p in found} == {("toy@v1.0.0", 0.25), ("toy@v1.1.0", 0.75)}


async def _load(shelf, one, swaps):
    """Replies of one client that asks without pause while versions are swapped."""
    found, ended = [], asyncio.Event()

    async def client():
        while not ended.is_set():
            status, reply = await asyncio.to_thread(one.predict)
            found.append((status, reply.get("version"), reply["predictions"]["p"][0] if status == 200 else str(reply)))

    clients = [asyncio.create_task(client()) for _ in range(4)]
    for number in range(swaps):
        version = ("toy@v1.0.0", "toy@v1.1.0")[number % 2]
        await asyncio.to_thread(shelf.use, version, reason="back and forth")
        end = time.monotonic() + 90
        while not found or found[-1][1] != version:
            assert time.monotonic() < end, one.text()
            await asyncio.sleep(0.02)
    ended.set()
    await asyncio.gather(*clients)
    return found


def test_without_the_extra_it_is_said_how_to_get_it(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(PushforwardError, match=r"^uvloop is not installed, which versions are served with") as failed:
        serving.serve(hub.clone, Options("production"), say=print)
    assert failed.value.next == "pip install 'pushforward[serve]'"


def test_a_port_that_is_taken_is_said_with_what_to_do(hub):
    import socket

    shelf = Shelf(hub)
    shelf.use(shelf.add())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = Options("production", port=taken.getsockname()[1])
        with pytest.raises(PushforwardError, match="Address already in use") as failed:
            serving.serve(hub.clone, options, say=print)
    assert (failed.value.exit_code, failed.value.next) == (USAGE, "pushforward serve --port 0")


class Http:
    """What answers over HTTP, which it does until it is told to end."""

    def __init__(self):
        self.should_exit, self.asked = False, 0

    async def serve(self, sockets):
        self.asked += 1
        async with asyncio.timeout(20):
            while not self.should_exit:
                await asyncio.sleep(0.01)


class Around:
    """A version that is loaded until `ready` is set."""

    def __init__(self):
        self.ready, self.seen = asyncio.Event(), []

    async def __aenter__(self):
        self.seen.append("begins")
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            raise
        self.seen.append("is loaded")

    async def __aexit__(self, *_):
        self.seen.append("ends")


def _runs(play, live=None):
    """What `play` gives, and what a server has seen and said that runs beside it until it ends."""
    http, around, said = Http(), Around(), []

    async def both(made):
        running = asyncio.create_task(serving._run(http, made, around, made.beside))
        found = await play(made, http, around)
        async with asyncio.timeout(20):
            await running
        return found

    with serving._listening(Options("production", port=0)) as (listener, signals):
        made = serving._Serving(Options("production"), live or Live(Events(1)), listener, signals, said.append)
        made.beside = []
        return asyncio.run(both(made)), http.asked, around.seen, said, made.failures


async def _until(what):
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_a_version_is_loaded_ends_that_at_once(how):
    async def play(made, http, around):
        await _until(lambda: around.seen)
        os.kill(os.getpid(), how)

    assert _runs(play) == (None, 0, ["begins", "cancelled"], [], [])


def test_a_server_that_is_told_to_end_while_a_bundle_is_loaded_does(hub, started, monkeypatch):
    shelf, asked = Shelf(hub), hub.folder / "asked"
    begins = f"    marker = pathlib.Path({str(asked)!r})\n    time.sleep(600 if marker.exists() else 0)\n"
    ends = "    made = Predictor(json.loads((pathlib.Path(folder) / 'model.json').read_text()))\n    marker.touch()\n"
    loads = "def load(folder):\n"
    hub.write("src/served.py", PREDICTOR.replace(loads, f"{loads}{begins}{ends}    return made\n"))
    hub.write("predict.py", PREDICT.replace(" + told / 1000", ""))
    shelf.add()
    bundle(hub.clone, "v1.0.0", hub.folder / "out", say=lambda _: None)
    (hub.folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(hub.folder / "tmp"))
    one = started(shelf, "--bundle", str(hub.folder / "out"))  # it was asked for its golden rows, and is loaded anew
    assert asked.exists()
    one.until(lambda: workers(hub.folder))
    assert one.end() == 0, one.text()
    assert workers(hub.folder) == []
    assert [*(hub.folder / "tmp").iterdir()] == []


def test_a_signal_before_anything_is_loaded_counts_too():
    async def play(made, http, around):
        os.kill(os.getpid(), signal.SIGTERM)  # before the server has had its first turn
        assert around.seen == []

    assert _runs(play) == (None, 0, [], [], [])


def test_a_signal_after_it_was_loaded_ends_the_server_and_then_the_version():
    async def play(made, http, around):
        around.ready.set()
        await _until(lambda: http.asked)
        os.kill(os.getpid(), signal.SIGTERM)

    assert _runs(play) == (None, 1, ["begins", "is loaded", "ends"], [], [])


@pytest.mark.parametrize("vital", [True, False])
def test_what_fails_beside_the_requests_is_said_and_ends_the_server_where_it_is_vital(vital):
    async def breaks():
        raise KeyError("x")

    async def play(made, http, around):
        made.beside.append(serving._Beside(breaks, "nothing is looked at", vital=vital))
        around.ready.set()
        await _until(lambda: made.failures)
        ends, http.should_exit = http.should_exit, True
        return ends

    ends, asked, seen, said, failures = _runs(play)
    assert (ends, asked, seen) == (vital, 1, ["begins", "is loaded", "ends"])
    assert said == ["nothing is looked at: KeyError: 'x'"]
    assert [type(one) for one in failures] == [KeyError]


def test_a_log_that_fails_in_a_way_that_nobody_expects_stops_no_answer(tmp_path, monkeypatch):
    def broken(*_):
        raise KeyError("x")

    async def play(made, http, around):
        around.ready.set()
        await _until(lambda: made.failures and http.asked)
        ends, http.should_exit = http.should_exit, True
        return ends

    live = Live(Events(1), Journal(tmp_path, print))
    monkeypatch.setattr(live.journal, "tidy", broken)
    ends, asked, _, said, _ = _runs(play, live)
    assert (ends, asked, said) == (False, 1, ["answers are logged no more: KeyError: 'x'"])


def test_a_bug_beside_the_requests_is_raised_when_the_server_ends(tmp_path):
    async def breaks():
        raise KeyError("x")

    said = []
    options = Options("production", port=0)
    with serving._listening(options) as (listener, signals):
        made = serving._Serving(options, Live(Events(1)), listener, signals, said.append)
        part = serving._Beside(breaks, "the server ends", vital=True)
        with pytest.raises(KeyError, match="x"):
            serving._answer(made, "toy#production", contextlib.nullcontext(), [part])
    assert said[1:] == ["the server ends: KeyError: 'x'"]


def _answers(url, version):
    """Wait until this version answers, also where another one or nobody does yet."""
    body, found, end = json.dumps({"rows": [ROW]}).encode(), "", time.monotonic() + 60
    while found != version:
        assert time.monotonic() < end, found
        asked = urllib.request.Request(f"{url}predict", body, {"content-type": "application/json"})
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=30) as reply:
            found = json.load(reply)["version"]
        time.sleep(0.02)


def test_answers_go_on_where_nobody_reads_any_more_what_it_says(hub):
    shelf = Shelf(hub)
    first, second = shelf.add('{"p": 0.25}', lambda _: 0.25), shelf.add('{"p": 0.75}', lambda _: 0.75)
    shelf.use(first)
    words = [sys.executable, "-m", "pushforward", "serve", "--port", "0", "--json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(words, cwd=hub.clone, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            url = json.loads(run.stdout.readline())["said"].split()[2]
            run.stdout.close()
            shelf.use(second)
            _answers(url, "toy@v1.1.0")
            shelf.back()
            _answers(url, "toy@v1.0.0")
        finally:
            run.kill()


@pytest.mark.parametrize("days", ["nan", "inf", "-1", "1e300", "36601"])
def test_days_that_are_none_are_refused(hub, days):
    done = CliRunner().invoke(main, ["serve", "--log", str(hub.folder), "--keep-days", days])
    assert done.exit_code == USAGE
    assert "--keep-days" in done.output


def test_a_century_is_a_time_to_keep_a_log_for(tmp_path):
    journal = Journal(tmp_path, print, 36_600.0)
    day = tmp_path / "2013-01-01"
    day.mkdir()
    (day / "120000-1-1.parquet").touch()
    journal.tidy()
    assert [path.name for path in day.iterdir()] == ["120000-1-1.parquet"]
