"""Asking for outcomes: the project's command, with code, locks and outs of the newest run of the default branch.

`look` asks; for a server `serving.asking` does, in a process of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pushforward.errors import USAGE, PushforwardError
from pushforward.git.refs import RUNS
from pushforward.judge import score
from pushforward.lifecycle import Monitor
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment as environments
from pushforward.pipeline import store as objects
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import is_project, storage
from pushforward.registry.authority import Authority
from pushforward.release import rebuild

OUTCOMES_SECONDS = 1800.0
LOOKED_BACK = 100  # commits of the default branch


def limits(main: Revision) -> Monitor:
    """What the default branch says of monitoring."""
    found = main.settings.project.monitor
    if found is None:
        raise PushforwardError(
            f"{main.commit[:9]}:pushforward.yaml has no `monitor`: nothing says what is to be looked at",
            next="edit pushforward.yaml",
            exit_code=USAGE,
        )
    return found


@dataclass(frozen=True)
class Project:
    """The project of the clone in `root`, as its authority has it; what is checked out and fetched lies in `scratch`.

    `main` is its default branch, `cache` the cache of DVC where the clone's own is not to be taken.
    """

    root: Path
    source: Authority
    main: Revision
    scratch: Path
    say: Callable[[str], None]
    cache: Path | None = None

    @cached_property
    def ran(self) -> Revision:
        """The newest commit of the default branch that was run, with the locks that its run has found."""
        repository, main = self.source.repository, self.main.commit
        listed = repository.git("rev-list", "--first-parent", f"--max-count={LOOKED_BACK}", main).text.split()
        found = (repository.resolve(f"{RUNS}{commit}") for commit in listed)
        return Revision(repository, next(filter(None, found), main), self.main.model)

    @cached_property
    def newest(self) -> Path:
        """A checkout of that."""
        return self.checkout(self.ran, "main")

    def checkout(self, of: Revision, name: str) -> Path:
        """A checkout of a revision, with the project's own cache and remote."""
        server = self.source.server
        own = storage(self.root).cache if is_project(self.root) else self.scratch / "cache"
        there = rebuild.Source(of.repository, of.commit, server.store if server else "", self.root, server, of.model)
        return rebuild.checkout(there, self.scratch / name, cache=self.cache or own)

    def brought(self, checkout: Path, outs: list[str]) -> Path:
        """The checkout with `outs` of its pipeline in it."""
        if outs:
            self.say(f"fetching {', '.join(outs[:3])}{' …' if len(outs) > 3 else ''}")
            pipeline.fetch(checkout, *outs, say=lambda _: None)
        return checkout

    def ask(self, out: Path) -> None:
        """Have the command `monitor.outcomes` write what came of it to `out`; what it needs is brought first."""
        told, rules = limits(self.main), self.main.settings
        if told.outcomes is None:
            raise PushforwardError("pushforward.yaml names no monitor.outcomes", next="edit pushforward.yaml")
        named = [rules.contract.beside(path) for path in told.needs]
        checkout = self.brought(self.newest, list(dict.fromkeys(needed(self.ran, named))))
        python = environments.interpreter(
            self.source.repository, self.main.commit, rules.environment, folder=environments.cache()
        )
        asked = score.Command("monitor.outcomes", told.outcomes, "asking for outcomes", rules.contract.folder)
        score.command(checkout, asked, {"{out}": out}, python_bin=python, timeout=OUTCOMES_SECONDS)


def needed(of: Revision, named: list[str]) -> Iterator[str]:
    """The outs that hold what is named: each itself, what is in one, and of a folder all that lie below it."""
    outs = objects.outs(of.repository, of.commit)
    for path in named:
        found = [one for one in sorted(outs) if one == path or one.startswith(f"{path}/")]
        inside = any(path.startswith(f"{one}/") for one in outs)
        committed = any(one == path or one.startswith(f"{path}/") for one in of.tree)
        if not (found or inside or committed):
            why = f"monitor.needs: no lock of {of.commit[:9]} has an out {path}, nor one below it"
            raise PushforwardError(why, next="edit pushforward.yaml")
        yield from [path] if inside else found
