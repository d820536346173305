"""Isolation of a run: what it may see, write and reach, enforced by bubblewrap or by Linux namespaces."""

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pushforward.errors import TOOL, PushforwardError
from pushforward.sandbox import idmap, namespaces

Kind = Literal["bubblewrap", "unshare", "none"]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
# A part of /etc: names and libraries, but no password hashes and no keys.
ETC = (
    "alternatives",
    "ca-certificates",
    "fonts",
    "gitconfig",
    "group",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki/tls/certs",
    "pki/ca-trust/extracted",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
)
# Where libraries read how many processors they may use.
PROCESSORS = ("/sys/devices/system/cpu", "/sys/fs/cgroup")
GIB = 1 << 30
# Numbers that nobody has: the first is beyond all that systems give away, the second for where so many are not mapped.
NOBODY = (1_879_048_192, 60_578)
NAME = "runner"
# Where a jail shows what has a path that some program inside would not take as it is.
PLAIN = Path("/pushforward")
SHARED_MEMORY = GIB // 2  # of /dev/shm, in which processes of one run may share
OOM_SCORE = 900  # of 1000: where memory runs out, the kernel ends a run before anything of the server


def _most_of_memory() -> int:
    """Three quarters of the machine's, or what the server itself may have: as root a jail could give more than that."""
    most, own = (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 * 3,
        resource.getrlimit(resource.RLIMIT_DATA),
    )
    return min([most, *(limit for limit in own if limit != resource.RLIM_INFINITY)])


def _enough_processes() -> int:
    return 512 + 64 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Limits:
    """Limits of a run, in bytes, and of the number of its processes and threads.

    Memory is what each process may have for itself (addresses that are only reserved do not count), and what all of
    them may have together; `disk` is what the run may have on disk at one time, `file_size` what one file may hold.
    """

    memory: int = field(default_factory=_most_of_memory)
    disk: int = 16 * GIB
    file_size: int = 16 * GIB
    processes: int = field(default_factory=_enough_processes)


@dataclass(frozen=True)
class Policy:
    """What a run may do beyond reading the system and this Python's environment. The paths must exist.

    The deepest path decides: a hidden folder below a readable one is empty inside, and a writable one below that is
    there again. What is `placed` is called otherwise inside: name there -> folder. What is `untrusted` gets a user of
    its own where the server is root and the jail can: all that is writable then has to be there for this run alone,
    since it becomes that user's.
    """

    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    placed: Mapping[Path, Path] = field(default_factory=dict)
    network: bool = False
    untrusted: bool = False
    limits: Limits = field(default_factory=Limits)

    def extend(
        self,
        *,
        writable: Sequence[Path] = (),
        readable: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
    ) -> "Policy":
        """This policy with more paths."""
        return replace(
            self,
            writable=(*self.writable, *writable),
            readable=(*self.readable, *readable),
            hidden=(*self.hidden, *hidden),
        )


@dataclass(frozen=True)
class Jail:
    """One way to isolate a command. `user` is the kernel's number of whom untrusted runs are; 0: the server's own."""

    kind: Kind
    user: int = 0

    def describe(self) -> str:
        """One line for people: what the jail is and what it keeps apart."""
        if self.kind == "none":
            return "none: runs have all rights of the server's user, and what they start may outlive them"
        more = " (Linux namespaces)" if self.kind == "unshare" else ""
        if self.user:
            whose = f"branches run as user {self.user}, who owns nothing"
        elif os.geteuid() == 0:
            whose = "branches run as root without its rights: this machine gives them no user of their own"
        else:
            whose = "branches run as the server's own user"
        return f"{self.kind}: own files, processes and network for every run{more}; {whose}"

    def wrap(self, argv: Sequence[str], policy: Policy, *, cwd: Path, scratch: Path) -> list[str]:
        """`argv` (its first word an absolute path) made into a command that runs in the jail, from folder `cwd`.

        `scratch` is an existing folder for the jail alone: its `tmp` is /tmp inside. Whoever starts the command
        gives the environment, which the jail hands on. It ends with the thread that started it, and all that it
        started ends with it.
        """
        for name in ("tmp", "root"):
            (scratch / name).mkdir(exist_ok=True)
        start = [*_first_to_go(), *_dies_with_parent()]
        if self.kind == "none":
            return [*start, *_from(cwd), *argv]
        binds, links = _view(policy, scratch / "tmp")
        user = self.user if policy.untrusted else 0
        if user:
            start += _unroot(binds, policy, user)
            names = list(_names(user, scratch))
            binds = [*(bind for bind in binds if bind.target not in {name.target for name in names}), *names]
        if self.kind == "bubblewrap":
            return [*start, *_bubblewrap(policy, binds, links, cwd, user), *argv]
        return [*start, *_unshare(policy, binds, links, cwd, scratch / "root", user), *argv]


