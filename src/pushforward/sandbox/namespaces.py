"""First process in an `unshare` jail: builds the file system, drops every right, runs the command, ends with it.

A script for `python -I -S`, inside fresh user, mount, process and perhaps network namespaces; standard library only.
Usage: enclose.py PLAN COMMAND…, PLAN being JSON: root (empty folder to build in), binds ([source, target, writable], a
null source for an empty folder), links ([text, path]), cwd, loopback, limits ({RLIMIT_…: number}), shared (bytes of
/dev/shm), user (whom the command runs as; 0 for root of this namespace).
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# From linux/mount.h, linux/prctl.h, linux/sockios.h, linux/capability.h
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 2, 4, 8, 4096, 16384
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
SYS_MOUNT_SETATTR = 442
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITY_VERSION = 0x20080522
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What a process without capabilities could still change for the whole machine if its real user is root.
KERNEL = ("sys", "sysrq-trigger", "irq", "bus")
PID_MAX_PER_NAMESPACE = (6, 14)
LEAST_PID_MAX = 400  # the kernel refuses less than 301

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    """Call a function of the C library; raise `OSError` with its name where it fails."""
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", str(arguments[:2]))


def mount(source: str, target: Path, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    call(
        "mount",
        source.encode(),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


def set_attributes(target: Path, attributes: int, *, recursive: bool = True) -> None:
    """mount_setattr(2): add attributes to a mount and to all below it (Linux 5.12)."""
    wanted = struct.pack("QQQQ", attributes, 0, 0, 0)
    call(
        "syscall",
        ctypes.c_long(SYS_MOUNT_SETATTR),
        ctypes.c_int(AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(AT_RECURSIVE if recursive else 0),
        wanted,
        ctypes.c_size_t(len(wanted)),
    )


def bind(source: str, target: Path, *, writable: bool, attributes: int = ATTR_NOSUID | ATTR_NODEV) -> None:
    """Show `source` at `target`, with everything that is mounted below it."""
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch(exist_ok=True)
    mount(source, target, flags=MS_BIND | MS_REC)
    set_attributes(target, attributes | (0 if writable else ATTR_RDONLY))


def build(plan: dict[str, Any]) -> None:
    """Build the new root in an own tmpfs and move into it; what is not named in `plan` ceases to exist."""
    root = Path(plan["root"])
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    for text, path in plan["links"]:
        link = root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(text)
    nothing = []
    for source, target, writable in plan["binds"]:
        path = root / target.lstrip("/")
        if source is None:
            path.mkdir(parents=True, exist_ok=True)
            mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
            nothing.append(path)
        else:
            bind(source, path, writable=writable)
    processes(root / "proc", plan["limits"]["RLIMIT_NPROC"])
    devices(root / "dev", plan["shared"])
    for path in (root, *nothing):
        set_attributes(path, ATTR_RDONLY, recursive=False)
    os.chdir(root)
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir(plan["cwd"])


def processes(folder: Path, most: int) -> None:
    """A /proc of this namespace's processes only, its switches read-only, no user namespaces below this one."""
    folder.mkdir()
    mount("proc", folder, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    (folder / "sys/user/max_user_namespaces").write_text("0")
    kernel = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if kernel >= PID_MAX_PER_NAMESPACE:
        # Limits of processes do not bind root; the number of process ids in this namespace does.
        with suppress(OSError):
            (folder / "sys/kernel/pid_max").write_text(str(max(most, LEAST_PID_MAX)))
    for name in KERNEL:
        if (folder / name).exists():
            bind(str(folder / name), folder / name, writable=False)


def devices(folder: Path, shared: int) -> None:
    """The devices that every program expects, and terminals of this namespace."""
    folder.mkdir()
    mount("tmpfs", folder, "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for name in DEVICES:
        bind(f"/dev/{name}", folder / name, writable=True, attributes=ATTR_NOSUID)
    (folder / "pts").mkdir()
    mount("devpts", folder / "pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    (folder / "shm").mkdir()
    mount("tmpfs", folder / "shm", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={shared}")
    for name, text in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")):
        (folder / name).symlink_to(text)
    for number, name in ((1, "stdout"), (2, "stderr")):
        (folder / name).symlink_to(f"/proc/self/fd/{number}")
    set_attributes(folder, ATTR_RDONLY, recursive=False)


def loopback_up() -> None:
    """Bring 127.0.0.1 up: the only network that a jail without network has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(control, SIOCGIFFLAGS, asked))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def limit(limits: dict[str, int]) -> None:
    """Lower the limits of this process and its children; never raise one."""
    for name, wanted in limits.items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))


def drop_rights(user: int = 0) -> None:
    """Give up every capability for ever, and become `user` where it is not 0."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        call("prctl", PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    call("prctl", PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0)
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    call("capset", struct.pack("Ii", CAPABILITY_VERSION, 0), bytes(24))


def main() -> int:
    """Enclose this process, run the command as a child, and reap for it until it ends."""
    plan = json.loads(sys.argv[1])
    os.umask(0o022)
    if plan["loopback"]:
        loopback_up()
    build(plan)
    limit(plan["limits"])
    child = os.fork()
    if child == 0:
        drop_rights(plan["user"])
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
    # stays root: to change the user would undo that this process dies with the one outside
    drop_rights()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    try:
        code = main()
    except OSError as failed:
        print(f"jail: {failed}", file=sys.stderr)
        code = 125
    # Not sys.exit: a forked copy of the interpreter has nothing to tidy.
    os._exit(code if code >= 0 else 128 - code)
