"""Two models in one repository, each in its folder, of what a third one makes: judged, tagged and told by name."""

import json

import pytest
from tests.foreign.shapes import Foreign
from tests.foreign.test_one_file import PREPARE
from tests.team import make_team

from pushforward import __version__
from pushforward.git.repository import Repository
from pushforward.judge import handover, judged, records
from pushforward.registry import tags as registry
from pushforward.report import notes

pytestmark = pytest.mark.whole

ONE = """\
  {name}:
    folder: models/{name}
    path: model.json
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: holdout, key: id, label: y, cluster: day, time: at}}
    score: python predict.py {{rows}} {{events}} {{out}}
    batches: params.yaml:data.months
"""
SETTINGS = (
    f'tool: "{__version__}"\nmodels:\n{ONE.format(name="red")}{ONE.format(name="wine")}'
    "gate:\n  suspect_jump: 0.5\n  suspect_fall: 1\n"
)
PARAMS = 'data:\n  months: ["2020-01", "2020-02", "2020-03", "2020-04"]\nweight: 0.2\n'
DVC = """\
stages:
  holdout:
    cmd: cp -r ../../sources/data/holdout holdout
    deps: [../../sources/data/holdout]
    outs: [holdout]
  train:
    cmd: python train.py
    deps: [train.py, ../../sources/data/train.parquet]
    params: [weight]
    outs: [model.json]
"""
TRAIN = """\
import json
import polars as pl
from ruamel.yaml import YAML

weight = YAML(typ="safe").load(open("params.yaml"))["weight"]
table = pl.read_parquet("../../sources/data/train.parquet")
json.dump([weight, float(table["y"].mean())], open("model.json", "w"))
"""
PREDICT = """\
import json, sys
import polars as pl

weight, base = json.load(open("model.json"))
rows = pl.read_parquet(sys.argv[1])
p = base + weight * (rows["x0"] + rows["x1"] - 1)
rows.select("id").with_columns(p=p).write_parquet(sys.argv[3])
"""
SHAPE = {
    "pushforward.yaml": SETTINGS,
    ".gitignore": "/handover\n/verdict\n__pycache__\n",
    "sources/dvc.yaml": "stages: {prepare: {cmd: python prepare.py, deps: [prepare.py], outs: [data]}}\n",
    "sources/.gitignore": "/data\n",
    "sources/prepare.py": PREPARE,
}
for name in ("red", "wine"):
    SHAPE |= {
        f"models/{name}/dvc.yaml": DVC,
        f"models/{name}/params.yaml": PARAMS,
        f"models/{name}/.gitignore": "/model.json\n/holdout\n",
        f"models/{name}/train.py": TRAIN,
        f"models/{name}/predict.py": PREDICT,
    }
SHAPE["models/red/train.py"] = TRAIN.replace("float(table", "0.01 + float(table")


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def verdicts(project):
    return {name: judged.stored(part)[0] for name, part in judged.parts(project.root / "verdict").items()}


def test_each_model_is_judged_by_itself_and_the_commit_is_called_by_the_worst(project, git):
    said = project.answer()
    assert said.count("prepare …") == 1, "what both read is made once"
    overall, report = project.gate()
    first = verdicts(project)
    assert {name: one.verdict for name, one in first.items()} == {"red": "promote", "wine": "promote"}, report
    assert overall.verdict == "promote"
    assert overall.reason.startswith("red: ")
    assert first["red"].digests.model != first["wine"].digests.model
    assert first["red"].digests.lock == first["wine"].digests.lock, "their locks are one"
    contexts = {name: judged.stored(part)[1] for name, part in judged.parts(project.root / "verdict").items()}
    assert {name: one.model for name, one in contexts.items()} == {"red": "red", "wine": "wine"}
    repository, head = Repository(project.root), git(project.root, "rev-parse", "HEAD")
    for name in ("red", "wine"):
        assert records.read(repository, head, name) == first[name].to_json().encode()
    project.invoke("record", "--tagged")
    (told,) = notes.read(repository, head)
    assert (told.verdict["reason"], told.verdict["event"]) == (overall.reason, "push")
    untagged = "it is not tagged yet; the log of the job that promotes says why"
    assert told.context.next_step == f"red: {untagged}; wine: {untagged}"
    for name in ("red", "wine"):
        assert f"<details><summary>{name}: promote</summary>\n\n## " in told.text