@dataclass(frozen=True)
class _Bind:
    source: Path | None  # None: nothing, an empty folder
    target: Path
    writable: bool


def find(*, trust: bool = False) -> Jail:
    """The best jail that works on this machine: bubblewrap, else unshare; with `trust`, none at all if need be.

    Where the server is root, one that gives untrusted runs a user of their own is better than one that cannot; and
    without that user unshare is better, which limits the processes of root too. Raises `PushforwardError` where nothing
    works and pushers are not trusted.
    """
    failures = []
    kinds: tuple[Kind, ...] = ("bubblewrap", "unshare")
    user = nobody()
    as_server = reversed(kinds) if os.geteuid() == 0 else kinds
    for found in (*(Jail(kind, user) for kind in kinds if user), *(Jail(kind) for kind in as_server)):
        failure = failure_of(found)
        if not failure:
            return found
        if not found.user:
            failures.append(f"{found.kind}: {failure}")
    if trust:
        return Jail("none")
    raise PushforwardError(
        "nothing on this machine can isolate a run\n  " + "\n  ".join(failures),
        next="sudo apt install bubblewrap    (or, if you trust every pusher: --trust-pushers)",
        exit_code=TOOL,
    )


def nobody() -> int:
    """The user of untrusted runs, known to nobody else; 0 where this process is not root, or has no such number."""
    if os.geteuid() != 0:
        return 0
    with Path("/proc/self/uid_map").open() as lines:
        mapped = [tuple(map(int, line.split())) for line in lines]
    return next((user for user in NOBODY if any(first <= user < first + count for first, _, count in mapped)), 0)


def failure_of(jail: Jail) -> str:
    """Why `jail` does not work on this machine, found out by trying; empty if it does."""
    if jail.kind == "none":
        return ""
    program = {"bubblewrap": "bwrap", "unshare": "unshare"}[jail.kind]
    for needed in (program, *(("setpriv",) if jail.user else ())):
        if shutil.which(needed) is None:
            return f"{needed} is not installed"
    with TemporaryDirectory(prefix="pushforward-jail-") as folder:
        policy = Policy(untrusted=True)
        argv = jail.wrap(["/bin/sh", "-c", ":"], policy, cwd=Path("/"), scratch=Path(folder))
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
            )
        except subprocess.TimeoutExpired:
            return f"{program} hangs"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def reclaim(path: Path) -> None:
    """Make this process's own what a run may have made another user's."""
    if os.geteuid() == 0:
        os.chown(path, 0, 0, follow_symlinks=False)


def environment_paths() -> tuple[Path, ...]:
    """Folders without which this Python and its packages do not run, often below somebody's home folder."""
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent.parent]
    interpreter = Path(sys.executable)
    while interpreter.is_symlink():
        # every hop of the link has to exist inside too
        interpreter = interpreter.parent / interpreter.readlink()
        found.append(interpreter.parent.parent)
    return tuple(dict.fromkeys([*found, *(path.resolve() for path in found)]))


def _view(policy: Policy, tmp: Path) -> tuple[list[_Bind], list[tuple[str, Path]]]:
    """What the jail's file system holds: binds (parents first, so that a child may differ) and symbolic links."""
    links: list[tuple[str, Path]] = []
    chosen: dict[Path, _Bind] = {}
    for path in _system(network=policy.network):
        if path.is_symlink() and path.resolve().is_relative_to("/usr"):
            links.append((str(path.readlink()), path))
        elif path.exists() and not (policy.untrusted and not path.stat().st_mode & stat.S_IROTH):
            # what only root may read is not for branches: a configuration of git with a password in it, say
            chosen[path] = _Bind(path.resolve(), path, writable=False)
    chosen[Path("/tmp")] = _Bind(tmp, Path("/tmp"), writable=True)  # noqa: S108
    for path in (*environment_paths(), *policy.readable):
        if not any(path.is_relative_to(base) for base in SYSTEM):
            chosen[path] = _Bind(path, path, writable=False)
    for path in policy.hidden:
        chosen[path] = _Bind(None, path, writable=False)
    for path in policy.writable:
        chosen[path] = _Bind(path, path, writable=True)
    for target, path in policy.placed.items():
        chosen[target] = _Bind(path, target, writable=path in policy.writable)
    return sorted(chosen.values(), key=lambda bind: len(bind.target.parts)), links


