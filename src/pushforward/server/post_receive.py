"""The post-receive hook: start the dispatcher in a session of its own, and let the pusher watch.

Run by git in the bare repository. Whoever dies here, the run goes on: what is to be done is derived from refs.
"""

import contextlib
import difflib
import os
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from pushforward import durable, files
from pushforward.errors import MACHINE, MachineError, PushforwardError
from pushforward.git import whereabouts
from pushforward.git.refs import ZERO
from pushforward.git.repository import DETACH, SKIP
from pushforward.git.server import FOLDER, Server
from pushforward.process import clean_environment, index_environment
from pushforward.server import runs
from pushforward.server.runs import Job
from pushforward.text import plain

POLL_SECONDS = 0.05
TAKEN_UP = 3  # times that a watcher starts a dispatcher in the place of one that died
LOCK, STANDBY = runs.COORDINATOR, "dispatch.next"
NICE = 10  # a push that waits for its hook comes before runs that take minutes
LOG = runs.LOG
DONE = runs.DONE
FAULT = "dispatch.fault"  # what ended the last dispatcher that did not end by itself
MEND = "next: pushforward check, then pushforward dispatch, on the server"


def spawn(server: Server, *args: str) -> subprocess.Popen[bytes]:
    """Start a process of the server's own that outlives the pusher, and makes way for whoever pushes next."""
    with (server.folder / "dispatch.log").open("ab") as sink:
        child = subprocess.Popen(
            [server.python, "-m", "pushforward.server.dispatch", server.bare, *args],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            env=clean_environment(index_environment() | {"PYTHONPATH": str(server.folder / "lib")}),
            start_new_session=True,
        )
    os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
    with contextlib.suppress(OSError):  # where the kernel shares time by session, only the session's own counts
        Path(f"/proc/{child.pid}/autogroup").write_text(f"{NICE}")
    return child


def start(server: Server) -> subprocess.Popen[bytes] | None:
    """Start a dispatcher; the one at work hears of the news, and this one ends when nothing is left.

    None where one stands by already: it looks for work after it has taken over, and so after this.
    """
    runs.ring(server)
    return None if durable.held(server.folder / STANDBY) else spawn(server)


def busy(server: Server) -> bool:
    """Whether a dispatcher is at work."""
    return durable.held(server.folder / LOCK)


class Watcher:
    """Shows the pusher a run: its place while it waits, its log as it grows, until it is done or nobody works on it."""

    def __init__(self, server: Server, name: str, commit: str, worker: subprocess.Popen[bytes] | None) -> None:
        self.server, self.name, self.commit, self.worker = server, name, commit, worker
        self.tail = runs.Tail(runs.folder(server, name) / LOG)
        self.turn, self.restarts = runs.Turn(server, name), 0

    def follow(self) -> None:
        """Print what there is to see of the run until its end."""
        done = runs.folder(self.server, self.name) / DONE
        while True:
            finished = done.exists()
            if text := self.tail.read():
                sys.stdout.write(text)
                sys.stdout.flush()
            if finished:
                return
            if not runs.is_running(self.server, self.name):
                if news := self.turn.news():
                    print(news, flush=True)
                if not self._somebody_works() and not done.exists():
                    return
            time.sleep(POLL_SECONDS)

    def _somebody_works(self) -> bool:
        """Whether a dispatcher will come to this run; one that died is replaced."""
        if (self.worker and self.worker.poll() is None) or busy(self.server) or runs.is_running(self.server, self.name):
            return True
        if (runs.folder(self.server, self.name) / DONE).exists():
            return True
        why = why_not(self.server, self.name, self.commit)
        if not why and self.restarts < TAKEN_UP:
            self.restarts += 1
            self.worker = start(self.server)
            return True
        print(why or died(self.server, self.commit), flush=True)
        return False


def why_not(server: Server, name: str, commit: str) -> str:
    """Why no dispatcher comes to a run, where that is as it should be; else empty."""
    repository = server.repository
    event = name.partition("-")[0]
    if event == "workflow":
        return str(runs.queue(server)["blocked"])
    if repository.resolve(server.default_branch) is None:
        branch = server.default_branch
        return f"there is no {branch} to compare with yet\n  next: git push local {branch}"
    if event != "tag" and _is_reported(server, commit):
        return f"{commit[:9]} is judged already\n  next: git fetch local && pushforward report {commit[:9]}"
    if blocked := runs.queue(server)["blocked"]:
        return str(blocked)
    return ""


