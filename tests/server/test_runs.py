"""`pushforward runs`: what it shows, cancels and retries, and what it refuses."""

import json
from pathlib import Path

import pytest
from tests.documents import check

from pushforward.errors import PushforwardError
from pushforward.git.server import Server
from pushforward.server import runs
from pushforward.server.runs import Job, Run

pytestmark = pytest.mark.whole


@pytest.fixture
def server(tmp_path):
    """A server that nobody works for."""
    (tmp_path / "pushforward").mkdir()
    return Server(str(tmp_path), "python", "", "", "a/b")


def finished(commit="a" * 40, event="push", ref="refs/heads/main", **more):
    told = {"state": "done", "verdict": "hold", "final": True, "started": 1000.0, "ended": 1012.3, "attempt": 1}
    return Run(Job(event, ref, commit, pull=7 if event == "pull_request" else None), **(told | more))


def test_a_table_of_what_waits_and_what_was(server):
    runs.store(server, finished())
    runs.store(server, Run(Job("pull_request", "refs/heads/idea", "b" * 40, pull=7), asked=5.0))
    runs.store(server, finished(event="tag", ref="refs/tags/toy#production#1", commit="c" * 40, verdict="success"))
    lines = runs.table(runs.listed(server)).splitlines()
    assert lines[0].split() == ["id", "ref", "commit", "state", "verdict", "started", "seconds"]
    assert lines[1].split() == ["bbbbbbbbb", "#7", "idea", "bbbbbbbbb", "queued", "-", "-", "-"]
    assert {line.split()[1] for line in lines[2:]} == {"main", "toy#production#1"}
    assert lines[2].endswith("12.3")


def test_what_the_machine_has_let_fail_is_not_called_invalid(server):
    run = finished(verdict="invalid", reason="the store has lost a file", final=False, machine=True)
    runs.store(server, run)
    (_, line) = runs.table(runs.listed(server)).splitlines()
    assert "queued  not judged" in line
    assert "verdict    not judged: the store has lost a file\n" in runs.described(server, run)
    assert finished(verdict="invalid").told == "invalid"


def test_a_run_is_written_down_and_read_back(server):
    run = finished(reason="because", stage="judge")
    runs.store(server, run)
    assert runs.load(server, run.job.key) == run
    assert runs.named(server, "aaaa") == run
    assert run.record()["id"] == "aaaaaaaaa"
    assert run.record()["seconds"] == 12.3
    assert run.record()["ref"] == "refs/heads/main"


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ({"started": 4000.0, "ended": 408.8}, 0.0),  # the clock went back an hour
        ({"started": 4000.0, "ended": 4000.0}, 0.0),
        ({"started": 4e12, "ended": 0.0}, 0.0),  # it is at work, and began in what is the future now
        ({"started": 0.0, "ended": 100.0}, 0.0),
        ({"started": 100.0, "ended": 112.5}, 12.5),
    ],
)
def test_no_run_takes_less_than_no_time(server, times, seconds):
    run = finished(**times)
    assert (run.seconds, run.record()["seconds"]) == (seconds, seconds)
    runs.store(server, run)
    assert "-" not in f"{runs.load(server, run.job.key).seconds:.1f}"


def test_a_run_whose_process_is_gone_waits_again(server):
    runs.store(server, finished(state="running", final=False, ended=0.0))
    assert [run.state for run in runs.listed(server)] == ["queued"]


def test_a_name_must_mean_one_run(server):
    runs.store(server, finished())
    runs.store(server, finished(event="pull_request", ref="refs/heads/idea"))
    with pytest.raises(PushforwardError, match="'aaaa' names 2 runs") as told:
        runs.named(server, "aaaa")
    assert "pull_request-aaaaaaaaa" in told.value.next
    assert runs.named(server, "pull_request-aaaaaaaaa").job.event == "pull_request"
    with pytest.raises(PushforwardError, match="no run is called 'aaa'"):
        runs.named(server, "aaa")


@pytest.mark.parametrize("verdict", ["promote", "hold", "unknown", "identical"])
def test_a_commit_that_has_its_verdict_gets_no_other(server, git, verdict):
    git(Path(server.bare), "init", "-q", "--bare")
    with pytest.raises(PushforwardError, match=f"has its verdict, {verdict}"):
        runs.retry(server, finished(verdict=verdict))


def test_what_became_a_version_is_not_judged_again(hub):
    made = hub.promote("b")
    server = Server(str(hub.bare), "", "", "", "")
    with pytest.raises(PushforwardError, match=f"is {made.version}, which rests on the verdict") as told:
        runs.retry(server, finished(commit=made.commit, verdict="unknown", reason=f"{runs.UNTRAINED}no days left"))
    assert "pushforward rollback" in told.value.next


