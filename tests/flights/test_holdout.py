"""The holdout is the last months, built from validated months alone; every month looks back on the one before."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from flights import holdout, lookback
from flights.errors import StageError
from flights.schema import EVENTS, LABELS, ROWS
from pushforward import settings
from pushforward.gate import leaks

ROOT = Path(__file__).parents[2]


def test_the_holdout_is_the_last_window_with_events_of_the_month_before(project, months):
    tables = {name: pl.read_parquet(f"data/holdout/{name}.parquet") for name in ("rows", "events", "labels")}
    assert [dict(table.schema) for table in tables.values()] == [ROWS, EVENTS, LABELS]
    assert tables["rows"].equals(months["2013-03"].rows)
    assert tables["labels"]["flight_id"].equals(tables["rows"]["flight_id"])
    assert tables["events"].height == months["2013-02"].events.height + months["2013-03"].events.height
    assert tables["events"]["known_at"].is_sorted()


def test_rows_and_events_of_the_holdout_hold_no_label(project):
    assert "late" not in pl.read_parquet("data/holdout/rows.parquet").columns


def test_the_judge_suspects_no_column_of_real_rows_and_each_that_is_filled_in_later(months):
    """Of all real columns only tailnum tells: missing for most cancelled flights, as pushforward.yaml says."""
    cleared = settings.load(ROOT).gate.cleared
    rows = pl.concat([months["2013-02"].rows, months["2013-03"].rows])
    labels = pl.concat([months["2013-02"].labels, months["2013-03"].labels])
    flights = pl.concat([months["2013-02"].flights, months["2013-03"].flights])
    assert cleared == ["tailnum"]

    def suspected(rows, *passed):
        names = leaks.Names("late", "date", "decided_at", ("flight_id", *passed))
        return [leak.column for leak in leaks.leaks(rows, labels, 0.95, names=names)]

    assert suspected(rows, *cleared) == []
    assert suspected(rows) == ["the column 'tailnum' of the rows"]
    day = pl.date(pl.col("year").cast(pl.Int32), pl.col("month").cast(pl.Int32), pl.col("day").cast(pl.Int32))
    told = flights.select(
        flight_id=pl.concat_str(day.dt.strftime("%Y-%m-%d"), "origin", "carrier", "flight", separator="-"),
        left=pl.col("dep_time").cast(pl.Int32, strict=False),
        status=pl.when(pl.col("dep_time") == "NA").then(pl.lit("cancelled")).otherwise(pl.lit("open")),
    )
    joined = rows.join(told, on="flight_id", how="left", maintain_order="left")
    assert joined["left"].null_count() > 100
    assert suspected(joined, *cleared) == ["the column 'left' of the rows", "the column 'status' of the rows"]


def test_it_is_built_without_features_or_model(project):
    before = {name: (project / f"data/holdout/{name}.parquet").read_bytes() for name in ("rows", "events", "labels")}
    for folder in ("data/features", "data/lookback", "data/holdout", "model"):
        shutil.rmtree(folder)
    holdout.main([])
    assert before == {name: (project / f"data/holdout/{name}.parquet").read_bytes() for name in before}


def test_a_month_looks_back_on_the_bytes_of_the_month_before(project):
    for month, before in (("2013-02", "2013-01"), ("2013-03", "2013-02")):
        assert (project / f"data/lookback/{month}.parquet").read_bytes() == (
            project / f"data/valid/events/{before}.parquet"
        ).read_bytes()
    assert pl.read_parquet("data/lookback/2013-01.parquet").is_empty()


@pytest.mark.parametrize("stage", [holdout, lookback])
def test_a_month_that_was_not_pulled_stops_the_stage(project, stage):
    (project / "data/valid/events/2013-02.parquet").unlink()
    with pytest.raises(StageError, match=r"2013-02\.parquet is missing"):
        stage.main([])
