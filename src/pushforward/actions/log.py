"""Reader of act's JSON log: progress for people, results of jobs and steps, with secrets and control codes removed."""

import base64
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pushforward.text import MAX_LINE, clean, clean_lines

Kind = Literal["job-start", "job-end", "step-start", "step-end", "output", "notice", "warning", "error", "summary"]

MAX_OUTPUT_LINES = 2000  # of one step, to whoever follows; the log has all of them
MAX_SUMMARY = 1 << 20  # characters of all steps of a workflow; GitHub takes as many of each
MAX_JOBS, MAX_STEPS = 1000, 10_000  # of a workflow: what comes after these is left out
MAX_ERRORS = 20
LAST_LINES = 40  # of a step's output, kept to tell why it failed
UNSUPPORTED = "Skipping unsupported platform"

_SHA = re.compile(r"@[0-9a-f]{40}$")
_STATUS = re.compile(r"exit ?(?:status|code) '?(\d+)")
# What steps say to the runner; a line with any other word is one of their own, and printed.
_COMMANDS = frozenset(
    {"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice", "remove-matcher"}
    | {"save-state", "set-env", "set-output", "summary", "warning"}
)
_DISABLED = "command is disabled"  # the runner of GitHub fails the step that still uses one
_NO_VALUE = "Unable to interpolate expression"
# What act says of a step that it could not begin, with its own paths, and what is the matter.
_SPOKEN = (
    (re.compile(r"fork/exec \S+: no such file or directory"), "its working-directory is not there"),
    (
        re.compile(r"failed to read 'action\.yml' from action '([^']+)'.*", re.DOTALL),
        r"there is no \1/action.yml in the workspace; is actions/checkout before it?",
    ),
    (re.compile(r"Cannot find: (\S+) in PATH"), r"there is no \1 on this machine"),
    (re.compile(_NO_VALUE + r" '(.*)': (.+)", re.DOTALL), r"cannot evaluate \1: \2"),
)
_NOISE = ("Couldn't get a valid docker connection", "Error: Job '")


@dataclass(frozen=True)
class Progress:
    """One thing that happened in a run: clean text, at most one line, except for a summary.

    `seconds` and `result` (success, failure, skipped) are given at the end of steps and jobs.
    """

    kind: Kind
    text: str
    job: str = ""
    step: str = ""
    seconds: float | None = None
    result: str = ""


@dataclass(frozen=True)
class StepResult:
    """How a step ended."""

    name: str
    id: str
    result: str
    seconds: float


@dataclass(frozen=True)
class JobResult:
    """How a job, or one leg of its matrix, ended: success, failure, skipped or cancelled."""

    name: str
    id: str
    matrix: Mapping[str, Any]
    result: str
    seconds: float
    steps: tuple[StepResult, ...]


@dataclass(frozen=True)
class Failure:
    """The first step that failed, of a job that did not succeed: how it ended, its last lines, the error it named."""

    job: str
    step: str
    status: int | None
    lines: tuple[str, ...]
    named: str = ""


@dataclass
class _Step:
    name: str
    started: float
    lines: int = 0
    result: str = ""
    seconds: float = 0.0
    status: int | None = None
    named: str = ""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))


@dataclass
class _Job:
    name: str
    id: str
    matrix: Mapping[str, Any]
    started: float
    result: str = ""
    ended: float = 0.0
    failed: _Step | None = None  # the first
    steps: dict[tuple[str, str], _Step] = field(default_factory=dict)


