"""A version, checked hop by hop from its signature to the bytes that DVC holds, and made again from raw data."""

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any

from pushforward import settings
from pushforward.errors import POLICY, TOOL, PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import HOLDOUTS, REGISTRY, VERDICTS
from pushforward.git.repository import Repository
from pushforward.judge import identity, ledger
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LISTING, LOCK, METRICS
from pushforward.pipeline.revision import MANIFEST, Revision, sha256
from pushforward.pipeline.store import Places, Store
from pushforward.registry import authority, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.authority import Authority
from pushforward.registry.trust import Signer
from pushforward.release import provenance, rebuild
from pushforward.release.promote import CARD, GOLDEN, PROVENANCE, SIGNATURE, VERDICT, folder
from pushforward.release.provenance import Statement
from pushforward.release.rebuild import DifferentError, FailedError
from pushforward.settings import Settings

TOOLS = ("git", "ssh-keygen")
FILES = {VERDICT, PROVENANCE, SIGNATURE, GOLDEN, CARD}
RECORD: dict[str, type | tuple[type, ...]] = {
    "schema": int,
    "model": str,
    "manifest": str,
    "data": str,
    "lock": str,
    "params": str,
    "environment": str,
    "verdict": str,
    "ledger": (str, type(None)),
    "commit": str,
    "previous": (str, type(None)),
    "number": int,
    "provenance": str,
    "golden": str,
    "card": str,
    "pushforward": str,
}


@dataclass(frozen=True)
class Hop:
    """One link from a version's tag to its bytes: what holds, or else where it breaks, what was expected and found.

    `ok` is None for a hop that was not taken.
    """

    name: str
    ok: bool | None
    said: str
    place: str = ""
    expected: str = ""
    found: str = ""
    tool: bool = False

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        told = {"name": self.name, "ok": self.ok, "said": self.said}
        broken = {"place": self.place, "expected": self.expected, "found": self.found}
        return told | ({} if self.ok else broken)


@dataclass(frozen=True)
class Outcome:
    """What came of all hops of a version; no version and no hops where an environment holds none yet."""

    version: str
    hops: tuple[Hop, ...]

    @property
    def exit_code(self) -> int:
        """0 where every hop holds, 5 where one is broken, 6 where one could not be taken for want of a tool."""
        broken = [hop for hop in self.hops if hop.ok is False]
        if not broken:
            return 0
        return TOOL if all(hop.tool for hop in broken) else POLICY

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        return {"version": self.version, "ok": self.exit_code == 0, "hops": [hop.record() for hop in self.hops]}


def verify(
    root: Path,
    version: str = "",
    *,
    in_use: str = "",
    quick: bool,
    say: Callable[[Hop], None],
    progress: Callable[[str], None],
) -> Outcome:
    """Take every hop of `version`, or of what is `in_use` in an environment; `say` gets each one as it is taken.

    Asks the server, or the remote of a clone, for tags and records; nothing that the clone has of them counts. With
    `quick` the version is not made again. Raises `PushforwardError` where there is no such version, or no git.
    """
    _check_tools()
    with authority.of(root) as source, tempfile.TemporaryDirectory(prefix="pushforward-") as scratch:
        name = _name(source.repository, version, in_use)
        if not name:
            return Outcome("", ())
        case = _Case(root, source, name, Path(scratch), progress)
        hops: list[Hop] = []
        steps = dict(case.steps())
        if in_use:
            steps = {"use": lambda: case.use(in_use)} | steps
        for step, take in steps.items():
            hop = _taken(step, take)
            before = next((one.name for one in hops if one.ok is False and one.said == hop.said), "")
            # what stops two hops is told once, where it was met first
            hops.append(Hop(step, None, f"not taken: {before} does not hold") if before else hop)
            say(hops[-1])
        if not quick:
            broken = [hop.name for hop in hops if not hop.ok]
            if broken:
                # code that nobody vouches for is not run
                hops.append(Hop("rebuild", None, f"not made again: {', '.join(broken)} does not hold"))
            else:
                hops.append(_taken("rebuild", case.rebuild))
            say(hops[-1])
    return Outcome(name, tuple(hops))


def _check_tools() -> None:
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise PushforwardError(f"{tool} is not installed", next="pushforward check", exit_code=TOOL)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise PushforwardError(
            f"ssh-keygen verifies nothing for the user {os.getuid()}, who has no name on this machine",
            next=f"useradd --uid {os.getuid()} NAME, or another user",
            exit_code=TOOL,
        ) from None


