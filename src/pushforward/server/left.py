"""What hooks have left for the dispatcher, a file each: on a shared server everybody of the group writes there.

So it is hostile: nothing in it may end a dispatcher, or have it believe in what git has not.
"""

import contextlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pushforward.git.server import Server

ASIDE = "aside"  # what is damaged, and is kept for whoever looks after the server
MOST_BYTES = 64 << 20  # the history of a branch that was deleted is in one of them
NAME = re.compile(r"[\w.-]+\.json", re.ASCII)


def each(server: Server, folder: str) -> Iterator[tuple[Path, Any]]:
    """The files in a folder of the server's and the JSON in them, oldest first.

    What cannot be read now stays for the next time; what is no JSON is set aside.
    """
    place = server.folder / folder
    for path in sorted(path for path in place.glob("*.json") if NAME.fullmatch(path.name)):
        try:
            yield path, read(path)
        except OSError:
            continue
        except ValueError:
            set_aside(server, path)


def read(path: Path) -> Any:
    """The JSON in a file that others may have written. ValueError where it is none. No link is followed."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as handle:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise ValueError("no file")
        text = handle.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError("too long")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def set_aside(server: Server, path: Path) -> None:
    """Move a file that nobody can make anything of to where it is in nobody's way."""
    with contextlib.suppress(OSError):
        (server.folder / ASIDE).mkdir(exist_ok=True)
        path.rename(server.folder / ASIDE / f"{path.parent.name}-{path.name}")


def is_ref(ref: object, space: str) -> bool:
    """Whether a text can be a ref in a namespace, and leads to no file elsewhere."""
    if not isinstance(ref, str) or not ref.startswith(space) or not ref.isprintable():
        return False
    return {"", ".", ".."}.isdisjoint(ref.split("/"))


def is_object(text: object) -> bool:
    """Whether a text can be the name of an object."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{40}", text) is not None


def is_older(path: Path, seconds: float) -> bool:
    """Whether a file was written longer ago, or says that it will be."""
    try:
        return abs(time.time() - path.lstat().st_mtime) > seconds
    except OSError:
        return False
