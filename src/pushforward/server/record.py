"""The record of a run, in git: its report, its lock commit, its pictures; then the ref that says that all is there."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from pushforward import durable, files, params, schema
from pushforward.errors import MachineError, PushforwardError
from pushforward.gate.verdict import invalid
from pushforward.git.refs import HOLDOUTS, PASSED, RUNS, TRIALS
from pushforward.git.server import Server
from pushforward.judge import judged, recorded
from pushforward.pipeline.lock import LOCK, merged, read_lock
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import CONFIG
from pushforward.report import note, notes
from pushforward.report.note import Context, Report
from pushforward.report.several import terminal_of
from pushforward.report.terminal import terminal
from pushforward.server import pending, runs
from pushforward.server.runs import Job, Run, State

RELEASES = "releases"
ALONE = {"tag", "schedule", "workflow"}  # what nobody judges
# What the settings, the pipeline, the judge and its scoring are read from, whatever the stages say.
READ_ALWAYS = (schema.FILE, params.FILE, "dvc.yaml", LOCK, ".dvc/config", ".github", "src")
READ_BESIDE = (params.FILE, "dvc.yaml", LOCK, "src")  # in each folder of a pipeline below the root


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run came to: its report, what the pusher is told, the locks and the metrics, the commit it ran.

    One that is not `final` may say more of the machine than of the commit, and is tried again; where it is the
    `machine` that has failed, as often as it takes. `passed` is the tree that a pull request would leave, where its
    verdict lets it in. `release` is a folder that a tag's workflow has made.
    """

    verdict: str
    terminal: str
    report: Report | None = None
    reason: str = ""
    metrics: dict[str, bytes] = dataclasses.field(default_factory=dict)
    pictures: dict[str, bytes] = dataclasses.field(default_factory=dict)
    locks: dict[str, bytes] = dataclasses.field(default_factory=dict)
    subject: str = ""
    passed: str = ""
    release: Path | None = None
    version: str = ""
    state: State = "done"
    final: bool = True
    machine: MachineError | None = None


def told_last(found: Outcome, folder: Path, step: str, review: str = "") -> Outcome:
    """The outcome whose report says `step` at its end, and whose `review` has taken it.

    `folder` holds the verdict and its context as they were judged.

    The judge writes its report before anything is tagged, so what came of that is told here. The report of a judge of
    another version stays as it is: it says that something is to be tagged, not that it was.
    """
    if not judged.is_ours(folder):
        return found
    verdict, context, _ = judged.stored(folder)
    context, parts = dataclasses.replace(recorded.last_word(context, step), review=review), judged.each(folder)
    text = recorded.report(verdict, context, parts)
    return dataclasses.replace(found, terminal=terminal_of(verdict, context, parts), report=text)


def refused(server: Server, job: Job, why: PushforwardError, *, kind: str = "judged", final: bool = True) -> Outcome:
    """The outcome of a run that came to no verdict of its own."""
    if isinstance(why, MachineError):
        return _unjudged(job, why)
    if job.event in ALONE:
        return Outcome("failure", f"! FAILURE  {why}", reason=why.message, final=final)
    context = Context(
        kind="merge-conflict" if kind == "merge-conflict" else "judged",
        branch=job.branch,
        target=server.default_branch,
        next_step=why.next,
    )
    verdict = dataclasses.replace(invalid(why.message), commit=job.commit, ref=job.ref, event=job.event, pull=job.pull)
    report = recorded.report(verdict, context)
    return Outcome(verdict.verdict, terminal(verdict, context), report, reason=why.message, final=final)


def _unjudged(job: Job, why: MachineError) -> Outcome:
    """The outcome of a run that the machine, and not the commit, has let fail: no word on the commit is kept."""
    told = (
        f"! NOT JUDGED  {why.message}\n"
        f"  nothing is wrong with {job.id}: it is tried again with the next push, or `pushforward dispatch`\n"
        f"  next, for whoever runs the server: {why.next or 'pushforward check'}"
    )
    verdict = "failure" if job.event in ALONE else "invalid"
    return Outcome(verdict, told, reason=why.message, final=False, machine=why)


def unwanted(server: Server, job: Job, why: str, *, next: str = "") -> Outcome:  # noqa: A002
    """The final outcome of a run that nobody wants any more: superseded, skipped or cancelled."""
    outcome = refused(server, job, PushforwardError(why, next=next))
    return dataclasses.replace(outcome, state="cancelled")


def put(server: Server, run: Run, outcome: Outcome, *, last: bool) -> Run:
    """Record an outcome, last what says that the rest is there: a ref, or a branch's note. The run as it stands then.

    What is not final leaves a trace that it may be tried again: no ref on the default branch, no note elsewhere. The
    `last` attempt is final whatever it came to.
    """
    job, repository = run.job, server.repository
    folder = runs.folder(server, job.key)
    folder.mkdir(parents=True, exist_ok=True)
    final = outcome.final or last
    if job.event == "push" and outcome.report:
        notes.put(repository, job.commit, outcome.report, lock=server.folder / notes.LOCK)
    if outcome.pictures:
        recorded.put_pictures(repository, job.commit, job.event, outcome.pictures, scratch=folder)
    if final and outcome.passed:
        repository.set_ref(f"{PASSED}{repository.git('rev-parse', f'{outcome.passed}^{{tree}}').text}", outcome.passed)
    if outcome.release is not None:
        publish_release(server.folder / RELEASES, outcome.version, outcome.release)
    if final and job.event == "push":
        know(server, job.commit, outcome.locks)
    _put_refs(server, job, outcome, folder, final=final)
    if final and job.event == "pull_request" and outcome.report:
        # the note is what says that all is there
        notes.put(repository, job.commit, outcome.report, lock=server.folder / notes.LOCK)
    # what is tried again may have been tagged, and hands on what was left then
    for used in ("cache", *(("artifacts", "judged") if final else ())):
        shutil.rmtree(folder / used, ignore_errors=True)
    return dataclasses.replace(held(run, outcome), final=final, machine=False, failures=0)


