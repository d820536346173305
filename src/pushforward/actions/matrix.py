"""The legs of a matrix, as GitHub's document "Running variations of jobs in a workflow" makes them. Pure."""

import itertools
from collections.abc import Mapping
from typing import Any

Leg = dict[str, Any]
MAX_LEGS = 4096  # more are not counted out


def legs(found: Any) -> list[Leg] | None:
    """The combinations of a matrix, in GitHub's order; None where an expression, or too much, keeps them from sight.

    All combinations of the vectors, less those of which an `exclude` matches a part, plus `include`: one of its objects
    joins each combination whose own values it leaves alone, and is a leg of its own where there is none such.
    """
    if not isinstance(found, dict) or _computed(found):
        return None
    vectors = {name: values for name, values in found.items() if name not in ("include", "exclude")}
    size = 1
    for values in vectors.values():
        size *= max(len(values), 1) if isinstance(values, list) else 1
    if size > MAX_LEGS or not all(isinstance(values, list) for values in vectors.values()):
        return None
    named = [[(name, value) for value in values] for name, values in vectors.items()]
    combinations: list[Leg] = [dict(one) for one in itertools.product(*named)] if vectors else []
    excluded = [one for one in found.get("exclude") or [] if isinstance(one, dict)]
    combinations = [one for one in combinations if not any(_part(other, one) for other in excluded)]
    extra: list[tuple[Leg, Leg]] = [(one, dict(one)) for one in combinations]
    alone: list[Leg] = []
    for more in found.get("include") or []:
        if not isinstance(more, dict):
            return None
        joined = [whole for own, whole in extra if all(own[key] == more[key] for key in more if key in own)]
        for whole in joined:
            whole.update(more)
        if not joined:
            alone.append(dict(more))
    return [whole for _, whole in extra] + alone


def _part(some: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    return all(key in whole and whole[key] == value for key, value in some.items())


def _computed(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_computed(key) or _computed(one) for key, one in value.items())
    if isinstance(value, list):
        return any(map(_computed, value))
    return isinstance(value, str) and "${{" in value
