"""A poetry.lock as a file for pip: of each package its version, its platforms and the hashes of its files.

Called by `installer`. Poetry 2 says of each package which groups ask for it, and where: that is all that is needed.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from pushforward.errors import PushforwardError
from pushforward.text import plain

GROUPS = ("main", "dev")
FIRST = (2, 1)  # the first form of the file that says of a package for which platforms it is
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
VERSION = re.compile(r"[0-9][\w.+!-]*")
HASH = re.compile(r"sha\d{3}:[0-9a-f]+")
MARKER = re.compile(r"[^\n\r\\#]*")
EXPORT = "poetry export -o requirements.txt, and name that under environment"


def requirements(path: str, text: str) -> str:
    """What poetry.lock locks of the groups main and dev, for `pip --require-hashes --no-deps`; refused where it cannot
    be said so.
    """
    try:
        tree = tomllib.loads(text)
        said = str(tree["metadata"]["lock-version"])
        form = tuple(int(part) for part in said.split("."))
        packages = tree.get("package", [])
        lines = [line for package in packages for line in _lines(path, package)] if form >= FIRST else []
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise PushforwardError(f"{path} is not a poetry.lock that can be read", next="poetry lock") from None
    if form < FIRST:
        raise PushforwardError(
            f"{path} is of poetry 1 (lock-version {plain(said)}), which does not say for which platforms a package is",
            next=f"poetry lock, by poetry 2; or {EXPORT}",
        )
    return "".join(lines)


def _lines(path: str, package: dict[str, Any]) -> Iterator[str]:
    """One package; nothing where no group asks for it that is installed."""
    groups = [group for group in GROUPS if group in package.get("groups", ["main"])]
    if not groups or package.get("optional"):
        return
    name, version = str(package["name"]), str(package["version"])
    source = package.get("source", {}).get("type", "legacy")
    if source != "legacy":
        raise PushforwardError(f"{path}: {plain(name)} is from {plain(str(source))}, which has no hash", next=EXPORT)
    hashes = sorted({str(file["hash"]) for file in package["files"]})
    marker = _marker(package.get("markers", ""), groups)
    sound = NAME.fullmatch(name) and VERSION.fullmatch(version) and MARKER.fullmatch(marker)
    if not sound or not hashes or not all(map(HASH.fullmatch, hashes)):
        raise PushforwardError(f"{path}: {plain(name)} has no version with hashes", next="poetry lock")
    yield f"{name}=={version}{f' ; {marker}' if marker else ''}"
    yield "".join(f" \\\n    --hash={one}" for one in hashes) + "\n"


def _marker(said: Any, groups: list[str]) -> str:
    """Where a package is installed: one marker for all groups, or one for each that has some."""
    if not isinstance(said, dict):
        return str(said)
    each = [str(said.get(group, "")) for group in groups]
    return " or ".join(f"({marker})" for marker in dict.fromkeys(each)) if all(each) else ""
