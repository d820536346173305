"""The DVC remote, as DVC has opened it: what it has lost, and every object read back after a push."""

import contextlib
import hashlib
import json
import os
import posixpath
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pushforward.errors import TOOL, PushforwardError
from pushforward.pipeline.lock import LISTING, LOCK, is_object
from pushforward.pipeline.storage import storage
from pushforward.text import plain

DRIVER = re.compile(r"requires '?(dvc-[\w-]+)'? to be installed")
EXTRAS = ("s3", "gs", "azure", "ssh")  # of this distribution
PART = 16 * 2**20  # bytes of an object that are held at once
LOGIN = re.compile(r"://[^/@]*@")  # may hold a password
TRIED, WORDS = "pushforward-was-here", b"pushforward tries whether it can write here\n"
MEND = "pushforward check; for the runners of a forge pushforward check --github"


class SpoiltError(PushforwardError):
    """What the remote has of an object has other bytes than its name says."""


def lost_of(root: Path, repo: Any) -> PushforwardError | None:
    """The error where the remote does not have what a lock or a .dvc file names; None where it has all.

    Asked where something is missing. What is nowhere goes before what is at hand, a part of which may be gone.
    """
    outs = _lost(repo, repo.index.outs)
    for out in sorted(outs, key=lambda out: bool(repo.cache.local.exists(out.hash_info.value))):
        if (wrong := _never_pushed(root, out)) is not None:
            return wrong
        return PushforwardError(f"the DVC remote has lost {_named(root, out)}", exit_code=TOOL)
    return None


def check_added(root: Path, repo: Any) -> None:
    """Refuse data that no stage can make and that was never pushed: of `dvc add`, of an import, of what is frozen."""
    never = {out: wrong for out in repo.index.outs if (wrong := _never_pushed(root, out)) is not None}
    for out in _lost(repo, [out for out in never if not repo.cache.local.exists(out.hash_info.value or "")]):
        raise never[out]


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


def _lost(repo: Any, outs: Iterable[Any]) -> list[Any]:
    """Those of the outs whose object is not in the remote, asked all at once. What is kept elsewhere is not asked."""
    asked = [out for out in outs if out.use_cache and out.can_push and out.hash_info and not out.stage.is_repo_import]
    there = present(repo.cloud.get_remote_odb(), [out.hash_info.value for out in asked]) if asked else set()
    return [out for out in asked if out.hash_info.value not in there]


def present(odb: Any, oids: Iterable[str]) -> set[str]:
    """Those of the objects that a remote has; of one that is no folder asked for many at a time."""
    wanted = sorted({*oids})
    if odb.fs.protocol == "local":
        return {oid for oid in wanted if odb.exists(oid)}
    return {str(oid) for oid in odb.oids_exist(wanted, jobs=odb.fs.jobs)}


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
        with _answers(f"{name} cannot be reached"):
            remote.fs.put_file(str(own), place)
            with remote.fs.open(place, "rb") as handle:
                found = handle.read()
    if found != WORDS:
        raise PushforwardError(f"{name} gives back other bytes than it took", next=MEND, exit_code=TOOL)


def lacking(repo: Any, outs: Mapping[str, str]) -> list[str]:
    """Those of the outs (path -> object) that the remote does not have whole: asked, and of folders the list read."""
    odb = repo.cloud.get_remote_odb()
    there = present(odb, outs.values())

    def listed(oid: str) -> set[str]:
        with odb.fs.open(odb.oid_to_path(oid), "rb") as handle:
            return {str(entry["md5"]) for entry in json.loads(handle.read())}

    lists = sorted(oid for oid in there if oid.endswith(LISTING))
    with ThreadPoolExecutor(odb.fs.jobs) as side_by_side:
        inside = dict(zip(lists, side_by_side.map(listed, lists), strict=True))
    there |= present(odb, {one for members in inside.values() for one in members})
    return [path for path, oid in outs.items() if oid not in there or not inside.get(oid, set()) <= there]


def _in_the_web(odb: Any) -> bool:
    return str(odb.fs.protocol).startswith("http")


@contextlib.contextmanager
def _answers(what: str) -> Iterator[None]:
    """Say of what a store's library raises that it was the store: each of them has errors of its own."""
    try:
        yield
    except (ImportError, PushforwardError):
        raise  # a driver that is not installed is told with its name
    except Exception as failed:
        why = plain(" ".join(str(failed).split()))[:300] or "no reason given"
        raise PushforwardError(f"{what}: {type(failed).__name__}: {why}", next=MEND, exit_code=TOOL) from failed


