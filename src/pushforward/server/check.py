"""The doctor: every precondition of local mode, what is wrong, the command that mends it."""

import errno
import filecmp
import json
import os
import re
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import files, process
from pushforward.errors import PushforwardError
from pushforward.git import remote, whereabouts
from pushforward.git.refs import NOTES, RUNS, TRUST
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.server import FOLDER
from pushforward.registry import authority, signers, ssh, trust
from pushforward.server.finding import Finding, few, mends
from pushforward.server.recover import FREE_BYTES

if TYPE_CHECKING:
    from pushforward.git.server import Server

SCRATCH = "refs/pushforward-selftest/"
OVERDUE_SECONDS = 15 * 60.0  # a timer that is late is no timer that is missing


def everything(
    root: Path, bare: Path | None = None, *, quick: bool = True, say: Callable[[str], None] = print
) -> Iterator[Finding]:
    """What is to be said of this machine, of the server `bare`, or that of the clone at `root`, and of the person.

    Unless `quick`, every object is read, and a small project is pushed through a whole run; `say` gets how it goes.
    """
    repository, inside, local, at_hand = _place(root, bare)
    yield from machine(root, trust=trusted(at_hand))
    if at_hand is not None:
        yield from server(at_hand)
        yield from holdings(at_hand, root if inside else None, quick=quick, say=say)
    elif local is not None:
        yield from elsewhere(repository, local)
    elif authority.is_mirror(repository):
        yield from mirror(repository)
    else:
        yield Finding("server", False, "this clone has none yet", "pushforward init", optional=True)
    if inside:
        yield project(repository)
        yield from clone(repository, remote.authority(repository))
        yield from person(root)


def mend(root: Path, bare: Path | None = None) -> Iterator[str]:
    """Mend what needs no choice in the server `bare`, or that of the clone at `root`; one line for each thing."""
    from pushforward.server import mend as mending

    _, inside, _, at_hand = _place(root, bare)
    if at_hand is None:
        raise PushforwardError("no server is here to be mended", next="pushforward check --mend --bare SERVER.git")
    return mending.server(at_hand, root if inside else None)


def _place(root: Path, bare: Path | None) -> tuple[Repository, bool, remote.Remote | None, Path | None]:
    """The repository at `root`, whether it is a clone, its remote, and the server to look at."""
    repository = Repository(root)
    inside = repository.git("rev-parse", "--is-inside-work-tree", check=False).text == "true"
    found = remote.authority(repository) if inside else None
    local = found if found and found.is_server else None
    server = bare or (local.folder if local else None if inside else _server_around(repository))
    return repository, inside, local, Path(os.path.normpath(server.absolute())) if server else None


def _server_around(repository: Repository) -> Path | None:
    """The server that the folder at hand is in."""
    found = repository.git("rev-parse", "--absolute-git-dir", check=False)
    there = found.returncode == 0 and (Path(found.text) / FOLDER).is_dir()
    return Path(found.text) if there else None