def _is_reported(server: Server, commit: str) -> bool:
    from pushforward.report import notes  # what few pushers wait for

    try:
        return bool(notes.among(server.repository, {commit}))
    except MachineError:  # the dispatcher says so
        return False


def died(server: Server, commit: str) -> str:
    """What to tell a pusher whose run nobody works on: why, as far as a dispatcher could say, and what comes of it."""
    why = ""
    with contextlib.suppress(OSError):
        why = (server.folder / FAULT).read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    because = f": {plain(why, 200)}" if why else ""
    return f"the dispatcher ended before this run did{because}; the next push takes {commit[:9]} up again\n  {MEND}"


def ended(server: Server, failed: BaseException) -> None:
    """Keep in a line what ended a dispatcher, for whoever waits for it."""
    with contextlib.suppress(OSError):
        durable.write(server.folder / FAULT, f"{_why(Path(server.bare), failed)}\n")


def _why(bare: Path, failed: BaseException) -> str:
    """What ended a process of the server's, in a line without the server's paths."""
    if isinstance(failed, PushforwardError):
        line = failed.message.partition("\n")[0]
    elif isinstance(failed, FileNotFoundError) and failed.filename == "git":
        line = "git is not installed, or not on its path"
    elif isinstance(failed, OSError):
        name = Path(os.fsdecode(failed.filename)).name if isinstance(failed.filename, str | bytes) else ""
        line = f"{name}: {failed.strerror}" if name and failed.strerror else failed.strerror or str(failed)
    else:
        line = f"a bug: {type(failed).__name__}: {plain(str(failed), 80)}"
    return line.replace(f"git -C {bare} ", "git ").replace(f"{bare}/", "").replace(str(bare), bare.name)


def options(environment: Mapping[str, str]) -> tuple[set[str], list[str]]:
    """The push options (`git push -o`) that are known, and a line for each that is not."""
    count = environment.get("GIT_PUSH_OPTION_COUNT", "0")
    given = [environment.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(min(int(count or 0), 100))]
    known, strange = set(), []
    for option in given:
        if option in {SKIP, DETACH}:
            known.add(option)
            continue
        close = difflib.get_close_matches(option, (SKIP, DETACH), n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {SKIP} and {DETACH}"
        strange.append(f"push option '{plain(option, 80)}' is not known, and did nothing; {hint}")
    return known, strange


def jobs(server: Server, updates: list[tuple[str, str, str]]) -> Iterator[Job]:
    """What a push asks to be run, the default branch first."""
    default = f"refs/heads/{server.default_branch}"
    for old, new, ref in sorted(updates, key=lambda update: update[2] != default):
        if ref.startswith("refs/heads/") and new != ZERO:
            yield Job("push" if ref == default else "pull_request", ref, new, old)
        elif ref.startswith("refs/tags/") and new != ZERO and _starts_a_run(server, ref):
            commit = server.repository.resolve(new)
            if commit is not None and commit != new:
                yield Job("tag", ref, commit, tag=new)


def _starts_a_run(server: Server, ref: str) -> bool:
    from pushforward.server import pending  # only where there is a tag

    return pending.starts_a_run(server, ref)


def detached(found: list[Job]) -> str:
    """What a pusher is told who does not wait."""
    names = ", ".join(job.id for job in found)
    return f"detached: {names} go on without you\n  next: pushforward runs, or pushforward runs logs -f {found[0].id}"


def left_to(server: Server, owner: str) -> str:
    """What a pusher is told who is not the user whose server it is: only that one has its keys, and judges."""
    try:
        runs.ring(server)
        told = busy(server)
    except PermissionError:
        told = False
    if told:
        return f"taken; {owner}'s dispatcher is at work, and judges it next\n  next: git fetch local"
    return (
        f"taken; {owner}, whose server this is, judges it: with their next push, or by their timer\n"
        f"  next: pushforward dispatch --bare {shlex.quote(server.bare)}, as {owner}"
    )


def main() -> int:
    """Follow the runs of what one push moved. Whatever dies here, the pusher is told: the push is taken already."""
    lines = [line.rstrip("\n").split(" ", 2) for line in sys.stdin]
    if os.environ.get("PUSHFORWARD_RUN"):
        return 0  # pushed by a run: it must not wait for another
    bare, updates = Path(os.environ.get("GIT_DIR", ".")).resolve(), [(old, new, ref) for old, new, ref in lines]
    try:
        _follow(Server.load(bare), updates)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)  # the pusher left; the run goes on
    except PushforwardError as wrong:
        print(taken(updates, _why(bare, wrong), wrong.next), flush=True)
    except Exception as failed:  # noqa: BLE001, a traceback says neither that the push is taken nor what comes of it
        if not isinstance(failed, OSError) or failed.errno not in MACHINE:
            _note(bare)
        print(taken(updates, _why(bare, failed)), flush=True)
    return 0


