"""The dispatcher, from refs to runs to verdicts: it starts what is pending, each run as a process of its own.

The process of a run is a fork of the dispatcher's (`fork`), and no child that dies with it: it has its own session,
and no file of the dispatcher's open. Started by a person's command, or after the tool was changed, it is an interpreter
of its own.

Crash-only. What is to be done is derived from refs and recorded verdicts; what is being done shows in locks, which the
kernel frees. A coordinator that dies loses nothing: the next one sees the runs at work by their locks, and starts the
others. A run that dies is started again, and ends with a verdict.
"""

import argparse
import contextlib
import dataclasses
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pushforward import durable
from pushforward.errors import MachineError, PushforwardError
from pushforward.git.refs import HEADS, HOLDOUTS, NOTES, TAGS
from pushforward.git.server import PUSHED, SPOOL, Server
from pushforward.server import fork, pending, post_receive, recover, requests, runs
from pushforward.server.fork import Fork
from pushforward.server.pending import Pending
from pushforward.server.runs import ATTEMPTS, Job, Run

KEPT_RUNS = 200
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 3600.0  # after the second failure of the machine, twice as long each time
POLL_SECONDS = 0.05
CHECKED = "pushforward check, then pushforward dispatch when the server is mended"
Say = Callable[[str], None]
Child = subprocess.Popen[bytes] | Fork
Begin = Callable[[Server, str], Child]


def afresh(server: Server, key: str) -> Child:
    """Start the process of a run as an interpreter of its own, by the server's copy of the tool."""
    return post_receive.spawn(server, "--run", key)


def forking() -> Begin:
    """How a process that is nothing but a dispatcher, of the server's copy of the tool, starts those of runs.

    By a fork, as long as that copy is the one that this process was started from.
    """
    lib = Path(__file__).parents[2]
    mine = _state(lib)

    def begin(server: Server, key: str) -> Child:
        if not fork.able() or _state(lib) != mine:
            return afresh(server, key)
        return fork.start(lambda: run_one(Server.load(Path(server.bare)).settle(), key), post_receive.NICE)

    return begin


def _state(folder: Path) -> tuple[int, int, int]:
    """What changes where something else is put in the place of a folder, or of what is in it."""
    found = folder.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def work(
    server: Server, say: Say = print, *, patience: float = 0.0, at_once: bool = False, begin: Begin = afresh
) -> list[Run] | None:
    """Bring everything that is pending to its verdict; the runs that ended meanwhile.

    `at_once` also what the machine has let fail again and again, and what otherwise waits longer each time. One
    coordinator works, one may stand by to take over the moment it is gone. A third has nothing to do and gives None,
    unless the second has become the first within `patience` seconds. `begin` starts the process of a run.
    """
    began, waits_since = time.time(), time.monotonic()
    runs.ring(server)
    while True:
        with contextlib.ExitStack() as stack:
            with durable.attempted(server.folder / post_receive.STANDBY) as mine:
                if mine:
                    stack.enter_context(durable.locked(server.folder / post_receive.LOCK))
            if mine:
                return Coordinator(server, say, began, at_once=at_once, begin=begin).work()
        if time.monotonic() - waits_since > patience:
            say("another dispatcher is about to take this up")
            return None
        time.sleep(POLL_SECONDS)


