"""Our sections of params.yaml become pushforward.yaml, and what they said is said there."""

import json

import pytest
from click.testing import CliRunner
from tests.project import shapes

from pushforward import __version__, params, settings
from pushforward.commands.cli import main
from pushforward.errors import USAGE

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
    def make(told=PARAMS, dvc=DVC):
        root = tmp_path / "shop"
        root.mkdir()
        git(root, "init", "-q")
        shapes.put(root, {"params.yaml": told, "dvc.yaml": dvc, "requirements.txt": ""})
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


def test_every_rule_of_before_is_said_afterwards(shop, adopt):
    root = shop(PARAMS + "server: {jobs: 3}\n")
    assert adopt(root, "--update").exit_code == 0
    read = settings.load(root)
    assert read.contract.model_dump() == {
        "name": "shop",
        "folder": ".",
        "path": "model",
        "environment": ["requirements.txt"],
        "card": None,
        "score": "python -m shop {rows} {events} {out}",
        "holdout": "data/holdout",
        "key": "id",
        "label": "y",
        "cluster": "day",
        "time": "at",
        "classes": [],
        "floor": "mean",
        "floor_command": None,
        "loss": None,
        "loss_key": None,
        "validation": None,
        "written": "p",
        "data": [],
        "share": 0.2,
    }
    assert (read.gate.metric, read.gate.window, read.gate.slices) == ("brier", 2, ["half"])
    assert (read.promote.environments, read.server.jobs) == ({"staging": "auto"}, 3)
    months = ["2020-01", "2020-02", "2020-03", "2020-04"]
    assert read.arrived(lambda file: (root / file).read_bytes()) == months


def test_a_section_that_a_stage_reads_whole_stays_whole(shop, adopt):
    root = shop(dvc=DVC.replace("gate.window", "gate"))
    assert adopt(root, "--update").exit_code == 0
    left = params.plain((root / "params.yaml").read_bytes())
    assert left["gate"] == {"metric": "brier", "window": 2, "slices": ["half"]}


@pytest.mark.parametrize("told", ["{0}", "# one line\n{0}"])
def test_what_cannot_be_cut_out_by_the_line_is_left(told, shop, adopt):
    root = shop(told=told.replace("{0}", json.dumps(params.plain(PARAMS.encode()))))
    before = (root / "params.yaml").read_bytes()
    done = adopt(root, "--update")
    assert done.exit_code == USAGE
    assert "what is pushforward's in it cannot be cut out" in done.output
    assert (root / "params.yaml").read_bytes() == before
    assert not (root / "pushforward.yaml").exists()


def test_old_settings_that_were_never_read_are_refused_by_their_line(shop, adopt):
    root = shop(told=PARAMS.replace("  window: 2", "  windw: 2"))
    done = adopt(root, "--update")
    assert done.exit_code == USAGE
    assert "params.yaml:23: unknown key 'gate.windw'; did you mean 'window'?" in done.output


def test_sections_of_the_same_names_that_are_the_project_s_own_are_not_ours(shop, adopt):
    """A model of theirs, data of theirs: nothing of it is touched."""
    theirs = "model:\n  kind: forest\n  path: model\ndata: {split: 0.2}\ngate: 3\n"
    root = shop(told=theirs)
    assert adopt(root).exit_code == 0
    assert (root / "params.yaml").read_text() == theirs
