"""The run queue, derived from refs alone: commits without a verdict, tags that put a version to use, schedules."""

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pushforward import durable
from pushforward.actions import cron as schedule
from pushforward.errors import MachineError, PushforwardError
from pushforward.git import repository as git
from pushforward.git.refs import FOREIGN, HEADS, HOLDOUTS, NOTES, PULLS, RUNS, TAGS, ZERO, foreign
from pushforward.git.repository import Repository
from pushforward.git.server import DELETED, Server
from pushforward.registry.grammar import ENVIRONMENT_TAG, REVIEW_TAG, UNTRAINED
from pushforward.report import notes
from pushforward.server import left, requests, runs
from pushforward.server.runs import Job

if TYPE_CHECKING:
    from pushforward.actions.workflow import Workflow

SCHEDULE = "schedule.json"

PAUSES = (0.05, 0.5)  # seconds, before a ref that seems to be lost is looked for again
LANDS_SECONDS = 60.0  # after its check a push moves its refs, or it never does
CRONS = "crons.json"
DUE = "%Y%m%dT%H%MZ"


@dataclass(frozen=True)
class Pending:
    """Jobs in the order of their turns; `superseded` are those whose turn never comes, and the commit that came after.
    `returned` are commits with a report that their branch has come back to.

    `begun` says whether any commit of the default branch has a verdict: before that nothing is to be compared with.
    `main` is the commit that the default branch is at.
    """

    jobs: tuple[Job, ...] = ()
    superseded: tuple[tuple[Job, str], ...] = ()
    returned: tuple[Job, ...] = ()
    begun: bool = False
    main: str = ""


def find(server: Server) -> Pending:
    """All that is to be done: pushes of the default branch in order, then tags, single workflows, schedules, and
    branches by arrival. Raises MachineError where nobody can tell what has been judged, or how many looks are taken.
    """
    repository = server.repository
    default = f"refs/heads/{server.default_branch}"
    named = repository.names(RUNS, HEADS, TAGS, FOREIGN, NOTES, HOLDOUTS, whole=True)
    _check_lost(repository, named)
    main = repository.resolve(default)
    if main is None:
        if default in named:
            _check_tips(repository, {default: named[default]})
        return Pending()
    judged = {name.removeprefix(RUNS) for name in named if name.startswith(RUNS)}
    moves = [(before, after) for before, after in repository.reflog(default) if after != ZERO]
    pushes = {after: Job("push", default, after, before) for before, after in moves if after not in judged}
    for after in pushes:
        _check_mark(repository, after)
    heads = {name: tip for name, tip in named.items() if name.startswith(HEADS) and name != default}
    found = _branches(repository, heads, set(pushes), named.get(NOTES, ""))
    asked = requests.waiting(server)
    jobs = (*pushes.values(), *_tags(server, named, judged), *asked, *_due(server, main), *found.jobs)
    return replace(found, jobs=jobs, begun=any(after in judged for _, after in moves), main=main)


def untrained(server: Server, tips: Iterable[str]) -> bool:
    """Whether some branch, of those at `tips`, may be one that was not trained, or was taken up since.

    It is a look that costs little.
    """
    if any(UNTRAINED.encode() in told for told in notes.texts(server.repository, tips)):
        return True
    return any(run.taken_up for run in runs.listed(server))


def is_final(server: Server, job: Job) -> bool:
    """Whether a job has its verdict. Raises MachineError where nobody can tell."""
    repository = server.repository
    if job.event == "workflow":
        return not requests.is_waiting(server, job)
    if job.event == "schedule":
        return remembered(server).get(f"{job.file} {job.cron}", "") >= job.due
    if job.event == "pull_request":
        return bool(notes.among(repository, {job.commit}))
    return repository.resolve(f"{RUNS}{job.tag or job.commit}") is not None


def _branches(repository: Repository, refs: dict[str, str], pushes: set[str], reports: str) -> Pending:
    """The tips of branches without a report; and the commits that a later push took the place of before their turn.

    `reports` is the object that their ref names, or "" where git names none.
    """
    logs = {name: [move for move in repository.reflog(name) if move[1] != ZERO] for name in refs}
    asked = {*refs.values(), *(after for moves in logs.values() for _, after in moves)}
    reported = notes.among(repository, asked, reports)
    tips, pulls = {*refs.values()}, _Pulls(repository)
    jobs: dict[str, tuple[float, Job]] = {}
    superseded: dict[str, tuple[Job, str]] = {}
    returned = []
    for name, tip in refs.items():
        moves = logs[name]
        if tip not in reported and tip not in pushes:
            before = next((before for before, after in reversed(moves) if after == tip), ZERO)
            job = Job("pull_request", name, tip, before, pulls.of(name))
            jobs.setdefault(tip, (arrival(repository, name), job))
        elif any(after == tip for _, after in moves[:-1]):
            returned.append(Job("pull_request", name, tip, moves[-1][0], pulls.of(name)))
        for place, (before, after) in enumerate(moves[:-1]):
            if after not in reported and after not in tips and after not in pushes:
                job = Job("pull_request", name, after, before, pulls.of(name))
                superseded[after] = job, moves[place + 1][1]
    in_order = [job for _, job in sorted(jobs.values(), key=lambda found: found[0])]
    _check_tips(repository, {job.ref: job.commit for job in in_order})
    return Pending(tuple(in_order), tuple(superseded.values()), tuple(returned))


