"""A request gets what the score command would tell of it, to the bit."""

from pathlib import Path

import polars as pl
import pytest

from flights.errors import StageError
from flights.predict import load as load_model
from flights.predict import main, predict
from flights.serving import FEW, load

pytestmark = pytest.mark.whole

HOLDOUT = ["data/holdout/rows.parquet", "data/holdout/events.parquet"]


def columns(frame):
    return {name: frame[name].to_list() for name in frame.columns}


@pytest.fixture
def holdout(project):
    return pl.read_parquet(HOLDOUT[0]), pl.read_parquet(HOLDOUT[1])


@pytest.fixture
def predictor(holdout):
    predictor = load(Path("model"))
    predictor.observe(columns(holdout[1]))
    return predictor


@pytest.mark.ml_test_score("Monitoring 3")
def test_predictions_equal_those_of_the_score_command_to_the_bit(holdout, predictor):
    rows, _ = holdout
    main([*HOLDOUT, "p.parquet"])
    expected = pl.read_parquet("p.parquet")["p"].to_list()
    assert len(expected) > 5000
    assert predictor.predict(columns(rows)) == {"p": expected}
    for size in (1, FEW - 1, FEW, 1000):
        found = [
            p for start in range(0, 2000, size) for p in predictor.predict(columns(rows[start : start + size]))["p"]
        ]
        assert found[:2000] == expected[:2000]


def test_features_are_what_the_booster_is_given(holdout, predictor):
    rows = holdout[0].head(50)
    manifest, _ = load_model()
    stored = pl.read_parquet("data/features/2013-03.parquet").head(50)
    found = predictor.features(columns(rows))
    assert list(found) == [feature["name"] for feature in manifest["features"]]
    for name, values in found.items():
        wanted = stored[name].to_list()
        codes = manifest["categories"].get(name)
        assert values == ([float(codes.index(value)) for value in wanted] if codes else wanted)


def test_a_model_of_some_groups_is_given_its_features_alone(holdout, monkeypatch):
    from flights import train

    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(
        text.replace("groups: [schedule, congestion, live, rotation, weather, history]", "groups: [weather, schedule]")
    )
    train.main([])
    rows, events = holdout
    predictor = load(Path("model"))
    predictor.observe(columns(events))
    expected = predict(*load_model(), rows.head(300), events)["p"].to_list()
    assert predictor.predict(columns(rows.head(300))) == {"p": expected}


def test_values_never_seen_in_training_missing_ones_and_no_rows_are_answered(holdout, predictor):
    rows, events = holdout
    strange = rows.head(5).with_columns(dest=pl.lit("ZZZ"), carrier=pl.lit("é'\x1b"), origin=pl.lit(None, pl.String))
    assert predictor.predict(columns(strange))["p"] == predict(*load_model(), strange, events)["p"].to_list()
    assert predictor.predict(columns(rows.head(0))) == {"p": []}


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(StageError, match="dvc pull model"):
        load(tmp_path)