def _guarded(name: str, bare: Path, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What there is to say of one thing; that it may not be read, or cannot, is a finding too."""
    try:
        yield from look()
    except PermissionError as refused:
        place = Path(refused.filename or bare)
        mend = f"sudo -u {_owner(bare)} pushforward check --bare {shlex.quote(str(bare))}"
        yield Finding(name, False, f"not looked at: {place} is not for you to read or write", mend, optional=True)
    except PushforwardError as wrong:
        yield Finding(name, False, " ".join(wrong.message.split()), wrong.next or mends(bare))
    except OSError as failed:
        there = shlex.quote(str(failed.filename or bare))
        told = f"{failed.filename or bare}: {failed.strerror or failed}"
        # what is no file, or no folder, where one has to be
        wrong_kind = isinstance(failed, (IsADirectoryError, NotADirectoryError, FileExistsError))
        mend = f"mv {there} {there}.aside, then pushforward init" if wrong_kind else f"df -h {there}; dmesg | tail"
        yield Finding(name, False, told, mend)


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return "OWNER"


def mirror(repository: Repository) -> Iterator[Finding]:
    """What is to be said of a bare repository that is no server, as a mirror or a backup is."""
    from pushforward.server import soundness

    try:
        authority.refuse_mirror(repository)
    except PushforwardError as told:
        yield Finding("server", False, told.message, told.next, optional=True)
    yield from _guarded("alternates", repository.path, lambda: soundness.borrowed(repository))


def project(repository: Repository) -> Finding:
    """Whether params.yaml and dvc.yaml of the clone can be read, and say nothing that ends a run."""
    from pushforward import settings
    from pushforward.pipeline import lint as stages

    root = Path(repository.git("rev-parse", "--show-toplevel").text)
    try:
        settings.load(root)
        if (text := files.read(root, stages.FILE)) is not None:
            params = settings.plain(files.read(root, settings.FILE) or b"")
            tracked = set(repository.tree("HEAD")) if repository.resolve("HEAD") else set[str]()
            stages.check(text, tracked, params)
    except PushforwardError as wrong:
        return Finding("settings", False, wrong.message, wrong.next or f"edit {wrong.message.partition(':')[0]}")
    return Finding("settings", True, f"{settings.FILE} and {stages.FILE} can be read")


def machine(folder: Path, *, trust: bool = False) -> Iterator[Finding]:
    """What local mode needs of the machine; `folder` is where the server lies or will lie."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", sys.version_info >= (3, 11), python, "install Python 3.11 or newer")
    yield _git()
    yield _ssh()
    act = Path(sys.executable).parent / "act"
    yield Finding("act", act.exists(), str(act) if act.exists() else "not in this environment", "make env")
    yield _jail(trust)
    free = shutil.disk_usage(folder).free
    yield Finding("disk", free >= FREE_BYTES, f"{free / 1024**3:.1f} GiB free", "free some space: 2 GiB are needed")


def _git() -> Finding:
    try:
        text = process.run(["git", "--version"]).text.removeprefix("git version ")
    except PushforwardError:
        return Finding("git", False, "not installed", "install git 2.38 or newer")
    numbers = tuple(int(part) for part in text.split()[0].split(".")[:2] if part.isdigit())
    return Finding("git", numbers >= (2, 38), text, "install git 2.38 or newer: merge-tree --write-tree is needed")


def _ssh() -> Finding:
    if shutil.which("ssh-keygen") is None:
        return Finding("ssh-keygen", False, "not installed: nothing can be signed", "apt-get install openssh-client")
    if shutil.which("ssh") is None:
        return Finding("ssh-keygen", True, "there")
    said = process.run(["ssh", "-V"], check=False).stderr.decode(errors="replace").strip()
    found = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    # older ones do not know a moment in UTC, and so no revoked key
    recent = found is None or (int(found[1]), int(found[2])) >= (9, 1)
    return Finding("ssh-keygen", recent, said.split(",")[0], "install OpenSSH 9.1 or newer")


def _jail(trust: bool) -> Finding:
    from pushforward.sandbox import jail

    try:
        return Finding("jail", True, jail.find(trust=trust).describe())
    except PushforwardError as missing:
        return Finding("jail", False, missing.message, missing.next)


def trusted(bare: Path | None) -> bool:
    """Whether the server in `bare` runs topic branches without a jail where there is none."""
    from pushforward.git.server import Server

    try:
        return bare is not None and Server.load(bare).trust
    except PushforwardError:
        return False


