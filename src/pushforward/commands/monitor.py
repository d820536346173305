"""`pushforward monitor`: Look at what is in use: drift, outcomes, live loss; say retrain, watch or fine."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common, completion
from pushforward.registry.tags import PRODUCTION

if TYPE_CHECKING:
    from pushforward.monitoring.look import Asked
    from pushforward.monitoring.record import Record


@click.command(epilog=common.example("pushforward monitor production --log /srv/serving-log --dry-run"))
@click.argument("environment", default=PRODUCTION, shell_complete=completion.environments)
@click.option("--log", default="", metavar="DIR", help="What `serve` has logged: a folder, or a URL that DVC reads.")
@common.now("The moment of the look.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; propose and keep nothing.")
@click.option(
    "--look",
    "there",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Only look; leave in FOLDER what is found.",
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
    is proposed. The exit code says whether the look was taken, not what it found. --look runs the project's code and
    writes nothing but FOLDER, --from writes and runs none of it: two jobs, of which one has rights.
    """
    from pushforward.monitoring import handed
    from pushforward.monitoring.look import Asked, look
    from pushforward.release import verify

    if there and (source or dry_run or as_json):
        raise click.UsageError("--look goes with none of --from, --dry-run and --json: FOLDER has a JSON of it")
    if source and log:
        raise click.UsageError("--from reads no log: --look has")
    root = common.project()
    names = [model] if model else verify.models(root)
    asked = [Asked(root, environment, name, log, now, common.progress(as_json)) for name in names]
    if there:
        found = [one for one in map(look, asked) if one is not None]
        click.echo(f"{handed.leave(found, there)}: {len(found)} taken")
        return
    told = []
    for name, one in zip(names, _looked(asked, source, dry_run=dry_run), strict=True):
        told += [one] if one is not None else []
        if not as_json:
            _say(name, environment, one)
    if as_json:
        records = [json.loads(one.to_json()) for one in told]
        common.show(records[0] if len(records) == 1 else {"looks": records})


def _looked(asked: "list[Asked]", source: Path | None, *, dry_run: bool) -> "Iterator[Record | None]":
    """Each look with what came of it: taken here, or in the job that has left it in `source`."""
    from pushforward.monitoring import handed
    from pushforward.monitoring import monitor as monitoring
    from pushforward.monitoring.look import held

    taken = handed.read(source) if source else None
    for one in asked:
        if taken is None:
            yield monitoring.monitor(one, dry_run=dry_run)
        else:
            found = held(one, taken)
            yield monitoring.act(one, found, dry_run=dry_run) if found is not None else None


def _say(name: str, environment: str, found: "Record | None") -> None:
    from pushforward.monitoring import words

    if found is None:
        click.echo(f"{f'{name}: ' if name else ''}{environment} holds no version yet")
    else:
        click.echo("\n".join(words.lines(found)))
