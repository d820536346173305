"""A finding, the doctor's word on one thing: whether it is as it has to be, what was found, and what mends it."""

import shlex
from dataclasses import dataclass
from pathlib import Path

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
