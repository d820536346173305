"""The runs of a server: a folder each, with what it is, how it stands and its log; and what people ask of it.

What counts is in refs. A folder tells of a run to whoever watches, and may be lost.
"""

import dataclasses
import hashlib
import json
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pushforward import durable
from pushforward.errors import POLICY, PushforwardError
from pushforward.git.refs import RUNS, TAGS, ZERO
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.registry.grammar import UNTRAINED, VERSION_TAG
from pushforward.report import notes
from pushforward.text import columns

FOLDER = "runs"
LOCKS = "locks"
LOG = "report.log"
RECORD = "run.json"
CANCEL = "cancel"
DONE = "done"
COORDINATOR = "dispatch.lock"
IDLE_SECONDS = 5.0  # a dispatcher that was killed is replaced within it, if somebody pushes
BELL = "bell"
QUEUE = "queue.json"
FOLLOW_SECONDS = 0.1  # between two looks at a log that grows
QUEUE_SECONDS = 1.0  # a run that begins within this time needs no word of a queue
ATTEMPTS = 3
# How the reason of a run begins that was never run to its end.
SKIPPED, CANCELLED, SUPERSEDED = "skipped: ", "cancelled: ", "superseded by "
RETRY = "retry.lock"

EventName = Literal["push", "pull_request", "tag", "schedule", "workflow"]
State = Literal["queued", "running", "done", "cancelled"]


@dataclass(frozen=True)
class Job:
    """What has no verdict yet: a pushed commit, a tag that puts a version to use, or a workflow whose time has come.

    `tag` is the tag object; `file`, `cron` and `due` (UTC, as 20130501T0500Z) belong to a workflow of a schedule.
    A single `workflow` is `file`, and runs for the event `on`; `cause` is the key of the run that has started it, or
    after whose end it comes, as the `level`th in a row. `trusted` is code that the default branch has.
    """

    event: EventName
    ref: str
    commit: str
    before: str = ZERO
    pull: int | None = None
    tag: str = ""
    file: str = ""
    cron: str = ""
    due: str = ""
    on: str = ""
    serial: str = ""
    cause: str = ""
    level: int = 0
    trusted: bool = False

    @property
    def key(self) -> str:
        """The name of its run's folder."""
        if self.event == "schedule":
            which = hashlib.sha256(f"{self.file} {self.cron}".encode()).hexdigest()[:4]
            return f"schedule-{self.file.rpartition('.')[0]}-{self.due}-{which}"
        return key(self.event, self.serial or self.tag or self.commit)

    @property
    def branch(self) -> str:
        """The branch or the tag without its namespace."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")

    @property
    def id(self) -> str:
        """What people call the run."""
        if self.event == "schedule":
            return self.key.removeprefix("schedule-")
        return self.serial or (self.tag or self.commit)[:9]


@dataclass(frozen=True)
class Run:
    """One run and how it stands; times are seconds since the epoch, 0 for not yet.

    `verdict` is that of a judged commit, or how the workflows of a tag or a schedule ended. `stage` is the workflow at
    work. `waits_for` is a commit of the default branch without whose verdict this one cannot be had. One that is not
    `final` is tried again; what the `machine` has let fail, so many times in a row, says nothing of the commit. What
    is `insisted` on is trained, whether or not its holdout answers. What was not trained and was taken up by itself
    later, was so with the default branch at `taken_up`.
    """

    job: Job
    state: State = "queued"
    verdict: str = ""
    reason: str = ""
    stage: str = ""
    waits_for: str = ""
    attempt: int = 0
    final: bool = False
    machine: bool = False
    failures: int = 0
    insisted: bool = False
    taken_up: str = ""
    asked: float = 0.0
    started: float = 0.0
    ended: float = 0.0

    @property
    def told(self) -> str:
        """Its verdict in a word for people: none on a commit whose run the machine has let fail."""
        return "not judged" if self.machine and self.verdict == "invalid" else self.verdict

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far; nothing where the clock was put back meanwhile."""
        return max(0.0, (self.ended or time.time()) - self.started) if self.started else 0.0

    def record(self) -> dict[str, Any]:
        """As JSON for scripts."""
        told = {"id": self.job.id, "key": self.job.key, "seconds": round(self.seconds, 1)}
        return told | {name: value for name, value in asdict(self).items() if name != "job"} | asdict(self.job)


def key(event: str, name: str) -> str:
    """The name of a run's folder."""
    return f"{event}-{name}"


def folder(server: Server, name: str) -> Path:
    """Where the run called `name` keeps what it has."""
    return server.folder / FOLDER / name


def lock(server: Server, name: str) -> Path:
    """The file that the process of a run holds locked while it works."""
    return server.folder / LOCKS / name


