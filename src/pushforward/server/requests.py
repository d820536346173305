"""Runs of single workflows that no ref asks for: of a tag, of the end of another, of a person, of a program.

A file each in the server's folder `asked`, from the moment in which it is due until its run has its last word: whatever
dies meanwhile, the next dispatcher finds it. What it is told is in there, and beside it what it is handed.
"""

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pushforward import durable
from pushforward.actions.event import Event
from pushforward.errors import PushforwardError
from pushforward.git.refs import ZERO
from pushforward.git.server import ASKED, Server
from pushforward.server import left, runs
from pushforward.server.runs import Job, Run

GIVEN = "given"  # artifacts of the run that it follows
KEPT = "asked.json"  # in the folder of a run that has ended, to be asked again
LONGEST_STEM = 60
LISTS = ("paths", "pull_requests")


@dataclass(frozen=True)
class Request:
    """A run that is due: its job, and the event that its workflow is told."""

    job: Job
    event: Event

    def dump(self) -> str:
        """As JSON."""
        return json.dumps({"job": asdict(self.job), "event": asdict(self.event)}) + "\n"


def job_of(
    file: str, what: Event, *, commit: str, serial: str, cause: Job | None = None, level: int = 0, **about: object
) -> Job:
    """The job of one workflow file for one event; the same again is the same job.

    `commit` is the one that it is about, for people; it runs what `what.sha` has. `serial` tells it from others that
    would be called the same, as two that people start of one commit.
    """
    stem = re.sub(r"[^\w.-]", "_", file.rpartition(".")[0])[:LONGEST_STEM]
    told = [file, what.name, what.ref, what.action, commit, cause.key if cause else "", serial]
    digest = hashlib.sha256("\0".join(told).encode()).hexdigest()[:6]
    ref = str(about.pop("ref", what.ref))
    return Job(
        "workflow",
        ref,
        commit,
        file=file,
        on=what.name,
        serial=f"{stem}-{commit[:9]}-{digest}",
        cause=cause.key if cause else "",
        level=level,
        **about,  # type: ignore[arg-type]
    )


def put(server: Server, request: Request, given: Iterable[Path] = ()) -> bool:
    """Have it run, with copies of the folders `given` as the artifacts it is handed; whether it is new."""
    job, place = request.job, _path(server, request.job.key)
    known = runs.load(server, job.key)
    if place.exists() or (known is not None and known.final):
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    target = place.with_suffix(f".{GIVEN}")
    shutil.rmtree(target, ignore_errors=True)
    for folder in given:
        if folder.is_dir() and not folder.is_symlink():
            shutil.copytree(folder, target / folder.name, symlinks=True)
    durable.write(place, request.dump())  # first: of a request a dispatcher makes the run, of a run nobody a request
    if runs.load(server, job.key) is None:
        runs.store(server, Run(job, asked=time.time()))
    return True


def waiting(server: Server) -> list[Job]:
    """What is due and has no last word, in the order in which it was asked for."""
    folder = server.folder / ASKED
    paths = sorted(folder.glob("*.json"), key=_when) if folder.is_dir() else []
    found = []
    for path in paths:
        try:
            request = _read(path)
        except OSError:
            continue  # it is there the next time, or is over
        if request is None:
            left.set_aside(server, path)  # nobody can run what nobody can make anything of
        else:
            found.append(request.job)
    return found


def close_ended(server: Server) -> None:
    """Close what has its last word, and whose process died before it could say so: nothing is deployed twice.

    What was asked for after that word is to be run again.
    """
    for path in (server.folder / ASKED).glob("*.json"):
        run = runs.load(server, path.stem)
        if run is not None and run.final and _when(path) < run.ended and not runs.is_running(server, path.stem):
            close(server, run)


def load(server: Server, job: Job) -> Request:
    """What a run is told. Raises `PushforwardError` where that is gone, OSError where it cannot be read now."""
    request = None
    for path in (_path(server, job.key), runs.folder(server, job.key) / KEPT):
        with contextlib.suppress(FileNotFoundError):
            request = request or _read(path)
    if request is None:
        raise PushforwardError(f"what {job.id} was to be told is gone", next="start it again")
    return request


def is_waiting(server: Server, job: Job) -> bool:
    """Whether a job has no last word yet."""
    return _path(server, job.key).exists()


def given(server: Server, job: Job, target: Path) -> None:
    """Lay out what a run is handed."""
    source = _path(server, job.key).with_suffix(f".{GIVEN}")
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def close(server: Server, run: Run) -> None:
    """Note that a run has its last word; all that it takes to run it again stays in its folder, for as long as that."""
    place, folder = _path(server, run.job.key), runs.folder(server, run.job.key)
    handed = place.with_suffix(f".{GIVEN}")
    with contextlib.suppress(OSError):
        shutil.copyfile(place, folder / KEPT)
    if handed.is_dir():
        shutil.rmtree(folder / GIVEN, ignore_errors=True)
        handed.rename(folder / GIVEN)
    place.unlink(missing_ok=True)


def retry(server: Server, run: Run) -> None:
    """Ask for a run that has ended once more, whatever it came to, as GitHub lets people do."""
    if not run.final or runs.is_running(server, run.job.key):
        raise PushforwardError(f"{run.job.id} has not ended", next=f"pushforward runs logs -f {run.job.id}")
    folder, request = runs.folder(server, run.job.key), load(server, run.job)
    place = _path(server, run.job.key)
    if (folder / GIVEN).is_dir():
        (folder / GIVEN).rename(place.with_suffix(f".{GIVEN}"))
    shutil.rmtree(folder, ignore_errors=True)
    runs.store(server, Run(run.job, asked=time.time()))
    durable.write(place, request.dump())
    runs.ring(server)


def caused(server: Server, keys: Iterable[str]) -> Iterator[Job]:
    """The runs that one of these has started, or that follow its end, and theirs in turn."""
    known = set(keys)
    jobs = sorted((run.job for run in runs.listed(server) if run.job.cause), key=lambda job: (job.level, job.key))
    for job in jobs:
        if job.cause in known:
            known.add(job.key)
            yield job


def _path(server: Server, key: str) -> Path:
    return server.folder / ASKED / f"{key}.json"


def _when(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> Request | None:
    """The request in a file, None where it is none; raises OSError."""
    known = {one.name for one in fields(Event)}
    try:
        found = left.read(path)
        told = {name: value for name, value in found["event"].items() if name in known}
        told |= {name: tuple(told[name]) for name in LISTS if isinstance(told.get(name), list)}
        return Request(Job(**found["job"]), Event(**({"before": ZERO} | told)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
