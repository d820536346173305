"""Space of a search: the parameters that are tried, their values of today, and params.yaml with others. For `study`.

A file is changed where a value stands and nowhere else, so that a proposal's difference is the values alone, comments
and quotes included.
"""

import functools
import io
import json
import operator
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from pushforward import params
from pushforward.errors import PushforwardError
from pushforward.lifecycle import Searched
from pushforward.schema import FILE

DIGITS = 4  # of a number that is tried: what is proposed is what was tried
# A value of one line: in quotes, in brackets, or up to what ends it.
SCALAR = re.compile(
    r"""\"(?:[^"\\]|\\.)*\"|'(?:[^']|'')*'|\[[^\[\]{}#\n]*\]|[^\s#,\[\]{}&*!|>'"%@`][^#,\[\]{}\n]*?(?=\s*(?:#|,|\}|\n|\Z))"""
)

Values = Mapping[str, Any]


def today(text: bytes, space: Mapping[str, Searched], file: str = params.FILE) -> dict[str, Any]:
    """What the file says of each parameter now; refused where it has none of that name."""
    known = params.flatten(text, file)
    for name in space:
        if name not in known:
            raise PushforwardError(
                f"tune.space.{name}: {file} has no such parameter", next=f"edit tune in {FILE}, or {file}"
            )
    return {name: known[name] for name in space}


def outside(values: Values, space: Mapping[str, Searched]) -> list[str]:
    """Those of the values that lie where nothing is searched."""
    return [name for name, value in values.items() if not _inside(value, space[name])]


def _inside(value: Any, told: Searched) -> bool:
    if told.one_of is not None:
        return any(_same(value, one) for one in told.one_of)
    if told.low is None or told.high is None or type(value) not in (int, float):
        return False
    return told.low <= value <= told.high and not (told.whole and type(value) is float)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def code(value: Any, told: Searched) -> Any:
    """A value as the search knows it: a choice by its place, a number as it is."""
    if told.one_of is None:
        return value if told.whole else float(value)
    return next(place for place, one in enumerate(told.one_of) if _same(value, one))


def asked(trial: Any, space: Mapping[str, Searched]) -> dict[str, Any]:
    """The values that a trial of Optuna tries next."""
    return {name: _asked(trial, name, told) for name, told in space.items()}


def _asked(trial: Any, name: str, told: Searched) -> Any:
    if told.one_of is not None:
        return told.one_of[trial.suggest_categorical(name, list(range(len(told.one_of))))]
    if told.whole:
        return trial.suggest_int(name, told.low, told.high, log=told.log)
    value = trial.suggest_float(name, told.low, told.high, log=told.log)
    return min(max(float(f"{value:.{DIGITS}g}"), float(told.low or 0)), float(told.high or 0))


def changed(text: bytes, values: Values, file: str = params.FILE) -> bytes:
    """The file with other values of parameters that it has, each written where the old one stands."""
    tree = YAML(typ="rt", pure=True).load(text)
    lines = text.decode().splitlines(keepends=True)
    places = sorted(((*_place(tree, name), value) for name, value in values.items()), key=lambda one: one[:2])
    for row, column, value in reversed(places):  # from the end, so that no place moves
        line = lines[row]
        old = SCALAR.match(line, column)
        if old is None:
            return _anew(text, values)
        lines[row] = line[: old.start()] + _written(value, old[0]) + line[old.end() :]
    made = "".join(lines).encode()
    return made if _says(made, text, values, file) else _anew(text, values)


def _place(tree: Any, name: str) -> tuple[int, int]:
    *above, last = name.split(".")
    row, column = functools.reduce(operator.getitem, above, tree).lc.value(last)
    return int(row), int(column)


def _written(value: Any, old: str) -> str:
    """A value as YAML, a text in the quotes that it has had."""
    if isinstance(value, str) and old.startswith("'"):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return f"[{', '.join(_written(one, '') for one in value)}]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False) if not _bare(value, old) else str(value)


def _bare(value: Any, old: str) -> bool:
    """Whether a text needs no quotes, as the old one had none."""
    return isinstance(value, str) and not old.startswith('"') and re.fullmatch(r"[A-Za-z_][\w/-]*", value) is not None


def _number(value: float) -> str:
    """A number that YAML 1.1 takes for one too: 1e-05 is a text there."""
    said = repr(value)
    return said.replace("e", ".0e") if "e" in said and "." not in said else said


def _says(made: bytes, text: bytes, values: Values, file: str) -> bool:
    """Whether the file says all that it has said, but for the values."""
    try:
        return params.flatten(made, file) == {**params.flatten(text, file), **values}
    except PushforwardError:
        return False


def _anew(text: bytes, values: Values) -> bytes:
    """The same, written anew as a whole: for a value that stands on several lines."""
    yaml, out = YAML(typ="rt", pure=True), io.BytesIO()
    yaml.preserve_quotes = True
    tree = yaml.load(text)
    for name, value in values.items():
        *above, last = name.split(".")
        functools.reduce(operator.getitem, above, tree)[last] = value
    yaml.dump(tree, out)
    return out.getvalue()


def seed_of(text: bytes, name: str, file: str = params.FILE) -> int:
    """The seed of today; refused where there is none."""
    found = params.flatten(text, file).get(name)
    if type(found) is not int:
        raise PushforwardError(
            f"tune.seed: {name} of {file} is {found!r:.60}, not a whole number",
            next=f"name the seed of {file} in tune.seed of {FILE}, or take that out",
        )
    return found


def said(values: Values) -> str:
    """Values in one line."""
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    )
