"""A regression in CSV, whose rows have no moment, belong to nothing, and remember nothing; the model is one file."""

import csv

import polars as pl
import pytest
from tests.foreign.shapes import DATA, Foreign

from pushforward import __version__
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import handover
from pushforward.judge import holdout as holdouts
from pushforward.release.promote import lock_commit
from pushforward.settings import parse

pytestmark = pytest.mark.whole

SETTINGS = f"""\
tool: "{__version__}"
models:
  houses:
    path: model.pkl
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: data/holdout, key: id, label: price, cluster: none, time: none}}
    score: python predict.py {{rows}} {{out}}
    loss: squared
    validation: data/watched.csv
    batches: params.yaml:data.months
gate:
  slices: [town]
  suspect_fall: 1
  promotions: 1
"""
PARAMS = f"""\
{DATA}train:
  columns: 1
"""
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    outs: [data/train.csv, data/holdout]
  train:
    cmd: python train.py
    deps: [train.py, data/train.csv]
    params: [train.columns]
    outs: [model.pkl, data/watched.csv]
"""
PREPARE = """\
import csv, os, random

random.seed(1)
os.makedirs("data/holdout", exist_ok=True)
rows = []
for n in range(1200):
    size, rooms = random.random(), random.random()
    rows.append((1000 + n, size, rooms, random.choice("ab"), 3 * size + 2 * rooms + random.gauss(0, 0.5)))

def write(path, head, some):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head, *some])

write("data/train.csv", ("id", "size", "rooms", "town", "price"), rows[:600])
write("data/holdout/rows.csv", ("id", "size", "rooms"), [(n, s, r) for n, s, r, _, _ in rows[600:]])
write("data/holdout/labels.csv", ("id", "price", "town"), [(n, p, t) for n, _, _, t, p in rows[600:]])
"""
TRAIN = """\
import csv, pickle
from ruamel.yaml import YAML
from sklearn.linear_model import LinearRegression

names = ["size", "rooms"][: YAML(typ="safe").load(open("params.yaml"))["train"]["columns"]]
table = list(csv.DictReader(open("data/train.csv")))
x, y = [[float(row[name]) for name in names] for row in table], [float(row["price"]) for row in table]
pickle.dump((names, LinearRegression().fit(x, y)), open("model.pkl", "wb"))
watched = LinearRegression().fit(x[:400], y[:400]).predict(x[400:])
with open("data/watched.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "price", "town", "p"])
    writer.writerows((row["id"], row["price"], row["town"], p) for row, p in zip(table[400:], watched))
"""
PREDICT = """\
import csv, pickle, sys

names, model = pickle.load(open("model.pkl", "rb"))
rows = list(csv.DictReader(open(sys.argv[1])))
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "p"])
    writer.writerows(zip([row["id"] for row in rows], model.predict([[float(row[n]) for n in names] for row in rows])))
"""
SHAPE = {
    "params.yaml": PARAMS,
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".gitignore": "/model.pkl\n/data\n/handover\n/verdict\n__pycache__\n",
    "prepare.py": PREPARE,
    "train.py": TRAIN,
    "predict.py": PREDICT,
}


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def test_rows_without_moment_and_cluster_are_judged_and_the_report_says_what_was_not_asked(project):
    first, report = project.judge("--probe")
    assert first.verdict == "promote", first.reason
    assert (first.rows, first.clusters, first.cluster, first.holdout.days) == (600, 600, "row", 600)
    assert "(600 rows, taken as independent)" in first.reason
    assert sorted(path.name for path in project.handover.iterdir()) == [
        *("dvc.lock", "model", "predictions.csv", "run.json", "validation.csv")
    ]
    assert "Rows are taken as independent (holdout.cluster: none)" in report
    assert "The score command takes no events, so the time-honesty probe had nothing to ask" in report
    assert "The model has no manifest.json, so nothing here knows which months it has trained on" in report
    assert " day" not in report
    assert [row["p"] for row in project.golden["rows"][:1]] == [first_prediction(project)]
    assert (first.validation.month, first.validation.rows, first.validation.clusters) == ("2020-02", 200, 200)
    assert "Validation month `2020-02`: 200 rows, taken as independent, by a fit that had not seen it." in report
    project.release("houses@v1.0.0")
    project.edit("params.yaml", "columns: 1", "columns: 2")
    second, report = project.judge()
    assert (second.verdict, second.champion.version) == ("promote", "houses@v1.0.0"), second.reason
    assert {one.value for one in second.slices} == {"a", "b"}
    assert second.validation.numbers[0].gain > 0, "of the same rows, by the champion's own fit"
    assert "paired by row." in report


def test_a_tracked_file_of_metrics_is_shown_and_kept_as_the_run_found_it(project):
    """As DVC has it: declared with cache: false, committed with whatever the last run on somebody's machine found."""
    project.write({"metrics.json": '{"r2": {"train": 0.125}}\n'})
    project.edit("pushforward.yaml", "    validation: data/watched.csv\n", "")
    project.edit("dvc.yaml", "watched.csv]\n", "watched.csv]\n    metrics: [metrics.json: {cache: false}]\n")
    found = 'open("metrics.json", "w").write(\'{"r2": {"train": 0.75}}\')\n'
    head = project.edit("train.py", "names =", f"{found}names =")
    first, report = project.judge()
    assert first.verdict == "promote", first.reason
    assert "**Validation**: `r2.train` 0.7500." in report
    repository, read = Repository(project.root), handover.read(project.handover)
    made = lock_commit(repository, head, read.locks, read.metrics, scratch=project.root / ".git")
    assert repository.changed(head, made) == ["dvc.lock", "metrics.json"]
    assert repository.read(made, "metrics.json") == b'{"r2": {"train": 0.75}}'


