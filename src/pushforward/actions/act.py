"""act: one workflow run for one event, from its folders to its result. `server.execute` asks for it."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pushforward.actions import dialect
from pushforward.actions.commits import number, pushed
from pushforward.actions.event import Event, Repository, payload
from pushforward.actions.lint import called, problems, uses
from pushforward.actions.log import Mask, Progress, Reader
from pushforward.actions.place import Names, Place, clean_up, export, settle
from pushforward.actions.result import End, WorkflowResult, reasons_of, result_of
from pushforward.actions.runlog import RunLog
from pushforward.actions.supervisor import ACT, TimeLimits, follow, start
from pushforward.actions.workflow import RUNNER, Workflow, job_minutes, limit_minutes, load
from pushforward.errors import BUG, PushforwardError
from pushforward.git import repository as git
from pushforward.sandbox.jail import Jail, Policy
from pushforward.sandbox.watch import Watch
from pushforward.text import clean

GIT_FOLDERS = frozenset({"branches", "hooks", "info", "lfs", "logs", "modules", "objects", "refs", "worktrees"})
SLACK = 60.0  # what starting and tidying may take beyond the jobs' own time
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


def _ignore(_: Progress) -> None:
    """Follow nothing."""


@dataclass(frozen=True)
class Setup:
    """Where a workflow runs, and what it is given.

    `folder` is made for this run and keeps `log.txt`, `log.jsonl` and `event.json`; the rest of it goes. `artifacts` is
    shared by the workflows that follow one another. `policy` says what the run may touch beside these and reading the
    bare repository. `env` reaches every step; `secrets` reach act through a pipe, and are masked. `limit` is in
    seconds: by default the sum of the jobs' `timeout-minutes` and a minute.
    """

    repository: Repository
    folder: Path
    artifacts: Path
    jail: Jail
    policy: Policy
    run_id: int
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    limit: float | None = None


def run_workflow(
    workflow: Workflow,
    event: Event,
    setup: Setup,
    *,
    on_event: Callable[[Progress], None] = _ignore,
    cancel: threading.Event | None = None,
) -> WorkflowResult:
    """Run `workflow` as it is at `event.sha` and wait for its end.

    The run is ended after its limit, after a job's own `timeout-minutes`, when `cancel` is set, and at once where it
    breaks another limit of the policy. Progress is told to `on_event` as it happens. Secrets for a run that is not
    trusted are refused.
    """
    policy, untrusted = setup.policy, setup.policy.untrusted
    if setup.secrets and untrusted:
        raise PushforwardError(f"{workflow.file} is not trusted and gets no secrets", exit_code=BUG)
    started = time.monotonic()
    place = Place.make(setup.folder, setup.artifacts)
    names = Names.of(place, setup.jail)
    mask = Mask(setup.secrets.values())
    reader = Reader(time.monotonic, prefix=f"{workflow.name}/")
    environment = _environment(place, names.box, setup)
    read_file = _reader_of(setup.repository, event.sha)
    refused = [clean(line) for line in problems(workflow, read_file)]
    end: End | None = None
    try:
        with RunLog(place, mask, reader, on_event) as log, _secrets(setup.secrets) as secret_file:
            for line in refused:
                log.tell(Progress("error", line))
            if not refused:
                _prepare(place, workflow, event, setup.repository, read_file)
                argv = _act(workflow, event, setup, place, names)
                for action in uses(workflow, read_file):
                    argv += ["--local-repository", f"{action}={_stand_in(action, names.actions)}"]
                argv += ["--secret-file", f"/dev/fd/{secret_file}" if secret_file else str(place.empty)]
                inside = _inside(setup, place, names)
                argv = setup.jail.wrap(argv, inside, cwd=place.cwd, scratch=place.scratch)
                watched = (place.box, place.scratch, *(inside.writable if untrusted else ()))
                act = start(argv, environment, secret_file)
                watch = Watch(act.pid, inside.limits, tuple(dict.fromkeys(watched)), spare=untrusted)
                end = follow(act, log, _limits(workflow, setup, started, cancel), watch)
    finally:
        clean_up(place, names, environment if setup.jail.kind == "none" else None)
        spoilt = list(settle(setup.artifacts.absolute(), policy.writable if untrusted else ()))
    reasons = refused if end is None else [*reasons_of(workflow, reader, end), *spoilt]
    return result_of(workflow, reader, end, reasons, log=place.log, mask=mask, seconds=time.monotonic() - started)


def _limits(workflow: Workflow, setup: Setup, started: float, cancel: threading.Event | None) -> TimeLimits:
    whole = limit_minutes(workflow) * 60 + SLACK if setup.limit is None else setup.limit
    jobs = {name: minutes * 60 for name, minutes in job_minutes(workflow).items()}
    return TimeLimits(started + whole, jobs, cancel or threading.Event())


def _prepare(
    place: Place, workflow: Workflow, event: Event, repository: Repository, read_file: Callable[[str], str | None]
) -> None:
    """Lay out what act reads: the files of `.github`, the workflows in its own words, and the event."""
    export(repository, event.sha, place.source)
    file = place.source / workflow.path
    if workflow.built_in and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(workflow.built_in)
    if not file.is_file() or load(workflow.file, file.read_text("utf-8", "replace")).data != workflow.data:
        raise PushforwardError(f"{workflow.path} at {event.sha} is not the workflow that was to run")
    file.write_text(dialect.rendered(workflow, event, repository))
    for path, flow in called(workflow, read_file).items():
        (place.source / path).write_text(dialect.called(flow.data, workflow, event, repository))
    content = payload(event, repository)
    if event.name == "push":
        content |= pushed(git.Repository(repository.path), event, content["repository"]["html_url"])
    place.event.write_text(json.dumps(content))


def _inside(setup: Setup, place: Place, names: Names) -> Policy:
    """The policy and what every run needs: its input, its box, the artifacts, and the repository to clone from.

    Unless the policy makes it writable, what a server keeps in the bare repository beside git's own is hidden.
    """
    given = [Path(setup.env[name]) for name in ("PUSHFORWARD_DVC_CONFIG",) if setup.env.get(name)]
    bare = setup.repository.path
    policy = replace(setup.policy, placed={**setup.policy.placed, **names.placed(place)})
    policy = policy.extend(writable=(place.box, setup.artifacts.absolute()), readable=(place.input, *given))
    if bare in policy.writable:
        return policy
    foreign = [path for path in bare.iterdir() if path.is_dir() and path.name not in GIT_FOLDERS]
    return policy.extend(readable=(bare,), hidden=foreign)


def _reader_of(repository: Repository, sha: str) -> Callable[[str], str | None]:
    found = git.Repository(repository.path)

    def read_file(path: str) -> str | None:
        content = found.read(sha, path)
        return None if content is None else content.decode("utf-8", "replace")

    return read_file


def _environment(place: Place, box: Path, setup: Setup) -> dict[str, str]:
    """The whole environment of act, which hands all of it to every step."""
    return {
        **CALM,
        "PATH": f"{ACT.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PUSHFORWARD_RUN": str(setup.run_id),
        "PUSHFORWARD_REPOSITORY": str(setup.repository.path),
        "PUSHFORWARD_ARTIFACTS": str(setup.artifacts.absolute()),
        "PUSHFORWARD_PYTHON": sys.executable,
        "PUSHFORWARD_LIB": str(Path(__file__).parents[2]),
        "TMPDIR": str(box / "tmp"),
        "BASH_ENV": str(place.no_terminal),
        **setup.env,
        "HOME": str(box / "home"),
    }


def _act(workflow: Workflow, event: Event, setup: Setup, place: Place, names: Names) -> list[str]:
    """act's command line, without the actions that it uses and without secrets."""
    repository = setup.repository
    argv = [str(ACT), event.name, "-C", str(place.source), "-W", str(place.source / workflow.path)]
    argv += ["-e", str(place.event), "-P", f"{RUNNER}=-self-hosted", "--json", "--rm"]
    argv += ["--action-cache-path", str(names.box / place.work.name), "--no-cache-server", "--no-skip-checkout"]
    for name in ("env", "var", "input"):
        argv += [f"--{name}-file", str(place.empty)]
    given = {
        "GITHUB_REPOSITORY": repository.full_name,
        "GITHUB_RUN_ID": str(setup.run_id),
        "GITHUB_RUN_NUMBER": str(number(git.Repository(repository.path), event.sha)),
        "GITHUB_REF": event.ref,
        "SHA_REF": event.sha,
        **dialect.environment(workflow, event, repository),
    }
    if event.name == "pull_request":
        given |= {"GITHUB_BASE_REF": event.base, "GITHUB_HEAD_REF": event.head}
    for name, value in given.items():
        argv += ["--env", f"{name}={value}"]
    return [*argv, "--defaultbranch", repository.default_branch, "-a", event.sender]


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
