"""The doctor, on real servers that something is wrong with: what it finds, and that what it says mends it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pushforward import check
from pushforward.cli import main
from pushforward.init import init

PARAMS = (Path(__file__).parent.parent / "toy" / "params.yaml").read_text()


@pytest.fixture
def clone(tmp_path, git):
    folder = tmp_path / "clone"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    remote = s\n['remote \"s\"']\n    url = ../../my store\n")
    (folder / "params.yaml").write_text(PARAMS)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


@pytest.fixture
def server(clone):
    return init(clone, bare=clone.parent / "the hub.git")


def problems(server):
    return {finding.name: finding for finding in check.server(Path(server.bare)) if not finding.ok}


def run(clone, monkeypatch, *args):
    monkeypatch.chdir(clone)
    return CliRunner().invoke(main, ["check", *args])


def test_a_server_that_init_made_has_nothing_wrong(server):
    assert problems(server) == {}


def test_every_finding_has_a_name_and_what_was_found(server):
    findings = [*check.machine(Path(server.bare), trust=True), *check.server(Path(server.bare))]
    names = [finding.name for finding in findings]
    assert len(set(names)) == len(names)
    assert names[:5] == ["python", "git", "act", "jail", "disk"]
    assert all(finding.found for finding in findings)


def test_a_hook_that_is_missing_is_found_and_made_again(server, clone):
    for name in ("pre-receive", "post-receive"):
        (Path(server.bare) / "hooks" / name).unlink()
    found = problems(server)
    assert list(found) == ["pre-receive", "post-receive"]
    for finding in found.values():
        assert (finding.found, finding.mend) == ("missing", "pushforward init")
    init(clone, bare=Path(server.bare))
    assert problems(server) == {}


def test_a_hook_that_git_would_skip_is_found_and_the_command_mends_it(server):
    (Path(server.bare) / "hooks" / "pre-receive").chmod(0o644)
    found = problems(server)["pre-receive"]
    assert "not executable" in found.found
    subprocess.run(["sh", "-c", found.mend], check=True)
    assert problems(server) == {}


def test_a_hook_that_is_no_script_is_found(server):
    (Path(server.bare) / "hooks" / "post-receive").write_text("#!/bin/sh\nif then\n")
    assert problems(server)["post-receive"].mend == "pushforward init"


def test_a_store_that_is_gone_is_found_and_the_command_mends_it(server, tmp_path):
    (tmp_path / "my store").rmdir()
    found = problems(server)["store"]
    assert found.found == str(tmp_path / "my store")
    subprocess.run(["sh", "-c", found.mend], cwd=tmp_path, check=True)
    assert problems(server) == {}


def test_hooks_of_the_user_are_no_problem_but_those_of_the_server_elsewhere_are(server, git, tmp_path):
    git(tmp_path, "config", "--global", "core.hooksPath", "/nowhere")
    assert problems(server) == {}
    git(Path(server.bare), "config", "core.hooksPath", "/nowhere")
    assert problems(server)["core.hookspath"].found == "/nowhere"


def test_a_server_that_was_moved_is_found(server, tmp_path):
    moved = Path(server.bare).rename(tmp_path / "moved.git")
    assert "core.hookspath" in [finding.name for finding in check.server(moved) if not finding.ok]


def test_settings_that_lose_pushes_are_found(server, git):
    for key, value in (("core.logAllRefUpdates", "false"), ("core.fsync", "none")):
        git(Path(server.bare), "config", key, value)
        assert problems(server)[key.lower()].found == value
        git(Path(server.bare), "config", "--unset", key)
        assert problems(server)[key.lower()].found == "not set"


def test_an_environment_that_is_gone_is_found(server):
    path = Path(server.bare) / "pushforward" / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"python": "/nowhere/python"}))
    assert problems(server)["environment"].found == "/nowhere/python"


def test_a_folder_that_is_no_server_is_one_finding(tmp_path):
    found = list(check.server(tmp_path))
    assert [(finding.name, finding.ok, finding.mend) for finding in found] == [("server", False, "pushforward init")]


@pytest.mark.parametrize("text", ["", "[]", '{"bare": "x"}'], ids=["empty", "a list", "of another version"])
def test_a_server_that_cannot_be_read_is_a_finding_and_no_crash(server, text):
    (Path(server.bare) / "pushforward" / "server.json").write_text(text)
    assert problems(server)["server"].mend == "pushforward init"


def test_what_is_wrong_is_said_with_the_command_and_exit_code_6(server, clone, monkeypatch):
    (Path(server.bare) / "hooks" / "pre-receive").unlink()
    done = run(clone, monkeypatch)
    assert done.exit_code == 6
    assert "missing  pre-receive: missing\n  next: pushforward init\n" in done.stderr
    assert f"ok       server: {server.bare}\n" in done.stdout


def test_json_is_one_list_whatever_is_wrong(server, clone, monkeypatch):
    for broken in (False, True):
        if broken:
            (Path(server.bare) / "hooks" / "pre-receive").unlink()
        done = run(clone, monkeypatch, "--json")
        found = json.loads(done.stdout)
        assert all(set(finding) == {"name", "ok", "found", "mend"} for finding in found)
        assert done.exit_code == (0 if all(finding["ok"] for finding in found) else 6)
    assert {"name": "pre-receive", "ok": False, "found": "missing", "mend": "pushforward init"} in found


def test_a_clone_without_a_server_is_told_to_make_one(clone, monkeypatch):
    assert "no server yet\n  next: pushforward init" in run(clone, monkeypatch).output


def test_a_machine_without_git_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {finding.name: finding for finding in check.machine(tmp_path, trust=True)}
    assert (found["git"].ok, found["git"].found) == (False, "not installed")
    assert found["python"].found == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(("text", "ok"), [("2.38.0", True), ("2.39.5 (Apple Git-154)", True), ("2.37.9", False)])
def test_the_version_of_git_counts(tmp_path, monkeypatch, text, ok):
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho git version '{text}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = next(finding for finding in check.machine(tmp_path, trust=True) if finding.name == "git")
    assert (found.ok, found.found) == (ok, text)
