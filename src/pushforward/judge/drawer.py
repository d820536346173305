"""The process that draws the pictures of a case, from this side: started before there is anything to draw. `pictures`.

A process of its own, since what draws is a whole browser engine: no verdict may die of it. It gets no secret of the
judge's, and ends with the judge: what it reads from then has an end.
"""

import contextlib
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pushforward.process import clean_environment

DRAW_SECONDS = 60.0
SOURCE = Path(__file__).parent.parent.parent


class DrawingError(Exception):
    """The pictures could not be drawn."""


class Drawer:
    """One such process: it is told once what to draw, and has to be closed."""

    def __init__(self) -> None:
        words = [sys.executable, "-P", "-m", "pushforward.judge.drawing"]
        env = clean_environment({"PYTHONPATH": str(SOURCE)})
        self._process = subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._beside = ThreadPoolExecutor(1)  # what is drawn of may be more than a pipe takes at once
        self._told: Future[bytes] | None = None

    def draw(self, *given: Any, **named: Any) -> None:
        """Have `plots.draw` asked this."""
        asked = pickle.dumps((given, named), pickle.HIGHEST_PROTOCOL)
        self._told = self._beside.submit(lambda: self._process.communicate(asked)[0])

    @property
    def drawn(self) -> Mapping[str, bytes]:
        """The pictures by file name, once they are there; none where nothing was asked."""
        if self._told is None:
            return {}
        try:
            told = json.loads(self._told.result(timeout=DRAW_SECONDS))
        except (TimeoutError, ValueError) as lost:
            raise DrawingError from lost
        return {name: picture.encode() for name, picture in told.items()}

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._beside.shutdown()
        with contextlib.suppress(BrokenPipeError), self._process:
            pass