class Mask:
    """Replaces secrets by `***`: each line of each value, plain and in base64."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._words: list[str] = []
        self.learned = False
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Mask `secret` from now on."""
        words = set(self._words)
        for word in (secret, *secret.splitlines()):
            if word.strip():
                words |= {word.strip(), base64.b64encode(word.strip().encode()).decode()}
        self._words = sorted(words, key=len, reverse=True)

    def learn(self, secret: str) -> None:
        """Mask what a step asks to be masked, from now on, and whoever keeps what was said before in that too."""
        self.learned = True
        self.add(secret)

    def apply(self, value: str) -> str:
        """`value` without secrets."""
        for word in self._words:
            value = value.replace(word, "***")
        return value

    def blank(self, value: str) -> str:
        """`value` with as many stars as its secrets have bytes: no place in it moves for who reads it as it grows."""
        for word in self._words:
            value = value.replace(word, "*" * len(word.encode()))
        return value

    def apply_all(self, value: Any) -> Any:
        """`value` with every string in it masked."""
        if not self._words:
            return value
        if isinstance(value, str):
            return self.apply(value)
        if isinstance(value, dict):
            return {self.apply(str(key)): self.apply_all(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.apply_all(item) for item in value]
        return value


class Reader:
    """Follows the log of one act process; the state that it builds is the only source of results."""

    def __init__(self, clock: Callable[[], float], *, prefix: str = "") -> None:
        self.clock = clock
        self.prefix = prefix
        self.errors: list[str] = []
        self.jobs: dict[str, _Job] = {}
        self.unsupported = False
        self.passed_over: list[str] = []  # what fails a step on GitHub, and act goes on after
        self._summarized = self._steps = 0

    def read(self, entry: Mapping[str, Any]) -> Iterator[Progress]:
        """Take in one JSON line of act, already masked; tell what of it is worth showing."""
        message = str(entry.get("msg", ""))
        if UNSUPPORTED in message:
            self.unsupported = True
            yield self._failure(f"job {clean(str(entry.get('job', '')))}: {clean(message)}", "", "")
            return
        name = str(entry.get("job", "")).removeprefix(self.prefix).strip()
        if not name:
            yield from self._outside(entry, message)
            return
        found = self._job(name, entry)
        if found is None:
            yield from self._too_many("jobs", MAX_JOBS)
            return
        job, fresh = found
        if fresh:
            yield Progress("job-start", clean(name), clean(name))
        identity = entry.get("stepID")
        if isinstance(identity, list) and identity:
            yield from self._step(job, entry, message, [str(part) for part in identity])
        elif entry.get("level") in ("error", "fatal"):
            yield self._failure(self._heard(message, clean(name), ""), clean(name), "")
        if "jobResult" in entry:
            job.result, job.ended = str(entry["jobResult"]), self.clock()
            yield Progress("job-end", clean(name), clean(name), seconds=job.ended - job.started, result=job.result)

    def plain(self, line: str) -> Iterator[Progress]:
        """Take in a line that is not JSON: act writes its last words so."""
        text = clean(line)
        if text and not text.startswith(_NOISE):
            yield self._failure(text, "", "")

    def results(self) -> tuple[JobResult, ...]:
        """Every job that started; what has no end in the log was cancelled."""
        return tuple(
            JobResult(
                clean(job.name),
                job.id,
                dict(job.matrix),
                job.result or "cancelled",
                round((job.ended or self.clock()) - job.started, 3),
                tuple(
                    StepResult(step.name, identity, step.result or "cancelled", round(step.seconds, 3))
                    for (_, identity), step in job.steps.items()
                ),
            )
            for job in self.jobs.values()
        )

    def ended(self, job: JobResult) -> set[str]:
        """The ids of the steps of a job that have ended, what actions do before and after them aside."""
        legs = (one for one in self.jobs.values() if (clean(one.name), one.id) == (job.name, job.id))
        steps = [entry for leg in legs for entry in leg.steps.items()]
        return {identity for (stage, identity), step in steps if stage == "Main" and step.result}

    def at_work(self) -> str:
        """The step that began last and has not ended, and its job; "" for none."""
        for job in reversed(self.jobs.values()):
            for step in reversed(job.steps.values()):
                if not job.result and not step.result:
                    return f"{clean(job.name)} / {step.name}"
        return ""

    def failure(self) -> Failure | None:
        """What failed first in the first job that did not succeed."""
        for job in self.jobs.values():
            if job.result != "success" and (step := job.failed):
                lines = tuple(clean(line) for line in step.last)
                return Failure(clean(job.name), step.name, step.status, lines, step.named)
        return None

    def running(self) -> Iterator[tuple[str, float]]:
        """Id and start (on the clock) of every job that has not ended."""
        return ((job.id, job.started) for job in self.jobs.values() if not job.result)

    def _outside(self, entry: Mapping[str, Any], message: str) -> Iterator[Progress]:
        if entry.get("level") in ("error", "fatal"):
            yield self._failure(clean(message), "", "")

    def _too_many(self, what: str, most: int) -> Iterator[Progress]:
        """Said once; of what comes after nothing is kept."""
        text = f"the log tells of more than {most:,} {what}"
        if text not in self.errors:
            self.errors.append(text)
            yield Progress("error", text)

    def _job(self, name: str, entry: Mapping[str, Any]) -> tuple[_Job, bool] | None:
        """The job of that name, and whether it is new; None where there are too many."""
        if name in self.jobs:
            return self.jobs[name], False
        if len(self.jobs) >= MAX_JOBS:
            return None
        matrix = entry.get("matrix")
        job = _Job(name, str(entry.get("jobID", name)), matrix if isinstance(matrix, dict) else {}, self.clock())
        self.jobs[name] = job
        return job, True

    def _step(self, job: _Job, entry: Mapping[str, Any], message: str, identity: list[str]) -> Iterator[Progress]:
        stage = str(entry.get("stage", "Main"))
        key = (stage, identity[0])
        top = len(identity) == 1
        main = stage == "Main"
        title = _SHA.sub("", clean(_first_line(str(entry.get("step", identity[0])))))
        name = title if main else f"{stage} {title}"
        if key not in job.steps:
            if self._steps >= MAX_STEPS:
                yield from self._too_many("steps", MAX_STEPS)
                return
            self._steps += 1
            job.steps[key] = _Step(name, self.clock())
            if main:
                yield Progress("step-start", name, clean(job.name), name)
        step = job.steps[key]
        yield from self._said(entry, message, step, clean(job.name))
        if top and "stepResult" in entry:
            taken = entry.get("executionTime")
            step.seconds = taken / 1e9 if isinstance(taken, (int, float)) else self.clock() - step.started
            step.result = str(entry["stepResult"])
            if step.result == "failure" and job.failed is None:
                job.failed = step  # how it ended is told after this
            else:
                step.last.clear()
            if not main and step.result == "success":
                # what actions do before and after their main part is worth telling only where it fails
                del job.steps[key]
                return
            yield Progress("step-end", step.name, clean(job.name), step.name, seconds=step.seconds, result=step.result)

    def _said(self, entry: Mapping[str, Any], message: str, step: _Step, job: str) -> Iterator[Progress]:
        command = entry.get("command")
        if command and command not in _COMMANDS:
            entry, message, command = {"raw_output": True}, str(entry.get("raw") or message).removeprefix("  ⚙  "), ""
        if command in ("set-env", "add-path") and _DISABLED in message:
            instead = "$GITHUB_ENV" if command == "set-env" else "$GITHUB_PATH"
            text = f"{job} / {step.name}: there is no ::{command}:: any more; write to {instead}"
            self.passed_over.append(text)
            yield self._failure(text, "", "")
        elif entry.get("raw_output"):
            step.lines += 1
            step.last.append(message[:MAX_LINE])
            if step.lines <= MAX_OUTPUT_LINES:
                yield Progress("output", clean(message), job, step.name)
            elif step.lines == MAX_OUTPUT_LINES + 1:
                yield Progress("output", "… (the rest of this step's output is in the log)", job, step.name)
        elif command in ("notice", "warning", "error"):
            text = clean(_place(entry.get("kvPairs")) + str(entry.get("arg", "")))
            if command == "error":
                step.named = step.named or text
                yield self._failure(text, job, step.name)
            else:
                yield Progress(command, text, job, step.name)
        elif command == "group":
            yield Progress("output", f"▸ {clean(str(entry.get('arg', '')))}", job, step.name)
        elif command == "summary":
            text = clean_lines(str(entry.get("content", "")))[: MAX_SUMMARY - self._summarized]
            if not text:
                return
            self._summarized += len(text)
            yield Progress("summary", text, job, step.name)
        elif entry.get("level") in ("error", "fatal"):
            if status := _STATUS.search(message):
                step.status = int(status[1])
            spoken = self._heard(message, job, step.name)
            if spoken != clean(message):
                step.named = step.named or spoken
            yield self._failure(spoken, job, step.name)

    def _heard(self, message: str, job: str, step: str) -> str:
        """What act says of a job or step in plain words; what it goes on after and GitHub does not is kept."""
        spoken = clean(_spoken(message))
        if message.startswith(_NO_VALUE) and not any(one.endswith(spoken) for one in self.passed_over):
            self.passed_over.append(": ".join(part for part in (job, step, spoken) if part))
        return spoken

    def _failure(self, text: str, job: str, step: str) -> Progress:
        where = " / ".join(part for part in (job, step) if part)
        line = f"{where}: {text}" if where else text
        if len(self.errors) < MAX_ERRORS and line not in self.errors:
            self.errors.append(line)
        return Progress("error", text, job, step)


def parse(line: bytes) -> dict[str, Any] | str:
    """A line of act's log: a JSON object, or the text of a line that is none."""
    text = line.decode("utf-8", "replace")
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(entry, dict):
            return entry
    return text


def _spoken(message: str) -> str:
    """What act says of a step, in words that name no path of this machine."""
    for told, words in _SPOKEN:
        if found := told.search(message):
            return found.expand(words)
    return message


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0] if lines else ""


def _place(pairs: Any) -> str:
    if not isinstance(pairs, dict) or "file" not in pairs:
        return ""
    line = f":{pairs['line']}" if pairs.get("line") else ""
    return f"{pairs['file']}{line}: "
