"""The past of a version: which columns count, what is kept of it, and that a folder's paths are those of the root."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from pushforward import durable
from pushforward.monitoring import look, past, tables
from pushforward.settings import ModelContract

MARCH = datetime(2013, 3, 1, tzinfo=UTC)
CONTRACT = ModelContract(
    name="toy",
    folder="part",
    path="part/model",
    score="score",
    holdout="part/holdout",
    key="id",
    label="late",
    cluster="date",
    time="at",
    environment=[],
    validation="part/data/predictions.parquet",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _rows(folder, days=31):
    """A table of training with its label and its cluster: ten rows a day."""
    at = pl.Series([MARCH + timedelta(days=place // 10) for place in range(10 * days)], dtype=tables.INSTANT)
    frame = pl.DataFrame({"id": [f"k{place}" for place in range(10 * days)], "at": at})
    frame = frame.with_columns(date=pl.col("at").dt.date(), half=pl.lit("am"), late=pl.lit(1), p=pl.lit(0.2))
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "rows.parquet")
    return [folder / "rows.parquet"]


def _names(found):
    return [one.name for one in found.reference.columns]


def test_label_and_cluster_are_no_inputs_and_what_is_kept_is_of_the_columns_that_count(tmp_path):
    def bring():
        return _rows(tmp_path)

    outs = [("rows", "1")]
    assert _names(past.load(outs, bring, "id", "at", skip=["late", "date"])) == ["half", "p"]
    assert _names(past.load(outs, bring, "id", "at", skip=["late"])) == ["date", "half", "p"]
    again = past.load(outs, lambda: pytest.fail("it is kept"), "id", "at", skip=["date", "late"])
    assert _names(again) == ["half", "p"]
    assert again.asked.height == 310
    assert not [*(tmp_path / "cache").rglob(f"*{durable.UNFINISHED}")]


def _look(tmp_path, monkeypatch, **inputs):
    """A look at a version whose model lies in the folder `part`, with what was answered; no git, no DVC."""
    _rows(tmp_path / "checkout/part/data/rows")
    _rows(tmp_path / "checkout/part/data")[0].rename(tmp_path / "checkout/part/data/predictions.parquet")
    there = {"part/data/rows": "1", "part/data/predictions.parquet": "2", "data/rows": "3"}
    monkeypatch.setattr(look.objects, "outs", lambda repository, commit: there)
    made = object.__new__(look._Look)
    made.own = SimpleNamespace(settings=SimpleNamespace(contract=CONTRACT))
    made.source, made.used = SimpleNamespace(repository=None), SimpleNamespace(commit="c", name="toy@v1.0.0")
    made.project = SimpleNamespace(brought=lambda checkout, outs: checkout)
    made.unread = []
    made.limits = SimpleNamespace(reference="data/rows")
    made._version = tmp_path / "checkout"
    made.verdict = SimpleNamespace(validation=SimpleNamespace(month=""))
    moments = pl.Series([MARCH], dtype=tables.INSTANT)
    made.answers = pl.DataFrame({"key": ["a"], "time": moments, "p": [0.5], **inputs})
    return made


def test_reference_and_validation_of_a_model_in_a_folder_are_found_there(tmp_path, monkeypatch):
    made = _look(tmp_path, monkeypatch)
    assert _names(made.past) == ["half", "p"]
    assert made._unseen().words == "310 of rows that no fit has seen (2013-03-01 to 2013-03-31)"
    assert made.unread == []


def test_a_cluster_that_is_asked_with_is_an_input(tmp_path, monkeypatch):
    assert _names(_look(tmp_path, monkeypatch, **{"row.date": ["2013-03-01"]}).past) == ["date", "half", "p"]


def test_a_label_of_training_is_no_column_that_did_not_come(tmp_path, monkeypatch):
    made = _look(tmp_path, monkeypatch)
    answers = pl.DataFrame(
        {
            "key": [f"a{place}" for place in range(100)],
            "time": pl.Series([MARCH + timedelta(days=40 + place // 10) for place in range(100)], dtype=tables.INSTANT),
            "row.half": ["am"] * 100,
            "row.p": [0.2] * 100,
        }
    )
    found = past.compared(made.past, answers, "id", (MARCH + timedelta(days=50)).date(), 7)
    assert not [one.words for one in found if one.far]
