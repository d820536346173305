"""What must be green (`server.required`): its runs, and those that they follow, seen to before a word is said."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator

from pushforward.actions import chain
from pushforward.errors import MachineError, PushforwardError
from pushforward.git.server import Server
from pushforward.server import requests, triggers
from pushforward.server.runs import Job, Run


class Required:
    """The workflows called `names`. `see_to` runs another run to its end; None where it came to none."""

    def __init__(self, server: Server, names: Collection[str], see_to: Callable[[Job], Run | None]) -> None:
        self.server, self.names, self.see_to = server, names, see_to

    @functools.cached_property
    def awaited(self) -> set[str]:
        """What has to end before it is known whether all that is required is green, as the settings name it."""
        found = set(self.names)
        with contextlib.suppress(PushforwardError):  # the verdict on that commit says so
            known = triggers.listed_at(self.server, self.server.repository.commit(self.server.default_branch))
            wanted = [flow.file for flow in known if _stem(flow.file) in found] if found else []
            found |= {_stem(file) for file in chain.before(known, wanted)}
        return found

    def red(self, jobs: Iterable[Job]) -> Iterator[PushforwardError]:
        """Wait for those of these runs that count, and for those that follow them; why each is not green."""
        for job in jobs:
            if _stem(job.file) not in self.awaited:
                continue
            why = self._why(job)
            if why and (_stem(job.file) in self.names or isinstance(why, MachineError)):
                yield why
            yield from self.red(one for one in requests.caused(self.server, [job.key]) if one.cause == job.key)

    def _why(self, job: Job) -> PushforwardError | None:
        """Why a run is not green; None where it is."""
        run = self.see_to(job)
        if run is None or run.machine:
            return MachineError(f"{job.file}, which is required, could not be run", next="pushforward dispatch")
        if run.verdict in {"success", "skipped"}:
            return None
        why = f"{job.file} is required (server.required), and is {run.verdict}: {run.reason}"
        return PushforwardError(why, next=f"pushforward runs logs --all {job.id}")


def _stem(file: str) -> str:
    return file.rpartition(".")[0]
