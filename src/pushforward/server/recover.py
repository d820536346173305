"""Recovery from dead processes: their locks, git's and ours, quarantined objects, children, half-written files."""

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pushforward import durable, process
from pushforward.git.server import ASKED, DELETED, PUSHED, Server
from pushforward.sandbox import processes
from pushforward.sandbox.processes import Process
from pushforward.server import runs

OLD_SECONDS = 10.0  # git takes and frees a lock within a moment
COPIED_SECONDS = 3600.0  # what a run is handed is copied before it is asked for
LIMIT_LOG = 1 << 20
FREE_BYTES = 2 * 1024**3
TICKS = os.sysconf("SC_CLK_TCK")


def server(made: Server) -> Iterator[str]:
    """Clear what nobody needs any more out of a server that no dispatcher works for; one line for each thing."""
    bare = Path(made.bare)
    for path in stale(bare):
        _delete(path)
        yield f"removed {path.relative_to(bare)}: whoever made it is dead"
    inside = (path for path in (made.folder / runs.FOLDER).glob("*") if not path.is_symlink())
    told = (made.folder / name for name in (DELETED, PUSHED, ASKED))
    for folder in (made.folder, *told, made.folder / runs.FOLDER, *inside):
        for path in folder.glob(f"*{durable.UNFINISHED}"):
            if _age(path) > OLD_SECONDS:
                _delete(path)
                yield f"removed {path.relative_to(bare)}: it was never finished"
    for path in (made.folder / runs.FOLDER).glob("*"):
        begun = any((path / name).exists() for name in (runs.RECORD, runs.CANCEL, runs.LOG))
        if path.is_dir() and not begun and _age(path) > OLD_SECONDS:
            _delete(path)
            yield f"removed {path.relative_to(bare)}: a run that was never begun"
    for path in (made.folder / ASKED).glob("*.given"):
        if not path.with_suffix(".json").exists() and _age(path) > COPIED_SECONDS:
            _delete(path)
            yield f"removed {path.relative_to(bare)}: nobody asks for the run that was to be handed it"
    log = made.folder / "dispatch.log"
    if log.exists() and log.stat().st_size > LIMIT_LOG:
        log.replace(log.with_suffix(".log.old"))
        yield "dispatch.log is begun anew; the old one is dispatch.log.old"


def stale(bare: Path) -> Iterator[Path]:
    """Locks of git, and objects of pushes, whose makers are dead."""
    locks = (*bare.glob("*.lock"), *(bare / "refs").rglob("*.lock"), *(bare / "objects").rglob("*.lock"))
    for path in (*locks, *(bare / "objects").glob("tmp_objdir-incoming-*")):
        age = _age(path)
        if age > OLD_SECONDS and not _git_at_work(bare, age):
            yield path


def run(made: Server, key: str) -> Iterator[str]:
    """End what the killed process of a run has left running; one line for each process.

    They are of its session, or have their home in its folder. The number of a session is not given away again while
    one process of it lives; that a later session has it shows in its first process, which began after the run did.
    """
    place, mine = runs.folder(made, key), os.getpid()
    recorded = _holder(made, key)
    found = list(processes.every())
    leader = next((one for one in found if recorded and one.pid == recorded[0]), None)
    for one in found:
        if one.pid == mine:
            continue
        theirs = recorded and one.session == recorded[0] and one.began >= recorded[1] and leader is None
        if theirs or _lives_in(one, place):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one.pid, signal.SIGKILL)
                yield f"ended {one.name} ({one.pid}), which a killed run had left"


def sign(made: Server, key: str) -> None:
    """Note which process holds the lock of a run, for whoever has to clear up after it."""
    if (mine := processes.of(os.getpid())) is not None:
        runs.lock(made, key).write_text(f"{mine.pid} {mine.began}")


def _holder(made: Server, key: str) -> tuple[int, int] | None:
    with suppress(OSError, ValueError):
        pid, began = runs.lock(made, key).read_text().split()
        return int(pid), int(began)
    return None


def _lives_in(one: Process, place: Path) -> bool:
    return any(word.startswith(f"HOME={place}/".encode()) for word in one.environment())


def short_of_space(made: Server) -> str:
    """Which disk has fewer than `FREE_BYTES` left for a run, as a line with the command that shows it; "" for none."""
    for path in (made.folder, *([Path(made.store)] if made.store and Path(made.store).is_dir() else [])):
        free = shutil.disk_usage(path).free
        if free < FREE_BYTES:
            has = f"{free / 1024**3:.1f} GiB free, a run needs {FREE_BYTES / 1024**3:g}"
            return f"runs wait: the disk of {path} has {has}; df -h {path}, then pushforward dispatch"
    return ""


def _git_at_work(bare: Path, age: float) -> bool:
    """Whether a git process of `age` seconds or more works in the repository: it stands in there, or was told its path.

    A younger one did not make what is older: the push that waits for this dispatcher, for one.
    """
    inside, uptime = os.fsencode(bare), time.clock_gettime(time.CLOCK_BOOTTIME)
    for one in processes.every():
        if one.name.startswith("git") and uptime - one.began / TICKS >= age - 1:
            with suppress(OSError):
                folder = Path(f"/proc/{one.pid}/cwd").readlink()
                told = Path(f"/proc/{one.pid}/cmdline").read_bytes()
                if folder == bare or inside in told:
                    return True
    return not Path("/proc/self/stat").exists()


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear(folder: Path, *, keep: Iterable[str]) -> None:
    """Empty a folder but for what is to be kept, whoever owns what is in it and however deep it goes."""
    wanted = set(keep)
    found = list(folder.glob("*")) if folder.is_dir() and not folder.is_symlink() else []
    for path in found:
        if path.is_symlink():  # chmod would go where it leads
            path.unlink()
    gone = [str(path) for path in found if path.name not in wanted and path.exists()]
    if gone:
        process.run(["chmod", "-R", "u+rwx", "--", *gone], check=False)
        process.run(["rm", "-rf", "--one-file-system", "--", *gone], check=False)
