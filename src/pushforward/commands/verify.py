"""`pushforward verify`: Follow a version from its signed tag to its bytes, and make it again from raw data."""

import sys

import click

from pushforward.commands import common, completion


@click.command(epilog=common.example("pushforward verify v1.2.0 --quick"))
@click.argument("version", default="", shell_complete=completion.versions)
@click.option(
    "--in-use",
    default="",
    metavar="ENVIRONMENT",
    help="What is in use there, and the tag that says so.",
    shell_complete=completion.environments,
)
@click.option("--quick", is_flag=True, help="Check signatures, records and bytes; do not train again.")
@common.JSON
def verify(version: str, in_use: str, quick: bool, as_json: bool) -> None:
    """Follow a version from its signed tag to its bytes, and make it again from raw data."""
    from pushforward.registry.tags import UNJUDGED
    from pushforward.release import verify as verification

    if bool(version) == bool(in_use):
        raise click.UsageError("name a version, or an environment with --in-use")
    outcome = verification.verify(
        common.project(),
        version,
        in_use=in_use,
        quick=quick,
        say=lambda hop: None if as_json else click.echo(hop.line()),
        progress=lambda text: click.echo(f"    {text}", err=as_json),
    )
    if as_json:
        common.show(outcome.record())
    elif not outcome.version:
        held = f"; until one is put there: {outcome.foreign}, {UNJUDGED}" if outcome.foreign else ""
        click.echo(f"{in_use} holds no version yet{held}")
    else:
        broken = [hop.name for hop in outcome.hops if hop.ok is False]
        click.echo(f"{outcome.version} does not hold: {', '.join(broken)}" if broken else f"{outcome.version} holds")
    sys.exit(outcome.exit_code)
