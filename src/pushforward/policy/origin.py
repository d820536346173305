"""Origin of this server: at its place, moved, or a copy of one that is still there. `hook` asks before all else."""

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any

from pushforward.policy.push import FOLDER, typed

if TYPE_CHECKING:  # every push would wait for it, and few need it
    from pathlib import Path


def original(server: dict[str, Any]) -> str:
    """The server that this one is a copy of; empty where it is at its place, or was moved from there.

    The store's list of servers says where one that was moved has written itself down since.
    """
    place, here = typed(server, "place", str), os.getcwd()
    if place == here:
        return ""
    from pathlib import Path

    identity, store = typed(server, "id", str), typed(server, "store", str)
    try:
        if os.path.samefile(here, place):
            return ""
        if _identity(Path(place)) == identity:
            return str(place)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError):  # something is there, and nobody can say that it is another server
        return str(place)
    for note in sorted(Path(store, "servers").glob("*")) if store else ():
        with contextlib.suppress(OSError, ValueError):
            other = Path(note.read_text(encoding="utf-8").removesuffix("\n"))
            if _identity(other) == identity and not other.samefile(here):
                return str(other)
    return ""


def _identity(bare: "Path") -> str | None:
    """What tells the server in `bare` from every other one."""
    known = json.loads((bare / FOLDER / "server.json").read_text(encoding="utf-8"))
    return known.get("id") if isinstance(known, dict) else None
