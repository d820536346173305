"""The pictures of a case, drawn beside its judging."""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from pushforward.gate import loss as losses
from pushforward.gate.evidence import Evidence
from pushforward.judge.case import Case
from pushforward.pipeline.lock import METRICS
from pushforward.report import plots

DRAW_SECONDS = 60.0


class Painter:
    """Draws the pictures of the validation month into `folder`; none without one."""

    def __init__(self, folder: Path | None, say: Callable[[str], None]) -> None:
        self.folder, self._say = folder, say
        self._process: ProcessPoolExecutor | None = None
        self._drawn: Future[dict[str, bytes]] | None = None

    def draw(self, case: Case, evidence: Evidence) -> None:
        """Have the pictures of the validation month drawn beside; the run's tables as they are, never judged by."""
        if self.folder is None:
            return
        tables: dict[str, dict[str, bytes]] = {"learning.csv": {}, "importance.csv": {}}
        for name, table in tables.items():
            path = case.contract.beside(f"{METRICS}/{name}")
            found = case.read.metrics.get(path)
            table |= {"challenger": found} if found else {}
            theirs = case.repository.read(case.champion.commit, path) if case.champion else None
            table |= {"champion": theirs} if theirs else {}
        # In a process of its own: what draws them is a whole browser engine, and no verdict may die of it.
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._drawn = self._process.submit(
            plots.draw,
            evidence.y,
            evidence.challenger,
            evidence.champion,
            evidence.clusters,
            loss=evidence.loss or losses.of(case.gate, len(evidence.classes)),
            learning=tables["learning.csv"],
            importance=tables["importance.csv"],
        )

    def hang_up(self) -> None:
        """Put the pictures where they were asked for."""
        if self.folder is None or self._process is None or self._drawn is None:
            return
        try:
            drawn = self._drawn.result(timeout=DRAW_SECONDS)
        except (BrokenProcessPool, TimeoutError):
            self._say("the pictures could not be drawn")
            return
        finally:
            self._process.shutdown(wait=False, cancel_futures=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, picture in drawn.items():
            (self.folder / name).write_bytes(picture)
