"""One command per verb: parse, call, print, exit code. No logic.

What a verb needs is imported when it runs: a hook must not wait for numpy.
"""

import json
import os
import shlex
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import click

from pushforward import __version__
from pushforward.errors import BUG, MACHINE, NOT_PROMOTED, TOOL, USAGE, PushforwardError
from pushforward.text import plain

HANDOVER = Path("handover")
VERDICT = Path("verdict")
GOLDEN = "golden.json"
DISPATCH_SECONDS = 10.0  # a dispatcher that stands by becomes the one at work within it, or there is much to do


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
        except OSError as trouble:
            if trouble.errno not in MACHINE:
                _bug(trouble)
            place = f"{trouble.filename}: " if trouble.filename else ""
            click.echo(f"pushforward: {place}{trouble.strerror}\n  next: df -h, and pushforward check", err=True)
            sys.exit(TOOL)
        except Exception as bug:  # noqa: BLE001
            _bug(bug)


def _bug(bug: Exception) -> NoReturn:
    """Say that this is ours to mend, and where what is known of it lies."""
    if os.environ.get("CI"):
        traceback.print_exception(bug)  # the step's log is what stays of a run
        sys.exit(BUG)
    log = Path(tempfile.gettempdir()) / f"pushforward-{os.getpid()}.log"
    log.write_text("".join(traceback.format_exception(bug)))
    click.echo(f"pushforward: a bug: {type(bug).__name__}: {bug}\n  its log: {log}", err=True)
    sys.exit(BUG)


def _project() -> Path:
    """The clone, or the bare repository, that the current folder is in. Raises PushforwardError outside of both."""
    from pushforward.git.repository import Repository

    here = Path.cwd()
    done = Repository(here).git("rev-parse", "--show-toplevel", check=False)
    if done.returncode == 0:
        return Path(done.text)
    if not any((folder / ".git").exists() for folder in (here, *here.parents)) and b"not a git" in done.stderr:
        raise PushforwardError(f"{here} is in no git repository", next="cd into your clone", exit_code=USAGE)
    return here


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
@click.option(
    "--trust-pushers/--no-trust-pushers",
    "trust",
    default=None,
    help="Run topic branches without a jail where the machine has none.",
)
@click.option(
    "--protect-main/--no-protect-main",
    "protect",
    default=None,
    help="The default branch takes only what has a passing verdict, or changes nothing that the pipeline reads.",
)
@click.option("--move-store", is_flag=True, help="Move the server's DVC remote to where .dvc/config here says.")
@click.option("--new-key", is_flag=True, help="End the server's key, and make another; what it signed stays good.")
def init(bare: Path | None, **wishes: bool | None) -> None:
    """Make or renew the server of this clone: bare repository, hooks, keys, DVC remote, the git remote `local`.

    What a server has stays: store, keys, flags.
    """
    from pushforward.server import check as checks
    from pushforward.server import init as servers

    if bare is None and (joined := servers.join(Path.cwd())) is not None:
        click.echo(f"server   {joined.url}, on another machine: it runs and keeps everything there")
        click.echo(f"check    {joined.command('pushforward check')}")
        click.echo(f"sign     {joined.command('pushforward trust - --as EMAIL', reads='KEY.pub')}")
        click.echo("next     git push local HEAD")
        return
    server = servers.init(
        Path.cwd(), bare=bare, say=click.echo, **{name: wish for name, wish in wishes.items() if wish is not None}
    )
    click.echo(f"server   {server.bare}")
    click.echo(f"store    {server.store or 'as .dvc/config says'}")
    click.echo(f"keys     {Path(server.bare) / 'pushforward' / 'allowed_signers'}")
    if server.trust:
        click.echo("trust    pushers: where this machine has no jail, topic branches run without one")
    if server.protect:
        click.echo(f"protect  {server.default_branch} takes only what has a passing verdict")
    try:
        you = servers.welcome(server, Path.cwd())
        click.echo(f"you      {you.principal} may sign for {_may(you)}")
    except PushforwardError as unknown:
        click.echo(f"you      may push, and cannot sign yet: {unknown.message}\n         {unknown.next}")
    found = [*checks.machine(Path(server.bare), trust=server.trust), *checks.server(Path(server.bare))]
    _findings(found, only_bad=True)
    click.echo(f"next     git push local {server.default_branch}")


