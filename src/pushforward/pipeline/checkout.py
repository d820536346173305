"""A checkout to be thrown away: of any commit, beside the project, with the data that the project has."""

import posixpath
from pathlib import Path

from pushforward import files, params, schema
from pushforward.git.repository import Repository
from pushforward.pipeline.lock import LOCK, METRICS
from pushforward.pipeline.storage import LOCAL, Storage, home

# What this tool itself reads, writes and deletes in a checkout.
OWN = (params.FILE, schema.FILE, "dvc.yaml", LOCK, METRICS, ".dvc", ".github")


def checkout(repository: Repository, commit: str, folder: Path, *, storage: Storage | None = None) -> Path:
    """A checkout of `commit` in `folder`, which is not there yet and borrows the repository's objects.

    No link stands for a file that is ours. Its data is in `storage`; without one nothing of DVC's is asked of it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    repository.copy(folder, commit)
    files.cut(folder, repository.tree(commit), OWN)
    if storage is not None:
        files.write(folder, posixpath.join(home(folder), LOCAL), storage.config().encode())
    return folder
