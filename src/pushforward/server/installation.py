"""The installation of a server: whether hooks, keys, copy of the tool and store are as they must be. `check` asks."""

import errno
import filecmp
import json
import os
import secrets
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.errors import PushforwardError
from pushforward.git import whereabouts
from pushforward.git.refs import FOREIGN, NOTES, RUNS, TAGS, TRUST
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.server import FOLDER
from pushforward.registry import signers, ssh
from pushforward.server.finding import Finding, few, guarded, mends

if TYPE_CHECKING:
    from pushforward.git.server import Server

SCRATCH = "refs/pushforward-selftest/"
OVERDUE_SECONDS = 15 * 60.0  # a timer that is late is no timer that is missing


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
    yield from guarded("server", bare, lambda: _installed(made))


def _installed(made: "Server") -> Iterator[Finding]:
    bare = Path(made.bare)
    config = Repository(bare)
    head = next(iter(guarded("HEAD", bare, lambda: [_head(config)])))
    yield head
    if whereabouts.headless(bare):
        return  # all else would be told of for this alone
    yield from guarded("hooks", bare, lambda: _hooks(made))
    yield from _configured(config)
    closed = _closed(bare, made.folder)
    yield closed
    yield from guarded("locks", bare, lambda: [_left_behind(bare), _space(made)])
    on_a_branch, followed = head.found.startswith("refs/"), follows(config)
    if closed.ok and head.ok and on_a_branch:
        yield from guarded("timer", bare, lambda: [_timer(made)])
    if followed:  # else all of it would be told of for one ref
        yield from guarded("runs", bare, lambda: _waiting(made))
        yield from guarded("self-test", bare, lambda: [_refuses_here(bare)])
    yield from guarded("keys", bare, lambda: _keys(bare))
    yield from guarded("files", bare, lambda: [_files(made)])
    python = Path(made.python)
    yield Finding("environment", python.exists(), str(python), "make env, then pushforward init")
    yield from guarded("copy", bare, lambda: [_copy(made)])
    if made.store:
        yield from guarded("store", bare, lambda: [_store(Path(made.store))])
    if not (on_a_branch and head.ok):
        return
    branch = made.default_branch
    on, off = f"{branch} takes only what has a passing verdict", f"{branch} takes what is not judged yet"
    yield Finding("protect", True, on if made.protect else f"{off}; pushforward init --protect-main changes that")


def follows(repository: Repository) -> bool:
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
    asked = ("for-each-ref", "--format=%(refname)", "refs/heads/", TAGS, NOTES, FOREIGN)
    names = set(repository.git(*asked, check=False).text.split())
    kept = {name for name in names if name.startswith(FOREIGN)}
    pushed = names - kept - {name.replace(FOREIGN, TAGS, 1) for name in kept}
    some = pushed or (repository.path / head).exists()
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
    told_of = notes.reported(repository) - judged
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
        return refuses(scratch, str(bare))


def refuses(source: Repository, url: str) -> Finding:
    """Whether the policy hook works, by a push that it has to refuse; what lands all the same is taken away again."""
    ref = f"{SCRATCH}{secrets.token_hex(8)}"
    source.git("hash-object", "-w", "-t", "tree", "--stdin", stdin=b"")
    commit = source.write_commit(EMPTY_TREE, [], "A push that must be refused\n", date="1000000000 +0000")
    quiet = {"PUSHFORWARD_RUN": "selftest"}  # where it lands, nothing is to start
    push = ("-c", f"core.hooksPath={os.devnull}", "push")  # the person's own hooks have no say in it
    pushed = source.git(*push, url, f"{commit}:{ref}", check=False, env=quiet)
    said = pushed.stderr.decode("utf-8", "replace")
    if pushed.returncode == 0:
        source.git(*push, "-q", url, f":{ref}", check=False, env=quiet)
        return Finding("self-test", False, "a push that must be refused was taken: no policy", "pushforward init")
    if " refused: " in said:
        return Finding("self-test", True, "the hook refused a push that must be refused")
    if "transport 'file' not allowed" in said:
        told = "git is told to reach no repository in a folder (protocol.file.allow), so nobody can push from here"
        return Finding("self-test", False, told, "git config --global protocol.file.allow always")
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
