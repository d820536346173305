"""Actions of the repository itself: what GitHub refuses in their files, and where act takes more than GitHub. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from pushforward.actions import dialect, expression, grammar, lines, rules
from pushforward.errors import PushforwardError


def problems(file: str, source: str, action: Mapping[str, Any]) -> list[str]:
    """What GitHub refuses in `action`, the content of `file`, and what act leaves empty in it: with file and line."""
    found = grammar.faults(action, "action")
    steps = action["runs"].get("steps") if not found else None
    if isinstance(steps, list):
        found += rules.steps(steps, ("runs", "steps"))
        found += _empty(steps)
    placed = sorted(((lines.line(source, fault.path), fault) for fault in found), key=lambda one: one[0])
    return [f"{file}:{line}: {lines.spoken(fault.path)}: {fault.text}" for line, fault in placed]


def _empty(steps: list[Mapping[str, Any]]) -> Iterator[grammar.Fault]:
    """What the steps of an action ask of contexts that act has not filled; a workflow is told it, an action is not."""
    for number, step in enumerate(steps):
        for node in _fields(step):
            of, key = node.of, getattr(node.key, "value", "")
            if isinstance(of, expression.Name) and dialect.empty(of.name, str(key)):
                yield grammar.Fault(
                    ("runs", "steps", number), f"{of.name}.{key} is empty in an action here; hand it over as an input"
                )


def undeclared(job: Mapping[str, Any], declared: Mapping[str, set[str]]) -> Iterator[str]:
    """Outputs of steps that their actions do not declare: `declared` has those of each step that uses a local action.

    On GitHub these are empty; act hands over whatever a step of the action has set.
    """
    for node in _fields(job):
        of = node.of
        if not (isinstance(of, expression.Field) and getattr(of.key, "value", None) == "outputs"):
            continue
        if not (isinstance(of.of, expression.Field) and isinstance(of.of.of, expression.Name)):
            continue
        if of.of.of.name.lower() != "steps":
            continue
        step, name = of.of.key, getattr(node.key, "value", None)
        known = declared.get(str(getattr(step, "value", "")).lower())
        if known is not None and name is not None and str(name).lower() not in known:
            listed = ", ".join(sorted(known)) or "none"
            asked = f"steps.{getattr(step, 'value', '')}.outputs.{name}"
            yield f"{asked}: its action declares no such output, only {listed}"


def outputs(action: Mapping[str, Any]) -> set[str]:
    """The names of the outputs that an action declares, in lower case."""
    found = action.get("outputs")
    return {str(name).lower() for name in found} if isinstance(found, dict) else set()


def _fields(value: Any) -> Iterator[expression.Field]:
    for source in expressions(value):
        try:
            yield from (
                node for node in expression.walk(expression.parse(source)) if isinstance(node, expression.Field)
            )
        except PushforwardError:
            continue  # the grammar has told it


def expressions(value: Any, key: str = "") -> Iterator[str]:
    """Every expression in a job or step, without its `${{ }}`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from expressions(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item)
    elif isinstance(value, str) and "${{" in value:
        yield from (part for part, inside in expression.pieces(value) if inside and part.strip() != "insert")
    elif isinstance(value, str) and key == "if" and value.strip():
        yield value
