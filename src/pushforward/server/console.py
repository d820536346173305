"""The console of a run, for the pusher while it goes on: a line for whatever begins or ends, and no wall of log."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.text import clean

if TYPE_CHECKING:
    from pushforward.actions.log import Mask, Progress

ROUND = re.compile(r"\b(?:round|epoch|iteration|step|trial) (?P<done>\d+)/(?P<all>\d+)\b", re.IGNORECASE)
BEGINS = re.compile(r"^  \S+ …$")
EVERY_SECONDS = 2.0
MOST_LINES = 60  # of one step; then one line in two seconds
LAST_LINES = 20


class Console:
    """The log of one run, appended to."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("a", encoding="utf-8")

    def say(self, text: str = "") -> None:
        """Append lines."""
        self._file.write("".join(f"{clean(line)}\n" for line in text.split("\n")))
        self._file.flush()

    def hide(self, mask: "Mask") -> None:
        """Blank what turned out to be secret after it was said."""
        with self._path.open("r+", encoding="utf-8", newline="") as file:
            text = file.read()
            file.seek(0)
            file.write(mask.blank(text))

    def close(self) -> None:
        """End the log."""
        self._file.close()


class Lines:
    """Turns the progress of a workflow into lines: all that its own steps say at first, then a few of it.

    Of the rounds of a training there is one line in two seconds, with the time that is left where the training itself
    does not tell. What an action says (`actions` are the steps that use one) is shown only where it fails.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        actions: Iterable[str],
        *,
        log: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._actions, self._log, self._clock = say, frozenset(actions), log, clock
        self._aside: deque[str] = deque(maxlen=LAST_LINES)
        self._shown, self._last, self._rounded = 0, clock(), clock()
        self._since: tuple[float, int] | None = None

    def take(self, progress: "Progress") -> None:
        """Show what of one piece of progress is worth a line."""
        if progress.kind == "step-start":
            self._aside.clear()
            self._shown, self._since = 0, None
        elif progress.kind == "output" and progress.text.strip():
            self._output(progress)
        elif progress.kind == "warning":
            self._say(f"  warning: {progress.text}")
        elif progress.kind == "step-end" and progress.result == "failure":
            for line in self._aside:
                self._say(f"  {line}")
            self._say(f"  step {progress.step} failed after {progress.seconds or 0:.1f} s")
        elif progress.kind == "step-end" and progress.result == "success" and progress.step not in self._actions:
            self._say(f"  {progress.step} {progress.seconds or 0:.1f} s")

    def _output(self, progress: "Progress") -> None:
        line = progress.text if progress.text.startswith(" ") else f"    {progress.text}"
        if progress.step in self._actions:
            self._aside.append(progress.text)
            return
        if BEGINS.match(line):
            self._since, self._rounded = None, self._clock()
        if found := ROUND.search(line):
            self._round(line, int(found["done"]), int(found["all"]))
        elif self._shown < MOST_LINES:
            self._show(line)
        else:
            if self._shown == MOST_LINES:
                self._say(f"    … (more than {MOST_LINES} lines; all of them: {self._log})")
                self._shown += 1
            self._aside.append(progress.text)
            if self._clock() - self._last >= EVERY_SECONDS:
                self._show(line)

    def _round(self, line: str, done: int, whole: int) -> None:
        now = self._clock()
        if self._since is None or done < self._since[1]:
            self._since = now, done
        if now - self._rounded < EVERY_SECONDS:
            return
        began, first = self._since
        if " left" not in line and done > first:
            line += f"  about {(now - began) / (done - first) * max(whole - done, 0):.0f} s left"
        self._rounded = now
        self._say(line)

    def _show(self, line: str) -> None:
        self._shown += 1
        self._last = self._clock()
        self._say(line)
