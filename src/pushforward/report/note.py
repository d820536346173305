"""A report as it is stored: what it tells beside the verdict, and both as JSON in its first lines, to be read again."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pushforward.gate.verdict import Verdict, worst_first
from pushforward.text import shorten

Kind = Literal["judged", "data-refused", "training-failed", "merge-conflict", "carried"]


@dataclass(frozen=True)
class Context:
    """What a report tells beside the verdict; every field may stay empty, and its section is left out then.

    `message` is the text of a run that ended before judging (`kind`), line by line. `carried_to` is the commit at
    which the verdict on an earlier commit stands because nothing that a model is made of has changed. `renamed_from` is
    the champion under the name that the model had before, with which it was not compared. `months` are
    (month, rows, share of positive labels or None while that is sealed). Curves are losses by round, on the validation
    month. `drift` says column by column how the rows of the months added differ. `trend` is (month, version, value) of
    `trend_metric` on the validation month of each version, this challenger last. `override` says who has let the commit
    into a protected branch by their word, and why. `remarks` are what the judge could not ask of this project.
    `measured` are (file:path, old, new) of what the run wrote, old at `measured_before`, a commit of the target branch.
    """

    kind: Kind = "judged"
    message: str = ""
    branch: str = ""
    target: str = "main"
    carried_to: str = ""
    renamed_from: str = ""
    changed_params: tuple[tuple[str, str, str], ...] = ()
    changed_files: tuple[tuple[str, int, int], ...] = ()
    validation_month: str = ""
    validation: Mapping[str, float] = field(default_factory=dict)
    champion_validation_month: str = ""
    champion_validation: Mapping[str, float] = field(default_factory=dict)
    learning_curve: tuple[float, ...] = ()
    months_added: tuple[str, ...] = ()
    months: tuple[tuple[str, int, float | None], ...] = ()
    drift: tuple[str, ...] = ()
    trend: tuple[tuple[str, str, float], ...] = ()
    trend_metric: str = ""
    next_version: str = ""
    override: str = ""
    remarks: tuple[str, ...] = ()
    measured: tuple[tuple[str, float | None, float], ...] = ()
    measured_before: str = ""
    next_step: str = ""
    next_command: str = ""
    reproduce: str = ""


def with_context(text: str, context: Context) -> str:
    """A report with its context as a second line for machines, so that it can be shown again in any form."""
    first, _, rest = text.partition("\n")
    tree = json.dumps(dataclasses.asdict(context), allow_nan=False, separators=(",", ":"))
    tree = tree.replace("<", "\\u003c").replace(">", "\\u003e")
    return f"{first}\n{_CONTEXT}{tree}{_LAST}\n{rest}"


def context_of(text: str) -> Context:
    """The context in the second line of a stored report; an empty one where there is none."""
    from pydantic import TypeAdapter, ValidationError

    line = text.partition("\n")[2].partition("\n")[0]
    if not (line.startswith(_CONTEXT) and line.endswith(_LAST)):
        return Context()
    try:
        return TypeAdapter(Context).validate_json(line[len(_CONTEXT) : -len(_LAST)])
    except ValidationError:
        return Context()


def entries(note: str) -> list[tuple[dict[str, Any], str]]:
    """The reports of a note, in its order: the JSON of each first line, and the report with that line."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    for line in note.split("\n"):
        tree = _from_machine_line(line)
        if tree is not None:
            found.append((tree, []))
        if found:
            found[-1][1].append(line)
    return [(tree, "\n".join(lines).strip("\n") + "\n") for tree, lines in found]


_FIRST, _CONTEXT, _LAST = "<!-- pushforward ", "<!-- context ", " -->"


def machine_line(verdict: Verdict, limit: int) -> str:
    """A report\'s first line: the verdict as JSON of at most about `limit` characters, its longest lists cut."""
    verdict = dataclasses.replace(verdict, reason=shorten(verdict.reason, 2000))
    while True:
        text = json.dumps(json.loads(verdict.to_json()), separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\x7f", "\\u007f")
        counts = {name: len(getattr(verdict, name)) for name in ("slices", "touched", "stages")}
        longest = max(counts, key=lambda name: counts[name])
        if len(text) <= limit or counts[longest] == 0:
            return f"{_FIRST}{text}{_LAST}"
        rest = worst_first(verdict.slices) if longest == "slices" else getattr(verdict, longest)
        shorter: dict[str, Any] = {longest: tuple(rest[: counts[longest] // 2])}
        verdict = dataclasses.replace(verdict, **shorter)


def _from_machine_line(line: str) -> dict[str, Any] | None:
    if not (line.startswith(_FIRST) and line.endswith(_LAST)):
        return None
    try:
        tree = json.loads(line[len(_FIRST) : -len(_LAST)])
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None
