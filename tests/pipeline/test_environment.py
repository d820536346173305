"""Environments of real revisions: the one at hand where it is the same, else built, whole or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.wheels import wheel

import pushforward
from pushforward import pointers, schema
from pushforward.commands.cli import main
from pushforward.errors import MachineError, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment

# What `make env` and `make env-test` lock, and in which order.
REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements"
LOCKS = ["run.txt", "data.txt", "test.txt"]
IMPOSSIBLE = f"--no-index\nno-such-package==1.0 --hash=sha256:{'0' * 64}\n"

HASH = f" --hash=sha256:{'0' * 64}\n"
# A uv that makes a folder for `venv` and is content with any lock; it notes what it was asked for.
UV = """#!/bin/sh
echo "$@" >>"$HOME/uv.calls"
case $1 in
  venv) for last; do :; done; mkdir -p "$last/bin"; touch "$last/bin/python" ;;
esac
"""


@pytest.fixture
def lock(repository, git):
    """Commit lock files; the commit."""

    def run(**files):
        for name, text in files.items():
            (repository / f"{name}.txt").write_text(text)
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "--allow-empty", "-m", "Lock")
        return git(repository, "rev-parse", "HEAD")

    return run


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """A stand-in for uv on PATH; the list of its calls."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "uv").write_text(UV)
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))  # beside which a real one may lie
    calls = tmp_path / "home" / "uv.calls"
    return lambda: [line.split()[0] for line in calls.read_text().splitlines()] if calls.exists() else []


def test_the_digest_is_of_the_bytes_at_the_commit_in_the_order_asked_for(repository, lock):
    first = lock(run="a==1\n", data="b==1\n")
    second = lock(run="a==2\n")
    checkout = Repository(repository)
    (repository / "run.txt").write_text("a==3\n")
    assert environment.digest(checkout, first, ["run.txt", "data.txt"]) == hashlib.sha256(b"a==1\nb==1\n").hexdigest()
    assert environment.digest(checkout, first, ["data.txt", "run.txt"]) == hashlib.sha256(b"b==1\na==1\n").hexdigest()
    assert environment.digest(checkout, second, ["run.txt"]) == hashlib.sha256(b"a==2\n").hexdigest()


def test_a_lock_that_is_missing_is_named_with_the_setting(repository, lock):
    commit = lock(run="a==1\n")
    with pytest.raises(PushforwardError, match=r"has no locks/data.txt \(environment\)") as missing:
        environment.digest(Repository(repository), commit, ["run.txt", "locks/data.txt"])
    assert missing.value.message.startswith(commit[:9])
    assert missing.value.next == "edit environment in pushforward.yaml"


def test_the_same_locks_are_this_interpreter(repository, lock, tmp_path, uv):
    texts = {Path(name).stem: (REQUIREMENTS / name).read_text() for name in LOCKS}
    commit = lock(**texts)
    folder = tmp_path / "environments"
    found = environment.interpreter(Repository(repository), commit, LOCKS, folder=folder)
    if environment.at_hand() != environment.digest(Repository(repository), commit, LOCKS):
        pytest.skip("these tests run in an environment that the locks did not make")
    assert found == Path(sys.executable)
    assert not folder.exists()
    assert uv() == []


def test_an_environment_that_no_lock_made_is_never_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert environment.at_hand() == ""
    (tmp_path / environment.STAMP).write_text("abc\n")
    assert environment.at_hand() == "abc"


def test_an_environment_is_built_once_for_every_commit_that_locks_it(repository, lock, tmp_path, uv):
    first = lock(run=f"a==1{HASH}", data=f"b==1{HASH}")
    second = lock(other=f"c==1{HASH}")
    folder = tmp_path / "deep" / "environments"
    checkout = Repository(repository)
    python = environment.interpreter(checkout, first, ["run.txt", "data.txt"], folder=folder)
    assert python.exists()
    assert folder in python.parents
    assert uv() == ["venv", "pip"]
    asked = (tmp_path / "home" / "uv.calls").read_text().splitlines()[1]
    assert "--require-hashes" in asked
    assert "--no-deps" in asked
    assert [Path(word).name for word in asked.split() if word.endswith(".txt")] == ["run.txt", "data.txt"]
    assert environment.interpreter(checkout, second, ["run.txt", "data.txt"], folder=folder) == python
    assert uv() == ["venv", "pip"]
    assert environment.interpreter(checkout, second, ["run.txt", "other.txt"], folder=folder) != python
    assert uv() == ["venv", "pip"] * 2


