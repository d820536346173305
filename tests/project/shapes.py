"""Small repositories in the shapes that real ones have: each is a function that fills an empty git repository."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DVC = str(Path(sys.executable).parent / "dvc")
Git = Callable[..., str]


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


SKLEARN_DVC = """\
stages:
  prepare:
    cmd: python src/prepare.py
    deps: [data/rows.csv, src/prepare.py]
    outs: [data/prepared.csv]
  train:
    cmd: python src/train.py
    deps: [data/prepared.csv, src/train.py]
    params: [train.trees]
    outs:
      - model.pkl
  evaluate:
    cmd: python src/evaluate.py
    deps: [model.pkl]
    metrics:
      - metrics.json:
          cache: false
    plots:
      - roc.csv:
          cache: false
"""


def sklearn(root: Path, git: Git) -> None:
    """One file as the model, metrics in git, loose requirements."""
    put(
        root,
        {
            "dvc.yaml": SKLEARN_DVC,
            "params.yaml": "train:\n  trees: 50\n",
            "dvc.lock": "schema: '2.0'\nstages:\n  prepare: {cmd: x}\n  train: {cmd: x}\n",
            "metrics.json": '{"roc_auc": 0.91, "train": {"roc_auc": 0.99}, "n": 120, "log_loss": 0.31}\n',
            "requirements.txt": "# what the stages import\nscikit-learn==1.5.0\npandas\n",
            "requirements-dev.txt": "pytest\n",
            "src/train.py": "",
            ".gitignore": "/data\n/model.pkl\n.venv/\n",
            ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket/store\n",
        },
    )


FOLDER_DVC = """\
stages:
  train:
    cmd: python NAME.py
    outs: [out/NAME.joblib]
    metrics: [scores.yaml: {cache: false}]
"""
CHURN_DVC = """\
artifacts:
  churn-risk:
    path: out/churn.joblib
    type: model
"""


def folders(root: Path, git: Git) -> None:
    """Two pipelines in two folders, an artifact in one of them, one uv.lock for both."""
    put(
        root,
        {
            "models/churn/dvc.yaml": FOLDER_DVC.replace("NAME", "churn") + CHURN_DVC,
            "models/churn/scores.yaml": "f1: 0.7\n",
            "models/price/dvc.yaml": FOLDER_DVC.replace("NAME", "price"),
            "models/price/scores.yaml": "rmse: 12.5\nseconds: 3\n",
            "uv.lock": "version = 1\n",
            "pyproject.toml": "",
            ".dvc/config": "",
        },
    )


MASTER_DVC = """\
stages:
  mystage:
    cmd: python train.py
    deps: [train.py]
    metrics:
      - metrics.json:
          cache: false
"""


def master(root: Path, git: Git) -> None:
    """`master`, no params.yaml, a workflow of its own called train, no model that is saved."""
    put(
        root,
        {
            "dvc.yaml": MASTER_DVC,
            "metrics.json": '{"accuracy": 0.8}\n',
            "train.py": "",
            ".github/workflows/train.yml": "name: train\non: push\njobs: {}\n",
            ".dvc/config": "",
        },
    )
    git(root, "branch", "-m", "master")


POETRY_DVC = """\
vars: [{out: build}]
stages:
  fit:
    cmd: flowers fit
    outs: ['${out}/net.onnx', '${out}/log.txt']
    metrics: [scores.toml]
"""


def poetry(root: Path, git: Git) -> None:
    """A package with a poetry.lock, several classes, metrics in TOML."""
    put(
        root,
        {
            "dvc.yaml": POETRY_DVC,
            "scores.toml": "[val]\nmacro_f1 = 0.8\ncross_error = 0.2\n",
            "poetry.lock": "",
            "pyproject.toml": "[tool.poetry]\nname = 'flowers'\n",
            "flowers/__init__.py": "",
            ".dvc/config": "['remote \"web\"']\nurl = https://ann:secret@data.example.org/store\n",
        },
    )


SUBDIR_DVC = """\
stages:
  train:
    cmd: python t.py
    outs: [m.pkl]
    metrics: [m.json: {cache: false}]
