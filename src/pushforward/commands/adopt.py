"""`pushforward adopt`: Take a DVC repository as it is: say what it has, write pushforward.yaml and the workflows."""

import json
import sys

import click

from pushforward.commands import common
from pushforward.errors import NOT_PROMOTED, USAGE


@click.command(epilog=common.example("pushforward adopt --dry-run"))
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be written, and write nothing.")
@click.option(
    "--level", type=click.IntRange(0, 3), help="The level wanted: less than what is reached, or what it lacks."
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 4 where a generated file is not this version's.")
@click.option("--update", is_flag=True, help="Renew the generated files, keeping your changes, and the old settings.")
@click.option(
    "--tool-from",
    "source",
    metavar="URL|PATH",
    default="",
    help="Where a forge gets pushforward: git URL@COMMIT, a wheel.",
)
@click.option(
    "--forge",
    type=click.Choice(["github", "gitlab", "gitea", "forgejo"]),
    help="Whose files to write. Default: those that are there, or what the host of `origin` tells of.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def adopt(
    dry: bool, level: int | None, check: bool, update: bool, source: str, forge: str | None, as_json: bool
) -> None:
    """Take a DVC repository as it is: say what it has, write pushforward.yaml and the workflows.

    Nothing is committed, and dvc.yaml is never touched.
    """
    from pushforward.project import adopt as projects
    from pushforward.project import told

    root = common.project()
    if check:
        if update or dry or source or forge or level is not None:
            raise click.UsageError("--check goes with no other but --json")
        stale = list(projects.stale(root))
        if as_json:
            click.echo(json.dumps({"stale": stale}, indent=1))
        else:
            click.echo(
                "\n".join([*stale, "next    pushforward adopt --update"] if stale else ["all is this version's"])
            )
        sys.exit(NOT_PROMOTED if stale else 0)
    planned = projects.plan(root, level=level, update=update, source=source, forge=forge or "")
    if not dry:
        projects.apply(planned)
    if as_json:
        click.echo(json.dumps(told.record(planned), indent=1))
    else:
        click.echo("\n".join(told.lines(planned, dry=dry)))
    if planned.conflicts:
        sys.exit(USAGE)