def beside(server: Server, commit: str) -> None:
    """Tell in the note of a commit, where it has one, how the single workflows of it have ended."""
    found = [run for run in runs.listed(server) if run.job.event == "workflow" and run.job.commit == commit]
    ended = [run for run in found if run.final and run.ended]
    if not ended:
        return
    told = [
        note.Workflow(run.job.id, run.job.file, run.job.on, run.verdict, run.reason, round(run.seconds, 1))
        for run in sorted(ended, key=lambda run: run.job.id)
    ]
    notes.beside(server.repository, commit, told, lock=server.folder / notes.LOCK)


def held(run: Run, outcome: Outcome) -> Run:
    """The run as it stands where nothing is recorded: the machine has let it fail, and it is tried again."""
    return dataclasses.replace(
        run,
        state=outcome.state,
        verdict=outcome.verdict,
        reason=outcome.reason,
        stage="",
        waits_for="",
        final=False,
        machine=True,
        failures=run.failures + 1,
    )


def _put_refs(server: Server, job: Job, outcome: Outcome, folder: Path, *, final: bool) -> None:
    repository = server.repository
    if job.event == "workflow":
        return  # its request goes once its last word is written down
    if job.event == "schedule":
        if final:
            pending.remember(server, {f"{job.file} {job.cron}": job.due})
        return
    target = outcome.subject or job.commit
    if outcome.locks:
        from pushforward.release.promote import lock_commit  # a verdict that is carried over must not wait for it

        target = lock_commit(repository, target, outcome.locks, outcome.metrics, scratch=folder)
    elif known := repository.resolve(f"{RUNS}{outcome.subject}"):
        target = known
    if final and job.event in {"push", "tag"}:
        repository.set_ref(f"{RUNS}{job.tag or job.commit}", target)
    elif outcome.subject and outcome.locks and job.event == "pull_request":
        # the merge that was tried may be what is pushed next: then it is still to be judged as main
        repository.set_ref(f"{TRIALS}{outcome.subject}", target)


def recovered(server: Server, run: Run) -> Run:
    """A run that was recorded by a process that died before it could say so."""
    found = notes.read(server.repository, run.job.commit)
    told = next((one.verdict for one in found if one.event == run.job.event), {})
    verdict, reason = str(told.get("verdict", "")), str(told.get("reason", ""))
    return dataclasses.replace(run, state="done", verdict=verdict, reason=reason, stage="", final=True)


def know(server: Server, commit: str, locks: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Tell the policy hook what it may not read for itself: the registry's names, and what the pipeline reads.

    `locks` are what the run of the commit has locked; without any, and without one in the commit, what was known stays.
    """
    repository = server.repository
    with contextlib.suppress(PushforwardError):  # unreadable settings are the verdict already
        revision = Revision(repository, commit)
        rules = revision.settings
        lock = merged(locks, revision.wdirs) if locks else revision.whole_lock
        reads = pipeline_reads(revision, lock, rules.environment) if lock else []
        server.know(rules.project.models, rules.promote.environments, reads=reads)


def pipeline_reads(revision: Revision, lock: bytes, requirements: Iterable[str]) -> list[str]:
    """The tracked paths that decide what is trained and how it is judged.

    What `lock` names as a dependency, settings, code, workflows, the environment's locks, `*.dvc`. A folder stands for
    all that is in it.
    """
    tracked = set(revision.tree)
    always = [*READ_ALWAYS, *(f"{folder}/{name}" for folder in revision.folders for name in READ_BESIDE if folder)]
    folders = {str(parent) for path in tracked for parent in Path(path).parents}
    stages = read_lock(lock).values()
    locked = {dep["path"] for entry in stages for dep in entry.get("deps", [])}
    locked |= {file for entry in stages for file in entry.get("params", {})}
    found = {path for path in locked if path in tracked or path in folders}
    found |= {path for path in (*always, *requirements) if path in tracked or path in folders}
    return sorted(found | {path for path in tracked if path.endswith((".dvc", f"/{CONFIG}"))})


def publish_release(folder: Path, version: str, made: Path) -> None:
    """Put the plain files of `made` at `folder/version`, whole or not at all; the same again changes nothing."""
    target, fresh = folder / version, folder / f"{version}{durable.UNFINISHED}"
    folder.mkdir(parents=True, exist_ok=True)
    files.remove(folder, fresh.name)
    fresh.mkdir()
    for path in sorted(made.rglob("*")):
        place = fresh / path.relative_to(made)
        if path.is_dir() and not path.is_symlink():
            place.mkdir()
        elif path.is_file() and not path.is_symlink():
            shutil.copyfile(path, place)
            durable.sync(place)
    if target.exists() and not target.is_symlink() and _content(target) == _content(fresh):
        shutil.rmtree(fresh)
        return
    # an older bundle of the same version gives way; a crash between the two leaves the new one to the next attempt
    files.remove(folder, version)
    fresh.rename(target)
    durable.sync(folder)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def open_retired(server: Server, before: dict[str, str]) -> None:
    """Write the numbers of a holdout that has retired into the reports that kept them back."""
    moved = [name for name, tip in server.repository.names(HOLDOUTS).items() if before.get(name) != tip]
    if not moved:
        return
    recorded.open_retired(server.repository, moved, lock=server.folder / notes.LOCK)
