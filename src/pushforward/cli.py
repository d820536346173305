"""One command per verb: parse, call, print, exit code. No logic.

What a verb needs is imported when it runs: a hook must not wait for numpy.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pushforward import __version__
from pushforward.errors import BUG, NOT_PROMOTED, TOOL, USAGE, PushforwardError

HANDOVER = Path("handover")
VERDICT = Path("verdict")


class _Group(click.Group):
    """Turns an error of ours into its exit code, and a bug into a log file."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PushforwardError as error:
            click.echo(f"pushforward: {error}", err=True)
            sys.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read has gone; what is left to say goes nowhere
            sys.exit(0)
        except Exception as bug:  # noqa: BLE001
            if os.environ.get("CI"):
                traceback.print_exception(bug)  # the step's log is what stays of a run
                sys.exit(BUG)
            log = Path(tempfile.gettempdir()) / f"pushforward-{os.getpid()}.log"
            log.write_text("".join(traceback.format_exception(bug)))
            click.echo(f"pushforward: a bug: {type(bug).__name__}: {bug}\n  its log: {log}", err=True)
            sys.exit(BUG)


def _example(text: str) -> dict[str, Any]:
    return {"epilog": f"Example: {text}"}


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pushforward")
def main() -> None:
    """Retrain on every push, judge the new model against the one in use, promote it with a git tag."""


@main.command(**_example("pushforward init && git push local main"))
@click.option(
    "--bare", type=click.Path(path_type=Path), help="The bare repository. Default: <clone>.git beside the clone."
)
@click.option("--trust-pushers", is_flag=True, help="Run topic branches without a jail where the machine has none.")
def init(bare: Path | None, trust_pushers: bool) -> None:
    """Make a server of this clone: bare repository, hooks, DVC remote, the git remote `local`."""
    from pushforward import check as checks
    from pushforward.init import init as make

    server = make(Path.cwd(), bare=bare, trust=trust_pushers)
    click.echo(f"server   {server.bare}")
    click.echo(f"store    {server.store or 'as .dvc/config says'}")
    found = [*checks.machine(Path(server.bare), trust=trust_pushers), *checks.server(Path(server.bare))]
    _findings(found, only_bad=True)
    click.echo(f"next     git push local {server.default_branch}")


@main.command(**_example("pushforward check"))
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def check(as_json: bool) -> None:
    """Look at this machine and the server: what is missing, and the command that mends it."""
    from dataclasses import asdict

    from pushforward import check as checks
    from pushforward.git import Repository

    url = Repository(Path.cwd()).git("remote", "get-url", "local", check=False)
    bare = Path(url.text) if url.returncode == 0 else None
    found = [*checks.machine(Path.cwd(), trust=checks.trusted(bare)), *(checks.server(bare) if bare else ())]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=1))
        sys.exit(0 if all(finding.ok for finding in found) else TOOL)
    _findings(found, only_bad=False)
    if bare is None:
        click.echo("no server yet\n  next: pushforward init")


def _findings(found: list[Any], *, only_bad: bool) -> None:
    for finding in found:
        if finding.ok and not only_bad:
            click.echo(f"ok       {finding.name}: {finding.found}")
        if not finding.ok:
            click.echo(f"missing  {finding.name}: {finding.found}\n  next: {finding.mend}", err=True)
    if not all(finding.ok for finding in found):
        sys.exit(TOOL)


@main.command(**_example("pushforward repro"))
@click.option("--clean", is_flag=True, help="Start from the champion's dvc.lock, not from this commit's. On in CI.")
@click.option("--push", is_flag=True, envvar="PUSHFORWARD_PUSH", help="Send results and run cache to the DVC remote.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=HANDOVER, show_default=True, help="The hand-over folder."
)
def repro(clean: bool, push: bool, out: Path) -> None:
    """Bring the pipeline up to date: only what changed runs, only what that needs is fetched."""
    from pushforward import handover, pipeline, registry, settings, stages
    from pushforward.git import Repository

    root = Path.cwd()
    clean = clean or bool(os.environ.get("CI"))
    rules = settings.load(root)
    repository = Repository(root)
    commit = repository.commit("HEAD")
    if clean:
        dirty = repository.git("status", "--porcelain").text
        if dirty:
            raise PushforwardError(f"this folder differs from its commit: {dirty.splitlines()[0]}", next="git stash")
        champion = registry.fold(rules.model.name, repository.refs("refs/tags")).newest
        pipeline.seed(repository, champion.commit if champion else None)
    wanted = [path for path in (rules.model.path, rules.model.holdout, rules.model.validation) if path]
    try:
        if (root / stages.FILE).is_file():
            stages.check((root / stages.FILE).read_bytes(), set(repository.tree(commit)))
        done = pipeline.reproduce(root, pull=clean, push=push, wanted=wanted, say=click.echo)
    except PushforwardError as wrong:
        if wrong.exit_code == USAGE:  # of the commit, not of the machine: the judge is told
            failed = pipeline.Reproduction(outcome="failed", message=wrong.message)
            handover.write(root, out, commit, failed, rules.model.path)
        raise
    _stages(done.stages)
    handover.write(root, out, commit, done, rules.model.path, rules.model.validation)
    if clean:
        pipeline.untouched(repository)
    if done.outcome != "ok":
        from pushforward.errors import DATA

        last = done.message.strip().splitlines()[-1:] or ["it gave no reason"]
        raise PushforwardError(
            f"{done.stages[-1].name if done.stages else 'the pipeline'} {done.outcome}: {last[0][:300]}",
            exit_code=DATA if done.outcome == "refused" else BUG,
        )


