"""Rows in CSV that have a moment, and features that remember events: the probe asks in CSV too."""

import json

import pytest
from tests.foreign import test_one_file as wine
from tests.foreign.shapes import Foreign

PREPARE = (
    wine.PREPARE.replace(
        'rows.select("id", "x0", "x1", "x2", "at").write_parquet(folder / "rows.parquet")',
        'rows.select("id", "x0", "x1", "x2", "at").write_csv(folder / "rows.csv", datetime_format="%Y-%m-%d %H:%M:%S")',
    )
    .replace(
        'rows.select("id").clear().write_parquet(folder / "events.parquet")',
        'events = rows.select("id", known_at=pl.col("at") + pl.duration(hours=5), seen="x0")\n'
        'events.write_parquet(folder / "events.parquet")',
    )
    .replace(
        'rows.select("id", "y", "day").write_parquet(folder / "labels.parquet")',
        'rows.select("id", "y", "day").write_csv(folder / "labels.csv")',
    )
)
PREDICT = """\
import pickle, sys
import polars as pl

rows = pl.read_csv(sys.argv[1], try_parse_dates=True)
events = pl.read_parquet(sys.argv[2]).sort("known_at")
known = pl.DataFrame({"at": events["known_at"], "many": range(1, events.height + 1)})
told = rows.select("id", "at").sort("at").join_asof(known, on="at", strategy="backward")
many = rows.join(told, on="id", maintain_order="left")["many"].fill_null(0)
model = pickle.load(open("models/model.pkl", "rb"))
p = model.predict_proba(rows.select("x0", "x1", "x2").to_numpy())[:, 1]
rows.select("id").with_columns(p=pl.Series(p) * 0.99 + many / 1e6).write_csv(sys.argv[3])
"""
SHAPE = wine.SHAPE | {"src/prepare.py": PREPARE, "src/predict.py": PREDICT}


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


@pytest.mark.slow
def test_features_that_know_what_was_known_are_believed_and_those_that_know_more_are_not(project):
    verdict, report = project.judge("--probe")
    assert verdict.verdict == "promote", verdict.reason
    assert "time-honesty" not in report
    assert {path.suffix for path in (project.handover / "probes").iterdir()} == {".csv"}
    project.edit("src/predict.py", "many / 1e6", "events['seen'].mean() / 100")
    verdict, _ = project.judge()
    assert verdict.verdict == "invalid"
    assert "the features see the future" in verdict.reason


@pytest.mark.slow
def test_a_rehearsal_replaces_the_future_too(project):
    project.edit("src/predict.py", "many / 1e6", "events['seen'].mean() / 100")
    project.commit("Leak")
    said = project.invoke("rehearse", "--json", fails=True)
    faults = [one for one in json.loads(said[said.index("{\n") :])["faults"] if one["what"].startswith("score: ")]
    (fault,) = faults
    assert fault["what"].startswith("score: the features see the future: ")
    assert fault["next"] == "have it read of the events only what was known by then: by a row's at"
    project.edit("src/predict.py", "events['seen'].mean() / 100", "many / 1e6")
    project.commit("Mend")
    said = project.invoke("rehearse", "--json", fails=True)
    assert not [one for one in json.loads(said[said.index("{\n") :])["faults"] if one["what"].startswith("score: ")]
