"""`pushforward rollback`: Put an earlier version to use again, at once: nothing is trained, nothing is loaded."""

import click

from pushforward.commands import common, completion


@click.command(epilog=common.example("pushforward rollback -m 'late flights are no longer found'"))
@click.argument("environment", default="production", shell_complete=completion.environments)
@click.option(
    "--to",
    "version",
    default="",
    help="The version to go back to. Default: the one in use before.",
    shell_complete=completion.versions,
)
@click.option("--empty", is_flag=True, help="To none: take out what is there. Also for an environment that is no more.")
@common.MODEL
@common.WHY
@common.JSON
def rollback(environment: str, version: str, empty: bool, model: str, reason: str, as_json: bool) -> None:
    """Put an earlier version to use again, at once: nothing is trained, nothing is loaded."""
    from pushforward.release import release as releases

    if empty and version:
        raise click.UsageError("--empty leaves nothing there, and --to a version: say one of them")
    if empty:
        made = releases.empty(common.project(), reason, environment=environment, model=model)
    else:
        made = releases.rollback(common.project(), reason, environment=environment, to=version, model=model)
    common.made(made, as_json=as_json)
