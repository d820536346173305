"""Asking for the outcomes of a canary: the program that fetches what `monitor.outcomes` needs, and has it run.

`canary` starts it for each look, so that neither DVC nor the command takes the time of who answers.
"""

import sys
from pathlib import Path

from pushforward.monitoring.asking import Project
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority
from pushforward.serving import program


def main() -> None:
    """`python -m pushforward.serving.asking ROOT MODEL CACHE OUT`."""
    root, model, cache, out = sys.argv[1:]
    program.tell(lambda: ask(Path(root).absolute(), model, Path(cache), Path(out)))


def ask(root: Path, model: str, cache: Path, out: Path) -> dict[str, str]:
    """Have what came of it written to `out`, as `pushforward monitor` would; what that takes lies beside it.

    Whoever has started this removes the folder, also where this was killed.
    """
    with authority.of(root) as here:
        head = Revision(here.repository, here.repository.commit("HEAD"), model)
        Project(root, here, head, out.parent, lambda text: print(text, file=sys.stderr), cache).ask(out)
    return {"outcomes": str(out)}


if __name__ == "__main__":
    main()
