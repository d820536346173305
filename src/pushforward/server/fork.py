"""A run's process as a fork of its dispatcher: with what that has imported, and nothing else of it. For `dispatch`.

To start an interpreter and to import again takes longer than most of what a run does by itself.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pushforward.errors import BUG

STREAMS = 3  # standard input, output and error: the log of the server


class Fork:
    """A forked process, as far as whoever waits for it asks: its number, and how it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for the signal that killed it; None while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def able() -> bool:
    """Whether this process may fork: it is alone in itself, or a lock of another thread would be held for ever."""
    return threading.active_count() == 1


def start(work: Callable[[], int], nice: int) -> Fork:
    """Have `work` done by a process of its own, which its parent's end does not end; its result is the exit status.

    It has a session of its own and makes way as its parent does. It keeps none of its parent's files open: a lock that
    both held would outlive the parent.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return Fork(pid)
    code = BUG
    try:
        os.setsid()
        os.closerange(STREAMS, 1 + max(int(name) for name in os.listdir("/proc/self/fd")))  # noqa: PTH208, numbers
        with suppress(OSError):  # where the kernel shares time by session, only the session's own counts
            Path("/proc/self/autogroup").write_text(f"{nice}")
        code = work()
    except BaseException:  # noqa: BLE001, whatever it is, nothing of the parent's may go on here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
