"""One run from event to recorded verdict; `dispatch` has it done, in a process of its own."""

import dataclasses
import signal
import time
import traceback
from collections.abc import Callable

from pushforward import durable
from pushforward.errors import BUG, MACHINE, TOOL, MachineError, PushforwardError
from pushforward.git.refs import HOLDOUTS
from pushforward.git.server import Server
from pushforward.notify.asked import asked
from pushforward.server import care, concurrency, pending, record, recover, requests, runs
from pushforward.server.carried import WaitsError
from pushforward.server.console import Console
from pushforward.server.record import Outcome
from pushforward.server.runs import CANCELLED, SKIPPED, SUPERSEDED, Job, Run
from pushforward.server.subject import ConflictError
from pushforward.server.wish import UnwantedError, Wish, next_of
from pushforward.server.workflows import ALONE, BUILD_MINUTES, Execution

POLL_SECONDS = 0.1
TURN_SECONDS = 0.5  # between two looks at who has the concurrency group
FAILED = {"invalid", "failure"}  # for want of space, perhaps
UNWANTED = (SKIPPED, CANCELLED, SUPERSEDED)


def outcome(server: Server, what: Run, console: Console, begun: list[Execution]) -> Outcome:
    """Run what is to be run, which is noted in `begun`.

    Raises `PushforwardError` where there is no outcome, `WaitsError` where not yet.
    """
    wish = Wish(server, what.job)
    wish.heed()
    wish.start()
    try:
        doing = Execution(server, what, console, wish, lambda job: see_to(server, job, wish.heed))
        begun.append(doing)
        return doing.outcome()
    finally:
        wish.stop()


def see_to(server: Server, job: Job, heed: Callable[[], None]) -> Run | None:
    """Have another run run to its end within this one, or wait for whoever runs it; None where it came to none.

    `heed` raises where this run is not wanted any more. No alarm of its own goes off meanwhile: the other has one.
    """
    left = signal.alarm(0)
    try:
        for _ in range(runs.ATTEMPTS):
            run = _seen_to(server, job, heed)
            if run is None or run.final:
                return run
        return None
    finally:
        signal.alarm(left)


def _seen_to(server: Server, job: Job, heed: Callable[[], None]) -> Run | None:
    """One attempt of another run, here or elsewhere, once its concurrency group is free; the run as it stands then."""
    while True:
        while runs.is_running(server, job.key):
            time.sleep(POLL_SECONDS)
        run = runs.load(server, job.key)
        if run is None or run.final:
            return run
        with durable.attempted(runs.lock(server, job.key)) as mine:
            if mine and pending.is_final(server, job):
                return runs.load(server, job.key)
            if mine and not _is_excluded(server, job):
                if short := recover.short_of_space(server):
                    raise MachineError(
                        "the server's disk is full", next="pushforward check, on the server", detail=short
                    )
                fresh = dataclasses.replace(run, attempt=run.attempt + 1, started=time.time(), ended=0.0)
                dead = list(recover.run(server, job.key)) if fresh.attempt > 1 else []
                recover.sign(server, job.key)
                runs.store(server, fresh)
                conduct(server, fresh, dead)
                return runs.load(server, job.key)
        heed()
        time.sleep(TURN_SECONDS)


def _is_excluded(server: Server, job: Job) -> bool:
    """Whether a run at work has the concurrency group of a job.

    Of runs alone that nobody judges: none of them waits for another, as the one does that waits here.
    """
    main = server.repository.resolve(server.default_branch) or ""
    known = (runs.load(server, key) for key in runs.running(server) if key != job.key)
    others = [run.job for run in known if run is not None and run.job.event in ALONE]
    return any(concurrency.exclude(server, job, other, main) for other in others)


def refused(server: Server, job: Job, why: PushforwardError, *, final: bool) -> Outcome:
    """The outcome of a run that ended with an error."""
    if isinstance(why, UnwantedError):
        return record.unwanted(server, job, why.message, next=why.next)
    kind = "merge-conflict" if isinstance(why, ConflictError) else "judged"
    return record.refused(server, job, why, kind=kind, final=final)


def conduct(server: Server, what: Run, left: list[str]) -> None:
    """One run from event to recorded verdict. Whatever goes wrong in it, there is a verdict, or a trace for the next.

    `left` says what an earlier attempt, killed, had left and what of it was ended.
    """
    job, folder = what.job, runs.folder(server, what.job.key)
    signal.alarm(60 * BUILD_MINUTES)  # until it is known what there is to run
    console = Console(folder / runs.LOG)
    for line in left:
        console.say(f"  {line}")
    if what.attempt > 1:
        console.say(f"attempt {what.attempt} of {runs.ATTEMPTS} at {job.id}")
    ledgers = server.repository.names(HOLDOUTS) if what.attempt == 1 else {}
    begun: list[Execution] = []
    try:
        found = _found(server, what, console, begun)
        if found.verdict in FAILED and (mended := list(care.mend(server))):
            for line in mended:
                console.say(f"  {line}")
            found = _found(server, what, console, begun)  # it may have failed for want of that
    except WaitsError as waits:
        console.say(f"queued: {waits.message}")
        runs.store(server, dataclasses.replace(what, attempt=what.attempt - 1, started=0.0, waits_for=waits.commit))
        return
    if found.verdict in FAILED and found.machine is None and (trouble := care.trouble(server)):
        found = refused(server, job, trouble, final=False)
    follow = begun[-1].follow if begun and _is_over(what, found) else None
    done, found = _put(server, what, found, follow, console)
    if found.machine is None:
        care.over(server)
        _tell_beside(what, "the numbers of holdouts", lambda: record.open_retired(server, ledgers))
    elif care.tell(server, found.machine):
        print(f"{job.id} is not judged: {found.machine} {found.machine.detail}", flush=True)  # into the server's log
    _end(server, done, found, console)
    if asked(server.repository):
        from pushforward.server import telling  # whoever has pushed is gone by now, and waits for none of it

        telling.tell(server, done, found)


