"""The stand-ins of actions, by themselves: what a checkout holds, and whose bytecode it takes over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pushforward.actions.place import ACTIONS
from pushforward.server import tool as copies

CARRIED = "src/pushforward"
SOURCE = {
    "__init__.py": '"""A tool."""\n',
    "one.py": "NUMBER = 1\n",
    "two.py": "NUMBER = 2\n",
    "room/__init__.py": "",
    "room/three.py": "NUMBER = 3\n",
}


@pytest.fixture
def lib(tmp_path):
    """The server's compiled copy of a small tool."""
    tool = tmp_path / "tool"
    tool.mkdir()
    for name, text in SOURCE.items():
        (tool / name).parent.mkdir(exist_ok=True)
        (tool / name).write_text(text)
    copies.copy(tmp_path / "lib", tool)
    return tmp_path / "lib"


@pytest.fixture
def checkout(repository, lib, tmp_path, git):
    """Commit files, check the commit out as a run does, and give the folder."""

    def run(files, ref=""):
        for name, text in files.items():
            path = repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(repository, "add", "-A", "-f")
        git(repository, "commit", "-q", "--allow-empty", "-m", "More")
        workspace = tmp_path / f"workspace-{git(repository, 'rev-parse', 'HEAD')}"
        workspace.mkdir()
        environment = {
            "PUSHFORWARD_REPOSITORY": str(repository),
            "PUSHFORWARD_LIB": str(lib),
            "GITHUB_WORKSPACE": str(workspace),
            "GITHUB_REPOSITORY": "ann/flights",
            "GITHUB_SHA": git(repository, "rev-parse", "HEAD"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            **{f"ASKED_{name}": "" for name in ("REPOSITORY", "PATH")},
            "ASKED_REF": ref,
            "ASKED_MORE": "falsefalse",
        }
        script = ACTIONS / "actions+checkout" / "checkout.sh"
        done = subprocess.run(
            ["bash", str(script)],
            env=os.environ | environment,
            cwd=workspace,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return workspace

    return run


def carried(**changed):
    return {f"{CARRIED}/{name}": text for name, text in (SOURCE | changed).items()}


def imported(folder, module):
    """NUMBER of a module of the tool that a checkout carries, and whether Python had to compile it."""
    code = f"import pushforward.{module} as it; print(it.NUMBER)"
    argv = [sys.executable, "-v", "-c", code]
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    matched = f"matches {folder / CARRIED / module.replace('.', '/')}.py" in done.stderr
    return int(done.stdout), not matched


def test_a_checkout_has_every_tag_also_of_commits_on_no_branch(checkout, repository, git):
    git(repository, "switch", "-q", "--detach")
    git(repository, "commit", "-q", "--allow-empty", "-m", "Lock")
    git(repository, "tag", "-a", "m@v1.0.0", "-m", "One")
    git(repository, "switch", "-q", "main")
    folder = checkout({})
    assert git(folder, "tag") == "m@v1.0.0"
    assert git(folder, "log", "-1", "--format=%s", "m@v1.0.0") == "Lock"
    assert git(folder, "config", "gc.auto") == "0"


def test_files_that_are_the_server_s_are_not_compiled_again(checkout):
    folder = checkout(carried())
    assert imported(folder, "one") == (1, False)
    assert imported(folder, "two") == (2, False)
    assert imported(folder, "room.three") == (3, False)


def test_a_file_that_differs_is_compiled_whatever_its_size_and_age(checkout, lib):
    folder = checkout(carried(**{"one.py": "NUMBER = 7\n"}))
    seconds = (lib / "pushforward" / "one.py").stat().st_mtime
    os.utime(folder / CARRIED / "one.py", (seconds, seconds))
    assert imported(folder, "one") == (7, True)
    assert imported(folder, "two") == (2, False)


def test_bytecode_that_a_commit_brings_along_stays_its_own(checkout):
    folder = checkout(carried() | {f"{CARRIED}/__pycache__/mine": "mine"})
    assert [path.name for path in (folder / CARRIED / "__pycache__").iterdir()] == ["mine"]


def test_a_link_out_of_the_workspace_is_not_followed(checkout, repository, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "__init__.py").touch()
    (repository / "src").mkdir()
    (repository / CARRIED).symlink_to(outside)
    checkout({})
    assert [path.name for path in outside.iterdir()] == ["__init__.py"]


def test_a_project_without_the_tool_gets_nothing(checkout):
    assert not (checkout({}) / "src").exists()


@pytest.mark.parametrize("action", ["actions+setup-python", "astral-sh+setup-uv"])
def test_the_python_of_a_run_says_its_version(action, tmp_path):
    from ruamel.yaml import YAML

    step = YAML(typ="safe").load(ACTIONS / action / "action.yml")["runs"]["steps"][0]
    output = tmp_path / "output"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(output),
    }
    subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], env=environment, check=True)
    assert output.read_text() == f"version={sys.version.split()[0]}\n"
