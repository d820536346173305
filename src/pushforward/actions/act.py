"""Runs one workflow for one event: the only module that starts act. It owns limits, logs, results and clean-up."""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from pushforward import cause
from pushforward.actions import artifacts as artifact_folder
from pushforward.actions.event import Event, Repository, payload
from pushforward.actions.log import JobResult, Mask, Progress, Reader, parse
from pushforward.actions.workflow import FOLDER, RUNNER, Workflow, job_minutes, limit_minutes, load, problems, uses
from pushforward.cause import Cause
from pushforward.errors import BUG, TOOL, MachineError, PushforwardError
from pushforward.git import repository as git
from pushforward.sandbox.jail import PLAIN, Jail, Policy, reclaim
from pushforward.sandbox.watch import Watch
from pushforward.text import clean

Conclusion = Literal["success", "failure", "cancelled", "timed-out", "skipped"]

ACTIONS = Path(__file__).parent / "stand_ins"
ACT = Path(sys.executable).parent / "act"

GIT_FOLDERS = frozenset({"branches", "hooks", "info", "lfs", "logs", "modules", "objects", "refs", "worktrees"})

# act and bash cut the path of a step's script at blanks and quotes; these they take as they are.
PLAIN_PATH = re.compile(r"[\w./+@%=,~-]+")

GRACE = 10.0  # seconds between a polite end and a hard one
TICK = 0.2
SLACK = 60.0  # what starting and tidying may take beyond the jobs' own time
MAX_GITHUB_FILES = 1000
MAX_GITHUB_BYTES = 16 << 20
MAX_LINE = 1 << 20  # bytes of one line of act's log; the rest of a longer one is dropped
MAX_LOG = 64 << 20  # bytes kept of each log file
MAX_READ = 256 << 20  # bytes of log that a run may write before it is ended
MAX_TOLD = 8 << 20  # characters that whoever follows a run is told
MAX_MASKS = 50  # that steps may add: each is looked for in every line
MAX_SECRETS = 48 << 10  # they have to fit into a pipe

# A pseudo-terminal is what steps get from act: nothing may page, colour or wait.
CALM = {
    "GIT_PAGER": "cat",
    "PAGER": "cat",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "LANG": "C.UTF-8",
    "GIT_TERMINAL_PROMPT": "0",
    "ACT_DISABLE_VERSION_CHECK": "1",
}


@dataclass(frozen=True)
class WorkflowResult:
    """How a workflow ended, and why. `skipped` means that the conditions of all of its jobs were false.

    `cause` is what went wrong first. Where it is `own`, the same commit would fail so again, wherever it is run; what
    else went wrong may be the machine's.
    """

    workflow: str
    file: str
    conclusion: Conclusion
    seconds: float
    jobs: tuple[JobResult, ...]
    summary: str
    errors: tuple[str, ...]
    log: Path
    learned: Mask | None = None  # where a step has masked something that it may have said before
    cause: Cause = cause.NONE
    own: bool = False


def _ignore(_: Progress) -> None:
    """Follow nothing."""


