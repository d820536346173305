"""DVC's run cache, what stages once made of what, moved between cache and remote as far as a run needs it.

By itself DVC fetches every entry of all history before a run and sends every one again after it, one after the other.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def as_needed() -> Iterator[None]:
    """Have DVC fetch the entries of a stage when it asks for them, and send those of the stages that it asked for.

    An entry lies at `runs/<2 of the key>/<key>/<digest>`; the key is of what goes into a stage, the digest of all.
    """
    from dvc.config import RemoteConfigError
    from dvc.stage import cache as dvc

    kind: Any = dvc.StageCache
    before = kind.pull, kind.transfer, kind._load, kind.save
    remotes: list[Any] = []
    touched: set[str] = set()
    fetched: set[str] = set()
    known: list[list[str]] = []

    def pull(cache: Any, remote: str | None, odb: Any = None) -> list[tuple[str, str]]:
        try:
            source = odb or cache.repo.cloud.get_remote_odb(remote, "fetch --run-cache", hash_name="md5-dos2unix")
        except RemoteConfigError:
            return list(before[0](cache, remote, odb))  # which says so
        if _in_the_web(source):
            return list(before[0](cache, remote, odb))  # which refuses it
        remotes[:] = [source]
        return []

    def of(source: Any, key: str) -> list[str]:
        """The entries of a stage in a remote that is no folder: asked for all once, a thousand at the price of one."""
        if not known:
            known.append(_entries(source, ""))
        return [name for name in known[0] if name.split("/")[2] == key]

    def load(cache: Any, stage: Any) -> Any:
        key = dvc._get_stage_hash(stage)
        touched.add(key)
        here = Path(cache._get_cache_dir(key))
        for source in remotes if not here.is_dir() else ():
            names = _entries(source, key) if source.fs.protocol == "local" else of(source, key)
            _copy(source, cache.repo.cache.legacy, names)
            fetched.update(names)
        return before[2](cache, stage)

    def save(cache: Any, stage: Any) -> None:
        before[3](cache, stage)
        if dvc._can_hash(stage):
            touched.add(dvc._get_stage_hash(stage))

    def transfer(cache: Any, source: Any, to: Any, force: bool = True) -> list[tuple[str, str]]:
        if _in_the_web(source) or _in_the_web(to):
            return list(before[1](cache, source, to, force))  # which refuses it
        names = [name for key in sorted(touched) for name in _entries(source, key) if name not in fetched]
        _copy(source, to, names)
        return [(name.split("/")[2], name.split("/")[3]) for name in names]

    kind.pull, kind.transfer, kind._load, kind.save = pull, transfer, load, save
    try:
        yield
    finally:
        kind.pull, kind.transfer, kind._load, kind.save = before


def _in_the_web(odb: Any) -> bool:
    return str(odb.fs.protocol).startswith("http")


def _entries(odb: Any, key: str) -> list[str]:
    """The entries of a stage in a cache or a remote, as they are called in both; of all stages without a key."""
    top = odb.fs.join(odb.path, "runs")
    try:
        found = sorted(odb.fs.find(odb.fs.join(top, key[:2], key) if key else top))
    except FileNotFoundError:
        return []
    names = [odb.fs.as_posix(odb.fs.relpath(path, odb.path)) for path in found]
    return [name for name in names if name.count("/") == 3 and "." not in name]


def _copy(source: Any, to: Any, names: list[str]) -> None:
    """Copy entries, as many at once as the remote takes; one that is not sent is told as DVC does."""
    from dvc_objects.fs import generic

    def tell(_: str, place: str, failed: BaseException) -> None:
        logging.getLogger("dvc").error("failed to transfer '%s' - %s", place, failed)

    if names:
        places = [[odb.fs.join(odb.path, *name.split("/")) for name in names] for odb in (source, to)]
        generic.copy(source.fs, places[0], to.fs, places[1], on_error=tell)
