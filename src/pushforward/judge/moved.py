"""The rows of the validation month that gained and lost most: where a reviewer looks first. Pure."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.gate.stats import Floats
from pushforward.report.note import Moved
from pushforward.text import plain

if TYPE_CHECKING:
    from pushforward.gate.evidence import Evidence
    from pushforward.gate.loss import Loss

MOST = 5  # of either kind
LONGEST = 120  # characters of a key


def most(keys: list[Any], evidence: "Evidence", loss: "Loss") -> tuple[Moved, ...]:
    """Those that gained most, the most first, then those that lost most; `keys` are in the order of the evidence.

    Nothing where there is no champion. Keys that are too long to be typed are left out: nobody could ask for them.
    """
    if evidence.champion is None or not len(evidence.y):
        return ()
    gains = loss.rows(evidence.y, evidence.champion) - loss.rows(evidence.y, evidence.challenger)
    order = np.argsort(-gains, kind="stable")
    typed = [place for place in order.tolist() if len(str(keys[place])) <= LONGEST]
    up = [place for place in typed[:MOST] if gains[place] > 0]
    down = [place for place in reversed(typed[-MOST:]) if gains[place] < 0]
    return tuple(_row(place, keys, evidence, float(gains[place])) for place in (*up, *down))


def _row(place: int, keys: list[Any], evidence: "Evidence", gain: float) -> Moved:
    y, champion = evidence.y[place], evidence.champion
    assert champion is not None  # noqa: S101, whoever asks has seen to it
    label = evidence.classes[int(y)] if evidence.classes else f"{y:.10g}"
    which = int(y) if evidence.classes else None
    before, after = (_of_label(p[place], which) for p in (champion, evidence.challenger))
    return Moved(plain(str(keys[place]), LONGEST), plain(label, 60), before, after, gain)


def _of_label(p: Floats, place: int | None) -> float:
    return float(p if place is None else p[place])
