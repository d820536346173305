"""The tables that a holdout was made from, as its lock names them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from pushforward.judge import holdout

LOCK = """\
schema: '2.0'
stages:
  valid: {cmd: v, outs: [{path: data/rows}, {path: data/labels.parquet}]}
  holdout: {cmd: h, deps: [{path: data/rows}, {path: data/labels.parquet}], outs: [{path: data/holdout}]}
"""
RULES = SimpleNamespace(contract=SimpleNamespace(key="id", time="at", holdout="data/holdout"))


def rows(first, days):
    at = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=first + n) for n in range(days)]
    return pl.DataFrame({"id": [f"{one:%j}" for one in at], "at": at, "x": [float(first + n) for n in range(days)]})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data" / "rows").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "dvc.yaml").write_text("stages: {valid: {cmd: v}, holdout: {cmd: h}}\n")
    rows(0, 300).write_parquet(tmp_path / "data" / "rows" / "1.parquet")
    rows(300, 30).write_parquet(tmp_path / "data" / "rows" / "2.parquet")
    rows(0, 330).select("id", late=1).write_parquet(tmp_path / "data" / "labels.parquet")
    return tmp_path


def test_earlier_rows_are_those_before_the_holdout_and_of_its_columns(root):
    held = rows(290, 40)
    found = holdout.earlier(root, RULES, held)
    assert found.schema == held.schema
    assert (found["x"].min(), found["x"].max(), found.height) == (290 - holdout.PAST, 289.0, holdout.PAST)


def test_earlier_rows_in_csv_have_the_types_of_the_holdout(root):
    (root / "data" / "rows" / "1.parquet").unlink()
    rows(0, 300).with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(
        root / "data" / "rows" / "1.csv"
    )
    found = holdout.earlier(root, RULES, rows(290, 40))
    assert found.schema == rows(290, 40).schema
    assert found["x"].max() == 289.0


def test_there_are_none_where_no_table_has_the_columns_of_a_row_or_no_moment_is_told(root):
    assert holdout.earlier(root, RULES, rows(290, 40).with_columns(more=1)) is None
    assert holdout.earlier(root, RULES, rows(0, 40)) is None
    timeless = SimpleNamespace(contract=SimpleNamespace(key="id", time=None, holdout="data/holdout"))
    assert holdout.earlier(root, timeless, rows(290, 40)) is None
