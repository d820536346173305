"""Processes of this machine, as /proc shows them. For `watch`, for `actions`, and for `server.recover`.

Read here and not by psutil, though that is installed: there a process began by the wall clock, which is set now and
then, and what seems to be older than its parent is none of its children. A limit must miss none.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """One process: `began` is in ticks since the machine started, `resident` in bytes, with what it shares."""

    pid: int
    name: str
    parent: int
    session: int
    threads: int
    began: int
    resident: int

    def environment(self) -> list[bytes]:
        """Its variables, each as NAME=value; none where they may not be read."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/environ").read_bytes().split(b"\0")
        return []


def every() -> Iterator[Process]:
    """All that can be seen."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - of every process, twice a second
        if name.isdecimal() and (process := of(int(name))):
            yield process


def of(pid: int) -> Process | None:
    """The process of this number; None where there is none any more."""
    with suppress(OSError, IndexError):
        # the name, in brackets, may hold anything
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as handle:  # noqa: PTH123
            before, _, after = handle.read().rpartition(b")")
        words, name = after.split(), before.partition(b"(")[2].decode("utf-8", "replace")
        return Process(pid, name, int(words[1]), int(words[3]), int(words[17]), int(words[19]), int(words[21]) * PAGE)
    return None


def below(root: int) -> Iterator[Process]:
    """All that process `root` has started, and that those have."""
    children: dict[int, list[Process]] = {}
    for process in every():
        children.setdefault(process.parent, []).append(process)
    waiting = [root]
    while waiting:
        born = children.get(waiting.pop(), [])
        yield from born
        waiting += [process.pid for process in born]
