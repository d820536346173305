"""One run: the workflows of one event and of the `workflow_run` that they cause, up to what it came to."""

import contextlib
import dataclasses
import functools
import json
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from pushforward.actions import act as run
from pushforward.actions import event, workflow
from pushforward.actions.event import Event
from pushforward.actions.workflow import Workflow
from pushforward.cause import Cause
from pushforward.errors import BUG, MACHINE, TOOL, USAGE, MachineError, PushforwardError
from pushforward.git.refs import HOLDOUTS, VERDICTS
from pushforward.git.server import Server
from pushforward.judge import handover
from pushforward.judge.handover import read_metrics
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.dvc import LOCK, METRICS
from pushforward.registry import signers, trust
from pushforward.registry import tags as registry
from pushforward.release import promote
from pushforward.sandbox import jail
from pushforward.server import care, record, recover, runs
from pushforward.server.console import Console, Lines
from pushforward.server.record import Outcome
from pushforward.server.runs import CANCELLED, SKIPPED, SUPERSEDED, Job, Run
from pushforward.server.subject import ConflictError, Subject

LIMIT_PICTURE = 1 << 20
ASK_SECONDS = 0.2
RELEASE = "release"  # the artifact of a tag's workflow that is kept
JUDGE = "judge"
BRACES = frozenset("{}")
FAILED = {"invalid", "failure"}  # for want of space, perhaps
UNWANTED = (SKIPPED, CANCELLED, SUPERSEDED)
BUILD_MINUTES = 40  # what building environments may take beside the workflows
KEPT = (runs.LOG, runs.RECORD, runs.CANCEL)  # of an attempt that was killed


@functools.cache
def _jail(*, trust: bool) -> jail.Jail:
    try:
        return jail.find(trust=trust)  # to find out takes as long as a short workflow
    except PushforwardError as none:
        first = none.message.splitlines()[0]
        raise MachineError(first, next=none.next, detail=none.message) from none


class WaitsError(PushforwardError):
    """A run that cannot end before the default branch's `commit` has its verdict."""

    def __init__(self, commit: str) -> None:
        super().__init__(f"it changes nothing that is trained, and waits for the verdict on {commit[:9]}")
        self.commit = commit


class UnwantedError(PushforwardError):
    """A run that somebody has called off."""


class Wish(threading.Thread):
    """Looks for a word that the run is not wanted any more, and sets `gone`."""

    def __init__(self, server: Server, job: Job) -> None:
        super().__init__(daemon=True)
        self.server, self.job, self.key = server, job, job.key
        self.gone, self._over = threading.Event(), threading.Event()

    def run(self) -> None:
        """Ask, until there is an answer or nobody wants one."""
        while not self._over.wait(ASK_SECONDS):
            if runs.cancelled(self.server, self.key):
                self.gone.set()
                return

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def heed(self) -> None:
        """End the run where it is not wanted any more."""
        if why := runs.cancelled(self.server, self.key):
            raise UnwantedError(why, next=next_of(why, self.job))


def next_of(why: str, job: Job) -> str:
    """What to type after a run that was called off, by how the reason begins."""
    if why.startswith(SUPERSEDED):
        return "nothing to do: the newer commit is judged"
    return f"pushforward runs retry {job.id}" if why.startswith((SKIPPED, CANCELLED)) else ""


def outcome(server: Server, what: Run, console: Console) -> Outcome:
    """Run what is to be run. Raises `PushforwardError` where there is no outcome, `WaitsError` where not yet."""
    wish = Wish(server, what.job)
    wish.heed()
    wish.start()
    try:
        return _Execution(server, what, console, wish).outcome()
    finally:
        wish.stop()


def refused(server: Server, job: Job, why: PushforwardError, *, final: bool) -> Outcome:
    """The outcome of a run that ended with an error."""
    if isinstance(why, UnwantedError):
        return record.unwanted(server, job, why.message, next=why.next)
    kind = "merge-conflict" if isinstance(why, ConflictError) else "judged"
    return record.refused(server, job, why, kind=kind, final=final)


