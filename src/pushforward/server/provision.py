"""The provision of one workflow: interpreter, cache, keys, and what of this machine it may touch. For `workflows`."""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pushforward import __version__
from pushforward.actions import workflow
from pushforward.actions.act import Setup
from pushforward.actions.workflow import Workflow
from pushforward.errors import MachineError, PushforwardError
from pushforward.judge.question import ADOPTED
from pushforward.pipeline import environment
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import Storage
from pushforward.project import workflows
from pushforward.registry import signers, trust
from pushforward.registry import tags as registry
from pushforward.sandbox import jail
from pushforward.server import distant
from pushforward.server.subject import Subject

BRACES = frozenset("{}")


@functools.cache
def _best() -> jail.Jail:
    """The jail of this machine, or none, for all workflows of a run: to find out takes as long as a short workflow."""
    return jail.find(trust=True)


def _jail(*, trust: bool) -> jail.Jail:
    if (found := _best()).kind != "none" or trust:
        return found
    try:
        return jail.find()
    except PushforwardError as none:
        first = none.message.splitlines()[0]
        raise MachineError(first, next=none.next, detail=none.message) from none


class Provision:
    """What a workflow of a run gets. `privileged` is one that judges; in `folder` is all that the run writes.

    Where the hand-over was `adopted`, the judge is told.
    """

    def __init__(self, subject: Subject, folder: Path, *, privileged: bool, adopted: bool = False) -> None:
        self.adopted = adopted and privileged
        self.server, self.subject, self.folder, self.privileged = subject.server, subject, folder, privileged
        self.job, self.repository = subject.job, subject.repository
        self.trusted = subject.trusted or privileged

    def setup(self, flow: Workflow, commit: str, folder: Path, artifacts: Path, *, say: Callable[[str], None]) -> Setup:
        """All that `flow` is run with, in the environment that `commit` locks."""
        python, cache = self._python(commit, say), self._cache()
        if not self.server.store and not self.subject.trusted:
            distant.bring(self.server, self._named(commit), say)
        # a repository that carries the tool has one environment; the tool of any other is the server's
        home, known = python.parent.parent, commit if self.trusted else self.subject.main
        tool = python if environment.carried(self.repository, known) else Path(sys.executable)
        env = self._environment(tool, cache) | ({} if tool == python else {environment.PROJECT: str(home)})
        return Setup(
            repository=self.subject.where,
            folder=folder,
            artifacts=artifacts,
            jail=_jail(trust=self.server.trust or self.trusted),
            policy=self._policy(python, cache, writes=workflow.writes(flow)),
            run_id=self.subject.id,
            env=env | ({workflows.GIVEN: __version__} if flow.built_in else {}),
            secrets=self._secrets(),
            limit=self.subject.settings.server.timeout_minutes * 60.0,
        )

    def _policy(self, python: Path, cache: Path, *, writes: bool) -> jail.Policy:
        """What a workflow may touch.

        Only a judge writes into the repository: looks, and tags on the default branch; so does what the default branch
        has run by itself and asks for it. The store takes what a push to the default branch has made. Nobody sees the
        server's keys.
        """
        server, event_name = self.server, self.job.event
        bare, keys = Path(server.bare), signers.private_key(Path(server.bare)).parent
        store = [path] if (path := self._store) else []
        built = [path for path in (server.folder / "environments",) if self.privileged and path.is_dir()]
        asked = self.trusted and not self.privileged
        known = [path for path in (server.folder / "allowed_signers",) if asked and path.is_file()]
        to_bare = self.privileged or (self._is_the_default_branch_s and writes)
        to_store = event_name == "push"
        return jail.Policy(
            writable=(cache, *((bare,) if to_bare else ()), *(store if to_store else ())),
            readable=(*(() if to_store or cache in store else store), python.parent.parent, *built, *known),
            hidden=(keys,) if keys.is_dir() else (),
            placed={name: path for path in (cache, *store) if (name := self._in_dvc(path)) != path},
            network=self.subject.trusted,
            untrusted=not self.trusted,
        )

    @property
    def _is_the_default_branch_s(self) -> bool:
        """Whether what runs is a file of the default branch, as it is or as it was when it was asked for, and hears of
        something other than a push: of what a push itself starts nobody has judged anything yet.
        """
        if self.job.event != "workflow":
            return self.job.event == "schedule"
        if not self.trusted or self.job.on in {"push", "pull_request"}:
            return False
        return not self.repository.unmerged([self.subject.commit], self.subject.main)  # it may have been taken back

    def _environment(self, python: Path, cache: Path) -> dict[str, str]:
        server, subject = self.server, self.subject
        env = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PUSHFORWARD_ENVIRONMENT": str(python.parent.parent),
            "PUSHFORWARD_DVC_CONFIG": str(self._dvc_config(cache)),
            environment.KNOWN: str(server.folder / "environments"),
            "PUSHFORWARD_RUN": self.job.key,
            "PUSHFORWARD_BASE": subject.judged_before if subject.trusted else subject.main,
        }
        env |= {ADOPTED: "1"} if self.adopted else {}
        return env | self._token() if self.privileged and subject.trusted else env

    def _secrets(self) -> Mapping[str, str]:
        """What only the judge of a push to the default branch gets; the token is among them to be masked in its log."""
        if not self.privileged or not self.subject.trusted:
            return {}
        key = signers.private_key(Path(self.server.bare))
        return self._token() | ({trust.VARIABLE: key.read_text()} if key.is_file() else {})

    def _token(self) -> dict[str, str]:
        path = self.server.folder / "token"
        if not path.is_file():
            raise MachineError("the server has lost its token", next="pushforward init", detail=f"{path} is missing")
        return {"PUSHFORWARD_TOKEN": path.read_text().strip()}

    def _python(self, commit: str, say: Callable[[str], None]) -> Path:
        """The interpreter of what `commit` locks; built where it is not there, and only of locks of the target branch.

        Whatever lies among the server's environments was built for what is on the target branch.
        """
        settings = Revision(self.repository, commit).settings if self.privileged else self.subject.settings
        wanted, folder = settings.environment, self.server.folder / "environments"
        locked = environment.digest(self.repository, commit, wanted)
        missing = wanted and locked != environment.at_hand() and environment.built(folder, locked) is None
        source = commit
        if missing and not self.trusted:
            # what a branch has beside the same locks, such as pyproject.toml, is not what they are built with
            source = self.subject.main
            if locked != environment.digest(self.repository, source, wanted):
                names = ", ".join(wanted)
                raise PushforwardError(
                    f"{self.job.branch} changes {names}: an environment is built for the target branch only",
                    next=f"merge the new locks into {self.server.default_branch} by themselves, then push again",
                )
        if missing:
            say(f"  the environment that {commit[:9]} locks: built once, kept for later")
        return environment.interpreter(self.repository, source, wanted, folder=folder)

    def _cache(self) -> Path:
        """What a pull request's run writes, no other run reads."""
        cache = self.server.folder / "cache" if self.trusted else self.folder / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        return cache

    def _dvc_config(self, cache: Path) -> Path:
        path = self.folder / f"dvc-{cache.parent.name}.config"
        there = distant.storage(self.server, self._in_dvc(cache), network=self.subject.trusted)
        if self._store is not None:
            name = self.server.remote if self.server.store else there.remote
            there = Storage(there.cache, name, {"url": str(self._in_dvc(self._store))})
        path.touch(mode=0o600 if self.subject.trusted else 0o644)  # a login may be in it, which no branch is given
        path.write_text(there.config())
        return path

    @property
    def _store(self) -> Path | None:
        """The folder that is the store of this run; None of one that reaches a store elsewhere."""
        if self.server.store:
            return Path(self.server.store)
        return None if self.subject.trusted else distant.kept(self.server)

    def _named(self, commit: str) -> list[str]:
        """The commits whose data a pull request's run may need: its own, and what it is judged against."""
        refs = self.repository.refs(*registry.PLACES)
        known = [registry.fold(name, refs) for name in self.subject.settings.project.models]
        versions = [one for model in known for one in (model.newest, model.champion) if one]
        return [commit, self.subject.commit, self.subject.main, *(one.commit for one in versions)]

    def _in_dvc(self, folder: Path) -> Path:
        """What DVC is to call a folder in the jail: it takes braces for a place to fill in, and stumbles."""
        jailed = _jail(trust=self.server.trust or self.subject.trusted).kind != "none"
        if not jailed or BRACES.isdisjoint(str(folder)):
            return folder
        return jail.PLAIN / ("store" if folder == self._store else "cache")