def run_workflow(
    workflow: Workflow,
    event: Event,
    *,
    repository: Repository,
    folder: Path,
    artifacts: Path,
    jail: Jail,
    policy: Policy,
    env: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    run_id: int,
    run_number: int = 1,
    limit: float | None = None,
    on_event: Callable[[Progress], None] = _ignore,
    cancel: threading.Event | None = None,
) -> WorkflowResult:
    """Run `workflow` as it is at `event.sha` and wait for its end.

    `folder` is made for this run and keeps `log.txt`, `log.jsonl` and `event.json`; the rest of it goes. `artifacts` is
    shared by the workflows that follow one another. `policy` says what the run may touch beside these and reading the
    bare repository. `env` reaches every step; `secrets` reach act through a pipe, and are masked. The run is ended
    after `limit` seconds (by default the sum of the jobs' `timeout-minutes` and a minute), after a job's own
    `timeout-minutes`, when `cancel` is set, and at once where it breaks another limit of the policy. Progress is told
    to `on_event` as it happens. Secrets for a run that is not trusted are refused.
    """
    if secrets and policy.untrusted:
        raise PushforwardError(f"{workflow.file} is not trusted and gets no secrets", exit_code=BUG)
    artifacts = artifacts.absolute()
    place = _Place.make(folder, artifacts)
    mask = Mask((secrets or {}).values())
    reader = Reader(time.monotonic, prefix=f"{workflow.data.get('name') or workflow.file}/")
    started = time.monotonic()
    minutes = job_minutes(workflow)
    limits = _Limits(
        whole=started + (limit_minutes(workflow) * 60 + SLACK if limit is None else limit),
        jobs={name: value * 60 for name, value in minutes.items()},
        cancel=cancel or threading.Event(),
    )
    names = _Names.of(place, jail)
    environment = _environment(names.box, artifacts, repository, run_id, env or {})
    read_file = _reader_of(repository, event.sha)
    refused = [clean(line) for line in problems(workflow, read_file)]
    end: _End | None = None
    try:
        with _Log(place, mask, reader, on_event) as log, _secrets(secrets or {}) as secret_file:
            for line in refused:
                log.tell(Progress("error", line))
            if not refused:
                _prepare(place, workflow, event, repository)
                argv = _act(workflow, event, repository, place, names.box, run_id, run_number)
                for action in uses(workflow, read_file):
                    argv += ["--local-repository", f"{action}={_stand_in(action, names.actions)}"]
                argv += ["--secret-file", f"/dev/fd/{secret_file}" if secret_file else str(place.empty)]
                inside = _inside(policy, place, artifacts, repository, environment)
                inside = replace(inside, placed={**inside.placed, **names.placed(place)})
                wrapped = jail.wrap(argv, inside, cwd=place.cwd, scratch=place.scratch)
                end = _follow(wrapped, environment, secret_file, limits, log, inside, place)
    finally:
        _clean_up(place, environment if jail.kind == "none" else None)
        if names.link:
            _remove(names.link)
        spoilt = list(_settle(artifacts, policy.writable if policy.untrusted else ()))
    reasons = refused if end is None else [*_reasons(workflow, reader, end), *spoilt]
    conclusion = _conclusion(reader, end, reasons)
    why, own = _why(workflow, reader, end, reasons) if conclusion in ("failure", "timed-out") else (cause.NONE, False)
    return WorkflowResult(
        workflow.name,
        workflow.file,
        conclusion,
        round(time.monotonic() - started, 3),
        (*_results(workflow, reader, end), *_skipped(workflow, reader)),
        mask.apply("\n".join(reader.summaries)),
        () if conclusion in ("success", "skipped") else tuple(dict.fromkeys([*reader.errors, *reasons])),
        place.log,
        mask if mask.learned else None,
        replace(why, text=mask.apply(why.text), next=mask.apply(why.next)),
        own,
    )


def export(repository: Repository, sha: str, folder: Path) -> None:
    """Write the plain files of `.github` at `sha` into `folder`, straight from the objects.

    No attribute of the pushed tree has a say (`export-ignore` would hide files), and no link leads out.
    """
    found = git.Repository(repository.path)
    listed = {
        path: entry.split()
        for path, entry in found.tree(sha).items()
        if path.startswith(".github/") and entry.startswith("100")
    }
    if len(listed) > MAX_GITHUB_FILES:
        raise PushforwardError(f".github has {len(listed)} files; the limit is {MAX_GITHUB_FILES}")
    sizes = found.git("cat-file", "--batch-check=%(objectsize)", stdin=_lines(entry[1] for entry in listed.values()))
    if sum(int(size) for size in sizes.text.split()) > MAX_GITHUB_BYTES:
        raise PushforwardError(f".github has more than {MAX_GITHUB_BYTES >> 20} MiB")
    stream = found.git("cat-file", "--batch", stdin=_lines(entry[1] for entry in listed.values())).stdout
    at = 0
    for path, (mode, _) in listed.items():
        header = stream.index(b"\n", at)
        size = int(stream[at:header].split()[2])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(stream[header + 1 : header + 1 + size])
        target.chmod(0o755 if mode == "100755" else 0o644)
        at = header + size + 2