def _names(user: int, scratch: Path) -> Iterator[_Bind]:
    """The system's lists of users and groups with a name for `user`: some programs end without one."""
    for name, line in (("passwd", f"{NAME}:x:{user}:{user}::/tmp:/bin/sh\n"), ("group", f"{NAME}:x:{user}:\n")):
        known, mine = Path("/etc", name), scratch / name
        mine.write_text((known.read_text(errors="replace") if known.is_file() else "") + line)
        mine.chmod(0o644)
        yield _Bind(mine, known, writable=False)


def _system(*, network: bool) -> Iterator[Path]:
    for name in (*SYSTEM, *PROCESSORS):
        yield Path(name)
    for name in ETC:
        if network or name != "resolv.conf":
            yield Path("/etc", name)


def _limits(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_DATA": limits.memory,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_CORE": 0,
    }


def _unroot(binds: list[_Bind], policy: Policy, user: int) -> list[str]:
    mine = {*environment_paths(), *policy.readable}
    plan = {
        "user": user,
        "own": [str(bind.source) for bind in binds if bind.writable],
        "read": [str(bind.source) for bind in binds if bind.source in mine],
    }
    return [sys.executable, "-I", "-S", str(Path(idmap.__file__)), json.dumps(plan)]


def _bubblewrap(policy: Policy, binds: list[_Bind], links: list[tuple[str, Path]], cwd: Path, user: int) -> list[str]:
    argv = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    # root of the namespace that was made before keeps what it takes to become the user
    argv += ["--cap-drop", "ALL", *(["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if user else [])]
    if not user:
        argv += ["--unshare-user", "--disable-userns"]
    if not policy.network:
        argv.append("--unshare-net")
    made = {Path("/")}

    def parents(path: Path) -> Iterator[str]:
        for parent in reversed(path.parents):
            if parent not in made:
                # made by the way, only root could pass through it
                yield from ("--perms", "0755", "--dir", str(parent))
        made.update([path, *path.parents])

    for text, path in links:
        argv += [*parents(path), "--symlink", text, str(path)]
    for bind in binds:
        argv += parents(bind.target)
        if bind.source is None:
            argv += ["--perms", "0755", "--tmpfs", str(bind.target)]
        else:
            argv += ["--bind" if bind.writable else "--ro-bind", str(bind.source), str(bind.target)]
    argv += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(SHARED_MEMORY), "--tmpfs", "/dev/shm"]  # noqa: S108
    for name in namespaces.KERNEL:
        # bubblewrap leaves these writable where the real user is root, although its capabilities are gone
        argv += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    for path in (Path("/"), Path("/dev"), *(bind.target for bind in binds if bind.source is None)):
        argv += ["--remount-ro", str(path)]
    # bubblewrap goes there as root without rights, for whom the folder may be closed
    argv += ["--chdir", "/" if user else str(cwd), "--"]
    if prlimit := shutil.which("prlimit"):
        argv.append(prlimit)
        for name, wanted in _limits(policy.limits).items():
            _, hard = resource.getrlimit(getattr(resource, name))
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            argv.append(f"--{name.removeprefix('RLIMIT_').lower()}={value}")
        argv.append("--")
    if user:
        argv += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", "--"]
        argv += _from(cwd)
    return argv


def _from(folder: Path) -> list[str]:
    return ["/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder)]


def _unshare(
    policy: Policy, binds: list[_Bind], links: list[tuple[str, Path]], cwd: Path, root: Path, user: int
) -> list[str]:
    plan = {
        "root": str(root),
        "binds": [
            [None if bind.source is None else str(bind.source), str(bind.target), bind.writable] for bind in binds
        ],
        "links": [[text, str(path)] for text, path in links],
        "cwd": str(cwd),
        "loopback": not policy.network,
        "limits": _limits(policy.limits),
        "shared": SHARED_MEMORY,
        "user": user,
    }
    argv = ["unshare", *([] if user else ["--user", "--map-root-user"]), "--mount", "--pid", "--ipc", "--uts"]
    argv += ["--cgroup", "--fork", "--kill-child"]
    if not policy.network:
        argv.append("--net")
    return [*argv, "--", sys.executable, "-I", "-S", str(Path(namespaces.__file__)), json.dumps(plan)]


def _first_to_go() -> list[str]:
    return ["/bin/sh", "-c", f'echo {OOM_SCORE} >/proc/self/oom_score_adj; exec "$@"', "sh"]


def _dies_with_parent() -> list[str]:
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
