"""A model whose dvc.yaml lies below the root, and reads what a pipeline of another folder makes."""

import json

import pytest
from tests.foreign.shapes import Foreign, digest, handover
from tests.foreign.test_one_file import PARAMS, PREDICT, PREPARE, TRAIN
from tests.team import make_team

from pushforward import __version__
from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.release.promote import lock_commit

pytestmark = pytest.mark.whole

AT = "models/wine"
SETTINGS = f"""\
tool: "{__version__}"
models:
  wine:
    folder: {AT}
    path: model.pkl
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: holdout, key: id, label: y, cluster: day, time: at}}
    score: python predict.py {{rows}} {{events}} {{out}}
    batches: params.yaml:data.months
gate:
  suspect_jump: 0.5
"""
DATA = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    outs: [data/train.parquet, data/holdout]
"""
MODEL = """\
stages:
  holdout:
    cmd: cp -r ../../sources/data/holdout holdout
    deps: [../../sources/data/holdout]
    outs: [holdout]
  train:
    cmd: python train.py
    deps: [train.py, ../../sources/data/train.parquet]
    params: [train.depth]
    outs: [model.pkl]
    metrics: [{found/metrics.json: {cache: false}}]
"""
SAID = """\
Path("found").mkdir(exist_ok=True)
Path("found/metrics.json").write_text('{"validation": {"depth": %d}}' % depth)
"""
SHAPE = {
    "pushforward.yaml": SETTINGS,
    ".gitignore": "/handover\n/verdict\n__pycache__\n",
    "sources/dvc.yaml": DATA,
    "sources/.gitignore": "/data\n",
    "sources/prepare.py": PREPARE,
    f"{AT}/dvc.yaml": MODEL,
    f"{AT}/params.yaml": PARAMS,
    f"{AT}/.gitignore": "/model.pkl\n/holdout\n",
    f"{AT}/train.py": TRAIN.replace("data/train.parquet", "../../sources/data/train.parquet")
    .replace('Path("models").mkdir(exist_ok=True)\n', SAID)
    .replace("models/model.pkl", "model.pkl"),
    f"{AT}/predict.py": PREDICT.replace("models/model.pkl", "model.pkl"),
}
LOCKS = [f"{AT}/dvc.lock", "sources/dvc.lock"]


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def test_a_model_below_the_root_is_trained_scored_judged_and_replaced(project, git):
    said = project.answer()
    assert "models/wine/dvc.yaml:train" in said
    first, report = project.gate()
    assert first.verdict == "promote", first.reason
    model = project.root / AT / "model.pkl"
    assert first.digests.model == digest(model) == digest(project.handover / "model")
    found = {name: (project.handover / "locks" / name).read_bytes() for name in LOCKS}
    assert first.digests.lock == kept.digest(found, "dvc.lock")
    assert not (project.handover / "dvc.lock").exists()
    assert [stage.name for stage in first.stages if stage.outcome == "ran"] == [
        "sources/dvc.yaml:prepare",
        "models/wine/dvc.yaml:holdout",
        "models/wine/dvc.yaml:train",
    ]
    head = git(project.root, "rev-parse", "HEAD")
    claimed = {f"{AT}/found/metrics.json": b"another than the lock names"}
    lock = lock_commit(Repository(project.root), head, found, claimed, scratch=project.root / ".git")
    assert git(project.root, "diff", "--name-only", head, lock).split() == LOCKS
    project.release("wine@v1.0.0")
    project.edit(f"{AT}/params.yaml", "depth: 1", "depth: 3")
    project.answer()
    second, report = project.gate()
    assert (second.verdict, second.champion.version, second.mode) == ("promote", "wine@v1.0.0", "superior")
    assert [stage.name for stage in second.stages if stage.outcome == "ran"] == ["models/wine/dvc.yaml:train"]
    assert "models/wine/params.yaml: train.depth" in report
    assert second.touched == (), "what a stage is told is no part of the judge"


def test_a_dvc_project_below_the_root_is_found_where_it_is(tmp_path, git, monkeypatch):
    shape = {name if name in ("pushforward.yaml", ".gitignore") else f"ml/{name}": text for name, text in SHAPE.items()}
    shape |= {"pushforward.yaml": SETTINGS.replace(AT, f"ml/{AT}"), "docs/example/dvc.yaml": "stages: [\n"}
    project = Foreign(tmp_path, git, monkeypatch, shape)
    git(project.root, "mv", ".dvc", "ml/.dvc")
    project.commit("Have DVC below the root")
    project.answer()
    verdict, _ = project.gate()
    assert verdict.verdict == "promote", verdict.reason
    assert sorted(handover.locks_in(project.handover)) == [f"ml/{name}" for name in LOCKS]
    assert not (project.root / ".dvc").exists(), "nothing of DVC's is made beside it"


def pushed():
    """The same with what is shared in the root, as files of a repository that a server can run."""
    own = {
        name.removeprefix("sources/"): text.replace("../../sources/", "../../")
        for name, text in SHAPE.items()
        if name not in (".gitignore", "sources/.gitignore")
    }
    settings = SETTINGS.replace("[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]")
    return own | {
        "pushforward.yaml": settings,
        ".gitignore": "/.venv\n/data/*\n!/data/keep\n/handover\n/verdict\n__pycache__\n",
        f"{AT}/train.py": own[f"{AT}/train.py"]
        .replace("import pickle\n", "import json\n")
        .replace("from sklearn.tree import DecisionTreeClassifier\n", "")
        .partition("model = ")[0]
        + 'json.dump([depth, float(table["y"].mean())], open("model.pkl", "w"))\n' + SAID,
        f"{AT}/predict.py": PREDICT.replace("models/model.pkl", "model.pkl")
        .replace("import pickle, sys", "import json, sys")
        .replace('pickle.load(open("model.pkl", "rb"))', 'json.load(open("model.pkl"))')
        .replace(
            'model.predict_proba(rows.select("x0", "x1", "x2").to_numpy())[:, 1]',
            'model[1] + 0.1 * model[0] * (rows["x0"] + rows["x1"] - 1)',
        ),
    }  # fmt: skip


@pytest.mark.slow
def test_a_push_of_a_model_below_the_root_goes_to_a_tag_and_is_borne_out(tmp_path):
    team = make_team(tmp_path, pushed())
    said = team.push()
    assert "wine@v1.0.0" in said, said
    team.git("fetch", "-q", "--tags", "local")
    changed = team.git("diff", "--name-only", "main", "wine@v1.0.0").split()
    assert changed == ["dvc.lock", f"{AT}/dvc.lock", f"{AT}/found/metrics.json"]
    team.git("switch", "-q", "-c", "deeper")
    team.commit(f"{AT}/params.yaml", "depth: 1", "depth: 3", "Look deeper")
    said = team.push("deeper")
    assert "PROMOTE" in said, said
    assert f"{AT}/dvc.yaml:train" in said
    assert "prepare …" not in said, "the lock of the version is what a run begins with"
    team.git("switch", "-q", "main")
    team.git("merge", "-q", "--no-ff", "-m", "Merge", "deeper")
    said = team.push()
    assert "wine@v1.1.0" in said, said
    told, _ = json.JSONDecoder().raw_decode(team.pushforward_fetched("verify", "v1.1.0", "--json"))
    assert told["ok"], told
    made = json.loads(team.pushforward("bundle", "v1.1.0", "--out", str(tmp_path / "out"), "--json"))
    assert made["parity"] == "it loads, and gives its 100 golden rows to the last bit"
    assert (tmp_path / "out" / "model" / "model.pkl").read_text().startswith("[3, ")
