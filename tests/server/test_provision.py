"""The interpreter of a run: a branch gets what its target locks or has built, and has nothing built of its own."""

import re
import sys
from types import SimpleNamespace

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import environment
from pushforward.server.provision import Provision

# A uv that makes a folder for `venv` and is content with any lock.
UV = '#!/bin/sh\ncase $1 in venv) for last; do :; done; mkdir -p "$last/bin"; touch "$last/bin/python" ;; esac\n'
LOCKS = ["a.txt", "b.txt"]


class Pushed:
    """A server's repository, and the interpreters of runs there; that of the server was built from no lock."""

    def __init__(self, folder, git):
        self.root, self._git = folder, git
        self.folder = folder.parent / "pushforward"
        self.main = self.commit(**{"a.txt": "a==1\n", "b.txt": "b==1\n"})

    def commit(self, **files):
        for name, text in files.items():
            (self.root / name).write_text(text)
        self._git(self.root, "add", "-A")
        self._git(self.root, "commit", "-q", "-m", "Change")
        return self._git(self.root, "rev-parse", "HEAD")

    def python(self, commit, *, trusted=False, privileged=False):
        """The interpreter for `commit`, and whether its environment was said to be built."""
        subject = SimpleNamespace(
            server=SimpleNamespace(folder=self.folder, default_branch="main"),
            repository=Repository(self.root),
            job=SimpleNamespace(branch="try", event="push" if trusted else "pull_request"),
            settings=SimpleNamespace(model=SimpleNamespace(environment=LOCKS)),
            main=self.main,
            trusted=trusted,
        )
        said = []
        python = Provision(subject, self.folder, privileged=privileged)._python(commit, said.append)
        return python, bool(said)

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
