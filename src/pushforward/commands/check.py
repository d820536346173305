"""`pushforward check`: Look at this machine, the server and you: what is missing, and the command that mends it."""

import sys
from pathlib import Path

import click

from pushforward.commands import common
from pushforward.errors import TOOL


@click.command(epilog=common.example("pushforward check"))
@common.BARE
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.option("--quick", is_flag=True, help="Read no object whole, and push nothing through a run.")
@click.option("--mend", is_flag=True, help="First mend what needs no choice; nothing is deleted.")
def check(bare: Path | None, as_json: bool, quick: bool, mend: bool) -> None:
    """Look at this machine, the server and you: what is missing, and the command that mends it."""
    from pushforward.server import check as checks
    from pushforward.server.finding import CANNOT

    if mend:
        for line in checks.mend(Path.cwd(), bare):
            failed = line.startswith(CANNOT)
            click.echo(line if failed else f"mended   {line}", err=as_json or failed)
    found = checks.everything(Path.cwd(), bare, quick=quick, say=lambda line: click.echo(f"...      {line}", err=True))
    if as_json:
        listed = list(found)
        common.show(listed)
        sys.exit(0 if all(finding.ok or finding.optional for finding in listed) else TOOL)
    common.findings(found, only_bad=False)
