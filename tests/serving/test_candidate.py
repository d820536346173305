"""candidate: nothing of a version is run before it is verified; one that answers otherwise than judged is refused."""

import asyncio
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.serving.shelf import AT, Shelf, running
from tests.serving.versions import workers

from pushforward.errors import DATA, POLICY, TOOL, PushforwardError
from pushforward.lifecycle import Serve
from pushforward.serving import candidate, program
from pushforward.serving.channel import Channel
from pushforward.serving.events import Events

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent.parent


def prepare(shelf, tag, folder="one"):
    home = shelf.hub.folder / folder
    home.mkdir()
    return candidate.prepare(shelf.hub.clone, tag, home, shelf.hub.folder / "cache")


@pytest.fixture
def shelf(hub):
    return Shelf(hub)


def answers(made, rows, events=()):
    async def ask():
        known = Events(35)
        for one in events:
            known.add(one)
        channel = Channel(made.spec(Serve()), known, print, made.opens)
        await channel.start()
        found = await channel.predict(rows, len(rows["x"]))
        await channel.stop()
        return found.columns["p"]

    return asyncio.run(ask())


def test_a_version_is_checked_out_asked_and_can_be_started(shelf):
    version = shelf.add('{"p": 0.25}', lambda _: 0.25)
    made = prepare(shelf, shelf.use(version))
    assert (made.version, made.environment) == ("toy@v1.0.0", "production")
    assert made.parity == "it loads, and gives its 8 golden rows to the last bit"
    assert made.latency_ms > 0
    assert made.memory_mb > 1
    assert made.served.digest == shelf.hub.record(version)["model"]
    assert (made.served.key, made.served.time, made.served.predicted) == ("id", "at", ("p",))
    assert made.served.events
    assert made.served.manifest["inputs"]["rows"]["x"] == "Float64"
    assert answers(made, {"id": ["a"], "x": [0.5], "at": [AT]}) == [0.25]


def test_one_without_serve_answers_by_its_score_command_also_for_one_key_twice(hub):
    shelf = Shelf(hub, serve=False)
    made = prepare(shelf, shelf.use(shelf.add(p=lambda x: x + 3 / 1000)))
    assert "8 golden rows to the last bit" in made.parity
    told = [{"id": ["a", "b"], "kind": ["seen", "seen"], "known_at": [AT, AT]}]
    assert answers(made, {"id": ["a", "a"], "x": [0.5, 0.25], "at": [AT, AT]}, told) == [0.502, 0.252]


def test_where_no_golden_rows_were_recorded_it_is_loaded_and_asked_nothing(shelf):
    made = prepare(shelf, shelf.use(shelf.add()))
    again = candidate.ask(made, Serve(), Path(made.checkout) / "data/holdout", [], "", same=False)
    assert again.parity == "it loads, and gives its 0 golden rows to the last bit"
    assert again.latency_ms is None


class Rows(candidate.Line):
    """A worker that hears a row at a time."""

    def __init__(self):
        self.asked = []

    async def predict(self, rows, count):
        self.asked.append((rows, count))


