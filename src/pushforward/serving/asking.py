"""Asking for the outcomes of a canary: the program that fetches what `monitor.outcomes` needs, and has it run.

`canary` starts it for each look, so that neither DVC nor the command takes the time of who answers. What it prints is
one line of JSON: why there is nothing, or that it is written.
"""

import json
import os
import sys
from pathlib import Path

from pushforward.errors import TOOL, PushforwardError
from pushforward.monitoring.asking import Project
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority
from pushforward.serving import worker


def main() -> None:
    """`python -m pushforward.serving.asking ROOT MODEL CACHE OUT`: one line of JSON on standard output."""
    worker.die_with_parent()
    root, model, cache, out = sys.argv[1:]
    told = os.dup(1)
    os.dup2(2, 1)  # what DVC, an installer and others print is progress
    try:
        ask(Path(root).absolute(), model, Path(cache), Path(out))
        said = {}
    except PushforwardError as failed:
        said = {"error": failed.message, "next": failed.next, "exit_code": failed.exit_code}
    except OSError as trouble:
        said = {"error": f"{trouble.filename or ''}: {trouble.strerror}", "next": "df -h", "exit_code": TOOL}
    os.write(told, json.dumps(said).encode() + b"\n")


def ask(root: Path, model: str, cache: Path, out: Path) -> None:
    """Have what came of it written to `out`, as `pushforward monitor` would; what that takes lies beside it.

    Whoever has started this removes the folder, also where this was killed.
    """
    with authority.of(root) as here:
        head = Revision(here.repository, here.repository.commit("HEAD"), model)
        Project(root, here, head, out.parent, lambda text: print(text, file=sys.stderr), cache).ask(out)


def refused(text: bytes) -> PushforwardError | None:
    """What the program has printed: why nothing was written, or nothing."""
    try:
        told = json.loads(text)
    except ValueError:
        return PushforwardError("the process that asks for them said nothing", exit_code=TOOL)
    return PushforwardError(told["error"], next=told["next"], exit_code=told["exit_code"]) if "error" in told else None


if __name__ == "__main__":
    main()
