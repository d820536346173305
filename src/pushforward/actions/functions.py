"""The values of GitHub's expressions: how they compare, read as text, and what the functions make of them. Pure.

What is wrong with a call is a ValueError; `expression` says where.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_WHOLE = re.compile(r"0x[0-9A-Fa-f]+|0o[0-7]+")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_PLACE = re.compile(r"\{\{|\}\}|\{(\d+)\}|[{}]")

# Least and most arguments of the functions that are known everywhere; those of a job are told by GitHub's definition.
ARGUMENTS = {
    "case": (3, 255),
    "contains": (2, 2),
    "endswith": (2, 2),
    "format": (1, 255),
    "fromjson": (1, 1),
    "join": (1, 2),
    "startswith": (2, 2),
    "tojson": (1, 1),
}


class Filtered(list[Any]):
    """What `*` has chosen: a property of it is that property of each."""

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(values)


def call(name: str, arguments: list[Any]) -> Any:
    """The value of a function that needs no job. Raises `ValueError` for another one, and where it refuses."""
    known = name.casefold()
    if known not in ARGUMENTS:
        raise ValueError(f"{name}() is not known outside of a job here")
    if wrong := counted(name, len(arguments), *ARGUMENTS[known]):
        raise ValueError(wrong)
    return _FUNCTIONS[known](arguments)


def counted(name: str, given: int, least: int, most: int) -> str:
    """What is wrong with a call of so many arguments; "" for nothing."""
    if least <= given <= most:
        return "" if name.casefold() != "case" or given % 2 else "case() takes pairs and a last value for all else"
    wanted = str(least) if least == most else f"at least {least}" if given < least else f"at most {most}"
    return f"{name}() takes {wanted} arguments, not {given}"


def text(value: Any) -> str:
    """`value` as GitHub writes it into a string: null is empty, true and false are lower case."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15G}"
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (Mapping, list)):
        return "Object" if isinstance(value, Mapping) else "Array"
    return str(value)


def truth(value: Any) -> bool:
    """Whether `value` counts as true: everything but false, 0, NaN, the empty string and null."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, (Mapping, list)) or value not in (None, False, 0, "")


def number(value: Any) -> float:
    """The number that GitHub takes for a value: of a string that is none, a list or a mapping it is NaN."""
    if value is None:
        return 0.0
    if isinstance(value, (bool, int, float)):
        return float(value)
    if not isinstance(value, str):
        return math.nan
    word = value.strip()
    if _WHOLE.fullmatch(word):
        return float(int(word, 0))
    if word in ("Infinity", "-Infinity"):
        return float(word)
    return float(word) if _DECIMAL.fullmatch(word) else math.nan if word else 0.0


def equal(left: Any, right: Any) -> bool:
    """GitHub's ==: strings without case, values of two types as numbers, lists and mappings by identity."""
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    if isinstance(left, (Mapping, list)) or isinstance(right, (Mapping, list)):
        return left is right
    if left is None and right is None:
        return True
    return number(left) == number(right)


def less(left: Any, right: Any) -> bool:
    """GitHub's <: strings without case, all else as numbers."""
    if isinstance(left, str) and isinstance(right, str):
        return left.upper() < right.upper()
    return number(left) < number(right)


def item(of: Any, key: Any) -> Any:
    """The property or item of `of`; null where it has none. Names of properties have no case."""
    if isinstance(of, Mapping):
        name = text(key)
        if name in of:
            return of[name]
        return next((value for known, value in of.items() if str(known).casefold() == name.casefold()), None)
    if isinstance(of, list):
        at = number(key)
        return of[math.floor(at)] if 0 <= at < len(of) else None
    return None


def has(of: Any, key: Any) -> bool:
    """Whether there is such a property or item."""
    if isinstance(of, Mapping):
        return text(key).casefold() in {str(known).casefold() for known in of}
    return isinstance(of, list) and 0 <= number(key) < len(of)


def _case(arguments: list[Any]) -> Any:
    pairs = zip(arguments[:-1:2], arguments[1::2], strict=True)
    return next((value for asked, value in pairs if truth(asked)), arguments[-1])


def _contains(arguments: list[Any]) -> bool:
    where, what = arguments
    if isinstance(where, list):
        return any(equal(one, what) for one in where)
    return not isinstance(where, Mapping) and _folded(what) is not None and text(what).lower() in text(where).lower()


def _folded(value: Any) -> str | None:
    return None if isinstance(value, (Mapping, list)) else text(value).upper()


def _format(arguments: list[Any]) -> str:
    def put(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] is None:
            raise ValueError(f"the format string is not valid: {template}")
        if int(found[1]) >= len(arguments) - 1:
            raise ValueError(f"the format string wants more arguments than there are: {template}")
        return text(arguments[1 + int(found[1])])

    template = text(arguments[0])
    return _PLACE.sub(put, template)


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _from_json(arguments: list[Any]) -> Any:
    source = text(arguments[0])
    if not source.strip():
        raise ValueError("fromJSON() of nothing")
    try:
        return json.loads(source, parse_int=float, parse_constant=_no_json)
    except ValueError as wrong:
        raise ValueError(f"fromJSON() of what is no JSON: {source[:40]}") from wrong


def _join(arguments: list[Any]) -> str:
    if not isinstance(arguments[0], list):
        return "" if isinstance(arguments[0], Mapping) else text(arguments[0])
    return (text(arguments[1]) if len(arguments) > 1 else ",").join(map(text, arguments[0]))


def _ends(arguments: list[Any]) -> bool:
    first, last = map(_folded, arguments)
    return first is not None and last is not None and first.endswith(last)


def _starts(arguments: list[Any]) -> bool:
    first, last = map(_folded, arguments)
    return first is not None and last is not None and first.startswith(last)


def _to_json(arguments: list[Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, Mapping):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list) else value

    return json.dumps(plain(arguments[0]), indent=2, ensure_ascii=False)


_FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "case": _case,
    "contains": _contains,
    "endswith": _ends,
    "format": _format,
    "fromjson": _from_json,
    "join": _join,
    "startswith": _starts,
    "tojson": _to_json,
}
