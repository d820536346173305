"""The supervisor of act's process, which alone starts it: to its end, or to the end of a limit. `act` calls."""

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pushforward.actions.log import Progress, Reader
from pushforward.actions.result import Conclusion, End
from pushforward.actions.runlog import Lines, RunLog
from pushforward.errors import MachineError
from pushforward.sandbox import processes
from pushforward.sandbox.watch import Watch

ACT = Path(sys.executable).parent / "act"
GRACE = 10.0  # seconds between a polite end and a hard one
TICK = 0.2
MAX_READ = 256 << 20  # bytes of log that a run may write before it is ended


@dataclass(frozen=True)
class TimeLimits:
    """When the run as a whole has to be over, how long each job may take, and whether somebody calls it off."""

    whole: float
    jobs: Mapping[str, float]
    cancel: threading.Event

    def broken(self, now: float, reader: Reader, size: int) -> tuple[Conclusion, str] | None:
        """What has to end the run now: how it ends, and why."""
        if self.cancel.is_set():
            return "cancelled", "the run was cancelled"
        if size > MAX_READ:
            where = reader.at_work() or "the run"
            return "failure", f"{where}: more than {MAX_READ >> 20} MiB of output; print less, or into a file"
        for job, started in reader.running():
            if now - started > self.jobs.get(job, float("inf")):
                return "timed-out", f"job {job} took longer than its {self.jobs[job] / 60:g} minutes"
        if now > self.whole:
            return "timed-out", "the run took longer than it may"
        return None


def start(argv: list[str], environment: Mapping[str, str], secret_file: int | None) -> "subprocess.Popen[bytes]":
    """Start act, or the jail around it, in a session of its own. Raises MachineError where that cannot be."""
    try:
        return subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=() if secret_file is None else (secret_file,),
        )
    except FileNotFoundError as missing:
        raise MachineError(f"{Path(argv[0]).name} is not installed", next="pushforward check") from missing
    except OSError as broken:
        raise MachineError(f"{Path(argv[0]).name} cannot be started: {broken.strerror}") from broken


def follow(process: "subprocess.Popen[bytes]", log: RunLog, limits: TimeLimits, watch: Watch) -> End:
    """Follow act to its end, or to the end of a limit; what it says goes into `log`.

    Who takes too long is asked politely first, and ended hard after a grace; who takes too much is ended at once.
    """
    cut: tuple[Conclusion, str] | None = None
    ended = hard = float("inf")
    size = 0
    with process, selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, Lines())
        try:
            # What left the jail may hold the streams open: after the end of act, a second is enough to read the rest.
            while selector.get_map() and time.monotonic() < ended + 1:
                size += _read(selector, log)
                now = time.monotonic()
                if process.poll() is not None:
                    ended = min(ended, now)
                elif now > hard:
                    _kill(process.pid)
                elif cut is None and (cut := limits.broken(now, log.reader, size)):
                    hard = now + GRACE
                    log.tell(Progress("error", cut[1]))
                    _interrupt(process.pid)
                elif why := watch.broken(now):
                    cut, hard = cut or ("failure", why), now
                    log.tell(Progress("error", why))
                    _kill(process.pid)
        finally:
            watch.end()
            _kill(process.pid)
    return End(process.returncode, cut)


def _read(selector: selectors.BaseSelector, log: RunLog) -> int:
    """Take what has come within a tick; the bytes of it."""
    size = 0
    for key, _ in selector.select(TICK):
        chunk = os.read(key.fd, 1 << 16)
        size += len(chunk)
        for line in key.data.feed(chunk):
            log.take(line)
        if not chunk:
            selector.unregister(key.fileobj)
    return size


def _interrupt(wrapper: int) -> None:
    """Ask act, which stands below the jail's processes, to cancel: steps with `always()` still run."""
    with suppress(ProcessLookupError):
        inside = (one.pid for one in processes.below(wrapper) if one.name == ACT.name)
        os.kill(next(inside, wrapper), signal.SIGINT)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
