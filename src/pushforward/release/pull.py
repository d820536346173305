"""What a run has made, put into the work tree: dvc.lock, metrics and models of a version, or of a commit's last run.

`commands.pull` calls it, by hand or from a hook of git. What it has put there is remembered in the clone's own folder,
so that the next time it is told from what a person has changed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pushforward import durable, files
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.git import kept
from pushforward.git.refs import HEADS, PULLS, RUNS, TRIALS
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER, Server
from pushforward.pipeline import declared, folders
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LISTING, LOCK, METRICS, read_lock
from pushforward.pipeline.revision import Revision, settings_here
from pushforward.pipeline.storage import storage
from pushforward.pipeline.store import Store
from pushforward.registry import authority
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.authority import HERE, Reading
from pushforward.registry.grammar import VERSION_TAG
from pushforward.report import notes

RECORD = "pushforward-pulled.json"
NUMBER = re.compile(r"v?\d+\.\d+\.\d+")
PULL = re.compile(r"#(\d+)")
LOOKED_BACK = 100  # commits of a branch


class NoRunError(PushforwardError):
    """A commit that has not been run, or whose run has left nothing."""


@dataclass(frozen=True)
class Found:
    """What was asked for, in words, and the commit that has its locks and metrics."""

    name: str
    commit: str


@dataclass(frozen=True)
class Pulled:
    """What was put into the work tree: of what, from which commit, which files were other ones, and which models."""

    name: str
    commit: str
    files: tuple[str, ...]
    models: tuple[str, ...] = ()


def pull(
    root: Path, asked: str = "", *, model: str = "", force: bool, lock_only: bool, say: Callable[[str], None]
) -> Pulled:
    """Put locks, metrics and models of `asked` into the work tree: a version, `#N`, a branch or a commit; else HEAD.

    Of a branch the newest commit that has been run counts. Files that were changed here and not committed are refused
    without `force`. Of several models a number alone is a version of `model`.
    """
    if Repository(root).git("rev-parse", "--show-toplevel", check=False).returncode != 0:
        raise PushforwardError(f"{root} has no work tree", next="pushforward pull, in a clone")
    read = authority.reading(root, settings_here(root).project.models, RUNS, TRIALS)
    found = find(root, read, asked, model)
    wanted = _files(read.repository, found.commit)
    if mine := _changed(root, wanted) if not force else []:
        raise PushforwardError(
            f"{', '.join(mine[:3])}: changed here and not committed",
            next=f"git stash -u -- {' '.join(mine[:3])}, or pushforward pull --force",
            exit_code=USAGE,
        )
    models = {} if lock_only else _models(read.repository, found.commit)
    if models:
        _ready(root, read.repository, models, force=force)
    written = [path for path, content in wanted.items() if files.read(root, path) != content]
    for path in written:
        files.write(root, path, wanted[path])
    _remember(root, wanted)
    fetched = [path for path, oid in models.items() if not _is_here(root, path, oid)]
    for path in fetched:
        files.remove(root, path)
        pipeline.fetch(root, path, say=say)
    return Pulled(found.name, found.commit, tuple(written), tuple(fetched))


def take_back(root: Path) -> list[str]:
    """Have what an earlier pull has put into the work tree be as HEAD has it, where nobody has changed it since."""
    repository, taken = Repository(root), []
    for path, digest in _remembered(root).items():
        content, committed = files.read(root, path), repository.read("HEAD", path)
        if content is None or _sha256(content) != digest or content == committed:
            continue
        if committed is None:
            files.remove(root, path)
        else:
            files.write(root, path, committed)
        taken.append(path)
    _remember(root, {})
    return taken


def find(root: Path, read: Reading, asked: str, model: str = "") -> Found:
    """The version or the run that is asked for; an error says what there is."""
    if VERSION_TAG.fullmatch(asked) or NUMBER.fullmatch(asked):
        return _version(root, read, asked, model)
    clone, runs = Repository(root), _Runs(read.repository)
    if number := PULL.fullmatch(asked):
        commit = read.repository.resolve(f"{PULLS}{number[1]}/head")
        if commit is None:
            raise PushforwardError(f"{read.source} has no pull request {asked}", next="pushforward show")
        return runs.of(read, commit)
    branches = (f"{HEADS}{asked}", f"refs/remotes/{read.source}/{asked}")
    tip = next((one for name in branches if asked and (one := read.repository.resolve(name))), None)
    if tip is None:
        return runs.of(read, clone.commit(asked or "HEAD"))
    listed = read.repository.git("rev-list", "--first-parent", f"--max-count={LOOKED_BACK}", tip).text.split()
    ran = next((commit for commit in listed if runs.left(commit)), None)
    if ran is None:
        raise NoRunError(f"no commit of {asked} has a run in {read.source}", next=f"git push {read.source} HEAD")
    return runs.of(read, ran)


def _version(root: Path, read: Reading, asked: str, model: str) -> Found:
    told = VERSION_TAG.fullmatch(asked)
    rules = settings_here(root).of(told["model"] if told else model)
    known = registry.fold(rules.model.name, read.repository.refs(*registry.PLACES))
    known = tagging.counting(root, known, rules.promote.environments, repository=read.repository)
    version = known.named(asked)
    return Found(version.name, version.commit)


class _Runs:
    """What runs have left in a repository, by the commit that was run."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        refs = {ref.name: ref.object for ref in repository.refs(RUNS, TRIALS)}
        self.targets = {name.removeprefix(RUNS): target for name, target in refs.items() if name.startswith(RUNS)}
        self.trials = {name.removeprefix(TRIALS): target for name, target in refs.items() if name.startswith(TRIALS)}
        self.lock_commits = {target for commit, target in self.targets.items() if target != commit}

    def of(self, read: Reading, commit: str) -> Found:
        """The run of `commit`; an error where there is none, or it came to nothing."""
        if target := self.left(commit):
            return Found(f"the run of {commit[:9]}", target)
        if commit in self.targets:
            raise NoRunError(f"the run of {commit[:9]} has left no {LOCK}", next=f"pushforward report {commit[:9]}")
        lacks, _, step = read.lacks.partition("; next: ")
        push = "pushforward init, then git push local main" if read.source == HERE else f"git push {read.source} HEAD"
        raise NoRunError(f"{commit[:9]} has no run in {read.source}{f' ({lacks})' if lacks else ''}", next=step or push)

    def left(self, commit: str) -> str:
        """The commit with what the run of `commit` has left; "" where it has left nothing."""
        target = self.targets.get(commit, "")
        if target == commit:
            return target if self._is_found(commit) else ""
        if target or commit in self.lock_commits:
            return target or commit
        return self.trials.get(commit) or self._tried(commit)

    def _tried(self, commit: str) -> str:
        """What the newest run of a pull request from `commit` has left: what ran was its merge."""
        if not self.trials:
            return ""
        asked = ("log", "--no-walk=sorted", "--format=%H %P", *self.trials)
        for line in self.repository.git(*asked, check=False).text.splitlines():
            merge, *parents = line.split()
            if commit in parents[1:]:
                return self.trials[merge]
        return ""

    def _is_found(self, commit: str) -> bool:
        """Whether the locks in `commit` are what its run has found: of one that failed they are what was pushed."""
        told = [one.verdict.get("digests") for one in notes.read(self.repository, commit)]
        lock = kept.digest(folders.locks_at(self.repository, commit), LOCK)
        return any(isinstance(one, dict) and one.get("lock") == lock for one in told)


