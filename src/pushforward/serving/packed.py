"""Packed: a version in the folder that `pushforward bundle` wrote: verified from its sums, loaded, asked; then served.

`serve` calls it. What is checked is a copy of the folder, and the copy is loaded. It goes through git as a clone would:
the tag names a commit, the commit a tree, and that tree has to be the files in `code/`.
"""

import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pushforward import files
from pushforward.errors import DATA, TOOL, USAGE, PushforwardError
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.pipeline import environment
from pushforward.pipeline.revision import sha256
from pushforward.registry.grammar import VERSION_TAG
from pushforward.release import bundle, chain, deployment, entry
from pushforward.release.bundle import Golden
from pushforward.release.chain import Evidence
from pushforward.release.hop import same, same_files
from pushforward.release.stored import check_model
from pushforward.serving import candidate
from pushforward.serving.candidate import Prepared
from pushforward.serving.line import FaultError
from pushforward.serving.live import Live, Running, opened

SUM = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<path>\S.*)")
AGAIN = "pushforward bundle VERSION --out DIR, where its repository is"
UNASKED = "it loads; the bundle has no golden rows that its predictions could be held against"
UNSIGNED = "no --signers FILE was given: only sums were checked, and who made the bundle could have made them"


@dataclass(frozen=True)
class Packed:
    """A version as it can be started, and what was found out about who made it."""

    prepared: Prepared
    said: str


def prepare(given: Path, signers: Path | None, folder: Path) -> Packed:
    """The version in the bundle `given`, verified and asked; what is loaded of it lies in `folder`.

    Nothing of it is run before every file has its sum and is what the tag names, and the tag, where `signers` are
    given, was signed by one of them who may make versions.
    """
    held = folder / "bundle"
    _copy(given, held)
    of = _evidence(held, folder / "git", signers)
    said = UNSIGNED
    if signers is not None:
        bundle.demand("tag", partial(chain.tag, of))
        said = f"{of.name} is signed by {of.signer.principal}"
    bundle.demand("entry", partial(_entered, of))
    if of.statement.judged or not of.rules.score:
        raise PushforwardError(f"{of.name} cannot be served: the judge asks it nothing (no `score`)", exit_code=USAGE)
    checkout, contract = held / deployment.CODE, of.rules.contract
    _place_model(of, held, checkout)
    model = of.rules.model_path
    bundle.demand("model", lambda: check_model(of, *bundle.digests(checkout, model), "the bundle"))
    python = environment.interpreter(of.repository, of.target, contract.environment, folder=environment.cache())
    rows = held / deployment.GOLDEN_ROWS
    golden = _golden(of) if rows.is_dir() else None
    made = candidate.startable(of, checkout, python, candidate.suffix(rows, deployment.GOLDEN_ROWS) if golden else "")
    return Packed(candidate.ask(made, of.rules.serve, rows, golden, UNASKED, same=False), said)