def _follow(server: Server, updates: list[tuple[str, str, str]]) -> None:
    if owner := whereabouts.owner_elsewhere(Path(server.bare)):
        print(left_to(server, owner), flush=True)
        return
    server = server.settle()
    known, strange = options(os.environ)
    found = [*jobs(server, updates), *_of_tags(server, updates)]
    for line in strange:
        print(line, flush=True)
    for job in found:
        runs.revive(server, job)
    for job in found if SKIP in known else ():
        runs.mark_cancelled(server, job.key, f"{runs.SKIPPED}git push -o {SKIP}")
    worker = start(server)  # whatever was pushed: an earlier push may still wait for its verdict
    if found and DETACH in known:
        print(detached(found), flush=True)
        return
    for job in found:
        Watcher(server, job.key, job.commit, worker).follow()
    _follow_caused(server, {job.key for job in found}, worker)


def _follow_caused(server: Server, seen: set[str], worker: subprocess.Popen[bytes] | None) -> None:
    """Follow the runs that these have started, or that follow their ends, and theirs in turn."""
    from pushforward.server import requests

    while fresh := [job for job in requests.caused(server, seen) if job.key not in seen]:
        for job in fresh:
            seen.add(job.key)
            Watcher(server, job.key, job.commit, worker).follow()


def _of_tags(server: Server, updates: list[tuple[str, str, str]]) -> list[Job]:
    """What tags start that are none of the registry's, whoever has taken them up: a dispatcher may have been first.

    What an earlier push of the same tag has started was asked for before this one moved it.
    """
    pushed = {(ref, new) for _, new, ref in updates if ref.startswith("refs/tags/") and new != ZERO}
    if not pushed:
        return []
    from pushforward.server import pending, triggers  # only where there is a tag

    triggers.of_tags(server)
    landed = {(ref, new): pending.arrival(server.repository, ref) for ref, new in pushed}
    known = [run for run in runs.listed(server) if run.job.serial and (run.job.ref, run.job.tag) in landed]
    found = [run.job for run in known if run.asked >= landed[run.job.ref, run.job.tag]]
    if not found and (many := triggers.too_many(ref for ref, _ in pushed)):
        print(many, flush=True)
    return found


def taken(updates: list[tuple[str, str, str]], why: str, mend: str = "") -> str:
    """What a pusher is told where the server cannot go on: what is judged later, and what brings that about."""
    named = [f"{ref.partition('/')[2].partition('/')[2]} {new[:9]}" for _, new, ref in updates if new != ZERO]
    first = f"next: {mend}, then pushforward dispatch, on the server" if mend else MEND
    then = f", which judges {plain(', '.join(named))}; so does the next push after it" if named else ""
    return f"the push is taken, but the server could not go on: {why}\n  {first}{then}"


def _note(bare: Path) -> None:
    """Keep what died, for whoever looks after the server."""
    with (
        contextlib.suppress(OSError, PushforwardError),
        files.place(bare, f"{FOLDER}/dispatch.log").open("a") as log,
    ):
        traceback.print_exc(file=log)


if __name__ == "__main__":
    sys.exit(main())
