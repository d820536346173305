"""The stages of one run of a pipeline: what became of each, from the log of DVC, and why one failed."""

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pushforward import cause
from pushforward.errors import DATA
from pushforward.pipeline import dvctext
from pushforward.pipeline.lock import from_root

TAIL_BYTES = 16_384
Outcome = Literal["ran", "restored", "frozen", "unchanged", "failed"]


@dataclass
class Stage:
    """What became of one stage: restored means that the run cache had its result, frozen that only the lock has it."""

    name: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0


@dataclass
class Reproduction:
    """What one `repro` did; `message` are the last lines of a run that did not end well."""

    stages: list[Stage] = field(default_factory=list)
    pulled: int = 0
    pushed: int = 0
    seconds: float = 0.0
    outcome: Literal["ok", "refused", "failed"] = "ok"
    message: str = ""
    cause: str = ""  # of a failure: one line of what and where
    next: str = ""  # and what to type then


class Listener(logging.Handler):
    """Turns DVC's log into stages, and keeps what it complains about."""

    def __init__(self, say: Any, home: str = "") -> None:
        super().__init__(logging.INFO)
        self._home = home  # from where DVC names its stages
        self.stages: list[Stage] = []
        self.complaints: list[str] = []
        self.transferring = False  # while stages run, a lost object only means that the run cache cannot answer
        self._say = say
        self._since = time.monotonic()
        self._took: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one line of DVC's log."""
        text = record.getMessage()
        lost = self.transferring and record.levelno >= logging.WARNING and "do not exist" in text
        if lost or record.levelno >= logging.ERROR:
            self.complaints.append(text)
        elif found := re.match(r"Running stage '(.+)':", text):
            self._begin(Stage(from_root(found[1], self._home), "ran"))
            self._say(f"  {self.stages[-1].name} …")
        elif found := re.match(r"Stage '(.+)' is cached - skipping run|Pulling data for stage: '(.+)'", text):
            self._begin(Stage(from_root(found[1] or found[2], self._home), "restored"))
        elif re.match(r"Unable to pull data for stage: '.+'", text):
            self.stages.pop()  # it runs instead
        elif found := re.match(r"(?:Stage )?'(.+)' didn't change, skipping", text):
            self._begin(Stage(from_root(found[1], self._home), "unchanged"))

    def _begin(self, stage: Stage) -> None:
        self.close_last()
        self.tell_end()
        self.stages.append(stage)

    def name_of(self, stage: str) -> str:
        """A stage as it is called from the root, by what DVC calls it; "" for none."""
        return from_root(stage, self._home) if stage else ""

    def running(self, stage: str) -> Stage | None:
        """The stage whose command was begun last, if DVC speaks of that, or names none; None where none was begun."""
        last = self.stages[-1] if self.stages and self.stages[-1].outcome == "ran" else None
        return last if last and self.name_of(stage) in ("", last.name) else None

    def tell_end(self) -> None:
        """Say how long the last stage took, if it ran."""
        if self.stages and self.stages[-1].outcome == "ran":
            self._say(f"  {self.stages[-1].name} {self.stages[-1].seconds:.1f} s")

    def begins(self, stage: str) -> None:
        """Say that a stage, by what DVC calls it, begins before its turn."""
        self._say(f"  {self.name_of(stage)} begins beside")

    def took(self, seconds: float) -> None:
        """Tell how long the commands of the last stage took that had begun before its turn."""
        self._took = seconds

    def close_last(self) -> None:
        """Write down how long the last stage took."""
        now = time.monotonic()
        if self.stages:
            self.stages[-1].seconds = round(now - self._since if self._took is None else self._took, 2)
        self._since, self._took = now, None


@contextlib.contextmanager
def tail_of() -> Iterator[bytearray]:
    """Pass on what this process and its children print, and keep the end of it."""
    tail = bytearray()
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    receiver, sender = os.pipe()

    def pump() -> None:
        while chunk := os.read(receiver, 65_536):
            os.write(saved[0], chunk)
            tail.extend(chunk)
            del tail[:-TAIL_BYTES]

    os.dup2(sender, 1)
    os.dup2(sender, 2)
    os.close(sender)
    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield tail
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        thread.join(timeout=10)
        for descriptor in (receiver, *saved):
            os.close(descriptor)


def chain(error: BaseException) -> str:
    """What an error says, and what caused it, in one line."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 4:
        parts.append(str(seen).strip())
        seen = seen.__cause__
    return ": ".join(part for part in parts if part)


def tell_failure(error: BaseException, listener: Listener, tail: bytes, result: Reproduction, root: Path) -> None:
    """Write down in `result` which stage failed, why, and what it said last; one that never began has not failed."""
    text = chain(error)
    status = re.search(r"exited with (-?\d+)", text)
    begun = listener.running(dvctext.stage_of(text))
    words = tail.decode("utf-8", "replace")
    said = words.rpartition(f"  {begun.name} …\n")[2] if begun else words
    lines = [line for line in said.strip().splitlines() if line.strip()]
    result.outcome = "refused" if status and int(status[1]) == DATA else "failed"
    if begun and (none := re.search(r"Checkout failed for following targets:\s*(\S+)", text)):
        text = f"output '{none[1]}' does not exist"  # so DVC tells it where it pulls
    told = dvctext.after if begun else dvctext.sentence
    why = cause.of(lines, int(status[1]), root=str(root)) if status else told(text, root=str(root))
    result.message = ("\n".join(lines[-12:]) if status and lines else text).replace(f"{root}/", "")
    if begun:
        begun.outcome = "failed"
        begun.reason = f"exit status {status[1]}" if status else why.text[:200]
    elif stage := listener.name_of(dvctext.stage_of(text)):
        why = dvctext.of_stage(stage, why)
    if result.outcome == "failed":
        result.cause, result.next = why.text, why.next
