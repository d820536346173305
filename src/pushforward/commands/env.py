"""`pushforward env`: Build the project's environment from its locks, once for each; the tool keeps its own."""

import click

from pushforward.commands import common
from pushforward.errors import USAGE, PushforwardError


@click.command(epilog=common.example("pushforward env"))
@click.option("--python", "alone", is_flag=True, help="Print the path of its Python, and nothing else.")
@common.JSON
def env(alone: bool, as_json: bool) -> None:
    """Build the project's environment from its locks, once for each; the tool keeps its own.

    Stages and score run in it. HEAD says what it holds; where it is there already nothing is done. A repository that
    carries the tool, or locks nothing, has the tool's own.
    """
    from pushforward.pipeline import environment

    if alone and as_json:
        raise PushforwardError("--python and --json are two forms", next="pushforward env --json", exit_code=USAGE)
    made = environment.make(common.project(), say=lambda text: click.echo(f"  {text}", err=True))
    if as_json:
        common.show(made)
    elif alone:
        click.echo(made.python)
    else:
        click.echo(f"{made.folder}: {'built' if made.built else 'there'}, {made.seconds:.1f} s")
