"""The process of a run as a fork: what it has of its parent, and what it has not."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pushforward import durable
from pushforward.errors import BUG
from pushforward.server import dispatch, fork
from pushforward.server.fork import Fork

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # of those who run tests


def ended(child: Fork) -> int:
    end = time.monotonic() + 30
    while (code := child.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return code


def started(work: Callable[[], int]) -> Fork:
    return fork.start(work, 10)


def test_what_is_done_by_a_fork_is_its_exit_status():
    assert [ended(started(lambda code=code: code)) for code in (0, 3)] == [0, 3]


def test_what_goes_wrong_in_a_fork_ends_it_and_nothing_of_its_parent_goes_on_there():
    code = """
import os, time
from pushforward.server import fork

def work():
    raise ValueError("it went wrong")

child = fork.start(work, 10)
while child.poll() is None:
    time.sleep(0.01)
print(os.getpid(), child.returncode)
"""
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, wrong = done.communicate(timeout=60)
    assert said == f"{done.pid} {BUG}\n", "said once, by the parent"
    assert wrong.count("ValueError: it went wrong") == 1


def test_a_fork_that_is_killed_tells_by_what():
    child = started(lambda: time.sleep(30) or 0)
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert child.poll() == -signal.SIGKILL, "asked again it says so again"


def test_a_fork_has_a_session_of_its_own(tmp_path):
    child = started(lambda: (tmp_path / "session").write_text(f"{os.getsid(0)}") and 0)
    assert ended(child) == 0
    assert (tmp_path / "session").read_text() == f"{child.pid}" != f"{os.getsid(0)}"


def test_a_lock_of_the_parent_is_free_when_the_parent_lets_go_of_it_whatever_its_forks_do(tmp_path):
    reading, writing = os.pipe()
    with durable.locked(tmp_path / "lock"):
        child = started(lambda: time.sleep(30) or 0)
        os.close(writing)
        os.read(reading, 1)  # the fork has let go of all that it was born with: nobody writes here any more
        assert durable.held(tmp_path / "lock")
    assert not durable.held(tmp_path / "lock")
    assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    ended(child)
    os.close(reading)


def test_a_fork_sees_a_lock_that_its_parent_holds(tmp_path):
    with durable.locked(tmp_path / "lock"):
        assert ended(started(lambda: int(durable.held(tmp_path / "lock")))) == 1


def test_a_process_with_another_thread_forks_no_run():
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    assert not fork.able()
    over.set()
    other.join()


def test_a_run_is_a_fork_until_the_tool_of_the_server_is_another(monkeypatch):
    told: list[str] = []
    states = [(1, 1, 1), (1, 1, 1), (1, 2, 1)]
    monkeypatch.setattr(fork, "able", lambda: True)
    monkeypatch.setattr(fork, "start", lambda *_: told.append("fork"))
    monkeypatch.setattr(dispatch, "afresh", lambda *_: told.append("afresh"))
    monkeypatch.setattr(dispatch, "_state", lambda _: states.pop(0))
    begin = dispatch.forking()
    begin(None, "push-1")
    begin(None, "push-2")
    assert told == ["fork", "afresh"]


def test_another_copy_of_the_tool_shows_and_one_that_stays_does_not(tmp_path: Path):
    (tmp_path / "lib" / "pushforward").mkdir(parents=True)
    before = dispatch._state(tmp_path / "lib")
    (tmp_path / "lib" / "pushforward" / "module.py").touch()
    assert dispatch._state(tmp_path / "lib") == before, "bytecode comes and goes"
    (tmp_path / "new" / "pushforward").mkdir(parents=True)
    (tmp_path / "lib").rename(tmp_path / "old")
    (tmp_path / "new").rename(tmp_path / "lib")
    assert dispatch._state(tmp_path / "lib") != before
