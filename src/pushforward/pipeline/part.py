"""Part of a pipeline: which stages are of one item of a list alone, and a run of some stages with what they need.

`arrival` looks at a batch by it before the batch is committed; a search of `tuning` runs its stages `alone` too.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pushforward.errors import PushforwardError
from pushforward.pipeline import environment
from pushforward.pipeline.dvc import opened, told
from pushforward.pipeline.graph import check_places, refuse_links
from pushforward.pipeline.stages import Listener, Reproduction, tail_of
from pushforward.pipeline.storage import home, storage
from pushforward.process import clean_environment

ENTERED = ("VIRTUAL_ENV", "PYTHONNOUSERSITE")  # by which a stage knows the environment of the project


def of_item(root: Path, item: str) -> list[str]:
    """The stages of this item (`foreach`, `matrix`) that need no stage which is not: what can be run of it alone."""
    import networkx

    with opened(root, Listener(print)) as repo:
        graph = repo.index.graph  # from a stage to those that it needs
        own = {stage for stage in graph if stage.cmd and stage.addressing.endswith(f"@{item}")}

        def alone(stage: Any) -> bool:
            return all(one in own or not one.cmd for one in networkx.descendants(graph, stage))

        return sorted(stage.addressing for stage in own if alone(stage))


def named(root: Path, names: Iterable[str], item: str) -> list[str]:
    """The stages of these names, of this item where they have items; an error where one is not there."""
    with opened(root, Listener(print)) as repo:
        known = {stage.addressing for stage in repo.index.stages if stage.cmd}
    found = []
    for name in names:
        one = next((address for address in (f"{name}@{item}", name) if address in known), "")
        if not one:
            raise PushforwardError(f"dvc.yaml has no stage {name}, nor one of it for {item}", next="edit dvc.yaml")
        found.append(one)
    return found


def attempt(root: Path, targets: Iterable[str], *, say: Any = print) -> Reproduction:
    """Run these stages and those that they need; one that ends with status 3 has refused its data.

    What it makes stays in the cache of `root`, and they see no variable of whoever asks: of a job that holds tokens,
    say. A refused or failed stage is an outcome, no exception.
    """
    started = time.monotonic()
    environment.enter(environment.project(root))
    listener, result = Listener(say, home(root)), Reproduction()
    with tail_of() as tail, opened(root, listener) as repo, alone(root):
        refuse_links(repo)
        check_places(root, repo)
        pull = bool(storage(root).remote)
        with told(root, repo, listener, tail, result):
            repo.reproduce(targets=list(targets), pull=pull, allow_missing=pull)
    result.stages = listener.stages
    result.seconds = round(time.monotonic() - started, 2)
    return result


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Have DVC start stages in the clean environment, with the code of `root`; DVC itself may need more for a store.

    The environment of the project is entered by then.
    """
    from dvc.stage import run

    before, given = run.fix_env, {name: os.environ[name] for name in ENTERED if name in os.environ}
    given["PYTHONPATH"] = os.pathsep.join([str(root / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    run.fix_env = lambda _=None: before(clean_environment({**given, "OMP_WAIT_POLICY": "passive"}))
    try:
        yield
    finally:
        run.fix_env = before