def test_what_is_over_cannot_be_cancelled(server):
    with pytest.raises(PushforwardError, match="has ended already: hold"):
        runs.cancel(server, finished(), "cancelled: by ann")


def test_what_is_being_judged_is_not_cut_short(server):
    with pytest.raises(PushforwardError, match="is being judged, which is not cut short"):
        runs.cancel(server, finished(state="running", stage="judge", final=False), "cancelled: by ann")


def test_a_log_is_read_a_whole_line_at_a_time(tmp_path):
    path = tmp_path / "log"
    tail = runs.Tail(path)
    assert tail.read() == ""
    path.write_bytes("one\ntwo ✓".encode()[:-1])
    assert tail.read() == "one\n"
    assert tail.read() == ""
    path.write_bytes("one\ntwo ✓\n\xff\n".encode("utf-8", "surrogateescape"))
    assert tail.read().startswith("two ✓\n")
    assert tail.read() == ""


def test_a_run_is_cancelled_and_run_again(tiny):
    commit = tiny.branch("long", "echo here; test -e /nowhere || sleep 613")
    push = tiny.leave("long")
    tiny.wait(lambda: runs.running(tiny.server) and "here" in tiny.pushforward("runs", "logs", commit[:9]))
    assert json.loads(tiny.pushforward("runs", "--json"))[0]["state"] == "running"
    assert "running" in tiny.pushforward("runs")
    said = tiny.pushforward("runs", "cancel", commit[:9])
    assert f"{commit[:9]} is called off" in said
    heard = push.communicate()[0]
    assert "cancelled: by" in heard, heard
    assert tiny.reason(commit).startswith("cancelled: by ")
    shown = tiny.pushforward("runs", "show", commit[:9])
    assert "state      cancelled" in shown
    assert "of         #1 long" in shown
    assert "here" in tiny.pushforward("runs", "logs", "--all", commit[:9])
    tiny.wait(tiny.idle)
    assert check("runs retry", tiny.pushforward("runs", "retry", commit[:9], "--json"))["commit"] == commit
    tiny.wait(lambda: tiny.run(commit).state == "running")
    assert check("runs cancel", tiny.pushforward("runs", "cancel", commit[:9], "--json"))["commit"] == commit
    said = tiny.pushforward("runs", "logs", "-f", commit[:9])
    assert said.rstrip().endswith(f"pushforward report {commit[:9]}")
    assert len(tiny.reports(commit)) == 1


def test_what_was_skipped_is_run_when_asked(tiny):
    commit = tiny.train("echo after all")
    tiny.push("-o", "ci.skip", "main")
    tiny.wait(tiny.idle)
    tiny.pushforward("runs", "retry", commit[:9])
    assert "after all" in tiny.pushforward("runs", "logs", "-f", commit[:9])
    assert tiny.reason(commit) == "as it is told to find"


def test_a_run_of_what_its_branch_has_left_is_not_retried(tiny):
    first = tiny.branch("moved", "true")
    tiny.push("-o", "ci.skip", "moved")
    tiny.train("echo second")
    tiny.push("moved")
    said = tiny.pushforward("runs", "retry", first[:9], check=False)
    assert f"no longer at {first[:9]}" in said
    assert "next: git push local moved" in said


def test_runs_work_from_a_clone_and_with_the_server_named(tiny):
    here = tiny.pushforward("runs")
    assert here == tiny.pushforward("runs", "--bare", tiny.server.bare)
    tiny.git("remote", "set-url", "local", "ssh://ann@ci.example.org/srv/tiny.git")
    said = tiny.pushforward("runs", check=False)
    assert "the server is on another machine" in said
    assert "next: ssh ann@ci.example.org 'pushforward runs --bare /srv/tiny.git'" in said


def test_a_damaged_record_of_a_run_is_named_and_hides_no_other(tiny):
    tiny.push("main:refs/heads/idea", "-o", "ci.skip")
    first = tiny.run(tiny.git("rev-parse", "HEAD"))
    good = finished("d" * 40)
    runs.store(tiny.server, good)
    path = runs.folder(tiny.server, first.job.key) / runs.RECORD
    path.write_text("{")
    said = tiny.pushforward("runs")
    assert f"! {path} is damaged\n  next: mv {path} {path}.damaged && pushforward dispatch; " in said
    assert "ddddddddd  main" in said
    assert "no runs yet" not in said
    assert f"{path} is damaged\n  next: mv {path} " in tiny.pushforward("runs", "show", first.job.commit, check=False)
    runs.folder(tiny.server, good.job.key).rename(path.parent.with_name("elsewhere"))
    assert "no runs yet" not in tiny.pushforward("runs")