def first_prediction(project):
    with (project.handover / "predictions.csv").open() as file:
        return float(next(csv.DictReader(file))["p"])


def test_a_holdout_without_rows_is_told_of_in_its_own_words(project):
    project.edit("prepare.py", 'write("data/holdout/rows.csv"', 'write("data/holdout/others.csv"')
    project.invoke("repro")
    said = project.invoke("score", fails=True)
    assert "data/holdout has no rows.parquet and no rows.csv" in said
    assert "next: edit the stage that makes it" in said


def test_a_prediction_that_is_no_number_is_named(project):
    project.edit(
        "predict.py", 'writer.writerow(["id", "p"])', 'writer.writerow(["id", "p"]); writer.writerow([1600, "x"])'
    )
    project.edit("predict.py", "writer.writerows(zip(", "writer.writerows(list(zip(")
    project.edit("predict.py", "for row in rows])))", "for row in rows])))[1:])")
    verdict, _ = project.judge()
    assert (verdict.verdict, verdict.reason) == ("invalid", "predictions.csv: p is 'x', not Float64")


RULES = parse(SETTINGS.encode())


@pytest.mark.parametrize("kinds", [(pl.Int32, pl.Int64), (pl.Int64, pl.UInt16), (pl.UInt32, pl.Int16)])
def test_keys_of_two_widths_are_the_same_keys(tmp_path, kinds):
    for name, kind, more in zip(("rows", "labels"), kinds, ({}, {"price": [1.0, 2.0]}), strict=True):
        pl.DataFrame({"id": pl.Series([1, 2], dtype=kind), **more}).write_parquet(tmp_path / f"{name}.parquet")
    rows, events, labels = holdouts.tables(tmp_path, RULES)
    assert rows["id"].dtype == labels["id"].dtype == kinds[0]
    assert labels["id"].to_list() == [1, 2]
    assert events is None


@pytest.mark.parametrize(
    ("rows", "labels", "why"),
    [
        ("id\n1\n2\n", "id,price\n1,1\n3,1\n", r"1 id of rows\.csv are not in labels\.csv \(2\)"),
        ("id\n1\n1\n", "id,price\n1,1\n", r"rows\.csv: 1 id appear more than once"),
        ("id\n1\n", "id,cost\n1,1\n", r"labels\.csv has no column price"),
        ("id\n1\n", "id,price\n1,1,1\n", r"labels\.csv is not a readable CSV file"),
        ("", "id,price\n1,1\n", r"rows\.csv is not a readable CSV file: empty CSV"),
        ("id\nx\n", "id,price\n1,1\n", "id is String in rows.csv and Int64 in labels.csv"),
    ],
)
def test_a_csv_that_is_not_the_table_asked_for_is_refused(tmp_path, rows, labels, why):
    (tmp_path / "rows.csv").write_text(rows)
    (tmp_path / "labels.csv").write_text(labels)
    with pytest.raises(PushforwardError, match=why):
        holdouts.tables(tmp_path, RULES)


def test_two_tables_for_one_are_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("id\n1\n")
    (tmp_path / "rows.parquet").write_bytes(b"")
    with pytest.raises(PushforwardError, match=r"has rows\.parquet and rows\.csv: which is it"):
        holdouts.tables(tmp_path, RULES)


def test_a_time_that_is_no_moment_is_refused(tmp_path):
    timed = parse(SETTINGS.replace("time: none", "time: at").encode())
    (tmp_path / "labels.csv").write_text("id,price\n1,1\n")
    for text, kind in (("5", "Int64"), ("yesterday", "String")):
        (tmp_path / "rows.csv").write_text(f"id,at\n1,{text}\n")
        with pytest.raises(PushforwardError, match=rf"rows\.csv: at \(holdout\.time\) is {kind}, not a moment"):
            holdouts.tables(tmp_path, timed)
    (tmp_path / "rows.csv").write_text("id,at\n1,2020-03-01 12:00:00\n")
    assert holdouts.tables(tmp_path, timed)[0]["at"].dt.year().to_list() == [2020]


def test_events_are_of_a_project_that_has_time():
    with pytest.raises(PushforwardError, match=r"name the column holdout\.time"):
        parse(SETTINGS.replace("{rows}", "{rows} {events}").encode())
