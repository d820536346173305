"""Store: whether all that DVC keeps of a version lies there whole. `versions` asks."""

import json
from typing import TYPE_CHECKING

from pushforward.policy.lock import STORED, Out, outs
from pushforward.policy.objects import MOST_BYTES
from pushforward.policy.push import Push, typed
from pushforward.policy.refusal import PolicyError, shown

if TYPE_CHECKING:  # every push would wait for it, and few need it
    from pathlib import Path


def check(push: Push, target: str, lock: bytes) -> None:
    """All that DVC keeps of this version is in the store, where that is a folder of this machine."""
    folder = typed(push.server, "store", str)
    if not folder:
        return
    from pathlib import Path

    store = Path(folder)
    for out in outs(lock):
        if push.objects.find(f"{target}:{out.path}"):
            continue  # git keeps it
        why = _missing(store, out)
        if why:
            raise PolicyError(f"{shown(out.path)} {why}", "dvc push, then git push again")


def _missing(store: "Path", out: Out) -> str:
    """What is wrong with the object of `out`, "" for nothing."""
    path = _place(store, out)
    if not path.is_file():
        return f"is not in the store ({out.md5})"
    size = path.stat().st_size
    if not out.md5.endswith(".dir"):
        return "" if out.size is None or out.size == size else f"is cut off in the store ({out.md5})"
    import hashlib

    content = path.read_bytes() if size <= MOST_BYTES else b""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != out.md5.removesuffix(".dir"):
        return f"has a damaged list of files in the store ({out.md5})"
    total = 0
    members = json.loads(content)
    for member in members:
        if not isinstance(member["md5"], str) or not STORED.fullmatch(member["md5"]):
            return f"has a list of files that cannot be read ({out.md5})"
        one = _place(store, out._replace(md5=member["md5"]))
        if not one.is_file():
            return f"lacks {shown(str(member['relpath']))} in the store ({member['md5']})"
        total += one.stat().st_size
    if (out.size is not None and out.size != total) or (out.files is not None and out.files != len(members)):
        return f"is not whole in the store ({out.md5})"
    return ""


def _place(store: "Path", out: Out) -> "Path":
    return store / out.store / out.md5[:2] / out.md5[2:]