def _is_over(what: Run, found: Outcome) -> bool:
    """Whether this is how a run has ended, so that others may follow it: nobody has called it off, or tries again."""
    return found.machine is None and found.state != "cancelled" and (found.final or what.attempt >= runs.ATTEMPTS)


def _put(
    server: Server, what: Run, found: Outcome, follow: Callable[[], None] | None, console: Console
) -> tuple[Run, Outcome]:
    """Record what a run came to; where that cannot be written down, or the machine let it fail, that it has to wait.

    First have what follows asked for: whatever dies then, the next attempt finds it there, or asks again.
    However often the machine fails, that is no word on the commit: such an attempt does not count.
    """
    if found.machine is None:
        try:
            if follow is not None:
                _ask(follow, console)
            return record.put(server, what, found, last=what.attempt >= runs.ATTEMPTS), found
        except (PushforwardError, OSError) as failed:
            if failed.errno not in MACHINE if isinstance(failed, OSError) else failed.exit_code != TOOL:
                raise
            trouble = MachineError("what the run came to could not be written down", detail=str(failed))
            found = refused(server, what.job, trouble, final=False)
    return record.held(dataclasses.replace(what, attempt=what.attempt - 1), found), found


def _ask(follow: Callable[[], None], console: Console) -> None:
    """Ask for what follows; that it cannot be handed what was left is no reason to lose a verdict."""
    try:
        follow()
    except OSError as failed:
        if failed.errno in MACHINE:
            raise
        console.say(f"  not all that follows could be started: {str(failed)[:200]}")


def call_off(server: Server, what: Run, why: str) -> Run:
    """Give a run that is not at work its final verdict without running it; the run as it stands then."""
    found = record.unwanted(server, what.job, why, next=next_of(why, what.job))
    if not why.startswith(UNWANTED):
        found = dataclasses.replace(found, state="done")
    done = record.put(server, what, found, last=True)
    return _end(server, done, found, Console(runs.folder(server, what.job.key) / runs.LOG))


def hold(server: Server, what: Run, why: MachineError) -> None:
    """Let a run wait that the machine does not let begin."""
    found = refused(server, what.job, why, final=False)
    done = record.held(dataclasses.replace(what, attempt=what.attempt - 1), found)
    care.tell(server, why)
    _end(server, done, found, Console(runs.folder(server, what.job.key) / runs.LOG))


def _tell_beside(what: Run, told: str, tell: Callable[[], None]) -> None:
    """Write into reports what is beside a verdict; the verdict is there, and ends as it is where that cannot be."""
    try:
        tell()
    except PushforwardError as failed:
        print(f"{what.job.id}: {told} are not told of in a report: {failed.message}", flush=True)  # the server's log


def _found(server: Server, what: Run, console: Console, begun: list[Execution]) -> Outcome:
    try:
        return outcome(server, what, console, begun)
    except WaitsError:
        raise
    except PushforwardError as failed:
        return refused(server, what.job, failed, final=failed.exit_code not in {TOOL, BUG})
    except OSError as failed:
        if failed.errno not in MACHINE and not isinstance(failed, PermissionError):
            return _bug(server, what, failed)
        detail = f"{failed.filename}: {failed.strerror}" if failed.filename else ""
        trouble = MachineError(
            f"the server could not go on: {failed.strerror}", next="pushforward check, on the server", detail=detail
        )
        return refused(server, what.job, trouble, final=False)
    except Exception as bug:  # noqa: BLE001, a bug in one run must not keep the others from theirs
        return _bug(server, what, bug)


def _bug(server: Server, what: Run, bug: Exception) -> Outcome:
    log = runs.folder(server, what.job.key) / "bug.log"
    log.write_text("".join(traceback.format_exception(bug)))
    message = f"a bug: {type(bug).__name__}: {str(bug)[:200]}; the log of it is {log.name} of this run, on the server"
    return refused(server, what.job, PushforwardError(message, exit_code=BUG), final=False)


def _end(server: Server, done: Run, found: Outcome, console: Console) -> Run:
    """Say what a run came to, and that it is over."""
    job = done.job
    console.say(found.terminal.rstrip())
    if not done.final and not found.machine:
        console.say("  this is not final: the next push, or `pushforward dispatch`, tries again")
    ended = dataclasses.replace(done, ended=time.time())
    again = (
        f"git fetch local && pushforward report {job.commit[:9]}" if found.report else f"pushforward runs show {job.id}"
    )
    console.say(f"  {ended.seconds:.1f} s in all; read it again: {again}")
    console.close()
    runs.store(server, ended)
    if ended.final and job.event == "workflow":
        requests.close(server, ended)
    if ended.final:
        _tell_beside(done, "its workflows", lambda: record.beside(server, job.commit))
    (runs.folder(server, job.key) / runs.DONE).touch()
    return ended
