"""Whether git can read a repository, and DVC, which reads git by itself: form of objects and refs, owner."""

import re
import shlex
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError
from pushforward.git.repository import AS_SHA1, Repository

AS_FILES = "git refs migrate --ref-format=files, with git 2.46 or newer"
# What git says of settings that it cannot read, or of which it can make nothing; and in which file they are.
SETTINGS = re.compile(r"bad (?:numeric |boolean )?config [^\n]+|unable to parse '[^\n]+' from [^\n]+")
FILE = re.compile(r"in file '?([^'\n:]+)")
UNKNOWN = ("unknown repository extension", "Expected git repo version")


def refusal(repository: Repository) -> PushforwardError | None:
    """Why nothing can be made of a repository, with what makes it one that can be read; None where it is one."""
    said = repository.git("rev-parse", "--show-object-format", "--absolute-git-dir", check=False)
    refused, path = said.stderr.decode("utf-8", "replace"), repository.path
    kind, _, folder = said.text.partition("\n")
    # a git that is older than reftables says that it does not know refstorage
    if "refstorage" in refused.lower() or (said.returncode == 0 and (Path(folder) / "reftable").is_dir()):
        return PushforwardError(f"{path} has refs in a reftable, which DVC cannot read", next=AS_FILES)
    if kind == "sha256":
        return PushforwardError(f"{path} has objects named by SHA-256, which DVC cannot read", next=AS_SHA1)
    if "dubious ownership" in refused:
        return PushforwardError(
            f"{path} belongs to another user, and git reads it only where you have said that it may",
            next=f"git config --global --add safe.directory {shlex.quote(str(path.absolute()))}",
            exit_code=TOOL,
        )
    if broken := SETTINGS.search(refused):
        file = FILE.search(broken[0])
        look = "git config --list --show-origin"
        return PushforwardError(
            f"git cannot read its settings: {broken[0]}",
            next=f"edit {shlex.quote(file[1])}, as {look} says" if file else look,
            exit_code=TOOL,
        )
    if any(word in refused for word in UNKNOWN):
        what = refused.strip().removeprefix("fatal: ").replace("\n", " ").replace("\t", "")
        return PushforwardError(
            f"this git is older than what made {path}: {what}", next="install a newer git", exit_code=TOOL
        )
    return None


def check(repository: Repository) -> None:
    """Refuse a repository of which nothing can be made."""
    if (why := refusal(repository)) is not None:
        raise why
