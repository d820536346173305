"""The interpreter of a run: a branch gets what the target branch locks or has built, and nothing else."""

import re
import sys
from types import SimpleNamespace

import pytest

from pushforward.actions import workflow
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import environment
from pushforward.server import provision
from pushforward.server.provision import Provision

# A uv that makes a folder for `venv` and is content with any lock.
UV = '#!/bin/sh\ncase $1 in venv) for last; do :; done; mkdir -p "$last/bin"; touch "$last/bin/python" ;; esac\n'
TRAIN = """\
name: train
on: {push: {branches: [main]}}
jobs: {train: {runs-on: ubuntu-latest, steps: [{run: "true"}]}}
"""
LOCKS = ["a.txt", "b.txt"]
SETTINGS = 'tool: "0.2.0"\nmodels: {toy: {environment: [a.txt, b.txt]}}\n'


class Pushed:
    """A server's repository, and the interpreters of runs there; that of the server was built from no lock."""

    def __init__(self, folder, git):
        self.root, self._git = folder, git
        self.folder = folder.parent / "pushforward"
        self.main = self.commit(**{"pushforward.yaml": SETTINGS, "a.txt": "a==1\n", "b.txt": "b==1\n"})

    def commit(self, **files):
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        self._git(self.root, "add", "-A")
        self._git(self.root, "commit", "-q", "-m", "Change")
        return self._git(self.root, "rev-parse", "HEAD")

    def python(self, commit, *, trusted=False, privileged=False):
        """The interpreter for `commit`, and whether its environment was said to be built."""
        said = []
        python = Provision(self._subject(trusted), self.folder, privileged=privileged)._python(commit, said.append)
        return python, bool(said)

    def setup(self, commit, *, trusted=True):
        """What the training of a push of `commit` is run with."""
        flow = workflow.load("train.yml", TRAIN)
        made = Provision(self._subject(trusted), self.folder, privileged=False)
        return made.setup(flow, commit, self.folder, self.folder / "artifacts", say=lambda _: None)

    def _subject(self, trusted):
        bare = str(self.folder.parent)
        return SimpleNamespace(
            server=SimpleNamespace(
                folder=self.folder, default_branch="main", bare=bare, store=f"{bare}/store", remote="s", trust=False
            ),
            repository=Repository(self.root),
            job=SimpleNamespace(branch="try", event="push" if trusted else "pull_request", key="push-1", before="0"),
            settings=SimpleNamespace(environment=LOCKS, server=SimpleNamespace(timeout_minutes=1)),
            where=None,
            id=1,
            judged_before=self.main,
            main=self.main,
            trusted=trusted,
        )

    @property
    def built(self):
        """The names of the environments that there are."""
        return sorted(path.name for path in (self.folder / "environments").glob("*") if path.is_dir())


@pytest.fixture
def pushed(repository, git, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "uv").write_text(UV)
    (programs / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(programs / "python"))  # beside which a real uv may lie
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # no lock made it: what `pip install` leaves
    return Pushed(repository, git)


def test_a_branch_that_changes_no_lock_runs_in_the_target_branch_s_environment_built_or_not(pushed):
    branch = pushed.commit(**{"params.yaml": "depth: 3\n"})
    python, said = pushed.python(branch)
    assert said
    assert python.is_relative_to(pushed.folder / "environments")
    assert pushed.python(branch) == (python, False)
    assert pushed.python(pushed.main, trusted=True) == (python, False)
    assert len(pushed.built) == 1


def test_a_branch_has_no_environment_of_its_own_built(pushed):
    branch = pushed.commit(**{"b.txt": "evil==1\n"})
    said = "try changes a.txt, b.txt: an environment is built for the target branch only"
    with pytest.raises(PushforwardError, match=re.escape(said)) as refused:
        pushed.python(branch)
    assert refused.value.next == "merge the new locks into main by themselves, then push again"
    assert pushed.built == []


