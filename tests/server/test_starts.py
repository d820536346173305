"""What a push starts that asks for no work: counted, for each process takes longer than what it answers."""

import os
import signal
import subprocess
from collections import Counter

import pytest

from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.sandbox.jail import Jail
from pushforward.server import dispatch, pending, provision

pytestmark = pytest.mark.whole


@pytest.fixture
def processes(monkeypatch) -> list[list[str]]:
    """The command lines of the processes that this one starts."""
    found: list[list[str]] = []

    class Noting(subprocess.Popen):
        def __init__(self, argv, *args, **settings):
            found.append([str(word) for word in argv])
            super().__init__(argv, *args, **settings)

    monkeypatch.setattr(subprocess, "Popen", Noting)
    return found


class Here:
    """A run that this process makes, and has ended."""

    pid, returncode = os.getpid(), 0

    def __init__(self, server: Server, key: str) -> None:
        dispatch.run_one(server, key)
        signal.alarm(0)

    def poll(self) -> int:
        return self.returncode


def test_a_look_around_that_finds_nothing_takes_four_processes(tiny, processes):
    dispatch.work(tiny.server, lambda _: None)  # what it finds out once is known
    processes.clear()
    assert dispatch.work(tiny.server, lambda _: None) == []
    assert Counter(words[3] for words in processes) == {"for-each-ref": 2, "cat-file": 1, "rev-parse": 1}


def test_a_push_of_a_readme_asks_git_a_few_times_and_starts_nothing_else(tiny, processes):
    tiny.train(":")
    tiny.push("main")
    tiny.wait(tiny.idle)
    tiny.commit({"README.md": "Shorter\n"}, "Say it shorter")
    tiny.lose("main")
    processes.clear()
    (run,) = dispatch.work(tiny.server, lambda _: None, begin=Here)
    assert run.verdict == "hold", "what was judged before stands"
    assert {words[0] for words in processes} == {"git"}
    asked = Counter(next(word for word in words[3:] if not word.startswith("-")) for words in processes)
    assert asked.total() == 22, asked


def test_the_default_branch_is_read_and_git_is_asked_only_where_head_says_it_otherwise(tmp_path, git, processes):
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    server = Server(str(bare), "", "", "", "")
    processes.clear()
    assert server.default_branch == "main"
    git(bare, "symbolic-ref", "HEAD", "refs/heads/team/trunk")
    processes.clear()
    assert server.default_branch == "team/trunk"
    assert processes == []
    for odd in ("ref:refs/heads/spaced\n", "ref: refs/heads/spaced \n"):
        (bare / "HEAD").write_text(odd)
        assert server.default_branch == "spaced"
    assert [words[3] for words in processes] == ["symbolic-ref"] * 2


def test_schedules_are_read_again_where_workflows_or_settings_are_others(tiny, monkeypatch):
    main = tiny.git("rev-parse", "HEAD")
    tiny.lose("main")
    known = pending._crons(tiny.server, main)
    read: list[str] = []
    monkeypatch.setattr(pending, "workflows", lambda _, commit: read.append(commit) or [])
    for files in ({"README.md": "Shorter\n"}, {"word.txt": "other\n"}):
        commit = tiny.commit(files)
        tiny.lose("main")
        assert pending._crons(tiny.server, commit) == known
    assert read == []
    others = [tiny.train("echo other")]
    settings = (tiny.clone / "pushforward.yaml").read_text()
    others.append(tiny.commit({"pushforward.yaml": f"{settings}# said\n"}))
    tiny.lose("main")
    for commit in others:
        pending._crons(tiny.server, commit)
    assert read == others


def test_a_commit_without_workflows_is_known_by_itself(tiny):
    assert pending._told_by(Repository(tiny.clone), "HEAD") != "HEAD"
    tiny.git("rm", "-q", "-r", ".github")
    tiny.git("commit", "-q", "-m", "Without")
    main = tiny.git("rev-parse", "HEAD")
    assert pending._told_by(Repository(tiny.clone), main) == main


@pytest.mark.parametrize("kind", ["bubblewrap", "none"])
def test_the_machine_is_tried_once_for_all_workflows_of_a_run(monkeypatch, kind):
    tried: list[bool] = []
    monkeypatch.setattr(provision.jail, "find", lambda *, trust=False: tried.append(trust) or Jail(kind))
    provision._best.cache_clear()
    try:
        assert {provision._jail(trust=True).kind for _ in range(2)} == {kind}
        if kind != "none":
            assert provision._jail(trust=False).kind == kind
        assert tried == [True]
    finally:
        provision._best.cache_clear()
