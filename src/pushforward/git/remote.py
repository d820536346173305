"""The remote of a clone: which one is its authority, and where that is. Every verb that asks, asks here.

A remote is a folder of this machine, a repository on another one, or a forge.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pushforward.errors import PushforwardError
from pushforward.git import reading, whereabouts
from pushforward.git.repository import Repository

LOCAL, ORIGIN = "local", "origin"
SSH = re.compile(r"ssh://(?P<login>[^/:]+|[^/]*\[[^/\]]+\])(?::(?P<port>\d+))?(?P<path>/.*)")
SCP = re.compile(r"(?P<login>[^/:]+):(?P<path>[^:].*)")
HELPER = re.compile(r"[A-Za-z0-9]+::.*")  # `ext::command`: a program of that name reaches it
FILE = "file://"


@dataclass(frozen=True)
class Remote:
    """A git remote: the `folder` that it is where it is on this machine, else the `host` to log in to, if by ssh."""

    name: str
    url: str
    folder: Path | None = None
    host: str = ""
    port: str = ""
    path: str = ""

    @property
    def is_server(self) -> bool:
        """Whether it is a server of ours: what is called `local`, wherever that is, else a folder that is one.

        Anything else is a forge: whoever may push there may push any tag.
        """
        return self.name == LOCAL or (self.folder is not None and is_server(self.folder))

    def command(self, words: str, *, reads: str = "") -> str:
        """What to type here to have `words` done there, in the repository, with the file `reads` as its input."""
        if not self.host:
            return f"{words} --bare PATH, on the machine of {self.url}"
        port = f" -p {self.port}" if self.port else ""
        there = shlex.quote(f"{words} --bare {shlex.quote(self.path)}")
        return f"ssh{port} {shlex.quote(self.host)} {there}" + (f" < {reads}" if reads else "")

    def gives_back(self, clone: Path, tags: Sequence[str]) -> str:
        """The command by which its owner takes tags of a clone that it has lost: the policy takes no old ones."""
        specs = shlex.join([f"refs/tags/{name}:refs/tags/{name}" for name in tags[:20]])
        place = shlex.quote(str(self.folder or "SERVER.git"))
        return f"git --git-dir={place} fetch {shlex.quote(str(clone))} {specs}, as its owner"


def authority(repository: Repository) -> Remote | None:
    """The remote whose refs count for `repository`; None where nobody's do, or those of the repository itself.

    That is `local`, else `origin`, else the only one that there is: several others are refused, for none of them is
    more than the next. Where that remote is, is as git would have it: from `url` as `insteadOf` rewrites it, a relative
    path from the top of the work tree, a link as it stands. `pushurl` and `pushInsteadOf` are other roads to the same
    repository, and not asked. A repository that is `itself` the authority has none, whatever it is cloned from.
    """
    return reading.once(repository.path, "authority", lambda: None if itself(repository) else followed(repository))


def itself(repository: Repository) -> Path | None:
    """The git folder of `repository` where that is its own authority, else None.

    It is so in a server and in a work tree of one, in a mirror, which has every ref, and in a bare repository without
    a remote. What `git clone --bare` brings is no more than a clone.
    """
    return reading.once(repository.path, "itself", lambda: _itself(repository))


def _itself(repository: Repository) -> Path | None:
    asked = ("rev-parse", "--path-format=absolute", "--is-bare-repository", "--git-common-dir")
    done = repository.git(*asked, check=False)
    if done.returncode != 0:
        return None
    bare, _, common = done.text.partition("\n")
    if is_server(Path(common)):
        return Path(common)
    if bare != "true":
        return None
    remote = followed(repository)
    return Path(common) if remote is None or _is_mirror(repository, remote.name) else None


def followed(repository: Repository) -> Remote | None:
    """The remote that a repository comes from, by the rule of `authority`, also where it is a server or a mirror."""
    return reading.once(repository.path, "followed", lambda: _followed(repository))


def _followed(repository: Repository) -> Remote | None:
    names = repository.git("remote", check=False).text.split()
    for name in (LOCAL, ORIGIN):
        if name in names:
            return of(repository, name)
    if len(names) > 1:
        raise PushforwardError(
            f"{repository.path} has the git remotes {', '.join(names)}, and none is called {LOCAL} or {ORIGIN}: "
            "which of them counts is open",
            next=f"git remote rename {names[0]} {ORIGIN}, if that is the one",
        )
    return of(repository, names[0]) if names else None


def of(repository: Repository, name: str = LOCAL) -> Remote | None:
    """The remote `name` of a clone, or None where it has none."""
    url = repository.git("remote", "get-url", name, check=False)
    if url.returncode != 0:
        return None
    found = parse(name, url.text, repository.path)
    if found.folder is None or Path(url.text).is_absolute() or url.text.startswith(FILE):
        return found
    top = repository.git("rev-parse", "--show-toplevel", check=False)  # there is none in a bare repository
    if top.returncode != 0 or Path(top.text).samefile(repository.path):
        return found
    return parse(name, url.text, Path(top.text))


def is_server(folder: Path) -> bool:
    """Whether the repository in `folder` is a server of ours, be it a damaged one."""
    return (folder / "HEAD").is_file() and (folder / whereabouts.SETTINGS.parent).is_dir()


def parse(name: str, url: str, root: Path) -> Remote:
    """The remote that git would reach at `url` from the clone at `root`."""
    if url.startswith(FILE):
        path = url.removeprefix(FILE).partition("/")[2]  # the machine before it is this one, whatever its name
        return Remote(name, url, Path("/", unquote(path)))
    if "://" in url:
        ssh = SSH.fullmatch(url)
        return Remote(name, url, None, ssh["login"], ssh["port"] or "", ssh["path"]) if ssh else Remote(name, url)
    if HELPER.fullmatch(url):
        return Remote(name, url)
    if scp := SCP.fullmatch(url):
        return Remote(name, url, None, scp["login"], "", scp["path"])
    return Remote(name, url, _folder(root / url))


def _folder(path: Path) -> Path:
    """The folder that git takes for `path`, which need not say `.git`."""
    whole = path.with_name(f"{path.name}.git") if path.name not in {"", ".."} else path
    return whole if not path.is_dir() and whole.is_dir() else path


def _is_mirror(repository: Repository, name: str) -> bool:
    return repository.git("config", "--get", f"remote.{name}.mirror", check=False).text == "true"
