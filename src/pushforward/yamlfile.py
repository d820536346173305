"""YAML files that people write for pushforward: read strictly, with the line of whatever is refused.

Read by `settings` and by `project.schema`, and by `params`, whose file may have anchors. Other foreign YAML is checked
by `untrusted`.
"""

import difflib
import functools
from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from pushforward import __version__, pointers, untrusted
from pushforward.errors import PushforwardError

LIMIT_BYTES = 64 * 1024
LIMIT_DEPTH = 40
LIMIT_NODES = 10_000
PLAIN_CHARACTERS = 4096  # what is shorter takes no time, however deep it nests
# What ruamel.yaml lets through from a tag with a text that does not fit it, such as `!!int ""`.
ODD = (LookupError, AttributeError, TypeError)


def load(text: bytes, where: str, *, aliases: bool = False) -> CommentedMap:
    """The mapping in the bytes of a YAML file, with its line numbers, not to be changed; `where` names it in errors.

    With `aliases` it may have some, as files that are not ours do, of so many values in all.
    """
    if len(text) > LIMIT_BYTES:
        raise unreadable(f"{where} has {len(text):,} bytes; the limit is {LIMIT_BYTES:,}", where)
    if stands_for := pointers.committed(text[: pointers.FIRST_BYTES]):
        raise PushforwardError(f"{where} is {stands_for[0]}, not what it points to", next=stands_for[1])
    try:
        source = text.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise unreadable(f"{where} is not UTF-8 at byte {wrong.start}", where) from None
    try:
        if aliases:
            untrusted.check(source, nodes=LIMIT_NODES, depth=LIMIT_DEPTH)
        elif len(source) > PLAIN_CHARACTERS or not {"&", "*"}.isdisjoint(source):
            _check_events(source, where)
        tree = _tree(source)
    except MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise unreadable(f"{where}{at}: {broken.problem or broken.context}", where) from None
    except RecursionError:
        raise unreadable(f"{where} is nested too deeply", where) from None
    except (YAMLError, ValueError, *ODD) as broken:
        raise unreadable(f"{where}: {(str(broken).splitlines() or ['it cannot be read'])[0]}", where) from None
    if not isinstance(tree, CommentedMap):
        raise unreadable(f"{where} must be a mapping of sections", where)
    return tree


def _check_events(source: str, where: str) -> None:
    """Refuse, before anything is built, what grows while it is: an alias can stand for a million values."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(source):
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise unreadable(f"{where} uses a YAML anchor or alias; write the value out", where)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > LIMIT_DEPTH:
            raise unreadable(f"{where}:{event.start_mark.line + 1} is nested too deeply", where)


@functools.lru_cache(maxsize=16)
def _tree(source: str) -> Any:
    """A text of YAML with its line numbers, not to be changed; a judge asks for the same few again and again."""
    return YAML(typ="rt").load(source)


def plain(node: Any) -> Any:
    """The plain Python value of a ruamel node (it subclasses str, float and int to keep formatting)."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def explain(error: Any, known: Iterable[str]) -> str:
    """What pydantic found wrong, in words; `known` are the keys that there are where it found one that is none."""
    loc = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(loc[-1], list(known), n=1)
        if close:
            return f"unknown key '{'.'.join(loc)}'; did you mean '{close[0]}'?"
        other = f"pushforward {__version__} has no such setting, another version may; take it out, or run that version"
        return f"unknown key '{'.'.join(loc)}': {other} (known: {', '.join(known)})"
    if error["type"] == "missing":
        return f"'{'.'.join(loc)}' is missing"
    if error["type"] in ("model_type", "dict_type"):
        return f"'{'.'.join(loc)}' must hold keys of its own; write them below it, or take the line out"
    text = str(error["msg"]).removeprefix("Value error, ")
    if not loc:
        return text
    given = error.get("input")
    shown = f" (it is {given!r})" if isinstance(given, (str, int, float, bool)) and "'" not in text else ""
    return f"'{'.'.join(loc)}': {text[0].lower()}{text[1:]}{shown}"


def refusal(where: str, tree: CommentedMap, loc: tuple[Any, ...], text: str) -> PushforwardError:
    """The refusal of what is at `loc` in a mapping, with its line."""
    line, node = 0, tree
    for part in loc:
        try:
            line = node.lc.key(part)[0] if isinstance(node, CommentedMap) else node.lc.item(part)[0]
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return PushforwardError(f"{where}:{line + 1}: {text}", next=f"edit {where.rpartition(':')[2]}")


def unreadable(text: str, where: str) -> PushforwardError:
    """The refusal of a file as a whole."""
    return PushforwardError(text, next=f"edit {where.rpartition(':')[2]}")