class Coordinator:
    """Starts runs as their turns come, up to `server.jobs` side by side, until nothing is at work or can be started.

    What ended without a final verdict after `began` is not tried again before somebody asks.
    """

    def __init__(self, server: Server, say: Say, began: float, *, at_once: bool = False, begin: Begin = afresh) -> None:
        self.server, self.say, self.asked, self.at_once, self.begin = server, say, began, at_once, begin
        self.children: dict[str, Child] = {}
        self.others: set[str] = set()
        self.ended: dict[str, Run] = {}
        self.stuck: set[str] = set()  # what could not be written down
        self.main = ""
        self.told: tuple[str, ...] = ()  # what was known when the branches that wait were last asked about

    def work(self) -> list[Run]:
        """Work until there is nothing left to do; the runs that ended."""
        for line in recover.server(self.server):
            self.say(line)
        if any((self.server.folder / SPOOL).glob("*.json")):
            post_receive.spawn(self.server, "--tell")  # what could not be told before
        self._answer()
        while True:
            at_work = self._at_work()
            try:
                self._look(at_work)
            except MachineError as failed:  # nobody knows what has been judged: what is at work ends, no more begins
                blocked = f"runs wait, and no commit is wrong: {failed.message}; {CHECKED}"
                self.say(blocked)
                self._tell(Pending(), blocked)
            self._forget_old()
            if not self.children and not self.others:
                break
            self._wait()
        return list(self.ended.values())

    def _look(self, at_work: dict[str, Job]) -> None:
        """Look for what is to be done, beside what is at work, and start what may be started now."""
        self._enlist_withdrawn()
        self._enlist_tagged()
        self._take_up()
        requests.close_ended(self.server)
        known = [run for run in runs.listed(self.server) if not run.final]
        found = pending.find(self.server)
        self.main = found.main
        self._tidy(known, found, at_work)
        waiting = [job for job in found.jobs if job.key not in at_work and self._is_due(job, found)]
        blocked = self._start(waiting, at_work, found) if waiting else ""
        self._tell(found, blocked or self._held_up(found))

    def _enlist_withdrawn(self) -> None:
        """Enlist what deleted branches were at: whatever of it had no turn yet gets its last word."""
        for job in pending.withdrawn(self.server):
            if runs.load(self.server, job.key) is None:
                runs.store(self.server, Run(job, asked=time.time()))

    def _enlist_tagged(self) -> None:
        """Enlist what tags start that nobody has told of, because the hook of their push died."""
        if not any((self.server.folder / PUSHED).glob("*.json")):
            return
        from pushforward.server import triggers

        triggers.of_tags(self.server, self.say)

    def _take_up(self) -> None:
        """Take up the branches that were not trained and would be now; asked again when there is a verdict more."""
        named = self.server.repository.names(NOTES, HEADS, HOLDOUTS, TAGS)
        now = tuple(named.values())
        if now == self.told:
            return
        self.told = now
        if not pending.untrained(self.server, (tip for name, tip in named.items() if name.startswith(HEADS))):
            return
        from pushforward.server import untrained  # slow to load, and there seldom is one

        try:
            for name in untrained.take_up(self.server):
                self.say(f"{name} is taken up: it was not trained, and would be now")
        except (PushforwardError, OSError) as failed:
            self.say(f"whether what was not trained would be now is not known: {failed}")

    def _answer(self) -> bool:
        """Whether somebody has rung."""
        bell = self.server.folder / runs.BELL
        rung = bell.exists()
        bell.unlink(missing_ok=True)
        return rung

    def _wait(self) -> None:
        """Wait for the end of a run, or for news."""
        while all(child.poll() is None for child in self.children.values()):
            if self._answer():
                self.asked = time.time()
                return
            if not all(durable.held(runs.lock(self.server, key)) for key in self.others):
                return
            time.sleep(POLL_SECONDS)

    def _at_work(self) -> dict[str, Job]:
        """The runs at work: this coordinator's own, and those that a dead one has left."""
        before = self.others | self.children.keys()
        for key, child in list(self.children.items()):
            if child.poll() is not None:
                del self.children[key]
                if child.returncode:
                    self.say(f"{key} was killed, or crashed ({child.returncode})")
        self.others = set(runs.running(self.server)) - self.children.keys()
        now = self.others | self.children.keys()
        for key in before - now:
            self._note_end(key)
        known = {key: runs.load(self.server, key) for key in now}
        return {key: run.job for key, run in known.items() if run is not None}

    def _note_end(self, key: str) -> None:
        run = runs.load(self.server, key)
        if run is not None and run.ended:
            self.ended[key] = run
            again = "" if run.final else ", not final"
            self.say(f"{run.job.id} ({run.job.event} of {run.job.branch}): {run.verdict}{again}, {run.seconds:.1f} s")

    def _is_due(self, job: Job, found: Pending) -> bool:
        """Whether it may be tried (again): not what has ended without a final verdict since somebody asked last.

        But on the default branch what comes later waits for its verdict.
        """
        run = runs.load(self.server, job.key)
        if job.key in self.stuck or (run is not None and self._pauses(run)):
            return False
        if run is None or not run.ended or run.ended < self.asked:
            return True
        if run.machine:
            return False  # not before somebody asks: the machine is as it was
        return job.event == "push" and job.key != [one.key for one in found.jobs if one.event == "push"][-1]

    def _pauses(self, run: Run) -> bool:
        """Whether what the machine has let fail again and again is not tried for each push: it may fail so for days."""
        if not run.machine or run.failures < 2 or self.at_once:
            return False
        pause = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(run.failures - 2, 9))
        return 0 <= time.time() - run.ended < pause

    def _tidy(self, known: list[Run], found: Pending, at_work: Iterable[str]) -> None:
        """Enlist what is new; give what nobody wants, what is gone and what was killed too often its last word.

        `known` are the runs without a last word from before `found` was looked up: what was asked for since is in
        neither, and not gone.
        """
        wanted = {job.key for job in found.jobs}
        for job in found.jobs:
            run = runs.load(self.server, job.key)
            if run is None or (run.final and job.key not in at_work):
                runs.store(self.server, run := Run(job, asked=time.time(), attempt=run.attempt if run else 0))
            if job.key not in at_work:
                if why := runs.cancelled(self.server, job.key):
                    self._conclude(run, why)
                elif run.attempt >= ATTEMPTS and runs.judging(run):
                    self._hold(run)
                elif run.attempt >= ATTEMPTS:
                    self._conclude(run, f"the run was killed {run.attempt} times, or could not be written down")
        for job, after in found.superseded:
            if job.key not in at_work:
                self._conclude(Run(job, asked=time.time()), f"{runs.SUPERSEDED}{after[:9]}")
        for job in found.returned:
            if runs.revive(self.server, job):
                runs.ring(self.server)
        for run in known:
            if run.job.key not in wanted and run.job.key not in at_work:
                self._settle(run)

    def _hold(self, run: Run) -> None:
        """Let a run wait whose judge was killed too often: what judges is the server's own, and so is its end."""
        from pushforward.server import record

        why = f"the judge was killed {run.attempt} times"
        held = record.held(run, record.Outcome("invalid", "", reason=why))
        runs.store(self.server, dataclasses.replace(held, attempt=0, ended=time.time()))
        self.say(f"{run.job.id} is not judged: {why}; pushforward check, then pushforward dispatch")

    def _settle(self, run: Run) -> None:
        """What is no longer pending was recorded by a process that died before it could say so, or is gone."""
        if pending.is_final(self.server, run.job):
            from pushforward.server import record

            runs.store(self.server, record.recovered(self.server, run))
            (runs.folder(self.server, run.job.key) / runs.DONE).touch()
        elif run.job.event == "pull_request":
            self._conclude(run, f"{runs.CANCELLED}{run.job.branch} was deleted before its turn")
        elif run.job.event != "workflow":  # what that is told could not be read, or has come meanwhile
            shutil.rmtree(runs.folder(self.server, run.job.key), ignore_errors=True)

    def _conclude(self, run: Run, why: str) -> None:
        """Give a run that is not at work its final word."""
        if run.job.key in self.stuck:
            return
        from pushforward.server import execute

        with durable.attempted(runs.lock(self.server, run.job.key)) as mine:
            if not mine:
                return
            try:
                if pending.is_final(self.server, run.job):
                    return  # since it was looked up
                self.ended[run.job.key] = execute.call_off(self.server, run, why)
            except (PushforwardError, OSError) as failed:
                self.stuck.add(run.job.key)
                self.say(f"{run.job.id}: {why}; it could not be written down: {failed}")
                return
        self.say(f"{run.job.id} ({run.job.event} of {run.job.branch}): {why}")

    def _start(self, waiting: list[Job], at_work: dict[str, Job], found: Pending) -> str:
        """Start what may be started now, in the order of turns; why nothing may be, if so."""
        if len(waiting) + len(at_work) > 1:
            self._supersede(waiting, at_work.values())
        first = next((job.key for job in found.jobs if job.event == "push"), "")
        taken = list(at_work.values())
        for job in waiting:
            if self._is_over(job.key):
                continue
            if taken and len(taken) >= self._limit():
                break
            if not self._may_begin(job, first, taken, begun=found.begun):
                continue
            if short := recover.short_of_space(self.server):
                self.say(short)
                return short
            self._spawn(job)
            taken.append(job)
        return ""

    def _is_over(self, key: str) -> bool:
        """Whether it has had its final verdict, and nobody has asked for another since."""
        run = runs.load(self.server, key)
        return key in self.ended and (run is None or bool(run.ended))

    def _may_begin(self, job: Job, first: str, taken: list[Job], *, begun: bool) -> bool:
        if job.event == "push" and job.key != first:
            return False
        run = runs.load(self.server, job.key)
        if run is not None and run.waits_for and not self._is_judged(run.waits_for):
            return False
        if job.event == "pull_request" and first and not begun:
            return False
        if job.level and any(other.key == job.cause for other in taken):
            return False  # it follows the end of that one
        return not any(self._exclude(job, other) for other in taken)

    def _is_judged(self, commit: str) -> bool:
        return pending.is_final(self.server, Job("push", "", commit))

    def _exclude(self, one: Job, other: Job) -> bool:
        from pushforward.server import concurrency

        return concurrency.exclude(self.server, one, other, self.main)

    def _supersede(self, waiting: list[Job], at_work: Iterable[Job]) -> None:
        """Call off what a newer run of its group is to end: of branches, schedules and single workflows only."""
        from pushforward.server import concurrency

        older = list(at_work)
        for job in waiting:
            if not concurrency.of(self.server, job, self.main).cancel_in_progress:
                continue
            for other in (one for one in older if concurrency.may_end(job, one)):
                run = runs.load(self.server, other.key)
                late = run is not None and runs.judging(run)
                if not late and self._exclude(job, other) and not runs.cancelled(self.server, other.key):
                    runs.mark_cancelled(self.server, other.key, f"{runs.SUPERSEDED}{job.commit[:9]}")
            older.append(job)

    def _limit(self) -> int:
        from pushforward.server import concurrency

        return concurrency.jobs(self.server, self.main)

    def _spawn(self, job: Job) -> None:
        run = runs.load(self.server, job.key) or Run(job, asked=time.time())
        (runs.folder(self.server, job.key) / runs.DONE).unlink(missing_ok=True)
        fresh = dataclasses.replace(run, job=job, attempt=run.attempt + 1, started=time.time(), ended=0.0, waits_for="")
        runs.store(self.server, fresh)
        self.children[job.key] = self.begin(self.server, job.key)

    def _held_up(self, found: Pending) -> str:
        """Why what waits for a push to the default branch is not begun, where the machine has let that one fail."""
        pushes = [job for job in found.jobs if job.event == "push"]
        waits = bool(pushes) and len(found.jobs) > 1 and not self.children
        run = runs.load(self.server, pushes[0].key) if waits else None
        if run is None or not run.machine or not run.ended:
            return ""
        return f"runs wait, and no commit is wrong: {run.reason}; pushforward dispatch when the server is mended"

    def _tell(self, found: Pending, blocked: str) -> None:
        """Let those who wait know their place."""
        at_work = sorted(self.children.keys() | self.others)
        waiting = [job.key for job in found.jobs if job.key not in at_work and not self._is_over(job.key)]
        runs.store_queue(self.server, at_work, waiting, blocked)

    def _forget_old(self) -> None:
        """Drop the folders of the oldest runs; what they found is in git."""
        folders = sorted((self.server.folder / runs.FOLDER).glob("*"), key=lambda path: path.lstat().st_mtime)
        for folder in folders[:-KEPT_RUNS]:
            run = runs.load(self.server, folder.name)
            if folder.name in self.children or folder.name in self.others or (run is not None and not run.final):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            runs.lock(self.server, folder.name).unlink(missing_ok=True)