def _place_model(of: Evidence, held: Path, checkout: Path) -> None:
    """Put the model's files, and nothing else, where the version's code looks for them."""
    for name in of.statement.subjects:
        source = files.place(held / bundle.MODEL, name.removeprefix(bundle.above(of)))
        if not source.is_file():
            continue  # the hop that compares them says which one is missing
        target = files.place(checkout, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _golden(of: Evidence) -> Golden:
    return entry.golden(of.recorded(entry.GOLDEN), of.rules.contract.key, len(of.rules.contract.classes))


def _copy(given: Path, held: Path) -> None:
    """Copy what SHA256SUMS lists, and nothing else; refused where a file of it is another one."""
    told = files.read(given, bundle.SUMS)
    if told is None:
        raise PushforwardError(f"{given} has no {bundle.SUMS}: it is no bundle", next=AGAIN, exit_code=USAGE)
    for line in told.decode("utf-8", "replace").splitlines():
        found = SUM.fullmatch(line)
        if found is None:
            raise _spoilt(f"{bundle.SUMS} has a line that is no sum: {line[:60]!r}")
        source, target = files.place(given, found["path"]), files.place(held, found["path"])
        if not source.is_file():
            raise _spoilt(f"{found['path']} is missing in the bundle")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        if bundle.digest(target) != found["sum"]:
            raise _spoilt(f"{found['path']} is not the file that {bundle.SUMS} lists")


def _evidence(held: Path, folder: Path, signers: Path | None) -> Evidence:
    """The version in a repository in `folder`: its tag, its commit, its tree and its entry, all out of the bundle."""
    tag, commit = (files.read(held, name) or b"" for name in (deployment.TAG, deployment.COMMIT))
    if not commit:
        raise PushforwardError("the bundle has no code/, which it would be loaded with", next=AGAIN, exit_code=USAGE)
    name = _named(tag, "tag")
    if VERSION_TAG.fullmatch(name) is None:
        raise _spoilt(f"{deployment.TAG} is the tag of no version")
    folder.mkdir()
    repository = Repository(folder)
    repository.git("init", "-q", "--bare")
    tree = _tree(repository, held / deployment.CODE)
    if _named(commit, "tree") != tree:
        raise _spoilt(f"the files in {deployment.CODE}/ are not the tree of {deployment.COMMIT}")
    stored = _object(repository, "commit", commit)
    if _named(tag, "object") != stored:
        raise _spoilt(f"{deployment.COMMIT} is not the commit that {deployment.TAG} names")
    repository.set_ref(f"refs/tags/{name}", _object(repository, "tag", tag))
    own = {file: files.read(held, "model-card.md" if file == entry.CARD else file) for file in entry.FILES}
    kept = {f"{entry.folder(name)}/{file}": content for file, content in own.items() if content is not None}
    entered = repository.write_tree(EMPTY_TREE, kept, index=folder / "entry.index")
    at = repository.write_commit(entered, [], name, date="0 +0000")
    return Evidence(repository, name, lambda: contextlib.nullcontext(signers or held), at=at)


def _named(content: bytes, what: str) -> str:
    """What the head of a tag or a commit says under `what`; "" where it says nothing."""
    head = content.partition(b"\n\n")[0].decode("utf-8", "replace").splitlines()
    return next((line.removeprefix(f"{what} ") for line in head if line.startswith(f"{what} ")), "")


def _object(repository: Repository, kind: str, content: bytes) -> str:
    done = repository.git("hash-object", "-w", "-t", kind, "--stdin", stdin=content, check=False)
    if done.returncode != 0:
        raise _spoilt(f"{kind}.txt is no {kind}")
    return done.text


def _tree(repository: Repository, code: Path) -> str:
    """The tree that the files in `code` make; its object name."""
    paths = sorted(path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file())
    given = "".join(f"{(code / path).absolute()}\n" for path in paths).encode()
    blobs = repository.git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=given).text.split()
    lines = []
    for path, blob in zip(paths, blobs, strict=True):
        mode = deployment.EXECUTABLE if (code / path).stat().st_mode & 0o100 else deployment.PLAIN[0]
        lines.append(f"{mode} {blob}\t{path}\0".encode())
    repository.git("update-index", "-z", "--add", "--index-info", stdin=b"".join(lines))
    return repository.git("write-tree").text


def _entered(of: Evidence) -> str:
    """What the tag names by SHA-256 is in the bundle, the locks among it."""
    for name in entry.RECORDED.values():
        of.recorded(name)
    rules = of.rules.model.environment
    locks = environment.digest(of.repository, of.target, rules)
    same("the environment's locks", ", ".join(rules), of.record.environment, locks)
    told = {path: sha256(of.repository.read(of.target, path) or b"") for path in rules}
    same_files("its lock", entry.PROVENANCE, told, of.statement.locks)
    return "what the tag names is in the bundle"


def _spoilt(why: str) -> PushforwardError:
    return PushforwardError(why, next=AGAIN, exit_code=DATA)


@contextlib.asynccontextmanager
async def answering(
    packed: Packed, live: Live, say: Callable[[str], None], *, features: bool
) -> AsyncIterator[Running]:
    """Have the version answer inside of the block."""
    made = packed.prepared
    try:
        running = await opened(made, made.rules.serve, live, say, features=features)
    except FaultError as failed:
        raise PushforwardError(f"{made.version} cannot be served: {failed}", exit_code=TOOL) from None
    live.put("main", running)
    try:
        yield running
    finally:
        await live.close()
        await running.channel.stop()
