"""`pushforward act`: Run train or judge of this clone by act: no Docker, no network, and no ref is moved."""

import os
import subprocess
import sys
from pathlib import Path

import click

from pushforward.commands import common
from pushforward.errors import TOOL, PushforwardError

EVENTS = ("push", "pull_request", "workflow_run")


@click.command(epilog=common.example("pushforward act push && pushforward act workflow_run"))
@click.argument("name", metavar="EVENT", type=click.Choice(EVENTS))
@click.argument("more", metavar="[-- ACT ARGS]", nargs=-1, type=click.UNPROCESSED)
@click.option("--event", "file", type=click.Path(path_type=Path), help="The event as JSON, in place of the clone's.")
@click.option("--print", "printed", is_flag=True, help="Print act's command line, and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def act(name: str, more: tuple[str, ...], file: Path | None, printed: bool, as_json: bool) -> None:
    """Run train or judge of this clone by act: no Docker, no network, and no ref is moved.

    push: train HEAD as if it were pushed to the default branch; pull_request: HEAD merged into that; workflow_run:
    judge what was trained last. It runs the clone's own code as you, in no jail.
    """
    from pushforward.server import clone

    root = common.project()
    made = clone.command(root, name, file, more)
    if as_json:
        common.show(made)
        return
    click.echo(made.words())
    if printed:
        return
    sys.stdout.flush()
    quiet = {"ACT_DISABLE_VERSION_CHECK": "1", "PWD": made.folder}
    done = subprocess.run(made.line, cwd=made.folder, env=os.environ | quiet, check=False)
    if done.returncode != 0:
        raise PushforwardError(f"act {name} ended with {done.returncode}; why is above", exit_code=TOOL)
    if name != "workflow_run":
        click.echo("next     pushforward act workflow_run, which judges it")
