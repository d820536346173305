"""What a pusher is told before the work where the holdout answers no more, and what is not trained until one opens."""

import time
from collections.abc import Callable, Iterable, Iterator

from pushforward.errors import PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.git.refs import HEADS, ZERO
from pushforward.git.server import Server
from pushforward.judge import ahead, recorded
from pushforward.judge.ahead import Ahead
from pushforward.judge.question import Question
from pushforward.pipeline.revision import Revision
from pushforward.registry.grammar import UNTRAINED
from pushforward.report import note, notes
from pushforward.report.note import Context, Report
from pushforward.report.terminal import terminal
from pushforward.server import runs
from pushforward.server.record import Outcome
from pushforward.server.runs import Job, Run
from pushforward.server.subject import WORDLESS, Subject

SKIP = "skip"


def begin(server: Server, subject: Subject, say: Callable[[str], None], *, insisted: bool) -> Outcome | None:
    """Say what is known before the work; the outcome of what is not trained, None where it is.

    The settings are those of the commit that judges. What somebody has `insisted` on is trained.
    """
    job, judge = subject.job, subject.judge
    question = Question(job.commit, subject.commit, job.event, job.ref, job.pull)
    found = ahead.ahead(subject.repository.path, question, judge)
    if not found:
        return None
    skips = found.in_vain and not insisted and _skips(server, judge)
    for line in ahead.told(found, trains=not skips):
        say(line)
    return _outcome(question, found, judge, server.default_branch) if skips else None


def _skips(server: Server, judge: str) -> bool:
    return Revision(server.repository, judge).settings.server.when_closed == SKIP


def _outcome(question: Question, found: Ahead, judge: str, target: str) -> Outcome:
    """The verdict on what was not trained: `unknown`, with why and until when, and how to have it trained."""
    first, several = found.closed[0], len(found.closed) > 1
    why = "; ".join(one.why for one in found.closed)
    champion = None if several else first.champion
    holdout = verdicts.Holdout(first.months, 0, 0, "") if first.months and not several else None
    verdict = verdicts.Verdict(
        "unknown",
        f"{UNTRAINED}{why}",
        "superior",
        "",
        {},
        commit=question.head,
        base=judge,
        ref=question.ref,
        event=question.event,
        pull=question.pull,
        champion=champion,
        holdout=holdout,
    )
    branch = question.ref.removeprefix(HEADS)
    opens = f"{branch} is judged by itself once {first.until}" if question.pull else f"wait until {first.until}"
    step = f"{opens}; to have it trained now: pushforward runs retry {question.head[:9]}"
    context = Context(branch=branch, target=target, next_step=step)
    report = recorded.report(verdict, context)
    return Outcome("unknown", terminal(verdict, context), report, verdict.reason, subject=question.subject)


def take_up(server: Server) -> list[str]:
    """Take back what was said of open branches that were not trained, where they would be now; what they are called.

    The dispatcher asks, each time that something may have changed: a month has opened a holdout, the settings say
    otherwise, a version was rolled back. Nothing is taken up on a default branch that nobody can judge by.
    """
    repository = server.repository
    main = repository.resolve(server.default_branch)
    if not main or not _judges(server, main):
        return []
    found = []
    for job in _open(server):
        if _waits(server, job, main):
            continue
        with runs.taking_back(server):
            # somebody may have insisted meanwhile, or it is at work: on another branch, too
            if not runs.is_running(server, job.key) and _is_open(
                server, job, notes.read(server.repository, job.commit)
            ):
                runs.forget(server, job)
                runs.store(server, Run(job, asked=time.time(), taken_up=main))
                found.append(job.id)
    return found


def _judges(server: Server, main: str) -> bool:
    """Whether the default branch has come to a verdict, by which a branch could be judged."""
    there = Subject(server, Job("push", f"{HEADS}{server.default_branch}", main))
    return str(there.verdict_of(there.last_run(main)).get("verdict", "invalid")) not in WORDLESS


def _open(server: Server) -> Iterator[Job]:
    """The tips of branches that wait for a holdout."""
    repository = server.repository
    default = f"{HEADS}{server.default_branch}"
    kept = notes.kept(repository)
    tips = [ref for ref in repository.refs(HEADS) if ref.name != default and ref.object in kept]
    for ref, content in zip(tips, repository.objects([kept[ref.object] for ref in tips]), strict=True):
        job = Job("pull_request", ref.name, ref.object, ZERO)
        if content and _is_open(server, job, note.load(content[1]).reports):
            yield job


def _is_open(server: Server, job: Job, reports: Iterable[Report]) -> bool:
    """Whether a branch was not trained, or was taken up in vain: nobody could judge by the default branch by then."""
    told = next((one.verdict for one in reports if one.event == job.event), {})
    if str(told.get("reason", "")).startswith(UNTRAINED):
        return True
    run = runs.load(server, job.key) if told.get("verdict") in WORDLESS else None
    if run is None or not run.taken_up:
        return False
    after = [after for _, after in server.repository.reflog(f"{HEADS}{server.default_branch}")]
    since = after[after.index(run.taken_up) + 1 :] if run.taken_up in after else []
    return bool(since) and not all(_judges(server, commit) for commit in since)


def _waits(server: Server, job: Job, main: str) -> bool:
    """Whether a branch that was not trained would not be now either."""
    repository = server.repository
    try:
        if not _skips(server, main):
            return False
    except PushforwardError:
        return True  # nobody can be judged by such settings
    merge, _ = repository.merge_commit(main, job.commit)
    if merge is None:
        return False  # its run says where it conflicts
    return ahead.ahead(repository.path, Question(job.commit, merge, job.event, job.ref), main).in_vain