class _Execution:
    """The workflows of one event, and of the `workflow_run` that each of them causes."""

    def __init__(self, server: Server, what: Run, console: Console, wish: Wish) -> None:
        self.server, self.run, self.job, self.console, self.wish = server, what, what.job, console, wish
        self.folder = runs.folder(server, what.job.key)
        self.artifacts = self.folder / "artifacts"  # written by the pushed code
        self.judged = self.folder / "judged"  # written by the judge; holds what it was handed
        self.judge: run.WorkflowResult | None = None
        self.errors: tuple[str, ...] = ()
        self.first: run.WorkflowResult | None = None  # the first that failed of those that run the pushed code
        self.own = True  # what is found is the commit's own; what failed may also be the machine's
        self.subject = Subject(server, what.job)
        self.repository = server.repository

    def outcome(self) -> Outcome:
        if self.run.attempt > 1 and (found := self._finished_before()):
            return found
        recover.clear(self.folder, keep=KEPT)
        subject, first = self.subject, self.subject.event
        started = subject.due(subject.commit, first)
        # whatever hangs beside the workflows, which have limits of their own: the process ends, and all that it started
        most = 2 * max(1, len(started)) * subject.settings.server.timeout_minutes
        signal.alarm(60 * (most + BUILD_MINUTES))
        if self.job.event in {"tag", "schedule"}:
            return self._plain(started)
        if not started or (not subject.trusted and not self._would_run_on_main()):
            return self._carried()
        self.console.say(subject.headline())
        for flow in started:
            result = self._workflow(flow, first, subject.commit)
            self.errors += result.errors
            if self.first is None and result.cause.text:
                self.first = result
            self._judge(flow, result)
        return self._collect()

    def _judge(self, flow: Workflow, result: run.WorkflowResult) -> None:
        """Run the workflows that judge what `flow` has handed over; a judge that cannot work hands on to one before."""
        for judge in self.subject.judges():
            follow_up = self.subject.follow_up(flow, result, judge)
            broken = ""
            for next_flow in self.subject.due(judge, follow_up):
                if self.judge is None:
                    self._hand_over()
                    self._say_why(flow, result)
                self.judge = self._workflow(next_flow, follow_up, judge)
                self.errors += self.judge.errors
                broken = "" if self._has_verdict() or not self.judge.own else self.judge.cause.text
            if not broken:
                return
            self.console.say(f"  the judge of {judge[:9]} does not work: {broken}")

    def _plain(self, started: list[Workflow]) -> Outcome:
        """Workflows that nobody judges: of a tag that puts a version to use, or of a schedule."""
        subject, job = self.subject, self.job
        if not started:
            return Outcome("skipped", f"no workflow of this server runs for {job.branch}", subject=subject.commit)
        self.console.say(subject.headline())
        results = [self._workflow(flow, subject.event, subject.commit) for flow in started]
        worst = next((result for result in results if result.conclusion not in {"success", "skipped"}), None)
        if worst is not None:
            reason = worst.cause.text or (worst.errors or (worst.conclusion,))[0]
            then = f"\n  next: {worst.cause.next}" if worst.cause.next else ""
            named = reason if reason.startswith(worst.file) else f"{worst.file}: {reason}"
            told = f"! {worst.conclusion.upper()}  {named}{then}"
            # nobody has called it off: somebody has killed it
            killed = worst.conclusion == "failure" and any(job.result == "cancelled" for job in worst.jobs)
            return Outcome(worst.conclusion, told, reason=reason, final=not killed)
        made = self.artifacts / RELEASE
        kept = made if job.event == "tag" and made.is_dir() and not made.is_symlink() else None
        version = self._version() if kept else ""
        where = f"; its release: {self.server.folder / record.RELEASES / version}" if kept else ""
        said = f"✓ {job.branch if job.event == 'tag' else job.file}: done{where}"
        return Outcome("success", said, subject=subject.commit, release=kept, version=version)

    def _version(self) -> str:
        """The version that the tag of this run puts to use."""
        known = registry.fold(self.subject.settings.model.name, self.repository.refs("refs/tags"))
        version = known.at(self.job.commit)
        if version is None:
            raise PushforwardError(f"{self.job.branch} names {self.job.commit[:9]}, which no version names")
        return version.name

    def _would_run_on_main(self) -> bool:
        """Whether the same files, pushed to the default branch, would start one of its workflows there.

        A forge needs a run for every pull request, to have a status to wait for. Here an edit of the README is not
        worth one on a branch if it is not worth one on main.
        """
        return bool(self.subject.due(self.subject.main, self.subject.as_if_merged()))

    def _hand_over(self) -> None:
        """Only what the pushed code may hand over reaches the judge; a report of its own making does not."""
        self.judged.mkdir(exist_ok=True)
        handed = self.artifacts / "train"
        if handed.is_dir() and not handed.is_symlink() and not (self.judged / "train").exists():
            handed.rename(self.judged / "train")

    def _say_why(self, flow: Workflow, result: run.WorkflowResult) -> None:
        """Hand over why there is nothing to judge, where the run of the pushed code has not said so itself."""
        why, own = result.cause, result.own
        if not why.text:
            text = f"{flow.file} ended well, but has handed over no artifact 'train'"
            why, own = Cause(text, f"upload it in {flow.path}, as pushforward score leaves it"), True
        self.own = handover.write_cause(self.judged / "train", self.subject.commit, why) or own

    def _workflow(self, flow: Workflow, what: Event, commit: str) -> run.WorkflowResult:
        """Run one workflow, unless the run is not wanted any more. What judges is not cut short: it may be tagging."""
        self.wish.heed()
        workflow.concurrency(flow, event.context(what, self.subject.where))  # what cannot be evaluated is refused
        privileged = what.name == "workflow_run"
        runs.change(self.server, self.job.key, stage=JUDGE if privileged else flow.file)
        if privileged:
            self.wish.heed()  # whoever asks from now on is told that it is too late
        trusted = self.subject.trusted or privileged
        python = self._python(commit, trusted=trusted)
        cache = self._cache(trusted)
        steps = [step for job in flow.jobs.values() for step in job.get("steps", [])]
        actions = [str(step.get("name", step["uses"])).partition("@")[0] for step in steps if "uses" in step]
        log = f"pushforward runs logs --all {self.job.id}"
        result = run.run_workflow(
            flow,
            what,
            repository=self.subject.where,
            folder=self._place(flow.file),
            artifacts=self.judged if privileged else self.artifacts,
            jail=_jail(trust=self.server.trust or trusted),
            policy=self._policy(python, cache, trusted=trusted, privileged=privileged, writes=workflow.writes(flow)),
            env=self._environment(python, cache, privileged=privileged),
            secrets=self._secrets(privileged=privileged),
            run_id=self.subject.id,
            limit=self.subject.settings.server.timeout_minutes * 60.0,
            on_event=Lines(self.console.say, actions, log=log).take,
            cancel=None if privileged else self.wish.gone,
        )
        if result.learned is not None:
            self.console.hide(result.learned)
        if result.conclusion == "cancelled":
            self.wish.heed()
        return result

    def _place(self, file: str) -> Path:
        """The folder of one run of a workflow; of a second judge another."""
        names = (file, *(f"{number}-{file}" for number in range(2, 100)))
        return next(self.folder / name for name in names if not (self.folder / name).exists())

    def _policy(self, python: Path, cache: Path, *, trusted: bool, privileged: bool, writes: bool) -> jail.Policy:
        """What a workflow may touch.

        Only a judge writes into the repository: looks, and tags on the default branch; so does a schedule that asks
        for it. The store takes what a push to the default branch has made. Nobody sees the server's keys.
        """
        server, event_name = self.server, self.job.event
        bare, keys = Path(server.bare), signers.private_key(Path(server.bare)).parent
        store = [Path(server.store)] if server.store else []
        built = [path for path in (server.folder / "environments",) if privileged and path.is_dir()]
        known = [path for path in (server.folder / "allowed_signers",) if trusted and not privileged and path.is_file()]
        to_bare = privileged or (event_name == "schedule" and writes)
        to_store = event_name == "push"
        return jail.Policy(
            writable=(cache, *((bare,) if to_bare else ()), *(store if to_store else ())),
            readable=(*(() if to_store else store), python.parent.parent, *built, *known),
            hidden=(keys,) if keys.is_dir() else (),
            placed={name: path for path in (cache, *store) if (name := self._in_dvc(path)) != path},
            network=self.subject.trusted,
            untrusted=not trusted,
        )

    def _environment(self, python: Path, cache: Path, *, privileged: bool) -> dict[str, str]:
        server, subject = self.server, self.subject
        env = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PUSHFORWARD_ENVIRONMENT": str(python.parent.parent),
            "PUSHFORWARD_DVC_CONFIG": str(self._dvc_config(cache)),
            environment.KNOWN: str(server.folder / "environments"),
            "PUSHFORWARD_RUN": self.job.key,
            "PUSHFORWARD_BASE": self.job.before if subject.trusted else subject.main,
        }
        return env | self._token() if privileged and subject.trusted else env

    def _secrets(self, *, privileged: bool) -> Mapping[str, str]:
        """What only the judge of a push to the default branch gets; the token is among them to be masked in its log."""
        if not privileged or not self.subject.trusted:
            return {}
        key = signers.private_key(Path(self.server.bare))
        return self._token() | ({trust.VARIABLE: key.read_text()} if key.is_file() else {})

    def _token(self) -> dict[str, str]:
        path = self.server.folder / "token"
        if not path.is_file():
            raise MachineError("the server has lost its token", next="pushforward init", detail=f"{path} is missing")
        return {"PUSHFORWARD_TOKEN": path.read_text().strip()}

    def _python(self, commit: str, *, trusted: bool) -> Path:
        """The interpreter of what `commit` locks; one is built only for what is on the target branch."""
        wanted = self.subject.settings.model.requirements
        other = environment.digest(self.repository, commit, wanted) != environment.at_hand()
        if other and trusted:
            self.console.say(f"  the environment that {commit[:9]} locks: built once, kept for later")
        if other and not trusted:
            raise PushforwardError(
                f"{self.job.branch} changes {', '.join(wanted)}: an environment is built for the target branch only",
                next=f"merge the new locks into {self.server.default_branch} by themselves, then push again",
            )
        return environment.interpreter(self.repository, commit, wanted, folder=self.server.folder / "environments")

    def _cache(self, trusted: bool) -> Path:
        """What a pull request's run writes, no other run reads."""
        cache = self.server.folder / "cache" if trusted else self.folder / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        return cache

    def _dvc_config(self, cache: Path) -> Path:
        path = self.folder / f"dvc-{cache.parent.name}.config"
        there = pipeline.Storage(self._in_dvc(cache))
        if self.server.store:
            store = self._in_dvc(Path(self.server.store))
            there = pipeline.Storage(there.cache, self.server.remote, {"url": str(store)})
        path.write_text(there.config())
        return path

    def _in_dvc(self, folder: Path) -> Path:
        """What DVC is to call a folder in the jail: it takes braces for a place to fill in, and stumbles."""
        jailed = _jail(trust=self.server.trust or self.subject.trusted).kind != "none"
        if not jailed or BRACES.isdisjoint(str(folder)):
            return folder
        return jail.PLAIN / ("store" if str(folder) == self.server.store else "cache")

    def _collect(self) -> Outcome:
        if not self._has_verdict():
            raise self._no_verdict()
        jobs = {job.id: job.result for job in self.judge.jobs} if self.judge else {}
        found, standing = self._settled(self._verdict())
        if jobs.get("promote") in {None, "success", "skipped"}:
            return found
        name = standing.version.name if standing and standing.version else ""
        head, why = "NOT TAGGED", "judged, but the tags could not be made"
        if name:
            head, why = "NOT FINISHED", f"{name} is there, but what follows its tag could not be done"
        first, _, rest = found.markdown.partition("\n")
        return dataclasses.replace(
            found,
            terminal=f"! {head}  {why}{self._last_words()}\n{found.terminal}",
            markdown=f"{first}\n\n> [!CAUTION]\n> **{head.capitalize()}**: {why}.\n{rest}",
            final=False,
        )

    def _settled(self, found: Outcome) -> tuple[Outcome, promote.Standing | None]:
        """The outcome of a push that passes, with what the registry has of it by now; None for any other."""
        if found.verdict != "promote" or self.job.event != "push":
            return found, None
        standing = promote.standing(self.repository, self.subject.settings.model.name, self.job.commit)
        with contextlib.suppress(PushforwardError):  # a judge of another version has left another form
            found = record.told_last(found, self.judged / "verdict", standing.words)
        return found, standing

    def _has_verdict(self) -> bool:
        judged = any(job.id == JUDGE and job.result == "success" for job in self.judge.jobs) if self.judge else False
        return judged and (self.judged / "verdict" / "report.md").is_file()

    def _no_verdict(self) -> PushforwardError:
        """Why nobody has judged what was run."""
        logs = f"pushforward runs logs --all {self.job.id}"
        if self.judge is not None:
            why = self.judge.cause
            text = f"the judge came to no verdict: {why.text or self.judge.conclusion}"
            if self.judge.conclusion == "failure" and not self.judge.own:  # it was killed, or a tool of it has failed
                given_up = f"pushforward runs cancel {self.job.id}, to give it up"
                return MachineError(text, next=f"{logs}; pushforward dispatch, to try again; {given_up}")
            return PushforwardError(text, next=why.next or logs, exit_code=TOOL)
        if self.first is not None:
            why = self.first.cause
            return PushforwardError(why.text, next=why.next or logs, exit_code=USAGE if self.first.own else TOOL)
        subject = self.subject
        names = ", ".join(f"{flow.file} ({flow.name})" for flow in subject.due(subject.commit, subject.event))
        return PushforwardError(
            f"nothing judges what {names} has run: no workflow of {subject.judge[:9]} answers to its end",
            next="name it as on: workflow_run: in .github/workflows/judge.yml does",
        )

    def _verdict(self) -> Outcome:
        """What the judge has left, with the lock and the metrics that were handed to it."""
        from pushforward.report import markdown as report

        verdict, taken = self.judged / "verdict", self.judged / "train"
        text, lock = (verdict / "report.md").read_text(), taken / LOCK
        header = report.entries(text)[0][0]
        return Outcome(
            str(header["verdict"]),
            (verdict / "report.txt").read_text(),
            text,
            str(header.get("reason", "")),
            read_metrics(taken / METRICS),
            _pictures(verdict / "plots"),
            lock.read_bytes() if lock.is_file() and not lock.is_symlink() else b"",
            self.subject.commit,
            passed="" if self.subject.trusted or not self._lands(header["verdict"]) else self.subject.commit,
            final=self.own,
        )

    def _lands(self, word: str) -> bool:
        """Whether the judge has found what a protected default branch takes.

        What a change touches of the judge is asked of the whole verdict, for the report's first line may be cut. A
        workflow of the project's own may keep the report alone.
        """
        if word == "promote":
            return True
        from pushforward.gate import verdict as verdicts
        from pushforward.judge import judged

        with contextlib.suppress(PushforwardError):
            return verdicts.lands(judged.stored(self.judged / "verdict")[0])
        return False

    def _last_words(self) -> str:
        return "".join(f"\n{error}" for error in self.errors[:3])

    def _finished_before(self) -> Outcome | None:
        """What an attempt had found that was killed between its tags and its record: a version is not judged again."""
        job = self.job
        stored = self.repository.read(f"{VERDICTS}{job.commit}", "verdict.json")
        if job.event != "push" or stored is None or not self._tagged():
            return None
        if (self.judged / "verdict" / "report.md").is_file():
            return self._settled(self._verdict())[0]
        from pushforward.gate import verdict as verdicts
        from pushforward.report import markdown as report

        verdict = verdicts.Verdict.from_json(stored.decode())
        words = promote.standing(self.repository, self.subject.settings.model.name, job.commit).words
        context = report.Context(branch=job.branch, next_step=words)
        told, text = report.terminal(verdict, context), record.note(verdict, context)
        return Outcome(verdict.verdict, told, text, verdict.reason, subject=job.commit)

    def _tagged(self) -> bool:
        """Whether a version names this commit as what was pushed."""
        pattern = f"refs/tags/{self.subject.settings.model.name}@*"
        names = self.repository.git("for-each-ref", f"--contains={self.job.commit}", "--format=%(objectname)", pattern)
        records = (registry.record(self.repository.git("cat-file", "tag", tag).text) for tag in names.text.split())
        return any(found.get("commit") == self.job.commit for found in records)

    def _carried(self) -> Outcome:
        """Nothing that a workflow reads has changed: the verdict before stands."""
        from pushforward.gate import verdict as verdicts
        from pushforward.report import markdown as report

        subject, job = self.subject, self.job
        source = subject.before if subject.trusted else subject.last_run(subject.main)
        stored = subject.verdict_of(source)
        if not stored and not subject.trusted and subject.awaits(source):
            raise WaitsError(source)
        if not stored:
            raise self._unmatched()
        due = subject.due(source, subject.event) if subject.trusted else self._would_run_on_main()
        if due:
            raise PushforwardError(
                f"the workflows of this commit are not run for a change that those of {source[:9]} are run for",
                next="change on: in .github/workflows by itself first",
            )
        verdict = dataclasses.replace(verdicts.Verdict.from_json(json.dumps(stored)), stages=())
        context = report.Context(kind="carried", carried_to=job.commit, branch=job.branch, next_step="nothing to do")
        text = record.note(verdict, context)
        return Outcome(verdict.verdict, report.terminal(verdict, context), text, verdict.reason, subject=source)

    def _unmatched(self) -> PushforwardError:
        """The refusal of a push that starts no workflow, with the branches that the workflows name."""
        default, flows = self.server.default_branch, self.subject.workflows(self.subject.commit)
        named = [
            (flow.path, ", ".join(map(str, branches)) if isinstance(branches, list) else str(branches))
            for flow in flows
            if (branches := (flow.on.get(self.subject.event.name) or {}).get("branches"))
        ]
        if not named:
            return PushforwardError("no workflow of this server matches the push", next="edit on: in .github/workflows")
        path, names = named[0]
        return PushforwardError(
            f"no workflow of this server matches the push: its default branch is {default}, {path} runs for {names}",
            next=f"name {default} under on: in {path}, in judge.yml too where it names a branch",
        )


