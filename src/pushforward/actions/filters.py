"""The filters of events: which workflows GitHub would start for one. Pure; `server` asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pushforward.actions.event import Event
from pushforward.actions.workflow import Workflow, WorkflowError, crons

# The filters that each event knows. GitHub refuses a file with any other key; act would ignore it.
FILTERS: dict[str, frozenset[str]] = {
    "push": frozenset({"branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"}),
    "pull_request": frozenset({"types", "branches", "branches-ignore", "paths", "paths-ignore"}),
    "workflow_run": frozenset({"types", "workflows", "branches", "branches-ignore"}),
}
PULL_REQUEST_TYPES = ("opened", "synchronize", "reopened")


def matches(workflow: Workflow, event: Event) -> bool:
    """Whether GitHub would start `workflow` for `event`. Raises `WorkflowError` for a filter it would refuse."""
    if event.name not in workflow.on:
        return False
    filters = workflow.on[event.name]
    try:
        if event.name == "push":
            return _push(filters, event)
        if event.name == "pull_request":
            types = strings(filters.get("types", list(PULL_REQUEST_TYPES)))
            return event.action in types and _named(filters, "branches", event.base) and _changed(filters, event.paths)
        if event.name == "workflow_run":
            return (
                event.workflow in strings(filters.get("workflows", []))
                and event.action in strings(filters.get("types", [event.action]))
                and _named(filters, "branches", event.head)
            )
        if event.name == "schedule" and event.schedule:
            return event.schedule in crons(workflow)
    except ValueError as bad:
        raise WorkflowError(f"{workflow.file}: on.{event.name}: {bad}") from bad
    return True


def matches_filters(patterns: Sequence[str], name: str) -> bool:
    """Whether `name` passes a list of patterns in GitHub's way: the last one that matches decides, `!` excludes.

    Raises `ValueError` for a malformed pattern and for a list that only excludes.
    """
    if patterns and all(pattern.startswith("!") for pattern in patterns):
        raise ValueError("a filter needs at least one pattern without `!`")
    passed = False
    for pattern in patterns:
        if matches_pattern(pattern.removeprefix("!"), name):
            passed = not pattern.startswith("!")
    return passed


def matches_pattern(pattern: str, name: str) -> bool:
    """Whether the whole of `name` matches a filter pattern: `*` `**` `?` `+` `[]`, backslash escapes.

    The states of a small automaton are followed, so that no pattern can make it slow (len(pattern) × len(name)).
    Raises `ValueError` for a malformed pattern.
    """
    atoms = _atoms(pattern)
    states = _reach(atoms, {0})
    for character in name:
        states = _reach(atoms, {after for at in states for after in atoms[at].step(at, character)})
        if not states:
            return False
    return len(atoms) - 1 in states


# A filter pattern is a row of atoms; `least` and `most` say how often one may repeat, `skip` how many may be left out.
@dataclass(frozen=True)
class _Atom:
    accepts: frozenset[str] | None  # None: any character
    refuses: str = ""
    least: int = 1
    endless: bool = False
    skip: int = 0

    def step(self, at: int, character: str) -> tuple[int, ...]:
        if self.skip or character in self.refuses:
            return ()
        if self.accepts is not None and character not in self.accepts:
            return ()
        return (at, at + 1) if self.endless else (at + 1,)


_END = _Atom(frozenset())


def _reach(atoms: Sequence[_Atom], states: set[int]) -> set[int]:
    waiting = list(states)
    while waiting:
        at = waiting.pop()
        atom = atoms[at]
        jumps = [at + 1] if atom.least == 0 else []
        if atom.skip:
            jumps = [at + 1, at + 1 + atom.skip]
        for after in jumps:
            if after not in states:
                states.add(after)
                waiting.append(after)
    return states


def _atoms(pattern: str) -> list[_Atom]:
    atoms: list[_Atom] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            # `**/x` matches `x` too, at the top and after any folder
            atoms += [_Atom(None, skip=2), _Atom(None, least=0, endless=True), _Atom(frozenset("/"))]
            at += 3
        elif pattern.startswith("**", at):
            atoms.append(_Atom(None, least=0, endless=True))
            at += 2
        elif character == "*":
            atoms.append(_Atom(None, refuses="/", least=0, endless=True))
            at += 1
        elif character in "?+":
            if not atoms or atoms[-1].accepts is None or atoms[-1].least == 0 or atoms[-1].endless:
                raise ValueError(f"pattern {pattern!r}: {character} has no character before it")
            atoms[-1] = (
                _Atom(atoms[-1].accepts, least=0) if character == "?" else _Atom(atoms[-1].accepts, endless=True)
            )
            at += 1
        elif character == "[":
            end = pattern.find("]", at)
            if end < at + 2:
                raise ValueError(f"pattern {pattern!r}: [ without ]")
            atoms.append(_Atom(_listed(pattern, pattern[at + 1 : end])))
            at = end + 1
        else:
            at += character == "\\" and at + 1 < len(pattern)
            atoms.append(_Atom(frozenset(pattern[at])))
            at += 1
    return [*atoms, _END]


def _listed(pattern: str, inside: str) -> frozenset[str]:
    characters: set[str] = set()
    at = 0
    while at < len(inside):
        if at + 2 < len(inside) and inside[at + 1] == "-":
            first, last = inside[at], inside[at + 2]
            if not (first.isalnum() and last.isalnum() and first <= last):
                raise ValueError(f"pattern {pattern!r}: range {first}-{last}")
            characters.update(chr(code) for code in range(ord(first), ord(last) + 1))
            at += 3
        else:
            characters.add(inside[at])
            at += 1
    return frozenset(characters)


def _push(filters: Mapping[str, Any], event: Event) -> bool:
    if event.ref.startswith("refs/tags/"):
        # Path filters are not evaluated for tags, and a file that filters branches only does not want tags.
        if _has(filters, "branches") and not _has(filters, "tags"):
            return False
        return _named(filters, "tags", event.ref.removeprefix("refs/tags/"))
    if _has(filters, "tags") and not _has(filters, "branches"):
        return False
    return _named(filters, "branches", event.ref.removeprefix("refs/heads/")) and _changed(filters, event.paths)


def _has(filters: Mapping[str, Any], kind: str) -> bool:
    return kind in filters or f"{kind}-ignore" in filters


def _named(filters: Mapping[str, Any], kind: str, name: str) -> bool:
    if f"{kind}-ignore" in filters:
        return not any(matches_pattern(pattern, name) for pattern in strings(filters[f"{kind}-ignore"]))
    return kind not in filters or matches_filters(strings(filters[kind]), name)


def _changed(filters: Mapping[str, Any], paths: tuple[str, ...] | None) -> bool:
    if paths is None:
        return True
    if "paths-ignore" in filters:
        ignored = strings(filters["paths-ignore"])
        return any(not any(matches_pattern(pattern, path) for pattern in ignored) for path in paths)
    if "paths" in filters:
        patterns = strings(filters["paths"])
        return any(matches_filters(patterns, path) for path in paths)
    return True


def strings(value: Any) -> list[str]:
    """A filter's value as a list; a number such as `1.0` is what its author typed, up to YAML."""
    values = value if isinstance(value, list) else [value]
    if any(isinstance(item, (dict, list, type(None))) for item in values):
        raise ValueError("a filter is a string or a list of strings")
    return [str(item) for item in values]
