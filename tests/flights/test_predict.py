"""Any rows and events in, probabilities out, equal to the bit to what training would compute."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from flights import spells
from flights.booster import matrix, plain
from flights.errors import StageError
from flights.predict import load, main, predict
from flights.schema import EVENTS, PREDICTIONS, empty_table

HOLDOUT = ["data/holdout/rows.parquet", "data/holdout/events.parquet"]


@pytest.fixture
def holdout(project):
    return pl.read_parquet(HOLDOUT[0]), pl.read_parquet(HOLDOUT[1])


def test_predictions_equal_those_on_training_side_features_to_the_bit(project):
    main([*HOLDOUT, "p.parquet"])
    predictions = pl.read_parquet("p.parquet")
    manifest, booster = load()
    names = [feature["name"] for feature in manifest["features"]]
    stored = pl.read_parquet("data/features/2013-03.parquet")
    p = booster.predict(plain(matrix(stored, names, manifest["categories"]), names, manifest["categories"]))
    assert dict(predictions.schema) == PREDICTIONS
    assert predictions["flight_id"].to_list() == stored["flight_id"].to_list()
    np.testing.assert_array_equal(predictions["p"].to_numpy(), p.astype(np.float64))
    assert 0 < predictions["p"].min() < predictions["p"].max() < 1


def test_it_runs_from_the_command_line_in_any_folder_with_a_model(project):
    done = subprocess.run(
        [sys.executable, "-m", "flights.predict", *HOLDOUT, "p.parquet"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{pl.read_parquet('p.parquet').height:,} flights scored\n"


def test_several_tables_of_events_are_answered_by_one_process_each_as_if_it_were_alone(project, holdout):
    _, events = holdout
    other, instant = "other.parquet", datetime(2013, 3, 14, 15, 0, tzinfo=UTC)
    events.filter(pl.col("known_at") <= instant).write_parquet(other)
    main([*HOLDOUT, "a.parquet"])
    main([HOLDOUT[0], other, "b.parquet"])
    main([HOLDOUT[0], other, "2.parquet", HOLDOUT[1], "1.parquet"])
    a, b = pl.read_parquet("a.parquet"), pl.read_parquet("b.parquet")
    assert pl.read_parquet("1.parquet").equals(a)
    assert pl.read_parquet("2.parquet").equals(b)
    assert not a.equals(b)


def test_many_rows_are_scored_month_by_month_as_if_at_once(project, monkeypatch):
    rows, events = (
        pl.concat([pl.read_parquet(f"data/valid/{table}/2013-0{month}.parquet") for month in (2, 3)])
        for table in ("rows", "events")
    )
    # Months lie among each other, and February hears of flights that are listed for March.
    rows.sample(fraction=1, shuffle=True, seed=1).write_parquet("rows.parquet")
    events.with_columns(
        pl.when(pl.col("kind") == "scheduled").then(pl.col("known_at").dt.offset_by("-40d")).otherwise("known_at")
    ).write_parquet("events.parquet")
    main(["rows.parquet", "events.parquet", "whole.parquet"])
    monkeypatch.setattr(spells, "AT_ONCE", 100)
    main(["rows.parquet", "events.parquet", "parts.parquet", "data/valid/events/2013-03.parquet", "other.parquet"])
    assert pl.read_parquet("parts.parquet").equals(pl.read_parquet("whole.parquet"))
    assert not pl.read_parquet("other.parquet").equals(pl.read_parquet("whole.parquet"))
    parts = spells.spells(pl.read_parquet("rows.parquet"))
    assert [part.rows["dep_local"].dt.month().unique().to_list() for part in parts] in ([[2], [3]], [[3], [2]])
    events.with_columns(kind=pl.lit(None, pl.String)).write_parquet("events.parquet")
    with pytest.raises(StageError, match="column kind has missing values in"):
        main(["rows.parquet", "events.parquet", "parts.parquet"])


@pytest.mark.parametrize("files", [[], ["rows"], ["rows", "events"], ["rows", "events", "out", "events"]])
def test_files_that_make_no_pairs_are_refused(files):
    with pytest.raises(StageError, match=f"{len(files)} files"):
        main(files)


@pytest.mark.ml_test_score("Infra 5")
def test_a_row_alone_gets_the_probability_it_gets_among_all(holdout):
    rows, events = holdout
    model = load()
    together = predict(*model, rows, events)
    for index in (0, 77, rows.height - 1):
        assert predict(*model, rows[index : index + 1], events).row(0) == together.row(index)


def test_replacing_the_future_changes_no_earlier_probability(holdout):
    rows, events = holdout
    model, instant = load(), datetime(2013, 3, 14, 15, 0, tzinfo=UTC)
    decided = (rows["decided_at"] <= instant).to_numpy()
    known = events.filter(pl.col("known_at") <= instant)
    assert predict(*model, rows, known).filter(decided).equals(predict(*model, rows, events).filter(decided))


def test_values_never_seen_in_training_are_scored(holdout):
    rows, events = holdout
    strange = rows.head(5).with_columns(dest=pl.lit("ZZZ"), carrier=pl.lit("é'\x1b"), origin=pl.lit("??"))
    p = predict(*load(), strange, events)["p"]
    assert p.is_finite().all()
    missing = strange.with_columns(pl.lit(None, pl.String).alias(name) for name in ("dest", "carrier", "origin"))
    assert predict(*load(), missing, events)["p"].is_finite().all()


def test_no_rows_and_no_events_are_no_error(holdout):
    rows, events = holdout
    assert predict(*load(), rows.head(0), events).height == 0
    assert predict(*load(), rows.head(3), empty_table(EVENTS))["p"].is_finite().all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.drop("dest"), "column dest is missing"),
        (lambda rows: rows.with_columns(pl.col("flight").cast(pl.Int64)), "column flight is Int64, expected Int32"),
        (
            lambda rows: rows.with_columns(decided_at=pl.lit(None, rows.schema["decided_at"])),
            "decided_at has missing values",
        ),
    ],
)
def test_rows_of_another_shape_are_refused(project, change, told):
    change(pl.read_parquet(HOLDOUT[0])).write_parquet("rows.parquet")
    with pytest.raises(StageError) as refused:
        main(["rows.parquet", HOLDOUT[1], "p.parquet"])
    assert refused.value.exit_code == 3
    assert told in refused.value.message
    assert not (project / "p.parquet").exists()


def test_further_columns_are_left_out(project):
    rows = pl.read_parquet(HOLDOUT[0])
    rows.with_columns(late=pl.lit(1)).write_parquet("rows.parquet")
    main(["rows.parquet", HOLDOUT[1], "a.parquet"])
    main([*HOLDOUT, "b.parquet"])
    assert (project / "a.parquet").read_bytes() == (project / "b.parquet").read_bytes()


def test_a_booster_that_is_not_the_manifests_is_refused(project):
    booster = project / "model/model.ubj"
    booster.write_bytes(booster.read_bytes()[:-1] + b"?")
    with pytest.raises(StageError, match="sha256 differs"):
        load()
    booster.unlink()
    with pytest.raises(StageError, match="sha256 differs"):
        load()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}'])
def test_a_manifest_that_is_none_is_refused(project, text):
    (project / "model/manifest.json").write_text(text)
    with pytest.raises(StageError, match=r"manifest\.json"):
        load()


def test_a_missing_model_says_how_to_get_it(tmp_path):
    with pytest.raises(StageError, match="dvc pull model"):
        load(tmp_path)


def test_wrong_usage_is_told_with_the_command():
    with pytest.raises(StageError, match=r"rows\.parquet events\.parquet predictions\.parquet") as refused:
        main(["rows.parquet"])
    assert refused.value.exit_code == 2


def test_the_manifest_is_readable_json_without_machine_or_path(project):
    text = (project / "model/manifest.json").read_text()
    assert json.loads(text)["schema"] == 1
    assert str(project) not in text
