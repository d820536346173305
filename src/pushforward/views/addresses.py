"""The addresses: the URL of a git remote -> where its forge shows a commit or a pull request; pure. For the pages.

Only of forges whose addresses are known; a link that leads nowhere is worse than none.
"""

import re
from dataclasses import dataclass

_SCHEME = re.compile(r"(?:https?|ssh|git\+ssh)://(?:[^/@]*@)?(?P<host>[A-Za-z0-9.-]+)(?::\d+)?/(?P<path>.+)")
_SCP = re.compile(r"(?:[^/@:]+@)?(?P<host>[A-Za-z0-9.-]+\.[A-Za-z]{2,}):(?P<path>[^/].*)")
_PATH = re.compile(r"[\w.~-]+(?:/[\w.~-]+)+")
# By a word in the host's name: where commits are, and where pull requests are.
_KINDS = {
    "github": ("commit", "pull"),
    "gitlab": ("-/commit", "-/merge_requests"),
    "codeberg": ("commit", "pulls"),
    "forgejo": ("commit", "pulls"),
    "gitea": ("commit", "pulls"),
}


@dataclass(frozen=True)
class Forge:
    """A repository on a forge: its host, its page, and where those of commits and pull requests lie."""

    name: str = ""
    home: str = ""
    commits: str = ""
    pulls: str = ""

    def commit(self, sha: str) -> str:
        """The page of a commit; "" where no forge is known."""
        return f"{self.commits}/{sha}" if self.home else ""

    def pull(self, number: int) -> str:
        """The page of a pull request; "" where no forge is known."""
        return f"{self.pulls}/{number}" if self.home else ""


def of(url: str) -> Forge:
    """The forge of a remote; an empty one where it is a folder, another program, or a host of unknown kind."""
    found = _SCHEME.fullmatch(url) or _SCP.fullmatch(url)
    if found is None:
        return Forge()
    host, path = found["host"].lower(), found["path"].rstrip("/").removesuffix(".git")
    kind = next((kind for kind in _KINDS if kind in host.split(".") or host.startswith(f"{kind}-")), "")
    if not kind or not _PATH.fullmatch(path) or ".." in path.split("/"):
        return Forge()
    home = f"https://{host}/{path}"
    commits, pulls = _KINDS[kind]
    return Forge(host, home, f"{home}/{commits}", f"{home}/{pulls}")
