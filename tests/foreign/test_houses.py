"""A regression in CSV files: one fit by scikit-learn in a file, numbers in git, and a floor that people know of."""

import pytest
from tests.foreign.stranger import LOCKED, Stranger, tool

__all__ = ["tool"]
DVC = """\
stages:
  split:
    cmd: python split.py
    deps: [houses.csv, split.py]
    outs: [data]
  train:
    cmd: python train.py
    deps: [train.py, data]
    params: [columns]
    outs: [model.pkl]
  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, model.pkl, data]
    metrics: [metrics.json: {cache: false}]
"""
SPLIT = """\
import csv, os

rows = list(csv.DictReader(open("houses.csv")))
os.makedirs("data", exist_ok=True)
for name, some in (("train", rows[:800]), ("test", rows[800:])):
    with open(f"data/{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(some)
"""
TRAIN = """\
import csv, pickle
from ruamel.yaml import YAML
from sklearn.linear_model import LinearRegression

names = YAML(typ="safe").load(open("params.yaml"))["columns"]
table = list(csv.DictReader(open("data/train.csv")))
fit = LinearRegression().fit([[float(row[n]) for n in names] for row in table], [float(row["price"]) for row in table])
pickle.dump((names, fit), open("model.pkl", "wb"))
"""
EVALUATE = """\
import csv, json, pickle

names, model = pickle.load(open("model.pkl", "rb"))
table = list(csv.DictReader(open("data/test.csv")))
told = model.predict([[float(row[n]) for n in names] for row in table])
errors = [(p - float(row["price"])) ** 2 for p, row in zip(told, table)]
json.dump({"rmse": (sum(errors) / len(errors)) ** 0.5, "rows": len(errors)}, open("metrics.json", "w"))
"""
SHAPE = {
    "dvc.yaml": DVC,
    "params.yaml": "columns: [size]\n",
    "requirements.txt": LOCKED,
    "split.py": SPLIT,
    "train.py": TRAIN,
    "evaluate.py": EVALUATE,
    ".gitignore": "/data\n/model.pkl\n__pycache__\n",
}
# What its people write to be judged: which rows nobody trains on, what answers for them, and what has to be beaten.
CONTRACT = """\
    holdout: {path: holdout, key: id, label: price, cluster: none, time: none, floor: by_town}
    score: python predict.py {rows} {out}
    loss: squared
    batches: params.yaml:batches
"""
PREDICT = """\
import csv, pickle, sys

names, model = pickle.load(open("model.pkl", "rb"))
rows = list(csv.DictReader(open(sys.argv[1])))
told = model.predict([[float(row[n]) for n in names] for row in rows])
csv.writer(open(sys.argv[2], "w")).writerows([("id", "p"), *((row["id"], p) for row, p in zip(rows, told))])
"""
HOLDOUT = """\
os.makedirs("holdout", exist_ok=True)
mean = {town: [float(r["price"]) for r in rows[:800] if r["town"] == town] for town in "ab"}
for name, cells in (
    ("rows", [(r["id"], r["size"], r["rooms"]) for r in rows[800:]]),
    ("labels", [(r["id"], r["price"], sum(mean[r["town"]]) / len(mean[r["town"]])) for r in rows[800:]]),
):
    head = {"rows": ("id", "size", "rooms"), "labels": ("id", "price", "by_town")}[name]
    csv.writer(open(f"holdout/{name}.csv", "w")).writerows([head, *cells])
"""


def houses() -> str:
    import random

    dice, lines = random.Random(1), ["id,size,rooms,town,price"]
    for n in range(1400):
        size, rooms, town = dice.random(), dice.random(), dice.choice("ab")
        price = 3 * size + 2 * rooms + (town == "a") / 4 + dice.gauss(0, 0.4)
        lines.append(f"{1000 + n},{size:.4f},{rooms:.4f},{town},{price:.4f}")
    return "\n".join([*lines, ""])


@pytest.mark.slow
def test_a_regression_with_a_floor_is_promoted_by_its_first_push(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE | {"houses.csv": houses()})
    said = shop.adopt()
    assert "model.pkl (dvc.yaml:10, guessed: the out of stage train)" in said, said
    assert "level   0 of 3, rerun" in said, "its numbers are not there yet"
    shop.edit("pushforward.yaml", "    # Level 1:", f"{CONTRACT}    # Level 1:")
    shop.edit("params.yaml", "columns:", 'batches: ["2020-01", "2020-02", "2020-03", "2020-04"]\ncolumns:')
    shop.edit("dvc.yaml", "outs: [data]", "outs: [data, holdout]")
    shop.edit(".gitignore", "/data\n", "/data\n/holdout\n")
    shop.write({"predict.py": PREDICT, "split.py": SPLIT + HOLDOUT})
    shop.own("Be judged")
    assert "would be judged: 600 rows, taken as independent, squared" in shop.rehearse()
    said = shop.push()
    assert "shop@v1.0.0" in shop.tags(), said
    assert "it beats every constant prediction and the floor" in said, said
    shop.needed("a pickle of scikit-learn's, metrics.json in git, regression, a floor", "3, a version")
