"""`pushforward rehearse`: What a push would do, in a scratch clone: every fault at once, before anything is pushed."""

import sys

import click

from pushforward.commands import common
from pushforward.errors import NOT_PROMOTED


@click.command(epilog=common.example("pushforward rehearse && git push local main"))
@click.option("--worktree", is_flag=True, help="What is not committed counts as if it were.")
@common.JSON
def rehearse(worktree: bool, as_json: bool) -> None:
    """What a push would do, in a scratch clone: every fault at once, before anything is pushed.

    Stages, holdout and score run as a push runs them, in the project's environment, built where it is not there;
    neither the repository nor its store
    nor a server is written to. Ends with 4 where something would keep the push from its verdict.
    """
    from pushforward.git import remote
    from pushforward.git.repository import Repository
    from pushforward.judge import rehearse as rehearsals

    root = common.project()
    with common.aside():
        found = rehearsals.rehearse(root, worktree=worktree, say=lambda line: click.echo(f"...      {line}", err=True))
    if as_json:
        common.show(found)
        sys.exit(NOT_PROMOTED if found.faults else 0)
    for fault in found.faults:
        click.echo(str(fault))
    for remark in found.remarks:
        click.echo(f"note     {remark}")
    if found.unasked:
        click.echo(f"note     not rehearsed, for it is not committed: {', '.join(found.unasked[:5])} (--worktree does)")
    what = "the work tree" if worktree else f"HEAD ({found.commit[:9]})"
    if found.faults:
        count = len(found.faults)
        click.echo(
            f"{count} {'faults keep' if count > 1 else 'fault keeps'} a push of {what} from its verdict", err=True
        )
        sys.exit(NOT_PROMOTED)
    done = f"judged: {found.rests_on}" if found.rests_on else "run"
    first = "git commit, then " if worktree else ""
    first += "" if remote.LOCAL in Repository(root).git("remote").text.split() else "pushforward init, then "
    click.echo(f"a push of {what} would be {done}\n  next: {first}git push local {found.branch}")
