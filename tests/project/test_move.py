"""Our sections of params.yaml become pushforward.yaml, and what they said is said there."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.project import shapes

from pushforward import __version__, settings
from pushforward.commands.cli import main
from pushforward.errors import USAGE
from pushforward.project import schema

ROOT = Path(__file__).parent.parent.parent
DVC = """\
stages:
  holdout:
    cmd: python h.py
    params: [data.months, gate.window]
    outs: [data/holdout]
  train:
    cmd: python t.py
    outs: [model]
"""
PARAMS = """\
# The parameters of the shop.

# how the model is reached
model:
  name: shop
  path: model
  score: python -m shop {rows} {events} {out}
  holdout: data/holdout
  key: id
  label: y
  cluster: day
  time: at
  floor: mean
  requirements: [requirements.txt]

data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]  # arrived

train: {depth: 3}
gate:
  # shares, not counts
  metric: brier
  window: 2   # months
  slices: [half]
promote:
  environments: {staging: auto}
"""
LEFT = """\
# The parameters of the shop.

data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]  # arrived

train: {depth: 3}
# a stage reads it; what pushforward goes by is in pushforward.yaml
gate: {window: 2}

"""
MOVED = f"""\
# What pushforward is told of this repository.
tool: "{__version__}"  # the version that judges; a change counts from the next push on
models:
  shop:
    path: model
    environment: [requirements.txt]
    holdout: {{path: data/holdout, key: id, label: y, cluster: day, time: at, floor: mean}}
    score: "python -m shop {{rows}} {{events}} {{out}}"
    loss: brier
    batches: params.yaml:data.months
gate:
  # shares, not counts
  window: 2   # months
  slices: [half]
promote:
  environments: {{staging: auto}}
"""


@pytest.fixture
def adopt(monkeypatch):
    def run(folder, *args):
        monkeypatch.chdir(folder)
        return CliRunner().invoke(main, ["adopt", *args])

    return run


@pytest.fixture
def shop(tmp_path, git):
    def make(params=PARAMS, dvc=DVC):
        root = tmp_path / "shop"
        root.mkdir()
        git(root, "init", "-q")
        shapes.put(root, {"params.yaml": params, "dvc.yaml": dvc, "requirements.txt": ""})
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "Begin")
        return root

    return make


def test_the_old_form_is_refused_with_the_command_that_moves_it(shop, adopt):
    root = shop()
    done = adopt(root)
    assert done.exit_code == USAGE
    assert done.output == (
        "pushforward: params.yaml has model, data, gate, promote of pushforward, which are in pushforward.yaml from "
        "this version on\n  next: pushforward adopt --update, which moves them\n"
    )
    assert (root / "params.yaml").read_text() == PARAMS


def test_sections_move_with_their_comments_and_what_a_stage_reads_stays(shop, adopt):
    root = shop()
    done = adopt(root, "--update")
    assert done.exit_code == 0, done.output
    assert "params.yaml (without model, gate, promote; gate.window stays, for a stage reads it)" in done.output
    assert (root / "params.yaml").read_text() == LEFT
    assert (root / "pushforward.yaml").read_text() == MOVED
    again = adopt(root, "--update")
    assert "wrote   nothing" in again.output
    assert (root / "params.yaml").read_text() == LEFT


def test_what_is_none_and_a_loss_by_command_move_too(shop, adopt):
    params = PARAMS.replace("cluster: day", "cluster: none").replace("time: at", "time: none")
    params = params.replace("metric: brier", "metric: command").replace(" {events}", "").replace("  floor: mean\n", "")
    loss = 'loss: "python -m shop.loss {labels} {predictions} {out}"\n'
    more = f"  {loss}  loss_key: basket\n  classes: [buys, 'not sure']\n"
    root = shop(params.replace("  requirements:", f"{more}  requirements:"))
    done = adopt(root, "--update")
    assert done.exit_code == 0, done.output
    text = (root / "pushforward.yaml").read_text()
    assert "holdout: {path: data/holdout, key: id, label: y, cluster: none, time: none}" in text
    assert f"    {loss}    loss_key: basket\n" in text
    assert schema.load(root).models["shop"].classes == ["buys", "not sure"]


@pytest.mark.parametrize("name", ["toy", "flights"])
def test_projects_of_this_repository_say_the_same_afterwards(name, tmp_path, git, adopt):
    """Every rule that settings.py read of the old form is what the new one says."""
    source = ROOT / "tests" / "toy" if name == "toy" else ROOT
    root = tmp_path / name
    root.mkdir()
    git(root, "init", "-q")
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(source / file, root / file)
    before = settings.load(root)
    params = settings.flatten((root / "params.yaml").read_bytes())
    assert adopt(root, "--update").exit_code == 0
    project = schema.load(root)
    assert project is not None
    [(model_name, model)] = project.models.items()
    assert model.holdout is not None
    old = before.model
    assert (model_name, model.path, model.environment) == (old.name, old.path, old.requirements)
    assert (model.score, model.validation, model.card) == (old.score, old.validation, old.card)
    assert model.holdout.model_dump() == {
        "path": old.holdout,
        **{name: getattr(old, name) for name in ("key", "label", "cluster", "time", "floor")},
    }
    assert (model.loss or "logloss") == before.gate.metric
    assert project.gate.model_dump() == before.gate.model_dump(exclude={"metric"})
    assert project.server.model_dump() == before.server.model_dump()
    assert project.promote.environments == before.promote.environments
    left = settings.flatten((root / "params.yaml").read_bytes())
    ours = ("model.", "promote.", "server.")
    assert {key: value for key, value in params.items() if not key.startswith((*ours, "gate."))} == {
        key: value for key, value in left.items() if not key.startswith("gate.")
    }
    assert not [key for key in left if key.startswith(ours)]


def test_a_section_that_a_stage_reads_whole_stays_whole(shop, adopt):
    root = shop(dvc=DVC.replace("gate.window", "gate"))
    assert adopt(root, "--update").exit_code == 0
    left = settings.plain((root / "params.yaml").read_bytes())
    assert left["gate"] == {"metric": "brier", "window": 2, "slices": ["half"]}


@pytest.mark.parametrize("params", ["{0}", "# one line\n{0}"])
def test_what_cannot_be_cut_out_by_the_line_is_left(params, shop, adopt):
    root = shop(params=params.replace("{0}", json.dumps(settings.plain(PARAMS.encode()))))
    before = (root / "params.yaml").read_bytes()
    done = adopt(root, "--update")
    assert done.exit_code == USAGE
    assert "what is pushforward's in it cannot be cut out" in done.output
    assert (root / "params.yaml").read_bytes() == before
    assert not (root / "pushforward.yaml").exists()


def test_old_settings_that_were_never_read_are_refused_by_their_line(shop, adopt):
    root = shop(params=PARAMS.replace("  window: 2", "  windw: 2"))
    done = adopt(root, "--update")
    assert done.exit_code == USAGE
    assert "params.yaml:23: unknown key 'gate.windw'; did you mean 'window'?" in done.output


def test_sections_of_the_same_names_that_are_the_project_s_own_are_not_ours(shop, adopt):
    """A model of theirs, data of theirs: nothing of it is touched."""
    theirs = "model:\n  kind: forest\n  path: model\ndata: {split: 0.2}\ngate: 3\n"
    root = shop(params=theirs)
    assert adopt(root).exit_code == 0
    assert (root / "params.yaml").read_text() == theirs
