"""What a run's end is news of, and who is told: by a process of its own, after all is recorded. `execute` has it told.

Whom and of what, the default branch says; what a topic branch has there is read by nobody. The addresses are in
`keys/notify.env` of the server, which no run sees. Whatever fails here is a line in the server's log.
"""

import json
import secrets
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pushforward.arrival import told as arrivals
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.repository import Repository
from pushforward.git.server import SPOOL, Server
from pushforward.notify import targets as to
from pushforward.notify.asked import asked
from pushforward.notify.news import News
from pushforward.notify.spool import DROPPED, Spool
from pushforward.pipeline.revision import Revision
from pushforward.registry import tags as registry
from pushforward.report import words
from pushforward.report.note import Report
from pushforward.schema import Target
from pushforward.server import post_receive
from pushforward.server.finding import Finding
from pushforward.server.record import Outcome
from pushforward.server.runs import Run
from pushforward.text import capital, plain

ADDRESSES = "keys/notify.env"
OPEN = 0o077
SHOWN = 20  # of what was dropped
TEST = "test"  # an event that everybody hears of who is told of anything


def spool(server: Server) -> Spool:
    """The messages of a server that wait."""
    return Spool(server.folder / SPOOL, say=lambda line: print(line, flush=True))


def targets(server: Server) -> Mapping[str, Target]:
    """Who is to be told, as the default branch says."""
    if not asked(server.repository):
        return {}
    return Revision(server.repository, server.default_branch).settings.project.notify


def addresses(server: Server) -> dict[str, str]:
    """The addresses by name, from the server's own file; refused where others may read it."""
    path = server.folder / ADDRESSES
    if not path.is_file():
        return {}
    if path.stat().st_mode & OPEN:
        raise PushforwardError(f"{path} can be read by others, and nothing is sent", next=f"chmod 600 {path}")
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def tell(server: Server, done: Run, found: Outcome) -> None:
    """Have told what the end of a run is news of, and do not wait for it; what goes wrong is a line of the log."""
    if not done.final or found.state != "done":
        return
    try:
        wanted = targets(server)
        told = sum(spool(server).put(wanted, one) for one in _news(server, done, found)) if wanted else 0
        if told:
            post_receive.spawn(server, "--tell")
    except (PushforwardError, OSError, ValueError) as failed:
        print(f"nobody is told of {done.job.id}: {failed}", flush=True)


def send(server: Server) -> None:
    """Send what waits; what cannot be sent waits on."""
    try:
        known = addresses(server)
    except PushforwardError as wrong:
        print(wrong, flush=True)
        known = {}
    spool(server).send(known)


def findings(server: Server) -> Iterator[Finding]:
    """What `check` says: who is told and by what, what waits, and every message that was dropped."""
    wanted, place = targets(server), server.folder / ADDRESSES
    known = addresses(server)
    for name, target in wanted.items():
        try:
            there = to.address(target, known)
            heard = f"{name}: told of {', '.join(target.events)} by {there.host}"
            yield Finding("notify", True, heard, "pushforward notify --test")
        except PushforwardError as unset:
            mend = f"write {target.url_env}=ADDRESS into {shlex.quote(str(place))}, and chmod 600 it"
            yield Finding("notify", False, f"{name}: {unset.message}", mend, optional=True)
    waiting = [*spool(server).waiting()]
    if waiting:
        why = f": {waiting[0].why}" if waiting[0].why else ""
        many = "1 message waits" if len(waiting) == 1 else f"{len(waiting)} messages wait"
        found = f"{many}, the first to {waiting[0].name}{why}"
        yield Finding("notify", False, found, "pushforward dispatch, which tries again", optional=True)
    dropped = spool(server).dropped()
    for line in dropped[-SHOWN:]:
        forget = f"rm {shlex.quote(str(spool(server).folder / DROPPED))}, which has all {len(dropped)}, once you know"
        yield Finding("notify", False, f"dropped {line}", forget, optional=True)


def at_once(
    wanted: Mapping[str, Target], known: Mapping[str, str], news: News, *, pauses: Sequence[float] = ()
) -> Iterator[tuple[str, str, str]]:
    """Send news to every target that hears of such: its name, its host, and why it was not taken, or "".

    What may pass is tried again after each of the `pauses`.
    """
    for name, target in wanted.items():
        if news.event not in (*target.events, TEST):
            continue
        try:
            there = to.address(target, known)
        except PushforwardError as unset:
            yield name, "", unset.message
            continue
        yield name, there.host, _sent(target, there, news, pauses)


def _sent(target: Target, there: to.Address, news: News, pauses: Sequence[float]) -> str:
    """Why a message was not taken, or ""."""
    identity, failed = secrets.token_hex(12), ""
    for pause in (0.0, *pauses):
        time.sleep(pause)
        try:
            to.send(target, there, news, identity)
        except to.UndeliveredError as why:
            failed = str(why)
            if why.final:
                break
        else:
            return ""
    return failed


