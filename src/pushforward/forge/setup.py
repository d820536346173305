"""The set-up of a forge's repository: planned whole, then done, the files as one commit; what `setup` and `check` call.

Rights and environments first, then the files, then the secrets, so that a key is nobody's before its line is pushed;
what closes the default branch comes last, for an empty repository gets it by the push.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pushforward import files as places
from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import files
from pushforward.forge.port import Act, Call, File, Forge, Secret, Step, Wanted
from pushforward.git import person
from pushforward.git import remote as remotes
from pushforward.git.environment import SERVICE, SERVICE_EMAIL
from pushforward.git.repository import Repository
from pushforward.project import workflows
from pushforward.registry import signers

BRANCH = "pushforward-setup"
TITLE = "Set up pushforward"
BODY = "What `pushforward setup` found missing: whose signatures count, whose approval the judge needs, the workflows."


@dataclass(frozen=True)
class Base:
    """The files of a forge's default branch at `base`, as a checkout at `root` to be thrown away.

    `empty` says that the forge has no such branch yet; `stale` is what a branch of an earlier set-up is at there.
    """

    clone: Repository
    remote: str
    base: str
    empty: bool
    stale: str
    root: Path


@dataclass(frozen=True)
class Plan:
    """What is to be done, in this order."""

    steps: tuple[Step, ...]
    files: tuple[Step, ...]
    rules: tuple[Step, ...]

    @property
    def every(self) -> tuple[Step, ...]:
        """Every step."""
        return (*self.steps, *self.files, *self.rules)

    @property
    def left(self) -> tuple[Step, ...]:
        """What only a person can do, and what does not work without it."""
        return tuple(step for step in self.every if step.by_hand and not step.optional)


def address(clone: Path) -> str:
    """Where the remote of a clone is, as a person has written it: `insteadOf` would hide the forge."""
    repository = Repository(clone)
    found = remotes.followed(repository)
    if found is None:
        raise PushforwardError(
            f"{clone} has no git remote", next="git remote add origin https://github.com/OWNER/REPO", exit_code=TOOL
        )
    return repository.git("config", "--get", f"remote.{found.name}.url").text


@contextlib.contextmanager
def opened(clone: Path, forge: Forge) -> Iterator[Base]:
    """The files that are on the default branch, or on their way there by the pull request of an earlier set-up."""
    repository = Repository(clone)
    remote = remotes.followed(repository)
    name = remote.name if remote else remotes.ORIGIN
    asked = [f"refs/heads/{branch}" for branch in (forge.branch, BRANCH)]
    listed = repository.remote("ls-remote", name, *asked, check=False)
    if listed.returncode != 0:
        said = listed.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise PushforwardError(f"{name} cannot be read: {said[0]}", next=f"git ls-remote {name}", exit_code=TOOL)
    heads = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.text.splitlines())}
    if heads:
        repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", name, *heads)
    main, earlier = heads.get(asked[0], ""), heads.get(asked[1], "")
    base = main or repository.commit("HEAD")
    if (
        main
        and earlier
        and repository.merge_tree(main, earlier)[0] != repository.git("rev-parse", f"{main}^{{tree}}").text
    ):
        base = earlier
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        root = Path(folder) / clone.name
        repository.copy(root, base)
        yield Base(repository, name, base, not main, earlier, root)


def plan(forge: Forge, at: Base, wanted: Wanted) -> Plan:
    """What the repository lacks. Nothing is changed."""
    signs, login = bool(files.judge_keys(at.root)), workflows.logs_in(at.root)
    wanted = replace(wanted, signs=signs, signer=_signer(at.clone), login=login)
    steps = tuple(forge.steps(wanted))
    return Plan(steps, tuple(forge.files(at.root, wanted)), tuple(forge.rules(wanted)))


def _signer(clone: Repository) -> tuple[str, str] | None:
    """Address and key of the person at work, where git knows with which they sign."""
    with contextlib.suppress(PushforwardError):
        return person.address(clone), signers.mine(clone)
    return None


def apply(forge: Forge, at: Base, planned: Plan, say: Callable[[str], None]) -> str:
    """Do what was planned; the address of the pull request that asks for the files, "" where there is none."""
    _calls(forge, planned.steps, say)
    made = [act for step in planned.files for act in step.acts if isinstance(act, File)]
    pull = _files(forge, at, made, say) if made or at.empty else ""
    for secret in (act for step in planned.steps for act in step.acts if isinstance(act, Secret)):
        forge.set_secret(secret)
        say(told(secret))
    _calls(forge, planned.rules, say)
    return pull


def _calls(forge: Forge, steps: Iterable[Step], say: Callable[[str], None]) -> None:
    for call in (act for step in steps for act in step.acts if isinstance(act, Call)):
        answer = forge.call(call)
        say(told(call))
        if call.then is not None:
            after = call.then(answer or {})
            forge.call(after)
            say(told(after))


def _files(forge: Forge, at: Base, made: list[File], say: Callable[[str], None]) -> str:
    """Push the files: as the default branch where there is none, else for a pull request."""
    branch = forge.branch if at.empty else BRANCH
    commit = _commit(at, made) if made else at.base
    lease = [f"--force-with-lease=refs/heads/{branch}:{at.stale}"] if at.stale and not at.empty else []
    done = at.clone.remote("push", "-q", *lease, at.remote, f"{commit}:refs/heads/{branch}", check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise PushforwardError(
            f"{at.remote} does not take {branch}: {' '.join(said)}",
            next="the same again, with the right to push",
            exit_code=TOOL,
        )
    for act in made:
        say(told(act))
    say(f"pushed   {commit[:9]} to {branch}")
    if at.empty:
        if at.clone.git("merge", "-q", "--ff-only", commit, check=False).returncode != 0:
            say(f"         your branch is behind: git pull {at.remote} {branch}")
        return ""
    asked = forge.open_pull(BRANCH, TITLE, BODY)
    if asked is None:
        return f"{forge.place}/pulls"
    opened = forge.call(asked)
    say(told(asked))
    return str((opened or {}).get("html_url") or (opened or {}).get("web_url") or f"{forge.place}/pulls")


def _commit(at: Base, made: list[File]) -> str:
    """The files as one commit of the person at work; the clone has it, and its work tree is as it was."""
    copy = Repository(at.root)
    for act in made:
        places.write(at.root, act.path, act.content())
        places.place(at.root, act.path).chmod(0o755 if act.runs else 0o644)
    copy.git("add", "-f", "--", *(act.path for act in made))
    name, email = person.identity(at.clone)
    who = {
        f"GIT_{role}_{part}": text or other
        for role in ("AUTHOR", "COMMITTER")
        for part, text, other in (("NAME", name, SERVICE), ("EMAIL", email, SERVICE_EMAIL))
    }
    why = "\n".join(f"{act.path} {act.why}." for act in made)
    copy.git("commit", "-q", "--no-verify", "-m", f"{TITLE}\n\n{why}", env=who)
    commit = copy.commit("HEAD")
    at.clone.git("fetch", "-q", "--no-tags", "--no-write-fetch-head", str(at.root), commit)
    return commit


# What is printed.


def expected(step: Step) -> Iterator[Act]:
    """The acts of a step, and the calls after them as they are to be expected."""
    for act in step.acts:
        yield act
        if isinstance(act, Call) and act.then is not None:
            yield act.then(None)


def told(act: Act) -> str:
    """An act in one line."""
    match act:
        case Call():
            return f"{act.method:<8} {act.path}: {act.why}"
        case Secret():
            where = f"the environment {act.scope}" if act.scope else "the repository"
            return f"secret   {act.name} of {where}: {act.why}"
        case File():
            return f"file     {act.path}: {act.why}"


def record(act: Act) -> dict[str, Any]:
    """An act for a program."""
    match act:
        case Call():
            return {"kind": "call", "method": act.method, "path": act.path, "body": act.body, "why": act.why}
        case Secret():
            return {"kind": "secret", "name": act.name, "scope": act.scope, "why": act.why}
        case File():
            return {"kind": "file", "path": act.path, "why": act.why}
