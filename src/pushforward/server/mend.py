"""What can be mended in a server without a choice: nothing is deleted, what is damaged is kept aside, each is told."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pushforward import durable
from pushforward.errors import TOOL, PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.git import whereabouts
from pushforward.git.refs import NOTES, PULLS, TRUST, VERDICTS
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.server import FOLDER, Server, misplaced, readable
from pushforward.judge import recorded, records
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.store import Store
from pushforward.registry import signers, ssh
from pushforward.report import note, notes
from pushforward.server import init, record, recover, runs, soundness, vouched
from pushforward.server import post_receive as receive
from pushforward.server.finding import CANNOT

ASIDE, INIT = "aside", "pushforward init"
Move = Callable[[Path, Path], object]
ROUNDS = 20  # what is mended lets git see what else is to be


def server(bare: Path, clone: Path | None) -> Iterator[str]:
    """Mend the server in `bare`, with copies from the clone at hand where it has some; one line for each thing.

    It goes on until nothing changes any more; what stops one part of it stops none of the others.
    """
    yield from _misplaced(bare)
    made = Server.load(bare).settle()  # a copy beside its original is refused
    whereabouts.refuse_headless(bare)
    yield from _folders(made)
    readable(made.repository)
    told, once = set[str](), {"write settings and hooks": lambda: _installed(made)}
    for _ in range(ROUNDS):
        known, failed = len(told), list[str]()
        for line in _everything(made, clone, failed, once):
            if line not in told:
                told.add(line)
                yield line
        if len(told) == known:
            break
    yield from failed


def _everything(
    made: Server, clone: Path | None, failed: list[str], once: dict[str, Callable[[], Iterator[str]]]
) -> Iterator[str]:
    """Each part once; `failed` gets a line for each that an error has ended. What has ended of `once` is taken out."""
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "clear up what the dead have left": lambda: _left_behind(made),
        "close what is to be closed": lambda: _modes(made),
        **once,
        "read who may do what": lambda: _known(made),
        "take out of packed-refs what is none": lambda: _packed(made),
        "write git's objects again": lambda: _git_objects(made, clone),
        "put the refs back": lambda: _refs(made),
        "publish who may sign": lambda: _signers(made),
        "make what was recorded again": lambda: _recorded(made),
        "look through the store": lambda: _store(made, clone),
    }
    for what, part in parts.items():
        try:
            yield from part()
            once.pop(what, None)
        except PushforwardError as wrong:
            then = f"\n  next: {wrong.next}" if wrong.next else ""
            failed.append(f"{CANNOT}{what}: {' '.join(wrong.message.split())}{then}")


def _misplaced(bare: Path) -> Iterator[str]:
    """What stands in the place of a file or folder of the server's, and is none: init, or the next run, makes that."""
    while wrong := misplaced(bare):  # what is in a folder is seen when that is one
        path, kind = wrong[0]
        if path == bare / FOLDER:
            target = next(
                place
                for place in (bare / f"{FOLDER}.aside.{number}" for number in range(1, 1000))
                if not place.exists()
            )
            path.rename(target)
        else:
            target = _kept(bare, path)
        yield f"{path} was no {kind}; what was there is kept in {target}"


def _folders(made: Server) -> Iterator[str]:
    """The folders without which git takes the server for no repository; what was in them is looked for afterwards."""
    bare = Path(made.bare)
    for name in whereabouts.gutted(bare):
        path, kept, like = bare / name, "", bare.stat()
        if path.exists() or path.is_symlink():
            kept = f"; what was there is kept in {_aside(made, path)}"
        path.mkdir()
        path.chmod(like.st_mode & 0o7777)
        yield f"{path} is a folder again{kept}"


def _aside(made: Server, path: Path, *, move: Move = shutil.move) -> Path:
    """Move what is damaged out of the way, and keep it; or copy it, where nobody may find it gone."""
    return _kept(Path(made.bare), path, move)


def _kept(bare: Path, path: Path, move: Move = shutil.move) -> Path:
    place = bare / FOLDER / ASIDE / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = path.relative_to(bare) if path.is_relative_to(bare) else Path(path.parent.name, path.name)
    target = place / name
    for number in range(1, 1000):
        if not target.exists():
            break
        target = place / name.with_name(f"{name.name}.{number}")
    target.parent.mkdir(parents=True, exist_ok=True)
    move(path, target)
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


