"""params.yaml: what a pipeline is told, whose sections are all its own; read with the line of what DVC cannot read.

Called by whoever compares two commits, or asks which batches have arrived: `settings` names their key.
"""

import datetime
import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pushforward import files, yamlfile

FILE = files.PARAMS
PLAIN = (bool, int, float, str, type(None))
MONTH = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])")
TEST_SET = "test-set-"  # so begins what stands for the batches of a table that the pipeline itself has scored
LONGEST_NAME = 60


def monthly(names: Iterable[str]) -> bool:
    """Whether all of these batches are months, and there is one."""
    known = list(names)
    return bool(known) and all(MONTH.fullmatch(name) for name in known)


def noun(names: Iterable[str]) -> str:
    """The word for one of these batches in a sentence."""
    known = list(names)
    if known and known[0].startswith(TEST_SET):
        return "test set"
    return "month" if monthly(known) else "batch"


def next_month(month: str) -> str:
    """The month after `month`, both as YYYY-MM."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12}-{number % 12 + 1:02d}"


def batches(text: bytes, key: str, where: str = FILE) -> list[str]:
    """The names listed under the dotted `key`, in order; where the first is a month, all are, without a gap."""
    tree = _load(text, where)
    loc: list[Any] = key.split(".")
    found: Any = yamlfile.plain(tree)
    for part in loc:
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, list) or not found:
        raise yamlfile.refusal(where, tree, tuple(loc), f"'{key}' has to be a list of the batches that have arrived")
    for number, name in enumerate(found):
        if wrong := _wrong(found[:number], name):
            raise yamlfile.refusal(where, tree, (*loc, number), f"'{key}.{number}': {wrong}")
    return found


def _wrong(before: list[str], name: Any) -> str:
    """What is wrong about a batch that is listed after others; "" where nothing is."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        return f"{name!r} is no name of a batch; write text in quotes"
    if before and MONTH.fullmatch(before[0]):
        if not MONTH.fullmatch(name):
            return f"'{name}' is not a month, as '{before[-1]}' is; write it as \"2013-05\", in quotes"
        if name != next_month(before[-1]):
            return f"after '{before[-1]}' comes '{next_month(before[-1])}', not '{name}'"
    return f"'{name}' is there twice" if name in before else ""


def plain(text: bytes | None, where: str = FILE) -> dict[str, Any]:
    """Every section of params.yaml as plain values; nothing where there is none."""
    found: dict[str, Any] = {} if text is None else yamlfile.plain(_load(text, where))
    return found


@functools.lru_cache(maxsize=16)
def flatten(text: bytes, where: str = FILE) -> dict[str, Any]:
    """Every leaf of a file by its dotted key, not to be changed; lists are leaves."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = value

    walk("", yamlfile.plain(_load(text, where)))
    return flat


def _load(text: bytes, where: str) -> CommentedMap:
    tree = yamlfile.load(text, where, aliases=True)
    _check_kinds(tree, where)
    return tree


def _check_kinds(tree: CommentedMap, where: str) -> None:
    """Refuse a value, or a key, of a kind that no stage can be given: DVC takes numbers, texts, lists and mappings.

    A date without quotes is one; DVC ends on it as on a bug of its own, whichever section holds it.
    """
    for path, value in _odd(tree):
        name = ".".join(str(part) for part in path)
        if isinstance(value, datetime.date):
            text = value.isoformat()
            raise yamlfile.refusal(
                where, tree, path, f'quote the date at {name}, or DVC cannot read the file: "{text}"'
            )
        if tag := getattr(value, "tag", None) and value.tag.value:
            raise yamlfile.refusal(
                where, tree, path, f"'{name}' has the tag {tag}, which DVC cannot read; write it without"
            )
        kind = type(value).__name__.removeprefix("Commented").lower()
        raise yamlfile.refusal(
            where, tree, path, f"'{name}' is a value of the kind {kind}, which DVC cannot read; write text"
        )


def _odd(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What is no number, text, list or mapping, by its path; a tag of somebody's own makes anything such a thing."""
    if isinstance(node, (CommentedMap, CommentedSeq)) and not node.tag.value:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if not isinstance(key, PLAIN):
                yield (*path, key), key
            yield from _odd(value, (*path, key))
    elif not isinstance(node, PLAIN):
        yield path, node