@dataclass(frozen=True)
class _Place:
    """The folders of a run. `input` is read-only inside of the jail, `box` is all that steps may write."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, artifacts: Path) -> "_Place":
        place = cls(folder.absolute())
        if folder.exists() and any(folder.iterdir()):
            raise PushforwardError(f"{folder} is not empty: every run needs a folder of its own")
        for path in (
            place.source / FOLDER,
            place.cwd,
            place.work,
            place.home,
            place.box / "tmp",
            place.scratch,
            artifacts,
        ):
            path.mkdir(parents=True, exist_ok=True)
        # A real file: act reads its files of variables from wherever this leads.
        place.empty.touch()
        return place

    @property
    def input(self) -> Path:
        return self.folder / "input"

    @property
    def source(self) -> Path:
        return self.input / "source"

    @property
    def cwd(self) -> Path:
        return self.input / "cwd"

    @property
    def empty(self) -> Path:
        return self.input / "empty"

    @property
    def event(self) -> Path:
        return self.input / "event.json"

    @property
    def box(self) -> Path:
        return self.folder / "box"

    @property
    def work(self) -> Path:
        return self.box / "work"

    @property
    def home(self) -> Path:
        return self.box / "home"

    @property
    def scratch(self) -> Path:
        return self.folder / "jail"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def json_log(self) -> Path:
        return self.folder / "log.jsonl"


@dataclass(frozen=True)
class _Limits:
    whole: float
    jobs: Mapping[str, float]
    cancel: threading.Event

    def broken(self, now: float, reader: Reader, size: int) -> tuple[Conclusion, str] | None:
        """What has to end the run now: how it ends, and why."""
        if self.cancel.is_set():
            return "cancelled", "the run was cancelled"
        if size > MAX_READ:
            where = reader.at_work() or "the run"
            return "failure", f"{where}: more than {MAX_READ >> 20} MiB of output; print less, or into a file"
        for job, started in reader.running():
            if now - started > self.jobs.get(job, float("inf")):
                return "timed-out", f"job {job} took longer than its {self.jobs[job] / 60:g} minutes"
        if now > self.whole:
            return "timed-out", "the run took longer than it may"
        return None


@dataclass(frozen=True)
class _End:
    """How the process of act ended: its status, and what cut it short if something did."""

    status: int
    cut: tuple[Conclusion, str] | None


@dataclass
class _Log:
    """Both log files of a run, bounded, and whoever follows it."""

    place: _Place
    mask: Mask
    reader: Reader
    on_event: Callable[[Progress], None]
    _files: list[IO[str]] = field(default_factory=list)
    _left: dict[int, int] = field(default_factory=dict)
    _summaries: list[Progress] = field(default_factory=list)
    _told: int = 0
    _shortened: bool = False
    _masks: int = 0

    def __enter__(self) -> "_Log":
        self._files = [path.open("w", encoding="utf-8") for path in (self.place.log, self.place.json_log)]
        self._left = {0: MAX_LOG, 1: MAX_LOG}
        return self

    def __exit__(self, *_: object) -> None:
        for summary in self._summaries:
            self.tell(replace(summary, text=self.mask.apply(summary.text)))
        for file in self._files:
            file.close()
        if self.mask.learned:
            for path in (self.place.log, self.place.json_log):
                path.write_text(self.mask.apply(path.read_text(encoding="utf-8")), encoding="utf-8")

    def take(self, line: bytes) -> None:
        """One line of act: keep it, learn from it, tell of it."""
        if self._left[0] < 0 and self._left[1] < 0 and b'"raw_output":true' in line:
            return
        entry = parse(line)
        if isinstance(entry, str) and entry.startswith("{"):
            self._write(0, f"  … (a line of more than {MAX_LINE} bytes is left out)")
            if not self._shortened:
                self._shortened = True
                at = f"{self.reader.at_work()}: " if self.reader.at_work() else ""
                self.tell(Progress("warning", f"{at}a line of more than {MAX_LINE >> 20} MiB of output is left out"))
            return
        if isinstance(entry, str):
            for progress in self.reader.plain(self.mask.apply(entry)):
                self.tell(progress)
            return
        if entry.get("command") == "add-mask" and self._masks < MAX_MASKS:
            self._masks += 1
            self.mask.learn(str(entry.get("arg", "")))
        entry = self.mask.apply_all(entry)
        self._write(1, json.dumps(entry, ensure_ascii=False))
        if entry.get("raw_output"):
            self._line(entry)
        for progress in self.reader.read(entry):
            if progress.kind == "summary":
                # act can tell of a step's last commands, a new secret among them, after it has told of its summary
                self._summaries.append(progress)
            else:
                self.tell(progress)

    def tell(self, progress: Progress) -> None:
        """Write one piece of progress into the readable log, and pass it on."""
        marks = {"job-start": "job", "step-start": "step", "job-end": "job", "step-end": "step"}
        if progress.kind in marks:
            ended = f" {progress.result}, {progress.seconds or 0:.1f} s" if progress.result else ""
            name = progress.text if progress.kind.endswith("start") else progress.step or progress.job
            self._write(0, f"{marks[progress.kind]} {name}{':' + ended if ended else ''}")
        elif progress.kind != "output":
            self._write(0, f"{progress.kind}: {progress.text}")
        if progress.kind not in marks:
            self._told += len(progress.text)
            if self._told > MAX_TOLD:
                return
        self.on_event(progress)

    def _line(self, entry: Mapping[str, object]) -> None:
        self._write(0, f"  {clean(str(entry.get('msg', '')))}")

    def _write(self, number: int, line: str) -> None:
        if self._left[number] < 0:
            return
        self._left[number] -= len(line.encode("utf-8", "replace")) + 1
        if self._left[number] < 0:
            line = "… (cut: the log is full)" if number == 0 else '{"msg":"cut: the log is full"}'
        self._files[number].write(f"{line}\n")
        self._files[number].flush()


@dataclass
class _Lines:
    """Bytes cut into lines; what a line has beyond the limit is dropped."""

    waiting: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` ends; an empty chunk ends the last one."""
        if not chunk and self.waiting:
            yield bytes(self.waiting)
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            yield bytes(self.waiting)
            self.waiting.clear()
            start = end + 1
        self._keep(chunk[start:])

    def _keep(self, part: bytes) -> None:
        self.waiting += part[: MAX_LINE - len(self.waiting)]


