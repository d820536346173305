"""Processes as /proc shows them: this one's own children, by what is known of them."""

import os
import subprocess
import sys
import time

from pushforward.sandbox import processes

NAMED = """
import os, sys, threading, time
open("/proc/self/comm", "w").write("a) b (c 1 2")
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
if os.fork():
    print(flush=True)
time.sleep(60)
"""


def test_a_process_is_known_by_its_number():
    me = processes.of(os.getpid())
    assert (me.pid, me.parent, me.session) == (os.getpid(), os.getppid(), os.getsid(0))
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 < me.began / os.sysconf("SC_CLK_TCK") <= uptime
    assert me.resident > 1 << 20
    assert (me.pid, me.began) in [(one.pid, one.began) for one in processes.every()]


def test_a_process_that_is_gone_is_none_and_has_no_environment():
    given = {"PATH": os.environ["PATH"], "MARK": "a=b c"}
    with subprocess.Popen(["sh", "-c", "echo; read word"], stdin=-1, stdout=-1, env=given) as child:
        child.stdout.readline()  # it is at work: before, its variables are still this one's
        there = processes.of(child.pid)
        assert b"MARK=a=b c" in there.environment()
        child.kill()
    assert processes.of(child.pid) is None
    assert there.environment() == []


def test_children_and_theirs_are_below_whatever_they_are_called():
    with subprocess.Popen([sys.executable, "-c", NAMED], stdout=subprocess.PIPE, start_new_session=True) as child:
        child.stdout.readline()
        found = {one.pid: one for one in processes.below(child.pid)}
        mine = {one.pid: one for one in processes.below(os.getpid())}
        os.killpg(child.pid, 9)
    (grandchild,) = found.values()
    assert (grandchild.parent, grandchild.session, grandchild.name) == (child.pid, child.pid, "a) b (c 1 2")
    assert mine[child.pid].threads == 2
    assert grandchild.pid in mine
