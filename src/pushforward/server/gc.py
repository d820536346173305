"""Retention: what no tag, no open branch and no run needs goes; what one of them needs stays, byte for byte."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pushforward import durable, files
from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.git import whereabouts
from pushforward.git.refs import FOREIGN, HEADS, PULLS, RUNS, TRIALS
from pushforward.git.repository import Ref, Repository
from pushforward.git.server import Server
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LISTING
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.store import Store
from pushforward.registry import authority, grammar
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.authority import Authority
from pushforward.server import runs
from pushforward.server.dispatch import KEPT_RUNS
from pushforward.server.post_receive import LOCK

# Between `dvc push` and `git push`; and for a run, where no lock of ours tells that one is at work.
FRESH_SECONDS = 24 * 3600.0

Kind = Literal["run cache entry", "object", "environment", "run folder"]
PLURAL: dict[Kind, str] = {
    "run cache entry": "run cache entries",
    "object": "objects",
    "environment": "environments",
    "run folder": "run folders",
}


@dataclass(frozen=True)
class Item:
    """Something at `path`, called `where`; of use while all that it names is needed: objects, or an environment."""

    kind: Kind
    where: str
    path: Path
    bytes: int
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Needs:
    """What must stay: objects and environments by name; and how many versions, branches and runs say so."""

    names: frozenset[str]
    versions: int
    branches: int
    runs: int


@dataclass(frozen=True)
class Plan:
    """What is needed, by whose refs, what would go, and what was left out and why. `kept` counts objects."""

    source: str
    needs: Needs
    kept: int
    kept_bytes: int
    garbage: tuple[Item, ...]
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """What deleting would free."""
        return sum(item.bytes for item in self.garbage)

    def record(self) -> dict[str, Any]:
        """For `--json`: every path that would go."""
        garbage = [{"kind": item.kind, "path": str(item.path), "bytes": item.bytes} for item in self.garbage]
        needs = {"versions": self.needs.versions, "branches": self.needs.branches, "runs": self.needs.runs}
        kept = {"objects": self.kept, "bytes": self.kept_bytes}
        notes = list(self.notes)
        return {
            "refs": self.source,
            "needed": needs,
            "kept": kept,
            "garbage": garbage,
            "bytes": self.bytes,
            "notes": notes,
        }


@dataclass(frozen=True)
class _Places:
    """Where things lie that may go: stores by what they are called, the server's folder, the servers that share.

    `asked` is the clone, or the server, whose remote says which tags count.
    """

    asked: Path
    stores: dict[str, Store]
    folder: Path | None
    sharing: tuple[Server, ...]
    notes: tuple[str, ...] = ()


def collect(root: Path, *, dry_run: bool, deprecated: bool, say: Callable[[Plan], None]) -> Plan:
    """Find what nobody needs, `say` it, and delete it unless `dry_run`; with `deprecated`, deprecated versions too.

    The refs are those of the server, or of the remote, never those of a clone; they are read once more before
    anything goes, and what a promotion has come to need meanwhile stays. Refuses to delete while a run is at work,
    and where the list of files in a version's folder is lost. Gives what was found, or deleted.
    """
    with authority.of(root) as source:
        places = _places(root, source)
        found = _plan(source, places, deprecated=deprecated)
    say(found)
    if dry_run or not found.garbage:
        return found
    with contextlib.ExitStack() as held:
        for server in places.sharing:
            held.enter_context(_no_run(server))
        with authority.of(root) as source:
            needs = _needs(source, places, deprecated=deprecated)
        garbage = tuple(item for item in found.garbage if not _needed(item, needs) and not _fresh(item, source))
        _delete(garbage)
    return replace(found, needs=needs, garbage=garbage)


def _places(root: Path, source: Authority) -> _Places:
    server = source.server
    if server is None:
        there = objects.places(root)
        if there.remote is None:
            raise PushforwardError(
                f"the DVC remote {there.url or '(none)'} is not a folder of this machine: gc deletes in folders only",
                next="dvc gc --help, in a clone with all tags; or a lifecycle rule of the bucket",
            )
        return _Places(root, {str(there.remote.path): there.remote}, None, _sharing(there.remote))
    server = server.settle()  # the store knows it by its place
    cache = {"the server's cache": Store(server.folder / "cache")}
    if server.store:
        store = Store(Path(server.store))
        own = whereabouts.named(Path(server.bare))
        others = [one for one in _sharing(store) if Path(one.bare) != own]
        return _Places(root, {server.store: store, **cache}, server.folder, (server, *others))
    note = f"the DVC remote '{server.remote}' is not a folder of this machine: what is in it was not looked at"
    return _Places(root, cache, server.folder, (server,), (note,))


def _sharing(store: Store) -> tuple[Server, ...]:
    """The servers whose objects are in `store`; an error where one of them cannot be asked what it needs."""
    found = []
    for bare, note in whereabouts.claims(store.path).items():
        try:
            found.append(Server.load(bare))
        except PushforwardError as gone:
            raise PushforwardError(
                f"{bare} keeps its objects in {store.path} too, and cannot be asked what it needs: {gone.message}",
                next=f"rm {note}, if that server is gone for good",
                exit_code=POLICY,
            ) from gone
    return tuple(found)


def _plan(source: Authority, places: _Places, *, deprecated: bool) -> Plan:
    needs = _needs(source, places, deprecated=deprecated)
    kept: list[Item] = []
    garbage: list[Item] = []
    for item in _items(places):
        stays = _needed(item, needs) or _fresh(item, source)
        (kept if stays else garbage).append(item)
    if places.folder is not None:
        garbage += _old_runs(places.folder)
    count = sum(item.kind == "object" for item in kept)
    return Plan(source.source, needs, count, sum(item.bytes for item in kept), tuple(garbage), places.notes)


def _items(places: _Places) -> Iterator[Item]:
    """All that is of use only with something else, in the order in which it may go.

    What DVC remembers of stages first, then the lists of folders: it takes a stage that it remembers for done, and a
    folder whose list is there for whole.
    """
    for where, store in places.stores.items():
        for path in store.runs():
            made = path.read_bytes().partition(b"\nouts:")[2]
            names = frozenset(oid.decode() for oid in objects.NAMED.findall(made))
            yield Item("run cache entry", where, path, _size(path), names)
        listed = [Item("object", where, path, _size(path), frozenset({oid})) for oid, path in store.objects()]
        yield from sorted(listed, key=lambda item: not item.path.name.endswith(LISTING))
    for path in _inside(places.folder, "environments"):
        yield Item("environment", "environments", path, _size(path), frozenset({path.name[:16]}))


def _needed(item: Item, needs: Needs) -> bool:
    return item.kind != "run folder" and item.names <= needs.names


def _fresh(item: Item, source: Authority) -> bool:
    """Whether it lies where people put data that their next push names, and not for long."""
    mine = source.server is not None and item.path.is_relative_to(source.server.folder)
    if mine or item.kind == "run folder":
        return False  # only runs write there, and none is at work while something goes
    with contextlib.suppress(FileNotFoundError):
        return item.path.lstat().st_mtime >= time.time() - FRESH_SECONDS
    return False


def _needs(source: Authority, places: _Places, *, deprecated: bool) -> Needs:
    own = _needs_of(source.repository, places.folder, places, deprecated=deprecated)
    names = set(own.names)
    for server in places.sharing:
        if source.server is None or server.bare != source.server.bare:
            its = replace(places, asked=Path(server.bare))
            names |= _needs_of(server.repository, server.folder, its, deprecated=deprecated).names
    return replace(own, names=frozenset(names))


def _needs_of(repository: Repository, folder: Path | None, places: _Places, *, deprecated: bool) -> Needs:
    tags = _tags(repository, places.asked, deprecated=deprecated)
    branches = _branches(repository)
    found = _runs(repository, branches, folder)
    before = _commits(repository, repository.refs(FOREIGN))  # kept as far as it is here: nobody has checked that it was
    commits = {*tags, *branches, *found, *before.values()}
    wanted = set(objects.named(repository, commits))
    for oid in [oid for oid in wanted if oid.endswith(LISTING)]:
        members = _members(oid, places.stores.values())
        if members is not None:
            wanted.update(members)
        elif (tag := _tag_that_needs(repository, oid, tags)) is not None:
            raise PushforwardError(
                f"nothing is deleted: the list of files {oid}, which {tag} needs, is lost or spoiled",
                next=f"pushforward verify {tag} --quick",
                exit_code=POLICY,
            )
    if _inside(folder, "environments"):
        wanted |= _wanted_environments(repository, commits)
    versions = {name for name in tags.values() if grammar.VERSION_TAG.fullmatch(name)}
    return Needs(frozenset(wanted), len(versions), len(branches), len(found))


def _tags(repository: Repository, root: Path, *, deprecated: bool) -> dict[str, str]:
    """Commit -> the tag that keeps it, a version's first. Every tag keeps its commit, whoever made it; none is foreign.

    With `deprecated` a version loses that where its deprecation counts, and no tag at all puts it to use.
    """
    refs = registry.own(repository.refs(*registry.PLACES))
    commits = _commits(repository, refs)
    models = {parts["model"] for name in commits if (parts := registry.parse(name))}
    dropped: set[str] = set()
    for known in (registry.fold(model, refs) for model in sorted(models) if deprecated):
        counts = tagging.counting(root, known, {}, repository=repository)
        both = [one.in_use(name) for one in (known, counts) for name in one.environments]
        in_use = {version.commit for version in both if version}
        dropped |= {one.commit for one in counts.versions if counts.deprecated(one)} - in_use
    found: dict[str, str] = {}
    for name in sorted(commits, key=lambda name: not grammar.VERSION_TAG.fullmatch(name)):
        if commits[name] not in dropped or not registry.parse(name):
            found.setdefault(commits[name], name)
    return found


def _commits(repository: Repository, refs: Sequence[Ref]) -> dict[str, str]:
    """Name of a tag, or of what a mark marks -> the commit that it names; what names none is left out."""
    asked = "".join(f"{ref.object}^{{commit}}\n" for ref in refs).encode()
    lines = repository.git("cat-file", "--batch-check=%(objecttype) %(objectname)", stdin=asked).text.splitlines()
    named = {ref.name.removeprefix("refs/tags/"): line for ref, line in zip(refs, lines, strict=True)}
    return {name: line.split()[1] for name, line in named.items() if line.startswith("commit ")}


def _branches(repository: Repository) -> set[str]:
    """The heads of open branches, and what their merges would be."""
    refs = {ref.name: ref for ref in repository.refs(HEADS, PULLS)}
    open_ = {name for name in refs if name.startswith("refs/heads/") or name.endswith("/head")}
    merges = {name for name in refs if name.endswith("/merge") and f"{name.removesuffix('merge')}head" in open_}
    return {refs[name].object for name in open_ | merges}


def _runs(repository: Repository, branches: set[str], folder: Path | None) -> set[str]:
    """What the runs of the branches' heads found, and the newest of all others."""
    refs = [(ref.name.rpartition("/")[2], ref.object) for ref in repository.refs(RUNS, TRIALS)]
    by_date = ("--sort=-creatordate", f"--count={KEPT_RUNS}", "--format=%(objectname)")
    newest = repository.git("for-each-ref", *by_date, RUNS, TRIALS).text.split()
    kept = branches | {path.name.rpartition("-")[2] for path in _inside(folder, "runs")}
    return {*newest, *(found for commit, found in refs if commit in kept)}


