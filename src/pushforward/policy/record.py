"""Record of a registry tag: what its message says to machines, in one line of JSON. `tags` reads it."""

import json
from typing import Any, NamedTuple

from pushforward.policy.push import once
from pushforward.policy.refusal import PolicyError
from pushforward.registry.ssh import Signed


class Tag(NamedTuple):
    """A registry tag: what somebody has signed, and the record in its message."""

    signed: Signed
    record: dict[str, Any]

    @property
    def target(self) -> str:
        """The commit that it names."""
        return self.signed.target


def read(message: str, sign: str) -> dict[str, Any]:
    """The line of JSON in a tag's message; empty where there is none."""
    lines = [line for line in message.split("\n") if line.startswith("{")]
    if not lines:
        return {}
    try:
        record = json.loads(lines[0], object_pairs_hook=once) if len(lines) == 1 else None
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get("schema") != 2:
        raise PolicyError("its record is not one line of JSON of schema 2", sign)
    return record
