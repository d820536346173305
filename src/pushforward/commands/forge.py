"""`pushforward forge`: On GitLab, Gitea and Forgejo: try the merge, leave the hand-over, judge what waits, tell it.

The jobs of their workflow files call its verbs, where a job of GitHub's has steps by others.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common
from pushforward.errors import USAGE, PushforwardError

if TYPE_CHECKING:
    from pushforward.forge.gitea import Gitea
    from pushforward.forge.gitlab import GitLab

TARGET = click.option("--target", envvar="PUSHFORWARD_TARGET", required=True, help="The default branch.")


@click.group(cls=common.Words, epilog=common.example("pushforward forge sweep --target main"))
def forge() -> None:
    """On GitLab, Gitea and Forgejo: try the merge, leave the hand-over, judge what waits, tell it.

    The jobs of their workflow files call these.
    """


@forge.command(epilog=common.example("pushforward forge merge --target main"))
@TARGET
def merge(target: str) -> None:
    """Check out what merging HEAD into the default branch would leave: that is what is tried."""
    from pushforward.forge import sweep
    from pushforward.git.repository import Repository

    repository = Repository(Path.cwd())
    head = repository.commit("HEAD")
    into = repository.commit(sweep.fetched(repository, f"refs/heads/{target}"))
    made, conflicts = repository.merge_commit(into, head)
    if made is None:
        raise PushforwardError(
            f"{head[:9]} conflicts with {target} in {', '.join(conflicts[:5])}",
            next=f"git fetch && git rebase {target}, then push again",
        )
    repository.git("checkout", "-q", "--detach", made)
    click.echo(f"  {head[:9]} merged into {into[:9]}: {made[:9]}")


@forge.command("hand-over", epilog=common.example("pushforward forge hand-over --head COMMIT"))
@click.option("--head", envvar="PUSHFORWARD_HEAD", required=True, help="The pushed commit.")
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True)
def hand_over(head: str, folder: Path) -> None:
    """Leave the hand-over in git, where the judge of a Gitea or a Forgejo takes it."""
    from pushforward.forge import gitea
    from pushforward.git.repository import Repository

    repository = Repository(Path.cwd())
    click.echo(f"  {gitea.leave(repository, repository.commit(head), Path.cwd() / folder)}")


@forge.command(epilog=common.example("pushforward forge sweep --target main"))
@TARGET
def sweep(target: str) -> None:
    """Judge every commit that was trained and is not judged yet, and tell of each."""
    from pushforward.forge import sweep as sweeps

    root = Path.cwd()
    made = sweeps.Sweep(root, _desk(os.environ, target), target, say=lambda text: click.echo(f"  {text}"))
    click.echo(f"  judged: {len(made.run())}")


@forge.command(epilog=common.example("pushforward forge promote"))
def promote() -> None:
    """Promote what a sweep has judged of pushes to the default branch; the only one with the key that signs."""
    from pushforward.forge import sweep as sweeps

    click.echo(f"  pushes: {sweeps.promote(Path.cwd(), lambda text: click.echo(f'  {text}'))}")


@forge.command(epilog=common.example("pushforward forge post --head COMMIT --from verdict"))
@click.option("--head", envvar="PUSHFORWARD_HEAD", required=True, help="The pushed commit.")
@click.option("--from", "source", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True)
def post(head: str, source: Path) -> None:
    """Tell the forge of a verdict on a commit of the default branch; what cannot be told fails nothing."""
    from pushforward.forge import desk as desks
    from pushforward.forge.desk import Waiting

    branch = os.environ.get("PUSHFORWARD_REF", "")
    try:
        desk = _desk(os.environ, branch)
    except PushforwardError as failed:
        click.echo(f"  the verdict is not on the commit: {failed}")
        return
    desks.tell(desk, Waiting(head, branch, None, ""), source, lambda text: click.echo(f"  {text}"))


def _desk(given: Mapping[str, str], target: str) -> "GitLab | Gitea":
    """The desk of the forge whose job this is."""
    from pushforward.forge import gitea, gitlab

    try:
        if given.get("GITLAB_CI"):
            return gitlab.GitLab.of(given)
        if given.get("GITHUB_ACTIONS"):
            return gitea.Gitea.of(given, Path.cwd(), target)
    except KeyError as missing:
        raise PushforwardError(f"this job has no {missing.args[0]}", exit_code=USAGE) from None
    raise PushforwardError(
        "this is no job of a GitLab, a Gitea or a Forgejo", next="pushforward adopt --forge gitlab", exit_code=USAGE
    )
