"""`pushforward runs`: What the server runs, has run and will run; ID is the beginning of a commit, or the name of a
tag.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from pushforward.commands import common, completion

WATCH_SECONDS = 1.0
WATCHED = 10  # runs shown last, once nothing is under way


@click.group(cls=common.Words, invoke_without_command=True, epilog=common.example("pushforward runs --json"))
@common.BARE
@click.option("--watch", is_flag=True, help="Go on until nothing waits or is at work.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.pass_context
def runs(ctx: click.Context, bare: Path | None, watch: bool, as_json: bool) -> None:
    """What the server runs, has run and will run; ID is the beginning of a commit, or the name of a tag."""
    from pushforward.server import runs as kept

    ctx.obj = partial(common.server, bare)  # who asks for the help of a word below may have none
    if ctx.invoked_subcommand is not None:
        return
    server = common.server(bare)
    found, damaged = kept.listed(server), kept.unreadable(server)
    for name in damaged:
        place = kept.folder(server, name) / kept.RECORD
        click.echo(f"! {place} is damaged\n  next: {kept.set_aside(server, name)}", err=True)
    if as_json:
        common.show([run.record() for run in found])
    elif watch:
        _watch(server)
    elif found:
        click.echo(_told(server, found))
    elif not damaged:
        click.echo("no runs yet\n  next: git push local main")


def _told(server: Any, found: list[Any]) -> str:
    """The table of runs, and the steps of those at work."""
    from pushforward.server import runs as kept
    from pushforward.server import steps

    told = [kept.table(found)]
    for run in found:
        if run.state == "running":
            told += ["", f"{run.job.id} is at work", *steps.lines(steps.of(server, run))]
        elif run.state == "queued" and (place := kept.place_of(server, run.job.key)):
            told += ["", f"{run.job.id} is {place}"]
    return "\n".join(told)


def _watch(server: Any) -> None:
    """Show it again whenever it has changed: on a terminal in the same place, else one below the other."""
    from pushforward.server import runs as kept

    before = ""
    while True:
        found = kept.listed(server)
        live = [run for run in found if run.state in {"queued", "running"}]
        text = _told(server, live or found[:WATCHED])
        if text != before:
            click.echo(f"\x1b[H\x1b[2J{text}" if sys.stdout.isatty() else text)
        if not live:
            return
        before = text
        time.sleep(WATCH_SECONDS)


@runs.command("show", epilog=common.example("pushforward runs show 0802b7bf4"))
@click.argument("name", metavar="ID", shell_complete=completion.runs)
@common.JSON
@click.pass_obj
def runs_show(find: Callable[[], Any], name: str, as_json: bool) -> None:
    """Tell all of one run: what it is of, how it stands and why, and where its logs are."""
    from pushforward.server import runs as kept
    from pushforward.server import steps

    server = find()
    run = kept.named(server, name)
    found = steps.of(server, run)
    if as_json:
        common.show(run.record() | {"steps": found})
        return
    click.echo(kept.described(server, run))
    for line in steps.lines(found):
        click.echo(line)


@runs.command("logs", epilog=common.example("pushforward runs logs -f 0802b7bf4"))
@click.argument("name", metavar="ID", shell_complete=completion.runs)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--all", "whole", is_flag=True, help="Every line of every step, not only what the pusher sees.")
@click.pass_obj
def runs_logs(find: Callable[[], Any], name: str, follow: bool, whole: bool) -> None:
    """Print the log of one run."""
    from pushforward.server import runs as kept

    server = find()
    run = kept.named(server, name)
    texts = kept.whole_logs(server, run) if whole else kept.log(server, run, follow=follow)
    for text in texts:
        click.echo(text, nl=False)


@runs.command("cancel", epilog=common.example("pushforward runs cancel 0802b7bf4"))
@click.argument("name", metavar="ID", shell_complete=completion.runs)
@common.JSON
@click.pass_obj
def runs_cancel(find: Callable[[], Any], name: str, as_json: bool) -> None:
    """End a run that waits or is at work; its verdict says that it was cancelled. What is being judged goes on."""
    from pushforward.server import post_receive
    from pushforward.server import runs as kept

    server = common.owned(find())
    run = kept.named(server, name)
    kept.cancel(server, run, f"{kept.CANCELLED}by {os.environ.get('USER') or os.getuid()}")
    post_receive.start(server)
    if as_json:
        common.show(kept.named(server, name).record())
    else:
        click.echo(f"{run.job.id} is called off\n  next: pushforward runs show {run.job.id}")


@runs.command("start", epilog=common.example("pushforward runs start retrain -f month=2013-05"))
@click.argument("workflow", required=False)
@click.option("-f", "--field", "fields", multiple=True, metavar="NAME=VALUE", help="An input; as often as it takes.")
@click.option("--ref", default="", help="The branch or tag whose workflow and code run. Default: the default branch.")
@click.option("--event", "kind", default="", metavar="TYPE", help="Send a repository_dispatch of this type instead.")
@click.option("--payload", default="", metavar="JSON", help="With --event: its client payload, an object.")
@common.JSON
@click.pass_obj
def runs_start(
    find: Callable[[], Any],
    workflow: str | None,
    fields: tuple[str, ...],
    ref: str,
    kind: str,
    payload: str,
    as_json: bool,
) -> None:
    """Start a workflow by hand (workflow_dispatch), by its file or name; or what hears of an event of one's own
    (repository_dispatch).
    """
    from pushforward.actions import inputs
    from pushforward.server import post_receive, triggers
    from pushforward.server import runs as kept

    if bool(workflow) == bool(kind) or (kind and (fields or ref)) or (payload and not kind):
        raise click.UsageError("WORKFLOW with -f and --ref, or --event TYPE with --payload")
    server = common.owned(find())
    if kind:
        started = triggers.by_program(server, kind, payload)
    else:
        started = [triggers.by_hand(server, str(workflow), inputs.parse(fields), ref)]
    post_receive.start(server)
    if as_json:
        common.show([kept.named(server, job.key).record() for job in started])
        return
    for job in started:
        click.echo(f"{job.file} is started: {job.id}\n  next: pushforward runs logs -f {job.id}")


@runs.command("retry", epilog=common.example("pushforward runs retry 0802b7bf4"))
@click.argument("name", metavar="ID", shell_complete=completion.runs)
@common.JSON
@click.pass_obj
def runs_retry(find: Callable[[], Any], name: str, as_json: bool) -> None:
    """Run again what ended without saying anything of a model: invalid, skipped, cancelled or not trained; a single
    workflow always.
    """
    from pushforward.server import post_receive, requests
    from pushforward.server import runs as kept

    server = common.owned(find())
    run = kept.named(server, name)
    if run.job.event == "workflow":
        requests.retry(server, run)
    else:
        kept.retry(server, run)
    post_receive.start(server)
    if as_json:
        common.show(kept.named(server, name).record())
    else:
        click.echo(f"{run.job.id} runs again\n  next: pushforward runs logs -f {run.job.id}")
