"""`pushforward web`: what it tells of a server's runs while it serves the pages."""

import sys

import pytest

from pushforward.commands import web
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.server import runs
from pushforward.server.runs import Job, Run


@pytest.fixture
def server(tmp_path, git):
    git(tmp_path, "init", "-q", "--bare", "toy.git")
    (tmp_path / "toy.git" / "pushforward").mkdir()
    made = Server(str(tmp_path / "toy.git"), sys.executable, "", "", "a/b")
    made.save()
    return made


def test_runs_of_a_server_are_told_as_they_stand_with_their_logs(server):
    done = Run(Job("push", "refs/heads/main", "a" * 40), "done", verdict="hold", final=True, started=10.0, ended=12.5)
    waits = Run(Job("pull_request", "refs/heads/idea", "b" * 40, pull=7), asked=5.0)
    timed = Run(Job("schedule", "", "", file="verify.yml", cron="0 5 * * *", due="20130501T0500Z"), asked=6.0)
    for run in (done, waits, timed):
        runs.store(server, run)
    runs.store_queue(server, [], [waits.job.key], "")
    (runs.folder(server, done.job.key) / runs.LOG).write_text("epoch 1\n\x1b[31mepoch 2\x1b[0m\r\n")
    desk = web._desk(Repository(server.folder.parent))
    told = {one.key: one for one in desk.runs()}
    assert told.keys() == {run.job.key for run in (done, waits, timed)}
    one = told[done.job.key]
    assert (one.state, one.verdict, one.branch, one.seconds, one.live) == ("done", "hold", "main", 2.5, False)
    one = told[waits.job.key]
    assert (one.state, one.pull, one.place, one.live) == ("queued", 7, "queued: its turn comes next", True)
    assert told[timed.job.key].branch == "verify.yml"
    assert desk.log(done.job.key) == "epoch 1\nepoch 2\n"
    assert desk.log(waits.job.key) == desk.log("push-" + "f" * 40) == ""


def test_of_a_log_without_end_the_end_is_told(server):
    run = Run(Job("push", "refs/heads/main", "a" * 40), "done", verdict="hold", final=True)
    runs.store(server, run)
    (runs.folder(server, run.job.key) / runs.LOG).write_text("x" * 99 + "\n" + "line\n" * web.LONGEST_LOG)
    told = web._desk(Repository(server.folder.parent)).log(run.job.key)
    assert len(told) == web.LONGEST_LOG
    assert told.endswith("line\n")


def test_a_repository_that_is_no_server_has_nothing_under_way(tmp_path, git):
    git(tmp_path, "init", "-q", "--bare", "plain.git")
    desk = web._desk(Repository(tmp_path / "plain.git"))
    assert list(desk.runs()) == []
    assert desk.log("push-" + "a" * 40) == ""
