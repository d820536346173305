"""The wish that a run should end, as somebody may have said since it began. `workflows` heeds it."""

import threading

from pushforward.errors import PushforwardError
from pushforward.git.server import Server
from pushforward.server import runs
from pushforward.server.runs import CANCELLED, SKIPPED, SUPERSEDED, Job

ASK_SECONDS = 0.2


class UnwantedError(PushforwardError):
    """A run that somebody has called off."""


class Wish(threading.Thread):
    """Looks for a word that the run is not wanted any more, and sets `gone`."""

    def __init__(self, server: Server, job: Job) -> None:
        super().__init__(daemon=True)
        self.server, self.job, self.key = server, job, job.key
        self.gone, self._over = threading.Event(), threading.Event()

    def run(self) -> None:
        """Ask, until there is an answer or nobody wants one."""
        while not self._over.wait(ASK_SECONDS):
            if runs.cancelled(self.server, self.key):
                self.gone.set()
                return

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def heed(self) -> None:
        """End the run where it is not wanted any more."""
        if why := runs.cancelled(self.server, self.key):
            raise UnwantedError(why, next=next_of(why, self.job))


def next_of(why: str, job: Job) -> str:
    """What to type after a run that was called off, by how the reason begins."""
    if why.startswith(SUPERSEDED):
        return "nothing to do: the newer commit is judged"
    return f"pushforward runs retry {job.id}" if why.startswith((SKIPPED, CANCELLED)) else ""
