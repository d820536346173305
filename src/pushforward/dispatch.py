"""From refs to runs to verdicts. What is to be done is derived from refs and recorded verdicts, at every push.

A dispatcher holds one lock, works until nothing is left and ends. One that dies loses nothing: the next one finds the
same difference between what was pushed and what was judged.
"""

import contextlib
import dataclasses
import json
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import environment, event, jail, notes, receive, run, settings, workflow
from pushforward.actlog import clean
from pushforward.errors import BUG, TOOL, PushforwardError
from pushforward.event import Event
from pushforward.git import EMPTY_TREE, HOLDOUTS, REPORTS, RUNS, ZERO, Repository
from pushforward.handover import RECORD, read_metrics
from pushforward.init import Server
from pushforward.pipeline import LOCK, METRICS
from pushforward.promote import lock_commit

if TYPE_CHECKING:
    from pushforward.actlog import Progress
    from pushforward.gate import Verdict
    from pushforward.report import Context

WORKFLOWS = ".github/workflows"
LIMIT_PICTURE = 1 << 20
# V8, which draws the judge's pictures, reserves more than a terabyte of addresses and uses next to none.
JUDGE_ADDRESSES = 1 << 46
KEPT_RUNS = 50
ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """A pushed commit that has no verdict yet."""

    event: str
    ref: str
    commit: str
    before: str
    pull: int | None = None

    @property
    def key(self) -> str:
        """The name of its run's folder."""
        return receive.key(self.event, self.commit)

    @property
    def branch(self) -> str:
        """The branch that was pushed."""
        return self.ref.removeprefix("refs/heads/")


def pending(server: Server) -> Iterator[Job]:
    """What was pushed and has no verdict, the default branch first: there every push in order, elsewhere the newest."""
    repository = server.repository
    default = f"refs/heads/{server.default_branch}"
    if repository.resolve(default) is None:
        return
    judged = {ref.name.removeprefix(RUNS) for ref in repository.refs(RUNS)}
    for before, after in repository.reflog(default):
        if after != ZERO and after not in judged:
            yield Job("push", default, after, before)
    reported = notes.annotated(repository)
    for ref in repository.refs("refs/heads/"):
        if ref.name != default and ref.object not in reported:
            moves = [before for before, after in repository.reflog(ref.name) if after == ref.object]
            yield Job("pull_request", ref.name, ref.object, moves[-1] if moves else ZERO, _pull(repository, ref.name))


def _pull(repository: Repository, ref: str) -> int:
    """The number of the pull request of a branch: `refs/pull/<n>/head` is a symbolic ref to it."""
    folder = repository.path / "refs" / "pull"
    numbers = sorted(int(path.name) for path in folder.glob("*") if path.name.isdigit())
    for number in numbers:
        head = repository.git("symbolic-ref", "-q", f"refs/pull/{number}/head", check=False).text
        if head == ref:
            return number
    number = max(numbers, default=0) + 1
    repository.git("symbolic-ref", f"refs/pull/{number}/head", ref)
    return number


