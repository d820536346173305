"""The pictures of a case, drawn beside its judging; those of the same numbers are kept, and not drawn again."""

import json
import pickle
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pushforward.gate import loss as losses
from pushforward.gate.evidence import Evidence
from pushforward.gate.loss import Loss
from pushforward.judge.case import Case
from pushforward.judge.drawer import Drawer, DrawingError
from pushforward.judge.recall import Recall
from pushforward.pipeline.lock import METRICS
from pushforward.pipeline.revision import sha256
from pushforward.report import plots

DRAWN_BY = ("report", "gate", "text.py")  # what of this package a picture follows from


class Painter:
    """Draws the pictures of the validation month into `folder`; none without one.

    By the `drawer` that was begun, or one that begins when there is something to draw. To be left, whatever comes.
    """

    def __init__(self, folder: Path | None, say: Callable[[str], None], drawer: Drawer | None = None) -> None:
        self.folder, self._say, self._drawer = folder, say, drawer
        self._kept: tuple[Recall, str, Path] | None = None  # where they are to be kept, under which name, by which file

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
        loss = evidence.loss or losses.of(case.gate, len(evidence.classes))
        given = evidence.y, evidence.challenger, evidence.champion, evidence.clusters
        kept, name, place = case.recall, _name(given, loss, tables), case.work / "pictures.json"
        if kept.find(name, place):
            self._put({file: text.encode() for file, text in json.loads(place.read_bytes()).items()})
            return
        self._kept = kept, name, place
        if self._drawer is None:
            self._drawer = Drawer()
        learning, importance = tables["learning.csv"], tables["importance.csv"]
        self._drawer.draw(*given, loss=loss, learning=learning, importance=importance)

    def hang_up(self) -> None:
        """Put the pictures where they were asked for."""
        if self._drawer is None or self._kept is None:
            return
        try:
            drawn = self._drawer.drawn
        except DrawingError:
            self._say("the pictures could not be drawn")
            return
        self._put(drawn)
        kept, name, place = self._kept
        place.write_text(json.dumps({file: picture.decode() for file, picture in drawn.items()}))
        kept.keep(name, place)

    def __enter__(self) -> "Painter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawer is not None:
            self._drawer.close()

    def _put(self, drawn: Mapping[str, bytes]) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, picture in drawn.items():
            (self.folder / name).write_bytes(picture)


def _name(given: tuple[Any, ...], loss: Loss, tables: Mapping[str, Mapping[str, bytes]]) -> str:
    """SHA-256 of all that the pictures follow from: what is drawn, and what draws it."""
    package = Path(plots.__file__).parent.parent
    sources = sorted(path for place in DRAWN_BY for path in (package / place, *(package / place).glob("*.py")))
    code = [path.read_bytes() for path in sources if path.is_file()]
    arrays = [
        (one.tolist() if one.dtype == object else (one.dtype.str, one.shape, one.tobytes()))
        for one in given
        if one is not None
    ]
    drawn = [sorted(table.items()) for _, table in sorted(tables.items())]
    return sha256(pickle.dumps((code, len(given), arrays, pickle.dumps(loss), drawn, version("vl-convert-python"))))
