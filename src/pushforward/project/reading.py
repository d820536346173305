"""Foreign files, read with their lines: what cannot be read is said as what is odd in it, and stops nobody.

Called by the modules of this room that look at a repository as its people wrote it.
"""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pushforward import files, pointers, untrusted
from pushforward.errors import PushforwardError
from pushforward.text import plain

LIMIT_BYTES = 1024 * 1024
LIMIT_YAML = 256 * 1024
LIMIT_NODES, LIMIT_DEPTH = 100_000, 60
LIMIT_NUMBERS = 500  # of a file of metrics


@dataclass(eq=False)
class Odd(Exception):  # noqa: N818
    """What is odd about a file: no error of ours, and nothing that ends the look at the others."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{plain(self.file)}{f':{self.line}' if self.line else ''}: {plain(self.why)}"


def text(root: Path, path: str, *, most: int = LIMIT_BYTES) -> str:
    """A file of the work tree as text; `Odd` where it is none, too large, a link or a pointer."""
    try:
        there = files.place(root, path)
        if there.stat().st_size > most:
            raise Odd(path, 0, f"it has more than {most:,} bytes and was not read")
        content = there.read_bytes()
        if not path.endswith(".dvc") and (stands_for := pointers.told(content[: pointers.FIRST_BYTES])):
            raise Odd(path, 0, f"it is {stands_for[0]}, not what it points to")
        return content.decode("utf-8")
    except PushforwardError as refused:
        raise Odd(path, 0, refused.message) from None
    except UnicodeDecodeError as wrong:
        raise Odd(path, 0, f"it is not UTF-8 at byte {wrong.start}") from None
    except OSError as trouble:
        raise Odd(path, 0, trouble.strerror or "it cannot be read") from None


def yaml(root: Path, path: str, *, most: int = LIMIT_YAML) -> CommentedMap:
    """A YAML file with its line numbers, anchors and all; `Odd` where it is no mapping, or stands for too much."""
    source = text(root, path, most=most)
    try:
        untrusted.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        tree = YAML(typ="rt").load(source)
    except MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        raise Odd(path, mark.line + 1 if mark else 0, str(broken.problem or broken.context)) from None
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as broken:
        raise Odd(path, 0, (str(broken).splitlines() or ["it cannot be read"])[0]) from None
    if tree is None:
        return CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise Odd(path, 1, "it is no mapping of sections")
    return tree


def numbers(root: Path, path: str) -> dict[str, float]:
    """The numbers of a file of metrics by their dotted keys, as DVC names them."""
    source = text(root, path)
    kind = path.rpartition(".")[2].lower()
    try:
        if kind in {"yaml", "yml"}:
            tree: Any = yaml(root, path)
        elif kind == "toml":
            tree = tomllib.loads(source)
        else:
            tree = json.loads(source)
    except (ValueError, RecursionError) as broken:
        raise Odd(path, 0, str(broken)) from None
    found: dict[str, float] = {}
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}" if key else str(name), inner) for name, inner in reversed(list(value.items()))]
        elif isinstance(value, int | float) and not isinstance(value, bool) and key:
            found[key] = float(value)
        if len(found) > LIMIT_NUMBERS:
            raise Odd(path, 0, f"it has more than {LIMIT_NUMBERS} numbers")
    return found


def line(node: Any, key: Any) -> int:
    """The line of a key of a mapping, or of an entry of a list; that of the whole where a merge brought it in."""
    try:
        place = node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key)
        return int(place[0]) + 1
    except (KeyError, IndexError, TypeError, AttributeError):
        return int(node.lc.line) + 1 if isinstance(node, CommentedMap | CommentedSeq) else 0