def test(project: str) -> News:
    """What a target is sent to see whether it hears."""
    return News(TEST, project, "a test: whoever reads this is told of what happens here")


def _news(server: Server, done: Run, found: Outcome) -> Iterator[News]:
    job = done.job
    if job.event == "tag":
        failed = "" if found.verdict == "success" else found.reason
        yield from of_use(server.name, server.repository, job.branch, failed)
    elif job.event == "schedule":
        stem = Path(job.file).stem
        if stem.endswith("verify") and found.verdict == "failure":
            yield of_verify(server.name, found.reason, f"pushforward runs logs {job.id}")
        elif stem.endswith("arrive"):
            alarms = arrivals.fresh(server.repository, done.started)
            untold = found.verdict == "failure" and not arrivals.told(server.repository, job.key)
            yield from of_arrivals(server.name, [*alarms, *([arrivals.UNTOLD] if untold else [])])
        elif stem.endswith("monitor"):
            yield from of_looks(server.name, server.repository, job.key, failed=found.verdict == "failure")
    elif found.report is not None and found.report.context.kind != "carried":
        yield of_verdict(server.name, found.report)
        if job.event == "push":
            models = Revision(server.repository, job.commit).settings.project.models
            yield from of_versions(server.name, server.repository, models, job.commit)


def of_verdict(project: str, told: Report) -> News:
    """The news that a verdict is."""
    verdict, context = Verdict.from_json(json.dumps(told.verdict)), told.context
    title = f"{words.WORDS[verdict.verdict]}: {words.title(verdict, context, plain)}"
    branch = verdict.ref.removeprefix("refs/heads/")
    title += f" ({branch})" if branch and verdict.event == "pull_request" else ""
    then = f"pushforward report {verdict.commit[:9]}" if verdict.commit else ""
    return News("verdict", project, title, capital(verdict.reason), then)


def of_versions(project: str, repository: Repository, models: Iterable[str], commit: str) -> Iterator[News]:
    """The news that the versions of a commit are."""
    from pushforward.release import promote  # a verdict that is carried over must not wait for it

    for name in models:
        standing = promote.standing(repository, name, commit)
        if standing.made and standing.version:
            title = f"Promoted: {standing.version.name} ({commit[:9]})"
            yield News("promotion", project, title, capital(standing.words.removeprefix("nothing to do: ")))


def of_use(project: str, repository: Repository, tag: str, failed: str = "") -> Iterator[News]:
    """The news that a tag is which puts a version to use; `failed` says why its workflow did."""
    found = registry.parse(tag)
    parts = found.groupdict() if found else {}
    environment = parts.get("environment") or ""
    known = registry.fold(parts.get("model") or "", repository.refs(*registry.PLACES))
    uses = known.uses(environment)
    place = next((place for place, use in enumerate(uses) if use.name == tag), None)
    now = known.at(uses[place].commit) if place is not None else None
    if now is None:
        return
    before = known.at(uses[place - 1].commit) if place else None
    back = before is not None and now.version < before.version
    title = f"{'Rolled back' if back else 'Released'}: {now.name} is in use in {environment}"
    text = f"its workflow failed: {failed}" if failed else f"before: {before.name}" if before else ""
    yield News("rollback" if back else "release", project, title, capital(text), "pushforward show")


def of_arrivals(project: str, alarms: Iterable[str]) -> Iterator[News]:
    """The news that alarms about batches are, each in its words."""
    for alarm in alarms:
        yield News("arrival", project, "a batch is not as it should be", capital(alarm), "pushforward arrive --dry-run")


def of_verify(project: str, reason: str, then: str) -> News:
    """The news that a failed verification is."""
    return News("verify", project, "what is in use does not hold", reason, then)


def of_looks(project: str, repository: Repository, run: str, *, failed: bool) -> Iterator[News]:
    """The news that the looks of a run are: of what is in use where the word on it has changed, and that it failed."""
    from pushforward.monitoring import decision, kept  # a push must not wait for it

    some = False
    for model, environment in kept.environments(repository):
        for found in kept.looks(repository, environment, model, most=1):
            ours = bool(run) and found.run == run
            some |= ours
            if ours and decision.changed(found.before, found.decision):
                title = f"{found.decision.capitalize()}: {found.version} in {environment}"
                yield News("monitor", project, title, capital(found.reason or decision.HAPPY), found.step)
    if failed:
        title = "not all that is in use was looked at" if some else "what is in use was not looked at"
        yield News("monitor", project, title, "The run has failed: its log says why", "pushforward monitor --dry-run")