def server(bare: Path) -> Iterator[Finding]:
    """What a server that `pushforward init` made needs to be: hooks that work, keys, copy of the tool, store."""
    from pushforward.git.server import Server, readable, refuse_misplaced

    try:
        refuse_misplaced(bare)
        made = Server.load(bare)
        if not whereabouts.headless(bare):  # that is told by itself
            whereabouts.refuse_gutted(bare)
            readable(Repository(bare))
    except PushforwardError as missing:
        yield Finding("server", False, missing.message, missing.next)
        return
    yield Finding("server", True, f"{bare}{f', and was {made.was}' if made.was else ''}", "pushforward init")
    if owner := whereabouts.owner_elsewhere(bare):
        mend = f"pushforward check --bare {shlex.quote(str(bare))}, as {owner}"
        yield Finding("owner", True, f"{owner}, whose dispatcher judges what you push; to look at the rest: {mend}")
        yield _refuses_here(bare)
        return
    made = made.settle()
    yield from _guarded("server", bare, lambda: _installed(made))


def _installed(made: "Server") -> Iterator[Finding]:
    bare = Path(made.bare)
    config = Repository(bare)
    head = next(iter(_guarded("HEAD", bare, lambda: [_head(config)])))
    yield head
    if whereabouts.headless(bare):
        return  # all else would be told of for this alone
    yield from _guarded("hooks", bare, lambda: _hooks(made))
    yield from _configured(config)
    closed = _closed(bare, made.folder)
    yield closed
    yield from _guarded("locks", bare, lambda: [_left_behind(bare), _space(made)])
    on_a_branch, followed = head.found.startswith("refs/"), _follows(config)
    if closed.ok and head.ok and on_a_branch:
        yield from _guarded("timer", bare, lambda: [_timer(made)])
    if followed:  # else all of it would be told of for one ref
        yield from _guarded("runs", bare, lambda: _waiting(made))
        yield from _guarded("self-test", bare, lambda: [_refuses_here(bare)])
    yield from _guarded("keys", bare, lambda: _keys(bare))
    yield from _guarded("files", bare, lambda: [_files(made)])
    python = Path(made.python)
    yield Finding("environment", python.exists(), str(python), "make env, then pushforward init")
    yield from _guarded("copy", bare, lambda: [_copy(made)])
    if made.store:
        yield from _guarded("store", bare, lambda: [_store(Path(made.store))])
    if not (on_a_branch and head.ok):
        return
    branch = made.default_branch
    on, off = f"{branch} takes only what has a passing verdict", f"{branch} takes what is not judged yet"
    yield Finding("protect", True, on if made.protect else f"{off}; pushforward init --protect-main changes that")


def _follows(repository: Repository) -> bool:
    """Whether git can follow every ref; which it cannot, and what mends it, is told by itself."""
    from pushforward.git.server import followable

    try:
        followable(repository)
    except PushforwardError:
        return False
    return True


def _hooks(made: "Server") -> Iterator[Finding]:
    from pushforward.git.server import hooks

    for name, text in hooks(made).items():
        yield _hook(Path(made.bare) / "hooks" / name, text)


def _configured(config: Repository) -> Iterator[Finding]:
    from pushforward.git.server import shares, unshared
    from pushforward.server.init import HIDDEN, HOOKS_PATH, hidden

    for key, wanted in (
        ("core.logallrefupdates", "always"),
        ("core.fsync", "all"),
        ("core.hookspath", HOOKS_PATH),
    ):
        value = config.git("config", "--get", key, check=False).text
        yield Finding(key, value == wanted, value or "not set", "pushforward init")
    shown = " ".join(hidden(config))
    yield Finding("receive.hiderefs", hidden(config) == HIDDEN, shown or "not set", "pushforward init")
    if told := unshared(config):
        yield Finding("core.sharedrepository", False, told.partition(": ")[2], shares(config.path), optional=True)


