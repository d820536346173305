"""Store: whether all that DVC keeps of a version lies there whole. `versions` asks."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pushforward.policy.lock import STORED, Out
from pushforward.policy.objects import MOST_BYTES
from pushforward.policy.push import Push, typed
from pushforward.policy.refusal import PolicyError, shown

if TYPE_CHECKING:  # every push would wait for it, and few need it
    from pathlib import Path

AGAIN = "dvc push, then git push again"


def check(push: Push, target: str, kept: Iterable[Out]) -> None:
    """All that DVC keeps of this version is in the store, where that is a folder of this machine."""
    folder = typed(push.server, "store", str)
    if not folder:
        return
    from pathlib import Path

    store = Path(folder)
    for out in kept:
        if any(push.objects.find(f"{target}:{path}") for path in (out.path, *out.others)):
            continue  # git keeps it
        _whole(store, out)


def _whole(store: "Path", out: Out) -> None:
    """Refuse where the object of `out` is not there, or not all of it."""
    path, name = _place(store, out), shown(out.path)
    if not path.is_file():
        raise PolicyError(f"{name} is not in the store ({out.md5})", AGAIN)
    size = path.stat().st_size
    if out.md5.endswith(".dir"):
        _whole_folder(store, out, path.read_bytes() if size <= MOST_BYTES else b"")
    elif out.size not in {None, size}:
        raise PolicyError(f"{name} is cut off in the store ({out.md5})", AGAIN)


def _whole_folder(store: "Path", out: Out, listing: bytes) -> None:
    """Refuse where not all that the list of files of `out` names is there."""
    import hashlib

    name = shown(out.path)
    if hashlib.md5(listing, usedforsecurity=False).hexdigest() != out.md5.removesuffix(".dir"):
        raise PolicyError(f"{name} has a damaged list of files in the store ({out.md5})", AGAIN)
    total, members = 0, json.loads(listing)
    for member in members:
        md5, file = member["md5"], shown(str(member["relpath"]))
        if not isinstance(md5, str) or not STORED.fullmatch(md5):
            raise PolicyError(f"{name} has a list of files that cannot be read ({out.md5})", AGAIN)
        path = _place(store, out._replace(md5=md5))
        if not path.is_file():
            raise PolicyError(f"{name} lacks {file} in the store ({md5})", AGAIN)
        total += path.stat().st_size
    if out.size not in {None, total} or out.files not in {None, len(members)}:
        raise PolicyError(f"{name} is not whole in the store ({out.md5})", AGAIN)


def _place(store: "Path", out: Out) -> "Path":
    return store / out.store / out.md5[:2] / out.md5[2:]
