"""The document that a verb has printed with --json, held to the type that docs/schemas publishes."""

import json
from typing import Any

from pydantic import TypeAdapter

from pushforward.commands import printed


def check(verb: str, text: str) -> Any:
    """The document that a verb has printed: of its type, and with no key that its type does not know."""
    adapter = TypeAdapter(printed.PRINTED[verb])
    told = json.loads(text)
    assert_within(told, adapter.dump_python(adapter.validate_json(text), mode="json"), verb)
    return told


def assert_within(told: Any, known: Any, place: str) -> None:
    """Whether all that was told is known by that name; what was left out is known by its default."""
    if isinstance(told, dict):
        for name, value in told.items():
            assert name in known, f"{place}: {name}"
            assert_within(value, known[name], f"{place}.{name}")
    elif isinstance(told, list):
        for one, other in zip(told, known, strict=True):
            assert_within(one, other, f"{place}[]")
    else:
        assert told == known, place
