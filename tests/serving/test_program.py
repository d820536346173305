"""program: what a server has done by another process ends with it, and so does all that this has started."""

import asyncio
import os
import subprocess
import sys
import time

import pytest
import uvloop

from pushforward.errors import TOOL, PushforwardError
from pushforward.serving import program

# A program that runs a command in a session of its own, as score commands are.
STARTS = """
import sys
from pathlib import Path
from pushforward.judge import score
from pushforward.serving import program

def act():
    words = [sys.executable, "-c", COMMAND, sys.argv[1]]
    with open(sys.argv[1] + ".said", "wb") as said:
        score._run_group(words, Path.cwd(), {}, said, 60.0, "it")
    return {}

COMMAND = "import os, sys, time; open(sys.argv[1], 'w').write(f'{os.getpid()} '); time.sleep(60)"
program.tell(act)
"""
DEAF = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
DEAF += "open(sys.argv[1], 'w').write(f'{os.getpid()} '); time.sleep(60)"


def _runs(pid):
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(what):
    """Wait until something is so."""
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


async def _cancelled(code, started):
    """Begin a program, and be cancelled when what it starts has told its pid; the pid, and the program's status."""
    begun = []

    async def waits():
        async with program._begun(sys.executable, "-c", code, str(started)) as child:
            begun.append(child)
            await child.communicate()

    task = asyncio.create_task(waits())
    async with asyncio.timeout(60):
        while not (started.exists() and started.read_text().endswith(" ")):
            assert not task.done(), task.exception()
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    return int(started.read_text()), begun[0].returncode


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_program_that_is_ended_ends_the_command_that_runs_in_its_own_session(tmp_path, loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        pid, status = runner.run(_cancelled(STARTS, tmp_path / "pid"))
    assert not _runs(pid)
    assert status == 128 + 15, "it left by itself"


def test_so_does_one_whose_server_was_killed(tmp_path):
    started = tmp_path / "pid"
    server = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STARTS!r}, {str(started)!r}])"
    with subprocess.Popen([sys.executable, "-c", server]) as run:
        until(lambda: started.exists() and started.read_text().endswith(" "))
        run.kill()
    until(lambda: not _runs(int(started.read_text())))


def test_one_that_does_not_go_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "GRACE_SECONDS", 0.1)
    pid, status = asyncio.run(_cancelled(DEAF, tmp_path / "pid"))
    assert not _runs(pid)
    assert status == -9


def test_what_is_late_is_ended_and_said(monkeypatch):
    begun = program._begun
    monkeypatch.setattr(program, "_begun", lambda *_: begun("/bin/sleep", "600"))
    with pytest.raises(PushforwardError, match="it was not ready after 0 s") as failed:
        asyncio.run(program.ask("candidate", seconds=0.05))
    assert failed.value.exit_code == TOOL


def test_what_it_said_last_is_told_where_it_ended_without_an_answer(monkeypatch):
    begun = program._begun
    words = "import sys; print(*range(8), chr(27) + '[31m8', sep='\\n', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(program, "_begun", lambda *_: begun(sys.executable, "-c", words))
    with pytest.raises(PushforwardError) as failed:
        asyncio.run(program.ask("candidate", seconds=60))
    assert failed.value.message == "its process ended before it was ready\n  5\n  6\n  7\n  8"