def running(server: Server) -> list[str]:
    """The keys of the runs that are at work, whoever started them."""
    return sorted(path.name for path in (server.folder / LOCKS).glob("*") if durable.held(path))


def is_running(server: Server, name: str) -> bool:
    """Whether a process works on the run called `name`."""
    return durable.held(lock(server, name))


def load(server: Server, name: str) -> Run | None:
    """The run called `name` as it was written down last."""
    try:
        found = json.loads((folder(server, name) / RECORD).read_text())
        return Run(**(found | {"job": Job(**found["job"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def store(server: Server, run: Run) -> None:
    """Write a run down, whole or not at all."""
    place = folder(server, run.job.key)
    if place.is_symlink():  # what is behind it is no run's
        place.unlink()
    place.mkdir(parents=True, exist_ok=True)
    durable.write(place / RECORD, json.dumps(asdict(run), indent=1) + "\n")


def change(server: Server, name: str, **fields: Any) -> None:
    """Write down what is new of a run."""
    if (run := load(server, name)) is not None:
        store(server, dataclasses.replace(run, **fields))


def listed(server: Server) -> list[Run]:
    """All runs that the server remembers, those that wait first, then the newest."""
    at_work = set(running(server))
    known = [load(server, path.parent.name) for path in (server.folder / FOLDER).glob(f"*/{RECORD}")]
    found = [_as_it_stands(run, at_work) for run in known if run is not None]
    return sorted(found, key=lambda run: (run.state == "queued", run.started or run.asked), reverse=True)


def unreadable(server: Server) -> list[str]:
    """The keys of the runs whose records are damaged: what they came to is in git, and their logs are there."""
    known = sorted(path.parent.name for path in (server.folder / FOLDER).glob(f"*/{RECORD}"))
    return [name for name in known if load(server, name) is None]


def _as_it_stands(run: Run, at_work: set[str]) -> Run:
    """Whoever was killed cannot have written that it no longer runs."""
    if run.job.key in at_work:
        return dataclasses.replace(run, state="running")
    return dataclasses.replace(run, state="queued") if run.state == "running" or not run.final else run


def named(server: Server, text: str) -> Run:
    """The run that `text` names: the beginning of a commit, of a tag object or of a key, or the name of a tag."""
    found = [run for run in listed(server) if _answers(run.job, text)]
    if len(found) > 1 and len({run.job.key for run in found if run.job.branch == text}) != 1:
        names = ", ".join(run.job.serial or run.job.key[: len(run.job.event) + 10] for run in found[:4])
        raise PushforwardError(f"'{text}' names {len(found)} runs", next=f"one of {names}")
    if not found and (damaged := [name for name in unreadable(server) if text in name]):
        raise PushforwardError(f"{folder(server, damaged[0]) / RECORD} is damaged", next=set_aside(server, damaged[0]))
    if not found:
        raise PushforwardError(f"no run is called '{text}'", next="pushforward runs")
    return next((run for run in found if run.job.branch == text), found[0])


def _answers(job: Job, text: str) -> bool:
    if len(text) < 4:
        return False
    names = (job.key, job.id, *(() if job.serial else (job.commit, job.tag)))
    return any(name.startswith(text) for name in names) or (bool(job.tag) and not job.serial and job.branch == text)


def set_aside(server: Server, name: str) -> str:
    """The command after which a run with a damaged record is made again where it has no verdict, or forgotten."""
    place = shlex.quote(str(folder(server, name) / RECORD))
    return f"mv {place} {place}.damaged && pushforward dispatch; what it came to: git log --notes=pushforward -1 COMMIT"


def ring(server: Server) -> None:
    """Tell the dispatcher at work that there is news."""
    (server.folder / BELL).touch()


def cancel(server: Server, run: Run, why: str) -> None:
    """Ask for the end of a run; one that has not begun never does."""
    if run.final:
        raise PushforwardError(
            f"{run.job.id} has ended already: {run.verdict or run.state}", next=f"pushforward runs show {run.job.id}"
        )
    if run.state == "running" and judging(run):
        raise PushforwardError(
            f"{run.job.id} is being judged, which is not cut short: it may be tagging",
            next=f"pushforward runs logs -f {run.job.id}",
        )
    mark_cancelled(server, run.job.key, why)
    ring(server)


def judging(run: Run) -> bool:
    """Whether the workflow at work is one that may write looks and tags."""
    return run.stage == "judge"


def mark_cancelled(server: Server, name: str, why: str) -> None:
    """Leave word that a run is not wanted, and why."""
    place = folder(server, name)
    place.mkdir(parents=True, exist_ok=True)
    durable.write(place / CANCEL, why)


def cancelled(server: Server, name: str) -> str:
    """Why a run is not wanted; empty where it is."""
    try:
        return (folder(server, name) / CANCEL).read_text()
    except OSError:
        return ""


def _is_open(repository: Repository, job: Job) -> bool:
    """Whether more days may settle what a run could not tell."""
    for report in notes.read(repository, job.commit)[:1]:
        look = report.verdict.get("look")
        waiting = look.get("waiting") if isinstance(look, dict) else None
        return isinstance(waiting, dict) and waiting.get("open") is True
    return False


def taking_back(server: Server) -> AbstractContextManager[None]:
    """One at a time takes verdicts back: a dispatcher what would be answered now, people what they insist on."""
    return durable.locked(server.folder / RETRY)


def retry(server: Server, run: Run) -> None:
    """Take the verdict of a run back, so that it is run again; only of one that says nothing of a model, or whose look
    stays open for days to come.

    One that was not trained, for its holdout answers no more, is trained then.

    The commit must still be what its branch is at: of an earlier one no verdict could say what merging it would do.
    """
    with taking_back(server):
        _retry(server, load(server, run.job.key) or run)


def _retry(server: Server, run: Run) -> None:
    repository, job = server.repository, run.job
    if is_running(server, job.key) or not run.final:
        state = "running" if is_running(server, job.key) else "queued"
        raise PushforwardError(f"{job.id} is {state}", next=f"pushforward runs logs -f {job.id}")
    untrained = run.reason.startswith(UNTRAINED)
    again = untrained or (run.verdict == "unknown" and _is_open(repository, job))
    if run.state != "cancelled" and not again and run.verdict not in {"invalid", "failure", "timed-out"}:
        raise PushforwardError(
            f"{job.id} has its verdict, {run.verdict}; the same commit gets no other",
            next="change something and push",
            exit_code=POLICY,
        )
    if job.event == "schedule":
        raise PushforwardError(f"{job.id} runs again when its time comes", next="pushforward dispatch")
    if job.event == "push" and (made := _version_of(repository, job.commit)):
        raise PushforwardError(
            f"{job.id} is {made}, which rests on the verdict that it has",
            next=f"change something and push, or pushforward rollback ENVIRONMENT, then pushforward deprecate {made}",
            exit_code=POLICY,
        )
    _must_be_current(repository, job)
    forget(server, job)
    store(server, Run(job, asked=time.time(), insisted=untrained))
    ring(server)


def _version_of(repository: Repository, commit: str) -> str:
    """A version that a commit has become, of whichever model; "" for none."""
    from pushforward.registry import tags as registry  # a hook and a dispatcher read no tag

    tags = [ref for ref in repository.refs(TAGS) if VERSION_TAG.fullmatch(ref.name.removeprefix(TAGS))]
    found = zip(tags, repository.objects([ref.object for ref in tags]), strict=True)
    told = ((ref, registry.record(raw[1].decode("utf-8", "replace"))) for ref, raw in found if raw)
    return next((ref.name.removeprefix(TAGS) for ref, record in told if record.get("commit") == commit), "")


def revive(server: Server, job: Job) -> bool:
    """Take back what was said of a commit that was superseded, where its branch has come back to it."""
    run = load(server, job.key)
    if job.event == "workflow" or run is None or not run.final or not run.reason.startswith(SUPERSEDED):
        return False
    forget(server, job)
    return True


def forget(server: Server, job: Job) -> None:
    """Take the verdict of a job back: then it is pending."""
    repository = server.repository
    if job.event == "pull_request":
        notes.drop(repository, job.commit, job.event, lock=server.folder / notes.LOCK)
    else:
        repository.git("update-ref", "-d", f"{RUNS}{job.tag or job.commit}")
    shutil.rmtree(folder(server, job.key), ignore_errors=True)  # last: what could not be taken back stays as it is


def _must_be_current(repository: Repository, job: Job) -> None:
    there = repository.git("rev-parse", "--verify", "--quiet", job.ref, check=False).text
    if there != (job.tag or job.commit):
        now = f"is at {there[:9]} now" if there else "is gone"
        raise PushforwardError(f"{job.branch} {now}, no longer at {job.id}", next=f"git push local {job.branch}")


def store_queue(server: Server, at_work: list[str], waiting: list[str], blocked: str) -> None:
    """Write down whose turn it is, for those who wait; `blocked` says why nothing can be started."""
    text = json.dumps({"working": at_work, "waiting": waiting, "blocked": blocked}) + "\n"
    path = server.folder / QUEUE
    if not path.is_file() or path.read_text() != text:
        durable.write(path, text)


def queue(server: Server) -> dict[str, Any]:
    """`working` and `waiting` keys in the order of their turns, and why nothing can be started (`blocked`)."""
    try:
        found = json.loads((server.folder / QUEUE).read_text())
    except (OSError, ValueError):
        found = {}
    return {"working": [], "waiting": [], "blocked": ""} | (found if isinstance(found, dict) else {})


def place_of(server: Server, name: str) -> str:
    """Which runs are before this one, as a line; empty where it does not wait, or nobody knows."""
    found = queue(server)
    if found["blocked"]:
        return str(found["blocked"])
    if name not in found["waiting"]:
        return ""
    before = [*found["working"], *found["waiting"][: found["waiting"].index(name)]]
    told = ", ".join(_shown(one) for one in before[:3]) + (f" and {len(before) - 3} more" if len(before) > 3 else "")
    return f"queued: {len(before)} before this one: {told}" if before else "queued: its turn comes next"


class Turn:
    """Tells what is before a run in the queue: after it has waited a moment, and again when that has changed."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name
        self._since, self._told = time.monotonic(), ""

    def news(self) -> str:
        """A line, or "" where there is nothing new."""
        if time.monotonic() - self._since < QUEUE_SECONDS:
            return ""
        place = place_of(self.server, self.name)
        if place == self._told:
            return ""
        self._told = place or self._told
        return place


def _shown(name: str) -> str:
    kind, _, rest = name.partition("-")
    return f"{rest if kind == 'workflow' else rest[:9]} ({kind.replace('_', ' ')})"


def log(server: Server, run: Run, *, follow: bool) -> Iterator[str]:
    """The log of a run as the pusher sees it; with `follow`, its place while it waits, and as it grows to its end."""
    place = folder(server, run.job.key)
    tail = Tail(place / LOG)
    turn = Turn(server, run.job.key)
    idle_since = time.monotonic()
    while True:
        finished = (place / DONE).exists() or not place.exists()
        if text := tail.read():
            yield text
        if finished or not follow:
            return
        working = is_running(server, run.job.key)
        if working or durable.held(server.folder / COORDINATOR):
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > IDLE_SECONDS:
            yield "nobody works on it\n  next: pushforward dispatch\n"
            return
        if not working and (news := turn.news()):
            yield f"{news}\n"
        time.sleep(FOLLOW_SECONDS)


def whole_logs(server: Server, run: Run) -> Iterator[str]:
    """Everything that the steps of a run have said, workflow by workflow."""
    for path in sorted(folder(server, run.job.key).glob("*/log.txt"), key=lambda path: path.stat().st_mtime):
        yield f"== {path.parent.name}\n"
        with path.open(encoding="utf-8", errors="replace") as lines:
            yield from lines


def described(server: Server, run: Run) -> str:
    """All of one run for the terminal."""
    job, place = run.job, folder(server, run.job.key)
    facts = {
        "run": job.key,
        "of": _about(job),
        "commit": job.commit,
        "after": job.cause,
        "state": f"{run.state}, {run.stage}" if run.stage and run.state == "running" else run.state,
        "verdict": f"{run.told}: {run.reason}" if run.reason else run.told,
        "waits for": f"the verdict on {run.waits_for[:9]}" if run.waits_for else "",
        "attempt": f"{run.attempt} of {ATTEMPTS}" if run.attempt > 1 else "",
        "started": clock(run.started),
        "seconds": f"{run.seconds:.1f}" if run.started else "",
        "logs": str(place),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in facts.items() if text)


def _about(job: Job) -> str:
    """What a run is of, for people."""
    if job.serial:
        return f"{job.file} ({job.on}) for {job.branch}"
    return f"#{job.pull} {job.branch}" if job.pull else f"{job.file} ({job.cron})" if job.file else job.branch


class Tail:
    """A log that grows, read a whole line at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0

    def read(self) -> str:
        """The whole lines that are new."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as handle:
            handle.seek(self.position)
            whole, end, _ = handle.read().rpartition(b"\n")
        self.position += len(whole) + len(end)
        return (whole + end).decode("utf-8", "replace")


def clock(moment: float) -> str:
    """A time for people, in this machine's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) if moment else "-"


def table(found: list[Run]) -> str:
    """Runs as a table for the terminal."""
    rows = [("id", "ref", "commit", "state", "verdict", "started", "seconds")]
    for run in found:
        job = run.job
        taken = f"{run.seconds:.1f}" if run.started else "-"
        ref = f"#{job.pull} {job.branch}" if job.pull else job.file or job.branch
        ref = f"{job.file} ({job.on})" if job.serial else ref
        rows.append((job.id, ref[:40], job.commit[:9], run.state, run.told or "-", clock(run.started), taken))
    return "\n".join(columns(rows))