def _members(oid: str, stores: Iterable[Store]) -> list[str] | None:
    """The objects in the folder that `oid` lists, by the first good copy of the list."""
    for store in stores:
        content = store.read(oid)
        if content is not None:
            with contextlib.suppress(PushforwardError):
                return list(objects.members(oid, content).values())
    return None


def _tag_that_needs(repository: Repository, oid: str, tags: dict[str, str]) -> str | None:
    """The tag with a folder `oid` among what DVC keeps for it: a folder of sources has such a name too, and no list."""
    for commit, tag in tags.items():
        if oid in objects.named(repository, [commit]) and oid in objects.outs(repository, commit).values():
            return tag
    return None


def _wanted_environments(repository: Repository, commits: Iterable[str]) -> set[str]:
    found = set()
    for commit in commits:
        with contextlib.suppress(PushforwardError):  # settings that cannot be read have no environment
            found.add(Revision(repository, commit).environment[:16])
    return found


def _inside(folder: Path | None, name: str) -> list[Path]:
    there = None if folder is None else files.place(folder, name)
    return sorted(there.iterdir()) if there is not None and there.is_dir() else []


def _old_runs(folder: Path) -> Iterator[Item]:
    newest = sorted(_inside(folder, "runs"), key=lambda path: path.lstat().st_mtime, reverse=True)
    for path in newest[KEPT_RUNS:]:
        yield Item("run folder", "runs", path, _size(path))


