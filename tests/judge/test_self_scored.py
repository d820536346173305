"""Tables that a pipeline scored by itself: what is read, when two are of one test set, and what is told of a row."""

import numpy as np
import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.judge import names, self_scored
from pushforward.settings import parse

HEAD = """\
tool: "0.2.0"
models:
  shop:
    path: model
    predictions: {path: t.csv, label: y, p: guess, key: id, cluster: day}
"""
PLAIN = parse(f"{HEAD}    loss: squared\n".encode())
CLASSES = parse(f"{HEAD}    classes: [cat, dog]\n".encode())
ROWS = "id,day,y,guess\nb,m,1,0.5\na,t,2,1.5\n"


def read(folder, text, rules=PLAIN, name="t.csv"):
    path = folder / name
    path.write_text(text)
    return self_scored.read(path, rules.predictions, rules.contract, name)


def test_a_table_is_read_in_the_order_of_its_keys_whatever_its_columns_are_called(tmp_path):
    found = read(tmp_path, ROWS)
    assert found.keys == ["a", "b"]
    assert found.predictions.tolist() == [1.5, 0.5]
    assert found.labels.select("id", "y", "day").rows() == [("a", 2.0, "t"), ("b", 1.0, "m")]
    assert "p" not in found.labels.columns


def test_csv_and_parquet_of_the_same_rows_are_the_same_test_set(tmp_path):
    frame = pl.DataFrame({"y": [2, 1], "guess": [0, 1], "id": [20, 3], "day": ["m", "t"]})
    frame.write_parquet(tmp_path / "t.parquet")
    one = self_scored.read(tmp_path / "t.parquet", PLAIN.predictions, PLAIN.contract, "t.parquet")
    other = read(tmp_path, "id,day,y,guess\n3,m,1.0,7\n20,m,2.0,9\n")
    assert self_scored.differences(one, other, PLAIN.contract) == ""
    assert self_scored.digest(one, PLAIN.contract) == self_scored.digest(other, PLAIN.contract)
    third = read(tmp_path, "id,day,y,guess\n3,m,1.0,7\n20,m,2.5,9\n")
    assert self_scored.digest(one, PLAIN.contract) != self_scored.digest(third, PLAIN.contract)


def test_classes_have_a_column_each_and_labels_are_their_places(tmp_path):
    found = read(tmp_path, "id,day,y,guess_dog,guess_cat\n2,m,dog,0.7,0.3\n1,m,cat,0.4,0.6\n", CLASSES)
    assert np.array_equal(found.predictions, [[0.6, 0.4], [0.3, 0.7]])
    assert found.labels["y"].to_list() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,day,y\na,m,1\n", "t.csv has no column guess"),
        (ROWS + "b,m,1,2\n", "t.csv: id 'b' appears more than once"),
        (ROWS + ",m,1,2\n", "t.csv: id is missing in 1 of 3 rows"),
        (ROWS + "c,m,1,\n", "t.csv: what is predicted for id 'c' is not a finite number"),
        (ROWS + "c,m,1,inf\n", "t.csv: what is predicted for id 'c' is not a finite number"),
        (ROWS + "c,m,1,high\n", "t.csv: guess is String, not a number"),
        (ROWS + "c,m,high,1\n", "t.csv: y (predictions.label) is String, not a number"),
    ],
)
def test_a_table_that_is_not_what_was_asked_for_is_refused(tmp_path, text, why):
    with pytest.raises(PushforwardError) as refused:
        read(tmp_path, text)
    assert refused.value.message == why


def test_clusters_and_slices_are_those_of_the_champions_table(tmp_path):
    mine, theirs = read(tmp_path, ROWS), read(tmp_path, ROWS.replace(",m,", ",w,"))
    found, labels = self_scored.evidence(PLAIN, mine, theirs)
    assert found.clusters.tolist() == ["t", "w"]
    assert labels.columns.count("day") == 1
    assert (found.mode, found.months) == ("superior", (names.test_set(self_scored.digest(mine, PLAIN.contract)),))
    assert self_scored.evidence(PLAIN, mine, None)[0].mode == "first"


def test_a_test_set_is_called_by_its_name():
    name = names.test_set("3f2a" * 16)
    assert (names.ledger([name]), names.called(name), names.noun(name)) == (
        name,
        "test-set-3f2a3f2a3f2a3f2a",
        "test set",
    )
    assert names.opening(name) == "another test set"
    assert names.NAME.fullmatch(name)
