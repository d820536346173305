"""The runs that a server has at hand: what waits, what is at work, and their logs. Who makes pages brings them along.

Nothing of it is in git: an export shows what was under way when it was made, and no log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

LIVE = ("queued", "running")
REFRESH_SECONDS = 5


@dataclass(frozen=True)
class Underway:
    """One run of a server. `place` says what is before it; `stage` is the workflow at work; `verdict` is "" until then.

    `commit` is "" for what is of no commit: a workflow of a schedule.
    """

    key: str
    name: str
    event: str
    branch: str
    commit: str
    pull: int | None
    state: str
    stage: str
    verdict: str
    reason: str
    place: str
    asked: int
    started: int
    seconds: float

    @property
    def live(self) -> bool:
        """Whether it still waits or is at work."""
        return self.state in LIVE


def _none() -> Sequence[Underway]:
    return ()


def _no_log(_: str) -> str:
    return ""


@dataclass(frozen=True)
class Desk:
    """What is asked of a server: its runs, and the log of one of them by its key. By default there is none."""

    runs: Callable[[], Sequence[Underway]] = _none
    log: Callable[[str], str] = _no_log
