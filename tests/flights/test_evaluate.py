"""The numbers shown freely are those of the validation month, and only those."""

import json
import shutil

import polars as pl
import pytest

from flights import evaluate
from flights.errors import StageError
from flights.metrics import auc, log_loss


def test_metrics_are_those_of_the_stored_predictions(project):
    found = json.loads((project / "metrics/metrics.json").read_text())
    scored = pl.read_parquet("data/predictions.parquet")
    for part in ("train", "validation"):
        rows = scored.filter(pl.col("part") == part)
        y, p = rows["late"].to_numpy(), rows["p"].to_numpy()
        assert found[part]["rows"] == rows.height
        assert found[part]["logloss"] == log_loss(y, p)
        assert found[part]["auc"] == auc(y, p)
    assert found["gap"]["auc"] == found["train"]["auc"] - found["validation"]["auc"]
    assert found["validation"]["auc"] > 0.6
    assert found["validation"]["skill"] > 0


def test_the_holdout_is_never_looked_at(project):
    before = (project / "metrics/metrics.json").read_bytes()
    shutil.rmtree("data/holdout")
    shutil.rmtree("data/valid")
    evaluate.main([])
    assert (project / "metrics/metrics.json").read_bytes() == before
    assert json.loads(before)["validation"]["rows"] == pl.read_parquet("data/features/2013-02.parquet").height


@pytest.mark.ml_test_score("Model 6")
def test_every_slice_covers_every_row_and_small_ones_are_pooled(project):
    table = pl.read_csv("metrics/slices.csv")
    rows = json.loads((project / "metrics/metrics.json").read_text())["validation"]["rows"]
    assert set(table["slice"]) == {"origin", "carrier", "hours", "distance"}
    assert table.group_by("slice").agg(pl.col("rows").sum())["rows"].unique().to_list() == [rows]
    assert table.filter((pl.col("rows") < 200) & (pl.col("value") != "other")).is_empty()
    assert (table["days"] <= 28).all()


def test_the_calibration_table_has_every_row_once(project):
    table = pl.read_csv("metrics/calibration.csv")
    assert table.height == 10
    assert table["mean_p"].is_sorted()
    assert table["rows"].sum() == pl.read_parquet("data/features/2013-02.parquet").height


def test_predictions_of_another_month_are_refused(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace('    - "2013-01"\n', '    - "2012-12"\n    - "2013-01"\n'))
    (project / "pushforward.yaml").write_text("gate: {window: 2}\n")
    with pytest.raises(StageError, match="is not about 2013-01"):
        evaluate.main([])
