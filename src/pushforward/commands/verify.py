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
@common.MODEL
@common.JSON
def verify(version: str, in_use: str, model: str, quick: bool, as_json: bool) -> None:
    """Follow a version from its signed tag to its bytes, and make it again from raw data."""
    from pushforward.registry.tags import UNJUDGED
    from pushforward.release import verify as verification

    if bool(version) == bool(in_use):
        raise click.UsageError("name a version, or an environment with --in-use")
    root = common.project()
    # what is in use is asked of every model; a version is of the one that it is named after
    names = [model] if model or version else verification.models(root)
    outcomes = [
        verification.verify(
            root,
            version,
            in_use=in_use,
            model=name,
            quick=quick,
            say=lambda hop: None if as_json else click.echo(hop.line()),
            progress=lambda text: click.echo(f"    {text}", err=as_json),
        )
        for name in names
    ]
    if as_json:
        told = [outcome.record() for outcome in outcomes]
        common.show(told[0] if len(told) == 1 else {"models": told})
    for name, outcome in zip(names, outcomes, strict=True) if not as_json else ():
        foreign = f"; until one is put there: {outcome.foreign}, {UNJUDGED}" if outcome.foreign else ""
        of = f"{name}: " if name and not outcome.version else ""
        broken = [hop.name for hop in outcome.hops if hop.ok is False]
        held = f"{outcome.version} does not hold: {', '.join(broken)}" if broken else f"{outcome.version} holds"
        click.echo(held if outcome.version else f"{of}{in_use} holds no version yet{foreign}")
    sys.exit(max(outcome.exit_code for outcome in outcomes))