def test_what_a_branch_has_beside_the_same_locks_is_not_what_they_are_built_with(pushed, monkeypatch, tmp_path):
    of = []
    monkeypatch.setattr(environment, "interpreter", lambda _, commit, *__, **___: of.append(commit) or tmp_path)
    branch = pushed.commit(**{"pyproject.toml": "[tool.uv]\nno-build-isolation = true\n"})
    pushed.python(branch)
    pushed.python(branch, trusted=True)
    assert of == [pushed.main, branch]


def test_a_lock_that_the_target_branch_had_built_once_counts_for_branches(pushed):
    before = pushed.main
    python, _ = pushed.python(before, trusted=True)
    pushed.main = pushed.commit(**{"a.txt": "a==2\n"})
    newer, _ = pushed.python(pushed.main, trusted=True)
    assert newer != python
    assert pushed.python(before) == (python, False)
    assert pushed.python(pushed.main) == (newer, False)


@pytest.mark.parametrize("stamp", [None, "", "0" * 64])
def test_a_folder_that_says_it_is_of_other_locks_does_not_count(pushed, stamp):
    branch = pushed.commit(**{"b.txt": "evil==1\n"})
    wanted = environment.digest(Repository(pushed.root), branch, LOCKS)
    home = pushed.folder / "environments" / wanted[:16]
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").touch()
    if stamp is not None:
        (home / environment.STAMP).write_text(stamp)
    with pytest.raises(PushforwardError, match="for the target branch only"):
        pushed.python(branch)


def test_a_judge_s_environment_is_built_whoever_is_judged(pushed):
    pushed.main = pushed.commit(**{"a.txt": "a==3\n"})
    python, said = pushed.python(pushed.main, privileged=True)
    assert said
    assert pushed.built == [python.parent.parent.name]


def test_a_judge_has_the_locks_that_it_names_itself(pushed):
    """A push that names another lock is judged by the commit before it, which has no such file."""
    before = pushed.main
    python, _ = pushed.python(before, privileged=True)
    pushed.main = pushed.commit(**{"pushforward.yaml": SETTINGS.replace("a.txt, ", ""), "b.txt": "b==2\n"})
    assert pushed.python(before, privileged=True) == (python, False)
    assert pushed.python(pushed.main, privileged=True)[0] != python


def test_of_a_project_that_does_not_carry_the_tool_the_server_s_own_runs_the_verbs(pushed, monkeypatch, tmp_path):
    monkeypatch.setattr(provision, "_jail", lambda **_: SimpleNamespace(kind="none"))
    project, _ = pushed.python(pushed.main, trusted=True)
    foreign = pushed.setup(pushed.main)
    assert foreign.env["PATH"].startswith(f"{tmp_path / 'programs'}:")
    assert foreign.env["PUSHFORWARD_ENVIRONMENT"] == str(tmp_path)
    assert foreign.env[environment.PROJECT] == str(project.parent.parent)
    assert project.parent.parent in foreign.policy.readable
    branch = pushed.commit(**{environment.CARRIED: ""})  # a branch makes no other project of it by claiming so
    assert pushed.setup(branch, trusted=False).env[environment.PROJECT] == str(project.parent.parent)
    pushed.main = branch
    own = pushed.setup(branch)
    assert own.env["PATH"].startswith(f"{project.parent}:")
    assert own.env["PUSHFORWARD_ENVIRONMENT"] == str(project.parent.parent)
    assert environment.PROJECT not in own.env


def test_what_the_default_branch_has_run_may_write_though_the_branch_has_moved(pushed):
    def writes(commit, on, *, trusted=True):
        subject = pushed._subject(trusted)
        subject.job, subject.commit = SimpleNamespace(event="workflow", on=on, branch="main"), commit
        return Provision(subject, pushed.folder, privileged=False)._is_the_default_branch_s

    asked = pushed.main
    assert writes(asked, "workflow_run")
    moved = pushed.commit(**{"params.yaml": "depth: 3\n"})
    assert not writes(moved, "workflow_run"), "a commit that the branch does not have"
    pushed.main = moved
    assert writes(asked, "workflow_run")
    assert writes(asked, "repository_dispatch")
    assert not writes(asked, "push")
    assert not writes(asked, "workflow_run", trusted=False)
