"""A dvc.yaml below the root, and its numbers beside it: adopted as it is."""

import pytest
from tests.foreign.stranger import LOCKED, Stranger, tool

__all__ = ["tool"]
DVC = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py, rows.csv]
    outs: [model.json]
    metrics:
      - scores.yaml:
          cache: false
"""
CHURN = """\
import csv, json

CUT = 6
rows = [(float(row["visits"]), int(row["left"])) for row in csv.DictReader(open("rows.csv"))]
json.dump({"cut": CUT}, open("model.json", "w"))
right = sum((visits < CUT) == bool(left) for visits, left in rows)
open("scores.yaml", "w").write(f"accuracy: {right / len(rows)}\\n")
"""
SHAPE = {
    "models/churn/dvc.yaml": DVC,
    "models/churn/train.py": CHURN,
    "models/churn/rows.csv": "visits,left\n"
    + "".join(f"{n % 10},{int(n % 10 < 5 or n % 7 == 0)}\n" for n in range(90)),
    "models/churn/scores.yaml": "accuracy: 0.9\n",
    "models/churn/.gitignore": "/model.json\n",
    "requirements.txt": LOCKED,
}


@pytest.mark.slow
def test_a_model_below_the_root_is_measured_where_it_lies(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE)
    said = shop.adopt()
    assert "churn: models/churn/model.json (models/churn/dvc.yaml:5, guessed: the out of stage train)" in said, said
    assert "level   1 of 3, metrics" in said, said
    assert "would be run" in shop.rehearse()
    said = shop.push()
    assert "MEASURED" in said, said
    assert "scores.yaml:accuracy" in said, said
    shop.needed("dvc.yaml below the root", "1, first numbers")