def _check_lost(repository: Repository, named: Mapping[str, str]) -> None:
    """Refuse branches and ledgers whose files are gone.

    Nobody has deleted them, or git would have deleted their histories too; a ledger would begin again with all looks.
    """
    logs = repository.path / "logs"
    for pause in (0.0, *PAUSES):  # one that comes or goes in this moment has the one before the other
        time.sleep(pause)
        files = (path for kept in (HEADS, HOLDOUTS) for path in (logs / kept).rglob("*") if path.is_file())
        there = (str(path.relative_to(logs)) for path in files)
        gone = sorted(name for name in there if name not in named and repository.lost(name))
        if not gone:
            return
        named = repository.names(HEADS, HOLDOUTS, whole=True)
    raise MachineError(f"the file of {gone[0]} is gone", next="pushforward check, where it lies")


def _check_mark(repository: Repository, commit: str) -> None:
    """Refuse the lost mark of a push that was judged."""
    if repository.lost(f"{RUNS}{commit}") and repository.resolve(f"{RUNS}{commit}") is None:
        raise MachineError(f"the file of {RUNS}{commit} is gone", next="pushforward check, where it lies")


def _check_tips(repository: Repository, tips: dict[str, str]) -> None:
    """Refuse branches whose commits git has lost: of those nobody can say anything."""
    for (ref, _), there in zip(tips.items(), repository.objects([*tips.values()]), strict=True):
        if there is None:
            raise MachineError(f"the commit of {ref} is not there", next="pushforward check, where it lies")


def withdrawn(server: Server) -> Iterator[Job]:
    """What deleted branches were at and nobody has told of: whoever takes it up writes it down before the next one.

    A deletion that the policy has passed may not have landed yet, or never will; the history of a branch that was made
    anew begins otherwise.
    """
    repository = server.repository
    known: set[str] | None = None
    for path, found in left.each(server, DELETED):
        told = found if isinstance(found, dict) else {}
        ref, log = str(told.get("ref", "")), str(told.get("log", ""))
        if not left.is_ref(ref, HEADS) or not log:
            left.set_aside(server, path)
            continue
        there = repository.path / "logs" / ref
        if there.is_file() and there.read_text("utf-8", "replace").partition("\n")[0] == log.partition("\n")[0]:
            if left.is_older(path, LANDS_SECONDS):
                path.unlink(missing_ok=True)
            continue
        if known is None:
            pushed = {after for _, after in repository.reflog(f"{HEADS}{server.default_branch}")}
            known = {*notes.reported(repository), *pushed}
        for before, after in git.moves(log):
            if after not in known:
                yield Job("pull_request", ref, after, before)
        path.unlink(missing_ok=True)


def overdue(server: Server, seconds: float) -> str:
    """The workflow of a schedule whose time was more than `seconds` ago and has not been run; "" for none."""
    main = server.repository.resolve(f"refs/heads/{server.default_branch}")
    known, then = remembered(server), datetime.now(UTC) - timedelta(seconds=seconds)
    for file, cron in _crons(server, main) if main else ():
        latest, last = schedule.parse(cron).latest(then), known.get(f"{file} {cron}", "")
        if latest is not None and last and last < latest.strftime(DUE):
            return f"{file} ({cron}) was due at {latest:%Y-%m-%d %H:%M} UTC and has not run"
    return ""


def arrival(repository: Repository, ref: str) -> float:
    """When a branch or a tag was moved last, in seconds since the epoch; 0 where nobody knows."""
    path = repository.path / "logs" / ref
    return path.stat().st_mtime if path.is_file() else 0.0


class _Pulls:
    """The numbers of pull requests by their branches: `refs/pull/<n>/head` is a symbolic ref to one."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        places = [path for path in (repository.path / "refs" / "pull").glob("*") if path.name.isdigit()]
        self.last = max((int(path.name) for path in places), default=0)
        heads = [path / "head" for path in places if (path / "head").is_file()]
        self.numbers = {path.read_text().strip().removeprefix("ref: "): int(path.parent.name) for path in heads}

    def of(self, ref: str) -> int:
        """The number of a branch's; a new one where it has none."""
        if ref not in self.numbers:
            self.last += 1
            self.repository.git("symbolic-ref", f"{PULLS}{self.last}/head", ref)
            self.numbers[ref] = self.last
        return self.numbers[ref]


def starts_a_run(server: Server, ref: str) -> bool:
    """Whether a tag of this name puts a version to use where a person decides that, or is a person's word."""
    manual = _manual(server)
    return (_assignment(ref, manual) or _review(ref, manual[0])) is not None


def _review(ref: str, models: list[str]) -> tuple[str, int] | None:
    found = REVIEW_TAG.fullmatch(ref.removeprefix(TAGS))
    return (f"{found['model']}@review", int(found["counter"])) if found and found["model"] in models else None


