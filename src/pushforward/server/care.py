"""The machine's fault, where a run of a server fails by it: mended from its own copies where it can be, else named.

A run that the machine has let fail says nothing of its commit. Whether it did is not for the run to say: the server
looks at its disk, its store and what it keeps of the newest version, and hashes what it finds.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pushforward import durable, process
from pushforward.actions.supervisor import ACT
from pushforward.errors import MACHINE, MachineError, PushforwardError
from pushforward.files import LinkError
from pushforward.git import whereabouts
from pushforward.git.server import Server
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LISTING
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.store import Store
from pushforward.registry import tags as registry
from pushforward.server import recover

FILE = "trouble.json"  # what whoever runs the server was told of last
LISTED = 3
ACT_SECONDS = 20.0
PROBE = "pushforward-writes-"


@dataclass(frozen=True)
class _Part:
    """One object of the newest version: the file that it is, and where the version says so."""

    version: str
    path: str
    oid: str


def mend(server: Server) -> Iterator[str]:
    """Put what the store has lost or spoilt of the newest version back from the caches; one line for each object.

    What a cache has spoilt is removed from it, and comes from the store again.
    """
    store, caches = _places(server)
    if store is None or not store.path.is_dir():
        return
    for part in _parts(server, [store, *caches]):
        good = next((place for place in (store, *caches) if _sound(place, part.oid)), None)
        if good is None:
            continue
        name = f"{part.path} of {part.version}"
        if good is not store:
            # a store that takes nothing, or is a link to somewhere, is told of by `trouble`
            with contextlib.suppress(OSError, LinkError):
                _copy(good, store, part.oid)
                yield f"the store had lost {name}: put back from a cache"
        own = caches[0]
        if not _sound(own, part.oid):
            with contextlib.suppress(OSError, LinkError):
                own.slot(part.oid).unlink()
                yield f"the cache had spoilt {name}: removed, the store has it"


def trouble(server: Server) -> MachineError | None:
    """What is wrong with this machine that may have let a run fail; None where nothing is found."""
    try:
        return _disk(server) or _act() or _locked(server) or _store(server) or _lost(server)
    except OSError as failed:
        if failed.errno not in MACHINE | {13, 1}:
            raise
        return MachineError(f"the server cannot read what it keeps: {failed.strerror}", detail=str(failed))


def tell(server: Server, found: MachineError) -> bool:
    """Write down what whoever runs the server has to mend; whether it is news."""
    path = server.folder / FILE
    text = json.dumps({"message": found.message, "next": found.next, "detail": found.detail}) + "\n"
    with contextlib.suppress(OSError):
        if path.is_file() and path.read_text() == text:
            return False
        durable.write(path, text)
    return True


def over(server: Server) -> None:
    """Forget the trouble: a run has ended without it."""
    (server.folder / FILE).unlink(missing_ok=True)


def _places(server: Server) -> tuple[Store | None, list[Store]]:
    """The server's store, its own cache, and the caches of the other servers that keep their objects there."""
    store = objects.folder(server.store)
    caches = [Store(server.folder / "cache")]
    if store is not None and store.path.is_dir():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            caches += [
                Store(bare / "pushforward" / "cache")
                for bare in whereabouts.claims(store.path)
                if bare != whereabouts.named(Path(server.bare))
            ]
    return store, caches


def _newest(server: Server) -> list[registry.Registered]:
    """The version of each model that the next commit is judged against."""
    names: list[str] = []
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # damaged, or of a main without versions
        names = [str(json.loads((server.folder / "registry.json").read_text())["model"])]
    with contextlib.suppress(PushforwardError):
        names = list(Revision(server.repository, server.default_branch).settings.project.models)
    refs = server.repository.refs(*registry.PLACES)
    return [version for name in names if (version := registry.fold(name, refs).newest)]


def _parts(server: Server, places: list[Store]) -> Iterator[_Part]:
    """Every object of the newest versions; of a folder whose list is nowhere, the list alone."""
    for version in _newest(server):
        for path, oid in objects.outs(server.repository, version.commit).items():
            yield _Part(version.name, path, oid)
            if oid.endswith(LISTING):
                for name, one in _members(oid, places).items():
                    yield _Part(version.name, f"{path}/{name}", one)


def _members(oid: str, places: list[Store]) -> Mapping[str, str]:
    for place in places:
        if _sound(place, oid):
            return objects.members(oid, place.file(oid).read_bytes())
    return {}


def _sound(place: Store, oid: str) -> bool:
    """Whether the object lies there, a plain file whose bytes are those of its name."""
    path = place.plain(oid)
    if path is None:
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == oid[:32]


def _copy(source: Store, target: Store, oid: str) -> None:
    """Copy an object, whole or not at all, readable to all and for nobody to write, as DVC leaves it."""
    place = target.slot(oid)
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f"{place.name}{durable.UNFINISHED}")
    shutil.copyfile(source.file(oid), fresh)
    fresh.chmod(0o444)
    fresh.replace(place)


def _disk(server: Server) -> MachineError | None:
    with contextlib.suppress(FileNotFoundError):
        if short := recover.short_of_space(server):
            return MachineError("a disk of the server has too little space left for a run", next="df -h", detail=short)
    return None


def _act() -> MachineError | None:
    try:
        process.run([str(ACT), "--version"], timeout=ACT_SECONDS)
    except (PushforwardError, OSError) as failed:
        return MachineError("act, which runs the workflows, does not start", next="make env", detail=str(failed))
    return None


def _locked(server: Server) -> MachineError | None:
    bare = Path(server.bare)
    for path in (*bare.glob("*.lock"), *(bare / "refs").rglob("*.lock")):
        ref = path.relative_to(bare).with_suffix("")
        return MachineError(f"{ref} of the server is locked", next="pushforward dispatch, a minute later")
    return None


def _store(server: Server) -> MachineError | None:
    """A store that is not there, or that nothing can be read from or written to."""
    store = objects.folder(server.store)
    if store is None:
        return None
    if not store.path.is_dir():
        return MachineError(
            "the server's store is not there",
            next="mount or restore it, then pushforward dispatch",
            detail=server.store,
        )
    try:
        next(store.path.iterdir(), None)
        with tempfile.NamedTemporaryFile(dir=store.path, prefix=PROBE) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
    except OSError as failed:
        return MachineError(
            f"the server's store cannot be used: {failed.strerror}",
            next="mend its disk or its rights, then pushforward dispatch",
            detail=f"{server.store}: {failed}",
        )
    return None


def _lost(server: Server) -> MachineError | None:
    """Objects of the newest version that neither the store nor a cache has as they were."""
    store, caches = _places(server)
    if store is None:
        return None
    places = [store, *caches]
    lost = [part for part in _parts(server, places) if not any(_sound(place, part.oid) for place in places)]
    if not lost:
        return None
    from pushforward.server import soundness  # what few runs need

    named = ", ".join(f"{part.path} (md5 {part.oid})" for part in lost[:LISTED])
    more = f" and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
    version = lost[0].version
    return MachineError(
        f"the store has lost, and no cache has, {named}{more} of {version}",
        next=soundness.again(Path(server.bare), version),
    )