@main.command(**_example("pushforward check"))
@click.option(
    "--bare", type=click.Path(path_type=Path), help="The server. Default: where the git remote `local` points."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.option("--quick", is_flag=True, help="Read no object whole, and push nothing through a run.")
@click.option("--mend", is_flag=True, help="First mend what needs no choice; nothing is deleted.")
def check(bare: Path | None, as_json: bool, quick: bool, mend: bool) -> None:
    """Look at this machine, the server and you: what is missing, and the command that mends it."""
    from dataclasses import asdict

    from pushforward.server import check as checks

    if mend:
        for line in checks.mend(Path.cwd(), bare):
            click.echo(f"mended   {line}", err=as_json)
    found = checks.everything(Path.cwd(), bare, quick=quick, say=lambda line: click.echo(f"...      {line}", err=True))
    if as_json:
        listed = list(found)
        click.echo(json.dumps([asdict(finding) for finding in listed], indent=1))
        sys.exit(0 if all(finding.ok or finding.optional for finding in listed) else TOOL)
    _findings(found, only_bad=False)


def _findings(found: Iterable[Any], *, only_bad: bool) -> None:
    well = True
    for finding in found:
        well = well and (finding.ok or finding.optional)
        if finding.ok and not only_bad:
            click.echo(f"ok       {finding.name}: {finding.found}")
        if not finding.ok and not (only_bad and finding.optional):
            word = "later" if finding.optional else "missing"
            click.echo(f"{word:<8} {finding.name}: {finding.found}\n  next: {finding.mend}", err=not finding.optional)
    if not well:
        sys.exit(TOOL)


@main.command(**_example("pushforward trust ~/.ssh/id_ed25519.pub --for staging"))
@click.argument("key", required=False)
@click.option("--as", "email", default="", help="Whose key it is: the address of the tagger. Default: your own.")
@click.option("--for", "environments", multiple=True, help="An environment, or `main`. Default: every environment.")
@click.option("--revoke", is_flag=True, help="From now on it signs nothing. KEY may be a fingerprint.")
@click.option("--bare", type=click.Path(path_type=Path), help="The server. Default: where `local` points.")
@click.option("--file", type=click.Path(path_type=Path), help="The file of a forge: .github/allowed_signers.")
@click.option("--json", "as_json", is_flag=True, help="The keys as one JSON list.")
def trust(
    key: str | None,
    email: str,
    environments: tuple[str, ...],
    revoke: bool,
    bare: Path | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Say whose signatures count: trust the public key in the file KEY (- is standard input), or list the keys."""
    from pushforward.registry import signers

    if bare is not None and file is not None:
        raise click.UsageError("--bare is a server's file and --file a forge's: say one of them")
    # A server, or a forge's file, that is named is found from anywhere; only the clone's own server needs a clone.
    here = Path.cwd() if bare is not None or file is not None else _project()
    if key is None:
        if revoke or email or environments:
            raise click.UsageError("which key? pushforward trust KEY.pub")
        _keys(signers.listed(here, bare, file), as_json=as_json)
        return
    place = signers.place_of(here, bare, file)
    if revoke:
        named = key if key.startswith("SHA256:") else signers.read_key(Path(key))
        changed = signers.revoke(place, named)
    else:
        public = signers.read_key(Path(key).expanduser())
        who = email or signers.owner(here, Path(key).expanduser(), public)
        changed = [signers.add(place, public, who, environments)]
    _keys(changed, as_json=as_json)
    if file is not None and not as_json:
        click.echo(f"next: git add {file} && git commit, and have it merged: only the default branch's file counts")


def _keys(keys: list[Any], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"principal": key.principal, "may": sorted(key.may), "valid_before": key.valid_before}
            | {"key": key.key, "fingerprint": key.fingerprint}
            for key in keys
        ]
        click.echo(json.dumps(told, indent=1))
        return
    rows = [(key.principal, _may(key), f"{key.key.split()[0]} {key.fingerprint}") for key in keys]
    wide = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for who, may, name in rows:
        click.echo(f"{who:<{wide[0]}}  {may:<{wide[1]}}  {name}")
    if not rows:
        click.echo("nobody may sign yet\n  next: pushforward trust KEY.pub --as EMAIL")


def _may(key: Any) -> str:
    words = {"any": "every environment", "main": "what has not passed into main", "version": "versions"}
    said = ", ".join(words.get(word, word) for word in sorted(key.may)) or "nothing"
    when = key.valid_before
    revoked = f"revoked {when[:4]}-{when[4:6]}-{when[6:8]} {when[8:10]}:{when[10:12]} UTC"
    return f"{said} ({revoked})" if when else said


@main.command(**_example("pushforward repro"))
@click.option("--clean", is_flag=True, help="Start from the champion's dvc.lock, not from this commit's. On in CI.")
@click.option("--push", is_flag=True, envvar="PUSHFORWARD_PUSH", help="Send results and run cache to the DVC remote.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=HANDOVER, show_default=True, help="The hand-over folder."
)
def repro(clean: bool, push: bool, out: Path) -> None:
    """Bring the pipeline up to date: only what changed runs, only what that needs is fetched."""
    from pushforward import files, settings
    from pushforward.git.repository import Repository
    from pushforward.judge import handover
    from pushforward.pipeline import dvc as pipeline
    from pushforward.pipeline import lint as stages
    from pushforward.registry import tags as registry

    root = Path.cwd()
    clean = clean or bool(os.environ.get("CI"))
    repository = Repository(root)
    commit = repository.commit("HEAD")
    handover.claim(out)
    with handover.refusal(out, commit):
        tree = repository.tree(commit)
        files.check_tree(tree, pipeline.OWN)
        stages.check_bytecode(tree)
        rules = settings.load(root)
    if clean:
        if dirty := repository.unclean():
            raise PushforwardError(f"this folder differs from its commit: {dirty[0]}", next="git stash -u")
        champion = registry.fold(rules.model.name, repository.refs("refs/tags")).newest
        with handover.refusal(out, commit):
            pipeline.seed(repository, champion.commit if champion else None)
    wanted = [path for path in (rules.model.path, rules.model.holdout, rules.model.validation) if path]
    with handover.refusal(out, commit):
        if (text := files.read(root, stages.FILE)) is not None:
            params = settings.plain(files.read(root, settings.FILE) or b"")
            stages.check(text, set(tree), params)
        done = pipeline.reproduce(root, pull=clean, push=push, wanted=wanted, say=click.echo)
    _stages(done.stages)
    with handover.refusal(out, commit):
        handover.write(root, out, commit, done, rules.model.path, rules.model.validation)
    if clean:
        with handover.refusal(out, commit):
            pipeline.untouched(repository)
    if done.outcome != "ok":
        from pushforward.errors import DATA

        last = done.message.strip().splitlines()[-1:] or ["it gave no reason"]
        raise PushforwardError(
            f"{done.stages[-1].name if done.stages else 'the pipeline'} {done.outcome}: {done.cause or last[0][:300]}",
            next=done.next,
            exit_code=DATA if done.outcome == "refused" else BUG,
        )


def _stages(stages: list[Any]) -> None:
    from pushforward.report.markdown import fold_stages

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
    from pushforward import settings
    from pushforward.judge import challenge, handover

    root = Path.cwd()
    forget = probe and bool(os.environ.get("CI"))
    rules = settings.load(root)
    challenge.answer(
        root, rules, root / handover.output(out), probe=probe, forget=forget, say=lambda text: click.echo(f"  {text}")
    )


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
    from pushforward.judge import handover, judged
    from pushforward.judge import judge as evidence
    from pushforward.report import markdown as report

    root = Path.cwd()
    if plan:
        _plan(root, as_json=as_json)
        return
    if head is None or event is None or ref is None:
        raise click.UsageError("a hand-over is judged with --head, --event and --ref; or ask with --plan")
    name = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    say: Callable[[str], None] = (lambda _: None) if as_json else (lambda text: click.echo(f"  {text}"))
    handover.output(out)
    question = evidence.ask(root, head, event, name, pull)
    judge = os.environ.get("PUSHFORWARD_JUDGE", "")
    if not judge:
        judge = evidence.judge_of(root, question, os.environ.get("PUSHFORWARD_BASE", ""))
        if (package := evidence.code_of(root, judge)) is not None:
            environment = os.environ | {"PYTHONPATH": str(package), "PUSHFORWARD_JUDGE": judge}
            os.execve(sys.executable, [sys.executable, "-m", "pushforward", *sys.argv[1:]], environment)  # noqa: S606
    work, golden = root / ".git" / "judge", out / GOLDEN
    verdict, context, level = evidence.weigh(
        root, root / folder, question, judge=judge, work=work, say=say, pictures=out / "plots", golden=golden
    )
    judged.store(out, verdict, context, level)
    evidence.record(root, verdict)
    if as_json:
        click.echo(verdict.to_json())
    elif os.environ.get("CI"):
        click.echo(f"  {verdict.verdict}: {plain(verdict.reason)}")  # the report step shows the rest
    else:
        click.echo(report.terminal(verdict, context, color=sys.stdout.isatty()))
    if strict and verdict.verdict != "promote":
        sys.exit(NOT_PROMOTED)


def _plan(root: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from pushforward.judge import plan

    found = plan.plan(root)
    click.echo(json.dumps(asdict(found), indent=1) if as_json else plan.terminal(found))


@main.command(**_example("git fetch && pushforward report HEAD"))
@click.argument("revision", required=False)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Render the verdict in this folder instead.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The markdown that reviewers see.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON.")
def report(revision: str | None, source: Path | None, as_markdown: bool, as_json: bool) -> None:
    """Print the report of a commit again; with --from, render a new one beside its verdict."""
    from pushforward.gate.verdict import Verdict
    from pushforward.git.repository import Repository
    from pushforward.registry import authority
    from pushforward.report import markdown as report
    from pushforward.report import notes

    if source is not None:
        from pushforward.judge import judged

        verdict, context, _ = judged.stored(source)
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
        raise PushforwardError(f"{commit[:9]} has no report here", next=authority.fetching_here(repository))
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
    from pushforward.git.repository import Repository
    from pushforward.judge import handover, judged
    from pushforward.release.promote import promote as run_promote
    from pushforward.release.promote import standing

    verdict, _, level = judged.stored(source)
    if verdict.verdict != "promote":
        click.echo(f"  {verdict.verdict}: nothing to promote")
        return
    if not (source / GOLDEN).is_file():
        raise PushforwardError(f"{source} has no {GOLDEN}: an older version has judged", next="push again")
    # it is judged already
    read, golden = handover.read(folder, handover.AT_MOST), (source / GOLDEN).read_bytes()
    made = run_promote(
        Path.cwd(), verdict, level, read.lock, read.metrics, golden, say=lambda text: click.echo(f"  {text}")
    )
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        told = standing(Repository(Path.cwd()), made.version.partition("@")[0], verdict.commit)
        with Path(summary).open("a") as handle:
            handle.write(f"**After the verdict**: {told.words}.\n")


REASON = click.option("-m", "--message", "reason", default="", help="Why, in one sentence; it stays in the tag.")
WHY = click.option("-m", "--message", "reason", required=True, help="Why, in one sentence; it stays in the tag.")


@main.command(**_example("pushforward release v1.2.0"))
@click.argument("version")
@click.option("--to", "environment", default="production", show_default=True, help="The environment.")
@REASON
@click.option("--older", is_flag=True, help="Yes, VERSION is lower than the one in use there; needs -m.")
@click.option("--detach", is_flag=True, help="Do not wait for what the tag starts on a server: its bundle.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; does not wait.")
def release(version: str, environment: str, reason: str, older: bool, detach: bool, as_json: bool) -> None:
    """Put a version to use, by a tag that you sign."""
    from pushforward.release import release as releases

    say = None if detach or as_json else click.echo
    made = releases.release(_project(), version, reason, environment=environment, older=older, say=say)
    _made(made, as_json=as_json)


@main.command(**_example("pushforward rollback -m 'late flights are no longer found'"))
@click.argument("environment", default="production")
@click.option("--to", "version", default="", help="The version to go back to. Default: the one in use before.")
@click.option("--empty", is_flag=True, help="To none: take out what is there. Also for an environment that is no more.")
@WHY
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def rollback(environment: str, version: str, empty: bool, reason: str, as_json: bool) -> None:
    """Put an earlier version to use again, at once: nothing is trained, nothing is loaded."""
    from pushforward.release import release as releases

    if empty and version:
        raise click.UsageError("--empty leaves nothing there, and --to a version: say one of them")
    if empty:
        _made(releases.empty(_project(), reason, environment=environment), as_json=as_json)
        return
    _made(releases.rollback(_project(), reason, environment=environment, to=version), as_json=as_json)


@main.command(**_example("pushforward deprecate v1.1.0 -m 'trained on a broken month'"))
@click.argument("version")
@WHY
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def deprecate(version: str, reason: str, as_json: bool) -> None:
    """Say that a version is not to be put to use again."""
    from pushforward.release import release as releases

    _made(releases.deprecate(_project(), version, reason), as_json=as_json)


def _made(made: Any, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps(asdict(made), indent=1))
    elif made.environment and not made.version:
        click.echo(f"{made.environment}: nothing from now on ({made.tag}, before: {made.previous})")
    elif made.environment:
        before = f", before: {made.previous}" if made.previous else ""
        click.echo(f"{made.environment}: {made.version} from now on ({made.tag}{before})")
    else:
        click.echo(f"{made.version} is deprecated ({made.tag})")


@main.command(**_example("pushforward verify v1.2.0 --quick"))
@click.argument("version", default="")
@click.option("--in-use", default="", metavar="ENVIRONMENT", help="What is in use there, and the tag that says so.")
@click.option("--quick", is_flag=True, help="Check signatures, records and bytes; do not train again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(version: str, in_use: str, quick: bool, as_json: bool) -> None:
    """Follow a version from its signed tag to its bytes, and make it again from raw data."""
    from pushforward.release import verify as chain

    if bool(version) == bool(in_use):
        raise click.UsageError("name a version, or an environment with --in-use")
    outcome = chain.verify(
        _project(),
        version,
        in_use=in_use,
        quick=quick,
        say=lambda hop: None if as_json else click.echo(chain.line(hop)),
        progress=lambda text: click.echo(f"    {text}", err=as_json),
    )
    if as_json:
        click.echo(json.dumps(outcome.record(), indent=1))
    elif not outcome.version:
        click.echo(f"{in_use} holds no version yet")
    else:
        broken = [hop.name for hop in outcome.hops if hop.ok is False]
        click.echo(f"{outcome.version} does not hold: {', '.join(broken)}" if broken else f"{outcome.version} holds")
    sys.exit(outcome.exit_code)


@main.command(**_example("pushforward gc --dry-run"))
@click.option("--dry-run", is_flag=True, help="Show what would go, delete nothing.")
@click.option("--deprecated", is_flag=True, help="Versions that are deprecated and in use nowhere may go too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every path.")
def gc(dry_run: bool, deprecated: bool, as_json: bool) -> None:
    """Delete what no tag, no open branch and no run needs: in the DVC store, in the server's caches."""
    from pushforward.server import gc as garbage

    def say(found: garbage.Plan) -> None:
        if not as_json:
            click.echo(garbage.terminal(found))

    plan = garbage.collect(_project(), dry_run=dry_run, deprecated=deprecated, say=say)
    if as_json:
        click.echo(json.dumps(plan.record() | {"deleted": not dry_run}, indent=1))
    elif dry_run and plan.garbage:
        click.echo("  next: pushforward gc" + (" --deprecated" if deprecated else ""))
    elif plan.garbage:
        click.echo(f"deleted  {garbage.size(plan.bytes)}")


@main.command(**_example("pushforward bundle v1.2.0 --out release"))
@click.argument("version")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to make; it may not be there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bundle(version: str, out: Path, as_json: bool) -> None:
    """Fetch a version for whoever serves it: checked from tag to bytes, loaded and asked before it is accepted."""
    from pushforward.release import bundle as bundles

    say: Callable[[str], None] = (lambda _: None) if as_json else (lambda text: click.echo(f"  {text}"))
    made = bundles.bundle(_project(), version, out, say=say)
    if as_json:
        from dataclasses import asdict

        click.echo(json.dumps(asdict(made), indent=1))
    else:
        click.echo(f"{made.version} is in {made.folder}\n  next: cd {made.folder} && sha256sum -c SHA256SUMS")


@main.command(**_example("pushforward show --markdown"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The history as a markdown table.")
def show(as_json: bool, as_markdown: bool) -> None:
    """What is in use where, and everything that was judged; rejected changes stay in the table."""
    from pushforward.views import show as view

    state = view.state(_project())
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
    from pushforward.views import web as pages

    if folder is None:
        pages.serve(repository, host, port, say=click.echo)
        return
    count = pages.export(repository, folder)
    click.echo(f"{count} files in {folder}\n  next: open {folder}/index.html")


BARE = click.option(
    "--bare", type=click.Path(path_type=Path), help="The server. Default: where the git remote `local` points."
)
CRON = """Example: pushforward dispatch

\b
Runs that were lost start again at the next push. So that none has to wait for one, and for workflows with
`on: schedule`, have it called every few minutes, by cron:
  */5 * * * *  cd /srv/flights && .venv/bin/pushforward dispatch --bare /srv/flights.git >>/tmp/dispatch.log 2>&1

\b
or by systemd (~/.config/systemd/user/dispatch.service, and dispatch.timer; systemctl --user enable --now
dispatch.timer):
  [Service]
  Type=oneshot
  ExecStart=/srv/flights/.venv/bin/pushforward dispatch --bare /srv/flights.git
  KillMode=process
  [Timer]
  OnCalendar=*:0/5
  Persistent=true
  [Install]
  WantedBy=timers.target
"""


def _server(bare: Path | None) -> Any:
    """The server in `bare`, or the one that this clone pushes to."""
    from pushforward.git import remote
    from pushforward.git.repository import Repository
    from pushforward.git.server import Server

    if bare is not None:
        return Server.load(bare.absolute()).settle()
    local = remote.of(Repository(Path.cwd()))
    if local is None:
        raise PushforwardError("this clone has no git remote `local`", next="pushforward init")
    if local.folder is None:
        words = f"pushforward {' '.join(sys.argv[1:])}"
        raise PushforwardError(f"the server is on another machine ({local.url})", next=local.command(words))
    return Server.load(local.folder.absolute()).settle()


def _owned(server: Any) -> Any:
    """The server, where it is this user's to run; an error that names its owner where it is not."""
    from pushforward.git import whereabouts

    whereabouts.refuse_stranger(Path(server.bare), shlex.join(["pushforward", *sys.argv[1:]]))
    return server


@main.command(epilog=CRON)
@BARE
def dispatch(bare: Path | None) -> None:
    """Judge what was pushed and has no verdict yet, as the hook does after a push; run what is due by a schedule."""
    from pushforward.server import runs
    from pushforward.server.dispatch import work

    server = _owned(_server(bare))
    ended = work(server, say=click.echo, patience=DISPATCH_SECONDS)
    if ended is None:
        return
    again = sum(not run.final for run in ended)
    click.echo(f"{len(ended)} judged" + (f", {again} not final" if again else "") if ended else "nothing was waiting")
    if why := runs.queue(server)["blocked"]:
        raise PushforwardError(why, exit_code=TOOL)


@main.group(invoke_without_command=True, **_example("pushforward runs --json"))
@BARE
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_context
def runs(ctx: click.Context, bare: Path | None, as_json: bool) -> None:
    """What the server runs, has run and will run; ID is the beginning of a commit, or the name of a tag."""
    from pushforward.server import runs as kept

    ctx.obj = _server(bare)
    if ctx.invoked_subcommand is not None:
        return
    found = kept.listed(ctx.obj)
    if as_json:
        click.echo(json.dumps([run.record() for run in found], indent=1))
    elif found:
        click.echo(kept.table(found))
    else:
        click.echo("no runs yet\n  next: git push local main")


@runs.command("show", **_example("pushforward runs show 0802b7bf4"))
@click.argument("name", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def runs_show(server: Any, name: str, as_json: bool) -> None:
    """Tell all of one run: what it is of, how it stands and why, and where its logs are."""
    from pushforward.server import runs as kept

    run = kept.named(server, name)
    click.echo(json.dumps(run.record(), indent=1) if as_json else kept.described(server, run))


@runs.command("logs", **_example("pushforward runs logs -f 0802b7bf4"))
@click.argument("name", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--all", "whole", is_flag=True, help="Every line of every step, not only what the pusher sees.")
@click.pass_obj
def runs_logs(server: Any, name: str, follow: bool, whole: bool) -> None:
    """Print the log of one run."""
    from pushforward.server import runs as kept

    run = kept.named(server, name)
    texts = kept.whole_logs(server, run) if whole else kept.log(server, run, follow=follow)
    for text in texts:
        click.echo(text, nl=False)


@runs.command("cancel", **_example("pushforward runs cancel 0802b7bf4"))
@click.argument("name", metavar="ID")
@click.pass_obj
def runs_cancel(server: Any, name: str) -> None:
    """End a run that waits or is at work; its verdict says that it was cancelled. What is being judged goes on."""
    from pushforward.server import post_receive as receive
    from pushforward.server import runs as kept

    run = kept.named(_owned(server), name)
    kept.cancel(server, run, f"{kept.CANCELLED}by {os.environ.get('USER') or os.getuid()}")
    receive.start(server)
    click.echo(f"{run.job.id} is called off\n  next: pushforward runs show {run.job.id}")


@runs.command("retry", **_example("pushforward runs retry 0802b7bf4"))
@click.argument("name", metavar="ID")
@click.pass_obj
def runs_retry(server: Any, name: str) -> None:
    """Run again what ended without saying anything of a model: invalid, skipped or cancelled."""
    from pushforward.server import post_receive as receive
    from pushforward.server import runs as kept

    run = kept.named(_owned(server), name)
    kept.retry(server, run)
    receive.start(server)
    click.echo(f"{run.job.id} runs again\n  next: pushforward runs logs -f {run.job.id}")