def _pictures(folder: Path) -> dict[str, bytes]:
    """The pictures that the judge has drawn, by name."""
    found = [path for path in sorted(folder.glob("*.svg")) if path.is_file() and not path.is_symlink()]
    return {path.name: path.read_bytes() for path in found if path.stat().st_size < LIMIT_PICTURE}


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
    ledgers = {ref.name: ref.object for ref in server.repository.refs(HOLDOUTS)} if what.attempt == 1 else {}
    try:
        found = _found(server, what, console)
        if found.verdict in FAILED and (mended := list(care.mend(server))):
            for line in mended:
                console.say(f"  {line}")
            found = _found(server, what, console)  # it may have failed for want of that
    except WaitsError as waits:
        console.say(f"queued: {waits.message}")
        runs.store(server, dataclasses.replace(what, attempt=what.attempt - 1, started=0.0, waits_for=waits.commit))
        return
    if found.verdict in FAILED and found.machine is None and (trouble := care.trouble(server)):
        found = refused(server, job, trouble, final=False)
    done, found = _put(server, what, found)
    if found.machine is None:
        care.over(server)
        record.open_retired(server, ledgers)
    elif care.tell(server, found.machine):
        print(f"{job.id} is not judged: {found.machine} {found.machine.detail}", flush=True)  # into the server's log
    _end(server, done, found, console)


