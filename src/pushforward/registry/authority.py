"""The refs that count: a server's own, or all that a remote has, in a mirror for the moment. Never those of a clone."""

import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError
from pushforward.git import remote
from pushforward.git.refs import FOREIGN, NOTES, TAGS, foreign
from pushforward.git.remote import LOCAL
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER, Server

MIRRORED = ("refs/heads/*", "refs/tags/*", "refs/pushforward/*")


@dataclass(frozen=True)
class Authority:
    """A repository that holds every branch, tag and ref of the registry. `server` where it is one on this machine."""

    repository: Repository
    server: Server | None
    source: str


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
        place = shlex.quote(str(found.repository.path))
        return PushforwardError(
            f"{found.source} cannot be read: {said[0]}", next=f"git -C {place} for-each-ref", exit_code=TOOL
        )
    if branches := there.text.splitlines():
        head = found.repository.git("symbolic-ref", "--short", "HEAD", check=False).text or "HEAD"
        return PushforwardError(
            f"{found.source} has no branch {head}, which its HEAD names; it has {', '.join(branches[:3])}",
            next=f"git push local HEAD:{head}, or in {found.source}: git symbolic-ref HEAD refs/heads/{branches[0]}",
        )
    refs = {ref.name: ref.object for ref in found.repository.refs(TAGS, FOREIGN)}
    if foreign(refs) != {name.removeprefix(TAGS) for name in refs if name.startswith(TAGS)}:
        return PushforwardError(f"{found.source} has tags, and no branch any more", next="git push local main")
    return PushforwardError(f"nothing was pushed to {found.source} yet", next="git push local main")


def lacks(repository: Repository, model: str) -> str:
    """What a clone has not fetched of its remote's registry and reports, and how to; "" where it has all of it.

    The remote is asked only by a clone that has cause to doubt: one with no version, without tags, or cut short.
    """
    try:
        there = remote.followed(repository)
    except PushforwardError as open_question:
        return f"{open_question.message}; next: {open_question.next}"
    here = {ref.name: ref.object for ref in repository.refs("refs/tags", NOTES, FOREIGN)}
    mine = (f"refs/tags/{model}@", f"refs/tags/{model}#")
    known = any(ref.startswith(mine) for ref in here)
    if there is None or (known and NOTES in here and not _is_cut(repository, there.name)):
        return ""
    name, marks = there.name, [f"{FOREIGN}*"] if there.is_server else []
    listed = repository.remote("ls-remote", name, *(f"{prefix}*" for prefix in mine), NOTES, *marks, check=False)
    if listed.returncode != 0:
        return f"{name} cannot be asked, so what it has beside this is not known; next: git ls-remote {name}"
    found = dict(line.split("\t")[::-1] for line in listed.text.splitlines() if "^" not in line)
    absent = [ref for ref, identity in found.items() if here.get(ref) != identity]
    tags = sum(ref.startswith(mine) for ref in absent)
    parts = [f"{tags} tag{'s' if tags != 1 else ''} of {model}"] if tags else []
    parts += ["its reports"] if NOTES in found and NOTES not in here else []
    marked = any(ref.startswith(FOREIGN) for ref in absent)
    parts += ["which of them are foreign"] if marked else []
    told = " and ".join(", ".join(parts).rsplit(", ", 1))
    return f"this clone lacks {told} of {name}; next: {fetching(name, marked=marked)}" if parts else ""


def fetching(name: str, *, marked: bool = False) -> str:
    """What fetches the registry and the reports of a remote, whatever a clone is set to leave out."""
    marks = f" '+{FOREIGN}*:{FOREIGN}*'" if marked else ""
    return f"git fetch {name} 'refs/tags/*:refs/tags/*' '+{NOTES}*:{NOTES}*'{marks}"


def fetching_here(repository: Repository) -> str:
    """The same for the remote of a clone."""
    there = remote.followed(repository)
    return f"{fetching(there.name if there else LOCAL)}, then this again"


def _is_cut(repository: Repository, name: str) -> bool:
    if repository.git("rev-parse", "--is-shallow-repository").text == "true":
        return True
    return repository.git("config", "--get", f"remote.{name}.tagOpt", check=False).text == "--no-tags"


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
