"""Where a server is: the place it was made for, another one that it was moved to, or beside the server it is a copy of.

The policy hook asks the same of itself, with the standard library alone.
"""

import contextlib
import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pushforward import files
from pushforward.errors import POLICY, PushforwardError

SETTINGS = Path("pushforward", "server.json")
# Lists of paths are cut at a colon, and many a file has one path a line.
UNFIT = r"[:\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]"  # compiled where it is asked: a hook reads this too
GONE = (FileNotFoundError, NotADirectoryError)


def original(bare: Path, known: Mapping[str, Any]) -> Path | None:
    """The server that the one in `bare`, which says `known` of itself, is a copy of; None where it is that itself.

    A server whose place is empty now has been moved, unless it has written itself down elsewhere since, as the store's
    list of servers tells; one that is at its place by another name is at its place.
    """
    place = Path(str(known.get("place", "")))
    if not known.get("id") or place == Path(os.path.realpath(bare)):
        return None
    try:
        if place.samefile(bare):
            return None
        there = json.loads((place / SETTINGS).read_text(encoding="utf-8"))
        if isinstance(there, dict) and there.get("id") == known["id"]:
            return place
    except GONE:
        pass
    except (OSError, ValueError):  # something is there, and nobody can say that it is another server
        return place
    return next((one for one in _claims(str(known.get("store", ""))) if _is_it(one, bare, known["id"])), None)


def claim(store: Path, bare: Path, *, instead: Path | None = None) -> None:
    """Note that the server in `bare` keeps its objects in `store`: what it needs, no other may take for garbage.

    `instead` is where it was before, or the server that it is a copy of, whose objects are not here.
    """
    place = named(bare)
    files.write(store, _note(place), f"{place}\n".encode())
    if instead is not None and named(instead) != place:
        files.remove(store, _note(named(instead)))


def named(bare: Path) -> Path:
    """The one name that a store has for the server in `bare`, whatever link a clone reaches that by."""
    return Path(os.path.realpath(bare))


def claims(store: Path) -> dict[Path, Path]:
    """The servers that keep their objects in `store` -> the file that says so."""
    folder = files.place(store, "servers")
    notes = list(files.plain(store, "servers")) if folder.is_dir() else []
    return {Path(note.read_text().removesuffix("\n")): note for note in notes}


def _note(place: Path) -> str:
    return f"servers/{hashlib.sha256(str(place).encode()).hexdigest()[:16]}"


def _claims(store: str) -> list[Path]:
    """The servers that keep their objects in the folder `store`."""
    found = []
    for note in sorted(Path(store, "servers").glob("*")) if store else ():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.append(Path(note.read_text(encoding="utf-8").removesuffix("\n")))
    return found


def _is_it(other: Path, bare: Path, identity: str) -> bool:
    """Whether the server of that identity is in `other`, and that is not `bare`."""
    with contextlib.suppress(OSError, ValueError):
        there = json.loads((other / SETTINGS).read_text(encoding="utf-8"))
        return isinstance(there, dict) and there.get("id") == identity and not other.samefile(bare)
    return False


def beside(path: str, place: str, bare: Path) -> Path:
    """What lies to `bare` as `path` lay to `place`: where it is if both were moved together."""
    return Path(os.path.normpath(Path(os.path.realpath(bare), os.path.relpath(path, place))))


def refuse_copy(bare: Path, known: Mapping[str, Any]) -> None:
    """Refuse a server that is a copy of one that is still there: both would act on the same store, in one name."""
    if (first := original(bare, known)) is not None:
        come = f"git remote set-url local {shlex.quote(str(bare))} && pushforward init"
        raise PushforwardError(
            f"{bare} is a copy of the server {first}, which is still there, and does nothing in its name",
            next=f"{come}, in a clone: a server of its own from then on",
            exit_code=POLICY,
        )


def headless(bare: Path) -> str:
    """What is wrong with the HEAD of a bare repository, without which git takes it for none; "" for nothing."""
    path = bare / "HEAD"
    if not path.is_file():
        return "is missing, and git takes the folder for no repository"
    text = path.read_text(encoding="utf-8", errors="replace")
    named = text.startswith("ref: refs/") or re.fullmatch(r"[0-9a-f]{40,64}\s*", text)
    return "" if named else "is damaged, and git takes the folder for no repository"


def gutted(bare: Path) -> list[str]:
    """The folders that a bare repository has lost, and without which git takes it for none."""
    return [name for name in ("objects", "refs") if not (bare / name).is_dir()]


def refuse_gutted(bare: Path) -> None:
    """Refuse a server that has lost a folder, for git takes it for no repository."""
    if gone := gutted(bare):
        raise PushforwardError(
            f"{bare} has lost its folder {gone[0]}, and git takes it for no repository",
            next=f"pushforward check --mend --bare {shlex.quote(str(bare))}",
        )


def sets_head(bare: Path) -> str:
    """The command that has HEAD name a branch, also where git works no more."""
    return f"echo 'ref: refs/heads/BRANCH' >{shlex.quote(str(bare / 'HEAD'))}"


def refuse_headless(bare: Path) -> None:
    """Refuse a server that git takes for no repository."""
    if why := headless(bare):
        raise PushforwardError(f"HEAD of {bare} {why}", next=sets_head(bare))


def owner_elsewhere(bare: Path) -> str:
    """The user whose server `bare` is, where that is not this process's; else empty. Keys and runs are theirs alone."""
    own = bare / "pushforward"
    owner = (own if own.is_dir() else bare).stat().st_uid
    if owner == os.geteuid():
        return ""
    import pwd

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return f"user {owner}"


def refuse_stranger(bare: Path, words: str) -> None:
    """Refuse a process that is not the owner's: what it left behind, the server could not change."""
    if owner := owner_elsewhere(bare):
        raise PushforwardError(
            f"the server {bare} is {owner}'s, and so are its keys and runs",
            next=f"{words}, as {owner}",
            exit_code=POLICY,
        )


def fit(path: Path, what: str) -> None:
    """Refuse a path with a character that tools under a run cannot be told."""
    if odd := re.search(UNFIT, str(path)):
        sign = {":": "a colon", "\n": "a line break"}.get(odd[0], f"the character {odd[0]!a}")
        shown = str(path).encode("ascii", "backslashreplace").decode() if odd[0] != ":" else str(path)
        raise PushforwardError(
            f"the path of the {what} has {sign}, at which others would cut it: {shown!a}",
            next="pushforward init --bare ANOTHER/PLACE.git, or mv the folder",
        )
