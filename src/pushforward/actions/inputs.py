"""Inputs of a workflow that a person starts, and the payload of an event that a program sends: read and checked. Pure.

Rules: docs.github.com, workflow syntax, `on.workflow_dispatch.inputs`; REST API, create a repository dispatch event.
act applies defaults and types, and enforces neither `required` nor the options of a choice.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pushforward.actions.filters import strings
from pushforward.actions.workflow import Workflow
from pushforward.errors import USAGE, PushforwardError

MOST_INPUTS = 25
MOST_CHARACTERS = 65_535
MOST_PROPERTIES = 10
LONGEST_TYPE = 100
NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")
TYPES = ("string", "choice", "boolean", "number", "environment")


def parse(texts: Iterable[str]) -> dict[str, str]:
    """`name=value` of a command line, as a mapping; a name twice is refused."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PushforwardError(f"{text[:60]!r} is not name=value", next="-f name=value", exit_code=USAGE)
        if name in found:
            raise PushforwardError(f"{name} is given twice", next=f"-f {name}=value, once", exit_code=USAGE)
        found[name] = value
    return found


def dispatched(flow: Workflow, given: Mapping[str, str]) -> dict[str, str]:
    """The inputs that a run of `flow` gets, all of them as text, as GitHub's event has them: given, else by default.

    Raises `PushforwardError` where it cannot be started by hand, or for an input that it would refuse.
    """
    if "workflow_dispatch" not in flow.on:
        raise PushforwardError(
            f"{flow.file} is not started by hand: it has no workflow_dispatch under on:",
            next=f"add workflow_dispatch: under on: in {flow.path}, and push it",
            exit_code=USAGE,
        )
    declared = flow.on["workflow_dispatch"].get("inputs") or {}
    if not isinstance(declared, Mapping):
        raise _refused(flow, "inputs under workflow_dispatch are not a mapping", f"edit {flow.path}")
    if len(declared) > MOST_INPUTS:
        raise _refused(flow, f"it has {len(declared)} inputs; at most {MOST_INPUTS} are taken", f"edit {flow.path}")
    for name in given:
        if name not in declared:
            close = difflib.get_close_matches(name, map(str, declared), n=1)
            known = ", ".join(map(str, declared)) or "none"
            raise _refused(
                flow, f"it has no input {name}; it has {known}", f"-f {close[0]}=…" if close else "leave it out"
            )
    found = {}
    for name, about in declared.items():
        found[str(name)] = _value(flow, str(name), about if isinstance(about, Mapping) else {}, given)
    if sum(len(name) + len(value) for name, value in found.items()) > MOST_CHARACTERS:
        raise _refused(flow, f"its inputs have more than {MOST_CHARACTERS:,} characters", "give less")
    return found


def _value(flow: Workflow, name: str, about: Mapping[str, Any], given: Mapping[str, str]) -> str:
    kind = str(about.get("type", "string"))
    if kind not in TYPES:
        raise _refused(flow, f"input {name} has the type {kind}; types are {', '.join(TYPES)}", f"edit {flow.path}")
    fallback = about.get("default")
    value = given.get(name, "" if fallback is None else _text(fallback))
    if not value and name not in given and kind == "boolean":
        value = "false"
    if about.get("required") is True and not value:
        raise _refused(flow, f"input {name} is required", f"-f {name}=…")
    if not value:
        return value
    if kind == "boolean" and value not in {"true", "false"}:
        raise _refused(flow, f"input {name} is a boolean, not {value[:60]!r}", f"-f {name}=true, or {name}=false")
    if kind == "number" and not NUMBER.fullmatch(value):
        raise _refused(flow, f"input {name} is a number, not {value[:60]!r}", f"-f {name}=1")
    if kind == "choice":
        options = about.get("options")
        known = [_text(one) for one in options] if isinstance(options, list) else []
        if value not in known:
            raise _refused(flow, f"input {name} is one of {', '.join(known)}, not {value[:60]!r}", f"-f {name}=…")
    return value


def _text(value: object) -> str:
    """A value of YAML as GitHub's event has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refused(flow: Workflow, why: str, then: str) -> PushforwardError:
    return PushforwardError(f"{flow.file}: {why}", next=then, exit_code=USAGE)


def hears(flow: Workflow, kind: str) -> bool:
    """Whether a workflow is started by a `repository_dispatch` of this type."""
    if "repository_dispatch" not in flow.on:
        return False
    types = flow.on["repository_dispatch"].get("types")
    try:
        return types is None or kind in strings(types)
    except ValueError:
        return False  # whoever pushes such a file is told


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def payload(kind: str, text: str) -> dict[str, Any]:
    """The client payload of a `repository_dispatch` of the type `kind`: a small object of JSON."""
    if not 0 < len(kind) <= LONGEST_TYPE:
        raise PushforwardError(f"a type has 1 to {LONGEST_TYPE} characters", next="--event TYPE", exit_code=USAGE)
    try:
        found = json.loads(text or "{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PushforwardError("the payload is no object of JSON", next="""--payload '{"name": 1}'""", exit_code=USAGE)
    if len(found) > MOST_PROPERTIES or len(text) > MOST_CHARACTERS:
        raise PushforwardError(
            f"a payload has at most {MOST_PROPERTIES} properties at its top, and {MOST_CHARACTERS:,} characters",
            next="put them into one property",
            exit_code=USAGE,
        )
    return found
