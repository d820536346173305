"""Space of a search: the parameters that are tried, and their values of today. For `study`."""

import json
from collections.abc import Mapping
from typing import Any

from pushforward import params
from pushforward.errors import PushforwardError
from pushforward.lifecycle import Searched
from pushforward.schema import FILE

DIGITS = 4  # of a number that is tried: what is proposed is what was tried

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