def _files(repository: Repository, commit: str) -> dict[str, bytes]:
    """Path -> content of the locks and of the metrics and plots of a commit that git keeps."""
    found, told = folders.locks_at(repository, commit), declared.at(repository, commit)
    paths = [path for path in repository.tree(commit) if path.startswith(f"{METRICS}/") or told.keeps(path)]
    for path, one in zip(paths, repository.objects([f"{commit}:{path}" for path in paths]), strict=True):
        if one is not None:
            found[path] = one[1]
    return dict(sorted(found.items()))


def _changed(root: Path, wanted: Mapping[str, bytes]) -> list[str]:
    """Those of the files here that are neither as wanted, nor as committed, nor as an earlier pull has left them."""
    repository, before = Repository(root), _remembered(root)
    found = []
    for path, content in wanted.items():
        here = files.read(root, path)
        if here is None or here in (content, repository.read("HEAD", path)) or before.get(path) == _sha256(here):
            continue
        found.append(path)
    return found


def _models(repository: Repository, commit: str) -> dict[str, str]:
    """Path -> object of the models of a commit, by its locks."""
    outs = objects.outs(repository, commit)
    paths = [one.model.path for one in Revision(repository, commit).settings.each]
    return {path: outs[path] for path in paths if path in outs}


def _ready(root: Path, repository: Repository, models: Mapping[str, str], *, force: bool) -> None:
    """Have the models in the cache where the store is a folder; refuse what would be lost, and a store that is gone."""
    places = objects.places(root)
    before = objects.outs(Repository(root), "HEAD") | _outs_here(root)
    for path, oid in models.items():
        there = files.place(root, path)
        own = before.get(path, "")
        if there.exists() and not force and not any(_is_here(root, path, one) for one in (oid, own) if one):
            raise PushforwardError(
                f"{path} is no model that {LOCK} names: it was changed here",
                next="pushforward pull --force, or --lock-only",
                exit_code=USAGE,
            )
    if all(places.cache.is_whole(oid) for oid in models.values()):
        return
    stores = [places.remote, *_of_server(repository)]
    if places.remote is None:
        return  # DVC brings them
    for path, oid in models.items():
        store = next((one for one in stores if one is not None and one.is_whole(oid)), None)
        if store is None:
            gone = "does not exist" if not places.remote.path.is_dir() else f"does not have {path} ({oid})"
            raise PushforwardError(
                f"the DVC remote {places.url} {gone}",
                next=f"dvc remote modify --local {storage(root).remote} url PATH, if it is elsewhere, "
                "or pushforward pull --lock-only",
                exit_code=TOOL,
            )
        _copy(store, places.cache, oid)


