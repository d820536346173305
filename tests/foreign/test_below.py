"""Two models, each with its dvc.yaml in a folder below the root and its numbers beside it: adopted as they are."""

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
FOLDERS = ("models/basket", "models/churn")
SHAPE = {
    f"{folder}/{name}": text
    for folder in FOLDERS
    for name, text in {
        "dvc.yaml": DVC,
        "train.py": CHURN,
        "rows.csv": "visits,left\n" + "".join(f"{n % 10},{int(n % 10 < 5 or n % 7 == 0)}\n" for n in range(90)),
        "scores.yaml": "accuracy: 0.9\n",
        ".gitignore": "/model.json\n",
    }.items()
} | {"requirements.txt": LOCKED}


@pytest.mark.slow
def test_two_models_below_the_root_are_measured_where_they_lie(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE)
    said = shop.adopt()
    assert "churn: models/churn/model.json (models/churn/dvc.yaml:5, guessed: the out of stage train)" in said, said
    assert "basket: models/basket/model.json (models/basket/dvc.yaml:5, guessed: the out of stage train)" in said, said
    assert "level   1 of 3, metrics" in said, said
    assert "would be run" in shop.rehearse()
    said = shop.push()
    assert "MEASURED" in said, said
    assert "scores.yaml:accuracy" in said, said
    shop.needed("dvc.yaml in two folders, two models", "1, first numbers")
