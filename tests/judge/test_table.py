"""A CSV read strictly: what it looks like is what it is, and it is no larger than it looks."""

import gzip

import polars as pl
import pytest

from pushforward import parquet
from pushforward.errors import PushforwardError
from pushforward.judge import table
from pushforward.judge.score import PredictionsError, read_predictions

KEYS = pl.Series("id", [7, 8, 9])
WORDS = pl.Series("id", ["007", "x", "ä"])


def predictions(tmp_path, text):
    path = tmp_path / "predictions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_predictions_in_csv_come_in_the_order_of_the_keys(tmp_path):
    path = predictions(tmp_path, 'p,id\n1e-3,9\n0.5,"8"\n1,007\n')
    assert read_predictions(path, KEYS).tolist() == [1.0, 0.5, 0.001]
    path = predictions(tmp_path, "id,p\r\nä,0.1\r\n007,0.2\r\nx,0.3\r\n")
    assert read_predictions(path, WORDS).tolist() == [0.2, 0.3, 0.1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,p\n7,.1\n8,.2\n9,\n", "p is nan for id 9"),
        ("id,p\n7,.1\n8,.2\n9,inf\n", "p is inf for id 9"),
        ("id,p\n7,.1\n8,.2\n9,a\n", "p is 'a', not Float64"),
        ("id,p\n7,.1\n8,.2\n9.5,.3\n", "id is '9.5', not Int64"),
        ("id,p\n7,.1\n8,.2\n8,.3\n", "id 8 appears more than once"),
        ("id,p\n7,.1\n8,.2\n10,.3\n", "id 10 is not in the holdout"),
        ("id,p\n7,.1\n8,.2\n", "has 2 rows; the holdout has 3"),
        ("id,p,q\n7,.1,1\n8,.2,1\n9,.3,1\n", "has the columns 'id', 'p', 'q'; exactly 'id', 'p' are wanted"),
        ("id,p,p\n7,.1,1\n8,.2,1\n9,.3,1\n", "exactly 'id', 'p' are wanted"),
        ("id,p\n7,.1,5\n8,.2\n9,.3\n", "is not a readable CSV file"),
        ("", "is not a readable CSV file: empty CSV"),
        (b"id,p\n7,.1\n8,.2\n9,\xff\n", "is not a readable CSV file: invalid utf-8"),
        (gzip.compress(b"id,p\n7,.1\n8,.2\n9,.3\n", mtime=0), "predictions.csv"),
    ],
)
def test_predictions_that_are_not_what_was_asked_for_are_refused(tmp_path, text, why):
    with pytest.raises(PredictionsError) as refused:
        read_predictions(predictions(tmp_path, text), KEYS)
    assert why in refused.value.message


def test_what_is_compressed_is_no_csv(tmp_path):
    path = predictions(tmp_path, gzip.compress(b"id\n" + b"1\n" * 1000))
    assert pl.read_csv(path).height == 1000, "polars by itself unpacks it"
    with pytest.raises(PushforwardError, match="is not a readable CSV file"):
        table.read(path, "rows.csv")
    # the first two bytes of zlib's, which are letters too
    path.write_bytes(b"x\x01,b\n1,2\n")
    assert table.read(path, "rows.csv").rows() == [(1, 2)]


def test_a_csv_whose_cells_could_fill_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = predictions(tmp_path, "a\n" + "1\n" * 999)
    assert table.read(path, "rows.csv").height == 999
    monkeypatch.setattr(parquet, "LIMIT_MEMORY", 17_000)
    with pytest.raises(PushforwardError, match=r"rows\.csv takes 18,000 bytes in memory at the most \(2,000 on disk\)"):
        table.read(path, "rows.csv")


def test_a_column_is_what_all_of_its_rows_show(tmp_path):
    text = (
        "n,f,t,d,s\n" + "1,1.5,2020-01-01 10:00:00,2020-01-01,1\n" * 2000 + "2,2,2020-01-02 10:00:00,2020-01-02,one\n"
    )
    found = table.read(predictions(tmp_path, text), "rows.csv")
    assert [str(kind) for kind in found.dtypes] == [
        *("Int64", "Float64", "Datetime(time_unit='us', time_zone=None)", "Date", "String")
    ]
