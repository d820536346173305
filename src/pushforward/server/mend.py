"""What can be mended in a server without a choice: nothing is deleted, what is damaged is kept aside, each is told."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pushforward import durable
from pushforward.errors import TOOL, PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.git import whereabouts
from pushforward.git.refs import NOTES, TRUST, VERDICTS
from pushforward.git.repository import Repository
from pushforward.git.server import Server, readable
from pushforward.pipeline.store import Store
from pushforward.registry import signers, ssh
from pushforward.report import markdown as report
from pushforward.report import notes
from pushforward.server import init, record, recover, runs, soundness
from pushforward.server import post_receive as receive

ASIDE, INIT = "aside", "pushforward init"


def server(bare: Path, clone: Path | None) -> Iterator[str]:
    """Mend the server in `bare`, with copies from the clone at hand where it has some; one line for each thing."""
    made = Server.load(bare).settle()  # a copy beside its original is refused
    whereabouts.refuse_headless(bare)
    readable(made.repository)
    for what in (_left_behind, _modes, _installed, _refs, _signers):
        yield from what(made)
    yield from _git_objects(made, clone)
    yield from _store(made, clone)


def _aside(made: Server, path: Path) -> Path:
    """Move what is damaged out of the way, and keep it."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    bare, place = Path(made.bare), made.folder / ASIDE / when
    name = path.relative_to(bare) if path.is_relative_to(bare) else Path(path.parent.name, path.name)
    target = place / name
    for number in range(1, 1000):
        if not target.exists():
            break
        target = place / name.with_name(f"{name.name}.{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    return target


def _left_behind(made: Server) -> Iterator[str]:
    """What the dead have left; a dispatcher at work clears that up by itself."""
    with durable.attempted(made.folder / receive.LOCK) as mine:
        if mine:
            yield from recover.server(made)


def _modes(made: Server) -> Iterator[str]:
    key = signers.private_key(Path(made.bare))
    for path, closed in (
        (key.parent, 0o077),
        (key, 0o077),
        (made.folder / "token", 0o077),
        (made.folder / ssh.FILE, 0o022),
        (made.folder, 0o002),
    ):
        if path.exists() and (mode := path.stat().st_mode & 0o7777) & closed:
            path.chmod(mode & ~closed)
            yield f"{path} had mode {mode:03o}, and has {mode & ~closed:03o}"


def _installed(made: Server) -> Iterator[str]:
    """Settings, hooks and copy of the tool, as init makes them."""
    if runs.running(made):
        yield "hooks and copy of the tool stay as they are: a run is at work with them"
        return
    yield from init.renew(made)
    head = made.repository.resolve("HEAD")
    if head and not made.known():
        record.know(made, head)
        if made.known():
            yield f"{made.folder / 'registry.json'} says what {made.default_branch} says"


# Refs.


def _refs(made: Server) -> Iterator[str]:
    with durable.locked(made.folder / notes.LOCK):
        again = False
        yield from _packed(made)
        for damage in soundness.damaged(made.repository):
            if damage.newest or damage.ref == NOTES:
                yield _ref(made, damage)
                again = again or (damage.ref == NOTES and not damage.newest)
    if again:
        yield from _reports(made)


def _packed(made: Server) -> Iterator[str]:
    """Take what is no ref out of the file of refs; a ref that was there is put back by its history."""
    path = Path(made.bare) / soundness.PACKED_REFS
    lines = soundness.packed(path.parent).splitlines(keepends=True)
    whole = [line for line in lines if soundness.is_packed(line.rstrip("\n"))]
    if len(whole) < len(lines):
        kept = _aside(made, path)
        durable.write(path, "".join(whole))
        yield f"{path} is without {len(lines) - len(whole)} lines that name no ref; what was there is kept in {kept}"


def _ref(made: Server, damage: soundness.Damage) -> str:
    """Put a ref back to what it was at last; a ref of reports without a history is begun anew."""
    path, kept = Path(made.bare) / damage.ref, ""
    if path.is_file() or path.is_symlink():
        kept = f"; what was there is kept in {_aside(made, path)}"
    if damage.good:
        made.repository.set_ref(damage.ref, damage.good)
        return f"{damage.ref} is at {damage.good[:9]} again, as its history says{kept}"
    if (packed := made.repository.git("rev-parse", "-q", "--verify", damage.ref, check=False).text) and not kept:
        made.repository.git("update-ref", "-d", damage.ref)
        kept = f"; it was {packed}"
    return f"{damage.ref} is begun anew{kept}"


def _reports(made: Server) -> Iterator[str]:
    """The reports of the verdicts that have lost theirs."""
    repository, lock = made.repository, made.folder / notes.LOCK
    known, count = set(notes.annotated(repository)), 0
    for ref in repository.refs(VERDICTS):
        commit = ref.name.removeprefix(VERDICTS)
        content = repository.read(ref.object, "verdict.json")
        if commit in known or content is None or repository.resolve(commit) is None:
            continue
        found = verdicts.Verdict.from_json(content)
        branch = found.ref.removeprefix("refs/heads/")
        context = report.Context(branch=branch, target=made.default_branch)
        notes.put(repository, commit, found.event, record.note(found, context), lock=lock)
        count += 1
    if count:
        yield f"{NOTES}: {count} reports are made again from their verdicts"


def _signers(made: Server) -> Iterator[str]:
    """The ref of the allowed signers, as the server's own file says."""
    bare, file = Path(made.bare), made.folder / ssh.FILE
    if not file.is_file() or made.repository.read(TRUST, ssh.FILE) == file.read_bytes():
        return
    with contextlib.suppress(PushforwardError):  # what cannot be read, or names nobody, is not published
        if not ssh.read(file.read_text(encoding="utf-8", errors="replace")):
            return
        signers.publish(bare, "Publish the allowed signers")
        yield f"{TRUST} says what {file} says"


def _git_objects(made: Server, clone: Path | None) -> Iterator[str]:
    """Spoiled or missing objects of git, from the clone at hand."""
    if clone is None:
        return
    here, there = Repository(clone), made.repository
    spoiled, _ = soundness.corrupt(there)
    for oid, found in zip(spoiled, here.objects(spoiled), strict=True):
        if found is None:
            continue
        kind, content = found
        loose, kept = Path(made.bare) / "objects" / oid[:2] / oid[2:], ""
        if loose.is_file():
            kept = f"; what was there is kept in {_aside(made, loose)}"
        there.git("hash-object", "-w", "-t", kind, "--stdin", stdin=content)
        yield f"{kind} {oid[:9]} is written again from {clone}{kept}"


# The store.


def _store(made: Server, clone: Path | None) -> Iterator[str]:
    """What versions need and the store has lost, from wherever a copy of it has the right digests."""
    store = Store(Path(made.store)) if made.store else None
    if store is None or not store.path.is_dir():
        return
    bare = Path(made.bare)
    if whereabouts.named(bare) not in whereabouts.claims(store.path):
        whereabouts.claim(store.path, bare)
        yield f"{store.path} knows that this server keeps its objects there"
    wanted = soundness.parts(made.repository)
    for part in soundness.lost(wanted, store, soundness.others(made, clone), whole=True):
        if part.copy is not None:
            yield _copied(made, store, part, part.copy)


def _copied(made: Server, store: Store, part: soundness.Lost, source: Path) -> str:
    target, kept = store.slot(part.oid), ""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() or target.is_symlink():
        kept = f"; what was there is kept in {_aside(made, target)}"
    fresh = target.with_name(f"{target.name}{durable.UNFINISHED}")
    try:
        shutil.copyfile(source, fresh)
        fresh.chmod(0o444)
        with fresh.open("rb") as handle:
            os.fsync(handle.fileno())
        fresh.replace(target)
    except OSError as failed:
        raise PushforwardError(
            f"{target} cannot be written: {failed.strerror}", next=f"ls -ld {target.parent}", exit_code=TOOL
        ) from failed
    durable.sync(target.parent)
    return f"{part.path} of {part.version} was {part.why} in {store.path}, and is copied from {source}{kept}"