@dataclass(frozen=True)
class _Names:
    """What the folders that steps are run from are called inside of the jail. `link` is a folder of links, if any."""

    box: Path
    actions: Path
    link: Path | None = None

    @classmethod
    def of(cls, place: _Place, jail: Jail) -> "_Names":
        """As they are called outside where nothing in that would be cut; else a jail shows them elsewhere too.

        Without a jail links of this run's own lead there.
        """
        if PLAIN_PATH.fullmatch(f"{place.box}{ACTIONS}"):
            return cls(place.box, ACTIONS)
        root = PLAIN if jail.kind != "none" else Path(tempfile.mkdtemp(prefix="pushforward-"))
        names = cls(root / "box", root / "actions", root if jail.kind == "none" else None)
        if names.link:
            names.box.symlink_to(place.box)
            names.actions.symlink_to(ACTIONS)
        return names

    def placed(self, place: _Place) -> dict[Path, Path]:
        """Name inside -> folder, of those that have another one there."""
        return {} if self.box == place.box else {self.box: place.box, self.actions: ACTIONS}


def _prepare(place: _Place, workflow: Workflow, event: Event, repository: Repository) -> None:
    """Lay out what act reads: the files of `.github`, and the event."""
    export(repository, event.sha, place.source)
    file = place.source / workflow.path
    if not file.is_file() or load(workflow.file, file.read_text("utf-8", "replace")).data != workflow.data:
        raise PushforwardError(f"{workflow.path} at {event.sha} is not the workflow that was to run")
    place.event.write_text(json.dumps(payload(event, repository)))


