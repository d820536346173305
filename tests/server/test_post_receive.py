"""The post-receive hook under real pushes: what starts a run, what does not, and what the pusher sees."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.team import make_clone

from pushforward.errors import PushforwardError
from pushforward.git.server import Server
from pushforward.server import post_receive as receive
from pushforward.server import runs
from pushforward.server.init import init

pytestmark = pytest.mark.whole

# Stands where a server's interpreter stands: ends without having judged anything.
NOTES_ITS_START = "#!/bin/sh\necho started >>{log}\nexit 0\n"


@pytest.fixture
def clone(tmp_path, git):
    return make_clone(tmp_path / "clone", git)


@pytest.fixture
def server(clone, tmp_path):
    """A server whose dispatcher only notes that it was started."""
    made = init(clone)
    worker = tmp_path / "worker"
    worker.write_text(NOTES_ITS_START.format(log=tmp_path / "started"))
    worker.chmod(0o755)
    path = Path(made.bare) / "pushforward" / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"python": str(worker)}))
    return Server.load(Path(made.bare))


@pytest.fixture
def started(tmp_path):
    path = tmp_path / "started"
    return lambda: len(path.read_text().splitlines()) if path.exists() else 0


def leave(server, event, commit, text, *, done=True):
    """What a dispatcher leaves of a run."""
    folder = server.folder / "runs" / runs.key(event, commit)
    folder.mkdir(parents=True)
    (folder / receive.LOG).write_text(text)
    if done:
        (folder / receive.DONE).touch()
    return folder


def heard(said):
    return [line.removeprefix("remote: ").rstrip() for line in said.splitlines() if line.startswith("remote: ")]


def test_a_branch_that_moved_is_followed_to_the_end_of_its_run(clone, server, git, started):
    leave(server, "push", git(clone, "rev-parse", "HEAD"), "first line\nsecond − line\n")
    assert heard(git(clone, "push", "local", "main", check=False)) == ["first line", "second − line"]
    assert started() == 1


def test_the_default_branch_is_followed_first(clone, server, git, started):
    head = git(clone, "rev-parse", "HEAD")
    leave(server, "push", head, "of main\n")
    leave(server, "pull_request", head, "of the branch\n")
    assert heard(git(clone, "push", "local", "HEAD:a-branch", "main", check=False)) == ["of main", "of the branch"]
    assert started() == 1


@pytest.mark.parametrize("what", ["tag", "deleted branch"])
def test_a_push_that_moves_no_branch_has_nothing_to_wait_for(clone, server, git, what):
    head = git(clone, "rev-parse", "HEAD")
    git(Path(server.bare), "fetch", "-q", str(clone), f"{head}:refs/heads/idea")
    git(clone, "tag", "v1.0")
    said = git(clone, "push", "local", "v1.0" if what == "tag" else ":idea", check=False)
    assert "->" in said or "deleted" in said
    assert heard(said) == []


def test_a_push_by_a_run_starts_no_other(clone, server, git, started):
    said = git(clone, "push", "local", "main", check=False, PUSHFORWARD_RUN="push-1")
    assert "new branch" in said
    assert heard(said) == []
    assert started() == 0


def test_a_dispatcher_that_dies_is_told_and_the_push_stands(clone, server, git):
    said = git(clone, "push", "local", "main", check=False)
    assert heard(said)[-2:] == [
        f"the dispatcher ended before this run did; the next push takes {git(clone, 'rev-parse', 'HEAD')[:9]} up again",
        "  next: pushforward check, then pushforward dispatch, on the server",
    ]
    assert git(Path(server.bare), "rev-parse", "main") == git(clone, "rev-parse", "HEAD")


def test_a_dispatcher_at_work_is_known_by_its_lock(server):
    assert not receive.busy(server)
    code = "import fcntl, sys\nf = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True)\n"
    command = [sys.executable, "-c", code + "sys.stdin.read()", str(server.folder / receive.LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert receive.busy(server)
        holder.stdin.close()
    assert not receive.busy(server)


def test_a_dispatcher_is_started_in_a_session_of_its_own_with_no_secrets(server, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("GIT_DIR", server.bare)
    worker = Path(server.python)
    session = f"{sys.executable} -c 'import os; print(os.getsid(0))'"
    worker.write_text(f'#!/bin/sh\nenv; echo "args $*"; echo "folder $(pwd)"; {session}\n')
    started = receive.start(server)
    assert started.wait(30) == 0
    log = (server.folder / "dispatch.log").read_text().splitlines()
    assert f"args -m pushforward.server.dispatch {server.bare}" in log
    assert "folder /" in log
    assert log[-1].strip() == str(started.pid)
    assert f"PYTHONPATH={server.folder / 'lib'}" in log
    assert not [line for line in log if line.startswith(("GIT_", "GITHUB_"))]


@pytest.fixture
def place(tmp_path):
    """A server that nobody works for."""
    (tmp_path / "pushforward").mkdir()
    return Server(str(tmp_path), "python", "", "", "a/b")


def queued(server, *names, working=(), blocked=""):
    runs.store_queue(server, list(working), list(names), blocked)


@pytest.mark.parametrize(
    ("working", "waiting", "told"),
    [
        ([], ["push-b"], "queued: its turn comes next"),
        (["push-a123456789"], ["push-b"], "queued: 1 before this one: a12345678 (push)"),
        (
            ["push-a", "pull_request-c"],
            ["tag-d", "schedule-monitor-20260101T0000Z", "push-b"],
            "queued: 4 before this one: a (push), c (pull request), d (tag) and 1 more",
        ),
        (["push-b"], [], ""),
        ([], [], ""),
    ],
)
def test_who_waits_is_told_what_is_before(place, working, waiting, told):
    queued(place, *waiting, working=working)
    assert runs.place_of(place, "push-b") == told


def test_who_waits_for_a_full_disk_is_told_which(place):
    queued(place, "push-b", blocked="runs wait: the disk of /srv has 0.1 GiB free")
    assert runs.place_of(place, "push-b") == "runs wait: the disk of /srv has 0.1 GiB free"


def test_push_options_are_known_or_told():
    given = {"GIT_PUSH_OPTION_COUNT": "3", "GIT_PUSH_OPTION_0": "ci.skip", "GIT_PUSH_OPTION_1": "ci.detatch"}
    known, strange = receive.options(given | {"GIT_PUSH_OPTION_2": "x" * 500 + "\x1b[2J"})
    assert known == {"ci.skip"}
    assert strange[0] == "push option 'ci.detatch' is not known, and did nothing; did you mean ci.detach?"
    assert strange[1] == f"push option '{'x' * 79}…' is not known, and did nothing; known are ci.skip and ci.detach"
    assert receive.options({}) == (set(), [])


def test_who_follows_a_run_that_waits_is_told_what_is_before(place, monkeypatch):
    monkeypatch.setattr(runs, "QUEUE_SECONDS", -1.0)
    run = runs.Run(runs.Job("push", "refs/heads/main", "b"))
    runs.store(place, run)
    queued(place, "push-b", working=["push-a123456789"])
    log = runs.log(place, run, follow=True)
    assert next(log) == "queued: 1 before this one: a12345678 (push)\n"
    queued(place, "push-b")
    assert next(log) == "queued: its turn comes next\n"
    (runs.folder(place, "push-b") / runs.DONE).touch()
    assert list(log) == []


def test_a_server_that_cannot_write_says_so_in_a_line(place, git, monkeypatch, capsys):
    git(Path(place.bare), "init", "-q", "--bare")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(receive.Server, "load", lambda _: place)
    monkeypatch.setattr(receive, "start", full)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.delenv("PUSHFORWARD_RUN", raising=False)
    assert receive.main() == 0
    said = "the push is taken, but the server could not go on: No space left on device\n"
    assert capsys.readouterr().out == said + "  next: pushforward check, then pushforward dispatch, on the server\n"


@pytest.mark.parametrize(
    ("failed", "why", "noted"),
    [
        (ValueError("x" * 200), f"a bug: ValueError: {'x' * 79}…", True),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied", True),
        (PushforwardError("git failed: fatal: one\ntwo", next="git fsck"), "git failed: fatal: one", False),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no\x1b[2J"), "a bug: UnicodeDecodeError: ", True),
    ],
)
def test_whatever_dies_the_pusher_is_told_what_is_judged_and_when(
    server, git, clone, monkeypatch, capsys, failed, why, noted
):
    def dies(*_):
        raise failed

    monkeypatch.setattr(receive, "jobs", dies)
    monkeypatch.setattr(
        "sys.stdin", io.StringIO(f"{'0' * 40} {'1' * 40} refs/heads/a/b\n{'2' * 40} {'0' * 40} refs/heads/c\n")
    )
    monkeypatch.setenv("GIT_DIR", server.bare)
    monkeypatch.delenv("PUSHFORWARD_RUN", raising=False)
    assert receive.main() == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"the push is taken, but the server could not go on: {why}")
    mend = "git fsck, then pushforward dispatch" if not noted else "pushforward check, then pushforward dispatch"
    assert second == f"  next: {mend}, on the server, which judges a/b 111111111; so does the next push after it"
    log = server.folder / "dispatch.log"
    assert (log.is_file() and "Traceback" in log.read_text()) == noted


def test_a_server_of_another_version_takes_the_push_and_says_what_mends_it(server, monkeypatch, capsys):
    (server.folder / "server.json").write_text('{"bare": "x"}')
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{'0' * 40} {'1' * 40} refs/heads/main\n"))
    monkeypatch.setenv("GIT_DIR", server.bare)
    monkeypatch.delenv("PUSHFORWARD_RUN", raising=False)
    assert receive.main() == 0
    said = capsys.readouterr().out
    assert said.startswith("the push is taken, but the server could not go on: ")
    assert "  next: pushforward init, then pushforward dispatch, on the server, which judges main 111111111" in said


def test_two_times_of_one_file_are_two_runs():
    def named(file, cron):
        return runs.Job("schedule", "refs/heads/main", "c", file=file, cron=cron, due="20260101T0000Z")

    keys = [named("a.yml", "* * * * *").key, named("a.yml", "0 * * * *").key, named("a.yaml", "* * * * *").key]
    assert len(set(keys)) == 3
    assert all(key.startswith("schedule-a-20260101T0000Z-") for key in keys)
