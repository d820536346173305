"""Every fault of a project at once, each with its file, its line and what to write."""

import polars as pl
import pytest
from tests.project import shapes

from pushforward.project import adopt, faults
from pushforward.project.survey import survey

pytestmark = pytest.mark.whole

TOOL = f"https://example.org/team/pushforward.git@{'a' * 40}"
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [data/raw.csv, prepare.py]
    params: [split]
    outs: [data/holdout, data/labels.txt]
  train:
    cmd: python train.py
    deps: [data/holdout]
    params: [train.seed]
    outs: [model.pkl]
    metrics: [scores.json: {cache: false}]
"""
PROJECT = """\
tool: "0.2.0"
models:
  shop:
    path: model.pkl
    environment: [requirements.txt]
    metrics: {"scores.json:auc": {better: higher}}
    holdout: {path: data/holdout, key: id, label: y, cluster: day, time: none, floor: mean}
    score: python score.py {rows} {out}
    batches: params.yaml:arrived
gate: {slices: [half]}
"""
RAW = "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: raw.csv\n"


@pytest.fixture
def sound(tmp_path, git):
    """A project without a fault."""
    root = tmp_path / "shop"
    root.mkdir()
    git(root, "init", "-q")
    shapes.put(
        root,
        {
            "dvc.yaml": DVC,
            "params.yaml": "split: 0.2\ntrain: {seed: 1}\narrived: [one, two]\n",
            "pushforward.yaml": PROJECT,
            "requirements.txt": "numpy==2.0 \\\n    --hash=sha256:00\n",
            "environment.yml": "name: shop\n",
            "scores.json": '{"auc": 0.9}',
            "prepare.py": "",
            "data/raw.csv.dvc": RAW,
            "data/.gitignore": "/raw.csv\n/holdout\n/labels.txt\n",
            ".gitignore": "/model.pkl\n",
            "data/holdout/rows.csv": "id,at\n1,2\n",
            ".dvc/config": "[core]\nremote = s\n['remote \"s\"']\nurl = ../../store\n",
            "../store/files/md5/01/23456789abcdef0123456789abcdef": "x",
        },
    )
    pl.DataFrame({"id": [1], "y": [0], "day": [1], "mean": [0.5], "half": ["a"]}).write_parquet(
        root / "data" / "holdout" / "labels.parquet"
    )
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Begin")
    adopt.apply(adopt.plan(root, source=TOOL))
    return root


def found(root):
    return [str(fault) for fault in faults.faults(survey(root))]


def replaced(root, file, old, new):
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))


def test_a_project_that_lacks_nothing_has_no_fault(sound):
    assert found(sound) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said", "then"),
    [
        (
            "pushforward.yaml",
            "[requirements.txt]",
            "[gone.txt]",
            "pushforward.yaml:5: gone.txt is not there",
            "the locks",
        ),
        (
            "pushforward.yaml",
            "path: model.pkl",
            "path: m.pkl",
            "pushforward.yaml:4: m.pkl (path) is no out of dvc.yaml",
            "outs:",
        ),
        (
            "pushforward.yaml",
            "scores.json:auc",
            "x.json:auc",
            "pushforward.yaml:6: x.json is no metric of dvc.yaml",
            "metrics:",
        ),
        (
            "pushforward.yaml",
            "scores.json:auc",
            "scores.json:au",
            "pushforward.yaml:6: scores.json has no number au",
            "one of auc",
        ),
        (
            "pushforward.yaml",
            "label: y",
            "label: late",
            "pushforward.yaml:7: data/holdout/labels.parquet has no column late; it has id, y, day, mean, half",
            "the name",
        ),
        (
            "pushforward.yaml",
            "time: none",
            "time: when",
            "pushforward.yaml:7: data/holdout/rows.csv has no column when; it has id, at",
            "the name",
        ),
        (
            "pushforward.yaml",
            "[half]",
            "[region]",
            "pushforward.yaml:7: data/holdout/labels.parquet has no column region; it has id",
            "the name",
        ),
        (
            "pushforward.yaml",
            "yaml:arrived",
            "yaml:split",
            "pushforward.yaml:9: params.yaml has no list of names at split",
            "none",
        ),
        (
            "pushforward.yaml",
            "yaml:arrived",
            "yaml:a.b",
            "pushforward.yaml:9: params.yaml has no list of names at a.b",
            "none",
        ),
        (
            "pushforward.yaml",
            "    path: model.pkl",
            "    folder: ml\n    path: model.pkl",
            "pushforward.yaml:4: ml has no dvc.yaml",
            "the folder",
        ),
        (
            "pushforward.yaml",
            "    path: model.pkl",
            "    data: [data/raw.csv]\n    path: model.pkl",
            "pushforward.yaml:4: data/raw.csv is no file of git",
            "write data/raw.csv.dvc",
        ),
        (
            "pushforward.yaml",
            "    path: model.pkl",
            "    card: docs/card.md\n    path: model.pkl",
            "pushforward.yaml:4: docs/card.md is not there",
            "write docs/card.md",
        ),
        (
            "pushforward.yaml",
            "[requirements.txt]",
            "[requirements.txt, environment.yml]",
            "pushforward.yaml:5: environment.yml is conda's, and pip installs nothing from it",
            "write what pip can install of it into requirements.txt",
        ),
        (
            "params.yaml",
            "seed: 1",
            "sede: 1",
            "dvc.yaml:10: stage train reads train.seed, which params.yaml does not have",
            "edit",
        ),
        (
            "dvc.yaml",
            "deps: [data/holdout]",
            "deps: [data/more.csv]",
            "dvc.yaml:9: stage train needs data/more.csv, which git does not hold and no stage makes",
            "dvc add data/more.csv",
        ),
        (
            "dvc.yaml",
            "scores.json: {cache: false}",
            "scores.json",
            "dvc.yaml:12: scores.json is an out of stage train, and git holds it",
            "git rm --cached scores.json",
        ),
        (
            "data/raw.csv.dvc",
            "0123",
            "1123",
            "data/raw.csv.dvc: data/raw.csv is not in the store s (.dvc/config:4)",
            "dvc push",
        ),
        (".gitignore", "/model.pkl\n", "", ".gitignore: it lacks /model.pkl, which a run leaves", "pushforward adopt"),
        (
            ".github/workflows/train.yml",
            "branches: [main]",
            "branches: [trunk]",
            ".github/workflows/train.yml:7: it runs for trunk, and the default branch is main",
            "write main there",
        ),
    ],
)
def test_a_fault_is_told_with_its_place_and_what_to_write(file, old, new, said, then, sound):
    replaced(sound, file, old, new)
    told = found(sound)
    assert any(one.startswith(said) and then in one.partition("\n  next: ")[2] for one in told), told


def test_what_is_not_there_is_told_at_once(sound):
    for name in (".github/workflows/judge.yml", "data/holdout/rows.csv", "data/holdout/labels.parquet", "params.yaml"):
        (sound / name).unlink()
    (sound / "data/holdout/labels.csv").write_text("id,y,day\n")
    told = [line.partition("\n")[0] for line in found(sound)]
    assert told == [
        ".github/workflows/judge.yml: it is not there",
        "dvc.yaml:5: stage prepare reads split, which params.yaml does not have",
        "dvc.yaml:10: stage train reads train.seed, which params.yaml does not have",
        "pushforward.yaml:7: data/holdout has no rows.parquet and no rows.csv",
        "pushforward.yaml:7: data/holdout/labels.csv has no column half; it has id, y, day",
        "pushforward.yaml:7: data/holdout/labels.csv has no column mean; it has id, y, day",
        "pushforward.yaml:9: params.yaml: No such file or directory",
    ]


def test_a_table_that_is_none_is_no_traceback(sound):
    (sound / "data/holdout/labels.parquet").write_bytes(b"PAR1no")
    assert any(one.startswith("data/holdout/labels.parquet: it is no parquet file") for one in found(sound))


@pytest.mark.parametrize("shape", shapes.ALL)
def test_of_any_repository_faults_are_told_without_a_traceback(shape, tmp_path, git):
    root = shapes.make(tmp_path / "shop", git, shape)
    assert any(one.startswith("pushforward.yaml: it is not there\n  next: pushforward adopt") for one in found(root))
    adopt.apply(adopt.plan(root, source=TOOL))
    told = found(root)
    assert not any("it is not there" in one for one in told)
    assert all("\n  next: " in one for one in told)


def test_what_git_has_that_no_server_takes_and_what_it_lacks_for_dvc(sound, git):
    git(sound, "rm", "-q", "-r", "--cached", ".dvc")
    shapes.put(sound, {"lib/.gitmodules": "", ".gitignore": "/model.pkl\n*.lock\n"})
    git(sound, "add", "lib/.gitmodules")
    told = [(str(one), one.next) for one in faults.faults(survey(sound))]
    assert told[:2] == [
        (
            ".dvc/config: git does not hold it: DVC is not set up here\n  next: dvc init, and git add .dvc",
            "dvc init, and git add .dvc",
        ),
        (
            ".gitignore: git ignores dvc.lock, and DVC refuses to run\n  next: take dvc.lock out of .gitignore",
            "take dvc.lock out of .gitignore",
        ),
    ]
    assert "it is of a submodule, and a server fetches none" in [one.what for one in faults.faults(survey(sound))]
