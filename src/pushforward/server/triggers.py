"""What starts single workflows: a push beside what is judged, the end of another, a tag, a person, a program.

Each is a run of its own, by a request (`requests`). What leads to a verdict is one run, and `workflows` sees to it.
"""

import contextlib
import functools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pushforward.actions import chain, filters, inputs
from pushforward.actions.event import Event
from pushforward.actions.result import WorkflowResult
from pushforward.actions.workflow import FOLDER, Workflow
from pushforward.errors import USAGE, PushforwardError
from pushforward.git.refs import HEADS, TAGS, ZERO
from pushforward.git.repository import Repository
from pushforward.git.server import PUSHED, Server
from pushforward.pipeline.revision import Revision
from pushforward.server import flows, left, pending, requests
from pushforward.server.requests import Request
from pushforward.server.runs import Job, Run

MOST_TAGS = 3  # of one push; GitHub starts nothing for more either
CONCLUSIONS = {"timed-out": "timed_out"}
Say = Callable[[str], None]


def beside(server: Server, run: Run, due: Iterable[Workflow], what: Event) -> list[Job]:
    """Have those run that a push starts beside what is judged; `run` is that of the push."""
    return _put(server, run, due, what, trusted=run.job.event != "pull_request")


def of_branch(server: Server, run: Run, judged: Iterable[str], wanted: Iterable[str]) -> list[Job]:
    """Have those run that answer to the push of a branch as such, at its tip, but for the files that are `judged`.

    They are called as the default branch has it (`wanted`): what a branch takes off its own list is asked of it still.
    """
    repository, aside, job = server.repository, set(judged), run.job
    try:
        listed = flows.listed(repository, job.commit, wanted, server.default_branch)
        paths = tuple(repository.changed(_before(server, job), job.commit))
        message = repository.subject(job.commit)
        what = Event("push", job.commit, job.ref, before=job.before, message=message, paths=paths)
        due = [flow for flow in listed if flow.file not in aside and filters.matches(flow, what)]
    except PushforwardError:
        return []  # the verdict on the commit says so
    return _put(server, run, due, what, trusted=False)


def of_end(
    server: Server,
    run: Run,
    flow: Workflow,
    result: WorkflowResult,
    source: str,
    run_id: int,
    *,
    level: int,
    aside: Iterable[str] = (),
    artifacts: Iterable[Path] = (),
    only: Iterable[str] | None = None,
) -> list[Job]:
    """Have those of the default branch run that follow `flow`, which ended so as the `level`th in a row of `run`.

    Not those whose files are `aside`; where `only` is given, those alone. They are handed its `artifacts`.
    """
    if level >= chain.MOST_LEVELS:
        return []
    job, main = run.job, server.repository.commit(server.default_branch)
    what = Event(
        "workflow_run",
        main,
        f"{HEADS}{server.default_branch}",
        action="completed",
        head=job.branch,
        head_sha=job.commit,
        workflow=flow.name,
        source=source,
        conclusion=CONCLUSIONS.get(result.conclusion, result.conclusion),
        run_id=run_id,
        pull_requests=(job.pull,) if job.pull else (),
    )
    left, wanted = set(aside), None if only is None else set(only)
    try:
        due = [one for one in _listed(server, main) if one.file not in left and filters.matches(one, what)]
    except PushforwardError:
        return []  # the verdict on that commit says so
    due = [one for one in due if wanted is None or _stem(one) in wanted]
    found = []
    for one in due:
        made = requests.job_of(
            one.file,
            what,
            commit=job.commit,
            serial=f"{flow.file} {run.asked}",
            cause=job,
            level=level + 1,
            ref=job.ref,
            pull=job.pull,
            trusted=True,
        )
        requests.put(server, Request(made, what), artifacts if _downloads(one) else ())
        found.append(made)
    return found


def of_tags(server: Server, say: Say = lambda _: None) -> list[Job]:
    """Have those run that answer to the tags which people have pushed, and which are none of the registry's."""
    found: list[Job] = []
    for path, left_ in left.each(server, PUSHED):
        told = tags_in(left_)
        if told is None:
            left.set_aside(server, path)
            continue
        landed = [(ref, new) for ref, new in told if any(after == new for _, after in server.repository.reflog(ref))]
        if len(landed) < len(told) and not left.is_older(path, pending.LANDS_SECONDS):
            continue  # git moves them one by one
        if many := too_many(ref for ref, _ in landed):
            say(many)
        else:
            found += [job for ref, new in landed for job in _of_tag(server, ref, new, path.stem, say)]
        path.unlink(missing_ok=True)
    return found