def release(project, git):
    """Tag the commit at hand, with the locks of its run, as a version of each of the models that passed."""
    for path, lock in handover.locks_in(project.handover).items():
        (project.root / path).write_bytes(lock)
    commit = project.commit("Lock")
    for name, verdict in verdicts(project).items():
        record = {"model": verdict.digests.model, "commit": commit, "environment": verdict.digests.environment}
        git(project.root, "tag", "-a", "-m", registry.message(f"{name}: fine", record), f"{name}@v1.0.0", commit)


def test_a_model_that_a_push_leaves_as_it_is_takes_no_look_and_one_that_is_held_stops_no_other(project, git):
    project.answer()
    project.gate()
    release(project, git)
    project.edit("models/wine/params.yaml", "weight: 0.2", "weight: 0.4")
    project.answer()
    overall, report = project.gate()
    second = verdicts(project)
    assert {name: (one.verdict, one.champion.version) for name, one in second.items()} == {
        "red": ("identical", "red@v1.0.0"),
        "wine": ("promote", "wine@v1.0.0"),
    }, report
    assert (overall.verdict, overall.reason.partition(":")[0]) == ("promote", "wine")
    assert second["red"].look is None
    assert second["wine"].look is not None
    holdouts = git(project.root, "for-each-ref", "--format=%(refname)", "refs/pushforward/holdout").split()
    assert holdouts == ["refs/pushforward/holdout/wine@2020-03_2020-04"]
    project.edit("models/red/params.yaml", "weight: 0.2", "weight: 0.0")
    project.answer()
    overall, report = project.gate()
    third = verdicts(project)
    assert {name: one.verdict for name, one in third.items()} == {"red": "hold", "wine": "promote"}, report
    assert (overall.verdict, overall.reason.partition(":")[0]) == ("hold", "red")
    assert "wine: promote: " in report


@pytest.mark.slow
def test_pushes_of_two_models_tag_those_that_pass_each_under_its_name(tmp_path):
    settings = SETTINGS.replace("[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]")
    ignored = "/.venv\n/data/*\n!/data/keep\n/handover\n/verdict\n__pycache__\n"
    own = {"pushforward.yaml": settings, ".gitignore": ignored, "dvc.yaml": "stages: {}\n"}
    team = make_team(tmp_path, SHAPE | own)
    said = team.push()
    assert {"red@v1.0.0", "wine@v1.0.0"} <= set(team.tags()), said
    team.commit("models/wine/params.yaml", "weight: 0.2", "weight: 0.4", "Weigh more")
    said = team.push()
    versions = {tag for tag in team.tags() if "@" in tag}
    assert versions == {"red@v1.0.0", "wine@v1.0.0", "wine@v1.1.0"}, said
    assert "red: identical" in said, said
    team.commit("models/wine/params.yaml", "weight: 0.4", "weight: 0.45", "Weigh more")
    team.commit("models/red/params.yaml", "weight: 0.2", "weight: 0.4", "Weigh red more")
    said = team.push()
    versions = {tag for tag in team.tags() if "@" in tag}
    assert "red@v1.1.0" in versions, said
    told, _ = json.JSONDecoder().raw_decode(team.pushforward_fetched("verify", "red@v1.1.0", "--json"))
    assert told["ok"], told
    told = json.loads(team.pushforward("show", "--json"))
    assert [one["model"] for one in told["models"]] == ["red", "wine"]
    said = team.pushforward("verify", "v1.0.0", check=False)
    assert "pushforward.yaml has several models: red, wine" in said
    assert "say which: --model red, or red@v1.0.0" in said