def holdings(bare: Path, root: Path | None, *, quick: bool, say: Callable[[str], None]) -> Iterator[Finding]:
    """Whether what the server in `bare` has to keep is there and whole; copies are looked for in the clone at `root`.

    Nothing where it is no server: that is told already.
    """
    from pushforward.git.server import Server, readable, refuse_misplaced
    from pushforward.server import soundness, trial, vouched

    try:
        refuse_misplaced(bare)
        made = Server.load(bare)
        if whereabouts.headless(bare) or whereabouts.gutted(bare):
            return
        readable(Repository(bare))
    except PushforwardError:
        return
    repository, signers_file = Repository(bare), bare / FOLDER / ssh.FILE
    looks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("format", lambda: soundness.form(repository)),
        ("alternates", lambda: soundness.borrowed(repository)),
        ("refs", lambda: soundness.refs(repository)),
    ]
    followed = _follows(repository)
    if followed:
        looks += [
            ("verdicts", lambda: vouched.refs(repository)),
            ("versions", lambda: soundness.store(made, root, whole=not quick, say=say)),
            ("clock", lambda: soundness.clock(repository)),
        ]
    if followed and signers_file.is_file():
        looks.append(("signatures", lambda: soundness.signatures(repository, signers_file)))
    head = repository.resolve("HEAD") if followed else None
    if head:
        looks.append(("workflows", lambda: soundness.workflows(repository, head, made.default_branch)))
    if not quick:
        looks.append(("objects", lambda: soundness.git_objects(repository)))
        if head:
            looks.append(("run", lambda: trial.run(made, head, say=say)))
    for name, look in looks:
        yield from _guarded(name, bare, look)


def clone(repository: Repository, local: remote.Remote | None) -> Iterator[Finding]:
    """Whether the clone at hand is one that can be pushed from and read."""
    from pushforward.server import soundness

    root = repository.path
    yield from _guarded("format", root, lambda: soundness.form(repository))
    yield from _guarded("alternates", root, lambda: soundness.borrowed(repository))
    if repository.git("rev-parse", "--is-shallow-repository", check=False).text == "true":
        names = repository.git("remote").text.split()
        source = next((name for name in ("origin", *names) if name in names), "origin")
        told = "this clone is shallow: git refuses its first push ('shallow update not allowed')"
        yield Finding("clone", False, told, f"git fetch --unshallow {source}")
    if local is not None:
        yield from _guarded("tags", root, lambda: _tags(repository, local))


def _tags(repository: Repository, local: remote.Remote) -> Iterator[Finding]:
    """Whether the clone has the registry's tags, and the same ones as the server."""
    from pushforward.registry import tags as registry

    asked = repository.remote("ls-remote", "--refs", local.name, "refs/tags/*", check=False)
    if asked.returncode != 0:
        return  # the server is told of already
    there = {name: oid for oid, _, name in (line.partition("\t") for line in asked.text.splitlines())}
    here = {ref.name: ref.object for ref in repository.refs("refs/tags/")}
    short = [name.removeprefix("refs/tags/") for name in sorted(there)]
    other = [name for name in short if here.get(f"refs/tags/{name}", "") not in {"", there[f"refs/tags/{name}"]}]
    absent = [name for name in short if registry.parse(name) and f"refs/tags/{name}" not in here]
    mine = [ref.removeprefix("refs/tags/") for ref in here if ref not in there]
    lost = [name for name in mine if registry.parse(name)]
    if other:
        told = f"{few(other)}: another here than on {local.name}, so git fetch fails ('would clobber existing tag')"
        yield Finding("tags", False, told, f"git fetch {local.name} --tags --force")
    elif absent:
        told = f"{few(absent)}: not in this clone, which tells of what it has fetched"
        yield Finding("tags", False, told, f"git fetch {local.name} 'refs/tags/*:refs/tags/*'", optional=True)
    if lost:
        told = f"{few(lost)}: not on {local.name}; it is an older backup, or they are another server's"
        uses = [name for name in lost if "@v" not in name]
        drop = f"git tag -d {shlex.join(lost[:20])}"
        back = f"{local.gives_back(repository.path, uses)}; where they are another server's: " if uses else ""
        yield Finding("tags", False, told, f"{back}{drop}", optional=True)
    if not (other or absent or lost):
        yield Finding("tags", True, "those of the server")


