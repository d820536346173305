"""Uses: what the environments of a model hold now, as the refs that count say it; `follow` looks again and again.

Most looks find nothing new and cost one git process: of a repository on this machine a list of refs, of another one
what `git ls-remote` says. Only what has changed is read, and verified before anybody goes by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError
from pushforward.git import remote
from pushforward.git.repository import Repository
from pushforward.lifecycle import Serve
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority, transaction, trust
from pushforward.registry import tags as registry
from pushforward.release import bundle
from pushforward.release.chain import Evidence

NEAR_SECONDS = 0.5
FAR_SECONDS = 10.0


@dataclass(frozen=True)
class Use:
    """What the newest tag of an environment says: the version in use, "" where the environment is empty.

    `before` is the version that a rollback would put to use, "" where there is none.
    """

    tag: str
    object: str
    version: str
    commit: str
    before: str = field(default="", compare=False)


@dataclass(frozen=True)
class Told:
    """What the authority says of a model: its environments, what its default branch says of serving, and outcomes."""

    uses: Mapping[str, Use]
    serve: Serve
    outcomes: str


class Uses:
    """The environments of one model, as the authority of the repository in `root` has them."""

    def __init__(self, root: Path, model: str = "") -> None:
        self.root = root
        self._remote = remote.authority(Repository(root))
        with authority.of(root) as here:
            head = here.repository.commit("HEAD")
            self.model = Revision(here.repository, head, model).settings.model.name
        self.near = self._remote is None or self._remote.folder is not None
        self.seconds = NEAR_SECONDS if self.near else FAR_SECONDS

    def glance(self) -> str:
        """A text that is another one when a version was put to use, or the default branch has moved."""
        names = (f"refs/tags/{self.model}#*", f"refs/tags/{self.model}@*!")
        there = self._remote
        if there is None or there.folder is not None:
            folder = self.root if there is None else there.folder
            assert folder is not None  # noqa: S101, or it would be asked over the network
            form = "--format=%(objectname) %(refname)"
            done = Repository(folder).git("for-each-ref", form, *names, "refs/heads", check=False)
        else:
            done = Repository(self.root).remote("ls-remote", there.name, "HEAD", *names, check=False)
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise PushforwardError(f"the refs that count cannot be read: {said}", exit_code=TOOL)
        return done.text

    def read(self) -> Told:
        """What counts of the environments' tags, and the settings of the default branch."""
        with authority.of(self.root) as here:
            repository = here.repository
            rules = Revision(repository, repository.commit("HEAD"), self.model).settings
            known = registry.fold(self.model, repository.refs(*registry.PLACES))
            known = transaction.counting(self.root, known, rules.promote.environments, repository=repository)
            uses = {}
            for name in known.environments:
                last = known.uses(name)[-1]
                version = known.in_use(name)
                before = known.before(name) if version else None
                named = [one.name if one else "" for one in (version, before)]
                uses[name] = Use(last.name, last.tag, named[0], last.commit, named[1])
        monitor = rules.project.monitor
        return Told(uses, rules.serve, (monitor.outcomes if monitor else None) or "")

    def verify(self, use: Use) -> None:
        """Refuse a tag that nobody signed who may, or whose version's own tag does not hold.

        For a version whose bytes were verified before, and are loaded.
        """
        with authority.of(self.root) as here:
            version, used = bundle.find(here.repository, use.tag)
            of = Evidence(here.repository, version.name, lambda: trust.signers_file(self.root), clone=self.root)
            steps = bundle.steps(of, self.root, used)
            for name in ("use", "tag"):
                bundle.demand(name, steps[name])
            if (version.name, of.target) != (use.version, use.commit):
                raise PushforwardError(f"{use.tag} puts another version to use than a moment ago")
