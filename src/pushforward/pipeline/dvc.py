"""The only module that touches DVC: repro, stages with reasons, lock honesty, pull and push of what is needed.

DVC's exit codes and status lie in a few known cases (a full disk, a lost remote object, a merged lock), so this
module starts from a lock that CI made, fails on what DVC only logs, and reads every pushed object back.
"""

import contextlib
import logging
import os
import posixpath
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pushforward import files
from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import declared, dvctext, environment, folders, frozen, patches, remote
from pushforward.pipeline.abreast import abreast
from pushforward.pipeline.graph import (
    check_frozen,
    check_frozen_still,
    check_made,
    check_needed,
    check_places,
    refuse_links,
    unusable,
)
from pushforward.pipeline.lock import (
    LISTING,
    LOCK,
    METRICS,
    addressed,
    from_root,
    read_lock,
    reason,
    write_lock,
)
from pushforward.pipeline.stages import Listener, Reproduction, chain, tail_of, tell_failure
from pushforward.pipeline.storage import home, storage
from pushforward.pipeline.store import Store, members


@contextlib.contextmanager
def opened(root: Path, listener: Listener) -> Iterator[Any]:
    """DVC's repository object in `root`, its log going to `listener` alone."""
    site = files.place(root, posixpath.join(home(root), ".dvc/tmp/site"))
    storage(root)  # refuses what DVC would follow
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    os.environ["DVC_SITE_CACHE_DIR"] = str(site)  # one per folder: its keys are paths
    from dvc.config import ConfigError
    from dvc.exceptions import CheckoutError, DvcException, FileTransferError, NotDvcRepoError
    from dvc.repo import Repo

    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    before = [(log, log.handlers, log.level, log.propagate) for log in loggers]
    for log in loggers:
        log.handlers, log.propagate = [listener], False
        log.setLevel(logging.INFO)
    here = Path.cwd()
    os.chdir(root / home(root))  # reproduce() looks for dvc.yaml in the working folder
    try:
        with patches.ours(), Repo(str(root / home(root))) as repo:
            try:
                yield repo
            except (CheckoutError, FileTransferError) as failed:
                if lost := remote.lost_of(root, repo):
                    raise lost from failed
                raise
    except NotDvcRepoError:
        raise PushforwardError(f"{root} is not a DVC project", next="dvc init") from None
    except ConfigError as wrong:
        raise PushforwardError(f".dvc/config: {wrong}", next="dvc config --list") from None
    except ImportError as failed:
        if driver := remote.lacks_driver(root, failed):
            raise driver from failed
        raise
    except DvcException as failed:
        told = dvctext.sentence(chain(failed), root=str(root))
        raise PushforwardError(f"DVC: {told.text}", next=told.next, exit_code=TOOL) from failed
    finally:
        os.chdir(here)
        for log, handlers, level, propagate in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(level)


def seed(
    checkout: Repository, champion: str | None, made: Collection[str] = (), *, source: Repository | None = None
) -> None:
    """Start from the lock and the metrics of `champion`, which CI made; never from those of the commit at hand.

    A lock that git merged, or that was made in a dirty folder, says "up to date" of stages that never ran. Of a frozen
    stage, which never runs, it is all there is, and is kept, unless that makes one of the outs `made` (a model, a
    holdout) or finds a metric. `source` has the champion, where the checkout has not.
    """
    told, locks = declared.at(checkout, "HEAD"), _locks(checkout)
    own = frozen.entries(checkout, "HEAD", made)
    for path in {path for path in checkout.tree("HEAD") if _seeded(path, told, locks)} | locks:
        files.place(checkout.path, path).unlink(missing_ok=True)
    source = source or checkout
    begun = {} if champion is None else _begun(source, champion, lambda path: _seeded(path, told, locks))
    if champion is not None:
        begun = frozen.begun(source, champion, begun, frozen.families(checkout, "HEAD"))
    for path, content in frozen.over(begun, own).items():
        files.write(checkout.path, path, content)