def _stages(stages: list[Any]) -> None:
    from pushforward.report import fold_stages

    counts = {name: [s for s in stages if s.outcome == name] for name in ("ran", "restored", "unchanged", "failed")}
    for stage in fold_stages(stages):
        if stage.outcome != "unchanged":
            click.echo(f"  {stage.name:<26} {stage.outcome:<8} {stage.seconds:5.1f} s  {stage.reason}")
    click.echo("  stages: " + ", ".join(f"{len(some)} {name}" for name, some in counts.items() if some))


@main.command(**_example("pushforward score --probe"))
@click.option(
    "--out", type=click.Path(path_type=Path), default=HANDOVER, show_default=True, help="The hand-over folder."
)
@click.option(
    "--probe", is_flag=True, envvar="PUSHFORWARD_PROBE", help="Score again with the future replaced. On for branches."
)
def score(out: Path, probe: bool) -> None:
    """Score the holdout with the model at hand; the predictions go into the hand-over."""
    from pushforward import challenge, settings

    root = Path.cwd()
    forget = probe and bool(os.environ.get("CI"))
    rules = settings.load(root)
    challenge.answer(root, rules, root / out, probe=probe, forget=forget, say=lambda text: click.echo(f"  {text}"))


@main.command(**_example("pushforward gate --plan"))
@click.option("--plan", is_flag=True, help="Before any training: looks left, what this holdout can detect.")
@click.option("--head", envvar="PUSHFORWARD_HEAD", help="The pushed commit.")
@click.option("--event", envvar="PUSHFORWARD_EVENT", type=click.Choice(["push", "pull_request"]))
@click.option("--ref", envvar="PUSHFORWARD_REF", help="The branch that was pushed.")
@click.option("--pull", type=int, envvar="PUSHFORWARD_PULL", help="The number of the pull request.")
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=HANDOVER, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=VERDICT, show_default=True, help="Where the verdict goes."
)
@click.option("--check", "strict", is_flag=True, help="Exit with 4 unless the verdict is promote.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict, or the plan, as JSON.")
def gate(
    plan: bool,
    head: str | None,
    event: str | None,
    ref: str | None,
    pull: int | None,
    folder: Path,
    out: Path,
    strict: bool,
    as_json: bool,
) -> None:
    """Judge a hand-over against the champion, with the target branch's code, rules and holdout."""
    from pushforward import evidence, report

    root = Path.cwd()
    if plan:
        _plan(root, as_json=as_json)
        return
    if head is None or event is None or ref is None:
        raise click.UsageError("a hand-over is judged with --head, --event and --ref; or ask with --plan")
    name = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    say: Callable[[str], None] = (lambda _: None) if as_json else (lambda text: click.echo(f"  {text}"))
    question = evidence.ask(root, head, event, name, pull)
    judge = os.environ.get("PUSHFORWARD_JUDGE", "")
    if not judge:
        judge = evidence.judge_of(root, question, os.environ.get("PUSHFORWARD_BASE", ""))
        if (package := evidence.code_of(root, judge)) is not None:
            environment = os.environ | {"PYTHONPATH": str(package), "PUSHFORWARD_JUDGE": judge}
            os.execve(sys.executable, [sys.executable, "-m", "pushforward", *sys.argv[1:]], environment)  # noqa: S606
    verdict, context, level = evidence.weigh(
        root, root / folder, question, judge=judge, work=root / ".git" / "judge", say=say, pictures=out / "plots"
    )
    evidence.store(out, verdict, context, level)
    if as_json:
        click.echo(verdict.to_json())
    elif os.environ.get("CI"):
        click.echo(f"  {verdict.verdict}: {report.plain(verdict.reason)}")  # the report step shows the rest
    else:
        click.echo(report.terminal(verdict, context, color=sys.stdout.isatty()))
    if strict and verdict.verdict != "promote":
        sys.exit(NOT_PROMOTED)


