"""The pure parts of `make simulate`: in which order a month is played, what came of it, the table and the picture."""

import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPTS = Path(__file__).parent.parent / "scripts"
START = datetime(2013, 5, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")


def _loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"simulate_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


player, yearbook = _loaded("player"), _loaded("yearbook")


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


def test_an_outcome_is_known_when_the_flight_is_there_or_overdue_or_cancelled() -> None:
    told = pl.DataFrame(
        [
            (START, "arrived", "punctual", 0),
            (START, "arrival_overdue", "late", None),
            (START + timedelta(hours=1), "arrived", "late", 1),
            (START, "cancelled", "cancelled", None),
            (START, "departed", "underway", 1),
            (START, "weather", None, None),
        ],
        schema={"known_at": INSTANT, "kind": pl.String(), "flight_id": pl.String(), "late": pl.Int8()},
        orient="row",
    )
    found = {name: (late, known) for name, late, known in player.outcomes(told).iter_rows()}
    assert found == {"punctual": (0, START), "late": (1, START), "cancelled": (1, START)}


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
