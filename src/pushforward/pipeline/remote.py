"""The DVC remote, as DVC has opened it: what it has lost, and every object read back after a push."""

import contextlib
import json
import os
import posixpath
import re
import tempfile
from pathlib import Path
from typing import Any

from pushforward.errors import TOOL, PushforwardError
from pushforward.pipeline.lock import LISTING, LOCK, is_object
from pushforward.pipeline.storage import storage
from pushforward.text import plain

DRIVER = re.compile(r"requires '?(dvc-[\w-]+)'? to be installed")
EXTRAS = ("s3", "gs", "azure", "ssh")  # of this distribution
LOGIN = re.compile(r"://[^/@]*@")  # may hold a password
TRIED, WORDS = "pushforward-was-here", b"pushforward tries whether it can write here\n"
MEND = "pushforward check; for the runners of a forge pushforward check --github"


def lost_of(root: Path, repo: Any) -> PushforwardError | None:
    """The error where the remote does not have what a lock or a .dvc file names; None where it has all.

    Asked where something is missing. What is nowhere goes before what is at hand, a part of which may be gone.
    """
    outs = [*repo.index.outs]
    for out in (out for at_hand in (False, True) for out in outs if _is_lost(repo, out, at_hand=at_hand)):
        if (wrong := _never_pushed(root, out)) is not None:
            return wrong
        return PushforwardError(f"the DVC remote has lost {_named(root, out)}", exit_code=TOOL)
    return None


def check_added(root: Path, repo: Any) -> None:
    """Refuse data that no stage can make and that was never pushed: of `dvc add`, of an import, of what is frozen."""
    for out in repo.index.outs:
        if (wrong := _never_pushed(root, out)) is not None and _is_lost(repo, out):
            raise wrong


def unfetched(root: Path, repo: Any, text: str) -> PushforwardError | None:
    """The error where DVC misses, as it says in `text`, what an import was to bring; None of all else."""
    for stage in (stage for stage in repo.index.stages if not stage.cmd):
        by = os.path.relpath(stage.path, root)
        for out in stage.outs:
            path = os.path.relpath(out.fs_path, root)
            if path not in re.findall(r"[^\s,']+", text) or out.exists:
                continue
            if not stage.deps:
                without = "" if out.hash_info else " without its md5"
                return PushforwardError(f"{by} names {path}{without}, and nobody has it", next="dvc add it, dvc push")
            source = plain(LOGIN.sub("://", str(stage.deps[0])))
            return PushforwardError(
                f"{by} imports {path} from {source}, which does not give it",
                next=f"dvc update {by} && dvc push, and commit {by}",
            )
    return None


def _is_lost(repo: Any, out: Any, *, at_hand: bool = False) -> bool:
    """Whether an object is not in the remote, and `at_hand` or not. What is kept elsewhere is not asked."""
    if not (out.use_cache and out.can_push and out.hash_info) or out.stage.is_repo_import:
        return False
    oid = out.hash_info.value
    return repo.cache.local.exists(oid) == at_hand and not repo.cloud.get_remote_odb().exists(oid)


def _never_pushed(root: Path, out: Any) -> PushforwardError | None:
    """The refusal of an out that no run can have made; None of one that a run makes."""
    if out.stage.cmd and not out.stage.frozen:
        return None
    by = os.path.relpath(out.stage.path, root)
    if out.stage.cmd:
        by = f"{posixpath.join(posixpath.dirname(by), LOCK)}, of the frozen stage {out.stage.addressing},"
    return PushforwardError(
        f"{by} names {_named(root, out)}, which the DVC remote does not have", next="dvc push, then push again"
    )


def _named(root: Path, out: Any) -> str:
    return f"{os.path.relpath(out.fs_path, root)} (md5 {out.hash_info.value})"


def lacks_driver(root: Path, failed: ImportError) -> PushforwardError | None:
    """The error of a remote that DVC reads by a package of its own, which is not there; None of another import."""
    package = DRIVER.search(str(failed))
    if package is None:
        return None
    extra = package[1].removeprefix("dvc-")
    named = f"'pushforward[{extra}]'" if extra in EXTRAS else f"pushforward --with {package[1]}"
    return PushforwardError(
        f"the remote {storage(root).remote} is read with {package[1]}, which is not where pushforward is installed",
        next=f"uv tool install {named}, or pip install it there; then pushforward init",
        exit_code=TOOL,
    )


def tried(root: Path, repo: Any, *, write: bool) -> str:
    """Reach the remote before anything is made for it: where it is. Raises where it is not there, or takes nothing.

    A missing folder is created by DVC without a word; an unmounted disk must not look like a push. What is not a folder
    is sent a few bytes, always the same, and asked for them; `write` says whether it is to take something at all.
    """
    there = storage(root)
    if not there.remote:
        return ""  # which is for others to tell
    remote = repo.cloud.get_remote()
    if getattr(remote.fs, "protocol", "") == "local":
        shown = os.path.relpath(remote.path, root)
        if not Path(remote.path).is_dir():
            raise PushforwardError(f"the DVC remote {shown} does not exist", next=MEND, exit_code=TOOL)
        if write and not os.access(remote.path, os.W_OK | os.X_OK):
            raise PushforwardError(f"the DVC remote {shown} takes nothing from you", next=MEND, exit_code=TOOL)
        return str(remote.path)
    shown = plain(LOGIN.sub("://", there.url))
    if write and not there.read_only:
        _exchange(remote, f"the DVC remote {there.remote} ({shown})")
    return shown


def _exchange(remote: Any, name: str) -> None:
    """Send a few bytes and read them back."""
    place = remote.fs.join(remote.path, TRIED)
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        own = Path(folder) / TRIED
        own.write_bytes(WORDS)
        try:
            remote.fs.put_file(str(own), place)
            with remote.fs.open(place, "rb") as handle:
                found = handle.read()
        except ImportError:
            raise  # a driver that is not installed is told with its name
        except Exception as failed:  # each store's library has errors of its own
            why = plain(" ".join(str(failed).split())) or "no reason given"
            raise PushforwardError(
                f"{name} cannot be reached: {type(failed).__name__}: {why[:300]}", next=MEND, exit_code=TOOL
            ) from failed
    if found != WORDS:
        raise PushforwardError(f"{name} gives back other bytes than it took", next=MEND, exit_code=TOOL)


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