def _begun(source: Repository, champion: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The locks and the metrics of the champion, by path; what was no lock of its pipeline, no run has written."""
    own = {posixpath.join(folder, LOCK) for folder in folders.at(source, champion)}
    paths = [path for path in source.tree(champion) if posixpath.basename(path) != LOCK or path in own]
    found = {path: source.read(champion, path) for path in paths if wanted(path)}
    return {path: content for path, content in found.items() if content is not None}


def _locks(checkout: Repository) -> set[str]:
    """The locks of the pipeline at hand; of a folder without dvc.yaml any more none is."""
    return {LOCK, *(posixpath.join(folder, LOCK) for folder in folders.at(checkout, "HEAD"))}


def _seeded(path: str, told: declared.Declared, locks: Collection[str]) -> bool:
    return path in locks or path.startswith(f"{METRICS}/") or told.keeps(path)


def reproduce(
    root: Path,
    *,
    pull: bool,
    push: bool,
    whole: bool = False,
    wanted: Iterable[str] = (),
    shown: Iterable[str] = (),
    keep: bool = True,
    jobs: int = 1,
    say: Any = print,
) -> Reproduction:
    """Bring every stage in `root` up to date; one DVC process for all of it, `jobs` stages side by side.

    With `pull`, data that changed stages need, results that the run cache knows, the outs `wanted` and the metrics
    `shown` are fetched, nothing else; where it is to be `whole`, all that the pipeline makes. With `push`, outputs and
    run cache go to the remote and every object is read back. Without `keep` nothing that is made comes into the cache.
    A stage that ends with status 3 refused its data; that and a failed stage are outcomes, not exceptions.
    """
    started = time.monotonic()
    environment.enter(environment.project(root))
    before = _stages(root)
    listener = Listener(say, home(root))
    result = Reproduction()
    with tail_of() as tail, opened(root, listener) as repo, patches.held(repo):
        still = _check(root, repo, tuple(wanted), tuple(shown), before, stored=pull and push)
        always = _always(root, repo)
        if push:
            remote.tried(root, repo, write=True)
        with told(root, repo, listener, tail, result), abreast(jobs, listener):
            if pull:
                result.pulled = _pull_folders(repo)
            _reproduce(repo, listener, pull=pull, whole=whole, keep=keep)
        if result.outcome == "ok":
            patches.reread(repo)
            listener.transferring = True
            if pull:
                result.pulled += _bring(root, repo, (*wanted, *_cached(repo, root, shown)))
            if push:
                sent = remote.before_push(repo)
                result.pushed = remote.send(repo, sent)
                remote.read_back(repo, sent)
    result.stages = listener.stages
    _settle(root, result, before, still, always)
    if listener.complaints and result.outcome == "ok":
        raise PushforwardError(f"DVC: {dvctext.sentence(listener.complaints[0], root=str(root)).text}", exit_code=TOOL)
    result.seconds = round(time.monotonic() - started, 2)
    return result


@contextlib.contextmanager
def told(root: Path, repo: Any, listener: Listener, tail: bytearray, result: Reproduction) -> Iterator[None]:
    """Write down in `result` what became of the stages that run in this block: one that fails is an outcome."""
    from dvc.exceptions import ReproductionError

    try:
        yield
    except ReproductionError as failed:
        listener.close_last()
        sys.stdout.flush()
        time.sleep(0.05)  # let the pump hand on the last words of the stage
        repo._reset()  # a stage that fails is left half made
        if unanswered := next((one for one in _causes(failed) if _is_of_store(one)), None):
            raise unanswered from failed
        lost = remote.lost_of(root, repo) if _is_of_objects(failed) else None
        if lost := lost or remote.unfetched(root, repo, chain(failed)):
            raise lost from failed
        tell_failure(failed, listener, bytes(tail), result, root)
    else:
        listener.close_last()
        listener.tell_end()


def _reproduce(repo: Any, listener: Listener, *, pull: bool, whole: bool, keep: bool) -> None:
    """Have DVC bring every stage up to date, as `reproduce` says."""
    from dvc.exceptions import ConfirmRemoveError, ReproductionError

    try:
        repo.reproduce(all_pipelines=True, pull=pull, allow_missing=pull and not whole, no_commit=not keep)
    except ReproductionError as failed:
        if not (pull and whole and _has_cause(failed, ConfirmRemoveError)):
            raise
        # An out lies here that neither cache nor remote has: what is fetched takes nothing's place, a stage does.
        listener.stages.clear()
        repo._reset()
        repo.reproduce(all_pipelines=True, no_commit=not keep)


def _bring(root: Path, repo: Any, outs: Iterable[str]) -> int:
    """Fetch those of the outs that are not here; how many objects those were."""
    missing = [str((root / out).absolute()) for out in outs if not (root / out).exists()]
    return remote.pull(repo, missing) if missing else 0


def _cached(repo: Any, root: Path, metrics: Iterable[str]) -> Iterator[str]:
    """Those of the metrics that DVC keeps, as an out or in one."""
    outs = [os.path.relpath(out.fs_path, root) for out in repo.index.outs if out.use_cache]
    yield from (path for path in metrics if any(f"{path}/".startswith(f"{out}/") for out in outs))


def _check(
    root: Path, repo: Any, wanted: Collection[str], shown: Collection[str], lock: Mapping[str, Any], *, stored: bool
) -> set[str]:
    """Refuse what is known of a pipeline before anything runs; its frozen stages."""
    from dvc.exceptions import DvcException

    try:
        repo.index.check_graph()
    except DvcException as wrong:  # a cycle, an out of two stages
        raise unusable(root, chain(wrong)) from None
    refuse_links(repo)
    check_places(root, repo)
    check_made(root, repo, wanted)
    check_needed(root, repo)
    still = check_frozen(root, repo, lock, (*wanted, *shown))
    if stored:  # what is only tried may go without what it does not need
        remote.check_added(root, repo)
    return still


def _always(root: Path, repo: Any) -> set[str]:
    """The stages that DVC runs each time: `always_changed`, and those with neither dependencies nor outs."""
    names = {
        stage.addressing for stage in repo.index.stages if stage.cmd and (stage.always_changed or stage.is_callback)
    }
    return {from_root(name, home(root)) for name in names}


def _settle(
    root: Path, result: Reproduction, before: Mapping[str, Any], still: Collection[str], always: Collection[str]
) -> None:
    """Put the lock in order, and say of each stage why it ran (`always`, say), or that it is frozen (`still`)."""
    after = _normalize(root, {stage.name for stage in result.stages}, complete=result.outcome == "ok")
    if result.outcome == "ok":
        check_frozen_still(set(still), after)
    for stage in result.stages:
        if stage.name in still and stage.outcome in ("unchanged", "restored"):
            stage.outcome, stage.reason = "frozen", "as dvc.lock has it"
        elif stage.outcome == "ran" and stage.name in always:
            stage.reason = stage.reason or "it always runs"
        elif stage.outcome != "unchanged":
            stage.reason = stage.reason or reason(before.get(stage.name), after.get(stage.name))


def _pull_folders(repo: Any, last: str = "") -> int:
    """Bring in what lies in the folders that stages to be run depend on; the number of files.

    DVC pulls a dependency that is missing, but takes a folder that is there in part for whole. With `last`, only
    that stage and those before it are to be run.
    """
    import networkx

    graph = repo.index.graph  # from a stage to those that it needs
    if last:
        end = next(stage for stage in graph if stage.addressing == last)
        graph = graph.subgraph({end, *networkx.descendants(graph, end)})
    changed = {stage for stage in graph if stage.changed(allow_missing=True)}
    to_run = changed.union(*(networkx.ancestors(graph, stage) for stage in changed))
    outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and out.stage not in changed]
    wanted = _folders(to_run)
    needed: set[str] = set()
    while more := {out.fs_path for out in outs if out.fs_path.startswith(tuple(wanted))} - needed:
        needed |= more
        # a folder that this fills in part would look changed to the other stages that depend on it
        wanted |= {folder for folder in _folders(repo.index.graph) if any(path.startswith(folder) for path in more)}
    return remote.pull(repo, needed, allow_missing=True) if needed else 0


def _folders(stages: Iterable[Any]) -> set[str]:
    return {f"{dep.fs_path}{os.sep}" for stage in stages for dep in stage.deps if dep.is_in_repo}


def _is_of_objects(error: BaseException) -> bool:
    """Whether a stage could not be brought up to date for want of objects, and not because it failed."""
    from dvc.exceptions import CheckoutError, FileTransferError

    return _has_cause(error, CheckoutError, FileTransferError)


def _is_of_store(error: BaseException) -> bool:
    """Whether this is `remote`'s word on a store that does not answer, which is no stage's failure."""
    return isinstance(error, PushforwardError) and error.exit_code == TOOL


def _has_cause(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(one, kinds) for one in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def reach(root: Path, *, write: bool) -> str:
    """Where the DVC remote of `root` is; raises where it cannot be reached, or with `write` takes nothing."""
    with opened(root, Listener(print)) as repo:
        return remote.tried(root, repo, write=write)


def absent(root: Path, outs: Mapping[str, str]) -> list[str]:
    """Those of the outs (path -> object) that the DVC remote of `root` does not have whole; asked, not read."""
    with opened(root, Listener(print)) as repo:
        return remote.lacking(repo, outs)


def stock(root: Path, oids: Iterable[str], *, say: Any = print) -> int:
    """Bring objects by their names into the cache of `root`, as far as its remote has them; how many those were."""
    with opened(root, Listener(say)) as repo:
        return remote.fetch(repo, oids)


def _normalize(root: Path, known: set[str], *, complete: bool) -> dict[str, Any]:
    """Drop what DVC keeps of stages that no longer exist, put the others in one order; the stages of the locks."""
    for path, lock in folders.locks_here(root).items():
        folder = posixpath.dirname(path)
        kept = {
            name: entry for name, entry in read_lock(lock).items() if not complete or addressed(name, folder) in known
        }
        files.write(root, path, write_lock(kept))
    return _stages(root)


def _stages(root: Path) -> dict[str, Any]:
    """The stages of all locks in `root`, as DVC names them from there."""
    return read_lock(folders.whole_here(root))


def untouched(checkout: Repository, *, unignored: bool = False) -> None:
    """Refuse a run whose stages wrote over files of the commit: its lock would name what never was there.

    `unignored` says that outs which git does not ignore are told already: DVC writes a line for each.
    """
    found = checkout.unclean()
    told, locks = declared.at(checkout, "HEAD"), _locks(checkout)
    wrong = [path for path in found if not all(_seeded(one, told, locks) for one in _inside(checkout, path))]
    lines = [path for path in wrong if posixpath.basename(path) == ".gitignore"]
    if unignored:
        wrong = [path for path in wrong if path not in lines]
    if wrong and wrong == lines:
        raise PushforwardError(
            f"DVC has written into {', '.join(wrong[:3])}: git does not ignore all that the pipeline makes",
            next="pushforward adopt, which adds the lines, then commit .gitignore",
        )
    if wrong:
        raise PushforwardError(
            f"the pipeline changed {', '.join(wrong[:3])}, which it does not own",
            next="declare it as an out in dvc.yaml and in .gitignore",
        )


def _inside(checkout: Repository, path: str) -> list[str]:
    """The files that git tells as one where it knows none of their folder; else the path itself."""
    if not path.endswith("/"):
        return [path]
    listed = checkout.git("ls-files", "--others", "--exclude-standard", "-z", "--", path).text
    return [name for name in listed.split("\0") if name] or [path]


def forget(root: Path, *, keep: Collection[str]) -> None:
    """Remove from `root` and its cache what the lock says was made there, but `keep`."""
    stages = _stages(root)
    for path in {out["path"] for entry in stages.values() for out in entry.get("outs", [])}:
        if path not in keep and not path.startswith(f"{METRICS}/"):
            files.remove(root, path)
    shutil.rmtree(storage(root).cache, ignore_errors=True)


def fetch(root: Path, *targets: str, say: Any = print) -> None:
    """Bring the outs `targets` of the lock in `root` into the folder, from cache or remote.

    What the cache holds is copied and hashed here: to start DVC for it would take longer than all the rest of a judge.
    """
    stages = _stages(root) if targets else {}
    targets = tuple(target for target in targets if not from_cache(root, target, stages))
    if not targets:
        return
    listener = Listener(say)
    listener.transferring = True
    with opened(root, listener) as repo, patches.held(repo):
        places = [str((root / target).absolute()) for target in targets]
        remote.pull(repo, places)
    if listener.complaints:
        raise PushforwardError(f"DVC: {listener.complaints[0]}", next="pushforward check", exit_code=TOOL)


def from_cache(root: Path, target: str, stages: Mapping[str, Any], cache: Path | None = None) -> bool:
    """Copy the out `target` of `stages` from the cache into `root`; False where the cache does not have all of it.

    That of the project in `root`, unless another one is named: then `root` may be any folder.
    """
    found = [out for entry in stages.values() for out in entry.get("outs", []) if out["path"] == target]
    if len(found) != 1 or found[0].get("hash") != "md5":
        return False
    store, oid = Store(cache or storage(root).cache), str(found[0]["md5"])
    whole = store.content(oid)
    if whole is None:
        return False
    if not oid.endswith(LISTING):
        files.write(root, target, whole)
        return True
    wanted = members(oid, whole)
    parts = {name: content for name, one in wanted.items() if (content := store.content(one)) is not None}
    if len(parts) < len(wanted):
        return False
    for name, content in parts.items():
        files.write(root, f"{target}/{name}", content)
    return True


def check(root: Path) -> None:
    """Refuse a pipeline of which DVC would run what nothing here knows, or write what is not the pipeline's."""
    with opened(root, Listener(print)) as repo:
        refuse_links(repo)
        check_places(root, repo)


def build(root: Path, path: str, *, say: Any = print) -> None:
    """Make the out `path` with the code in `root`: its stage and those before it, nothing else."""
    environment.enter(environment.project(root))
    listener, result = Listener(say), Reproduction()
    with tail_of() as tail, opened(root, listener) as repo, patches.held(repo):
        made_by = [out.stage.addressing for out in repo.index.outs if os.path.relpath(out.fs_path, root) == path]
        if not made_by:
            raise PushforwardError(f"no stage in dvc.yaml has the out {path}", next="edit dvc.yaml")
        refuse_links(repo)
        check_places(root, repo)
        with told(root, repo, listener, tail, result):
            _pull_folders(repo, made_by[0])
            repo.reproduce(targets=made_by, pull=True, allow_missing=True)
        if result.outcome == "refused":
            raise PushforwardError(result.message, exit_code=DATA)
        if result.outcome == "failed":
            stage = listener.stages[-1].name if listener.stages else made_by[0]
            raise PushforwardError(f"{stage} failed: {result.cause}\n{result.message}", next=result.next)
        if not (root / path).exists():
            repo.pull(targets=made_by)


def bring(root: Path, url: str, folder: Path) -> None:
    """Copy what is at a URL that DVC reads into `folder`; `remote://NAME/PATH` is at a remote of the project."""
    with opened(root, Listener(print)) as repo:
        repo.get_url(url, str(folder), config=repo.config)
