"""The refs that count: a server's own, or all that a remote has, in a mirror for the moment. Never those of a clone."""

import contextlib
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError
from pushforward.git import remote
from pushforward.git.refs import FOREIGN, HEADS, HOLDOUTS, MONITORED, NOTES, REGISTRY, REPORTS, TAGS, foreign
from pushforward.git.remote import LOCAL, Remote
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER, Server

HERE = "this repository"
MIRRORED = ("refs/heads/*", "refs/tags/*", "refs/pushforward/*")


@dataclass(frozen=True)
class Authority:
    """A repository that holds every branch, tag and ref of the registry. `server` where it is one on this machine."""

    repository: Repository
    server: Server | None
    source: str


@dataclass(frozen=True)
class Reading:
    """A repository whose history counts: `source` is what it is called here, `name` there; `head` its default branch.

    `lacks` is what is not known of it, and what to do about that.
    """

    repository: Repository
    source: str
    name: str
    head: str = "HEAD"
    lacks: str = ""


@contextlib.contextmanager
def of(root: Path) -> Iterator[Authority]:
    """The authority of the repository in `root`: it itself, or of a clone the remote that `git.remote` tells.

    A server on this machine is read where it is. Of any other remote everything is fetched into a temporary mirror;
    `PushforwardError` where that fails, for what is missing there would look as if nobody needed it.
    """
    with _read(Repository(root)) as found:
        if found.repository.resolve("HEAD") is None:
            raise _headless(found)
        yield found


def is_mirror(repository: Repository) -> bool:
    """Whether it is a bare repository that is no server: a mirror, or what a backup of git alone has kept."""
    asked = repository.git("rev-parse", "--is-bare-repository", "--absolute-git-dir", check=False).text.split("\n")
    return asked[0] == "true" and not Path(asked[-1], FOLDER, "server.json").is_file()


def refuse_mirror(repository: Repository) -> None:
    """Refuse a bare repository that is no server: where the objects of its versions are, it does not say."""
    if is_mirror(repository):
        place = shlex.quote(str(repository.path))
        raise PushforwardError(
            f"{repository.path} is a bare repository and no server: a mirror, or a backup of git's part alone",
            next=f"the same in a clone of the server; or, to make a server of it: git clone -o local {place} ../again "
            "&& cd ../again && pushforward init",
        )


def _headless(found: Authority) -> PushforwardError:
    """Why an authority has no default branch: unreadable, of another branch, or really empty."""
    there = found.repository.git("for-each-ref", "--format=%(refname:short)", "refs/heads", check=False)
    if there.returncode != 0:
        said = there.stderr.decode("utf-8", "replace").strip().splitlines()[:1] or ["git gave no reason"]
        return PushforwardError(
            f"{found.source} cannot be read: {said[0]}", next=f"{found.repository.typed} for-each-ref", exit_code=TOOL
        )
    if branches := there.text.splitlines():
        head = found.repository.git("symbolic-ref", "--short", "HEAD", check=False).text or "HEAD"
        return PushforwardError(
            f"{found.source} has no branch {head}, which its HEAD names; it has {', '.join(branches[:3])}",
            next=f"git push local HEAD:{head}, or in {found.source}: git symbolic-ref HEAD refs/heads/{branches[0]}",
        )
    refs = found.repository.names(TAGS, FOREIGN)
    if foreign(refs) != {name.removeprefix(TAGS) for name in refs if name.startswith(TAGS)}:
        return PushforwardError(f"{found.source} has tags, and no branch any more", next="git push local main")
    return PushforwardError(f"nothing was pushed to {found.source} yet", next="git push local main")


def reading(root: Path, models: Iterable[str] = (), *refs: str) -> Reading:
    """Where the history of the repository in `root` is read: in it itself, or as the remote that counts has it now.

    A bare repository on this machine is read where it is. What any other remote has of reports, pictures, looks and
    registry, and of the tags of `models`, is fetched into the clone, under the names that it has there: as `git fetch`
    does with branches; and so is what begins with `refs`. Where that cannot be, the clone is read as it is, and `lacks`
    says so.
    """
    repository = Repository(root)
    there = remote.authority(repository)
    if there is None:
        return here(repository)
    name = there.url.rstrip("/").rpartition("/")[2]
    if there.folder is not None and _is_readable(there.folder):
        return Reading(Repository(there.folder), there.name, name)
    lacks = _fetched(repository, there, models, refs)
    head = f"refs/remotes/{there.name}/HEAD"
    return Reading(repository, there.name, name, head if repository.resolve(head) else "HEAD", lacks)


