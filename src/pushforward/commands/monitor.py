"""`pushforward monitor`: Look at what is in use: drift, outcomes, live loss; say retrain, watch or fine."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common, completion
from pushforward.errors import PushforwardError
from pushforward.registry.tags import PRODUCTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from pushforward.monitoring.look import Asked
    from pushforward.monitoring.record import Record

    Take = Callable[[Asked], Record | None]


@click.command(epilog=common.example("pushforward monitor production --log /srv/serving-log --dry-run"))
@click.argument("environment", default=PRODUCTION, shell_complete=completion.environments)
@click.option("--log", default="", metavar="DIR", help="What `serve` has logged: a folder, or a URL that DVC reads.")
@common.now("The moment of the look.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; propose and keep nothing.")
@click.option(
    "--look", "there", type=click.Path(path_type=Path), metavar="FOLDER", help="Only look, and leave it in FOLDER."
)
@click.option(
    "--from", "source", type=click.Path(path_type=Path), metavar="FOLDER", help="Act on what --look has left in FOLDER."
)
@common.MODEL
@common.JSON
def monitor(
    environment: str,
    log: str,
    now: datetime,
    dry_run: bool,
    there: Path | None,
    source: Path | None,
    model: str,
    as_json: bool,
) -> None:
    """Look at what is in use: drift, outcomes, live loss; say retrain, watch or fine.

    The word and its reasons are kept in git; where a retrain is due and something is new to learn from, a change
    is proposed. The exit code says whether the look was taken, not what it found; of several models one that cannot
    be looked at hides no other. --look runs the project's code and writes nothing but FOLDER, --from writes and runs
    none of it: two jobs, of which one has rights.
    """
    from pushforward.monitoring import handed
    from pushforward.monitoring.look import Asked, look
    from pushforward.release import verify

    if there and (source or dry_run or as_json):
        raise click.UsageError("--look goes with none of --from, --dry-run and --json: FOLDER has a JSON of it")
    if source and log:
        raise click.UsageError("--from reads no log: --look has")
    root = common.project()
    take = look if there else _acting(source, dry_run=dry_run)
    names = [model] if model else verify.models(root)
    asked = {name: Asked(root, environment, name, log, now, common.progress(as_json)) for name in names}
    told, failed = _each(asked, take, quiet=as_json or there is not None)
    if there:
        click.echo(f"{handed.leave(told, there)}: {len(told)} taken")
    elif as_json:
        _print_json(told, failed)
    if failed:
        sys.exit(next(iter(failed.values())).exit_code)


def _acting(source: Path | None, *, dry_run: bool) -> "Take":
    """A look with what follows: taken here, or by the job that has left it in `source`."""
    from pushforward.monitoring import handed
    from pushforward.monitoring import monitor as monitoring
    from pushforward.monitoring.look import held

    if source is None:
        return lambda asked: monitoring.monitor(asked, dry_run=dry_run)
    taken = handed.read(source)

    def act(asked: "Asked") -> "Record | None":
        found = held(asked, taken)
        return monitoring.act(asked, found, dry_run=dry_run) if found is not None else None

    return act


def _each(
    asked: "dict[str, Asked]", take: "Take", *, quiet: bool
) -> "tuple[list[Record], dict[str, PushforwardError]]":
    """The look at each model, said as it is taken; of several also why one could not be."""
    from pushforward.monitoring import words

    told, failed = list["Record"](), dict[str, PushforwardError]()
    for name, one in asked.items():
        try:
            found = take(one)
        except PushforwardError as error:
            if len(asked) == 1:
                raise
            failed[name] = error
            click.echo(f"pushforward: {name}: {error}", err=True)
            continue
        told += [found] if found is not None else []
        if found is not None and not quiet:
            click.echo("\n".join(words.lines(found)))
        elif not quiet:
            click.echo(f"{f'{name}: ' if name else ''}{one.environment} holds no version yet")
    return told, failed


def _print_json(told: "list[Record]", failed: dict[str, PushforwardError]) -> None:
    import json

    records = [json.loads(one.to_json()) for one in told]
    if len(records) == 1 and not failed:
        common.show(records[0])
        return
    errors = {
        name: {"error": one.message, "next": one.next, "exit_code": one.exit_code} for name, one in failed.items()
    }
    common.show({"looks": records, **({"failed": errors} if errors else {})})