def _known(made: Server) -> Iterator[str]:
    """What the policy has of the default branch, which may be there again by now."""
    if runs.running(made):
        return
    head = made.repository.resolve("HEAD")
    if head and not made.known():
        record.know(made, head)
        if made.known():
            yield f"{made.folder / 'registry.json'} says what {made.default_branch} says"


# Refs.


def _refs(made: Server) -> Iterator[str]:
    with durable.locked(made.folder / notes.LOCK):
        again = False
        for damage in soundness.damaged(made.repository):
            if damage.newest or damage.ref == NOTES or (damage.ref == TRUST and _names_somebody(made)):
                yield _ref(made, damage)
                again = again or (damage.ref == NOTES and not damage.newest)
    if again:
        yield from _reports(made)


def _packed(made: Server) -> Iterator[str]:
    """Take what is no ref out of the file of refs; a ref that was there is put back by its history."""
    path = Path(made.bare) / soundness.PACKED_REFS
    lines = soundness.packed(path.parent).split("\n")
    if wrong := soundness.not_packed(lines):
        kept = _aside(made, path)
        whole = [f"{line}\n" for number, line in enumerate(lines[:-1], 1) if number not in wrong]
        durable.write(path, "".join(whole), mode=kept.stat().st_mode & 0o777)
        lost = "1 line that names" if len(wrong) == 1 else f"{len(wrong)} lines that name"
        yield f"{path} is without {lost} no ref; what was there is kept in {kept}"


def _ref(made: Server, damage: soundness.Damage) -> str:
    """Put a ref back to what it was at last; a ref of reports without a history is begun anew."""
    path, kept = Path(made.bare) / damage.ref, ""
    stays = bool(damage.good) and path.is_file() and not path.is_symlink() and not damage.ref.startswith(PULLS)
    if path.is_file() or path.is_symlink():
        kept = f"; what was there is kept in {_aside(made, path, move=shutil.copy2 if stays else shutil.move)}"
    if branch := _pulled(made, damage):
        made.repository.git("symbolic-ref", damage.ref, branch)
        return f"{damage.ref} is {branch} again{kept}"
    if damage.good:
        if stays:
            _overwrite(path, damage)
        else:
            made.repository.set_ref(damage.ref, damage.good)
        return f"{damage.ref} is at {damage.good[:9]} again, as its history says{kept}"
    if (packed := made.repository.git("rev-parse", "-q", "--verify", damage.ref, check=False).text) and not kept:
        made.repository.git("update-ref", "-d", damage.ref)
        kept = f"; it was {packed}"
    if (log := Path(made.bare) / "logs" / damage.ref).is_file():  # it would say that this ref is lost
        kept += f"; its history is kept in {_aside(made, log)}"
    return f"{damage.ref} is begun anew{kept}"


def _overwrite(path: Path, damage: soundness.Damage) -> None:
    """Have a ref name its last good object, as git does it: whoever reads it never finds it gone."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        with lock.open("x") as handle:
            handle.write(f"{damage.good}\n")
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError as taken:
        raise PushforwardError(
            f"{damage.ref} is locked", next="pushforward dispatch, a minute later", exit_code=TOOL
        ) from taken
    lock.replace(path)
    durable.sync(path.parent)


def _pulled(made: Server, damage: soundness.Damage) -> str:
    """The branch that a pull request was of: the one that was at what its head was at first; "" where nobody can say.

    The head is another name of its branch, and git keeps no more of its history than where that began.
    """
    repository = made.repository
    if not damage.ref.startswith(PULLS) or not damage.ref.endswith("/head"):
        return ""
    heads = (Path(made.bare) / "refs" / "pull").glob("*/head")
    taken = {path.read_text(encoding="utf-8", errors="replace").strip().removeprefix("ref: ") for path in heads}
    names = repository.git("for-each-ref", "--format=%(refname)", "refs/heads/", check=False).text.split()
    began = {name: [after for _, after in repository.reflog(name)] for name in names if name not in taken}
    found = [name for name, moves in began.items() if damage.good in moves]
    first = [name for name in found if began[name][0] == damage.good]
    return (first or found)[0] if len(first or found) == 1 else ""


def _reports(made: Server) -> Iterator[str]:
    """The reports of the verdicts that have lost theirs."""
    repository, lock = made.repository, made.folder / notes.LOCK
    known, count = set(notes.kept(repository)), 0
    for ref in repository.refs(VERDICTS):
        commit = ref.name.removeprefix(VERDICTS)
        content = repository.read(ref.object, "verdict.json")
        if commit in known or content is None or repository.resolve(commit) is None:
            continue
        found = verdicts.Verdict.from_json(content)
        branch = found.ref.removeprefix("refs/heads/")
        context = note.Context(branch=branch, target=made.default_branch)
        notes.put(repository, commit, recorded.report(found, context), lock=lock)
        count += 1
    if count:
        yield f"{NOTES}: {count} reports are made again from their verdicts"


def _signers(made: Server) -> Iterator[str]:
    """The ref of the allowed signers, as the server's own file says."""
    file = made.folder / ssh.FILE
    if _names_somebody(made) and made.repository.read(TRUST, ssh.FILE) != file.read_bytes():
        signers.publish(Path(made.bare), "Publish the allowed signers")
        yield f"{TRUST} says what {file} says"