def _of_server(repository: Repository) -> Iterator[Store]:
    """The store of the server that a repository is, wherever the clone lies."""
    if (repository.path / FOLDER / "server.json").is_file() and (url := Server.load(repository.path).store):
        found = objects.folder(url)
        if found is not None:
            yield found


def _copy(store: Store, cache: Store, oid: str) -> None:
    """Copy a whole object, of a folder its files first."""
    inside = objects.members(oid, store.file(oid).read_bytes()).values() if oid.endswith(LISTING) else ()
    for one in (*inside, oid):
        if not cache.is_intact(one):
            slot = cache.slot(one)
            slot.parent.mkdir(parents=True, exist_ok=True)
            durable.write(slot, store.file(one).read_bytes(), mode=0o444)


def _outs_here(root: Path) -> dict[str, str]:
    """Path -> object of the outs in the locks of the work tree."""
    entries = read_lock(folders.whole_here(root)).values()
    return {out["path"]: str(out.get("md5", "")) for entry in entries for out in entry.get("outs", [])}


def _is_here(root: Path, path: str, oid: str) -> bool:
    """Whether the file or the folder at `path` is the object `oid`; of a folder the cache has to know the list."""
    there = files.place(root, path)
    if not oid.endswith(LISTING):
        return there.is_file() and _md5(there) == oid
    content = objects.places(root).cache.content(oid)
    if content is None or not there.is_dir():
        return False
    found = {one.relative_to(there).as_posix(): _md5(one) for one in files.plain(root, path)}
    return found == objects.members(oid, content)


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _record(root: Path) -> Path:
    return Path(Repository(root).git("rev-parse", "--path-format=absolute", "--git-path", RECORD).text)


def _remembered(root: Path) -> dict[str, str]:
    """Path -> SHA-256 of what the last pull has put here; nothing where that cannot be read."""
    try:
        found = json.loads(_record(root).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(path): str(digest) for path, digest in found.items()} if isinstance(found, dict) else {}


def _remember(root: Path, wanted: Mapping[str, bytes]) -> None:
    told = {path: _sha256(content) for path, content in wanted.items()}
    durable.write(_record(root), json.dumps(told, indent=1) + "\n")
