"""The tables that a holdout was made from, as its lock names them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.gate import inspection
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


def test_many_events_are_told_in_parts_and_few_in_one(tmp_path, monkeypatch):
    contract = SimpleNamespace(holdout="data/holdout", events=True)
    events = pl.DataFrame({"known_at": rows(0, 25)["at"], "n": range(25)})
    events.write_parquet(tmp_path / holdout.EVENTS)
    (whole,) = holdout.told(tmp_path, SimpleNamespace(contract=contract))
    assert whole.collect().equals(events)
    monkeypatch.setattr(holdout, "EVENTS_AT_ONCE", 10)
    parts = [part.collect() for part in holdout.told(tmp_path, SimpleNamespace(contract=contract))]
    assert [part.height for part in parts] == [10, 10, 5]
    assert pl.concat(parts).equals(events)
    events.with_columns(known_at=pl.lit("soon")).write_parquet(tmp_path / holdout.EVENTS)
    with pytest.raises(PushforwardError, match=r"events\.parquet: known_at is String, not a moment"):
        holdout.told(tmp_path, SimpleNamespace(contract=contract))
    events.head(0).select("n").write_parquet(tmp_path / holdout.EVENTS)
    (none,) = holdout.told(tmp_path, SimpleNamespace(contract=contract))
    assert none.collect().height == 0


def test_of_the_batches_the_rows_of_the_holdouts_months_and_keys_are_kept_and_the_others_counted(root):
    days = pl.Series("at", ["2013-11-01", "2013-11-02"])
    found = inspection.sample(pl.Series("id", ["320", "007"]), days, "data/holdout", ["2013-11"])
    rules = SimpleNamespace(contract=SimpleNamespace(key="id", cluster="at", holdout="data/holdout"))
    known = holdout.batches(root, rules, found)
    kept = known.table
    assert set(kept[inspection.MONTH].drop_nulls()) == {"2013-01", "2013-11"}
    assert kept.filter(pl.col(inspection.MONTH) == "2013-01")[inspection.KEY].to_list() == ["007"]
    assert (known.sizes["2013-01"], known.sizes["2013-02"], known.sizes["2013-11"]) == (31, 28, 26)
    assert (known.rows, known.dated) == (330, 330)
