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


def few(names: list[str]) -> str:
    """The first three of many names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
