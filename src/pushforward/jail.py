"""Isolation of a run: what it may see, write and reach, enforced by bubblewrap or by Linux namespaces."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pushforward import enclose
from pushforward.errors import TOOL, PushforwardError

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


@dataclass(frozen=True)
class Limits:
    """Limits of each process in a jail, in bytes, and of the number of processes and threads together.

    Memory is address space, of which allocators reserve far more than they use. The number of processes does not
    bind root.
    """

    memory: int = 64 * GIB
    file_size: int = 16 * GIB
    processes: int = 4096


@dataclass(frozen=True)
class Policy:
    """What a run may do beyond reading the system and this Python's environment. The paths must exist.

    The deepest path decides: a hidden folder below a readable one is empty inside, and a writable one below that is
    there again.
    """

    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    network: bool = False
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
    """One way to isolate a command."""

    kind: Kind

    def describe(self) -> str:
        """One line for people: what the jail is and what it keeps apart."""
        return {
            "bubblewrap": "bubblewrap: own files, processes and network for every run",
            "unshare": "unshare: own files, processes and network for every run (Linux namespaces)",
            "none": "none: runs have all rights of the server's user, and what they start may outlive them",
        }[self.kind]

    def wrap(self, argv: Sequence[str], policy: Policy, *, cwd: Path, scratch: Path) -> list[str]:
        """`argv` (its first word an absolute path) made into a command that runs in the jail, from folder `cwd`.

        `scratch` is an existing folder for the jail alone: its `tmp` is /tmp inside. Whoever starts the command
        gives the environment, which the jail hands on. It ends with the thread that started it, and all that it
        started ends with it.
        """
        for name in ("tmp", "root"):
            (scratch / name).mkdir(exist_ok=True)
        if self.kind == "none":
            return [*_dies_with_parent(), "/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(cwd), *argv]
        binds, links = _view(policy, scratch / "tmp")
        if self.kind == "bubblewrap":
            return [*_bubblewrap(policy, binds, links, cwd), *argv]
        return [*_unshare(policy, binds, links, cwd, scratch / "root"), *argv]


@dataclass(frozen=True)
class _Bind:
    source: Path | None  # None: nothing, an empty folder
    target: Path
    writable: bool


def find(*, trust: bool = False) -> Jail:
    """The best jail that works on this machine: bubblewrap, else unshare; with `trust`, none at all if need be.

    Raises `PushforwardError` where nothing works and pushers are not trusted.
    """
    failures = []
    kinds: tuple[Kind, ...] = ("bubblewrap", "unshare")
    for kind in kinds:
        failure = failure_of(Jail(kind))
        if not failure:
            return Jail(kind)
        failures.append(f"{kind}: {failure}")
    if trust:
        return Jail("none")
    raise PushforwardError(
        "nothing on this machine can isolate a run\n  " + "\n  ".join(failures),
        next="sudo apt install bubblewrap    (or, if you trust every pusher: --trust-pushers)",
        exit_code=TOOL,
    )


def failure_of(jail: Jail) -> str:
    """Why `jail` does not work on this machine, found out by trying; empty if it does."""
    if jail.kind == "none":
        return ""
    program = {"bubblewrap": "bwrap", "unshare": "unshare"}[jail.kind]
    if shutil.which(program) is None:
        return f"{program} is not installed"
    with TemporaryDirectory(prefix="pushforward-jail-") as folder:
        argv = jail.wrap(["/bin/sh", "-c", ":"], Policy(), cwd=Path("/"), scratch=Path(folder))
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
            )
        except subprocess.TimeoutExpired:
            return f"{program} hangs"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def environment_paths() -> tuple[Path, ...]:
    """Folders without which this Python and its packages do not run, often below somebody's home folder."""
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent]
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
        elif path.exists():
            chosen[path] = _Bind(path.resolve(), path, writable=False)
    chosen[Path("/tmp")] = _Bind(tmp, Path("/tmp"), writable=True)  # noqa: S108
    for path in (*environment_paths(), *policy.readable):
        if not any(path.is_relative_to(base) for base in SYSTEM):
            chosen[path] = _Bind(path, path, writable=False)
    for path in policy.hidden:
        chosen[path] = _Bind(None, path, writable=False)
    for path in policy.writable:
        chosen[path] = _Bind(path, path, writable=True)
    return sorted(chosen.values(), key=lambda bind: len(bind.target.parts)), links


def _system(*, network: bool) -> Iterator[Path]:
    for name in (*SYSTEM, *PROCESSORS):
        yield Path(name)
    for name in ETC:
        if network or name != "resolv.conf":
            yield Path("/etc", name)


def _limits(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_AS": limits.memory,
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_NPROC": limits.processes,
        "RLIMIT_CORE": 0,
    }


def _bubblewrap(policy: Policy, binds: list[_Bind], links: list[tuple[str, Path]], cwd: Path) -> list[str]:
    argv = ["bwrap", "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
    if not policy.network:
        argv.append("--unshare-net")
    for text, path in links:
        argv += ["--symlink", text, str(path)]
    for bind in binds:
        if bind.source is None:
            argv += ["--tmpfs", str(bind.target)]
        else:
            argv += ["--bind" if bind.writable else "--ro-bind", str(bind.source), str(bind.target)]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    for name in enclose.KERNEL:
        # bubblewrap leaves these writable where the real user is root, although its capabilities are gone
        argv += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    for path in (Path("/"), *(bind.target for bind in binds if bind.source is None)):
        argv += ["--remount-ro", str(path)]
    argv += ["--chdir", str(cwd), "--"]
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        return argv
    argv.append(prlimit)
    for name, wanted in _limits(policy.limits).items():
        _, hard = resource.getrlimit(getattr(resource, name))
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        argv.append(f"--{name.removeprefix('RLIMIT_').lower()}={value}")
    return [*argv, "--"]


def _unshare(policy: Policy, binds: list[_Bind], links: list[tuple[str, Path]], cwd: Path, root: Path) -> list[str]:
    plan = {
        "root": str(root),
        "binds": [
            [None if bind.source is None else str(bind.source), str(bind.target), bind.writable] for bind in binds
        ],
        "links": [[text, str(path)] for text, path in links],
        "cwd": str(cwd),
        "loopback": not policy.network,
        "limits": _limits(policy.limits),
    }
    argv = [*_dies_with_parent(), "unshare", "--user", "--map-root-user", "--mount", "--pid", "--ipc", "--uts"]
    argv += ["--cgroup", "--fork", "--kill-child"]
    if not policy.network:
        argv.append("--net")
    return [*argv, "--", sys.executable, "-I", "-S", str(Path(enclose.__file__)), json.dumps(plan)]


def _dies_with_parent() -> list[str]:
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