def tags_in(told: object) -> list[tuple[str, str]] | None:
    """The tags that a file of the hook's tells of, with their objects; None where it tells of anything else."""
    tags = told.get("tags") if isinstance(told, dict) else None
    pairs = [tuple(one) for one in tags if isinstance(one, list)] if isinstance(tags, list) else []
    if not isinstance(tags, list) or len(pairs) < len(tags):
        return None
    usable = all(len(one) == 2 and left.is_ref(one[0], TAGS) and left.is_object(one[1]) for one in pairs)
    return pairs if usable else None


def too_many(refs: Iterable[str]) -> str:
    """What is said of tags of one push that are too many to start anything, or ""; none of them is the registry's."""
    many = len([ref for ref in refs if not set("@#") & set(ref)])
    return (
        f"{many} tags in one push start nothing, as on GitHub; push {MOST_TAGS} at a time" if many > MOST_TAGS else ""
    )


def by_hand(server: Server, name: str, given: Mapping[str, str], ref: str) -> Job:
    """Start a workflow with inputs, at a branch or a tag; raises `PushforwardError` for what GitHub would refuse."""
    repository, default = server.repository, f"{HEADS}{server.default_branch}"
    main = _main(server)
    known = _named(server, _listed(server, main), main, name)
    full = _full(repository, ref) if ref else default
    commit = repository.commit(full)
    flow = known
    if commit != main:
        there = [one for one in _listed(server, commit) if one.file == known.file]
        if not there:
            raise PushforwardError(f"{ref} has no {known.path}", next="--ref of a branch that has it", exit_code=USAGE)
        flow = there[0]
    told = inputs.dispatched(flow, given)
    what = Event("workflow_dispatch", commit, full, message=repository.subject(commit), workflow=flow.path, inputs=told)
    trusted = not repository.unmerged([commit], main)
    job = requests.job_of(flow.file, what, commit=commit, serial=secrets.token_hex(8), trusted=trusted)
    requests.put(server, Request(job, what))
    return job


def by_program(server: Server, kind: str, text: str) -> list[Job]:
    """Start what hears of a `repository_dispatch` of this type, at the default branch, with a payload of JSON."""
    told, main = inputs.payload(kind, text), _main(server)
    what = Event("repository_dispatch", main, f"{HEADS}{server.default_branch}", action=kind, client_payload=told)
    listed = _listed(server, main)
    due = [flow for flow in listed if inputs.hears(flow, kind)]
    if not due:
        heard = sorted({one for flow in listed for one in _types(flow)})
        known = f"; types heard of are {', '.join(heard)}" if heard else ""
        raise PushforwardError(
            f"no workflow of {server.default_branch} answers to a repository_dispatch of type {kind}{known}",
            next="on: {repository_dispatch: {types: [" + kind + "]}} in a file that server.workflows names",
            exit_code=USAGE,
        )
    serial, found = secrets.token_hex(8), []
    for flow in due:
        job = requests.job_of(flow.file, what, commit=main, serial=serial, trusted=True)
        requests.put(server, Request(job, what))
        found.append(job)
    return found


def refuse(server: Server, commit: str, before: str | None, say: Say) -> None:
    """Raise `PushforwardError` for a file of a push that can never start here; say what else never happens.

    Only of files that the push has brought or changed since `before`: what was there is told, and runs on.
    """
    repository = server.repository
    revision = Revision(repository, commit)
    listed = flows.listed(repository, commit, revision.settings.server.workflows, server.default_branch)
    changed = set(repository.changed(before, commit)) if before else {flow.path for flow in listed}
    promote, names = revision.settings.promote, revision.settings.project.models
    auto = [env for env, how in promote.environments.items() if how == "auto"]
    mine = [begin for name in names for begin in (f"{name}@v", *(f"{name}#{env}#" for env in auto))]
    paths = {flow.path for flow in listed}
    there = functools.partial(flows.beside, repository, commit, paths)
    for one in chain.never(listed, there, branch=server.default_branch, own_tags=mine):
        path = f"{FOLDER}/{one.file}"
        source = (repository.read(commit, path) or b"").decode("utf-8", "replace")
        where = f"{path}:{chain.line_of(source, one.event)}" if source else one.file
        if one.whole and path in changed:
            raise PushforwardError(f"{where}: on.{one.event} never happens here: {one.why}", next=one.next)
        if path in changed or one.whole:
            say(f"  warning: {where}: on.{one.event} never happens here: {one.why}")
    if before:
        for name, file in sorted(there(changed).items(), key=lambda pair: pair[1]):
            say(f"  {file} ({name}) is not run here: server.workflows does not name it")


