"""What a judge will surely need, begun while its libraries are loaded: checkouts, and the process that draws. `gate`.

Nothing is judged here, and nothing of the hand-over is read: that it has the tables which are judged by says that they
will be. What goes wrong is told where it is asked for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pushforward.git.repository import Repository
from pushforward.judge.drawer import Drawer
from pushforward.judge.handover import PREDICTIONS, VALIDATION
from pushforward.judge.question import Checkouts, Question
from pushforward.judge.table import SUFFIXES


@dataclass(frozen=True)
class Early:
    """What was begun; no drawer where there may be nothing to draw."""

    checkouts: Checkouts
    drawer: Drawer | None = None


@contextmanager
def early(root: Path, folder: Path, question: Question, judge: str, work: Path) -> Iterator[Early]:
    """Begin with what the judge of a hand-over in `folder` surely needs, in the folder `work`; all of it ends here."""
    found = Early(Checkouts(Repository(root), work), _drawer(folder, question))
    try:
        if _has(folder, PREDICTIONS):
            found.checkouts.begin("judge", judge)
            if question.asks:
                found.checkouts.begin("challenger", question.subject)
        yield found
    finally:
        found.checkouts.close()
        if found.drawer is not None:
            found.drawer.close()


def _drawer(folder: Path, question: Question) -> Drawer | None:
    """None too of what a server has adopted: those pictures were drawn, and are kept."""
    shows = _has(folder, PREDICTIONS) and _has(folder, VALIDATION)
    return Drawer() if shows and not question.adopted else None


def _has(folder: Path, stem: str) -> bool:
    return any(os.path.lexists(folder / f"{stem}{suffix}") for suffix in SUFFIXES)