def _plan(root: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from pushforward import plan

    found = plan.plan(root)
    click.echo(json.dumps(asdict(found), indent=1) if as_json else plan.terminal(found))


@main.command(**_example("git fetch && pushforward report HEAD"))
@click.argument("revision", required=False)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Render the verdict in this folder instead.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The markdown that reviewers see.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON.")
def report(revision: str | None, source: Path | None, as_markdown: bool, as_json: bool) -> None:
    """Print the report of a commit again; with --from, render a new one beside its verdict."""
    from pushforward import notes, report
    from pushforward.gate import Verdict
    from pushforward.git import Repository

    if source is not None:
        from pushforward import evidence

        verdict, context, _ = evidence.stored(source)
        markdown, terminal = report.markdown(verdict, context), report.terminal(verdict, context)
        markdown = report.with_context(markdown, context)
        (source / "report.md").write_text(markdown)
        (source / "report.txt").write_text(terminal)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a") as handle:
                handle.write(markdown)
        if not os.environ.get("CI"):
            click.echo(markdown if as_markdown else terminal)
        return
    repository = Repository(Path.cwd())
    commit = repository.commit(revision or "HEAD")
    found = report.entries(notes.read(repository, commit))
    if not found:
        raise PushforwardError(f"{commit[:9]} has no report here", next="git fetch local, then this again")
    header, body = found[0]
    if as_json:
        click.echo(json.dumps(header))
    elif as_markdown:
        click.echo(body)
    else:
        verdict = Verdict.from_json(json.dumps(header))
        click.echo(report.terminal(verdict, report.context_of(body), color=sys.stdout.isatty()))


@main.command(**_example("pushforward promote --from verdict --handover handover"))
@click.option("--from", "source", type=click.Path(path_type=Path), default=VERDICT, show_default=True)
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=HANDOVER, show_default=True)
def promote(source: Path, folder: Path) -> None:
    """Tag what a passing verdict on the default branch has judged, and push the tags."""
    from pushforward import evidence, handover
    from pushforward.promote import promote as run_promote

    verdict, _, level = evidence.stored(source)
    if verdict.verdict != "promote":
        click.echo(f"  {verdict.verdict}: nothing to promote")
        return
    read = handover.read(folder)
    run_promote(Path.cwd(), verdict, level, read.lock, read.metrics, say=lambda text: click.echo(f"  {text}"))


@main.command(**_example("pushforward show --markdown"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The history as a markdown table.")
def show(as_json: bool, as_markdown: bool) -> None:
    """What is in use where, and everything that was judged; rejected changes stay in the table."""
    from pushforward import show as view

    state = view.state(Path.cwd())
    if as_json:
        click.echo(json.dumps(state.record(), indent=1))
    else:
        columns = shutil.get_terminal_size((80, 24)).columns
        click.echo(view.markdown(state) if as_markdown else view.terminal(state, width=columns))


@main.command(**_example("pushforward web --export site"))
@click.option(
    "--repository",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="A clone, whose server is read where it is on this machine, or a bare repository. Default: this folder.",
)
@click.option(
    "--export", "folder", type=click.Path(path_type=Path), help="Write the pages as files, for a static host."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; whoever reaches it may read.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
def web(repository: Path, folder: Path | None, host: str, port: int) -> None:
    """Show runs, pull requests, models and holdouts as web pages; they read nothing but the repository."""
    from pushforward import web as pages

    if folder is None:
        pages.serve(repository, host, port, say=click.echo)
        return
    count = pages.export(repository, folder)
    click.echo(f"{count} files in {folder}\n  next: open {folder}/index.html")


@main.command(**_example("pushforward dispatch"))
@click.option(
    "--bare", type=click.Path(path_type=Path), help="The server. Default: where the git remote `local` points."
)
def dispatch(bare: Path | None) -> None:
    """Judge what was pushed and has no verdict yet, as the hook does after every push."""
    from pushforward.dispatch import work
    from pushforward.git import Repository
    from pushforward.init import Server

    if bare is None:
        url = Repository(Path.cwd()).git("remote", "get-url", "local", check=False)
        if url.returncode != 0:
            raise PushforwardError("this clone has no git remote `local`", next="pushforward init")
        bare = Path(url.text)
    count = work(Server.load(bare))
    click.echo(f"{count} judged" if count else "nothing was waiting")