def _head(repository: Repository) -> Finding:
    """Whether the default branch, which is what HEAD names, is there; before it nothing is judged."""
    mend = f"git --git-dir={shlex.quote(str(repository.path))} symbolic-ref HEAD refs/heads/BRANCH"
    if why := whereabouts.headless(repository.path):
        return Finding("HEAD", False, why, whereabouts.sets_head(repository.path))
    text = (repository.path / "HEAD").read_text().strip()
    head = text.removeprefix("ref: ") if text.startswith("ref: refs/heads/") else ""
    if not head:
        return Finding("HEAD", False, "names no branch", mend)
    branch = head.removeprefix("refs/heads/")
    if repository.resolve("refs/heads/main"):
        mend = mend.replace("/BRANCH", "/main")
    # by name alone: that one of them leads nowhere is told by itself
    asked = ("for-each-ref", "--count=1", "--format=%(refname)", "refs/heads/", "refs/tags/", NOTES)
    some = repository.git(*asked, check=False).text or (repository.path / head).exists()
    if repository.resolve(head) is None and (damaged := _why_lost(repository, head)):
        return damaged
    if repository.resolve(head) is None and some:
        return Finding("HEAD", False, f"{head} is not there", f"git push local {branch}, or {mend}")
    return Finding("HEAD", True, head if some else f"{head}, not pushed yet")


def _why_lost(repository: Repository, head: str) -> Finding | None:
    """What is wrong with the default branch where it is damaged, or any ref keeps git from seeing it."""
    from pushforward.server import soundness

    found = soundness.damaged(repository)
    own = next((one for one in found if one.ref == head or one.ref.startswith(soundness.PACKED_REFS)), None)
    if own is None:
        return None
    return Finding("HEAD", False, f"{head} leads nowhere", soundness.way_out(repository.path, own))


def _closed(bare: Path, own: Path) -> Finding:
    """Whether what pushes and runs write can be written."""
    for folder in (bare, bare / "objects", bare / "refs", own, own / "runs"):
        if folder.is_dir() and (why := _takes_no_file(folder)):
            return Finding("writable", False, f"{folder} takes no file: {why.strerror}", _open(folder, why))
    return Finding("writable", True, "what pushes and runs write")


def _takes_no_file(folder: Path) -> OSError | None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".pushforward-"):
            return None
    except OSError as refused:
        return refused


def _open(folder: Path, why: OSError) -> str:
    """What makes a folder take files again."""
    name = shlex.quote(str(folder))
    if why.errno == errno.EROFS:
        return f'mount -o remount,rw "$(findmnt -no TARGET -T {name})"'
    if why.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"df -h {name}, then free some space"
    return f"chmod u+rwx {name}, as its owner"


def _left_behind(bare: Path) -> Finding:
    from pushforward.server import recover

    left = [str(path.relative_to(bare)) for path in recover.stale(bare)]
    mend = f"pushforward dispatch --bare {shlex.quote(str(bare))}"
    return Finding("locks", not left, f"of the dead: {few(left)}" if left else "none of the dead", mend)


def _space(made: "Server") -> Finding:
    from pushforward.server import recover

    told, _, mend = recover.short_of_space(made).partition("; ")
    return Finding("space", not told, told or "enough for a run where the server and its store lie", mend)


def _timer(made: "Server") -> Finding:
    """Whether schedules are run: a push takes up what is due, but nobody may push for a week."""
    from pushforward.server import pending

    late = pending.overdue(made, OVERDUE_SECONDS)
    mend = "pushforward dispatch --help: the line for cron, or a timer of systemd"
    return Finding("timer", not late, late or "no schedule is overdue", mend)