def line(hop: Hop) -> str:
    """A hop as people read it."""
    mark = {True: "✓", False: "✗", None: "·"}[hop.ok]
    return "\n             ".join([f"{mark} {hop.name:<11}{hop.said}", *_told(hop)])


def _told(hop: Hop) -> Iterator[str]:
    if hop.expected or hop.found:
        yield f"expected {hop.expected or 'nothing'}"
        yield f"found    {hop.found or 'nothing'}"


def _taken(name: str, take: Callable[[], str]) -> Hop:
    try:
        return Hop(name, True, take())
    except DifferentError as other:
        return Hop(name, False, other.message, other.place, other.expected, other.found)
    except FailedError as failed:
        return Hop(name, False, failed.message, tool=failed.exit_code == TOOL)
    except PushforwardError as wrong:
        # git gives up where an object is damaged: that is the chain, not the tool
        return Hop(name, False, " ".join(wrong.message.split()))


def _name(repository: Repository, version: str, in_use: str) -> str:
    """The tag of what was asked for; "" for an environment that holds nothing yet."""
    if registry.VERSION_TAG.fullmatch(version) and _tag_object(repository, version):
        return version  # even where the registry is so broken that it cannot be read
    rules = Revision(repository, repository.commit("HEAD")).settings
    model = rules.model.name
    known = registry.fold(model, repository.refs("refs/tags"))
    if not in_use:
        wanted = f"{model}@v{version.removeprefix('v')}"
        return wanted if _tag_object(repository, wanted) else known.named(version).name
    there = sorted({*known.environments, *rules.promote.environments})
    if in_use not in there:
        raise PushforwardError(f"no environment is called {in_use!r:.80}", next=f"one of: {', '.join(there)}")
    used = known.in_use(in_use)
    return used.name if used else ""


def _tag_object(repository: Repository, name: str) -> str:
    done = repository.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/tags/{name}", check=False)
    return done.text