def _manual(server: Server) -> tuple[list[str], set[str]]:
    """The models, and the environments that no passing verdict fills by itself."""
    path = server.folder / "registry.json"
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):  # the policy refuses every push until it is written again
        read = json.loads(path.read_text())
        known = read if isinstance(read, dict) else {}
    environments = known.get("environments")
    manual = (
        {name for name, how in environments.items() if how == "manual"} if isinstance(environments, dict) else set()
    )
    several = known.get("models")
    return (several if isinstance(several, list) else [str(known.get("model", ""))]), manual


def _assignment(ref: str, manual: tuple[list[str], set[str]]) -> tuple[str, int] | None:
    models, environments = manual
    found = ENVIRONMENT_TAG.fullmatch(ref.removeprefix(TAGS))
    if found is None or found["model"] not in models or found["environment"] not in environments:
        return None
    return found["environment"], int(found["counter"])


def _tags(server: Server, named: dict[str, str], judged: set[str]) -> list[Job]:
    """The tags that put a version to use where a person decides that, and reviews, by their numbers, not run yet."""
    manual = _manual(server)
    objects = {name: identity for name, identity in named.items() if name.startswith((TAGS, FOREIGN))}
    others = foreign(objects)  # what GTO has put to use starts nothing here
    places = {
        name: place
        for name, identity in objects.items()
        if identity not in judged and (place := _assignment(name, manual) or _review(name, manual[0]))
    }
    wanted = [name for name in places if name.removeprefix(TAGS) not in others]
    refs = server.repository.refs(*wanted) if wanted else ()
    found = [(places[ref.name], Job("tag", ref.name, ref.target, tag=ref.object)) for ref in refs if ref.type == "tag"]
    return [job for _, job in sorted(found, key=lambda one: one[0])]


def _due(server: Server, main: str) -> Iterator[Job]:
    """The workflows of schedules whose time has passed since their last run; times that were missed count once."""
    known, now = remembered(server), datetime.now(UTC)
    default = f"refs/heads/{server.default_branch}"
    fresh = {}
    for file, cron in _crons(server, main):
        latest = schedule.parse(cron).latest(now)
        last = known.get(f"{file} {cron}", "")
        if not last or last > now.strftime(DUE):  # a clock that was ahead once is no reason never to run again
            fresh[f"{file} {cron}"] = now.strftime(DUE)  # what lies before its first sight was never missed
        elif latest is not None and last < (due := latest.strftime(DUE)):
            yield Job("schedule", default, main, file=file, cron=cron, due=due)
    if fresh:
        remember(server, fresh)


def _crons(server: Server, main: str) -> list[tuple[str, str]]:
    """(file, cron) of the default branch's schedules; kept, since to read workflows takes longer than all else here."""
    path = server.folder / CRONS
    kept: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text())
        if kept["commit"] == main:
            return [(file, cron) for file, cron in kept["crons"]]
    told = _told_by(server.repository, main)
    found: list[tuple[str, str]] | None = None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        found = [(file, cron) for file, cron in kept["crons"]] if kept["told_by"] == told else None
    if found is None:
        found = list(_listed_crons(server, main))
    durable.write(path, json.dumps({"commit": main, "told_by": told, "crons": found}) + "\n")
    return found


def _told_by(repository: Repository, main: str) -> str:
    """What says which schedules a commit has: its workflows and its settings, or the commit where it has no such."""
    named = [f"{main}:.github/workflows", f"{main}:pushforward.yaml"]
    asked = repository.git("rev-parse", "--quiet", *named, check=False)
    return main if asked.returncode != 0 else asked.text


def _listed_crons(server: Server, main: str) -> Iterator[tuple[str, str]]:
    from pushforward.actions.workflow import crons

    for flow in workflows(server, main):
        for cron in crons(flow):
            with contextlib.suppress(PushforwardError):  # its workflow is refused for it wherever it is run
                schedule.parse(cron)
                yield flow.file, cron


def workflows(server: Server, commit: str) -> "list[Workflow]":
    """The workflow files at `commit` that its own settings have this server run; none where they cannot be read."""
    from pushforward.pipeline.revision import Revision
    from pushforward.server import flows  # slow to load, and not needed to see that there is nothing to do

    repository = server.repository
    try:
        wanted = Revision(repository, commit).settings.server.workflows
        return flows.listed(repository, commit, wanted, server.default_branch)
    except PushforwardError:
        return []  # the verdict of that commit says so


def remembered(server: Server) -> dict[str, str]:
    """`<file> <cron>` of a schedule -> the minute up to which it has been run."""
    try:
        found = json.loads((server.folder / SCHEDULE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(server: Server, fresh: dict[str, Any]) -> None:
    """Note up to which minute schedules have been run."""
    with durable.locked(server.folder / f"{SCHEDULE}.lock"):
        durable.write(server.folder / SCHEDULE, json.dumps(remembered(server) | fresh, indent=1, sort_keys=True) + "\n")
