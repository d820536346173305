"""The subject of a run: the commit that is run, the event that its workflows are told, the commit that judges it."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from pushforward import files
from pushforward.actions import event, filters
from pushforward.actions.event import Event
from pushforward.actions.result import WorkflowResult
from pushforward.actions.workflow import FOLDER, Workflow
from pushforward.errors import PushforwardError
from pushforward.git.refs import HOLDOUTS, PULLS, REGISTRY, RUNS, VERDICTS, ZERO
from pushforward.git.server import Server
from pushforward.pipeline.checkout import OWN
from pushforward.pipeline.revision import Revision
from pushforward.registry import ssh
from pushforward.registry.grammar import UNTRAINED
from pushforward.report import notes
from pushforward.server import flows, requests
from pushforward.server.runs import CANCELLED, SKIPPED, Job

WORDLESS = {"invalid", "skipped", "cancelled"}  # what says nothing of a model
MEASURED = "measured"
UNRUN = (SKIPPED, CANCELLED, UNTRAINED)
PAST, JUDGES = 100, 3  # commits that are asked for an earlier judge, and how many of those are tried


class ConflictError(PushforwardError):
    """A branch that cannot be merged."""


class Subject:
    """What a job is about. `commit` is what is run: of a pull request, what merging it would leave on the target.

    `trusted` is what the target branch has, or a person has signed.
    """

    def __init__(self, server: Server, job: Job) -> None:
        self.server, self.job = server, job
        self.repository = server.repository
        self.where = event.Repository(Path(server.bare), server.name, server.default_branch)
        self.default = f"refs/heads/{server.default_branch}"
        self.main = self.repository.commit(server.default_branch)
        self.trusted = job.trusted if job.event == "workflow" else job.event != "pull_request"
        self.commit = self._commit()
        self.settings = Revision(self.repository, self.commit if self.trusted else self.main).settings

    def _commit(self) -> str:
        """The commit that is run."""
        if self.job.event == "workflow":
            return self.event.sha
        return self.job.commit if self.trusted else self._merge()

    @property
    def id(self) -> int:
        """The number of the run, as a forge would give it."""
        job = self.job
        return int((job.serial.rpartition("-")[2] or job.tag or job.commit)[:8], 16)

    def headline(self) -> str:
        """What is run, in one line."""
        job = self.job
        if job.event == "pull_request":
            return f"#{job.pull} {job.branch} {job.commit[:9]} into {self.server.default_branch}"
        if job.event == "workflow":
            return f"{job.file} ({job.on}) for {job.branch} {job.commit[:9]}"
        if job.event == "schedule":
            return f"{job.file} of {job.due} ({job.cron}) at {job.commit[:9]}"
        return f"{job.commit[:9]} on {job.branch}: {self.repository.subject(job.commit)[:60]}"

    def _merge(self) -> str:
        """The commit that merging would make."""
        job, repository = self.job, self.repository
        merge, conflicts = repository.merge_commit(self.main, job.commit)
        if merge is None:
            raise ConflictError(
                f"{job.branch} conflicts with {self.server.default_branch} in {', '.join(conflicts[:5])}",
                next=f"git fetch && git rebase {self.server.default_branch}, then push again",
            )
        repository.set_ref(f"{PULLS}{job.pull}/merge", merge)
        return merge

    @functools.cached_property
    def before(self) -> str:
        """The push before this one that was run; one that was not says nothing of what it changed."""
        return self.last_run(self.job.before)

    def last_run(self, commit: str) -> str:
        """`commit`, or the newest push of the default branch before it that was run; zeros where there is none."""
        moves = {after: before for before, after in self.repository.reflog(self.default)}
        while commit in moves and str(self.verdict_of(commit).get("reason", "")).startswith(UNRUN):
            commit = moves.pop(commit)
        return commit

    def verdict_of(self, commit: str) -> Mapping[str, object]:
        """What is recorded of a push of `commit` to the default branch; empty where nothing is."""
        found = notes.read(self.repository, commit) if commit != ZERO else []
        return next((one.verdict for one in found if one.event == "push"), {})

    def awaits(self, commit: str) -> bool:
        """Whether a push of `commit` to the default branch is still to be judged."""
        pushed = any(after == commit for _, after in self.repository.reflog(self.default))
        return pushed and self.repository.resolve(f"{RUNS}{commit}") is None

    @functools.cached_property
    def event(self) -> Event:
        """What the workflows at `commit` are told."""
        job = self.job
        if job.event == "workflow":
            return requests.load(self.server, job).event
        if job.event == "schedule":
            return Event("schedule", job.commit, job.ref, schedule=job.cron)
        message = self.repository.subject(job.commit)
        if job.event == "tag":
            return Event("push", job.commit, job.ref, message=message)
        if job.event == "push":
            paths = tuple(self.repository.changed(None if self.before == ZERO else self.before, job.commit))
            told = paths if paths or not self._asks_for_promotion else None
            return Event("push", job.commit, job.ref, before=job.before, message=message, paths=told)
        base = self.repository.merge_base(self.main, job.commit)
        return Event(
            "pull_request",
            self.commit,
            f"{PULLS}{job.pull}/merge",
            before=job.before,
            message=message,
            paths=tuple(self.repository.changed(base, job.commit)),
            action="opened" if job.before == ZERO else "synchronize",
            number=job.pull or 0,
            base=self.server.default_branch,
            base_sha=self.main,
            head=job.branch,
            head_sha=job.commit,
        )

    @property
    def _asks_for_promotion(self) -> bool:
        """Whether a commit says that it shall be promoted: then it is run, even where it changes nothing."""
        (found,) = self.repository.objects([self.job.commit])
        return found is not None and bool(ssh.word_in(found[1], ssh.PROMOTE))

    def heard(self, workflow: str) -> Event:
        """What workflows of the default branch are told of a person's word: as a forge does, after a `workflow`."""
        return Event(
            "workflow_run",
            self.main,
            self.default,
            action="completed",
            head=self.job.branch,
            head_sha=self.job.commit,
            workflow=workflow,
            source="push",
            conclusion="success",
            run_id=self.id,
        )

    def as_if_merged(self) -> Event:
        """The same files, pushed to the default branch."""
        return Event("push", self.commit, self.default, before=self.main, message="", paths=self.event.paths)

    def follow_up(self, flow: Workflow, result: WorkflowResult, judge: str) -> Event:
        """What the workflows of `judge` are told when `flow` has ended."""
        return Event(
            "workflow_run",
            judge,
            self.default,
            action="completed",
            head=self.job.branch,
            head_sha=self.job.commit,
            workflow=flow.name,
            source="push" if self.job.event == "tag" else self.job.event,
            conclusion={"timed-out": "timed_out"}.get(result.conclusion, result.conclusion),
            run_id=self.id,
            pull_requests=(self.job.pull,) if self.job.pull else (),
        )

    @functools.cached_property
    def judge(self) -> str:
        """The commit that judges: of the default branch, as it was before the push that is judged.

        A judge whose settings cannot be read, or that has no workflows, hands on to the one before it. Before the first
        word on a model there is nobody to be judged by: a push is judged by itself.
        """
        if self.job.event != "push":
            return self.main
        commit = None if self.judged_before == ZERO else self.repository.resolve(self.judged_before)
        while commit is not None:
            with contextlib.suppress(PushforwardError):
                files.check_tree(self.repository.tree(commit), OWN)
                _ = Revision(self.repository, commit).environment
                self.workflows(commit)
                return commit
            commit = self.repository.resolve(f"{commit}^")
        return self.job.commit

    @functools.cached_property
    def judged_before(self) -> str:
        """The commit from which a judge of this push is looked for; zeros where no push had a word on a model yet.

        Whoever adopts in steps breaks a few commits first, and their environment may be one that cannot be built. What
        was only measured is no word on a model: a push that has more to be judged by is not held to less.
        """
        if self.job.before == ZERO or self.repository.names(HOLDOUTS, VERDICTS, REGISTRY):
            return self.job.before
        past = [after for _, after in self.repository.reflog(self.default) if after != self.job.commit][-PAST:]
        words = {self._word(commit) for commit in past}
        none = words <= WORDLESS or (words <= WORDLESS | {MEASURED} and self._is_higher())
        return ZERO if none else self.job.before

    def _word(self, commit: str) -> object:
        """The word on a push; of one that nobody has told of, whether it was skipped."""
        unrun = "skipped" if self.repository.resolve(f"{RUNS}{commit}") is None else ""
        return self.verdict_of(commit).get("verdict", unrun)

    def _is_higher(self) -> bool:
        """Whether the settings of this push are of a level above that of the push before."""
        with contextlib.suppress(PushforwardError):
            before = Revision(self.repository, self.last_run(self.job.before)).settings
            return self.settings.level > before.level
        return False

    def judges(self) -> Iterator[str]:
        """The commit that judges, and after it those that have judged before: one that cannot work hands on."""
        yield self.judge
        seen = {self.judge}
        past = self.repository.git("rev-list", "--first-parent", f"--max-count={PAST}", self.judge).text.split()
        for commit in past:
            earlier = str(self.verdict_of(commit).get("base", ""))
            if earlier in past and earlier not in seen:
                seen.add(earlier)
                yield earlier
            if len(seen) > JUDGES:
                return

    def workflows(self, commit: str) -> list[Workflow]:
        """The workflow files at `commit` that this server runs (`server.workflows`)."""
        wanted = self.settings.server.workflows
        found = flows.listed(self.repository, commit, wanted, self.server.default_branch)
        if not found:
            raise PushforwardError(f"{commit[:9]} has none of the workflows {', '.join(wanted)} in {FOLDER}")
        return found

    def due(self, commit: str, what: Event) -> list[Workflow]:
        """Those of the workflows at `commit` that answer to an event."""
        wanted = self.job.file
        return [
            flow
            for flow in self.workflows(commit)
            if flow.file == (wanted or flow.file) and filters.matches(flow, what)
        ]
