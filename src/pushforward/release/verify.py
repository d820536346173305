"""The verification of a version: every hop of its chain of evidence, told as it is taken; then it is made again."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.gate.verdict import self_scored
from pushforward.git.refs import FOREIGN
from pushforward.git.repository import Repository
from pushforward.pipeline import fitted
from pushforward.pipeline.revision import Revision, settings_here
from pushforward.registry import authority, grammar, trust
from pushforward.registry import tags as registry
from pushforward.registry.tags import Assignment
from pushforward.release import chain, hop, rebuild, stored
from pushforward.release.chain import Evidence
from pushforward.release.entry import GOLDEN
from pushforward.release.hop import Hop, Steps
from pushforward.release.stored import Stored

TOOLS = ("git", "ssh-keygen")


@dataclass(frozen=True)
class Outcome:
    """What came of all hops of a version; no version and no hops where an environment holds none yet.

    `foreign` is what GTO has put there before, which nobody here has judged or signed.
    """

    version: str
    hops: tuple[Hop, ...]
    foreign: str = ""

    @property
    def exit_code(self) -> int:
        """0 where every hop holds, 5 where one is broken, 6 where one could not be taken for want of a tool."""
        broken = [hop for hop in self.hops if hop.ok is False]
        if not broken:
            return 0
        return TOOL if all(hop.tool for hop in broken) else POLICY

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        told = {"version": self.version, "ok": self.exit_code == 0, "hops": [hop.record() for hop in self.hops]}
        return told | ({"foreign": self.foreign} if self.foreign else {})


def models(root: Path) -> list[str]:
    """The models of the repository in `root` by name; one without a name, where it is alone."""
    found = settings_here(root)
    return list(found.project.models) if found.several else [""]


def verify(
    root: Path,
    version: str = "",
    *,
    in_use: str = "",
    model: str = "",
    quick: bool,
    say: Callable[[Hop], None],
    progress: Callable[[str], None],
) -> Outcome:
    """Take every hop of `version`, or of what is `in_use` in an environment; `say` gets each one as it is taken.

    Asks the server, or the remote of a clone, for tags and records; nothing that the clone has of them counts. With
    `quick` the version is not made again. Raises `PushforwardError` where there is no such version, or no git.
    """
    _check_tools()
    authority.refuse_mirror(Repository(root))
    with authority.of(root) as source, tempfile.TemporaryDirectory(prefix="pushforward-") as scratch:
        name, used = _name(source.repository, version, in_use, model)
        if not name or (in_use and used is None):
            return Outcome("", (), foreign=name)
        of = Evidence(source.repository, name, lambda: trust.signers_file(root), clone=root)
        there = Stored(of, root, source, Path(scratch), progress)
        hops: list[Hop] = []
        for one in hop.walk(_steps(of, root, used, there)):
            hops.append(one)
            say(one)
        if not quick:
            broken = [one.name for one in hops if not one.ok]
            if broken:
                # code that nobody vouches for is not run
                hops.append(Hop("rebuild", None, f"not made again: {', '.join(broken)} does not hold"))
            else:
                hops.append(hop.taken("rebuild", partial(_rebuild, there, Path(scratch) / "rebuild")))
            say(hops[-1])
    return Outcome(name, tuple(hops))


def _steps(of: Evidence, root: Path, used: Assignment | None, there: Stored) -> Steps:
    """Every hop that reads and runs nothing, in the order of the chain."""
    use = {"use": partial(chain.use, of, root, used)} if used else {}
    said = {name: partial(take, of) for name, take in chain.HOPS.items()}
    bytes_of: dict[str, Callable[[], str]] = {name: partial(take, there) for name, take in stored.HOPS.items()}
    if _scored_itself(of):
        bytes_of["test set"] = partial(stored.test_set, there)
    return use | said | bytes_of


def _scored_itself(of: Evidence) -> bool:
    """Whether the version rests on a table that its own run has scored; a verdict that cannot be read says nothing."""
    try:
        return self_scored(of.verdict)
    except PushforwardError:
        return False


def _rebuild(there: Stored, folder: Path) -> str:
    """The same bytes again, from raw data."""
    golden = None if there.of.statement.judged else there.of.file(GOLDEN)
    told = there.of.statement
    how = fitted.of({"fitted": dict(told.fitted)})
    return rebuild.rebuild(there.source, told.data, golden, folder=folder, progress=there.progress, how=how)


def _check_tools() -> None:
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise PushforwardError(f"{tool} is not installed", next="pushforward check", exit_code=TOOL)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise PushforwardError(
            f"ssh-keygen verifies nothing for the user {os.getuid()}, who has no name on this machine",
            next=f"useradd --uid {os.getuid()} NAME, or another user",
            exit_code=TOOL,
        ) from None


def _name(repository: Repository, version: str, in_use: str, model: str) -> tuple[str, Assignment | None]:
    """The tag of what was asked for, and the one that put it to use.

    Of an environment that holds nothing yet there is neither; what foreign tags have put there has none that does so.
    """
    whole = grammar.VERSION_TAG.fullmatch(version)
    if whole and _is_ours(repository, version):
        return version, None  # even where the registry is so broken that it cannot be read
    rules = Revision(repository, repository.commit("HEAD"), model).settings
    model = rules.model.name
    if whole and chain.tag_object(repository, version):
        model = whole["model"]  # a foreign one, of whatever model
    known = registry.fold(model, repository.refs(*registry.PLACES))
    if not in_use:
        wanted = f"{model}@v{version.removeprefix('v')}"
        return wanted if _is_ours(repository, wanted) else known.named(version).name, None
    there = sorted({*known.environments, *known.foreign_environments, *rules.promote.environments})
    if in_use not in there:
        raise PushforwardError(f"no environment is called {in_use!r:.80}", next=f"one of: {', '.join(there)}")
    used = known.in_use(in_use)
    return (used.name, known.uses(in_use)[-1]) if used else (known.foreign_use(in_use), None)


def _is_ours(repository: Repository, name: str) -> bool:
    """Whether there is a tag of that name which is not marked as foreign."""
    tag = chain.tag_object(repository, name)
    asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{FOREIGN}{name}")
    return bool(tag) and repository.git(*asked, check=False).text != tag