def test_how_long_a_row_takes_is_the_median_of_rows_that_are_asked_one_by_one(monkeypatch):
    clock = iter([0.0, 0.004, 1.0, 1.0125, 2.0, 2.002])
    monkeypatch.setattr(candidate, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    worker, rows = Rows(), {"id": ["a", "b", "c", "d"], "x": [1, 2, 3, 4]}
    assert asyncio.run(candidate._latency(worker, rows, 3)) == 4.0
    assert worker.asked == [({"id": [key], "x": [x]}, 1) for key, x in (("a", 1), ("b", 2), ("c", 3))]


@pytest.mark.parametrize(
    ("latency", "memory", "said"),
    [
        (0.414, 1189.4, "it loads; a row takes 0.41 ms, 1,189 MiB of memory"),
        (None, 12.0, "it loads; 12 MiB of memory"),
        (None, None, "it loads"),
    ],
)
def test_what_was_measured_is_said_with_how_it_was_asked(latency, memory, said):
    made = running(None, "v1.0.0").prepared
    assert dataclasses.replace(made, parity="it loads", latency_ms=latency, memory_mb=memory).said == said


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ('{"load": "crash"}', "does not load: it ended"),
        ('{"load": "hang"}', "did not answer within 2 s"),
        ('{"load": "memory"}', "MemoryError"),
        ('{"load": "raise"}', "as it was told"),
        ('{"predict": "crash"}', "it ended"),
        ('{"predict": "hang"}', "did not answer within"),
        ('{"predict": "memory"}', "MemoryError"),
        ('{"predict": "raise"}', "as it was told"),
        ('{"predict": "garbage"}', "bytes"),
        ('{"p": NaN}', "p is nan"),
        ('{"p": 1.5}', "has to be in"),
    ],
)
@pytest.mark.ml_test_score("Infra 4")
def test_a_version_that_cannot_be_served_is_refused_and_leaves_no_process(hub, told, why):
    shelf = Shelf(hub, settings="serve: {load_seconds: 2.0, answer_seconds: 2.0, memory_mb: 1024}\n")
    tag = shelf.use(shelf.add(told))
    with pytest.raises(PushforwardError, match=rf"^hop load: .*{why}") as failed:
        prepare(shelf, tag)
    assert failed.value.exit_code == TOOL
    assert workers(hub.folder) == []


@pytest.mark.ml_test_score("Monitoring 3")
def test_other_predictions_than_when_it_was_judged_are_refused(shelf):
    tag = shelf.use(shelf.add(golden=2e-6))
    with pytest.raises(PushforwardError, match=r"^hop golden: .*by up to 2e−06") as failed:
        prepare(shelf, tag)
    assert failed.value.exit_code == DATA


def test_bytes_that_are_not_the_judged_ones_are_never_loaded(shelf):
    told = '{"load": "raise"}'
    tag = shelf.use(shelf.add(told))
    evil = next(path for path in shelf.hub.store.rglob("*") if path.is_file() and path.read_bytes() == told.encode())
    evil.write_bytes(b"{}")
    with pytest.raises(PushforwardError, match=r"^hop model: "):
        prepare(shelf, tag)


def test_a_tag_that_nobody_signed_who_may_puts_nothing_to_use(shelf, git):
    version = shelf.add()
    tag = shelf.use(version)
    git(shelf.hub.bare, "tag", "-d", tag)
    commit = git(shelf.hub.bare, "rev-parse", f"{version}^{{commit}}")
    git(shelf.hub.bare, "-c", "user.name=Eve", "-c", "user.email=eve@example.org", "tag", "-am", "mine", tag, commit)
    with pytest.raises(PushforwardError, match=r"^hop use: ") as failed:
        prepare(shelf, tag)
    assert failed.value.exit_code == POLICY


def test_what_was_fetched_once_is_not_fetched_again_and_checked_again(shelf):
    tag = shelf.use(shelf.add())
    prepare(shelf, tag)
    (shelf.hub.store / "files").rename(shelf.hub.store / "away")
    assert prepare(shelf, tag, "two").parity.endswith("to the last bit")
    for path in (shelf.hub.folder / "cache").rglob("*"):
        if path.is_file() and path.read_bytes() == b"{}":
            path.chmod(0o644)
            path.write_bytes(b'{"p": 0.5}')
    with pytest.raises(PushforwardError, match="the DVC remote has lost model"):
        prepare(shelf, tag, "three")


def test_as_a_program_it_prints_one_line_the_version_or_why_not(shelf):
    tag = shelf.use(shelf.add())
    folder = shelf.hub.folder / "program"
    folder.mkdir()

    def run(name):
        command = [sys.executable, "-m", "pushforward.serving.candidate", str(shelf.hub.clone), name, str(folder)]
        command.append(str(shelf.hub.folder / "cache"))
        return subprocess.run(command, capture_output=True, check=True, cwd=ROOT / "src").stdout

    made = candidate.Prepared(**program.read(run(tag)))
    assert (made.served.model, made.served.version) == ("toy", "v1.0.0")
    with pytest.raises(PushforwardError, match="toy#production#2 is not there"):
        program.read(run("toy#production#2"))
    assert json.loads(run("toy#production#2"))["exit_code"] == 2
    with pytest.raises(PushforwardError, match="said nothing"):
        program.read(b"")