def test_a_build_that_was_cut_off_is_not_believed(repository, lock, tmp_path, uv):
    commit = lock(run="a==1\n")
    folder = tmp_path / "environments"
    checkout = Repository(repository)
    python = environment.interpreter(checkout, commit, ["run.txt"], folder=folder)
    (python.parent.parent / environment.STAMP).unlink()
    (python.parent.parent / "half").touch()
    assert environment.interpreter(checkout, commit, ["run.txt"], folder=folder) == python
    assert not (python.parent.parent / "half").exists()
    assert uv() == ["venv", "pip"] * 2


@pytest.mark.slow
def test_a_build_that_fails_is_an_error_and_leaves_no_environment(repository, lock, tmp_path):
    commit = lock(run=IMPOSSIBLE)
    folder = tmp_path / "environments"
    with pytest.raises(PushforwardError) as failed:
        environment.interpreter(Repository(repository), commit, ["run.txt"], folder=folder)
    text = failed.value.message
    assert text.startswith(f"the environment that {commit[:9]} locks (run.txt) could not be built: ")
    assert "no-such-package" in text
    assert failed.value.exit_code == 6
    assert failed.value.next == "pushforward env, then pushforward init, on the machine that runs this"
    assert not [path for path in folder.iterdir() if path.is_dir()]


def test_a_build_that_failed_is_tried_again(repository, lock, tmp_path, uv):
    program = tmp_path / "programs" / "uv"
    program.write_text(UV + 'case "$*" in *--require-hashes*) echo "error: no hash" >&2; exit 1 ;; esac\n')
    commit = lock(run=f"a==1{HASH}")
    folder = tmp_path / "environments"
    for _ in range(2):
        with pytest.raises(PushforwardError, match="error: no hash"):
            environment.interpreter(Repository(repository), commit, ["run.txt"], folder=folder)
    assert uv() == ["venv", "pip"] * 2


@pytest.mark.parametrize(
    "said", ["dns error: failed to lookup address", "error sending request for url", "No space left on device"]
)
def test_a_build_that_did_not_reach_the_index_is_the_machine_s_fault(repository, lock, tmp_path, uv, said):
    program = tmp_path / "programs" / "uv"
    program.write_text(UV + f'case "$*" in *--require-hashes*) echo "error: {said}" >&2; exit 1 ;; esac\n')
    commit = lock(run=f"a==1{HASH}")
    with pytest.raises(MachineError, match="the package index was not reached") as failed:
        environment.interpreter(Repository(repository), commit, ["run.txt"], folder=tmp_path / "environments")
    assert said in failed.value.detail
    assert str(tmp_path) not in failed.value.message


@pytest.mark.parametrize(
    "said",
    ["ERROR: Invalid requirement: 'a b' (from line 1 of {lock})", "error: Couldn't parse requirement in `{lock}`"],
)
def test_a_lock_that_no_machine_can_install_is_the_commit_s_fault(repository, lock, tmp_path, uv, said):
    program = tmp_path / "programs" / "uv"
    commit, folder = lock(run=f"a b{HASH}"), tmp_path / "environments"
    told = said.format(lock="$read").replace("`", "\\`")
    program.write_text(
        UV + f'for read; do :; done; case $1 in pip) printf "%s\\nhint: A\\n" "{told}" >&2; exit 1 ;; esac\n'
    )
    with pytest.raises(PushforwardError) as failed:
        environment.interpreter(Repository(repository), commit, ["run.txt"], folder=folder)
    assert failed.value.message == (
        f"the environment that {commit[:9]} locks (run.txt) cannot be built: {said.format(lock='run.txt')}"
    )
    assert (failed.value.exit_code, failed.value.next) == (2, "edit run.txt, or lock anew")


def test_a_lock_that_is_a_pointer_is_told_as_one(repository, lock, tmp_path, uv):
    commit = lock(run="version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n")
    with pytest.raises(PushforwardError) as failed:
        environment.interpreter(Repository(repository), commit, ["run.txt"], folder=tmp_path / "environments")
    assert failed.value.message == f"{commit[:9]}:run.txt is a Git LFS pointer, not what it points to"
    assert (failed.value.exit_code, failed.value.next) == (2, pointers.OUT_OF_LFS)


def test_an_environment_whose_interpreter_is_gone_is_built_again(repository, lock, tmp_path, uv):
    commit = lock(run="a==1\n")
    folder = tmp_path / "environments"
    python = environment.interpreter(Repository(repository), commit, ["run.txt"], folder=folder)
    python.unlink()
    assert environment.interpreter(Repository(repository), commit, ["run.txt"], folder=folder) == python
    assert python.exists()
    assert uv() == ["venv", "pip"] * 2


SETTINGS = 'tool: "0.2.0"\nmodels:\n  toy:\n    environment: [run.txt]\n'
WHICH = """\
stages:
  which:
    cmd: python -c 'import os, sys; print(sys.prefix, os.environ.get("PYTHONPATH"))' > which.txt
    outs: [which.txt]
"""