class Console:
    """The log of one run: what the pusher sees."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")

    def say(self, text: str = "") -> None:
        """Append lines."""
        self._file.write("".join(f"{clean(line)}\n" for line in text.split("\n")))
        self._file.flush()

    def close(self) -> None:
        """End the log."""
        self._file.close()


def work(server: Server) -> int:
    """Judge everything that is pending, one after the other; how many runs there were."""
    seen: set[str] = set()
    with notes.locked(server.folder / receive.LOCK):
        while job := next((job for job in pending(server) if job.key not in seen), None):
            seen.add(job.key)
            (server.folder / receive.CURRENT).write_text(job.key)
            judge(server, job)
        (server.folder / receive.CURRENT).unlink(missing_ok=True)
        _forget_old(server)
    return len(seen)


def judge(server: Server, job: Job) -> None:
    """One run from event to recorded verdict. Whatever goes wrong in it, there is a verdict."""
    folder = server.folder / "runs" / job.key
    attempt = _attempt(folder)
    shutil.rmtree(folder, ignore_errors=True)
    console = Console(folder / receive.LOG)
    (folder / "attempt").write_text(str(attempt))
    started = time.monotonic()
    ledgers = {ref.name: ref.object for ref in server.repository.refs(HOLDOUTS)}
    try:
        outcome = _Run(server, job, folder, console).outcome()
        _record(server, job, outcome, folder, last=attempt >= ATTEMPTS)
    except PushforwardError as failed:
        outcome = _failed(server, job, failed)
        _record(server, job, outcome, folder, last=attempt >= ATTEMPTS)
    except Exception as bug:  # noqa: BLE001, a bug in one run must not keep the others from theirs
        log = folder / "bug.log"
        log.write_text("".join(traceback.format_exception(bug)))
        message = f"a bug: {type(bug).__name__}: {str(bug)[:200]}; its log on the server: {log}"
        outcome = _failed(server, job, PushforwardError(message, exit_code=BUG))
        _record(server, job, outcome, folder, last=attempt >= ATTEMPTS)
    _publish(server, ledgers)
    console.say(outcome.terminal.rstrip())
    if not outcome.final and attempt < ATTEMPTS:
        console.say("  this is not final: the next push, or `pushforward dispatch`, tries again")
    took = time.monotonic() - started
    console.say(f"  {took:.1f} s in all; read it again: git fetch local && pushforward report {job.commit[:9]}")
    console.close()
    (folder / receive.DONE).touch()


def _attempt(folder: Path) -> int:
    """Which attempt at a run this is; those that ended without a final verdict left their number."""
    path = folder / "attempt"
    return int(path.read_text()) + 1 if path.is_file() else 1


@dataclass(frozen=True)
class _Outcome:
    """A report for reviewers and for the terminal; the lock and the metrics of the run; the commit that was run.

    One that is not `final` says more of the machine than of the commit, and is tried again.
    """

    markdown: str
    terminal: str
    metrics: dict[str, bytes] = dataclasses.field(default_factory=dict)
    pictures: dict[str, bytes] = dataclasses.field(default_factory=dict)
    lock: bytes = b""
    subject: str = ""
    final: bool = True


def _failed(server: Server, job: Job, failed: PushforwardError) -> _Outcome:
    """The report of a run that came to no verdict of its own."""
    from pushforward import gate, report

    conflict = isinstance(failed, _ConflictError)
    context = report.Context(
        kind="merge-conflict" if conflict else "judged",
        branch=job.branch,
        target=server.default_branch,
        next_step=failed.next,
    )
    verdict = dataclasses.replace(
        gate.invalid(failed.message), commit=job.commit, ref=job.ref, event=job.event, pull=job.pull
    )
    final = failed.exit_code not in {TOOL, BUG}
    return _Outcome(_note(verdict, context), report.terminal(verdict, context), final=final)


def _note(verdict: "Verdict", context: "Context") -> str:
    from pushforward import report

    return report.with_context(report.markdown(verdict, context), context)


class _ConflictError(PushforwardError):
    """A branch that cannot be merged."""


class _Run:
    """The workflows of one event, and of the `workflow_run` that each of them causes."""

    def __init__(self, server: Server, job: Job, folder: Path, console: Console) -> None:
        self.server, self.job, self.folder, self.console = server, job, folder, console
        self.repository = server.repository
        self.where = event.Repository(Path(server.bare), server.name, server.default_branch)
        self.artifacts = folder / "artifacts"  # written by the pushed code
        self.judged = folder / "judged"  # written by the judge; holds what it was handed
        self.judge: run.WorkflowResult | None = None
        self.errors: tuple[str, ...] = ()
        self.aside: list[str] = []
        self.actions: frozenset[str] = frozenset()
        self.main = self.repository.commit(server.default_branch)
        self.trusted = job.event == "push"
        self.subject = job.commit if self.trusted else self._merge()
        rules = self.repository.read(self.main if not self.trusted else job.commit, "params.yaml")
        self.settings = settings.parse(rules or b"", f"{job.commit[:9]}:params.yaml")

    def outcome(self) -> _Outcome:
        first = self._event()
        flows = self._workflows(self.subject)
        started = [flow for flow in flows if workflow.matches(flow, first)]
        if not started or (not self.trusted and not self._would_run_on_main()):
            return self._carried()
        self.console.say(self._headline())
        for flow in started:
            result = self._run(flow, first, self.subject)
            self.errors += result.errors
            follow_up = self._follow_up(flow, result)
            for next_flow in self._workflows(follow_up.sha):
                if workflow.matches(next_flow, follow_up):
                    self._hand_over()
                    self.judge = self._run(next_flow, follow_up, follow_up.sha)
                    self.errors += self.judge.errors
        return self._collect()

    def _would_run_on_main(self) -> bool:
        """Whether the same files, pushed to the default branch, would start one of its workflows there.

        A forge needs a run for every pull request, to have a status to wait for. Here an edit of the README is not
        worth one on a branch if it is not worth one on main.
        """
        paths = self._event().paths
        default = f"refs/heads/{self.server.default_branch}"
        pushed = Event("push", self.subject, default, before=self.main, message="", paths=paths)
        return any(workflow.matches(flow, pushed) for flow in self._workflows(self.main))

    def _hand_over(self) -> None:
        """Only what the pushed code may hand over reaches the judge; a report of its own making does not."""
        self.judged.mkdir(exist_ok=True)
        handed = self.artifacts / "train"
        if handed.is_dir() and not handed.is_symlink() and not (self.judged / "train").exists():
            handed.rename(self.judged / "train")

    def _headline(self) -> str:
        if self.trusted:
            subject = self.repository.subject(self.job.commit)
            return f"{self.job.commit[:9]} on {self.job.branch}: {subject[:60]}"
        return f"#{self.job.pull} {self.job.branch} {self.job.commit[:9]} into {self.server.default_branch}"

    def _merge(self) -> str:
        """The commit that merging would make: a pull request is judged as what it would leave on the target."""
        tree, conflicts = self.repository.merge_tree(self.main, self.job.commit)
        if tree is None:
            raise _ConflictError(
                f"{self.job.branch} conflicts with {self.server.default_branch} in {', '.join(conflicts[:5])}",
                next=f"git fetch && git rebase {self.server.default_branch}, then push again",
            )
        message = f"Merge {self.job.commit} into {self.main}\n"
        parents = [self.main, self.job.commit]
        merge = self.repository.write_commit(tree, parents, message, date=self.repository.date(self.job.commit))
        self.repository.update_ref(f"refs/pull/{self.job.pull}/merge", merge)
        return merge

    def _event(self) -> Event:
        job = self.job
        message = self.repository.subject(job.commit)
        if self.trusted:
            before = None if job.before == ZERO else job.before
            paths = tuple(self.repository.changed(before, job.commit))
            return Event("push", job.commit, job.ref, before=job.before, message=message, paths=paths)
        base = self.repository.merge_base(self.main, job.commit)
        return Event(
            "pull_request",
            self.subject,
            f"refs/pull/{job.pull}/merge",
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

    def _follow_up(self, flow: workflow.Workflow, result: run.WorkflowResult) -> Event:
        default = f"refs/heads/{self.server.default_branch}"
        return Event(
            "workflow_run",
            self._judge(),
            default,
            action="completed",
            head=self.job.branch,
            head_sha=self.job.commit,
            workflow=flow.name,
            source=self.job.event,
            conclusion={"timed-out": "timed_out"}.get(result.conclusion, result.conclusion),
            run_id=self._id(),
            pull_requests=(self.job.pull,) if self.job.pull else (),
        )

    def _judge(self) -> str:
        """The commit that judges: of the default branch, as it was before the push that is judged.

        A judge whose settings cannot be read, or that has no workflows, hands on to the one before it.
        """
        if not self.trusted:
            return self.main
        commit = None if self.job.before == ZERO else self.repository.resolve(self.job.before)
        while commit is not None:
            with contextlib.suppress(PushforwardError):
                rules = settings.parse(self.repository.read(commit, "params.yaml") or b"")
                environment.digest(self.repository, commit, rules.model.requirements)
                self._workflows(commit)
                return commit
            commit = self.repository.resolve(f"{commit}^")
        return self.job.commit

    def _id(self) -> int:
        return int(self.job.commit[:8], 16)

    def _workflows(self, commit: str) -> list[workflow.Workflow]:
        """The workflow files at `commit` that this server runs (`server.workflows`)."""
        found = []
        for path in sorted(self.repository.tree(commit)):
            folder, _, name = path.rpartition("/")
            stem, _, kind = name.rpartition(".")
            if folder == WORKFLOWS and kind in {"yml", "yaml"} and stem in self.settings.server.workflows:
                text = self.repository.read(commit, path) or b""
                found.append(workflow.load(name, text.decode("utf-8", "replace")))
        if not found:
            wanted = ", ".join(self.settings.server.workflows)
            raise PushforwardError(f"{commit[:9]} has none of the workflows {wanted} in {WORKFLOWS}")
        return found

    def _run(self, flow: workflow.Workflow, what: Event, commit: str) -> run.WorkflowResult:
        workflow.concurrency(flow, event.context(what, self.where))  # what cannot be evaluated is refused, not ignored
        privileged = what.name == "workflow_run"
        trusted = self.trusted or privileged
        python = self._python(commit, trusted=trusted)
        server, cache = self.server, self._cache(trusted)
        bare, store = Path(server.bare), Path(server.store)
        folders = [path for path in (store,) if server.store]
        environments = [path for path in (server.folder / "environments",) if privileged and path.is_dir()]
        policy = jail.Policy(
            # only a judge writes: looks, and tags on the default branch; the store takes what a trusted run made
            writable=(cache, *((bare,) if privileged else ()), *(folders if self.trusted else ())),
            readable=(*(folders if not self.trusted else ()), python.parent.parent, *environments),
            network=self.trusted,
            limits=jail.Limits(memory=JUDGE_ADDRESSES) if privileged else jail.Limits(),
        )
        steps = [step for job in flow.jobs.values() for step in job.get("steps", [])]
        self.actions = frozenset(
            str(step.get("name", step["uses"])).partition("@")[0] for step in steps if "uses" in step
        )
        env = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PUSHFORWARD_ENVIRONMENT": str(python.parent.parent),
            "PUSHFORWARD_DVC_CONFIG": str(self._dvc_config(cache)),
            environment.KNOWN: str(server.folder / "environments"),
            "PUSHFORWARD_RUN": self.job.key,
            "PUSHFORWARD_BASE": self.main if not self.trusted else self.job.before,
        }
        if privileged and self.trusted:
            env["PUSHFORWARD_TOKEN"] = (server.folder / "token").read_text().strip()
        return run.run_workflow(
            flow,
            what,
            repository=self.where,
            folder=self.folder / flow.file,
            artifacts=self.judged if privileged else self.artifacts,
            jail=jail.find(trust=server.trust or trusted),
            policy=policy,
            env=env,
            run_id=self._id(),
            limit=self.settings.server.timeout_minutes * 60.0,
            on_event=self._progress,
        )

    def _progress(self, progress: "Progress") -> None:
        """Show what our own steps say; what an action says, only where it failed."""
        if progress.kind == "step-start":
            self.aside = []
        elif progress.kind == "output" and progress.step in self.actions:
            self.aside = [*self.aside[-20:], progress.text]
        elif progress.kind == "output" and progress.text.strip():
            self.console.say(progress.text if progress.text.startswith(" ") else f"    {progress.text}")
        elif progress.kind == "warning":
            self.console.say(f"  warning: {progress.text}")
        elif progress.kind == "step-end" and progress.result == "failure":
            for line in self.aside:
                self.console.say(f"  {line}")
            self.console.say(f"  step {progress.step} failed after {progress.seconds or 0:.1f} s")

    def _python(self, commit: str, *, trusted: bool) -> Path:
        """The interpreter of what `commit` locks; one is built only for what is on the target branch."""
        wanted = self.settings.model.requirements
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
        lines = ["[cache]", f"    dir = {cache}"]
        if self.server.store:
            lines += [f"['remote \"{self.server.remote}\"']", f"    url = {self.server.store}"]
        path.write_text("\n".join(lines) + "\n")
        return path

    def _collect(self) -> _Outcome:
        verdict, taken = self.judged / "verdict", self.judged / "train"
        markdown, terminal = verdict / "report.md", verdict / "report.txt"
        jobs = {job.id: job.result for job in self.judge.jobs} if self.judge else {}
        if jobs.get("judge") != "success" or not markdown.is_file() or not terminal.is_file():
            raise PushforwardError(
                "the run ended without a verdict; its last lines say why" + self._last_words(),
                next=f"less {self.folder}/*/log.txt, on the server",
                exit_code=TOOL,
            )
        metrics = read_metrics(taken / METRICS)
        lock = (taken / LOCK).read_bytes() if (taken / LOCK).is_file() and not (taken / LOCK).is_symlink() else b""
        # without a record the run of the pushed code died before it could say anything of the commit
        final, told, text = (taken / RECORD).is_file(), terminal.read_text(), markdown.read_text()
        if jobs.get("promote") not in {None, "success", "skipped"}:
            final, why = False, f"judged, but the tags could not be made{self._last_words()}"
            told = f"! NOT TAGGED  {why}\n{told}"
            first, _, rest = text.partition("\n")
            text = f"{first}\n\n> [!CAUTION]\n> **Not tagged**: the tags could not be made.\n{rest}"
        return _Outcome(text, told, metrics, _pictures(verdict / "plots"), lock, self.subject, final=final)

    def _last_words(self) -> str:
        return "".join(f"\n{error}" for error in self.errors[:3])

    def _carried(self) -> _Outcome:
        """Nothing that a workflow reads has changed: the verdict before stands."""
        from pushforward import gate, report

        source = self.job.before if self.trusted else self.main
        found = report.entries(notes.read(self.repository, source)) if source != ZERO else []
        stored = next((header for header, _ in found if header.get("event") == "push"), None)
        if stored is None:
            raise PushforwardError("no workflow of this server matches the push", next="edit on: in .github/workflows")
        what = self._event()
        due = any(workflow.matches(flow, what) for flow in self._workflows(source))
        if due if self.trusted else self._would_run_on_main():
            raise PushforwardError(
                f"the workflows of this commit are not run for a change that those of {source[:9]} are run for",
                next="change on: in .github/workflows by itself first",
            )
        verdict = dataclasses.replace(gate.Verdict.from_json(json.dumps(stored)), stages=())
        context = report.Context(
            kind="carried", carried_to=self.job.commit, branch=self.job.branch, next_step="nothing to do"
        )
        return _Outcome(_note(verdict, context), report.terminal(verdict, context), subject=source)


def _pictures(folder: Path) -> dict[str, bytes]:
    """The pictures that the judge has drawn, by name."""
    found = [path for path in sorted(folder.glob("*.svg")) if path.is_file() and not path.is_symlink()]
    return {path.name: path.read_bytes() for path in found if path.stat().st_size < LIMIT_PICTURE}


def _record(server: Server, job: Job, outcome: _Outcome, folder: Path, *, last: bool) -> None:
    """The note first, then the run's ref, which says that the verdict is there.

    What is not final leaves a trace that it may be tried again: no ref on the default branch, no note elsewhere.
    """
    repository = server.repository
    final = outcome.final or last
    if final or job.event == "push":
        notes.put(repository, job.commit, job.event, outcome.markdown, lock=server.folder / "notes.lock")
    target = outcome.subject or job.commit
    if outcome.lock:
        target = lock_commit(repository, target, outcome.lock, outcome.metrics, scratch=folder)
    elif known := repository.resolve(f"{RUNS}{outcome.subject}"):
        target = known
    if final and job.event == "push":
        with contextlib.suppress(PushforwardError):  # unreadable settings are the verdict already
            rules = settings.parse(repository.read(job.commit, "params.yaml") or b"")
            server.know(rules.model.name, list(rules.promote.environments))
        repository.update_ref(f"{RUNS}{job.commit}", target)
    elif outcome.subject and outcome.lock and job.event != "push":
        repository.update_ref(f"{RUNS}{outcome.subject}", target)
    if outcome.pictures:
        ref, place = f"{REPORTS}{job.commit}", f"{job.event}/plots"
        files = {f"{place}/{name}": picture for name, picture in outcome.pictures.items()}
        base = repository.resolve(ref) or EMPTY_TREE
        tree = repository.write_tree(base, files, index=folder / "pictures.index", drop=place)
        date = repository.date(job.commit)
        repository.update_ref(ref, repository.write_commit(tree, [], f"Pictures of {job.commit}\n", date=date))
    for used in ("cache", "artifacts", "judged"):
        shutil.rmtree(folder / used, ignore_errors=True)


def _publish(server: Server, before: dict[str, str]) -> None:
    """Write the numbers of a holdout that has retired into the reports that kept them back."""
    moved = [ref for ref in server.repository.refs(HOLDOUTS) if before.get(ref.name) != ref.object]
    if not moved:
        return
    from pushforward import ledger, report, seal

    book = ledger.Ledger(server.repository, key=seal.key(Path(server.bare)))
    for ref in moved:
        name = ref.name.removeprefix(HOLDOUTS)
        state, numbers = book.state(name), book.numbers(name)
        for look in state.looks if state.retired else ():
            for header, body in report.entries(notes.read(server.repository, look.commit)):
                if look.number in numbers and header.get("sealed"):
                    whole = seal.opened(json.dumps(header), numbers[look.number])
                    text = _note(whole, report.context_of(body))
                    notes.renew(server.repository, look.commit, whole.event, text, lock=server.folder / "notes.lock")


def _forget_old(server: Server) -> None:
    folders = sorted((server.folder / "runs").glob("*"), key=lambda path: path.stat().st_mtime)
    for folder in folders[:-KEPT_RUNS]:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Entry of the detached process: `python -m pushforward.dispatch BARE`."""
    server = Server.load(Path(sys.argv[1]))
    work(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
