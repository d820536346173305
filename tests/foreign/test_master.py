"""`master`, no params.yaml, a workflow of its own called train, numbers in git: adopted as it is, it is at level 1."""

import pytest
from tests.foreign.stranger import LOCKED, Stranger, tool

__all__ = ["tool"]
DVC = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py, wine.csv]
    outs: [model.json]
    metrics:
      - metrics.json:
          cache: false
"""
TRAIN = """\
import csv, json

CUT = 6
rows = [(float(row["alcohol"]), int(row["good"])) for row in csv.DictReader(open("wine.csv"))]
json.dump({"cut": CUT}, open("model.json", "w"))
right = sum((alcohol > CUT) == bool(good) for alcohol, good in rows)
json.dump({"accuracy": right / len(rows), "cut": CUT}, open("metrics.json", "w"))
"""
SHAPE = {
    "dvc.yaml": DVC,
    "train.py": TRAIN,
    "wine.csv": "alcohol,good\n" + "".join(f"{n % 10},{int(n % 10 > 6 or n % 7 == 0)}\n" for n in range(200)),
    "metrics.json": '{"accuracy": 0.9, "cut": 6}\n',
    "requirements.txt": LOCKED,
    ".github/workflows/train.yml": "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: exit 1}]}}\n",
    ".gitignore": "/model.json\n",
}


@pytest.mark.slow
def test_numbers_of_a_project_on_master_are_held_to_their_limits(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE, branch="master")
    said = shop.adopt()
    assert "branch       master (a branch here is called so)" in said, said
    assert "level   1 of 3, metrics" in said, said
    assert "a push of HEAD" in shop.rehearse()
    said = shop.push()
    assert "MEASURED" in said, said
    assert "metrics.json:accuracy" in said, said
    shop.needed("`master`, no params.yaml, workflows of its own", "1, first numbers")
    shop.edit("pushforward.yaml", "{better: higher}", "{better: higher, lose_at_most: 0.05}")
    shop.commit("Lose little")
    shop.git("switch", "-q", "-c", "deeper")
    shop.edit("train.py", "CUT = 6", "CUT = 3")
    shop.commit("Cut lower")
    assert "MEASURED" in shop.push(), "a limit of its own counts from the next push on"
    said = shop.push("deeper")
    assert "HOLD" in said, said
    assert "lose_at_most asks for 0.05" in said, said
    assert shop.tags() == []
