"""First stage of the jail of an untrusted run where the server is root: gives the run a kernel user of its own.

A script for `python -I -S`; standard library only. Usage: unroot.py PLAN COMMAND…, PLAN being JSON: user (a number
that nobody has), own (paths that shall belong to it), read (paths of root that it may read, whatever their modes).

COMMAND runs as root of a new user namespace in which `user` exists too: the last stage of the jail becomes `user` and
nothing leads back. Limits of processes bind `user`, what belongs to root is foreign to it, and what it leaves behind
with a set-user-id bit is harmless.
"""

import ctypes
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# From linux/mount.h, linux/sched.h, linux/prctl.h, fcntl.h; the numbers of system calls are the same on all machines.
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, MOVE_MOUNT_F_EMPTY_PATH = 1, os.O_CLOEXEC, 4
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
ATTR_IDMAP = 0x00100000
MS_REC, MS_PRIVATE = 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library; raise `OSError` with its name where it fails."""
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def system_call(number: int, *arguments: Any) -> int:
    """Call a system call that the C library has no function for."""
    return call("syscall", ctypes.c_long(number), *arguments)


def with_helper(action: Any, job: Any) -> None:
    """Run `action` in this process, then `job(pid of this process)` in a child that has all of the rights left here."""
    ready, told = os.pipe()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(told)
        os.read(ready, 1)
        job(me)
        os._exit(0)
    os.close(ready)
    action()
    os.write(told, b"x")
    os.close(told)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError("the users of the new namespace could not be mapped")


def map_users(pid: int, lines: str) -> None:
    """Say which users and groups there are in the user namespace of process `pid`."""
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text(lines)


def everybody() -> str:
    """The map that leaves every user what he is."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return "".join(f"{first} {first} {count}\n" for first, _, count in (line.split() for line in lines))


def root_as(user: int) -> int:
    """A descriptor of a user namespace that shows the files of root as those of `user`."""
    hold, released = os.pipe()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(released)
        call("unshare", CLONE_NEWUSER)
        os.write(told, b"x")
        os.read(hold, 1)
        os._exit(0)
    for descriptor in (hold, told):
        os.close(descriptor)
    if not os.read(ready, 1):
        raise OSError("there are no user namespaces left")
    os.close(ready)
    map_users(child, f"0 {user} 1\n1 1 {user - 1}\n")
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    os.close(released)
    os.waitpid(child, 0)
    return namespace


def clone(path: str) -> int:
    """A descriptor of a copy of the mounts at `path`."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    return system_call(SYS_OPEN_TREE, ctypes.c_int(AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags))


def show_as(tree: int, namespace: int) -> None:
    """Map the owners of what is in the copied mounts `tree` through the user namespace."""
    wanted = struct.pack("QQQQ", ATTR_IDMAP, 0, 0, namespace)
    flags = ctypes.c_uint(AT_EMPTY_PATH | AT_RECURSIVE)
    system_call(SYS_MOUNT_SETATTR, ctypes.c_int(tree), b"", flags, wanted, ctypes.c_size_t(len(wanted)))


def attach(tree: int, path: str) -> None:
    """Mount the copy `tree` at `path`."""
    flags = ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH)
    system_call(SYS_MOVE_MOUNT, ctypes.c_int(tree), b"", ctypes.c_int(AT_FDCWD), os.fsencode(path), flags)
    os.close(tree)


def arrange(own: list[str], read: list[str], user: int) -> None:
    """Show the paths `read` as if what is root's in them were the user's, and the paths `own` as they are."""
    if not read:
        return
    call("unshare", CLONE_NEWNS)
    call("mount", b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
    namespace = root_as(user)
    trees = {}
    own, read = ([os.path.realpath(path) for path in paths] for paths in (own, read))
    for path in sorted({*read, *own}):
        tree = clone(path)
        if path not in own:
            try:
                show_as(tree, namespace)
            except OSError as failed:
                # this file system, or this kernel, cannot: then the run may read what everybody may
                needed = 0o005 if Path(path).is_dir() else 0o004
                if Path(path).stat().st_mode & needed != needed:
                    raise OSError(f"only its owner may read {path}, which is shown to nobody else ({failed})") from None
                os.close(tree)
                continue
        trees[path] = tree
    os.close(namespace)
    for path, tree in trees.items():
        attach(tree, path)


def give(path: str, user: int) -> None:
    """Make a file, or a folder with all that is in it, the user's."""
    os.chown(path, user, user, follow_symlinks=False)
    for entry in below(path):
        os.chown(entry.path, user, user, follow_symlinks=False)


def below(path: str) -> Iterator[os.DirEntry[str]]:
    """Every file and folder below a folder; nothing for a file."""
    waiting = [path] if Path(path).is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                yield entry


def main() -> None:
    """Leave what only root may do, and become the command."""
    plan = json.loads(sys.argv[1])
    user = plan["user"]
    parent = os.getppid()
    for path in plan["own"]:
        give(path, user)
    arrange(plan["own"], plan["read"], user)
    lines = everybody()
    with_helper(lambda: call("unshare", CLONE_NEWUSER), lambda pid: map_users(pid, lines))
    # counted in the namespace made above and below it only: the machine keeps its own number
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    call("prctl", PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise OSError("the server is gone")
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    try:
        main()
    except OSError as failed:
        print(f"jail: {failed}", file=sys.stderr)
        os._exit(125)