def _waiting(made: "Server") -> Iterator[Finding]:
    """What the machine has let fail and nobody tries now, and pushes whose run is gone, so that they run again."""
    from pushforward.report import notes
    from pushforward.server import runs

    repository = made.repository
    dispatch = f"pushforward dispatch --bare {shlex.quote(made.bare)}"
    waits = [run for run in runs.listed(made) if run.machine and not run.final and run.state == "queued"]
    for run in waits[-1:]:
        told = f"{run.job.id} is not judged, tried {run.failures or 1} times: {run.reason}"
        yield Finding("runs", False, told, f"{dispatch}, when that is mended")
    if waits or runs.running(made) or not repository.resolve("HEAD"):
        return
    judged = {ref.name.removeprefix(RUNS) for ref in repository.refs(RUNS)}
    told_of = set(notes.annotated(repository)) - judged
    moves = repository.reflog(f"refs/heads/{made.default_branch}")
    if again := [after[:9] for _, after in moves if after in told_of]:
        told = f"{few(again)}: a report is there, and nothing says that it was judged; it is judged again"
        yield Finding("runs", False, told, dispatch, optional=True)


def _hook(path: Path, text: str) -> Finding:
    if not path.is_file():
        return Finding(path.name, False, "missing", "pushforward init")
    if not os.access(path, os.X_OK):
        # git takes the push and says so only in a hint
        return Finding(path.name, False, "not executable: git would skip it", f"chmod +x {shlex.quote(str(path))}")
    same = path.read_bytes() == text.encode()
    return Finding(path.name, same, "in place" if same else "not as pushforward init writes it", "pushforward init")


def _refuses_here(bare: Path) -> Finding:
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        scratch = Repository(Path(folder))
        scratch.git("init", "-q", "--bare")
        return _refuses(scratch, str(bare))


def _refuses(source: Repository, url: str) -> Finding:
    """Whether the policy hook works, by a push that it has to refuse; what lands all the same is taken away again."""
    ref = f"{SCRATCH}{secrets.token_hex(8)}"
    source.git("hash-object", "-w", "-t", "tree", "--stdin", stdin=b"")
    commit = source.write_commit(EMPTY_TREE, [], "A push that must be refused\n", date="1000000000 +0000")
    quiet = {"PUSHFORWARD_RUN": "selftest"}  # where it lands, nothing is to start
    pushed = source.git("push", url, f"{commit}:{ref}", check=False, env=quiet)
    said = pushed.stderr.decode("utf-8", "replace")
    if pushed.returncode == 0:
        source.git("push", "-q", url, f":{ref}", check=False, env=quiet)
        return Finding("self-test", False, "a push that must be refused was taken: no policy", "pushforward init")
    if " refused: " in said:
        return Finding("self-test", True, "the hook refused a push that must be refused")
    lines = [line for line in said.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("remote:", "fatal:", "error:"))), lines[0] if lines else "")
    return Finding("self-test", False, f"the hook did not answer: {told.strip()[:160]}", "pushforward init")


def _files(made: "Server") -> Finding:
    """Whether what tells a run's push from a person's is there, and what the policy knows of the registry."""
    token = made.folder / "token"
    lost = [] if token.is_file() and token.stat().st_size else ["token is missing, or empty"]
    try:
        known = json.loads((made.folder / "registry.json").read_text(encoding="utf-8"))
        whole = isinstance(known, dict) and {"model", "environments", "reads"} <= known.keys()
    except (FileNotFoundError, ValueError):
        whole = False
    lost += [] if whole else ["registry.json is missing, or cut off, and the policy refuses every tag"]
    return Finding("files", not lost, "; ".join(lost) or "what the hook reads is whole", "pushforward init")