"""


def subdir(root: Path, git: Git) -> None:
    """DVC set up in a folder of a larger repository."""
    files = {"dvc.yaml": SUBDIR_DVC, "m.json": '{"mae": 2.0}\n', "requirements.txt": "numpy\n"}
    put(root, {"README.md": "a site\n", **{f"ml/{name}": text for name, text in files.items()}})
    subprocess.run([DVC, "init", "--subdir", "-q"], cwd=root / "ml", check=True)


R_DVC = """\
stages:
  clean:
    cmd: ./clean.sh
    outs: [clean.rds]
  report:
    cmd: Rscript report.R
    outs: [report.html, clean2.rds]
"""


def r(root: Path, git: Git) -> None:
    """Stages in R and shell; nothing that a number could be read from."""
    put(root, {"dvc.yaml": R_DVC, "renv.lock": "{}\n", ".dvc/config": ""})


GTO_DVC = """\
stages:
  train:
    cmd: python src/train.py
    outs: [model.pkl]
  evaluate:
    cmd: python src/evaluate.py
    outs: [eval]
metrics:
  - eval/metrics.json
plots:
  - eval/roc.json
artifacts:
  text-classification:
    path: model.pkl
    type: model
    desc: tags of questions
"""
GTO_CONFIG = """\
[core]
remote = store
['remote "store"']
url = https://remote.example.org/get-started
"""


def gto(root: Path, git: Git) -> None:
    """A registry of GTO, an artifact of type model, metrics inside of an out."""
    put(
        root,
        {
            "dvc.yaml": GTO_DVC,
            "params.yaml": "model:\n  kind: forest\ndata: {split: 0.2}\n",
            "eval/metrics.json": '{"avg_prec": {"train": 0.97, "test": 0.93}, "roc_auc": {"test": 0.95}}\n',
            "src/train.py": "",
            "src/requirements.txt": "dvclive>=3.0\npandas\n",
            ".gitignore": "/eval\n/model.pkl\n",
            ".dvc/config": GTO_CONFIG,
        },
    )


def tags(root: Path, git: Git) -> None:
    """The tags of `gto`, which want a commit."""
    for name in ("v1.0.0", "v1.2.0", "v1.1.0"):
        git(root, "tag", "-a", "-m", "x", f"text-classification@{name}")
    git(root, "tag", "-a", "-m", "x", "text-classification#prod#1")
    git(root, "tag", "-a", "-m", "x", "text-classification#dev#2")


ODD_DVC = """\
stages:
  train:
    cmd: [a, b]
    outs: [model.bin, 3, {x.bin: {cache: false}}]
    metrics: bad.json
  note: text
  each:
    foreach: [1, 2]
    do:
      cmd: c
      outs: ['p/${item}.bin', '../q', "a\\nb"]
artifacts:
  half: {type: model}
"""


def odd(root: Path, git: Git) -> None:
    """Files that nobody can read, beside a pipeline that can be."""
    put(
        root,
        {
            "dvc.yaml": ODD_DVC,
            "bad.json": "{",
            "a/dvc.yaml": "stages: [",
            "b/dvc.yaml": "- 1\n",
            "c/dvc.yaml": "stages: 7\n",
            "params.yaml": "a: &a {b: 1}\nc: *a\nd: !x 1\ne: [\n",
            ".dvc/config": "[core\nremote\n['remote \"x\"']\n  url=\n",
        },
    )
    (root / "requirements.txt").write_bytes(b"\xff\xfe")
    (root / "d").mkdir()
    (root / "d" / "dvc.yaml").symlink_to("/etc/hostname")
    (root / "e\n\x1b[31m").mkdir()
    (root / "e\n\x1b[31m" / "dvc.yaml").write_text("stages: {train: {cmd: x, outs: [model]}}\n")


ALL = {one.__name__: one for one in (sklearn, folders, master, poetry, subdir, r, gto, odd)}


def make(root: Path, git: Git, shape: str) -> Path:
    """The repository of that shape, committed."""
    root.mkdir()
    git(root, "init", "-q")
    ALL[shape](root, git)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Begin")
    if shape == "gto":
        tags(root, git)
    return root
