"""`pushforward pull`: Put dvc.lock, metrics and model of a version, or of a commit's last run, into the work tree."""

import dataclasses
from pathlib import Path

import click

from pushforward.commands import common, completion
from pushforward.errors import PushforwardError


@click.command(epilog=common.example("pushforward pull v1.2.0, or pushforward pull main"))
@click.argument("what", default="", metavar="[VERSION|RUN|BRANCH]", shell_complete=completion.revisions)
@common.MODEL
@click.option("--lock-only", is_flag=True, help="Without the model.")
@click.option("--force", is_flag=True, help="Also over what was changed here and not committed.")
@click.option("--install-hooks", "hooks", flag_value="install", help="Do it after each checkout and merge.")
@click.option("--remove-hooks", "hooks", flag_value="remove", help="Do it no more.")
@click.option("--hooked", is_flag=True, hidden=True)
@common.JSON
def pull(what: str, model: str, lock_only: bool, force: bool, hooks: str | None, hooked: bool, as_json: bool) -> None:
    """Put dvc.lock, metrics and model of a version, or of a commit's last run, into the work tree.

    RUN is a commit, or #3 for a pull request of a local server; without any word it is HEAD. `dvc pull` then brings
    the data too.
    """
    from pushforward.release import pull as pulls

    root = common.project()
    if hooks:
        _hooks(root, hooks, as_json=as_json)
        return
    if hooked:
        _hooked(root)
        return
    done = pulls.pull(
        root,
        what,
        model=model,
        force=force,
        lock_only=lock_only,
        say=lambda text: click.echo(f"  {text}", err=as_json),
    )
    if as_json:
        common.show(dataclasses.asdict(done))
        return
    for path in (*done.files, *done.models):
        click.echo(f"  {path}")
    changed = bool(done.files or done.models)
    click.echo(f"{done.name} ({done.commit[:9]}) {'is in the work tree' if changed else 'was here already'}")


def _hooked(root: Path) -> None:
    """What the hooks do: never in the way of git, and one line at most."""
    from pushforward.release import pull as pulls

    try:
        done = pulls.pull(root, force=False, lock_only=False, say=lambda _: None)
    except PushforwardError as failed:
        # of another commit's run nothing stays
        taken = pulls.take_back(root) if isinstance(failed, pulls.NoRunError) else []
        back = f"; {', '.join(taken[:2])} as committed" if taken else ""
        click.echo(f"pushforward: {failed.message}{back}", err=True)
        return
    if done.files or done.models:
        click.echo(f"pushforward: {done.name} is in the work tree", err=True)


def _hooks(root: Path, what: str, *, as_json: bool) -> None:
    from pushforward.git import hooks

    paths = [str(path) for path in (hooks.install if what == "install" else hooks.remove)(root)]
    if as_json:
        common.show({what: paths})
        return
    word = "calls `pushforward pull` from now on" if what == "install" else "is gone"
    for path in paths or ["there was no hook of ours"]:
        click.echo(f"{path} {word}" if paths else path)
