"""A pickle as one file, numbers in git, requirements that lock nothing: locked by adopt, at level 1 as it is."""

import pytest
from tests.foreign.stranger import Stranger, tool

__all__ = ["tool"]
DVC = """\
stages:
  prepare:
    cmd: python src/prepare.py
    deps: [src/prepare.py]
    outs: [data/rows.csv]
  train:
    cmd: python src/train.py
    deps: [src/train.py, data/rows.csv]
    params: [train.cut]
    outs: [model.pkl]
    metrics: [metrics.json: {cache: false}]
"""
PREPARE = """\
import csv, os, random

random.seed(1)
os.makedirs("data", exist_ok=True)
rows = [(n, random.random()) for n in range(600)]
told = [(*row, int(random.random() < row[1])) for row in rows]
csv.writer(open("data/rows.csv", "w")).writerows([("id", "a", "late"), *told])
"""
TRAIN = """\
import csv, json, re
import joblib

cut = float(re.search(r"cut: (.+)", open("params.yaml").read())[1])
rows = list(csv.DictReader(open("data/rows.csv")))
joblib.dump({"cut": cut}, "model.pkl")
right = sum((float(row["a"]) > cut) == bool(int(row["late"])) for row in rows)
json.dump({"accuracy": right / len(rows), "rows": len(rows)}, open("metrics.json", "w"))
"""
SHAPE = {
    "dvc.yaml": DVC,
    "params.yaml": "train:\n  cut: 0.5\n",
    "requirements.txt": "# what the stages import\njoblib>=1.5\n",
    "metrics.json": '{"accuracy": 0.71, "rows": 600}\n',
    "src/prepare.py": PREPARE,
    "src/train.py": TRAIN,
    ".gitignore": "/data\n/model.pkl\n.venv/\n",
}


@pytest.mark.slow
def test_loose_requirements_are_locked_by_adopt_and_a_push_runs_in_what_that_says(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE)
    said = shop.adopt()
    assert ".pushforward/lock.txt" in said, said
    assert "level   1 of 3, metrics" in said, said
    assert "joblib==" in (shop.root / ".pushforward" / "lock.txt").read_text()
    said = shop.push()
    assert "MEASURED" in said, said
    assert "metrics.json:accuracy" in said, said
    shop.needed("a pickle, metrics.json in git, loose requirements", "1, first numbers")