class _Case:
    """One version and all that is known of it. A hop gives what holds, or raises `DifferentError` or `FailedError`."""

    def __init__(
        self, root: Path, source: Authority, name: str, scratch: Path, progress: Callable[[str], None]
    ) -> None:
        self.root, self.source, self.name, self.scratch, self.progress = root, source, name, scratch, progress
        self.repository = source.repository
        self.model = name.partition("@")[0]
        self.unanswered = ""  # why the DVC remote gave nothing; it is asked once

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Every hop that reads and runs nothing, in the order of the chain."""
        yield "tag", self.tag
        yield "target", self.target
        yield "registry", self.registry
        yield "verdict", self.verdict
        yield "ledger", self.ledger
        yield "provenance", self.provenance
        yield "model", self.model_files
        yield "objects", self.objects

    # What the hops share.

    @cached_property
    def _tag(self) -> str:
        identity = _tag_object(self.repository, self.name)
        done = self.repository.git("cat-file", "tag", identity, check=False)
        if done.returncode != 0:
            kind = self.repository.git("cat-file", "-t", identity, check=False).text
            if kind not in {"", "tag"}:
                raise DifferentError(f"it is lightweight: it names a {kind}, and carries no signature", self.name)
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[:1] or ["it is none"]
            raise DifferentError(f"refs/tags/{self.name} cannot be read as an annotated tag: {said[0]}", self.name)
        return identity

    @cached_property
    def _text(self) -> str:
        return self.repository.git("cat-file", "tag", self._tag).stdout.decode("utf-8", "replace")

    @cached_property
    def _record(self) -> dict[str, Any]:
        found = registry.record(self._text)
        kinds = {key: isinstance(found.get(key), kind) for key, kind in RECORD.items()}
        wrong = [key for key in RECORD if not kinds[key]] + [key for key in found if key not in RECORD]
        if wrong or found["schema"] != 2:
            raise DifferentError(f"the record in {self.name} has another form: {(wrong or ['schema'])[0]}", self.name)
        return found

    @cached_property
    def _target(self) -> str:
        return self.repository.commit(f"{self._tag}^{{commit}}")

    @cached_property
    def _signer(self) -> Signer:
        with self._signers() as signers:
            return trust.verify_tag(self.repository, self._tag, self.name, signers)

    @contextlib.contextmanager
    def _signers(self) -> Iterator[Path]:
        with trust.signers_file(self.root) as signers:
            yield signers

    @cached_property
    def _revision(self) -> Revision:
        return Revision(self.repository, self._target)

    @cached_property
    def _rules(self) -> Settings:
        return self._revision.settings

    def _file(self, name: str, version: str = "") -> bytes:
        """What the registry's chain keeps of a version under `name`."""
        path = f"{folder(version or self.name)}/{name}"
        content = self.repository.read(REGISTRY, path)
        if content is None:
            raise DifferentError("it is missing in the registry's chain", f"{REGISTRY}:{path}")
        return content

    @cached_property
    def _verdict(self) -> Verdict:
        return Verdict.from_json(self._file(VERDICT))

    @cached_property
    def _statement(self) -> Statement:
        return provenance.read(self._file(PROVENANCE))

    @cached_property
    def _outs(self) -> dict[str, str]:
        return objects.outs(self.repository, self._target)

    # The hops.

    def use(self, name: str) -> str:
        """The tag that put the version to use there."""
        known = registry.fold(self.model, self.repository.refs("refs/tags"))
        use = known.uses(name)[-1]
        rules = Revision(self.repository, self.repository.commit("HEAD")).settings
        with self._signers() as signers:
            signer = trust.verify_tag(self.repository, use.tag, use.name, signers)
        if not signer.allows(name, auto=rules.promote.environments.get(name) == "auto"):
            raise DifferentError(f"{use.name} is signed by {signer.principal}, who may not sign {name}", use.name)
        told = registry.record(self.repository.git("cat-file", "tag", use.tag).text).get("version", self.name)
        _same(f"{use.name}: its record and what it names", use.name, str(told), self.name)
        counts = tagging.counting(self.root, known, rules.promote.environments, repository=self.repository)
        if f"{self.name}!" in {one.name for one in counts.deprecations}:
            raise DifferentError(f"{name} holds {self.name}, which is deprecated", f"{self.name}!")
        return f"{use.name}, signed by {signer.principal}"

    def tag(self) -> str:
        """Annotated, its own name inside, signed by who may make versions, and the same here and there."""
        if not registry.VERSION_TAG.fullmatch(self.name):
            raise DifferentError(f"{self.name} is not of the form {registry.GRAMMAR}", self.name)
        if not self._signer.allows("version"):
            raise DifferentError(
                f"{self.name} is signed by {self._signer.principal}, who may not make versions", self.name
            )
        here = _tag_object(Repository(self.root), self.name)
        if here:
            _same("the tag of this clone is another", f"refs/tags/{self.name}", self._tag, here)
        _same("the record's model", self.name, "2", str(self._record["schema"]))
        deprecated = "; deprecated" if _tag_object(self.repository, f"{self.name}!") else ""
        return f"{self.name}, signed by {self._signer.principal} with {self._signer.fingerprint[:19]}…{deprecated}"

    def target(self) -> str:
        """What was judged, from the default branch; dvc.lock and metrics may be those of the run."""
        commit, target, record = self._record["commit"], self._target, self._record
        if self.repository.resolve(commit) != commit:
            raise DifferentError(f"{self.name} records the commit {commit[:12]}, which is nowhere", self.name)
        main = self.repository.commit("HEAD")
        if self.repository.git("merge-base", "--is-ancestor", commit, main, check=False).returncode != 0:
            raise DifferentError(f"{commit[:9]} is not on the default branch", commit, "a commit on the default branch")
        what = "the commit itself"
        if target != commit:
            parents = self.repository.git("rev-parse", f"{target}^@").text
            _same(f"the parent of the lock commit {target[:9]}", target, commit, parents.replace("\n", " "))
            changed = self.repository.changed(commit, target)
            strange = [path for path in changed if path != LOCK and not path.startswith(f"{METRICS}/")]
            if strange:
                raise DifferentError(
                    f"the lock commit {target[:9]} changes more than {LOCK} and {METRICS}/", strange[0], commit, target
                )
            what = f"a lock commit {target[:9]} of {commit[:9]}"
        told = {"lock": LOCK, "params": settings.FILE}
        for key, path in told.items():
            at = f"{target[:9]}:{path}"
            _same(at, at, record[key], sha256(self.repository.read(target, path) or b""))
        locks = ", ".join(self._rules.model.requirements)
        _same("the environment's locks", locks, record["environment"], self._revision.environment)
        return f"{what}, on {_branch(self.repository)}; {LOCK}, params and locks are as recorded"

    def registry(self) -> str:
        """The chain of versions: one folder a commit, one parent, this version at the place that it says."""
        chain = list(self._chain())
        names = [name for name, _ in chain]
        if self.name not in names:
            raise DifferentError("the chain has no such version", f"{REGISTRY}:{folder(self.name)}", self.name)
        mine = [name for name in names if name.startswith(f"{self.model}@")]
        place = mine.index(self.name)
        _same(f"the place of {self.name} in the chain", REGISTRY, str(self._record["number"]), str(place + 1))
        before = mine[place - 1] if place else None
        _same(f"the version before {self.name}", REGISTRY, str(self._record["previous"]), str(before))
        for key, name in {"golden": GOLDEN, "card": CARD}.items():
            where = f"{REGISTRY}:{folder(self.name)}/{name}"
            _same(f"the SHA-256 of {name}", where, self._record[key], sha256(self._file(name)))
        return f"version {place + 1} of {len(mine)}, after {before or 'none'}"

    def _chain(self) -> Iterator[tuple[str, str]]:
        """(version, commit) from the first; an error where a commit is not what a promotion appends."""
        form = ("-z", "--reverse", "--topo-order", "--root", "--no-renames", "--name-status", "--format=%x01%H %P")
        done = self.repository.git("log", *form, REGISTRY, "--", check=False)
        if done.returncode != 0:
            raise DifferentError("the registry's chain cannot be read", REGISTRY)
        last, seen = "", set[str]()
        for entry in done.stdout.decode("utf-8", "replace").split("\x01")[1:]:
            head, _, rest = entry.partition("\0")
            commit, _, parents = head.strip().partition(" ")
            _same(f"the parent of {commit[:9]}", REGISTRY, last, parents)
            words = [word.strip("\n") for word in rest.split("\0") if word.strip("\n")]
            changes = dict(zip(words[1::2], words[::2], strict=True))
            places = {path.rpartition("/")[0] for path in changes}
            name = next(iter(places)).removeprefix("versions/") if len(places) == 1 else ""
            whole = set(changes) == {f"{folder(name)}/{file}" for file in FILES} and set(changes.values()) == {"A"}
            if not whole or not registry.VERSION_TAG.fullmatch(name) or name in seen:
                raise DifferentError(
                    f"{commit[:9]} does more than add one version", f"{REGISTRY}:{min(changes, default='')}"
                )
            yield name, commit
            seen.add(name)
            last = commit

    def verdict(self) -> str:
        """It says promote, of this very commit, with the digests of the tag."""
        content, record = self._file(VERDICT), self._record
        place = f"{REGISTRY}:{folder(self.name)}/{VERDICT}"
        _same(f"the SHA-256 of {VERDICT}", place, record["verdict"], sha256(content))
        verdict = self._verdict
        _same("what the verdict says", place, "promote", verdict.verdict)
        _same("the event it is on", place, "push", verdict.event)
        _same("the commit it is on", place, record["commit"], verdict.commit)
        for key in ("model", "manifest", "data", "params", "environment"):
            _same(f"the digest of {key}", place, record[key], str(getattr(verdict.digests, key)))
        ref = f"{VERDICTS}{record['commit']}"
        recorded = self.repository.read(ref, VERDICT)
        if recorded is None:
            raise DifferentError("the gate has recorded no verdict on it", ref, sha256(content))
        _same("the verdict that the gate has recorded", ref, sha256(content), sha256(recorded))
        return f"promote, {verdict.mode}: {textwrap.shorten(verdict.reason, 80, placeholder=' …')}"

    def ledger(self) -> str:
        """The look that the verdict rests on is in the holdout's chain, with that verdict."""
        verdict, told = self._verdict, self._record["ledger"]
        _same("the entry that the verdict names", self.name, told or "", verdict.ledger)
        if told is None or verdict.look is None or verdict.holdout is None:
            if verdict.champion is not None and verdict.look is None and verdict.mode != "first":
                raise DifferentError("a verdict against a champion rests on no look", self.name, "a look", "none")
            return "no look was needed"
        name = ledger.name(verdict.holdout.months)
        ref = HOLDOUTS + name
        state = ledger.Ledger(self.repository).state(name)
        behind = self.repository.git("merge-base", "--is-ancestor", told, ref, check=False).returncode == 0
        if not behind:
            raise DifferentError("the entry is not in the holdout's ledger", ref, told)
        number = verdict.look.number
        if number > len(state.looks):
            raise DifferentError(
                f"look {number} is not in the holdout's ledger", ref, str(number), str(len(state.looks))
            )
        look = state.looks[number - 1]
        _same(f"the verdict of look {number}", ref, "promote", look.verdict)
        _same(f"the level of look {number}", ref, repr(verdict.look.alpha), repr(look.alpha))
        _same(f"what look {number} is one of", ref, str(verdict.look.of), str(look.of))
        if not verdict.look.replayed:
            _same(f"the commit of look {number}", ref, self._record["commit"], look.commit)
        closed = f", {state.retired}" if state.retired else ""
        return f"look {number} of {look.of} at {name}{closed}"

    def provenance(self) -> str:
        """Signed, and every field that repeats something says the same."""
        content, record = self._file(PROVENANCE), self._record
        place = f"{REGISTRY}:{folder(self.name)}/{PROVENANCE}"
        _same(f"the SHA-256 of {PROVENANCE}", place, record["provenance"], sha256(content))
        tagger = trust.TAGGER.search(self._text)
        if tagger is None:
            raise DifferentError("the tagger cannot be read", self.name)
        with self._signers() as signers:
            trust.verify_file(
                content, self._file(SIGNATURE), tagger["email"], signers, name=PROVENANCE, at=int(tagger["when"])
            )
        found, rules, target = self._statement, self._rules, self._target
        before = sha256(self._file(PROVENANCE, record["previous"])) if record["previous"] else ""
        expected: dict[str, Any] = {
            "model": self.model,
            "number": record["number"],
            "commit": record["commit"],
            "tree": self.repository.git("rev-parse", f"{record['commit']}^{{tree}}").text,
            "params": record["params"],
            "judge": self._verdict.base,
            "lock": record["lock"],
            "lock_commit": target,
            "verdict": record["verdict"],
            "ledger": record["ledger"] or "",
            "previous": before,
        }
        if found.scoring:  # a version made before it was written down has the commit alone
            expected["scoring"] = identity.scoring(self.repository, target)
        for key, value in expected.items():
            _same(f"its {key}", place, str(value), str(getattr(found, key)))
        locks = {path: sha256(self.repository.read(target, path) or b"") for path in rules.model.requirements}
        _same_files("its lock", place, locks, found.locks)
        _same("its subjects' model", place, record["model"], provenance.model_digest(found.subjects, rules.model.path))
        _same("its manifest", place, record["manifest"], found.subjects.get(f"{rules.model.path}/{MANIFEST}", ""))
        below = {path: one.sha256 for path, one in found.data.items() if path in found.subjects}
        _same_files("its subject", place, below, found.subjects)
        return f"signed; {len(found.subjects)} subjects, {len(found.data)} data files"

    def model_files(self) -> str:
        """The model's files in the DVC remote are those of the tag."""
        path, record = self._rules.model.path, self._record
        oid = self._outs.get(path, "")
        if not oid.endswith(LISTING):
            raise DifferentError(f"{LOCK} names no folder {path}", f"{self._target[:9]}:{LOCK}", path)
        listed = objects.members(oid, self._bytes(oid, f"{path}/"))
        contents = {f"{path}/{name}": self._bytes(one, f"{path}/{name}") for name, one in listed.items()}
        found = {name: sha256(content) for name, content in contents.items() if name != f"{path}/.gitignore"}
        place = self._where(self._remote, oid)
        _same(f"{path}/{MANIFEST}", place, record["manifest"], found.get(f"{path}/{MANIFEST}", ""))
        told = {name: digest for name, digest in self._statement.subjects.items() if name != f"{path}/{MANIFEST}"}
        rest = {name: digest for name, digest in found.items() if name != f"{path}/{MANIFEST}"}
        _same_files("the model's file", place, told, rest)
        _same("the model", place, record["model"], provenance.model_digest(found, path))
        manifest = json.loads(contents[f"{path}/{MANIFEST}"])
        data = json.dumps(manifest.get("data"), sort_keys=True, separators=(",", ":"))
        _same("the data that the manifest names", place, record["data"], sha256(data.encode()))
        return f"{', '.join(sorted(rest))[:60]} and {MANIFEST} have the tag's SHA-256"

    def objects(self) -> str:
        """All that DVC keeps for the version, in the remote and, where it is there, in the caches."""
        data, kept = self._statement.data, self._outs
        for path, oid in kept.items():
            named = f"{path}/" if oid.endswith(LISTING) else path
            told = data[named].md5 if named in data else ""
            _same(f"what {LOCK} and the provenance call {path}", path, oid.removesuffix(LISTING), told)
        count = copies = 0
        for path, content in data.items():
            if not any(f"{path}/".startswith(f"{out}/") for out in kept):
                committed = self.repository.read(self._target, path)
                _same(path, f"{self._target[:9]}:{path}", content.sha256, sha256(committed or b""))
                continue
            oid = content.md5 + (LISTING if path.endswith("/") else "")
            _same(path, self._where(self._remote, oid), content.sha256, self._digest(self._remote, oid, path))
            count += 1
            for cache in self._caches:
                with contextlib.suppress(PermissionError):  # another user's cache is not ours to check
                    if cache.file(oid).is_file():
                        _same(path, self._where(cache, oid), content.sha256, self._digest(cache, oid, path))
                        copies += 1
        return f"{count} objects in {self._remote_name}, {copies} copies in caches"

    def rebuild(self) -> str:
        """The same bytes again, from raw data."""
        return rebuild.rebuild(
            self.repository,
            self._target,
            self._statement.data,
            self._file(GOLDEN),
            url=self._places.url,
            like=self.root,
            server=self.source.server,
            folder=self.scratch / "rebuild",
            progress=self.progress,
        )

    # Where the objects are.

    @cached_property
    def _places(self) -> Places:
        """Of a clone its own cache and remote, of a server the server's."""
        server = self.source.server
        if (self.root / ".dvc").is_dir():
            there = objects.places(self.root)
            if there.remote is None or server is None or not server.store:
                return there
            return replace(there, url=server.store, remote=Store(Path(server.store)))  # wherever this clone lies
        if server is None:
            raise FailedError(f"{self.root} is neither a clone nor a server, so its DVC remote is not known")
        store = Store(Path(server.store)) if server.store else None
        return Places(Store(server.folder / "cache"), server.store, store)

    @cached_property
    def _caches(self) -> list[Store]:
        server = self.source.server
        stores = [self._places.cache, *([Store(server.folder / "cache")] if server else [])]
        return [Store(path) for path in dict.fromkeys(store.path for store in stores)]

    @property
    def _remote_name(self) -> str:
        return self._places.url or "the DVC remote"

    @cached_property
    def _remote(self) -> Store:
        """The DVC remote; what is in one that is no folder of this machine is fetched through DVC, all of it once."""
        if self._places.remote is not None:
            if not os.access(self._places.remote.path, os.R_OK | os.X_OK):
                place = self._places.remote.path
                raise FailedError(f"the DVC remote {place} is not there, or not for you to read", exit_code=TOOL)
            return self._places.remote
        if self.unanswered:
            raise FailedError(self.unanswered, exit_code=TOOL)
        self.progress(f"fetching {len(self._outs)} outs from {self._remote_name}")
        cache = self.scratch / "fetched"
        folder, url = self.scratch / "fetch", self._places.url
        checkout = rebuild.checkout(self.repository, self._target, folder, cache=cache, url=url, like=self.root)
        try:
            pipeline.fetch(checkout, *self._outs, say=self.progress)
        except PushforwardError as failed:
            # DVC drops what it finds spoiled: what did not come is named by the hop that misses it
            if not any(Store(cache).objects()):
                self.unanswered = failed.message
                raise FailedError(failed.message, exit_code=TOOL) from failed
        return Store(cache)

    def _bytes(self, oid: str, path: str) -> bytes:
        with self._open(self._remote, oid, path) as handle:
            return handle.read()

    def _digest(self, store: Store, oid: str, path: str) -> str:
        with self._open(store, oid, path) as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    def _open(self, store: Store, oid: str, path: str) -> BufferedReader:
        try:
            return store.file(oid).open("rb")
        except FileNotFoundError:
            place = self._where(store, oid)
            raise DifferentError(f"{path} is missing in the DVC remote ({place})", place, oid) from None
        except OSError as refused:
            raise FailedError(f"{store.file(oid)} cannot be read: {refused.strerror}", exit_code=TOOL) from None

    def _where(self, store: Store, oid: str) -> str:
        fetched = self._places.remote is None and store is self._remote
        return f"{self._remote_name}: {oid}" if fetched else str(store.file(oid))


def _branch(repository: Repository) -> str:
    return repository.git("symbolic-ref", "--short", "HEAD", check=False).text or "the default branch"


def _same(what: str, place: str, expected: str, found: str) -> None:
    if expected != found:
        raise DifferentError(what if place in what else f"{what} ({place})", place, expected, found)


def _same_files(what: str, place: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for path in _both(expected, found):
        _same(f"{what} {path}", place, expected.get(path, ""), found.get(path, ""))


def _both(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return sorted({*one, *other})
