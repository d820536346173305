"""Where a git remote is: a folder of this machine, a repository on another one, or a forge."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward.git.repository import Repository

LOCAL = "local"
SSH = re.compile(r"ssh://(?P<login>[^/:]+|[^/]*\[[^/\]]+\])(?::(?P<port>\d+))?(?P<path>/.*)")
SCP = re.compile(r"(?P<login>[^/:]+):(?P<path>.+)")


@dataclass(frozen=True)
class Remote:
    """A git remote: the `folder` that it is where it is on this machine, else the `host` to log in to, if by ssh."""

    name: str
    url: str
    folder: Path | None = None
    host: str = ""
    port: str = ""
    path: str = ""

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


def of(repository: Repository, name: str = LOCAL) -> Remote | None:
    """The remote `name` of a clone, or None where it has none."""
    url = repository.git("remote", "get-url", name, check=False)
    return parse(name, url.text, repository.path) if url.returncode == 0 else None


def parse(name: str, url: str, root: Path) -> Remote:
    """The remote that git would reach at `url` from the clone at `root`."""
    if "://" in url and not url.startswith("file://"):
        ssh = SSH.fullmatch(url)
        return Remote(name, url, None, ssh["login"], ssh["port"] or "", ssh["path"]) if ssh else Remote(name, url)
    scp = SCP.fullmatch(url)
    if scp and not url.startswith("file://"):
        return Remote(name, url, None, scp["login"], "", scp["path"])
    return Remote(name, url, root / url.removeprefix("file://"))
