"""Foreign text, read strictly: JSON that is an object of finite numbers, YAML that stands for no more than it may."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pushforward.errors import PushforwardError
from pushforward.text import plain

if TYPE_CHECKING:
    from pydantic import ValidationError


def check(source: str, *, nodes: int, depth: int) -> None:
    """Raise `MarkedYAMLError` where `source` stands for more than `nodes` values, or nests deeper than `depth`.

    Merge keys are written out while a text is built, and the time to build it grows with the square of its depth:
    both have to be known before.
    """
    # Here, and below: who reads JSON alone does not wait for two libraries of YAML.
    import yaml
    from ruamel.yaml import YAML

    from pushforward import yamlquick

    try:
        _count(yamlquick.events(source), nodes, depth)
    except yaml.YAMLError:
        _count(YAML(typ="safe", pure=True).parse(source), nodes, depth)


def _count(events: Iterable[Any], nodes: int, depth: int) -> None:
    """`check` of the events of either library, which have the same names."""
    from ruamel.yaml.error import MarkedYAMLError

    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            open_.append((event.anchor, 1))
            if len(open_) > depth + 1:
                raise MarkedYAMLError(problem="nested too deep", problem_mark=event.start_mark)
            continue
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            anchor, count = open_.pop()
        elif kind == "AliasEvent":
            if event.anchor not in sizes:
                raise MarkedYAMLError(problem="an alias of nothing, or of itself", problem_mark=event.start_mark)
            anchor, count = None, sizes[event.anchor]
        elif kind == "ScalarEvent":
            anchor, count = event.anchor, 1
        else:
            continue
        if anchor:
            sizes[anchor] = count
        owner, sum_ = open_.pop()
        open_.append((owner, sum_ + count))
        if sum_ + count > nodes:
            why = f"it stands for more than {nodes:,} values"
            raise MarkedYAMLError(problem=why, problem_mark=event.start_mark)


def plain_json(text: bytes, what: str) -> dict[str, Any]:
    """A JSON object whose numbers are finite; anything else is refused, whatever it is."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        found = json.loads(text, parse_constant=refuse)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise PushforwardError(f"{what} is not JSON: {str(broken)[:120]}") from None
    except ValueError as wrong:
        raise PushforwardError(f"{what} is not of the form expected: {str(wrong)[:120]}") from None
    if not isinstance(found, dict):
        raise PushforwardError(f"{what} is not of the form expected: it is not an object")
    return found


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads(object_pairs_hook=…)`: an object each of whose names is there once; else a ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def where(wrong: "ValidationError") -> str:
    """The first thing that is wrong with a record: the path of the field, and why."""
    first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return plain(f"{path}: {first['msg']}" if path else first["msg"], 200)
