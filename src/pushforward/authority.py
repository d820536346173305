"""The refs that count: a server's own, or all that a remote has, in a mirror for the moment. Never those of a clone."""

import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError
from pushforward.git import Repository
from pushforward.init import Server
from pushforward.remote import LOCAL
from pushforward.trust import FOLDER

MIRRORED = ("refs/heads/*", "refs/tags/*", "refs/pushforward/*")


@dataclass(frozen=True)
class Authority:
    """A repository that holds every branch, tag and ref of the registry. `server` where it is one on this machine."""

    repository: Repository
    server: Server | None
    source: str


@contextlib.contextmanager
def of(root: Path) -> Iterator[Authority]:
    """The authority of the repository in `root`: itself where it is bare, else its remote `local`, or `origin`.

    A server on this machine is read where it is. Of any other remote everything is fetched into a temporary mirror;
    `PushforwardError` where that fails, for what is missing there would look as if nobody needed it.
    """
    with _read(Repository(root)) as found:
        if found.repository.resolve("HEAD") is None:
            if some := found.repository.refs("refs/heads/"):  # an error where git cannot read it
                branch = some[0].name.removeprefix("refs/heads/")
                git = f"git --git-dir={shlex.quote(str(found.repository.path))}"
                raise PushforwardError(
                    f"{found.source} has no branch that its HEAD names, and has {branch}",
                    next=f"git push local main; or {git} symbolic-ref HEAD refs/heads/{branch}, on the server",
                )
            raise PushforwardError(f"nothing was pushed to {found.source} yet", next="git push local main")
        yield found


@contextlib.contextmanager
def _read(repository: Repository) -> Iterator[Authority]:
    if repository.git("rev-parse", "--is-bare-repository").text == "true":
        bare = Path(repository.git("rev-parse", "--absolute-git-dir").text)
        yield Authority(Repository(bare), _server(bare), str(bare))
        return
    url = remote_of(repository)
    if (server := _server(Path(url))) is not None:
        yield Authority(Repository(Path(url)), server, url)
        return
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        yield Authority(_mirror(repository, url, Path(folder) / "mirror.git"), None, url)


def remote_of(repository: Repository) -> str:
    """The address of the remote that the registry of a clone is in."""
    names = repository.git("remote").text.split()
    name = next((name for name in (LOCAL, "origin") if name in names), names[0] if len(names) == 1 else "")
    if not name:
        raise PushforwardError(
            f"{repository.path} has no git remote '{LOCAL}' or 'origin' to ask", next="pushforward init"
        )
    url = repository.git("remote", "get-url", name).text.removeprefix("file://")
    path = repository.path / url
    return str(path.resolve()) if "://" not in url and path.is_dir() else url


def _server(bare: Path) -> Server | None:
    return Server.load(bare) if (bare / FOLDER / "server.json").is_file() else None


def _mirror(clone: Repository, url: str, folder: Path) -> Repository:
    """A bare repository with all that the remote at `url` has, which borrows the objects that `clone` has already."""
    clone.git("init", "-q", "--bare", str(folder))
    partial = clone.git("config", "--get", "extensions.partialClone", check=False).text
    if not partial and clone.git("rev-parse", "--is-shallow-repository").text == "false":
        whole = Path(clone.git("rev-parse", "--path-format=absolute", "--git-path", "objects").text)
        (folder / "objects" / "info" / "alternates").write_text(f"{whole}\n")
    mirror = Repository(folder)
    specs = [f"+{pattern}:{pattern}" for pattern in MIRRORED]
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
