"""How what is in use does, on its page and in the terminal: the word, its reasons, the days beside the promise."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.views.world import Page

from pushforward.git.repository import Repository
from pushforward.lifecycle import Monitor
from pushforward.monitoring import kept
from pushforward.monitoring.decision import Ages
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.live import Live, Promise
from pushforward.monitoring.outcomes import Wait
from pushforward.monitoring.record import Day, Reason, Record
from pushforward.views import charts, looked, show
from pushforward.views.pages import Site

WHEN = datetime(2013, 6, 30, 6, tzinfo=UTC)
LOSS = Interval(0.47, 0.44, 0.5, 9000, 60, 0.0167)
RECORD = Record(
    "flight-delay",
    "production",
    "flight-delay@v1.0.0",
    "0" * 40,
    WHEN,
    "watch",
    (Reason("harder", "it loses <b>more</b> live"), Reason("drift", "temp: mean 1 → 9")),
    "log loss",
    Ages(timedelta(days=60), timedelta(days=90), timedelta(hours=1)),
    Monitor(reference="data/valid/rows"),
    Promise(0.42, "the holdout (2013-03, 2013-04)", 0.5),
    Live(Wait(timedelta(hours=9), 9000, 1.0), 9400, 9000, 0, 0.46, 9300, LOSS, 0.55),
    tuple(Day(f"2013-{5 + day // 31:02d}-{day % 31 + 1:02d}", 150, 0.42 + 0.1 * (day % 7) / 7) for day in range(61)),
    step="nothing has come yet",
)


@pytest.fixture(scope="module")
def looked_at(world):
    """The environment of a repository with a bit of everything that is in use, and its pages after two looks."""
    repository = Repository(world.folder)
    site = Site(repository)
    name = next(iter(site.history.snapshot().registry.environments))
    book = kept.Book(repository)
    for decision in ("fine", "watch"):
        found = dataclasses.replace(RECORD, environment=name, decision=decision)
        book.put(dataclasses.replace(found, reasons=found.reasons if decision == "watch" else ()), lambda _: "x\n")
    return repository, name


def test_the_page_of_an_environment_says_how_it_does(looked_at):
    repository, name = looked_at
    page = Site(repository).answer(f"environment/{name}.html").content.decode()
    assert "How it does" in page
    assert "It loses &lt;b&gt;more&lt;/b&gt; live." in page
    assert page.count('<circle class="day"') == 61 + 30
    assert "promised 0.4200 on the holdout (2013-03, 2013-04)" in page
    assert "1 look before" in page
    Page(page)  # every tag is closed, and one of those that a page may have


def test_an_environment_that_nobody_has_looked_at_says_nothing(world):
    repository = Repository(world.folder)
    site = Site(repository)
    name = site.history.snapshot().registry.environments[-1]
    assert "How it does" not in site.answer(f"environment/{name}.html").content.decode()


def test_the_terminal_has_a_line_for_the_newest_look(looked_at):
    repository, name = looked_at
    found = looked.newest(repository, [name, "nowhere"])
    assert [(one.environment, one.decision, one.version, one.when) for one in found] == [
        (name, "watch", "v1.0.0", "2013-06-30")
    ]
    state = show.State("m", {name: "m@v1.0.0"}, (), (), (), (), (), looks=found)
    assert f"  watch        {name} v1.0.0  2013-06-30: it loses <b>more</b> live" in show.terminal(state)
    assert json.loads(json.dumps(state.record()))["looks"][0]["decision"] == "watch"


def test_of_several_models_each_page_has_its_own_looks(looked_at, monkeypatch):
    repository, name = looked_at
    red = dataclasses.replace(RECORD, environment=name, model="red", decision="retrain", reasons=())
    kept.Book(repository, model="red").put(
        dataclasses.replace(red, reasons=(Reason("stale", "it is old"),)), lambda _: "x\n"
    )
    assert [one.reason for one in looked.newest(repository, [name], "red")] == ["it is old"]
    assert looked.looks(repository, name, "wine") is None
    site = Site(repository)
    several = dataclasses.replace(site.history.snapshot(), models=("red", "wine"))
    monkeypatch.setattr(site.history, "snapshot", lambda: several)
    page = site.answer(f"environment/{name}.html").content.decode()
    assert "It is old." in page
    assert "1 look before" not in page
    wine = Site(repository, "wine")
    monkeypatch.setattr(wine.history, "snapshot", lambda: several)
    assert "How it does" not in wine.answer(f"environment/{name}.html").content.decode()


def test_the_newest_look_alone_is_read_for_a_line(looked_at, monkeypatch):
    repository, name = looked_at
    read, asked = kept.looks, []
    monkeypatch.setattr(kept, "looks", lambda *given, most: asked.append(most) or read(*given, most=most))
    assert len(looked.newest(repository, [name, "nowhere"])) == 1
    assert asked == [1]


def test_days_stand_where_their_numbers_say():
    days = [("2013-05-30", 0.4, "a"), ("2013-05-31", 0.5, "b"), ("2013-06-01", 0.6, "c")]
    drawn = charts.daily(days, 0.45, 0.5, (0.42, 0.58), (360, 144))
    # values from .4 to .6 with a margin of 8 %: .384 at 128, .616 at 28
    assert [point[:2] for point in drawn.points] == [(20.0, 121.1), (152.0, 78.0), (284.0, 34.9)]
    assert (drawn.promised, drawn.limit) == (99.6, 78.0)
    assert drawn.band == (43.5, 69.0)
    assert [name for _, name in drawn.months] == ["2013-05", "2013-06"]
    assert charts.daily(days[:1], None, None, None, (360, 144)).points == ((152.0, 78.0, "a"),)
