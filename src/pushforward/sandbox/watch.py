"""Limits of a run as a whole, measured from outside while it goes on: its processes, its memory and its disk."""

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pushforward.sandbox import processes
from pushforward.sandbox.jail import GIB, Limits
from pushforward.sandbox.processes import Process

EVERY = 0.5  # seconds between two looks
SPARE = GIB  # bytes of the disk that branches leave to the server, or a fiftieth of a small disk
SPARE_FILES = 10_000


@dataclass
class Watch:
    """Watches all that process `root` has started, and the files in `folders`.

    With `spare`, it also ends a run before the disk is full, whoever fills it. The kernel's own limits bind each
    process; how many there are it counts for every user but root.
    """

    root: int
    limits: Limits
    folders: tuple[Path, ...]
    spare: bool = False
    _next: float = 0.0
    _measuring: "subprocess.Popen[bytes] | None" = None
    _started: float = 0.0
    _due: float = field(default_factory=time.monotonic)

    def broken(self, now: float) -> str | None:
        """Which limit the run has broken, in words for people; None while it keeps to all."""
        if now < self._next:
            return None
        found = list(processes.below(self.root))
        if sum(process.threads for process in found) > self.limits.processes:
            return f"the run started more than {self.limits.processes} processes"
        if (
            sum(process.resident for process in found) > self.limits.memory
            and sum(_own_memory(process) for process in found) > self.limits.memory
        ):
            return f"the run took more than {_size(self.limits.memory)} of memory"
        if self._used(now) > self.limits.disk:
            return f"the run wrote more than {_size(self.limits.disk)}"
        if self.spare and (full := next((folder for folder in self.folders if _is_full(folder)), None)):
            return f"the disk of {full} is nearly full"
        self._next = time.monotonic() + EVERY
        return None

    def end(self) -> None:
        """Stop measuring."""
        if self._measuring:
            self._measuring.kill()
            self._measuring.communicate()
            self._measuring = None

    def _used(self, now: float) -> int:
        """Bytes on disk, as far as they are counted: `du` follows no path, so that none is too long for it."""
        if self._measuring is None and now >= self._due:
            argv = ["du", "--summarize", "--total", "--block-size=1", "--one-file-system", "--"]
            self._started = now
            self._measuring = subprocess.Popen(
                [*argv, *self.folders], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        if self._measuring is None or self._measuring.poll() is None:
            return 0
        said, _ = self._measuring.communicate()
        self._measuring = None
        # where there is much to count, counting must not become the main work
        self._due = now + max(1.0, 5 * (now - self._started))
        total = said.splitlines()[-1].split()[0] if said else b"0"
        return int(total)


def _own_memory(process: Process) -> int:
    """Bytes that are the process's own, and its part of what it shares with others; not of files."""
    total = 0
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total


def _is_full(folder: Path) -> bool:
    disk = os.statvfs(folder)
    spare = min(SPARE, disk.f_blocks * disk.f_frsize // 50)
    few_files = disk.f_files > 0 and disk.f_favail < min(SPARE_FILES, disk.f_files // 50)
    return disk.f_bavail * disk.f_frsize < spare or few_files


def _size(count: int) -> str:
    return f"{count / GIB:.3g} GiB" if count >= GIB else f"{count / (1 << 20):.3g} MiB"
