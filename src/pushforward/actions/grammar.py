"""What a workflow file may say: read by the table `language`, as GitHub's own reader does. Pure.

Which keys there are, of which kinds, what has to be there, and which contexts and functions expressions know at each
place.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pushforward.actions import expression, language
from pushforward.actions.functions import ARGUMENTS, counted, text
from pushforward.actions.language import Either, Keys, Knowing, Listed, Scalar, Shape, Steps
from pushforward.errors import PushforwardError

Path = tuple[str | int, ...]
_TOPS: Mapping[str, Shape] = {"workflow": language.WORKFLOW, "action": language.ACTION}
_KINDS = {"text": "text", "filled": "text", "boolean": "true or false", "number": "a number"}


@dataclass(frozen=True)
class Fault:
    """What GitHub would refuse, in words, and the place of it: keys and indexes from the top of the file."""

    path: Path
    text: str


@dataclass(frozen=True)
class Known:
    """The contexts and functions that an expression may use: by lower-case name, functions with least and most."""

    contexts: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def extend(self, by: Knowing) -> "Known":
        """These, and what is known from a place on."""
        contexts = {**self.contexts, **{name.lower(): name for name in by.contexts}}
        return Known(contexts, {**self.functions, **{name.lower(): limits for name, limits in by.functions.items()}})


def faults(data: Any, kind: Literal["workflow", "action"]) -> list[Fault]:
    """What of a file's content GitHub does not allow, in the order of the file."""
    return list(_read(data, _TOPS[kind], (), Known()))


def _read(value: Any, shape: Shape, path: Path, known: Known) -> Iterator[Fault]:
    """What is wrong with a value that should be of this shape."""
    condition = False
    while isinstance(shape, Knowing):
        known, condition = known.extend(shape), condition or shape.condition
        shape = shape.shape
    if condition and isinstance(value, (str, bool, int, float)):
        yield from _condition(text(value), path, known)
        return
    if isinstance(value, str) and "${{" in value:
        literal = _literal(value)
        if literal is None:
            yield from _template(value, path, known)
            return
        value = literal
    forms = [*_forms(shape)]
    if Scalar("anything") in forms:
        yield from _inside(value, path, known)
    elif isinstance(value, dict):
        mappings = [form for form in forms if isinstance(form, Keys)]
        if not mappings:
            yield Fault(path, f"a mapping is not expected here; {_wanted(forms)}")
        else:
            yield from _mapping(value, mappings, path, known)
    elif isinstance(value, list):
        items = [form.item for form in forms if isinstance(form, Listed)]
        if not items:
            yield Fault(path, f"a list is not expected here; {_wanted(forms)}")
        for at, item in enumerate(value if items else ()):
            yield from _read(item, items[0], (*path, at), known)
    elif not any(_matches(value, form) for form in forms):
        shown = f"`{text(value)}`" if text(value) else "nothing"
        yield Fault(path, f"{shown} is not expected here; {_wanted(forms)}")


def _forms(shape: Shape) -> Iterator[Shape]:
    """The shape itself, or what it is one of."""
    if isinstance(shape, Either):
        for one in shape.shapes:
            yield from _forms(one)
    elif isinstance(shape, Steps):
        yield from _forms(language.STEPS)
    else:
        yield shape


