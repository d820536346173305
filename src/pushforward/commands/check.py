"""`pushforward check`: Look at this machine, the server and you: what is missing, and the command that mends it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pushforward.commands import common
from pushforward.errors import TOOL, PushforwardError


@click.command(epilog=common.example("pushforward check"))
@common.BARE
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.option("--quick", is_flag=True, help="Read no object whole, and push nothing through a run.")
@click.option("--mend", is_flag=True, help="First mend what needs no choice; nothing is deleted.")
@click.option("--github", is_flag=True, help="Look at the repository on GitHub instead, its store first.")
@click.option("--plan", default="", help="Of GitHub: free, pro, team, enterprise. Default: what it says.")
def check(bare: Path | None, as_json: bool, quick: bool, mend: bool, github: bool, plan: str) -> None:
    """Look at this machine, the server and you: what is missing, and the command that mends it."""
    if github and (bare or quick or mend):
        raise click.UsageError("--github goes with no other but --plan and --json")
    if github:
        _tell(_on_github(plan), as_json=as_json)
        return
    from pushforward.server import check as checks
    from pushforward.server.finding import CANNOT

    if mend:
        for line in checks.mend(Path.cwd(), bare):
            failed = line.startswith(CANNOT)
            click.echo(line if failed else f"mended   {line}", err=as_json or failed)
    found = checks.everything(Path.cwd(), bare, quick=quick, say=lambda line: click.echo(f"...      {line}", err=True))
    _tell(found, as_json=as_json)


def _tell(found: Iterator[Any], *, as_json: bool) -> None:
    if as_json:
        listed = list(found)
        common.show(listed)
        sys.exit(0 if all(finding.ok or finding.optional for finding in listed) else TOOL)
    common.findings(found, only_bad=False)


def _on_github(plan: str) -> Iterator[Any]:
    """The store, as somebody who has the default branch and nothing else reaches it, and then each step of a set-up."""
    from pushforward.forge import files, github
    from pushforward.forge import setup as forges
    from pushforward.forge.keys import Keys
    from pushforward.forge.port import Wanted
    from pushforward.pipeline import dvc as pipeline
    from pushforward.server.finding import Finding

    root = common.project()
    there = github.find(forges.address(root), lambda line: click.echo(line, err=True))
    with forges.opened(root, there) as at:
        if not files.beside(at.root):
            try:
                url = pipeline.reach(at.root, write=True)
            except PushforwardError as failed:
                yield Finding("store", False, failed.message, failed.next)
            else:
                if url:
                    yield Finding("store", True, f"{url}, written and read from here")
        planned = forges.plan(there, at, Wanted(Keys(), plan=plan))
    first = [step for step in planned.files if step.name == files.config(at.root)]
    for step in (*first, *(step for step in planned.every if step not in first)):
        if step.lost and step.right and step.found.startswith("not for"):
            without = "another plan, or a public repository"
            yield Finding(step.name, False, f"{step.found}; lost: {step.lost}", without, optional=True)
            continue
        found = f"{step.found}; lost: {step.lost}" if step.lost else step.found
        yield Finding(step.name, step.right, found, step.by_hand or github.SETUP, step.optional)