def _inside(
    policy: Policy, place: _Place, artifacts: Path, repository: Repository, environment: Mapping[str, str]
) -> Policy:
    """`policy` and what every run needs: its input, its box, the artifacts, and the repository to clone from.

    Unless the policy makes it writable, what a server keeps in the bare repository beside git's own is hidden.
    """
    given = environment.get("PUSHFORWARD_DVC_CONFIG")
    policy = policy.extend(writable=(place.box, artifacts), readable=(place.input, *([Path(given)] if given else [])))
    bare = repository.path
    if bare in policy.writable:
        return policy
    foreign = [path for path in bare.iterdir() if path.is_dir() and path.name not in GIT_FOLDERS]
    return policy.extend(readable=(bare,), hidden=foreign)


def _lines(words: Iterator[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _reader_of(repository: Repository, sha: str) -> Callable[[str], str | None]:
    found = git.Repository(repository.path)

    def read_file(path: str) -> str | None:
        content = found.read(sha, path)
        return None if content is None else content.decode("utf-8", "replace")

    return read_file


def _environment(
    box: Path, artifacts: Path, repository: Repository, run_id: int, env: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of act, which hands all of it to every step."""
    chosen = {
        **CALM,
        "PATH": f"{ACT.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PUSHFORWARD_RUN": str(run_id),
        "PUSHFORWARD_REPOSITORY": str(repository.path),
        "PUSHFORWARD_ARTIFACTS": str(artifacts),
        "PUSHFORWARD_PYTHON": sys.executable,
        "PUSHFORWARD_LIB": str(Path(__file__).parents[2]),
        "TMPDIR": str(box / "tmp"),
        **env,
    }
    return {**chosen, "HOME": str(box / "home")}


def _act(
    workflow: Workflow,
    event: Event,
    repository: Repository,
    place: _Place,
    box: Path,
    run_id: int,
    run_number: int,
) -> list[str]:
    argv = [str(ACT), event.name, "-C", str(place.source), "-W", str(place.source / workflow.path)]
    argv += ["-e", str(place.event), "-P", f"{RUNNER}=-self-hosted", "--json", "--rm"]
    argv += ["--action-cache-path", str(box / place.work.name), "--no-cache-server", "--no-skip-checkout"]
    for name in ("env", "var", "input"):
        argv += [f"--{name}-file", str(place.empty)]
    given = {
        "GITHUB_REPOSITORY": repository.full_name,
        "GITHUB_RUN_ID": str(run_id),
        "GITHUB_RUN_NUMBER": str(run_number),
        "GITHUB_REF": event.ref,
        "SHA_REF": event.sha,
    }
    if event.name == "pull_request":
        given |= {"GITHUB_BASE_REF": event.base, "GITHUB_HEAD_REF": event.head}
    for name, value in given.items():
        argv += ["--env", f"{name}={value}"]
    argv += ["--defaultbranch", repository.default_branch, "-a", event.sender]
    return argv


def _stand_in(action: str, actions: Path) -> Path:
    """The folder among `actions` that stands in for `owner/name@sha`."""
    return actions / action.partition("@")[0].replace("/", "+")


@contextmanager
def _secrets(secrets: Mapping[str, str]) -> Iterator[int | None]:
    """A pipe from which act reads the secrets once: they are in no file, no argument and no environment."""
    if not secrets:
        yield None
        return
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r"})
    content = "".join(f'{name}="{value.translate(escapes)}"\n' for name, value in secrets.items()).encode()
    if len(content) > MAX_SECRETS:
        raise PushforwardError(f"the secrets have more than {MAX_SECRETS >> 10} KiB")
    source, sink = os.pipe()
    try:
        os.write(sink, content)
        os.close(sink)
        yield source
    finally:
        os.close(source)


def _follow(
    argv: list[str],
    environment: Mapping[str, str],
    secret_file: int | None,
    limits: _Limits,
    log: _Log,
    policy: Policy,
    place: _Place,
) -> _End:
    """Run act to its end, or to the end of a limit.

    Who takes too long is asked politely first, and ended hard after a grace; who takes too much is ended at once.
    """
    try:
        process = subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=() if secret_file is None else (secret_file,),
        )
    except FileNotFoundError as missing:
        raise MachineError(f"{Path(argv[0]).name} is not installed", next="pushforward check") from missing
    except OSError as broken:
        raise MachineError(f"{Path(argv[0]).name} cannot be started: {broken.strerror}") from broken
    cut: tuple[Conclusion, str] | None = None
    ended = hard = float("inf")
    size = 0
    folders = tuple(dict.fromkeys((place.box, place.scratch, *(policy.writable if policy.untrusted else ()))))
    watch = Watch(process.pid, policy.limits, folders, spare=policy.untrusted)
    with process, selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, _Lines())
        try:
            # What left the jail may hold the streams open: after the end of act, a second is enough to read the rest.
            while selector.get_map() and time.monotonic() < ended + 1:
                for key, _ in selector.select(TICK):
                    chunk = os.read(key.fd, 1 << 16)
                    size += len(chunk)
                    for line in key.data.feed(chunk):
                        log.take(line)
                    if not chunk:
                        selector.unregister(key.fileobj)
                now = time.monotonic()
                if process.poll() is not None:
                    ended = min(ended, now)
                elif now > hard:
                    _kill(process.pid)
                elif cut is None and (cut := limits.broken(now, log.reader, size)):
                    hard = now + GRACE
                    log.tell(Progress("error", cut[1]))
                    _interrupt(process.pid)
                elif why := watch.broken(now):
                    cut, hard = cut or ("failure", why), now
                    log.tell(Progress("error", why))
                    _kill(process.pid)
        finally:
            watch.end()
            _kill(process.pid)
    return _End(process.returncode, cut)


def _interrupt(wrapper: int) -> None:
    """Ask act, which stands below the jail's processes, to cancel: steps with `always()` still run."""
    with suppress(ProcessLookupError):
        os.kill(_find_act(wrapper), signal.SIGINT)


def _find_act(wrapper: int) -> int:
    waiting = [wrapper]
    while waiting:
        pid = waiting.pop(0)
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == ACT.name:
                return pid
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return wrapper


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _clean_up(place: _Place, unjailed: Mapping[str, str] | None) -> None:
    """Delete what steps made; without a jail, first end what they left running."""
    if unjailed:
        mark = f"HOME={unjailed['HOME']}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
    _remove(place.box, place.scratch, place.source, place.cwd)


def _remove(*folders: Path) -> None:
    """Delete folders, also where steps took the permissions away, or nested deeper than a path can be long."""
    found = [str(folder) for folder in folders if folder.exists() and not folder.is_symlink()]
    for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf", "--one-file-system"]) if found else ():
        quiet = subprocess.DEVNULL
        subprocess.run([*command, "--", *found], stdin=quiet, stdout=quiet, stderr=quiet, check=False)


def _settle(artifacts: Path, own: Iterable[Path]) -> Iterator[str]:
    """Make what a run leaves safe to read and to delete: emptied where it is too much, and then why."""
    for folder in (artifacts, *own):
        try:
            if folder == artifacts:
                artifact_folder.scrub(folder)
            for path in artifact_folder.below(folder):
                reclaim(path)
        except PushforwardError as wrong:
            _remove(folder)
            folder.mkdir()
            yield wrong.message
        reclaim(folder)


def _reasons(workflow: Workflow, reader: Reader, end: _End) -> Iterator[str]:
    """Why the run is not green. act's own status says too little: it is 0 where jobs were left out silently."""
    if end.cut:
        yield end.cut[1]
        return
    results = {job.id: job.result for job in reader.results()}
    for name, job in workflow.jobs.items():
        needed = [job.get("needs", [])] if isinstance(job.get("needs"), str) else job.get("needs", [])
        due = "if" not in job and "uses" not in job
        if due and name not in results and all(results.get(other) == "success" for other in needed):
            yield f"job {name} did not run"
    for job_result in reader.results():
        if (job_result.result == "success") and (left := _left_out(workflow, reader, job_result)):
            yield f"job {job_result.name}: it ended as a success, and its step {left[0]} did not run to its end"
        if job_result.result != "success" and not reader.errors:
            yield f"job {job_result.name}: {job_result.result}"
    if end.status != 0 and not reader.errors:
        yield f"act ended with status {end.status}"


def _left_out(workflow: Workflow, reader: Reader, job: JobResult) -> list[str]:
    """The steps of a job that run whatever came before, and of which act tells no end; it is silent of those it skips.

    Steps of workflows that are called have no place in this file, and are passed over.
    """
    if any("uses" in one for one in workflow.jobs.values()):
        return []
    ended = reader.ended(job)
    steps = enumerate(workflow.jobs.get(job.id, {}).get("steps", []))
    named = {str(step.get("id", number)): step for number, step in steps if "if" not in step}
    return [_title(step) for identity, step in named.items() if identity not in ended]


def _title(step: Mapping[str, Any]) -> str:
    name, uses_, run = (str(step.get(key) or "") for key in ("name", "uses", "run"))
    return clean(name or uses_.partition("@")[0] or run.strip().partition("\n")[0])[:100]


def _results(workflow: Workflow, reader: Reader, end: _End | None) -> Iterator[JobResult]:
    """How jobs ended: no success where a step is missing, whatever act, which may have been cut short, says of it."""
    for job in reader.results():
        if job.result == "success" and _left_out(workflow, reader, job):
            yield replace(job, result="cancelled" if end and end.cut else "failure")
        else:
            yield job


def _why(workflow: Workflow, reader: Reader, end: _End | None, reasons: list[str]) -> tuple[Cause, bool]:
    """What went wrong first, and whether the commit has it wrong: not what a tool, or whoever killed it, says."""
    edit = f"edit {workflow.path}"
    if end is None:
        return Cause(reasons[0], edit), True
    if end.cut:
        return Cause(f"{workflow.file}: {end.cut[1]}", _after_cut(workflow, end.cut[0])), True
    if failed := reader.failure():
        told = Cause(failed.named) if failed.named else cause.of(failed.lines, failed.status)
        text = f"{workflow.file}: {failed.job} / {failed.step}: {told.text or 'it failed'}"
        return Cause(text, told.next), failed.status not in {None, TOOL, *cause.KILLED}
    if not reader.jobs and reader.errors and (unread := cause.of_act(workflow.file, reader.errors)):
        return Cause(unread.text, edit), True
    first = [*reader.errors, *reasons, f"{workflow.file}: it did not end well"][0]
    return Cause(first if first.startswith(workflow.file) else f"{workflow.file}: {first}"), reader.unsupported


def _after_cut(workflow: Workflow, how: Conclusion) -> str:
    return f"make it faster, or raise timeout-minutes in {workflow.path}" if how == "timed-out" else "let it take less"


def _skipped(workflow: Workflow, reader: Reader) -> Iterator[JobResult]:
    """The jobs that act does not mention, unless they are calls of other workflows."""
    seen = {job.id for job in reader.results()}
    for name, job in workflow.jobs.items():
        if name not in seen and "uses" not in job:
            yield JobResult(name, name, {}, "skipped", 0.0, ())


def _conclusion(reader: Reader, end: _End | None, reasons: list[str]) -> Conclusion:
    if end is None:
        return "failure"
    if end.cut:
        return end.cut[0]
    jobs = reader.results()
    if reasons or end.status != 0 or reader.unsupported or any(job.result != "success" for job in jobs):
        return "failure"
    return "success" if jobs else "skipped"
