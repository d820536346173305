"""What a commit needs and its store does not have, before a push finds out; the rehearsal asks it.

The store is read, never written to.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pushforward import files
from pushforward.actions import lint, workflow
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import store
from pushforward.project.faults import Fault

CONFIG = ".dvc/config"


def lacking(root: Path, clone: Path) -> Iterator[Fault]:
    """What `dvc add` has taken in of the commit in `clone` and the store of the repository in `root` does not hold."""
    places = store.places(clone)
    cache = store.places(root).cache
    repository = Repository(clone)
    pointers = {path for path in repository.tree("HEAD") if path.endswith(".dvc")}
    added = {path: oid for path, oid in store.outs(repository, "HEAD").items() if f"{path}.dvc" in pointers}
    if not places.url:
        yield Fault(CONFIG, 0, "it names no default remote", f"dvc remote add -d store ../{root.name}.dvc")
        return
    if places.remote is not None:
        gone = [path for path, oid in added.items() if not _holds(places.remote, oid)]
    else:
        try:
            gone = pipeline.absent(clone, added)
        except (PushforwardError, OSError) as failed:
            why = str(failed).splitlines()[0]
            then = getattr(failed, "next", "") or "dvc status -c, with its credentials"
            yield Fault(CONFIG, 0, f"the store {places.url} cannot be read: {why}", then)
            return
    for path in gone:
        pointer = f"{path}.dvc"
        if _holds(cache, added[path]):
            yield Fault(pointer, 0, f"{path} is not in the store", f"dvc push {pointer}")
        else:
            what = f"{path} is neither in the store nor in the cache of this clone"
            yield Fault(pointer, 0, what, f"dvc push {pointer} where it was added, or dvc add {path} again")


def _holds(place: store.Store, oid: str) -> bool:
    """Whether an object lies there, and of a folder each file of it; that they are whole a push finds out."""
    path = place.plain(oid)
    if path is None or not oid.endswith(".dir"):
        return path is not None
    return all(place.plain(one) is not None for one in store.members(oid, path.read_bytes()).values())


def link(cache: Path, to: Path) -> None:
    """Give a scratch clone what the cache holds and its runs remember: as links where the disk is the same."""
    for folder in ("files", "runs"):
        if (cache / folder).is_dir():
            shutil.copytree(cache / folder, to / folder, copy_function=_link, ignore_dangling_symlinks=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


def workflows(clone: Path, tree: Iterable[str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(file, what is wrong with it) of each workflow of a commit that a server is to run, by `names`, and cannot."""
    wanted = {f"{name}{end}" for name in names for end in (".yml", ".yaml")}
    for path in sorted(tree):
        if path.rpartition("/")[0] != workflow.FOLDER or path.rpartition("/")[2] not in wanted:
            continue
        try:
            flow = workflow.load(path.rpartition("/")[2], (files.read(clone, path) or b"").decode("utf-8", "replace"))
        except PushforwardError as wrong:
            yield path, wrong.message.splitlines()[0].removeprefix(f"{path}: ")
            continue
        for problem in lint.problems(flow):
            yield path, problem.removeprefix(f"{path}: ")
