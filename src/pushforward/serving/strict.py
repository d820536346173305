"""Strict reading of JSON, and the one error for what whoever asks can mend; `inputs`, `named`, `v2` and `app` use it.

Readers of JSON take the last of two equal names and say nothing. This one refuses, and reads what the quick readers
have refused, so that the answer can say which field of which row it was.
"""

import difflib
import json
import math
from collections.abc import Iterable
from typing import Any

from pushforward.text import plain, shorten

LONGEST = 60  # characters of a value that a refusal repeats
MOST_NAMED = 12  # names that a refusal lists


class RequestError(Exception):
    """A request that is refused, by the requester's own fault: why, and which field of which row (counted from 0).

    `allow` is the method that the page takes instead.
    """

    def __init__(
        self, why: str, *, status: int = 422, field: str = "", row: int | None = None, allow: str = ""
    ) -> None:
        self.why = why
        self.status = status
        self.allow = allow
        self.field = plain(field, LONGEST)
        self.row = row
        where = ", ".join(filter(None, (self.field, f"row {row}" if row is not None else "")))
        super().__init__(f"{where}: {why}" if where else why)


def parse(body: bytes) -> Any:
    """What the JSON text says; NaN and what is too large for a number are there, for the check of values to name."""
    try:
        tree = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=float)
        if b"\\u" in body:
            json.dumps(tree, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as broken:
        raise RequestError(f"the body is not UTF-8: byte {broken.start}", status=400) from None
    except UnicodeEncodeError:
        raise RequestError("the body has a \\u escape that is half of a pair, and no character", status=400) from None
    except json.JSONDecodeError as broken:
        where = f"line {broken.lineno}, column {broken.colno}"
        raise RequestError(f"the body is not JSON: {broken.msg} ({where})", status=400) from None
    except ValueError:
        raise RequestError("the body has a number of thousands of digits", status=400) from None
    except RecursionError:
        raise RequestError("the body is nested too deeply", status=400) from None
    return tree


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, each of which is there once."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in made if names.count(name) > 1)
        raise RequestError("is named twice in one object", status=400, field=twice)
    return made


def shown(value: Any) -> str:
    """A value as JSON writes it, in a sentence."""
    if isinstance(value, str):
        return f'"{plain(value, LONGEST)}"'
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "a number beyond those of 64 bits"
    return shorten(json.dumps(value), LONGEST)


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, the first dozen of them."""
    known = list(names)
    more = ", …" if len(known) > MOST_NAMED else ""
    return ", ".join(plain(name, LONGEST) for name in known[:MOST_NAMED]) + more


def meant(name: str, known: Iterable[str]) -> str:
    """What was meant by a name that is none of the known, or which are known."""
    names = list(known)
    close = difflib.get_close_matches(name[:LONGEST], names, n=1, cutoff=0.6)
    return f"did you mean {plain(close[0], LONGEST)}?" if close else f"known: {listed(names)}"
