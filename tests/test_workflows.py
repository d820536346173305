"""The workflow files: pinned, least privilege, and a judge that runs nothing of the head."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pushforward import workflow

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))


def read(path):
    return YAML(typ="safe").load(path)


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def read_file(path):
    file = ROOT / path
    return file.read_text() if file.is_file() else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_sha(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    used += [step["uses"] for action in ACTIONS for step in read(action)["runs"]["steps"] if "uses" in step]
    assert used
    for name in used:
        assert name.startswith("./.github/actions/") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_permissions_are_given_job_by_job(path):
    tree = read(path)
    assert tree["permissions"] == {}
    for name, job in tree["jobs"].items():
        assert isinstance(job["permissions"], dict), name
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_step_is_one_command_without_expressions(path):
    for step in steps(path):
        if "run" in step:
            assert "\n" not in step["run"].strip()
            assert "${{" not in step["run"]


def test_only_the_judge_may_write():
    for path in FILES:
        writing = {
            name: sorted(right for right, level in job["permissions"].items() if level == "write")
            for name, job in read(path)["jobs"].items()
        }
        # the judge records its look at the holdout
        expected = {"judge": ["contents"], "post": ["pull-requests", "statuses"], "promote": ["contents"]}
        assert writing == (expected if path.stem == "judge" else {name: [] for name in writing})


def test_the_judge_checks_out_and_runs_nothing_of_the_head():
    judge = ROOT / ".github" / "workflows" / "judge.yml"
    assert set(read(judge)["on"]) == {"workflow_run"}
    text = "\n".join(line.partition("#")[0] for line in judge.read_text().splitlines())
    for step in steps(judge):
        if step.get("uses", "").startswith("actions/checkout@"):
            # the default branch: neither a ref nor a repository of the head's choosing
            assert set(step["with"]) <= {"fetch-depth", "persist-credentials"}
        if step.get("uses", "").startswith("actions/download-artifact@"):
            # into folders of their own, out of which nothing is ever run
            assert step["with"]["path"] in {"handover", "verdict"}
        if "run" in step:
            assert step["run"].split()[0] == ".venv/bin/pushforward"
    # one secret: what seals the numbers of a holdout in use
    assert set(re.findall(r"secrets\.\w+", text)) == {"secrets.PUSHFORWARD_SEAL"}
    assert not re.search(r"(bash|sh|python\S*|source|\./|make)\s+\S*(handover|verdict)", text)


def test_the_setup_uses_only_the_default_branchs_files():
    for step in read(ROOT / ".github" / "actions" / "setup" / "action.yml")["runs"]["steps"]:
        assert "uses" in step or step["run"] == "make env"


@pytest.mark.parametrize("name", ["train", "judge"])
def test_the_local_server_can_run_it(name):
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    assert workflow.problems(workflow.load(path.name, path.read_text()), read_file) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_act_accepts_it(path):
    act = ROOT / ".venv" / "bin" / "act"
    done = subprocess.run(
        [str(act), "--validate", "--strict", "-W", str(path)],
        capture_output=True,
        text=True,
        cwd=path.parent,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
