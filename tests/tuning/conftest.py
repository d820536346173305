"""A project whose loss is known beforehand: its model answers `train.p` to each row, and so many of 100 come true."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PIPELINE = """
import json, pathlib, sys, time
from ruamel.yaml import YAML

params = YAML(typ="safe").load(pathlib.Path("params.yaml"))
window = YAML(typ="safe").load(pathlib.Path("pushforward.yaml"))["gate"]["window"]
batches, train = params["data"]["batches"], params["train"]
stage = sys.argv[1]
if stage == "collect":
    made = pathlib.Path("data/raw")
    made.mkdir(parents=True)
    for batch in batches:
        (made / batch).write_text((pathlib.Path("@SOURCE@") / batch).read_text())
elif stage == "holdout":
    import polars as pl
    made = pathlib.Path("data/holdout")
    made.mkdir(parents=True)
    names, late = [], []
    for batch in batches[-window:]:
        found = pathlib.Path("data/raw", batch).read_text().split()
        names += [f"{batch}-{place}" for place in range(len(found))]
        late += [int(one) for one in found]
    pl.DataFrame({"id": names, "x": [1.0] * len(names)}).write_parquet(made / "rows.parquet")
    day = [name[:2] for name in names]
    pl.DataFrame({"id": names, "late": late, "day": day}).write_parquet(made / "labels.parquet")
else:
    if train["p"] > train["fails_above"]:
        sys.exit("train.p is too high")
    pathlib.Path("tries").open("a").write(f"{train['p']}\\n")
    time.sleep(train["seconds"])
    pathlib.Path("model").write_text(str(train["p"] + 0.001 * train["seed"]))
    pathlib.Path("metrics").mkdir(exist_ok=True)
    pathlib.Path("metrics/metrics.json").write_text(json.dumps({"validation": {"gap": abs(train["p"] - 0.5)}}))
"""
PREDICT = """
import pathlib, sys
import polars as pl

p = float(pathlib.Path("model").read_text())
pl.read_parquet(sys.argv[1]).select("id", p=pl.lit(p)).write_parquet(sys.argv[2])
"""
STAGES = """
stages:
  collect:
    cmd: python pipeline.py collect
    params: [data.batches]
    outs: [data/raw]
  holdout:
    cmd: python pipeline.py holdout
    deps: [data/raw]
    params: [data.batches, pushforward.yaml: [gate.window]]
    outs: [data/holdout]
  train:
    cmd: python pipeline.py train
    deps: [data/raw]
    params: [train]
    outs: [model]
    metrics:
      - metrics/metrics.json: {cache: false}
"""
PARAMS = """# what the pipeline is told
data:
  batches:                  # the newest is last
    - "b1"
    - "b2"
    - "b3"
    - "b4"
    - "b5"
    - "b6"
train:
  p: 0.9                    # what the model answers
  seed: 1
  seconds: 0
  fails_above: 1
"""
SETTINGS = """tool: "0.2.0"
models:
  toy:
    path: model
    holdout: {path: data/holdout, key: id, label: late, cluster: day, time: none}
    score: python predict.py {rows} {out}
    batches: params.yaml:data.batches
gate: {window: 1}
tune:
  space: {train.p: {low: 0.05, high: 0.95}}
  trials: 8
  seed: train.seed
"""
# Of 10 rows of a batch so many come true: the best that any model can answer to the batches of the past is .3.
TRUE = {"b1": 3, "b2": 3, "b3": 3, "b4": 3, "b5": 3, "b6": 9}


@dataclass
class Toy:
    """The project, and where its batches come from."""

    root: Path
    source: Path

    def git(self, *args: str) -> str:
        """Run git in it."""
        done = subprocess.run(["git", "-C", str(self.root), *args], capture_output=True, text=True, check=True)
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text in a file, and commit."""
        path = self.root / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.git("commit", "-qam", "Change")

    def tune(self, *args: str) -> subprocess.Popen[str]:
        """Start the verb."""
        command = [sys.executable, "-m", "pushforward", "tune", *args]
        return subprocess.Popen(command, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    made = Toy(tmp_path / "toy", tmp_path / "source")
    made.root.mkdir()
    made.source.mkdir()
    for name, true in TRUE.items():
        (made.source / name).write_text(" ".join(["1"] * true + ["0"] * (10 - true)))
    written = {
        "pipeline.py": PIPELINE.replace("@SOURCE@", str(made.source)),
        "predict.py": PREDICT,
        "dvc.yaml": STAGES,
        "params.yaml": PARAMS,
        "pushforward.yaml": SETTINGS,
        ".gitignore": "/model\n/tries\n/data\n/metrics\n",
        ".dvc/config": "",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    }
    for name, text in written.items():
        (made.root / name).parent.mkdir(exist_ok=True)
        (made.root / name).write_text(text)
    made.git("init", "-q")
    made.git("add", "-A")
    made.git("commit", "-qm", "Begin")
    return made
