"""Noise of a recipe: how far its numbers move when nothing changes but a seed. `measured` asks, `seeds` writes it down.

A number is one draw of what its recipe gives. Where some more are known, a new run of the same recipe would lie in
Student's prediction interval for one future observation (Hahn and Meeker 1991, 4.7): the mean of all n known, plus and
minus t(n - 1) times their standard deviation times the root of 1 + 1/n. What lies inside is no gain and no loss.
"""

import contextlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pushforward import params, untrusted
from pushforward.errors import PushforwardError
from pushforward.gate import stats
from pushforward.pipeline.lock import METRICS, read_lock, within
from pushforward.pipeline.revision import sha256

FILE = f"{METRICS}/noise.json"
ALPHA = 0.05  # of both sides together
MOST = 1000  # numbers


class Noise(NamedTuple):
    """What other seeds of the recipe `recipe` gave, by the parameter `param`: the values of each number."""

    param: str
    recipe: str
    values: Mapping[str, tuple[float, ...]]


def written(noise: Noise) -> bytes:
    """The file that a run leaves."""
    return (json.dumps(noise._asdict(), indent=1, sort_keys=True) + "\n").encode()


def read(content: bytes | None) -> Noise | None:
    """What a run left; None where there is none, or it is not of our form."""
    with contextlib.suppress(PushforwardError):
        tree = untrusted.plain_json(content, FILE) if content else {}
        values = tree.get("values")
        named = {str(key): _numbers(some) for key, some in values.items()} if isinstance(values, dict) else {}
        found = {key: some for key, some in named.items() if some}
        param, recipe = tree.get("param"), tree.get("recipe")
        if found and len(found) <= MOST and isinstance(param, str) and isinstance(recipe, str):
            return Noise(param, recipe, found)
    return None


def _numbers(some: object) -> tuple[float, ...]:
    values = some if isinstance(some, list) else []
    whole = all(type(one) in {int, float} and math.isfinite(one) for one in values)
    return tuple(float(one) for one in values) if whole else ()


def recipe(lock: bytes | None, param: str, file: str = params.FILE) -> str:
    """SHA-256 of what the stages of a lock run and of what, but for one parameter of `file` and what comes of it."""
    stages = read_lock(lock)
    made = [str(out["path"]) for entry in stages.values() for out in entry.get("outs", [])]
    told = {
        name: {
            "cmd": entry.get("cmd"),
            "deps": {
                dep["path"]: dep.get("md5")
                for dep in entry.get("deps", [])
                if not any(within(dep["path"], one) for one in made)
            },
            "params": {
                name: {key: value for key, value in values.items() if (name, key) != (file, param)}
                for name, values in entry.get("params", {}).items()
            },
        }
        for name, entry in stages.items()
    }
    return sha256(json.dumps(told, sort_keys=True, default=str).encode())


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where one more run of the recipe that gave `values` would lie."""
    spread = statistics.stdev(values) * math.sqrt(1 + 1 / len(values))
    one = stats.Estimate(statistics.fmean(values), spread, len(values) - 1)
    return one.low(ALPHA / 2), one.high(ALPHA / 2)
