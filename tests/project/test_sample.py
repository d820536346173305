"""The templates of the package, as files of a project, and the git repository that they are laid into."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pushforward import __version__
from pushforward.project import sample

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = ROOT / "src" / "pushforward" / "sample"
VALUES = {"version": __version__, "name": "tumours", "store": "../../tumours.dvc"}


def laid(folder):
    for path, content in sample.render("new", VALUES).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def test_every_template_is_a_file_of_a_project_and_nothing_is_left_to_fill_in():
    made = sample.render("new", VALUES)
    assert {".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "dvc.yaml", "src/train.py"} <= set(made)
    both, own = (sum(path.is_file() for path in (TEMPLATES / kind).rglob("*")) for kind in ("both", "new"))
    assert len(made) == both + own
    for path, content in made.items():
        assert not path.endswith(".in") or path == "requirements.in"
        assert not re.search(rb"%[a-z]+%", content), path
    assert b"url = ../../tumours.dvc\n" in made[".dvc/config"]
    trial = sample.render("trial", VALUES | {"environment": '["a.txt"]'})
    assert b'environment: ["a.txt"]' in trial["pushforward.yaml"]
    assert {".dvc/config", ".github/workflows/judge.yml", "data/keep", "src/trial/stages.py"} <= set(trial)


def test_the_code_that_is_made_is_formatted_linted_and_typed_as_this_repository_is(tmp_path):
    laid(tmp_path)
    for words in (
        ["ruff", "format", "--check", "--line-length", "120"],
        ["ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--config", f"src=['{tmp_path}/src']"],
        ["mypy", "--strict", "--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache")],
    ):
        said = subprocess.run(
            [sys.executable, "-m", *words, "src", "tests"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "MYPYPATH": "src"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stdout + said.stderr


def test_its_own_tests_pass(tmp_path):
    laid(tmp_path)
    words = [sys.executable, "-m", "unittest", "discover", "tests"]
    done = subprocess.run(words, cwd=tmp_path, env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=False)
    assert "Ran 2 tests" in done.stderr
    assert done.returncode == 0, done.stderr


def test_it_locks_what_is_tested_here():
    """The same version of each package as the locks of this repository, whose interpreter runs these tests."""

    def pins(path):
        return dict(re.findall(r"(?m)^([\w-]+)==([^\s;]+)", path.read_text()))

    tested = pins(ROOT / "requirements" / "test.txt") | pins(ROOT / "requirements" / "run.txt")
    own = pins(TEMPLATES / "new" / "requirements.txt.in")
    assert {"numpy", "pyyaml", "scikit-learn", "xgboost-cpu"} <= set(own)
    assert {name: tested.get(name, version) for name, version in own.items()} == own


def test_what_people_have_configured_changes_no_commit(tmp_path, git):
    """Hooks, ignored names, line ends and the name of a first branch are a person's own; nobody's name is needed."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    (tmp_path / "ignored").write_text("*.txt\nsrc\n")
    for key, value in {
        "core.hooksPath": str(hooks),
        "core.excludesFile": str(tmp_path / "ignored"),
        "core.autocrlf": "true",
        "init.defaultBranch": "trunk",
        "commit.gpgSign": "true",
    }.items():
        git(tmp_path, "config", "--global", key, value)
    folder = tmp_path / "some"
    folder.mkdir()
    made = sample.begin(folder)
    for name in ("a.txt", "src", "c"):
        (folder / name).write_text("1\n")
    first = sample.commit(made, ["a.txt", "src"], "Begin", now=1_700_000_000)
    second = sample.commit(made, ["c"], "Go on", now=1_700_000_000)
    assert made.changed(first, second) == ["c"]
    assert git(folder, "log", "--format=%an %s", "main") == "pushforward Go on\npushforward Begin"
    assert git(folder, "status", "--porcelain") == ""
    assert made.read(second, "a.txt") == b"1\n"
    assert git(folder, "symbolic-ref", "HEAD") == "refs/heads/main"
