"""The workflows of one run: those of its event, and of the `workflow_run` that they cause. For `execute`."""

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pushforward.actions import chain, event, filters, workflow
from pushforward.actions.act import run_workflow
from pushforward.actions.event import Event
from pushforward.actions.result import WorkflowResult
from pushforward.actions.workflow import Workflow
from pushforward.cause import Cause
from pushforward.errors import TOOL, USAGE, MachineError, PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.git.refs import VERDICTS, ZERO
from pushforward.git.server import Server
from pushforward.judge import handover, judged, recorded
from pushforward.judge.handover import read_metrics
from pushforward.registry import reviews
from pushforward.registry import tags as registry
from pushforward.registry.grammar import REVIEW_TAG
from pushforward.report import notes
from pushforward.report.note import Context
from pushforward.report.terminal import terminal
from pushforward.server import adopted, ends, plan, record, recover, requests, runs, triggers, untrained
from pushforward.server.adopted import TRAIN
from pushforward.server.carried import carried, would_run_on_main
from pushforward.server.console import Console, Lines
from pushforward.server.ends import Ended
from pushforward.server.provision import Provision
from pushforward.server.record import Outcome
from pushforward.server.required import Required
from pushforward.server.runs import Job, Run
from pushforward.server.subject import Subject
from pushforward.server.wish import Wish

if TYPE_CHECKING:
    from pushforward.release import promote

REVIEW = "review"  # how the name of the workflow ends of whose end the judge hears, of a person's word
RELEASE = "release"  # the artifact of a tag's workflow that is kept
JUDGE = "judge"
LEFT = ("verdict.json", "report.md", "report.txt")  # by a judge that has come to a verdict
BUILD_MINUTES = 40  # what building an environment may take beside a workflow
ALONE = ("tag", "schedule", "workflow")  # nobody judges what such a run does
KEPT = (runs.LOG, runs.RECORD, runs.CANCEL)  # of an attempt that was killed


