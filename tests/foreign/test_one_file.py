"""The model as one file: a pickle of scikit-learn's at the root of the project, without a manifest."""

import pytest
from tests.foreign.shapes import DATA, Foreign, digest

from pushforward import __version__
from pushforward.pipeline.revision import data_digest

pytestmark = pytest.mark.whole

SETTINGS = f"""\
tool: "{__version__}"
models:
  wine:
    path: models/model.pkl
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: data/holdout, key: id, label: y, cluster: day, time: at}}
    score: python src/predict.py {{rows}} {{events}} {{out}}
    batches: params.yaml:data.months
gate:
  suspect_jump: 0.5
"""
PARAMS = f"""\
{DATA}train:
  depth: 1
"""
DVC = """\
stages:
  prepare:
    cmd: python src/prepare.py
    deps: [src/prepare.py]
    outs: [data/train.parquet, data/holdout]
  train:
    cmd: python src/train.py
    deps: [src/train.py, data/train.parquet]
    params: [train.depth]
    outs: [models/model.pkl]
"""
PREPARE = """\
import datetime
from pathlib import Path
import numpy as np
import polars as pl

random = np.random.default_rng(1)
x = random.random((2400, 3))
table = pl.DataFrame({
    "id": [f"r{n}" for n in range(2400)],
    **{f"x{n}": x[:, n] for n in range(3)},
    "y": (random.random(2400) < 0.1 + 0.4 * x[:, 0] + 0.4 * x[:, 1]).astype("int8"),
    "day": [datetime.date(2020, 3, 1) + datetime.timedelta(days=n % 61) for n in range(2400)],
}).with_columns(at=pl.col("day").cast(pl.Datetime))
folder = Path("data/holdout")
folder.mkdir(parents=True, exist_ok=True)
table.head(1200).write_parquet("data/train.parquet")
rows = table.tail(1200)
rows.select("id", "x0", "x1", "x2", "at").write_parquet(folder / "rows.parquet")
rows.select("id").clear().write_parquet(folder / "events.parquet")
rows.select("id", "y", "day").write_parquet(folder / "labels.parquet")
"""
TRAIN = """\
import pickle
from pathlib import Path
import polars as pl
from ruamel.yaml import YAML
from sklearn.tree import DecisionTreeClassifier

depth = YAML(typ="safe").load(open("params.yaml"))["train"]["depth"]
table = pl.read_parquet("data/train.parquet")
model = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=30, random_state=0)
model.fit(table.select("x0", "x1", "x2").to_numpy(), table["y"].to_numpy())
Path("models").mkdir(exist_ok=True)
pickle.dump(model, open("models/model.pkl", "wb"))
"""
PREDICT = """\
import pickle, sys
import polars as pl

rows = pl.read_parquet(sys.argv[1])
model = pickle.load(open("models/model.pkl", "rb"))
p = model.predict_proba(rows.select("x0", "x1", "x2").to_numpy())[:, 1]
rows.select("id").with_columns(p=pl.Series(p)).write_parquet(sys.argv[3])
"""
SHAPE = {
    "params.yaml": PARAMS,
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".gitignore": "/models/model.pkl\n/data\n/handover\n/verdict\n__pycache__\n",
    "src/prepare.py": PREPARE,
    "src/train.py": TRAIN,
    "src/predict.py": PREDICT,
}


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def test_a_model_that_is_one_file_is_trained_scored_judged_and_replaced(project):
    first, report = project.judge()
    assert first.verdict == "promote", first.reason
    model = project.root / "models" / "model.pkl"
    assert first.digests.model == digest(model) == digest(project.handover / "model")
    assert first.digests.manifest == ""
    assert first.digests.data == data_digest(b"", (project.handover / "dvc.lock").read_bytes(), "models/model.pkl")
    assert "manifest sha256" not in report
    project.release("wine@v1.0.0")
    project.edit("params.yaml", "depth: 1", "depth: 3")
    second, _ = project.judge()
    assert (second.verdict, second.champion.version) == ("promote", "wine@v1.0.0"), second.reason
    assert second.digests.model != first.digests.model


def test_a_champion_whose_file_is_not_what_its_tag_names_judges_nothing(project):
    project.judge()
    (project.handover / "model").write_bytes(b"another")
    project.release("wine@v1.0.0")
    project.edit("params.yaml", "depth: 1", "depth: 3")
    verdict, _ = project.judge()
    assert verdict.verdict == "invalid"
    assert "the model of wine@v1.0.0 has SHA-256" in verdict.reason
