"""The bytes of a version: what DVC holds of it in its remote and in caches, as `verify` follows the chain to them."""

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from pushforward import schema, untrusted
from pushforward.errors import TOOL, PushforwardError
from pushforward.gate import decision
from pushforward.judge import self_scored
from pushforward.judge.case import gate_of
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import fitted
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LOCK
from pushforward.pipeline.revision import MANIFEST, Revision, data_digest, sha256
from pushforward.pipeline.storage import is_project
from pushforward.pipeline.store import Places, Store
from pushforward.registry.authority import Authority
from pushforward.release import provenance, rebuild
from pushforward.release.chain import Evidence
from pushforward.release.hop import DifferentError, FailedError, same, same_files
from pushforward.release.rebuild import Source
from pushforward.settings import Settings
from pushforward.text import sample

LISTING = ".dir"


class Stored:
    """Where the objects of a version are; one that is missing or cannot be read is named with its place."""

    def __init__(
        self, of: Evidence, root: Path, authority: Authority, scratch: Path, progress: Callable[[str], None]
    ) -> None:
        self.of, self.root, self.server = of, root, authority.server
        self.scratch, self.progress = scratch, progress
        self.unanswered = ""  # why the DVC remote gave nothing; it is asked once

    @cached_property
    def places(self) -> Places:
        """Of a clone its own cache and remote, of a server the server's."""
        server = self.server
        if is_project(self.root):
            there = objects.places(self.root)
            if there.remote is None or server is None or not server.store:
                return there
            return replace(there, url=server.store, remote=Store(Path(server.store)))  # wherever this clone lies
        if server is None:
            raise FailedError(f"{self.root} is neither a clone nor a server, so its DVC remote is not known")
        store = Store(Path(server.store)) if server.store else None
        return Places(Store(server.folder / "cache"), server.store, store)

    @cached_property
    def caches(self) -> list[Store]:
        """The caches of this machine that may hold some of it."""
        stores = [self.places.cache, *([Store(self.server.folder / "cache")] if self.server else [])]
        return [Store(path) for path in dict.fromkeys(store.path for store in stores)]

    @property
    def name(self) -> str:
        """What the DVC remote is called."""
        return self.places.url or "the DVC remote"

    @property
    def source(self) -> Source:
        """The version as something to be checked out and made again."""
        return Source(self.of.repository, self.of.target, self.places.url, self.root, self.server, self.of.model)

    @cached_property
    def remote(self) -> Store:
        """The DVC remote; what is in one that is no folder of this machine is fetched through DVC, all of it once."""
        if self.places.remote is not None:
            if not os.access(self.places.remote.path, os.R_OK | os.X_OK):
                place = self.places.remote.path
                raise FailedError(f"the DVC remote {place} is not there, or not for you to read", exit_code=TOOL)
            return self.places.remote
        if self.unanswered:
            raise FailedError(self.unanswered, exit_code=TOOL)
        self.progress(f"fetching {len(self.of.outs)} outs from {self.name}")
        cache = self.scratch / "fetched"
        checkout = rebuild.checkout(self.source, self.scratch / "fetch", cache=cache)
        try:
            pipeline.fetch(checkout, *self.of.outs, say=self.progress)
        except PushforwardError as failed:
            # DVC drops what it finds spoiled: what did not come is named by the hop that misses it
            if not any(Store(cache).objects()):
                self.unanswered = failed.message
                raise FailedError(failed.message, exit_code=TOOL) from failed
        return Store(cache)

    def bytes(self, oid: str, path: str) -> bytes:
        """The bytes of an object in the remote."""
        with self._open(self.remote, oid, path) as handle:
            return handle.read()

    def digest(self, store: Store, oid: str, path: str) -> str:
        """The SHA-256 of an object."""
        with self._open(store, oid, path) as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    def _open(self, store: Store, oid: str, path: str) -> BufferedReader:
        try:
            return store.file(oid).open("rb")
        except FileNotFoundError:
            place = self.where(store, oid)
            raise DifferentError(f"{path} is missing in the DVC remote ({place})", place, oid) from None
        except OSError as refused:
            raise FailedError(f"{store.file(oid)} cannot be read: {refused.strerror}", exit_code=TOOL) from None

    def where(self, store: Store, oid: str) -> str:
        """Where an object lies, as people are told."""
        fetched = self.places.remote is None and store is self.remote
        return f"{self.name}: {oid}" if fetched else str(store.file(oid))


def model(there: Stored) -> str:
    """The model's files in the DVC remote are those of the tag."""
    of = there.of
    path = of.rules.model_path
    oid = of.outs.get(path, "")
    if not oid:
        raise DifferentError(f"{LOCK} names no model {path}", f"{of.target[:9]}:{LOCK}", path)
    if oid.endswith(LISTING):
        listed = objects.members(oid, there.bytes(oid, f"{path}/"))
        contents = {f"{path}/{name}": there.bytes(one, f"{path}/{name}") for name, one in listed.items()}
    else:
        contents = {path: there.bytes(oid, path)}
    found = {name: sha256(content) for name, content in contents.items()}
    return check_model(of, found, contents.get(f"{path}/{MANIFEST}", b""), there.where(there.remote, oid))


