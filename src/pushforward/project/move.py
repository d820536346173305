"""Our sections of params.yaml, as they were before pushforward.yaml, moved there with their comments.

Called by `adopt` with --update. What a stage reads stays in params.yaml too, and so does `data`, which is the
pipeline's: pushforward.yaml names its months.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError
from ruamel.yaml.comments import CommentedMap

from pushforward import __version__, params, schema, section, yamlfile
from pushforward.errors import PushforwardError
from pushforward.project import draft, reading
from pushforward.project.pipelines import Pipeline
from pushforward.project.survey import Survey
from pushforward.settings import GateRules, ModelContract

RULES = ("gate", "promote", "server")
METRIC = re.compile(r"\s+metric\s*:")
HEAD = """\
# What pushforward is told of this repository.
"""


class _Contract(ModelContract):
    """`model`, as params.yaml had it."""

    path: str
    environment: list[section.ProjectPath] = Field(alias="requirements", min_length=1)


class _Old(section.Section):
    """Our sections of params.yaml, as they were."""

    model: _Contract
    gate: GateRules = GateRules()
    promote: schema.Promote = schema.Promote()
    server: schema.Server = schema.Server()


@dataclass(frozen=True)
class Moved:
    """The two files as they will be, and what stays in both because a stage reads it."""

    project: str
    params: str
    stays: tuple[str, ...]


def move(survey: Survey) -> Moved:
    """Write the sections of ours into pushforward.yaml, and take them out of params.yaml."""
    text = reading.text(survey.root, params.FILE)
    tree = yamlfile.load(text.encode(), params.FILE)
    rules = _old(tree)
    values: dict[str, Any] = yamlfile.plain(tree)
    sections, lines = _sections(text, tree), text.splitlines(keepends=True)
    read = _read_by_stages(survey.pipelines)
    going = [name for name in ("model", *RULES) if name in sections]
    held = {name: _held(name, values[name], read) for name in going}
    project = [HEAD, f'tool: "{__version__}"  # the version that judges; a change counts from the next push on\n']
    project += ["models:\n", *_model(rules)]
    for name in going:
        first, end = sections[name]
        if _parsed("".join(lines[first:end])) != {name: values[name]}:
            raise _by_hand()
        project += [_rules(name, lines[first:end])] if name in RULES else []
    for name in sorted(going, key=lambda one: -sections[one][0]):
        first, end = sections[name]
        lines[first:end] = [_left(name, held[name])] if held[name] else []
    rest = "".join(lines)
    kept = {name: held.get(name, value) for name, value in values.items() if held.get(name, True)}
    if kept and _parsed(rest) != kept:
        raise _by_hand()
    return Moved("".join(project), rest, tuple(f"{name}.{key}" for name in going for key in held[name]))


def _old(tree: CommentedMap) -> _Old:
    """What the old form says; refused by its line where it was never read."""
    own = _Old.model_fields
    try:
        return _Old.model_validate({name: yamlfile.plain(tree[name]) for name in own if name in tree})
    except ValidationError as invalid:
        first = invalid.errors()[0]
        inside: Any = own[str(first["loc"][0])].annotation
        known = list(getattr(inside, "model_fields", own))
        raise yamlfile.refusal(params.FILE, tree, first["loc"], yamlfile.explain(first, known)) from None


def _sections(text: str, tree: CommentedMap) -> dict[str, tuple[int, int]]:
    """First line and end of every section, counted from 0, with the comments right above its name."""
    lines = text.splitlines()
    starts = []
    for name in tree:
        first = tree.lc.key(name)[0]
        while first and lines[first - 1].startswith("#"):
            first -= 1
        starts.append((str(name), first))
    ends = [first for _, first in starts[1:]] + [len(lines)]
    return {name: (first, end) for (name, first), end in zip(starts, ends, strict=True)}


def _model(rules: _Old) -> Iterable[str]:
    model = rules.model
    yield f"  {model.name}:\n    path: {model.path}\n"
    yield f"    environment: [{', '.join(model.environment)}]\n"
    if model.card:
        yield f"    card: {model.card}\n"
    names = ("holdout", "key", "label", "cluster", "time", "floor")
    listed = [(("path" if name == "holdout" else name), getattr(model, name)) for name in names if getattr(model, name)]
    yield f"    holdout: {{{', '.join(f'{name}: {value}' for name, value in listed)}}}\n"
    yield f"    score: {draft.scalar(model.score)}\n"
    if rules.gate.metric != "logloss":
        yield f"    loss: {rules.gate.metric}\n"
    if model.validation:
        yield f"    validation: {model.validation}\n"
    yield f"    batches: {params.FILE}:data.months\n"


def _rules(name: str, lines: list[str]) -> str:
    """A section as it was written; `gate.metric` has become the model's loss."""
    kept = [line for line in lines if not (name == "gate" and METRIC.match(line))]
    text = "".join(kept).rstrip() + "\n"
    return text if (_parsed(text) or {}).get(name) else ""


def _read_by_stages(pipelines: Iterable[Pipeline]) -> set[str]:
    return {
        key
        for pipeline in pipelines
        for stage in pipeline.stages
        for file, key, _ in stage.params
        if file == params.FILE
    }


def _held(name: str, given: Any, read: set[str]) -> dict[str, Any]:
    """What a stage reads of a section."""
    if not isinstance(given, dict) or name in read:
        return given if name in read else {}
    return {key: value for key, value in given.items() if any(f"{one}.".startswith(f"{name}.{key}.") for one in read)}


def _left(name: str, held: dict[str, Any]) -> str:
    values = ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in held.items())
    return f"# a stage reads it; what pushforward goes by is in pushforward.yaml\n{name}: {{{values}}}\n\n"


def _parsed(text: str) -> dict[str, Any] | None:
    """What a part of params.yaml says by itself; None where it says nothing."""
    try:
        found: dict[str, Any] = yamlfile.plain(yamlfile.load(text.encode(), params.FILE))
    except PushforwardError:
        return None
    return found


def _by_hand() -> PushforwardError:
    return PushforwardError(
        f"{params.FILE} is not written as a block of lines a section; what is pushforward's in it cannot be cut out",
        next="move it into pushforward.yaml by hand: docs/pushforward.schema.json says what is called how",
    )
