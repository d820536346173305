"""The trial of a batch before it is committed: its own stages of the pipeline, run in a scratch checkout. `look` asks.

What looks at a batch is the project's: those stages that dvc.yaml has for this batch alone (`foreach`, `matrix`), as
far as they need no stage that is for all, or those that `arrive.stages` names. Nothing of it stays.
"""

import posixpath
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pushforward import files
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.lifecycle import Arrive
from pushforward.pipeline import part
from pushforward.pipeline.storage import LOCAL, Storage, home
from pushforward.text import plain

LONGEST = 1_000  # characters of what a stage has said


@dataclass(frozen=True)
class Tried:
    """What the stages of a batch came to; where they refuse it, `words` are their own."""

    outcome: Literal["valid", "refused"]
    words: str


def attempt(
    checkout: Path, changed: Mapping[str, bytes], batch: str, arrive: Arrive, *, say: Callable[[str], None]
) -> Tried:
    """Try a batch in a scratch checkout, with the files that would be committed; raises where it cannot be tried."""
    for path, content in changed.items():
        files.write(checkout, path, content)
    targets = part.named(checkout, arrive.stages, batch) if arrive.stages else part.of_item(checkout, batch)
    if not targets:
        raise PushforwardError(
            f"dvc.yaml has no stage of {batch} alone, so nothing looks at it before it is committed",
            next="name the stages that do, in pushforward.yaml: arrive: {stages: [validate]}",
            exit_code=USAGE,
        )
    done = part.attempt(checkout, targets, say=say)
    if done.outcome == "refused":
        return Tried("refused", plain(done.message, LONGEST))
    if done.outcome != "ok":
        raise PushforwardError(
            f"{batch} could not be tried: {plain(done.cause or done.message, LONGEST)}",
            next=done.next or "pushforward arrive, once that is mended",
            exit_code=TOOL,
        )
    return Tried("valid", f"{', '.join(targets)} took it")


def apart(checkout: Path, there: Storage, scratch: Path) -> None:
    """Give a checkout a cache of its own: what is tried stays nowhere. The store is asked, and gets nothing."""
    mine = replace(there, cache=scratch / "cache")
    files.write(checkout, posixpath.join(home(checkout), LOCAL), mine.config().encode())


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A folder that goes when it is over."""
    return tempfile.TemporaryDirectory(prefix="pushforward-arrive-", ignore_cleanup_errors=True)
