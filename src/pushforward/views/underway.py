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
    def alone(self) -> bool:
        """Whether it is a single workflow, beside what is judged of its commit."""
        return self.key.startswith("workflow-")

    @property
    def live(self) -> bool:
        """Whether it still waits or is at work."""
        return self.state in LIVE


@dataclass(frozen=True)
class Step:
    """A step of a run: how it ended or that it is running, its seconds so far, and what it has said."""

    workflow: str
    job: str
    name: str
    result: str
    seconds: float
    said: str = ""


def _none() -> Sequence[Underway]:
    return ()


def _no_log(_: str) -> str:
    return ""


def _no_steps(_: str) -> Sequence[Step]:
    return ()


def _nothing() -> str:
    return ""


@dataclass(frozen=True)
class Desk:
    """What is asked of a server: its runs, the log and the steps of one of them by its key. By default there is none.

    `mark` is another text whenever something of it is new.
    """

    runs: Callable[[], Sequence[Underway]] = _none
    log: Callable[[str], str] = _no_log
    steps: Callable[[str], Sequence[Step]] = _no_steps
    mark: Callable[[], str] = _nothing