def _size(path: Path) -> int:
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        return sum(_size(inside) for inside in path.iterdir())
    except FileNotFoundError:
        return 0  # a run that is at work takes away what it has made


@contextlib.contextmanager
def _no_run(server: Server) -> Iterator[None]:
    """Keep runs from starting; refused while one is at work, for what that will need is named nowhere yet."""
    with durable.attempted(server.folder / LOCK) as mine:
        if not mine or runs.running(server):
            raise PushforwardError(
                f"nothing is deleted: a run is at work in {server.bare}, and what it will need is named nowhere yet",
                next="pushforward gc, when it has ended",
                exit_code=POLICY,
            )
        yield


def _delete(garbage: Iterable[Item]) -> None:
    for item in garbage:
        try:
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
        except OSError as refused:
            raise PushforwardError(
                f"{item.path} cannot be deleted: {refused.strerror}", next=f"ls -ld {item.path.parent}", exit_code=TOOL
            ) from refused
        if item.kind in {"object", "run cache entry"}:
            with contextlib.suppress(OSError):  # others of the same first letters are still there
                item.path.parent.rmdir()


def terminal(plan: Plan) -> str:
    """What is needed and what is not, in a few lines."""
    needs = plan.needs
    by = f"{needs.versions} versions, {needs.branches} branches, {needs.runs} runs"
    lines = [f"refs     {plan.source}", f"needed   by {by}: {plan.kept:,} objects, {size(plan.kept_bytes)}"]
    groups: dict[tuple[str, Kind], list[Item]] = {}
    for item in plan.garbage:
        groups.setdefault((item.where, item.kind), []).append(item)
    for (where, kind), items in groups.items():
        count = f"{len(items):,} {kind if len(items) == 1 else PLURAL[kind]}"
        place = f"  {where}" if kind in {"object", "run cache entry"} else ""
        lines.append(f"garbage  {count:<24}{size(sum(item.bytes for item in items)):>9}{place}")
    lines.append(f"garbage  {size(plan.bytes) + ' in all' if groups else 'none'}")
    return "\n".join([*lines, *(f"note     {note}" for note in plan.notes)])


def size(count: int) -> str:
    """A number of bytes for people: `1.2 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
