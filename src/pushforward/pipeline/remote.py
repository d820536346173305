"""The DVC remote, as DVC has opened it: what it has lost, and every object read back after a push."""

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

from pushforward.errors import TOOL, PushforwardError
from pushforward.pipeline.lock import LISTING, LOCK, is_object
from pushforward.pipeline.storage import storage

DRIVER = re.compile(r"requires '?(dvc-[\w-]+)'? to be installed")


def lost_of(root: Path, repo: Any) -> PushforwardError | None:
    """The error where the remote does not have what a lock or a .dvc file names; None where it has all."""
    odb = repo.cloud.get_remote_odb()
    for out in repo.index.outs:
        if not (out.use_cache and out.hash_info) or odb.exists(out.hash_info.value):
            continue
        named = f"{os.path.relpath(out.fs_path, root)} (md5 {out.hash_info.value})"
        if out.stage.cmd:
            return PushforwardError(f"the DVC remote has lost {named}", exit_code=TOOL)
        by = os.path.relpath(out.stage.path, root)
        return PushforwardError(
            f"{by} names {named}, which the DVC remote does not have", next="dvc push, then push again"
        )
    return None


def lacks_driver(root: Path, failed: ImportError) -> PushforwardError | None:
    """The error of a remote that DVC reads by a package of its own, which is not there; None of another import."""
    package = DRIVER.search(str(failed))
    if package is None:
        return None
    return PushforwardError(
        f"the remote {storage(root).remote} is read with {package[1]}, which is not where pushforward is installed",
        next=f"uv tool install pushforward --with {package[1]}, or pip install it there; then pushforward init",
        exit_code=TOOL,
    )


def check_there(root: Path, repo: Any) -> None:
    """A missing folder remote is created by DVC without a word; an unmounted disk must not look like a push."""
    remote = repo.cloud.get_remote()
    if getattr(remote.fs, "protocol", "") == "local" and not Path(remote.path).is_dir():
        raise PushforwardError(
            f"the DVC remote {os.path.relpath(remote.path, root)} does not exist",
            next="pushforward check",
            exit_code=TOOL,
        )


def read_back(repo: Any) -> None:
    """Hash every object that the lock names in the remote: a push that lost one still exits 0.

    DVC takes a folder for pushed whose list is there. What the remote lacks or spoils and the cache has is put back.
    """
    odb, cache = repo.cloud.get_remote_odb(), repo.cache.local
    wrong: list[str] = []

    def read(place: Any, oid: str) -> bytes | None:
        try:
            with place.fs.open(place.oid_to_path(oid), "rb") as handle:
                content: bytes = handle.read()
        except FileNotFoundError:
            return None
        return content if is_object(content, oid) else None

    def intact(oid: str) -> bytes | None:
        if (content := read(odb, oid)) is None and (content := read(cache, oid)) is not None:
            with contextlib.suppress(FileNotFoundError):
                odb.fs.rm_file(odb.oid_to_path(oid))
            odb.add_bytes(oid, content)
            content = read(odb, oid)
        return content

    for out in repo.index.outs:
        if not out.use_cache or not out.hash_info:
            continue
        oid = out.hash_info.value
        content = intact(oid)
        if content is None:
            wrong.append(str(out))
        elif oid.endswith(LISTING):
            wrong += [f"{out}/{entry['relpath']}" for entry in json.loads(content) if intact(entry["md5"]) is None]
    if wrong:
        raise PushforwardError(
            f"the DVC remote lacks or spoils {len(wrong)} of the objects in {LOCK}: {', '.join(wrong[:3])}",
            next="remove those objects from the cache and the remote, then push again",
            exit_code=TOOL,
        )
