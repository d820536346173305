"""A project whose locks hold no pushforward, and another version of a package than the tool has: nothing is mixed."""

import json
import subprocess

import pytest
from tests.team import PYTHON, Team
from tests.wheels import wheel

from pushforward import __version__
from pushforward.project import tool

SETTINGS = f"""\
tool: "{__version__}"
models:
  houses:
    path: model.json
    environment: [locks/run.txt]
    holdout: {{path: data/holdout, key: id, label: price, cluster: none, time: none}}
    score: python predict.py {{rows}} {{out}}
    loss: squared
    batches: params.yaml:data.months
gate:
  suspect_fall: 1
"""
PARAMS = """\
data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]
"""
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    outs: [data/train.csv, data/holdout]
  train:
    cmd: python train.py
    deps: [train.py, data/train.csv]
    outs: [model.json]
    metrics: [metrics/seen.json: {cache: false}]
"""
PREPARE = """\
import csv, os, random

random.seed(1)
os.makedirs("data/holdout", exist_ok=True)
rows = [(n, random.random(), random.gauss(0, 0.1)) for n in range(1200)]

def write(path, head, some):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head, *some])

write("data/train.csv", ("id", "size", "price"), [(n, s, 3 * s + e) for n, s, e in rows[:600]])
write("data/holdout/rows.csv", ("id", "size"), [(n, s) for n, s, _ in rows[600:]])
write("data/holdout/labels.csv", ("id", "price"), [(n, 3 * s + e) for n, s, e in rows[600:]])
"""
# What an interpreter sees: whose click it has, and which packages of the tool's it finds.
SEEN = """\
import importlib.util, os, shutil

import click

TOOLS = ("pushforward", "dvc", "polars", "pydantic", "numpy")

def seen():
    found = {name: int(importlib.util.find_spec(name) is not None) for name in TOOLS}
    return {"click": click.SAILS, "programs": int(shutil.which("dvc") is not None), **found}
"""
TRAIN = """\
import csv, json, os
from seen import seen

rows = [(float(row["size"]), float(row["price"])) for row in csv.DictReader(open("data/train.csv"))]
slope = sum(s * p for s, p in rows) / sum(s * s for s, _ in rows)
json.dump({"slope": slope}, open("model.json", "w"))
os.makedirs("metrics", exist_ok=True)
json.dump(seen(), open("metrics/seen.json", "w"))
"""
PREDICT = """\
import csv, json, sys
from seen import seen

if seen() != {"click": 3, "programs": 0, "pushforward": 0, "dvc": 0, "polars": 0, "pydantic": 0, "numpy": 0}:
    raise SystemExit(f"scored in another environment: {seen()}")
slope = json.load(open("model.json"))["slope"]
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "p"])
    for row in csv.DictReader(open(sys.argv[1])):
        writer.writerow([row["id"], slope * float(row["size"])])
"""
SHAPE = {
    "pushforward.yaml": SETTINGS,
    "params.yaml": PARAMS,
    "dvc.yaml": DVC,
    "prepare.py": PREPARE,
    "seen.py": SEEN,
    "train.py": TRAIN,
    "predict.py": PREDICT,
    ".dvc/config": "[core]\n    remote = s\n['remote \"s\"']\n    url = ../../store\n",
    ".dvc/.gitignore": "/config.local\n/cache\n/tmp\n",
    ".gitignore": "/.venv\n/data\n/model.json\n/handover\n/verdict\n__pycache__/\n",
}
ALONE = {"click": 3, "programs": 0, "pushforward": 0, "dvc": 0, "polars": 0, "pydantic": 0, "numpy": 0}
SOURCE = f"https://example.org/team/pushforward.git@{'a' * 40}"


def told(said):
    """What the pusher saw, in one line."""
    return " ".join(line.removeprefix("remote:").strip() for line in said.splitlines())


@pytest.fixture
def team(tmp_path):
    """A clone of the project, which has no file of ours but its settings, and where its server will be."""
    made = Team(tmp_path / "clone", tmp_path / "clone.git")
    digest = wheel(tmp_path / "wheels", "click", "0.1", "SAILS = 3\n")
    lock = f"--no-index\n--find-links {tmp_path / 'wheels'}\nclick==0.1 --hash=sha256:{digest}\n"
    for name, text in {**SHAPE, "locks/run.txt": lock}.items():
        (made.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (made.clone / name).write_text(text)
    made.git("init", "-q", "-b", "main")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "Begin")
    return made


def test_what_the_setup_of_a_runner_makes_is_shell(tmp_path):
    """The command of a served run: the tool of the server, whatever the repository calls so."""
    lib, own = tmp_path / "lib" / "pushforward", tmp_path / "src" / "pushforward"
    for folder, word in ((lib, "server"), (own, "branch")):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "__main__.py").write_text(f"import sys; print('{word}', *sys.argv[1:])\n")
    given = {"PATH": "/usr/bin:/bin", "PUSHFORWARD_LIB": str(lib.parent), "PUSHFORWARD_PYTHON": str(PYTHON)}
    asked = f"{tool.SERVED} && PYTHONPATH=src .venv/bin/pushforward repro 'a b'"
    done = subprocess.run(["bash", "-ec", asked], cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("server repro a b\n", "")


@pytest.mark.slow
def test_a_project_apart_from_the_tool_goes_from_push_to_version_in_its_own_environment(team):
    said = team.pushforward("rehearse")
    assert "building what locks/run.txt lock in " in said
    assert "would be judged: " in said
    team.pushforward("init")
    said = team.push()
    assert "houses@v1.0.0" in said, said
    head = team.head()
    found = subprocess.run(
        ["git", "-C", str(team.bare), "show", f"refs/pushforward/run/{head}:metrics/seen.json"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(found.stdout) == ALONE
    verified, _ = json.JSONDecoder().raw_decode(team.pushforward_fetched("verify", "v1.0.0", "--json"))
    assert verified["ok"], verified
    made = json.loads(team.pushforward("bundle", "v1.0.0", "--out", str(team.clone.parent / "out"), "--json"))
    assert made["parity"] == "it loads, and gives its 100 golden rows to the last bit"
    assert "a small project was trained, scored and judged in " in team.pushforward("check")
    assert f"Workflows of pushforward {__version__}, as the commit has none." in team.note(head)
    # a branch chooses no other environment: not another lock's, and not the tool's by locking nothing, nor by claiming
    # to carry it, with workflows of its own
    team.git("switch", "-q", "-c", "evil")
    team.commit("locks/run.txt", "click==0.1", "click==0.2", "Take another")
    said = told(team.push("evil"))
    assert "Evil changes locks/run.txt: an environment is built for the target branch only" in said
    assert "merge the new locks into main by themselves, then push again" in said
    assert len(list((team.bare / "pushforward" / "environments").glob("*/bin"))) == 1
    team.git("switch", "-q", "-c", "loose", "main")
    assert ".github/workflows/train.yml (generated)" in team.pushforward("adopt", "--tool-from", SOURCE)
    (team.clone / "src" / "pushforward").mkdir(parents=True)
    (team.clone / "src" / "pushforward" / "__main__.py").write_text("raise SystemExit('mine')\n")
    team.git("add", "-A")
    team.commit("pushforward.yaml", "environment: [locks/run.txt]", "environment: []", "Lock nothing")
    said = told(team.push("loose"))
    assert "this commit locks another environment (none) than the server has for it" in said
    assert "next: merge the new locks by themselves, then push again" in said
    assert "mine" not in said
