"""A finding, the doctor's word on one thing: whether it is as it has to be, what was found, and what mends it."""

import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import PushforwardError

CANNOT = "cannot "  # how the line begins that tells of what could not be mended


@dataclass(frozen=True)
class Finding:
    """One precondition: whether it holds, what was found, and what mends it; `optional` can wait until it is needed."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    optional: bool = False


def mends(bare: Path) -> str:
    """The command that mends what can be mended without a choice in the server `bare`, from wherever it is typed."""
    return f"pushforward check --mend --bare {shlex.quote(str(bare))}"


def from_backup(bare: Path) -> str:
    """The commands that take the objects that no clone has from a backup of the server."""
    own = shlex.quote(f"{bare}/objects/")
    return f"cp -a BACKUP/objects/. {own}, BACKUP being a backup of the server, then {mends(bare)}"


def few(names: list[str], most: int = 3) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def guarded(name: str, bare: Path, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What there is to say of one thing; that it may not be read, or cannot, is a finding too."""
    try:
        yield from look()
    except PermissionError as refused:
        place = Path(refused.filename or bare)
        mend = f"sudo -u {_owner(bare)} pushforward check --bare {shlex.quote(str(bare))}"
        yield Finding(name, False, f"not looked at: {place} is not for you to read or write", mend, optional=True)
    except PushforwardError as wrong:
        yield Finding(name, False, " ".join(wrong.message.split()), wrong.next or mends(bare))
    except OSError as failed:
        there = shlex.quote(str(failed.filename or bare))
        told = f"{failed.filename or bare}: {failed.strerror or failed}"
        # what is no file, or no folder, where one has to be
        wrong_kind = isinstance(failed, (IsADirectoryError, NotADirectoryError, FileExistsError))
        mend = f"mv {there} {there}.aside, then pushforward init" if wrong_kind else f"df -h {there}; dmesg | tail"
        yield Finding(name, False, told, mend)


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return "OWNER"
