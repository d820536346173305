"""A hub as a forge has it: it takes every tag, and who may sign is a file on its default branch."""

import shutil
from pathlib import Path
from typing import Any

FILE = ".github/allowed_signers"


def make(hub: Any) -> Any:
    """Take everything of a server away from a hub; its keys count as before."""
    own = hub.bare / "pushforward"
    hub.write(FILE, (own / "allowed_signers").read_text())
    shutil.rmtree(own)
    (hub.bare / "hooks" / "pre-receive").unlink()
    hub.git(hub.bare, "config", "--unset-all", "receive.hideRefs")
    hub.git(hub.clone, "add", "-A")
    hub.git(hub.clone, "commit", "-q", "-m", "Say whose signatures count")
    hub.git(hub.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    return hub


def forge(clone: Path, git: Any, *names: str, revision: str = "HEAD") -> None:
    """Push tags that nobody has signed."""
    for name in names:
        git(clone, "tag", "-a", "-m", f"{name}\n\n{{}}", name, f"{revision}^{{commit}}")
        git(clone, "push", "-q", "origin", f"refs/tags/{name}")