def check_model(of: Evidence, found: Mapping[str, str], manifest: bytes, place: str) -> str:
    """The model whose files have the SHA-256 `found` is that of the tag, no file more and none fewer."""
    path, record = of.rules.model_path, of.record
    first = f"{path}/{MANIFEST}"
    found = {name: digest for name, digest in found.items() if not name.endswith("/.gitignore")}
    same(first, place, record.manifest, found.get(first, ""))
    told = {name: digest for name, digest in of.statement.subjects.items() if name != first}
    rest = {name: digest for name, digest in found.items() if name != first}
    same_files("the model's file", place, told, rest)
    same("the model", place, record.model, provenance.model_digest(found, path))
    if means := of.statement.fitted:
        said = fitted.of(untrusted.plain_json(manifest, first)).means
        same("how it was fitted", place, *(json.dumps(dict(one), sort_keys=True) for one in (means, said)))
    where, named = (place, "the manifest") if manifest else (f"{of.target[:9]}:{LOCK}", LOCK)
    lock = None if manifest else Revision(of.repository, of.target).whole_lock
    same(f"the data that {named} names", where, record.data, data_digest(manifest, lock, path))
    files = f"{', '.join(sorted(rest))[:60]}{f' and {MANIFEST}' if manifest else ''}"
    return f"{files} {'have' if len(found) > 1 else 'has'} the tag's SHA-256"


def data(there: Stored) -> str:
    """All that DVC keeps for the version, in the remote and, where it is there, in the caches."""
    of, count, copies = there.of, 0, 0
    told, kept = of.statement.data, of.outs
    for path, oid in kept.items():
        named = f"{path}/" if oid.endswith(LISTING) else path
        md5 = told[named].md5 if named in told else ""
        same(f"what {LOCK} and the provenance call {path}", path, oid.removesuffix(LISTING), md5)
    for path, content in told.items():
        if not any(f"{path}/".startswith(f"{out}/") for out in kept):
            committed = of.repository.read(of.target, path)
            same(path, f"{of.target[:9]}:{path}", content.sha256, sha256(committed or b""))
            continue
        oid = content.md5 + (LISTING if path.endswith("/") else "")
        found = there.digest(there.remote, oid, path)
        same(path, there.where(there.remote, oid), content.sha256, found)
        count += 1
        for cache in there.caches:
            with contextlib.suppress(PermissionError):  # another user's cache is not ours to check
                if cache.file(oid).is_file():
                    same(path, there.where(cache, oid), content.sha256, there.digest(cache, oid, path))
                    copies += 1
    return f"{count} objects in {there.name}, {copies} copies in caches"


def test_set(there: Stored) -> str:
    """The table that the version's run has scored is the one judged, and its numbers come of it once more."""
    of, verdict = there.of, there.of.verdict
    rules = Revision(of.repository, verdict.base, of.model).settings
    mine, place = _scored(there, of.target, rules)
    same("the table", place, verdict.holdout.sha256 if verdict.holdout else "", mine.sha256)
    theirs = None
    if verdict.champion is not None and verdict.mode != "first":
        theirs, where = _scored(there, verdict.champion.commit, rules)
        if other := self_scored.differences(mine, theirs, rules.contract):
            raise DifferentError(f"the test set is not that of {verdict.champion.version}: {other}", where)
    evidence, _ = self_scored.evidence(rules, mine, theirs)
    same("the test set", place, "".join(verdict.holdout.months if verdict.holdout else ()), evidence.months[0])
    size = sample(verdict.rows, verdict.clusters, verdict.cluster)
    if rules.contract.loss:
        return f"{evidence.months[0]} ({size}); its losses are by the project's own command, and not computed again"
    gate = gate_of(rules).model_copy(update={"alpha": verdict.look.alpha} if verdict.look else {})
    found = decision.judge(evidence, gate, cluster=verdict.cluster)
    same("the verdict on it", place, verdict.verdict, found.verdict)
    for told, one in zip(verdict.numbers, found.numbers, strict=False):
        for part in ("champion", "challenger", "gain", "low"):
            was, now = getattr(told, part), getattr(one, part)
            if (was is None) != (now is None) or not math.isclose(was or 0.0, now or 0.0, rel_tol=1e-9, abs_tol=1e-12):
                raise DifferentError(f"{told.name} of the {part}", place, repr(was), repr(now))
    return f"{evidence.months[0]} ({size}): {len(verdict.numbers)} numbers and the verdict come of it once more"


def _scored(there: Stored, commit: str, rules: Settings) -> tuple[self_scored.Table, str]:
    """The table of predictions of a version's commit as its judge read it, and where it lies."""
    repository = there.of.repository
    told = Revision(repository, commit, there.of.model).settings.predictions
    if told is None or rules.predictions is None:
        where = f"{commit[:9]}:{schema.FILE}"
        raise DifferentError(f"{commit[:9]} names no table of predictions", where, "predictions")
    oid = objects.outs(repository, commit).get(told.path)
    place = there.where(there.remote, oid) if oid else f"{commit[:9]}:{told.path}"
    content = there.bytes(oid, told.path) if oid else repository.read(commit, told.path) or b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(told.path).name
        path.write_bytes(content)
        mine = commit == there.of.target
        return self_scored.read(path, rules.predictions if mine else told, rules.contract, told.path), place


# The hops after those of `chain`, in order.
HOPS: Mapping[str, Callable[[Stored], str]] = {"model": model, "objects": data}
