"""Replies: status, body and headers of what is said to a request; `named`, `v2` and `app` make them.

Each names the version that spoke, and its digest, where one did.
"""

from typing import Any, NamedTuple

import msgspec

from pushforward.serving.port import Answer, Served
from pushforward.serving.strict import RequestError

JSON = b"application/json"
encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    """What is said; who said it, and of how many rows, is for the numbers."""

    status: int
    body: bytes
    type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    arm: str = ""
    version: str = ""
    rows: int = 0


class Asked(NamedTuple):
    """A request whose body is here, with the name that the log has for it."""

    body: bytes
    request: str
    headers: dict[bytes, bytes]


def full_name(served: Served) -> str:
    """A version as log, tags and replies name it: MODEL@VERSION."""
    return f"{served.model}@{served.version}"


def told(said: Any, served: Served | None = None, status: int = 200) -> Reply:
    """A reply of JSON, by a version where one spoke."""
    return Reply(status, encode(said), headers=_spoken(served, "") if served is not None else ())


def answered(said: Any, answer: Answer, rows: int) -> Reply:
    """A reply with predictions."""
    served = answer.served
    headers = _spoken(served, answer.arm)
    return Reply(200, encode(said), JSON, headers, answer.arm, full_name(served), rows)


def refused(error: RequestError, request: str) -> Reply:
    """A reply that says what is wrong with a request, in which field of which row."""
    said = {"error": str(error), "field": error.field or None, "row": error.row, "request": request}
    return Reply(error.status, encode(said))


def _spoken(served: Served, arm: str) -> tuple[tuple[bytes, bytes], ...]:
    headers = (
        (b"pushforward-version", full_name(served).encode("latin-1", "replace")),
        (b"pushforward-digest", served.digest.encode("latin-1", "replace")),
    )
    return (*headers, (b"pushforward-arm", arm.encode())) if arm else headers
