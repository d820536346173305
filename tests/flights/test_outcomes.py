"""When it is known what came of a flight: against the events of real months, and by hand."""

from datetime import UTC, datetime

import polars as pl
import pytest

from flights import outcomes
from flights.errors import StageError
from flights.schema import EVENTS, LABELS, shaped

NOON = datetime(2013, 4, 1, 12, tzinfo=UTC)


def _table(rows, columns):
    frame = pl.DataFrame(rows)
    missing = [pl.lit(None).alias(name) for name in columns if name not in frame.columns]
    return shaped(frame.with_columns(missing), columns)


def test_the_first_event_that_decides_it_says_when():
    labels = _table([{"flight_id": name, "late": late} for name, late in (("a", 0), ("b", 1), ("c", 1))], LABELS)
    told = [("a", "departed", 9), ("a", "arrived", 11), ("b", "arrival_overdue", 10), ("b", "arrived", 12)]
    told.append(("c", "cancelled", 8))
    events = _table(
        [{"flight_id": name, "kind": kind, "known_at": NOON.replace(hour=hour)} for name, kind, hour in told], EVENTS
    )
    found = outcomes.outcomes(labels, events)
    assert [(row[0], row[1], row[3].hour) for row in found.rows()] == [("a", 0, 11), ("b", 1, 10), ("c", 1, 8)]


def test_every_flight_of_a_real_month_has_one(months):
    march = months["2013-03"]
    found = outcomes.outcomes(march.labels, march.events)
    assert found.height == march.labels.height
    late = found.join(march.events.filter(pl.col("kind") == "arrival_overdue"), on="flight_id", how="inner")
    assert late.height > 100
    assert late["late"].unique().to_list() == [1]


def test_the_command_writes_all_months_that_are_here(project, capsys):
    outcomes.main(["out.parquet"])
    found = pl.read_parquet("out.parquet")
    assert dict(found.schema) == outcomes.OUTCOMES
    assert found["flight_id"].is_unique().all()
    assert f"{found.height:,} outcomes of 3 months" in capsys.readouterr().out


def test_without_months_or_a_place_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="holds no month"):
        outcomes.main(["out.parquet"])
    with pytest.raises(StageError, match="expected 1 file, got 0"):
        outcomes.main([])
