"""Other seeds of a recipe, run beside a push to the default branch: what its numbers are held against has a spread.

`repro` asks, after the run itself, for whatever is in the settings (`noise`). The stages run through DVC in a scratch
checkout, in the same job and jail as the run, and what they make stays in the cache; a recipe whose spread is known
already, but for its seed, is not run again.
"""

import functools
import io
import operator
import tempfile
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from pushforward import files, params
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import measured, noise
from pushforward.pipeline import declared, folders
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline.checkout import checkout
from pushforward.pipeline.lock import METRICS, read_lock
from pushforward.pipeline.storage import storage
from pushforward.settings import Settings


def run(root: Path, rules: Settings, out: Path, *, say: Callable[[str], None]) -> None:
    """Leave in the hand-over `out` what other seeds give of each number that has a limit."""
    asked = rules.noise
    if asked is None:
        return
    file = rules.model.beside(params.FILE)
    seed = _seed(params.plain(files.read(root, file), file), asked.param)
    locks = folders.locks_here(root)
    recipe, known = noise.recipe(folders.whole_here(root), asked.param, file), noise.read(files.read(root, noise.FILE))
    if known is not None and (known.param, known.recipe) == (asked.param, recipe) and _whole(known, rules):
        say(f"noise: what other seeds of this recipe give is in {noise.FILE}")
        return
    files.remove(out, noise.FILE)
    found: dict[str, tuple[float, ...]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        repository = Repository(root)
        own = checkout(repository, repository.commit("HEAD"), Path(scratch) / "seeds", storage=storage(root))
        for path, lock in locks.items():
            files.write(own, path, lock)
        for other in range(seed + 1, seed + 1 + asked.runs):
            say(f"noise: {asked.param} {other}")
            numbers = _numbers(own, file, asked.param, other)
            found = {key: (*found.get(key, ()), numbers[key]) for key in rules.limits if key in numbers}
    whole = {key: values for key, values in found.items() if len(values) == asked.runs}
    files.write(out, noise.FILE, noise.written(noise.Noise(asked.param, recipe, whole)))


def _whole(known: noise.Noise, rules: Settings) -> bool:
    runs = rules.noise.runs if rules.noise else 0
    return all(len(known.values.get(key, ())) >= runs for key in rules.limits)


def _numbers(own: Path, file: str, param: str, seed: int) -> measured.Numbers:
    """The numbers of one more run, with another seed."""
    _set(own, file, param, seed)
    told = declared.here(own)
    done = pipeline.reproduce(own, pull=True, push=False, shown=told.metrics, say=lambda _: None)
    if done.outcome != "ok":
        why = done.cause or done.message.strip().partition("\n")[0]
        raise PushforwardError(
            f"with {param} {seed} the pipeline {done.outcome}: {why}",
            next=f"dvc exp run -S {param}={seed}, or another noise.param in pushforward.yaml",
        )
    paths = [f"{METRICS}/{path.name}" for path in files.place(own, METRICS).glob(f"*{measured.SUFFIX}")]
    paths += told.files(read_lock(folders.whole_here(own)))
    contents = {path: content for path in paths if (content := files.read(own, path)) is not None}
    return measured.numbers(contents)[0]


def _seed(values: object, param: str) -> int:
    found = values
    for part in param.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if type(found) is not int:
        raise PushforwardError(
            f"{params.FILE}: {param} (noise.param) is {found!r:.60}, not a whole number",
            next="name the seed in noise.param of pushforward.yaml",
        )
    return found


def _set(own: Path, file: str, param: str, seed: int) -> None:
    yaml, out = YAML(), io.BytesIO()
    tree = yaml.load(files.read(own, file))
    *above, last = param.split(".")
    functools.reduce(operator.getitem, above, tree)[last] = seed
    yaml.dump(tree, out)
    files.write(own, file, out.getvalue())
