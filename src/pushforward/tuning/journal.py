"""Journal of a search: Optuna's, a line for each thing that happens, in a file that survives what kills the search.

`study` opens it. One process at a time searches, and the kernel knows which: no lock is left behind by one that dies.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pushforward import durable
from pushforward.errors import TOOL, PushforwardError

SUFFIX = ".journal"
LOCK = "searching.lock"


class _Held:
    """Optuna's own lock, where ours is held already."""

    def acquire(self) -> bool:
        """Nothing to wait for."""
        return True

    def release(self) -> None:
        """Nothing to give back."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Search alone in the folder; refused while another process does."""
    lock = folder / LOCK
    with durable.attempted(lock) as mine:
        if not mine:
            raise PushforwardError(
                f"a search goes on here already (process {lock.read_text().strip() or 'unknown'})",
                next="wait for it, or end it with Ctrl-C: what it has tried is kept",
                exit_code=TOOL,
            )
        lock.write_text(f"{os.getpid()}\n")
        yield


def opened(path: Path) -> Any:
    """Optuna's storage in the file at `path`; a last line that a kill cut off is as if it had not begun."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if path.exists():
        text = path.read_bytes()
        if whole := len(text) - (text.rfind(b"\n") + 1):
            os.truncate(path, len(text) - whole)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_Held()))  # type: ignore[arg-type]
