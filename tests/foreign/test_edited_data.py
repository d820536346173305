"""A data set that is edited in place: a CSV by `dvc add`, without batches; the holdout is by a hash of the key."""

import hashlib
import random

import pytest
from tests.foreign.shapes import Foreign

from pushforward import __version__
from pushforward.git.repository import Repository
from pushforward.judge import ledger, names

SETTINGS = f"""\
tool: "{__version__}"
models:
  houses:
    path: model.pkl
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: data/holdout, key: id, label: price, cluster: none, time: none}}
    score: python predict.py {{rows}} {{out}}
    loss: squared
    data: [houses.csv.dvc]
gate:
  renews: 100
  suspect_fall: 1
"""
PARAMS = "train:\n  columns: 1\n"
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py, houses.csv]
    outs: [data/train.csv, data/holdout]
  train:
    cmd: python train.py
    deps: [train.py, data/train.csv]
    params: [train.columns]
    outs: [model.pkl]
"""
PREPARE = """\
import csv, hashlib, os

def held_out(key):
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64 < 0.2

def write(path, head, some):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head, *some])

os.makedirs("data/holdout", exist_ok=True)
rows = list(csv.DictReader(open("houses.csv")))
kept = [row for row in rows if held_out(row["id"])]
write("data/train.csv", list(rows[0]), [row.values() for row in rows if not held_out(row["id"])])
write("data/holdout/rows.csv", ("id", "size", "rooms"), [(r["id"], r["size"], r["rooms"]) for r in kept])
write("data/holdout/labels.csv", ("id", "price"), [(r["id"], r["price"]) for r in kept])
"""
TRAIN = """\
import csv, pickle
from ruamel.yaml import YAML
from sklearn.linear_model import LinearRegression

names = ["size", "rooms"][: YAML(typ="safe").load(open("params.yaml"))["train"]["columns"]]
table = list(csv.DictReader(open("data/train.csv")))
x, y = [[float(row[name]) for name in names] for row in table], [float(row["price"]) for row in table]
pickle.dump((names, LinearRegression().fit(x, y)), open("model.pkl", "wb"))
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
    ".gitignore": "/model.pkl\n/data\n/houses.csv\n/handover\n/verdict\n__pycache__\n",
    "prepare.py": PREPARE,
    "train.py": TRAIN,
    "predict.py": PREDICT,
}


def table(first, last):
    """The rows of these numbers as CSV, without a head; the same for the same number."""
    lines = []
    for n in range(first, last):
        some = random.Random(n)
        size, rooms = some.random(), some.random()
        lines.append(f"{1000 + n},{size:.4f},{rooms:.4f},{3 * size + 2 * rooms + some.gauss(0, 0.5):.4f}\n")
    return "".join(lines)


def held_out(first, last):
    keys = (hashlib.sha256(str(1000 + n).encode()).digest()[:8] for n in range(first, last))
    return [key for key in keys if int.from_bytes(key, "big") / 2**64 < 0.2]


class Edited(Foreign):
    """The project, with data that is added by hand and pushed to its store, as people do."""

    def data(self, text):
        self.write({"houses.csv": text})
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        for cache in (self.root / ".dvc" / "cache", self.root.parent / "store"):
            place = cache / "files" / "md5" / md5[:2] / md5[2:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        pointer = f"outs:\n- md5: {md5}\n  size: {len(text)}\n  hash: md5\n  path: houses.csv\n"
        self.write({"houses.csv.dvc": pointer})
        return self.commit("Take in data")

    @property
    def book(self):
        return ledger.of(self.root)

    def state(self, number):
        return self.book.state(names.epoch(number))


HEAD = "id,size,rooms,price\n"
FIRST = HEAD + table(0, 1500)


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    made = Edited(tmp_path, git, monkeypatch, SHAPE)
    made.data(FIRST)
    return made


def test_rows_that_are_added_are_a_refresh_on_keys_that_nobody_has_judged(project):
    first, report = project.judge()
    keys = held_out(0, 1500)
    assert (first.verdict, first.rows) == ("promote", len(keys)), first.reason
    opened = project.state(1).opened
    assert (opened.keys, opened.since) == (len(keys), "")
    assert project.book.keys(project.state(1)) == b"".join(sorted(keys))
    print(report)
    project.release("houses@v1.0.0")
    # rows come
    project.data(FIRST + table(1500, 2100))
    second, report = project.judge()
    fresh = held_out(1500, 2100)
    assert (second.verdict, second.mode, second.rows) == ("promote", "refresh", len(fresh)), second.reason
    assert second.touched == ()
    assert (second.look.number, second.look.of, second.look.alpha) == (1, 10, 0.05)
    print(report)
    project.release("houses@v1.0.1")
    # a change of the model, on the same epoch
    project.edit("params.yaml", "columns: 1", "columns: 2")
    third, report = project.judge()
    assert (third.verdict, third.mode, third.rows) == ("promote", "superior", len(fresh)), third.reason
    assert third.look.number == 2
    print(report)
    project.release("houses@v1.1.0")
    project.data(FIRST + table(1500, 2150))
    fourth, report = project.judge()
    print(report)
    assert Repository(project.root)