def run_one(server: Server, key: str) -> int:
    """What the process of one run does: from event to recorded verdict, alone, and nothing where another was first."""
    with durable.attempted(runs.lock(server, key)) as mine:
        run = runs.load(server, key)
        if mine and run is not None and not _is_over(server, run):
            from pushforward.git import reading
            from pushforward.server import execute

            with reading.kept():
                left = list(recover.run(server, key)) if run.attempt > 1 else []
                recover.sign(server, key)
                execute.conduct(server, run, left)
    if not durable.held(server.folder / post_receive.LOCK):
        post_receive.start(server)  # the coordinator that started this is dead
    return 0


def _is_over(server: Server, run: Run) -> bool:
    """Whether there is nothing to run: it has its verdict, or nobody can tell and it waits as the machine has it."""
    try:
        return pending.is_final(server, run.job)
    except MachineError as failed:
        from pushforward.server import execute

        execute.hold(server, run, failed)
        return True


def main() -> int:
    """Entry of the detached processes: `python -m pushforward.server.dispatch BARE [--run KEY | --tell]`."""
    parser = argparse.ArgumentParser(prog="python -m pushforward.server.dispatch")
    parser.add_argument("bare", type=Path)
    parser.add_argument("--run", metavar="KEY")
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args()
    try:
        server = Server.load(asked.bare).settle()
    except PushforwardError as broken:
        print(broken, flush=True)
        return broken.exit_code
    if asked.run:
        return run_one(server, asked.run)
    if asked.tell:
        from pushforward.server import telling

        telling.send(server)
        return 0
    return _coordinate(server)


def _coordinate(server: Server) -> int:
    """Work; what ends it before its time is kept for whoever waits, and the next one begins where it was."""
    try:
        work(server, lambda line: print(time.strftime("%Y-%m-%d %H:%M:%S"), line, flush=True), begin=forking())
    except Exception as failed:
        post_receive.ended(server, failed)
        raise
    (server.folder / post_receive.FAULT).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