def pull(repo: Any, paths: Collection[str], *, allow_missing: bool = False) -> int:
    """Bring what belongs at these absolute paths from cache or remote to there; how many objects came from the remote.

    Of an out that is kept as most are, and where nothing lies yet, only its objects are asked for, all at once: DVC
    would gather its stages again for each path. All else DVC pulls, and says what is nowhere.
    """
    kept = {out.fs_path: out for out in repo.index.outs if _is_plain(out)}
    own = [kept[path] for path in paths if path in kept and not os.path.lexists(path)]
    count = _fetch_outs(repo, own) if own and _is_plain_remote(repo) else 0
    done = {out.fs_path for out in own if not out.changed_cache()}
    for out in own:
        if out.fs_path in done:
            out.checkout()
    done |= {path for path in paths if path in kept and path not in done and not kept[path].status()}
    if not (rest := sorted({*paths} - done)):
        return count
    tried = {out.fs_path: out for out in own}
    for path in (path for path in rest if path in tried and _is_plain_remote(repo)):
        _refuse_spoilt(repo, tried[path])
    count += fetch_outs(repo, [path for path in rest if path not in tried])
    repo._reset()  # DVC keeps what it has made of outs that have changed since
    return count + int(repo.pull(targets=rest, allow_missing=allow_missing)["stats"]["fetched"])


def _refuse_spoilt(repo: Any, out: Any) -> None:
    """Refuse an out that did not come whole, where the remote has an object of it that is not what its name says."""
    odb, oid = repo.cloud.get_remote_odb(), out.hash_info.value
    wanted = {oid, *(_listed(odb, oid) if oid.endswith(LISTING) else ())}
    if spoilt := [one for one in sorted(present(odb, wanted)) if not _is_intact(odb, one)]:
        raise SpoiltError(
            f"the DVC remote has {out} with other bytes than its name says (md5 {spoilt[0]})",
            next=MEND,
            exit_code=TOOL,
        )


def _is_plain(out: Any) -> bool:
    """Whether the objects of an out are in the cache and in the default remote, by their MD5."""
    if not (out.use_cache and out.hash_info and out.hash_info.name == "md5" and out.is_in_repo):
        return False
    return out.remote is None and out.files is None and not out.stage.is_repo_import


def _is_plain_remote(repo: Any) -> bool:
    """Whether the default remote holds objects by their names; False where there is none, which DVC has to say."""
    if not repo.config["core"].get("remote"):
        return False
    there = repo.cloud.get_remote()
    return not (there.fs.version_aware or there.worktree)


def _fetch_outs(repo: Any, outs: Iterable[Any]) -> int:
    """Bring what the cache lacks of plain outs into it; how many objects those were."""
    cache, missing = repo.cache.local, set()
    for oid in {out.hash_info.value for out in outs}:
        if not cache.exists(oid):
            missing.add(oid)
        elif oid.endswith(LISTING):
            missing |= {one for one in _listed(cache, oid) if not cache.exists(one)}
    return fetch(repo, missing) if missing else 0


def _listed(place: Any, oid: str) -> set[str]:
    """The objects of the files in a folder, by the list of them in a cache; none of a list that is spoilt."""
    return {str(entry["md5"]) for entry in json.loads(_read(place, oid) or b"[]")}


def fetch_outs(repo: Any, paths: Iterable[str]) -> int:
    """Bring what lies at, in or around these absolute paths into the cache, before DVC pulls it: all at once.

    DVC would go folder by folder. From a folder it takes what it needs by itself. How many objects that were.
    """
    if not (wanted := {f"{path}/" for path in paths}) or repo.cloud.get_remote_odb().fs.protocol == "local":
        return 0
    outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and not out.remote]
    found = [out for out in outs if any(_meet(f"{out.fs_path}/", path) for path in wanted)]
    missing = [
        out.hash_info.value for out in found if not out.exists and not repo.cache.local.exists(out.hash_info.value)
    ]
    return fetch(repo, missing) if missing else 0


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def fetch(repo: Any, oids: Iterable[str]) -> int:
    """Bring those of the objects that the remote has into the cache, of folders each file; how many that were.

    First all lists, then all files: folder by folder each would wait for the one before.
    """
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.transfer import transfer

    odb, cache = repo.cloud.get_remote_odb(), repo.cache.local

    def bring(wanted: Collection[str]) -> int:
        names = {HashInfo("md5", oid) for oid in wanted}
        # verified, also where DVC trusts a remote: what is spoilt is dropped, and whoever needs it finds it missing
        if odb.fs.protocol == "local":  # to compare the two, DVC would remove from a folder what it finds spoilt there
            oids = [oid for oid in wanted if not cache.exists(oid)]
            cache.add([odb.oid_to_path(oid) for oid in oids], odb.fs, oids, check_exists=False, verify=True)
            return sum(map(cache.exists, wanted))
        done = transfer(odb, cache, names, jobs=odb.fs.jobs, shallow=True, verify=True)
        if done.failed:
            raise PushforwardError(
                f"the DVC remote does not give {len(done.failed)} objects that it has", next=MEND, exit_code=TOOL
            )
        return sum(map(cache.exists, wanted))

    with _answers("the DVC remote does not give what it was asked for"):
        there = present(odb, oids)
        lists = {oid for oid in there if oid.endswith(LISTING)}
        count = bring(lists)
        inside = {one for oid in lists for one in _listed(cache, oid)}
        return count + bring(present(odb, (there - lists) | {oid for oid in inside if not cache.exists(oid)}))