def _put(server: Server, what: Run, found: Outcome) -> tuple[Run, Outcome]:
    """Record what a run came to; where that cannot be written down, or the machine let it fail, that it has to wait.

    However often the machine fails, that is no word on the commit: such an attempt does not count.
    """
    if found.machine is None:
        try:
            return record.put(server, what, found, last=what.attempt >= runs.ATTEMPTS), found
        except (PushforwardError, OSError) as failed:
            if failed.errno not in MACHINE if isinstance(failed, OSError) else failed.exit_code != TOOL:
                raise
            trouble = MachineError("what the run came to could not be written down", detail=str(failed))
            found = refused(server, what.job, trouble, final=False)
    return record.held(dataclasses.replace(what, attempt=what.attempt - 1), found), found


def call_off(server: Server, what: Run, why: str) -> Run:
    """Give a run that is not at work its final verdict without running it; the run as it stands then."""
    found = record.unwanted(server, what.job, why, next=next_of(why, what.job))
    if not why.startswith(UNWANTED):
        found = dataclasses.replace(found, state="done")
    done = record.put(server, what, found, last=True)
    return _end(server, done, found, Console(runs.folder(server, what.job.key) / runs.LOG))


def _found(server: Server, what: Run, console: Console) -> Outcome:
    try:
        return outcome(server, what, console)
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
        f"git fetch local && pushforward report {job.commit[:9]}"
        if found.markdown
        else f"pushforward runs show {job.id}"
    )
    console.say(f"  {ended.seconds:.1f} s in all; read it again: {again}")
    console.close()
    runs.store(server, ended)
    (runs.folder(server, job.key) / runs.DONE).touch()
    return ended