def _names_somebody(made: Server) -> bool:
    """Whether the server's own file of allowed signers can be published: it can be read, and names somebody."""
    file = made.folder / ssh.FILE
    with contextlib.suppress(PushforwardError):
        return file.is_file() and bool(ssh.read(file.read_text(encoding="utf-8", errors="replace")))
    return False


def _recorded(made: Server) -> Iterator[str]:
    """What the registry has of verdicts and runs whose refs are gone."""
    repository = made.repository
    for gone in vouched.missing(repository):
        repository.set_ref(gone.ref, gone.target or _verdict(made, gone))
        yield f"{gone.ref} is made again, as the registry has it of {gone.version}"


def _verdict(made: Server, gone: vouched.Missing) -> str:
    """The commit that the gate has recorded: the same content has the same name."""
    repository = made.repository
    model = gone.version.partition("@")[0]
    several = Revision(repository, verdicts.Verdict.from_json(gone.content).base).settings.several
    content, before = {records.file_of(model if several else ""): gone.content}, repository.resolve(gone.ref)
    tree = repository.write_tree(before or EMPTY_TREE, content, index=made.folder / "verdict.index")
    date = repository.date(gone.commit)
    return repository.write_commit(tree, [], f"Verdict on {gone.commit}\n", date=date)


def _git_objects(made: Server, clone: Path | None) -> Iterator[str]:
    """Spoiled or missing objects of git, from the clone at hand."""
    if clone is None:
        return
    here, there = Repository(clone), made.repository
    spoiled, _ = soundness.corrupt(there)
    had = []
    for oid, found in zip(spoiled, here.objects(spoiled), strict=True):
        if found is None:
            continue
        kind, content = found
        loose, kept = Path(made.bare) / "objects" / oid[:2] / oid[2:], ""
        if loose.is_file():
            kept = f"; what was there is kept in {_aside(made, loose)}"
        there.git("hash-object", "-w", "-t", kind, "--stdin", stdin=content)
        had.append(oid)
        yield f"{kind} {oid[:9]} is written again from {clone}{kept}"
    if count := _below(here, there, had):
        yield f"{count} objects that those lead to are taken from {clone}"


def _below(here: Repository, there: Repository, oids: list[str]) -> int:
    """Take what `oids` lead to, and is not there, from here: git names what is missing one step at a time."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    listed = here.git("rev-list", "--objects", "--no-object-names", "--stdin", stdin=asked, check=False)
    if not oids or listed.returncode != 0:  # it lacks some too: step by step, then
        return 0
    known = there.git("cat-file", "--batch-check=%(objectname)", stdin=listed.stdout).text.splitlines()
    absent = [line.removesuffix(" missing") for line in known if line.endswith(" missing")]
    if absent:
        packed = here.git("pack-objects", "-q", "--stdout", stdin="".join(f"{oid}\n" for oid in absent).encode())
        there.git("unpack-objects", "-q", stdin=packed.stdout)
    return len(absent)


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