@pytest.fixture
def foreign(repository, lock, tmp_path, monkeypatch):
    """A project that does not carry the tool, and whose lock is a wheel that the tool's environment has not."""
    wheels = tmp_path / "wheels"
    hashed = wheel(wheels, "boats_of_ours", "1.0", "SAILS = 3\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONNOUSERSITE", "PATH"):  # which stages are given
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    (repository / schema.FILE).write_text(SETTINGS)
    lock(run=f"--no-index\n--find-links {wheels}\nboats-of-ours==1.0 --hash=sha256:{hashed}\n")
    return repository


def code(python, text):
    return subprocess.run([python, "-c", text], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_project_has_its_own_environment_and_nothing_of_the_tool_s(foreign, tmp_path, monkeypatch):
    with pytest.raises(PushforwardError, match=r"the environment that run.txt lock is not built here") as absent:
        environment.project(foreign)
    assert absent.value.next == "pushforward env"
    monkeypatch.chdir(foreign)
    done = CliRunner().invoke(main, ["env", "--json"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["built"]
    assert f"building what run.txt lock in {made['folder']}" in done.stderr
    python = Path(made["python"])
    assert python.is_relative_to(tmp_path / "cache" / "pushforward" / "environments" / made["digest"][:16])
    assert code(python, "import boats_of_ours; print(boats_of_ours.SAILS)").stdout == "3\n"
    assert "No module named 'dvc'" in code(python, "import dvc").stderr
    again = json.loads(CliRunner().invoke(main, ["env", "--json"]).stdout)
    assert (again["built"], again["python"]) == (False, made["python"])
    assert CliRunner().invoke(main, ["env", "--python"]).stdout == f"{python}\n"
    assert environment.project(foreign) == python


@pytest.mark.slow
def test_the_stages_of_a_project_run_in_its_environment(foreign, git, tmp_path, monkeypatch):
    (foreign / ".dvc").mkdir()
    (foreign / ".dvc" / "config").write_text("")
    (foreign / "dvc.yaml").write_text(WHICH)
    git(foreign, "add", "-A")
    git(foreign, "commit", "-q", "-m", "Run")
    own = environment.make(foreign, say=lambda _: None)
    tool = Path(pushforward.__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{tool}{os.pathsep}{foreign / 'src'}")
    assert pipeline.reproduce(foreign, pull=False, push=False, say=lambda _: None).outcome == "ok"
    assert (foreign / "which.txt").read_text().split() == [own.folder, str(foreign / "src")]


def carries(repository):
    place = repository / environment.CARRIED
    place.parent.mkdir(parents=True)
    place.write_text("")


def test_a_repository_that_carries_the_tool_has_one_environment(foreign, lock, monkeypatch):
    carries(foreign)
    with pytest.raises(PushforwardError, match="is not built here"):  # what is not committed counts for nothing
        environment.project(foreign)
    lock()
    assert environment.project(foreign) == Path(sys.executable)


def test_a_branch_chooses_no_other_environment_than_the_server_has(foreign, lock, tmp_path, monkeypatch):
    kept = tmp_path / "environments"
    wanted = environment.digest(Repository(foreign), "HEAD", ["run.txt"])
    for digest in (wanted, "ab" * 32):
        (kept / digest[:16] / "bin").mkdir(parents=True)
        (kept / digest[:16] / "bin" / "python").touch()
        (kept / digest[:16] / environment.STAMP).write_text(f"{digest}\n")
    monkeypatch.setenv(environment.PROJECT, str(kept / wanted[:16]))
    monkeypatch.setenv(environment.KNOWN, str(kept))
    assert environment.project(foreign) == kept / wanted[:16] / "bin" / "python"
    monkeypatch.setenv(environment.PROJECT, str(kept / ("ab" * 8)))
    assert environment.project(foreign) == kept / wanted[:16] / "bin" / "python"
    carries(foreign)
    lock()
    assert environment.project(foreign) == kept / wanted[:16] / "bin" / "python"
    (foreign / schema.FILE).write_text(SETTINGS.replace("run.txt", ""))  # nothing is not the tool's own
    with pytest.raises(PushforwardError, match=r"this commit locks another environment \(none\)"):
        environment.project(foreign)
    (foreign / schema.FILE).write_text(SETTINGS)
    lock(run="evil==1\n")
    with pytest.raises(PushforwardError, match=r"this commit locks another environment \(run.txt\)") as refused:
        environment.project(foreign)
    assert refused.value.next == "merge the new locks by themselves, then push again"


def test_a_project_that_locks_nothing_has_what_is_at_hand(foreign, repository):
    (repository / schema.FILE).write_text(SETTINGS.replace("run.txt", ""))
    assert environment.project(foreign) == Path(sys.executable)
    (repository / schema.FILE).unlink()
    assert environment.project(foreign) == Path(sys.executable)