def listed_at(server: Server, commit: str) -> list[Workflow]:
    """The workflows at a commit that its own settings have this server run."""
    return _listed(server, commit)


def _put(server: Server, run: Run, due: Iterable[Workflow], what: Event, *, trusted: bool) -> list[Job]:
    found, job = [], run.job
    for flow in due:
        made = requests.job_of(
            flow.file,
            what,
            commit=job.commit,
            serial=str(run.asked),
            cause=job,
            ref=job.ref,
            pull=job.pull,
            trusted=trusted,
        )
        requests.put(server, Request(made, what))
        found.append(made)
    return found


def _of_tag(server: Server, ref: str, new: str, push: str, say: Say) -> Iterator[Job]:
    repository = server.repository
    commit = repository.resolve(f"{new}^{{commit}}")
    if commit is None:
        return
    what = Event("push", commit, ref, message=repository.subject(commit))
    try:
        due = [flow for flow in _listed(server, commit) if filters.matches(flow, what)]
    except PushforwardError as wrong:
        say(f"{ref.removeprefix(TAGS)} starts nothing: {wrong.message}")
        return
    main = repository.resolve(server.default_branch) or ""
    trusted = bool(main) and not repository.unmerged([commit], main)
    for flow in due:
        job = requests.job_of(flow.file, what, commit=commit, serial=push, tag=new, trusted=trusted)
        requests.put(server, Request(job, what))
        yield job


def _before(server: Server, job: Job) -> str | None:
    """What the push of a branch is compared with: what it was at, or where a new one has left the default branch."""
    if job.before != ZERO:
        return job.before
    return server.repository.merge_base(server.default_branch, job.commit)


def _listed(server: Server, commit: str) -> list[Workflow]:
    wanted = Revision(server.repository, commit).settings.server.workflows
    return flows.listed(server.repository, commit, wanted, server.default_branch)


def _main(server: Server) -> str:
    main = server.repository.resolve(f"{HEADS}{server.default_branch}")
    if main is None:
        branch = server.default_branch
        raise PushforwardError(
            f"there is no {branch} yet, whose workflows could start", next=f"git push local {branch}"
        )
    return main


def _named(server: Server, listed: list[Workflow], main: str, name: str) -> Workflow:
    """The workflow of the default branch that is called so: its file, that without .yml, or its name."""
    found = [flow for flow in listed if name in {flow.file, _stem(flow), flow.path, flow.name}]
    if found:
        return found[0]
    there = flows.beside(server.repository, main, {flow.path for flow in listed})
    for title, file in there.items():
        if name in {title, file, file.rpartition(".")[0], f"{FOLDER}/{file}"}:
            raise PushforwardError(
                f"{file} is not run here",
                next=f"name {file.rpartition('.')[0]} under server.workflows in pushforward.yaml, and push",
                exit_code=USAGE,
            )
    startable = ", ".join(_stem(flow) for flow in listed if "workflow_dispatch" in flow.on) or "none"
    raise PushforwardError(
        f"no workflow of {server.default_branch} is called {name}; by hand can be started: {startable}",
        next="pushforward runs start WORKFLOW",
        exit_code=USAGE,
    )


def _full(repository: Repository, ref: str) -> str:
    for name in (ref, f"{HEADS}{ref}", f"{TAGS}{ref}"):
        if name.startswith((HEADS, TAGS)) and repository.resolve(name) is not None:
            return name
    raise PushforwardError(
        f"the server has no branch or tag {ref[:100]}", next="git push local it first", exit_code=USAGE
    )


def _types(flow: Workflow) -> list[str]:
    asked = flow.on.get("repository_dispatch") or {}
    with contextlib.suppress(ValueError):
        return filters.strings(asked.get("types", []))
    return []


def _stem(flow: Workflow) -> str:
    return flow.file.rpartition(".")[0]


def _downloads(flow: Workflow) -> bool:
    """Whether a workflow looks at what the one before it has left."""
    steps = [step for job in flow.jobs.values() for step in job.get("steps", [])]
    return any(
        str(step.get("uses", "")).startswith("actions/download-artifact@")
        or "PUSHFORWARD_ARTIFACTS" in str(step.get("run", ""))
        for step in steps
    ) or any("uses" in job for job in flow.jobs.values())