def _inside(value: Any, path: Path, known: Known) -> Iterator[Fault]:
    """What is wrong with the expressions in a value that may be anything."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(item, (*path, text(key)), known)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _inside(item, (*path, at), known)
    elif isinstance(value, str) and "${{" in value:
        yield from _template(value, path, known)


def _wanted(forms: Sequence[Shape]) -> str:
    words: list[str] = []
    for form in forms:
        if isinstance(form, Scalar):
            words += form.words or ([_KINDS[form.kind]] if form.kind in _KINDS else [])
        else:
            words.append("a list" if isinstance(form, Listed) else "a mapping")
    return f"expected: {', '.join(dict.fromkeys(words))}"


def _mapping(value: Mapping[Any, Any], forms: Sequence[Keys], path: Path, known: Known) -> Iterator[Fault]:
    seen: set[str] = set()
    unknown: list[str] = []
    computed = False
    for key, item in value.items():
        name = text(key)
        if "${{" in name:
            computed = True
            yield from _template(name, (*path, name), known)
            continue
        if name.lower() in seen:
            yield Fault((*path, name), f"`{name}` is there twice; names have no case")
            continue
        seen.add(name.lower())
        having = [form for form in forms if name in form.known]
        others = next((form.others for form in forms if form.others is not None), None)
        if having:
            forms = having
            yield from _read(item, having[0].known[name], (*path, name), known)
        elif others is not None:
            yield from _read(item, others, (*path, name), known)
        else:
            unknown.append(name)
    yield from _unknown(unknown, {one for form in forms for one in form.known} - seen, path)
    if len(forms) > 1:
        deciding = sorted({one for form in forms for one in form.must})
        yield Fault(path, f"one of these keys is missing: {', '.join(deciding)}")
    elif not computed:
        yield from (Fault(path, f"`{name}` is missing") for name in forms[0].must if name.lower() not in seen)


def _unknown(names: Sequence[str], others: set[str], path: Path) -> Iterator[Fault]:
    for name in names:
        near = difflib.get_close_matches(name.lower(), sorted(others), 1, 0.75)
        instead = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(others))}"
        yield Fault((*path, name), f"there is no key `{name}` here; {instead}")


def _matches(value: Any, form: Shape) -> bool:
    if not isinstance(form, Scalar):
        return False
    if form.words:
        return text(value) in form.words
    if form.kind in {"text", "filled"}:
        return bool(text(value)) or form.kind == "text"
    if form.kind == "boolean":
        return isinstance(value, bool)
    if form.kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None


def _literal(value: str) -> str | None:
    """The text that a template is where it is nothing but one: `${{ 'sh {0}' }}` may stand where no expression may."""
    try:
        (part, inside), *more = expression.pieces(value)
        node = expression.parse(part) if inside and not more else None
    except PushforwardError:
        return None
    return node.value if isinstance(node, expression.Literal) and isinstance(node.value, str) else None


def _condition(value: str, path: Path, known: Known) -> Iterator[Fault]:
    """An `if:` is an expression with or without its `${{ }}`."""
    if "${{" in value:
        yield from _template(value, path, known)
    elif value.strip():
        yield from _expression(value, path, known)


def _template(value: str, path: Path, known: Known) -> Iterator[Fault]:
    try:
        inside = [part for part, is_expression in expression.pieces(value) if is_expression]
    except PushforwardError as wrong:
        yield Fault(path, wrong.message)
        return
    if not known.contexts and not known.functions:
        yield Fault(path, f"an expression is not allowed here: ${{{{{inside[0]}}}}}")
        return
    for part in inside:
        if part.strip() != "insert":
            yield from _expression(part, path, known)


def _expression(source: str, path: Path, known: Known) -> Iterator[Fault]:
    try:
        tree = expression.parse(source)
    except PushforwardError as wrong:
        yield Fault(path, wrong.message)
        return
    for node in expression.walk(tree):
        if isinstance(node, expression.Name) and node.name.lower() not in known.contexts:
            listed = ", ".join(known.contexts.values()) or "none"
            yield Fault(path, f"`{node.name}` is not known here; known are {listed}: ${{{{ {source.strip()} }}}}")
        elif isinstance(node, expression.Call):
            limits = ARGUMENTS.get(node.name.lower()) or known.functions.get(node.name.lower())
            if limits is None:
                yield Fault(path, f"there is no function {node.name}() here: ${{{{ {source.strip()} }}}}")
            elif wrong_count := counted(node.name, len(node.arguments), *limits):
                yield Fault(path, f"{wrong_count}: ${{{{ {source.strip()} }}}}")