def _keys(bare: Path) -> Iterator[Finding]:
    key, file = signers.private_key(bare), bare / FOLDER / ssh.FILE
    if not key.is_file() or not file.is_file():
        yield Finding("keys", False, f"{file if key.is_file() else key} is missing", "pushforward init")
        return
    open_to_others = False
    for path, closed, change in (
        (key.parent, 0o077, "go-rwx"),
        (key, 0o077, "go-rwx"),
        (file, 0o022, "go-w"),
        (file.parent, 0o002, "o-w"),
    ):
        mode = path.stat().st_mode & 0o777
        if mode & closed:
            open_to_others = True
            who = "others may read it" if closed == 0o077 else "others may write it"
            change = f"chmod {change} {shlex.quote(str(path))}"
            yield Finding(path.name, False, f"{path} has mode {mode:03o}: {who}", change)
    if open_to_others:
        return
    try:
        known = ssh.read(file.read_text(encoding="utf-8", errors="replace"))
        own = signers.public_half(key)
    except PushforwardError as damaged:
        mend = damaged.next if damaged.message.startswith(str(key)) else _restores(file)
        yield Finding("keys", False, damaged.message, mend)
        return
    valid = [signer for signer in known if not signer.valid_before]
    if own not in {signer.key for signer in valid}:
        yield Finding("keys", False, "the server's own key is not among the allowed signers", "pushforward init")
        return
    if Repository(bare).read(TRUST, ssh.FILE) != file.read_bytes():
        yield Finding("keys", False, f"{TRUST} is not what {file} says", mends(bare))
        return
    people = len({signer.principal for signer in valid}) - 1
    told = f", and those of {people} {'person' if people == 1 else 'people'}" if people else ""
    yield Finding("keys", True, f"the server's own{told}")


def _restores(file: Path) -> str:
    """The commands that take the allowed signers from the ref that publishes them."""
    return f"mv {shlex.quote(str(file))} {shlex.quote(f'{file}.bad')} && pushforward init"


def _copy(made: "Server") -> Finding:
    """Whether the server runs the tool that is at work here."""
    copy, own = made.folder / "lib" / FOLDER, Path(__file__).parent.parent
    sources = [path.relative_to(own) for path in sorted(own.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    _, other, absent = filecmp.cmpfiles(own, copy, [str(path) for path in sources], shallow=False)
    differ = other + absent
    return Finding(
        "copy", not differ, f"not the tool at hand: {few(differ)}" if differ else str(copy), "pushforward init"
    )


def _store(folder: Path) -> Finding:
    if not folder.exists():
        return Finding(
            "store",
            False,
            f"{folder} is missing",
            "mount or restore it; for an empty one: pushforward init --move-store",
        )
    if why := _takes_no_file(folder):
        return Finding("store", False, f"{folder} takes no file: {why.strerror}", _open(folder, why))
    return Finding("store", True, str(folder))


def elsewhere(repository: Repository, local: remote.Remote) -> Iterator[Finding]:
    """What can be seen from here of a server on another machine: that it answers, and that its hook works."""
    asked = repository.remote("ls-remote", local.name, TRUST, check=False)
    if asked.returncode != 0:
        said = asked.stderr.decode("utf-8", "replace").strip().splitlines()
        yield Finding(
            "server", False, f"{local.url} does not answer: {said[0] if said else ''}", f"git ls-remote {local.name}"
        )
        return
    there = local.command("pushforward check")
    found = f"{local.url}, on another machine; to look at it there: {there}"
    yield Finding("server", bool(asked.text), found if asked.text else f"{local.url} has no allowed signers", there)
    yield _refuses(repository, local.name)


def person(root: Path) -> Iterator[Finding]:
    """What the person at work needs: an identity for commits; to sign, a key that is trusted."""
    repository = Repository(root)
    for key, example in (("user.name", "'YOUR NAME'"), ("user.email", "YOU@EXAMPLE.ORG")):
        value = repository.git("config", "--get", key, check=False).text
        yield Finding(key, bool(value), value or "not set: git cannot commit", f"git config --global {key} {example}")
    try:
        key = signers.mine(repository)
        with trust.signers_file(root) as path:
            known = ssh.read(path.read_text(encoding="utf-8"))
    except PushforwardError as missing:
        yield Finding("signing", False, missing.message, missing.next, optional=True)
        return
    email = repository.git("config", "--get", "user.email", check=False).text
    there = next((one for one in known if one.key == key and one.principal == email), None)
    holds = there is not None and not there.valid_before
    told = f"your key {ssh.fingerprint(key)}"
    if there is None:
        told += f" is not trusted as {email or 'yours'}"
    elif there.valid_before:
        told += f" was revoked at {there.valid_before}"
    yield Finding("signing", holds, told, "pushforward trust KEY.pub", optional=True)