def _is_readable(folder: Path) -> bool:
    """Whether a folder is a bare repository that git reads for us: one of another user's it may refuse."""
    bare = (folder / "HEAD").is_file()
    return bare and Repository(folder).git("rev-parse", "--git-dir", check=False).returncode == 0


def here(repository: Repository, lacks: str = "") -> Reading:
    """A repository that is read as it is."""
    return Reading(repository, HERE, repository.path.resolve().name, lacks=lacks)


def _fetched(repository: Repository, there: Remote, models: Iterable[str], refs: Iterable[str]) -> str:
    """Fetch what is read of a remote; why that could not be, and what to do, or ""."""
    name, marks = there.name, (FOREIGN,) if there.is_server else ()  # on a forge whoever pushes could mark a tag
    specs = [f"+{ref}*:{ref}*" for ref in (NOTES, REPORTS, HOLDOUTS, MONITORED, *marks, *_tags(models), *refs)]
    specs.append(f"{REGISTRY}*:{REGISTRY}*")  # no plus: it only grows, here too
    head = f"refs/remotes/{name}/HEAD"
    default = repository.git("symbolic-ref", "-q", head, check=False).text
    if branch := default.removeprefix(f"refs/remotes/{name}/"):
        specs.append(f"+{HEADS}{branch}*:{default}*")  # a pattern: an empty remote is no error
    done = repository.remote("fetch", "--no-tags", "--no-write-fetch-head", name, *specs, check=False)
    if done.returncode == 0:
        return ""
    if b"non-fast-forward" in done.stderr:
        why = f"git fetch {name} +{REGISTRY}:{REGISTRY}, if you know why"
        return f"the registry of {name} went back to something older, or was made anew; next: {why}"
    return f"{name} cannot be asked, so what it has beside this is not known; next: git ls-remote {name}"


def _tags(models: Iterable[str]) -> Iterator[str]:
    for model in models:
        yield from (f"{TAGS}{model}@", f"{TAGS}{model}#")


@contextlib.contextmanager
def _read(repository: Repository) -> Iterator[Authority]:
    if bare := remote.itself(repository):
        yield Authority(Repository(bare), _server(bare), str(bare))
        return
    there = remote.followed(repository)
    if there is None:
        raise PushforwardError(
            f"{repository.path} has no git remote '{LOCAL}' or 'origin' to ask", next="pushforward init"
        )
    url = str(there.folder.resolve()) if there.folder is not None else there.url
    if there.folder is not None and (server := _server(there.folder)) is not None:
        yield Authority(Repository(Path(url)), server, url)
        return
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        yield Authority(_mirror(repository, url, Path(folder) / "mirror.git", marked=there.is_server), None, url)


def _server(bare: Path) -> Server | None:
    return Server.load(bare) if (bare / FOLDER / "server.json").is_file() else None


def _mirror(clone: Repository, url: str, folder: Path, *, marked: bool) -> Repository:
    """A bare repository with all that the remote at `url` has, which borrows the objects that `clone` has already.

    What is `marked` as foreign comes from a server alone: on a forge anybody could mark a version so.
    """
    clone.git("init", "-q", "--bare", str(folder))
    partial = clone.git("config", "--get", "extensions.partialClone", check=False).text
    if not partial and clone.git("rev-parse", "--is-shallow-repository").text == "false":
        whole = Path(clone.git("rev-parse", "--path-format=absolute", "--git-path", "objects").text)
        (folder / "objects" / "info" / "alternates").write_text(f"{whole}\n")
    mirror = Repository(folder)
    specs = [f"+{pattern}:{pattern}" for pattern in MIRRORED] + ([] if marked else [f"^{FOREIGN}*"])
    fetched = mirror.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", url, *specs, check=False)
    head = mirror.remote("ls-remote", "--symref", url, "HEAD", check=False)
    if fetched.returncode != 0 or head.returncode != 0:
        said = (fetched if fetched.returncode else head).stderr.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in said if line.startswith("fatal:")), said[-1] if said else "no reason")
        raise PushforwardError(
            f"{url} cannot be read, and only it knows every version: {why}",
            next=f"git ls-remote {shlex.quote(url)}",
            exit_code=TOOL,
        )
    branch = head.text.split()
    if branch[:1] == ["ref:"]:
        mirror.git("symbolic-ref", "HEAD", branch[1])
    return mirror