class Execution:
    """The workflows of one event that lead to a verdict, and their judge; or the one workflow of a run of its own.

    `see_to` runs another run to its end: one that has to be green before a commit is judged.
    """

    def __init__(
        self, server: Server, what: Run, console: Console, wish: Wish, see_to: Callable[[Job], Run | None]
    ) -> None:
        self.server, self.run, self.job, self.console, self.wish = server, what, what.job, console, wish
        self.ended: list[Ended] = []  # what others may follow
        self.adopted = False  # whether what is judged was made by the run of a pull request
        self.red = ""  # what is required, comes after the judge and did not end well
        self.folder = runs.folder(server, what.job.key)
        self.artifacts = self.folder / "artifacts"  # written by the pushed code
        self.judged = self.folder / "judged"  # written by the judge; holds what it was handed
        self.judge: WorkflowResult | None = None
        self.handing: list[str] = []  # the jobs of it that hand over the verdict
        self.errors: tuple[str, ...] = ()
        self.first: WorkflowResult | None = None  # the first that failed of those that run the pushed code
        self.own = True  # what is found is the commit's own; what failed may also be the machine's
        self.subject = Subject(server, what.job)
        self.repository = server.repository
        self.required = Required(server, self.subject.settings.server.required, see_to)

    def outcome(self) -> Outcome:
        """Run them all; raises `PushforwardError` where there is no outcome, `WaitsError` where there is none yet."""
        if self.run.attempt > 1 and (found := self._finished_before()):
            self.ended = [*ends.of_version(self.subject)]
            self._require_after()
            return self._told(found)
        recover.clear(self.folder, keep=KEPT)
        subject, alone = self.subject, self.job.event in ALONE
        planned = None if alone else plan.of(subject)
        started = [*planned.line] if planned else subject.due(subject.commit, subject.event)
        if REVIEW_TAG.fullmatch(self.job.branch) and self.job.event == "tag":
            return self._reviewed()
        if planned is None:
            return self._plain(started)
        self._refuse()
        beside = self._beside(planned)
        if not started and not planned.judged and planned.beside:
            raise self._no_verdict(planned.beside)
        if not started or (not subject.trusted and not would_run_on_main(subject)):
            self._require(beside)
            return carried(subject)
        if skipped := untrained.begin(self.server, subject, self.console.say, insisted=self.run.insisted):
            self._require(beside)
            return skipped
        self.console.say(subject.headline())
        for flow in started:
            left = adopted.instead(subject, planned, self.artifacts / TRAIN, self.console.say)
            self.adopted = left is not None
            result = left or self._workflow(flow, planned.what, subject.commit)
            self._note(flow, result, planned.what.name, 0)
            self._require(beside)
            self._judge(flow, result, planned.what.name)
        self._require_after()
        return self._collect()

    def _refuse(self) -> None:
        """Refuse what of a push can never start here, by name."""
        subject = self.subject
        before = subject.main if not subject.trusted else None if subject.before == ZERO else subject.before
        triggers.refuse(self.server, subject.commit, before, self.console.say)

    def _beside(self, planned: plan.Plan) -> list[Job]:
        """Have that run which the push starts beside what is judged."""
        found = triggers.beside(self.server, self.run, planned.beside, self.subject.event)
        if not self.subject.trusted:
            wanted = self.subject.settings.server.workflows
            found += triggers.of_branch(self.server, self.run, [flow.file for flow in planned.line], wanted)
        for job in found:
            self.console.say(f"  beside: {job.file} ({job.on}), {job.id}")
        return found

    def _note(self, flow: Workflow, result: WorkflowResult, source: str, level: int, *, judge: bool = False) -> None:
        """Keep how a workflow has ended, for what follows it, and for whoever asks why nothing was judged."""
        self.errors += result.errors
        self.ended.append(Ended(flow, result, source, level, judge=judge))
        if self.first is None and result.cause.text and not judge:
            self.first = result

    def _judge(self, flow: Workflow, result: WorkflowResult, source: str, level: int = 0) -> None:
        """Run what lies between `flow` and the judge, and the judge; one that cannot work hands on to one before."""
        self._require(self._follow(self.ended[-1], only=self.required.awaited))
        for judge in self.subject.judges():
            follow_up = self.subject.follow_up(flow, result, judge)
            known, broken = self.subject.workflows(judge), ""
            judging, leads = [one.file for one in chain.judges(known)], chain.line(known)
            due = [one for one in self.subject.due(judge, follow_up) if one.name in leads]
            for one in due if level < chain.MOST_LEVELS else ():
                if one.file not in judging:
                    between = self._workflow(one, follow_up, judge)
                    self._note(one, between, source, level + 1)
                    self._judge(one, between, "workflow_run", level + 1)
                elif self.judge is None or not self._has_verdict():
                    broken = self._ask(one, follow_up, judge, self.ended[-1])
            if not broken:
                return
            self.console.say(f"  the judge of {judge[:9]} does not work: {broken}")

    def _ask(self, flow: Workflow, what: Event, commit: str, before: Ended) -> str:
        """Have one judge judge; why it does not work, if so."""
        if self.judge is None:
            self._hand_over()
            self._say_why(before.flow, before.result)
        self.judge, self.handing = self._workflow(flow, what, commit, privileged=True), chain.handing(flow)
        self._note(flow, self.judge, "workflow_run", before.level + 1, judge=True)
        return "" if self._has_verdict() or not self.judge.own else self.judge.cause.text

    def _require(self, jobs: Iterable[Job]) -> None:
        """Wait for those of these runs that are required, or that such a one follows; raises where one is red."""
        for why in self.required.red(jobs):
            raise why

    def _require_after(self) -> None:
        """Wait for what is required, and comes after the judge."""
        for one in [one for one in self._last if one.judge]:
            for why in self.required.red(self._follow(one, only=self.required.awaited)):
                self.red = self.red or why.message

    @property
    def _last(self) -> list[Ended]:
        """How each workflow has ended last: of judges one may have handed on to another."""
        return [*{one.flow.file: one for one in self.ended}.values()]

    def follow(self) -> None:
        """Have that run which follows what has ended; once it is known what this run came to."""
        for one in self._last:
            self._follow(one)

    def _follow(self, one: Ended, only: Collection[str] | None = None) -> list[Job]:
        """Have the followers of a workflow run, or `only` those."""
        if only is not None and not only:
            return []
        left = self.judged if one.judge else self.artifacts
        handed = [*left.glob("*"), *(() if one.judge else (self.judged / TRAIN,))]
        return triggers.of_end(
            self.server,
            self.run,
            one.flow,
            one.result,
            one.source,
            self.subject.id,
            level=one.level,
            aside=self._aside(one),
            artifacts=handed,
            only=only,
        )

    def _aside(self, one: Ended) -> set[str]:
        """The files that do not follow an end as runs of their own: what leads to a judge has run or runs now.

        Of what nobody judges no judge hears: it would have no keys.
        """
        aside = {done.flow.file for done in self.ended}
        if self.job.event in ALONE:
            with contextlib.suppress(PushforwardError):
                aside |= {flow.file for flow in chain.judges(triggers.listed_at(self.server, self.subject.main))}
            return aside
        return aside if one.judge else aside | self._leading()

    def _leading(self) -> set[str]:
        """The files that lead to a judge by what judges this push, and those that are to from the next push on."""
        judge, found = self.subject.judge, set[str]()
        with contextlib.suppress(PushforwardError):
            known = self.subject.workflows(judge)
            found = {flow.file for flow in known if flow.name in chain.line(known)}
            fresh = triggers.listed_at(self.server, self.repository.commit(self.server.default_branch))
            there = {flow.file for flow in known}
            found |= {flow.file for flow in fresh if flow.name in chain.line(fresh) and flow.file not in there}
        return found

    def _plain(self, started: list[Workflow]) -> Outcome:
        """Workflows that nobody judges: of a tag that puts a version to use, of a schedule, or one by itself."""
        subject, job = self.subject, self.job
        if not started:
            return Outcome("skipped", f"no workflow of this server runs for {job.branch}", subject=subject.commit)
        self.console.say(subject.headline())
        if job.event == "workflow":
            requests.given(self.server, job, self.artifacts)
        if job.event == "tag" and (first := [flow for flow in started if _releases(flow)] or started[:1]):
            triggers.beside(self.server, self.run, [flow for flow in started if flow not in first], subject.event)
            started = first
        results = [self._workflow(flow, subject.event, subject.commit) for flow in started]
        source = job.on or ("push" if job.event == "tag" else job.event)
        for flow, result in zip(started, results, strict=True):
            self._note(flow, result, source, job.level)
        worst = next((result for result in results if result.conclusion not in {"success", "skipped"}), None)
        if worst is not None:
            return self._failed(worst)
        made = self.artifacts / RELEASE
        kept = made if job.event == "tag" and made.is_dir() and not made.is_symlink() else None
        version = self._version() if kept else ""
        where = f"; its release: {self.server.folder / record.RELEASES / version}" if kept else ""
        said = f"✓ {job.branch if job.event == 'tag' else job.file}: done{where}"
        return Outcome("success", said, subject=subject.commit, release=kept, version=version)

    def _failed(self, worst: WorkflowResult) -> Outcome:
        """The outcome of a workflow that nobody judges, and that did not end well."""
        reason = worst.cause.text or (worst.errors or (worst.conclusion,))[0]
        then = f"\n  next: {worst.cause.next}" if worst.cause.next else ""
        named = reason if reason.startswith(worst.file) else f"{worst.file}: {reason}"
        told = f"! {worst.conclusion.upper()}  {named}{then}"
        # nobody has called it off: somebody has killed it
        killed = worst.conclusion == "failure" and any(job.result == "cancelled" for job in worst.jobs)
        return Outcome(worst.conclusion, told, reason=reason, final=not killed)

    def _reviewed(self) -> Outcome:
        """A person's word: the report says so; what it takes on the default branch is promoted, not judged again."""
        subject, job = self.subject, self.job
        (raw,) = self.repository.objects([job.tag])
        said = reviews.parse(job.branch, job.tag, raw[1]) if raw else None
        if said is None:
            return Outcome("skipped", f"{job.branch} says no word", subject=subject.commit)
        self.console.say(f"{job.branch}: {said.told}")
        recorded.review(self.repository, said, lock=self.server.folder / notes.LOCK)
        if not said.promotes:
            return Outcome("success", f"✓ {job.branch}: {said.word} by {said.by}", subject=subject.commit)
        found = [(flow, heard) for flow in subject.workflows(subject.main) for heard in self._hears(flow)]
        if not found:
            why = f"no workflow of {subject.main[:9]} hears of a review: judge.yml does, from this version on"
            raise PushforwardError(why, next="pushforward adopt --update, then push it and accept again")
        self.judged.mkdir(exist_ok=True)
        for flow, heard in found:
            result = self._workflow(flow, heard, subject.main, privileged=True)
            if result.conclusion not in {"success", "skipped"}:
                return self._failed(result)
        from pushforward.release import promote  # a verdict that is carried over must not wait for it

        standing = promote.standing(self.repository, job.branch.partition("@")[0], job.commit)
        recorded.review(self.repository, said, lock=self.server.folder / notes.LOCK, step=standing.words)
        return Outcome("success", f"✓ {job.branch}: {standing.words}", subject=subject.commit)

    def _hears(self, flow: Workflow) -> Iterator[Event]:
        """The event by which a workflow of the default branch hears of a review, if it does."""
        named = (flow.on.get("workflow_run") or {}).get("workflows", [])
        for name in named if isinstance(named, list) else [named]:
            heard = self.subject.heard(str(name))
            if str(name).endswith(REVIEW) and filters.matches(flow, heard):
                yield heard

    def _version(self) -> str:
        """The version that the tag of this run puts to use."""
        named = registry.parse(self.job.ref.removeprefix("refs/tags/"))
        known = registry.fold(named["model"] if named else "", self.repository.refs(*registry.PLACES))
        version = known.at(self.job.commit)
        if version is None:
            raise PushforwardError(f"{self.job.branch} names {self.job.commit[:9]}, which no version names")
        return version.name

    def _hand_over(self) -> None:
        """Only what the pushed code may hand over reaches the judge; a report of its own making does not."""
        self.judged.mkdir(exist_ok=True)
        handed = self.artifacts / TRAIN
        if handed.is_dir() and not handed.is_symlink() and not (self.judged / TRAIN).exists():
            handed.rename(self.judged / TRAIN)

    def _say_why(self, flow: Workflow, result: WorkflowResult) -> None:
        """Hand over why there is nothing to judge, where the run of the pushed code has not said so itself."""
        why, own = result.cause, result.own
        if not why.text:
            text = f"{flow.file} ended well, but has handed over no artifact 'train'"
            why, own = Cause(text, f"upload it in {flow.path}, as pushforward score leaves it"), True
        self.own = handover.write_cause(self.judged / TRAIN, self.subject.commit, why) or own

    def _workflow(self, flow: Workflow, what: Event, commit: str, *, privileged: bool = False) -> WorkflowResult:
        """Run one workflow, unless the run is not wanted any more. What judges is not cut short: it may be tagging."""
        self.wish.heed()
        workflow.concurrency(flow, event.context(what, self.subject.where))  # what cannot be evaluated is refused
        # whatever hangs beside the workflow, which has a limit of its own: the process ends, and all that it started
        signal.alarm(60 * (2 * self.subject.settings.server.timeout_minutes + BUILD_MINUTES))
        runs.change(self.server, self.job.key, stage=JUDGE if privileged else flow.file)
        if privileged:
            self.wish.heed()  # whoever asks from now on is told that it is too late
        steps = [step for job in flow.jobs.values() for step in job.get("steps", [])]
        actions = [str(step.get("name", step["uses"])).partition("@")[0] for step in steps if "uses" in step]
        log = f"pushforward runs logs --all {self.job.id}"
        provision = Provision(self.subject, self.folder, privileged=privileged, adopted=self.adopted)
        artifacts = self.judged if privileged else self.artifacts
        result = run_workflow(
            flow,
            what,
            provision.setup(flow, commit, self._place(flow.file), artifacts, say=self.console.say),
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

    def _collect(self) -> Outcome:
        if not self._has_verdict():
            raise self._no_verdict()
        adopted.keep(self.subject, self.ended, self.judged)
        jobs = {job.id: job.result for job in self.judge.jobs} if self.judge else {}
        found, standing = self._settled(self._verdict())
        found = self._told(found)
        if jobs.get("promote") in {None, "success", "skipped"}:
            return found
        name = standing.version.name if standing and standing.version else ""
        head, why = "NOT TAGGED", "judged, but the tags could not be made"
        if name:
            head, why = "NOT FINISHED", f"{name} is there, but what follows its tag could not be done"
        told = found.report
        if told:
            title, _, rest = told.text.partition("\n")
            text = f"{title}\n\n> [!CAUTION]\n> **{head.capitalize()}**: {why}.\n{rest}"
            told = dataclasses.replace(told, text=text)
        terminal = f"! {head}  {why}{self._last_words()}\n{found.terminal}"
        return dataclasses.replace(found, terminal=terminal, report=told, final=False)

    def _told(self, found: Outcome) -> Outcome:
        """The outcome, with what is required and is red after the judge."""
        if not self.red:
            return found
        return dataclasses.replace(found, passed="", terminal=f"! NOT GREEN  {self.red}\n{found.terminal}")

    def _settled(self, found: Outcome) -> tuple[Outcome, "promote.Standing | None"]:
        """The outcome of a push that passes, with what the registry has of it by now; None for any other."""
        passed = self._passed(found) if self.job.event == "push" else []
        if not passed:
            return self._by_word(found), None
        from pushforward.release import promote  # a verdict that is carried over must not wait for it

        several = self.subject.settings.several
        standing = promote.standing_of_each(self.repository, passed, self.job.commit, several=several)
        with contextlib.suppress(PushforwardError):  # a judge of another version has left another form
            found = record.told_last(found, self.judged / "verdict", standing.words)
        return found, standing

    def _by_word(self, found: Outcome) -> Outcome:
        """The outcome of a push that did not pass, and says so where a person's word has made a version of it."""
        if self.job.event != "push" or not any("@review#" in name for name in self.repository.names("refs/tags/")):
            return found
        from pushforward.release import promote  # few pushes rest on one

        for model in self.subject.settings.project.models:
            standing = promote.standing(self.repository, model, self.job.commit)
            if standing.version and standing.made and standing.review:
                with contextlib.suppress(PushforwardError):  # a judge of another version has left another form
                    return record.told_last(found, self.judged / "verdict", standing.words, standing.review)
        return found

    def _passed(self, found: Outcome) -> list[str]:
        """The models that the judge has passed."""
        parts = judged.parts(self.judged / "verdict")
        if not parts:
            return list(self.subject.settings.project.models)[:1] if found.verdict == "promote" else []
        with contextlib.suppress(PushforwardError):
            return [name for name, part in parts.items() if judged.stored(part)[0].verdict == "promote"]
        return []

    def _has_verdict(self) -> bool:
        ended = {job.id: job.result for job in self.judge.jobs} if self.judge else {}
        judged = bool(ended) and all(ended.get(name) == "success" for name in self.handing)
        return judged and all((self.judged / "verdict" / name).is_file() for name in LEFT)

    def _no_verdict(self, flows: Iterable[Workflow] = ()) -> PushforwardError:
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
        names = ", ".join(f"{flow.file} ({flow.name})" for flow in flows or (one.flow for one in self.ended))
        return PushforwardError(
            f"nothing judges what {names} has run: no workflow of {self.subject.judge[:9]} answers to its end, and "
            "hands over a verdict",
            next="name it as on: workflow_run: in .github/workflows/judge.yml does",
        )

    def _verdict(self) -> Outcome:
        """What the judge has left, with the lock and the metrics that were handed to it."""
        verdict, taken = self.judged / "verdict", self.judged / TRAIN
        told = judged.kept(verdict)
        return Outcome(
            str(told.verdict["verdict"]),
            (verdict / "report.txt").read_text(),
            told,
            str(told.verdict.get("reason", "")),
            read_metrics(taken),
            recorded.pictures(verdict / "plots"),
            handover.locks_in(taken),
            self.subject.commit,
            passed="" if self.subject.trusted or not self._lands(told.verdict) else self.subject.commit,
            final=self.own,
        )

    def _lands(self, header: Mapping[str, Any]) -> bool:
        """Whether the judge has found what a protected default branch takes.

        What a change touches of the judge is asked of the whole verdict, for that of a report may be cut.
        """
        by_itself = header.get("rules", {}).get(verdicts.LEVEL) == verdicts.SELF_SCORED
        if header["verdict"] == "promote" and not by_itself:
            return True
        with contextlib.suppress(PushforwardError):
            return verdicts.lands(judged.stored(self.judged / "verdict")[0])
        return False

    def _last_words(self) -> str:
        return "".join(f"\n{error}" for error in self.errors[:3])

    def _finished_before(self) -> Outcome | None:
        """What an attempt had found that was killed between its tags and its record: a version is not judged again."""
        job = self.job
        stored = self.repository.read(f"{VERDICTS}{job.commit}", "verdict.json")
        if job.event != "push" or stored is None or self.subject.settings.several or not self._tagged():
            return None  # several are judged again: each look at a holdout has its answer already
        if all((self.judged / "verdict" / name).is_file() for name in LEFT):
            return self._settled(self._verdict())[0]

        from pushforward.release import promote

        verdict = verdicts.Verdict.from_json(stored.decode())
        words = promote.standing(self.repository, self.subject.settings.model.name, job.commit).words
        context = Context(branch=job.branch, next_step=words)
        told, report = terminal(verdict, context), recorded.report(verdict, context)
        return Outcome(verdict.verdict, told, report, verdict.reason, subject=job.commit)

    def _tagged(self) -> bool:
        """Whether a version names this commit as what was pushed."""
        known = registry.fold(self.subject.settings.model.name, self.repository.refs(*registry.PLACES))
        tags = self.repository.objects([version.tag for version in known.versions])
        records = (registry.record(tag[1].decode("utf-8", "replace")) for tag in tags if tag)
        return any(found.get("commit") == self.job.commit for found in records)


def _releases(flow: Workflow) -> bool:
    """Whether a workflow of a tag makes the release that is kept."""
    steps = [step for job in flow.jobs.values() for step in job.get("steps", [])]
    named = (step["with"].get("name") for step in steps if isinstance(step.get("with"), dict))
    return flow.file.rpartition(".")[0].endswith(RELEASE) or RELEASE in named
