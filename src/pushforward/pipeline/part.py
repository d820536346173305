"""Part of a pipeline: which stages are of one item of a list alone, and a run of some stages with what they need.

`arrival` looks at a batch by it before the batch is committed.
"""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pushforward.errors import PushforwardError
from pushforward.pipeline import environment
from pushforward.pipeline.dvc import opened
from pushforward.pipeline.graph import refuse_links
from pushforward.pipeline.stages import Listener, Reproduction, tail_of, tell_failure
from pushforward.pipeline.storage import storage


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

    What it makes stays in the cache of `root`. A refused or failed stage is an outcome, no exception.
    """
    started = time.monotonic()
    environment.enter(environment.project(root))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root / "src"), *([before] if before else [])])
    listener, result = Listener(say), Reproduction()
    try:
        with tail_of() as tail, opened(root, listener) as repo:
            from dvc.exceptions import ReproductionError

            refuse_links(repo)
            pull = bool(storage(root).remote)
            try:
                repo.reproduce(targets=list(targets), pull=pull, allow_missing=pull)
            except ReproductionError as failed:
                listener.close_last()
                sys.stdout.flush()
                time.sleep(0.05)  # let the pump hand on the last words of the stage
                tell_failure(failed, listener, bytes(tail), result, root)
            else:
                listener.close_last()
                listener.tell_end()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    result.stages = listener.stages
    result.seconds = round(time.monotonic() - started, 2)
    return result
