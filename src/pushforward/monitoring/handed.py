"""The looks that another job has taken, in a folder: that job runs the project's code. `commands.monitor` calls it.

They are read as hostile data: each by its form, its word as its reasons have it, its texts as lines without a control.
What git knows of a version is not taken from here (`look.held`).
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date
from pathlib import Path
from typing import Any

from pushforward import files, untrusted
from pushforward.errors import DATA, PushforwardError
from pushforward.monitoring import decision, record
from pushforward.monitoring.record import Record
from pushforward.text import plain

FOUND = "looks.json"
LOOK = "pushforward monitor --look"
LONGEST = 8 << 20  # bytes of all looks
LONGEST_TEXT = 2_000  # characters of one text of a look


def leave(looks: Iterable[Record], folder: Path) -> Path:
    """Leave looks in a folder for whoever may write; the file."""
    folder.mkdir(parents=True, exist_ok=True)
    tree = {"looks": [json.loads(one.to_json()) for one in looks]}
    files.write(folder, FOUND, (json.dumps(tree, indent=1) + "\n").encode())
    return folder / FOUND


def read(folder: Path) -> Mapping[str, Record]:
    """The looks that were left in a folder, by the name of the model."""
    content = files.left(folder, FOUND, LONGEST, by=LOOK)
    try:
        listed = untrusted.plain_json(content, FOUND)["looks"]
        found = [_read(one) for one in listed]
    except (PushforwardError, KeyError, TypeError, ValueError, RecursionError):
        found = None
    if found is None or len({one.model for one in found}) != len(found):
        raise PushforwardError(f"{FOUND} is not what `{LOOK}` writes", next=f"{LOOK} {folder}", exit_code=DATA)
    return {one.model: one for one in found}


def _read(told: Any) -> Record:
    found = record.read(json.dumps(told).encode())
    if found.at.tzinfo is None:
        raise ValueError("a moment without its zone")
    _check_days(found)
    decision.check(found.decision, [reason.rule for reason in found.reasons])
    return record.read(json.dumps(_harmless(json.loads(found.to_json()))).encode())


def _check_days(found: Record) -> None:
    """Refuse days that no look has: looks after this one tell by its first day what is gone."""
    days = [one.day for one in found.days]
    begun = found.live.begun if found.live is not None else ""
    known = [date.fromisoformat(day) for day in (*days, *([begun] if begun else []))]
    if [day.isoformat() for day in known] != [*days, *([begun] if begun else [])] or days != sorted(set(days)):
        raise ValueError("days of another form or order")
    if max((*known, found.first or date.min), default=date.min) > found.at.astimezone(UTC).date():
        raise ValueError("a day after the look")
    if begun and not (found.first is not None and begun < found.first.isoformat()):
        raise ValueError("days that are gone, and none that is the first there")


def _harmless(tree: Any) -> Any:
    """A record whose texts are each one line that a terminal, a log of a job and a page can show."""
    if isinstance(tree, str):
        return plain(tree, LONGEST_TEXT)
    if isinstance(tree, list):
        return [_harmless(one) for one in tree]
    return {name: _harmless(one) for name, one in tree.items()} if isinstance(tree, dict) else tree
