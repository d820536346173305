"""`pushforward gc`: Delete what no tag, no open branch and no run needs: in the DVC store, in the server's caches."""

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward gc --dry-run"))
@click.option("--dry-run", is_flag=True, help="Show what would go, delete nothing.")
@click.option("--deprecated", is_flag=True, help="Versions that are deprecated and in use nowhere may go too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every path.")
def gc(dry_run: bool, deprecated: bool, as_json: bool) -> None:
    """Delete what no tag, no open branch and no run needs: in the DVC store, in the server's caches."""
    from pushforward.server import gc as garbage

    def say(found: garbage.Plan) -> None:
        if not as_json:
            click.echo(garbage.terminal(found))

    plan = garbage.collect(common.project(), dry_run=dry_run, deprecated=deprecated, say=say)
    if as_json:
        common.show(plan.record() | {"deleted": not dry_run})
    elif dry_run and plan.garbage:
        click.echo("  next: pushforward gc" + (" --deprecated" if deprecated else ""))
    elif plan.garbage:
        click.echo(f"deleted  {garbage.size(plan.bytes)}")