@dataclass(frozen=True)
class Sent:
    """What a push has to leave in the remote: object -> what it is of; `there` need not be read back after it."""

    named: Mapping[str, str]
    there: frozenset[str]


def before_push(repo: Any) -> Sent:
    """What the locks name, and which of it a remote that is no folder has had before: to read that again at every push
    would cost what a pull of all data does. The objects in a folder are those of its list, here or in the remote.
    """
    odb, cache = repo.cloud.get_remote_odb(), repo.cache.local
    named = {out.hash_info.value: str(out) for out in repo.index.outs if out.use_cache and out.hash_info}

    def listed(oid: str) -> dict[str, str]:
        content = _read(cache, oid) or _read(odb, oid) or b"[]"  # one that is nowhere is found to be lost itself
        return {str(entry["md5"]): f"{named[oid]}/{entry['relpath']}" for entry in json.loads(content)}

    with ThreadPoolExecutor(odb.fs.jobs) as side_by_side:
        for members in side_by_side.map(listed, [oid for oid in named if oid.endswith(LISTING)]):
            named |= {oid: where for oid, where in members.items() if oid not in named}
    return Sent(named, frozenset() if odb.fs.protocol == "local" else frozenset(present(odb, named)))


def send(repo: Any, sent: Sent) -> int:
    """Leave in the remote what the cache has and it lacks, and the run cache's entries; how many files that were.

    First all files, then all lists, as many at once as DVC sends. `dvc push` would ask for every folder in turn, and
    send each only after the one before.
    """
    odb, cache, remote = repo.cloud.get_remote_odb(), repo.cache.local, repo.cloud.get_remote()
    of_its_own = any(out.remote or not out.can_push or out.stage.is_repo_import for out in repo.index.outs)
    if _in_the_web(odb) or remote.fs.version_aware or remote.worktree or of_its_own:
        repo._reset()  # DVC keeps what it has made of outs that have changed since
        return int(repo.push(run_cache=True))
    there = present(odb, sent.named) if odb.fs.protocol == "local" else sent.there
    wanted = [oid for oid in sent.named if oid not in there and cache.exists(oid)]
    with _answers("the DVC remote does not take what was made"):
        for oids in ([oid for oid in wanted if oid.endswith(LISTING) == listed] for listed in (False, True)):
            paths = [cache.oid_to_path(oid) for oid in oids]
            odb.add(paths, cache.fs, oids, check_exists=False, verify=False, batch_size=odb.fs.jobs)
        return len(wanted) + len(repo.stage_cache.push(None))


def read_back(repo: Any, sent: Sent) -> None:
    """Hash in the remote what was `sent`: a push that lost an object still exits 0.

    DVC takes a folder for pushed whose list is there. What the remote lacks or spoils and the cache has is put back.
    Objects are read side by side, as many as DVC sends at once, and in parts, whatever their size.
    """
    odb, cache = repo.cloud.get_remote_odb(), repo.cache.local

    def kept(oid: str) -> bool:
        if _is_intact(odb, oid):
            return True
        if not _is_intact(cache, oid):
            return False
        with contextlib.suppress(FileNotFoundError):
            odb.fs.rm_file(odb.oid_to_path(oid))
        odb.add(cache.oid_to_path(oid), cache.fs, oid, check_exists=False)
        return _is_intact(odb, oid)

    asked = [oid for oid in sent.named if oid not in sent.there]
    with ThreadPoolExecutor(odb.fs.jobs) as side_by_side:
        wrong = [sent.named[oid] for oid, good in zip(asked, side_by_side.map(kept, asked), strict=True) if not good]
    if wrong:
        raise PushforwardError(
            f"the DVC remote lacks or spoils {len(wrong)} of the objects in {LOCK}: {', '.join(wrong[:3])}",
            next="remove those objects from the cache and the remote, then push again",
            exit_code=TOOL,
        )


def _read(place: Any, oid: str) -> bytes | None:
    """The bytes of an object in a cache or a remote; None where it is not there, or is not what its name says."""
    try:
        with place.fs.open(place.oid_to_path(oid), "rb") as handle:
            content: bytes = handle.read()
    except FileNotFoundError:
        return None
    return content if is_object(content, oid) else None


def _is_intact(place: Any, oid: str) -> bool:
    """Whether an object is in a cache or a remote, byte for byte."""
    try:
        with place.fs.open(place.oid_to_path(oid), "rb") as handle:
            digest = hashlib.md5(usedforsecurity=False)
            while part := handle.read(PART):
                digest.update(part)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == oid.removesuffix(LISTING)
