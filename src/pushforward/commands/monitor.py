"""`pushforward monitor`: Look at what is in use: drift, outcomes, live loss; say retrain, watch or fine."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pushforward.commands import common, completion
from pushforward.errors import PushforwardError
from pushforward.registry.tags import PRODUCTION

if TYPE_CHECKING:
    from pushforward.monitoring.record import Record


@click.command(epilog=common.example("pushforward monitor production --log /srv/serving-log --dry-run"))
@click.argument("environment", default=PRODUCTION, shell_complete=completion.environments)
@click.option("--log", default="", metavar="DIR", help="What `serve` has logged: a folder, or a URL that DVC reads.")
@common.now("The moment of the look.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; propose and keep nothing.")
@common.MODEL
@common.JSON
def monitor(environment: str, log: str, now: datetime, dry_run: bool, model: str, as_json: bool) -> None:
    """Look at what is in use: drift, outcomes, live loss; say retrain, watch or fine.

    The word and its reasons are kept in git; where a retrain is due and something is new to learn from, a change
    is proposed. The exit code says whether the look was taken, not what it found; of several models one that cannot
    be looked at hides no other.
    """
    from pushforward.monitoring import words
    from pushforward.monitoring.look import Asked
    from pushforward.monitoring.monitor import monitor as looked
    from pushforward.release import verify

    root = common.project()
    names = [model] if model else verify.models(root)
    told, failed = [], {}
    for name in names:
        asked = Asked(root, environment, name, log, now, common.progress(as_json))
        try:
            found = looked(asked, dry_run=dry_run)
        except PushforwardError as error:
            if len(names) == 1:
                raise
            failed[name] = error
            click.echo(f"pushforward: {name}: {error}", err=True)
            continue
        if found is not None:
            told.append(found)
            click.echo("" if as_json else "\n".join(words.lines(found)), nl=not as_json)
        elif not as_json:
            click.echo(f"{f'{name}: ' if name else ''}{environment} holds no version yet")
    if as_json:
        _print_json(told, failed)
    if failed:
        sys.exit(next(iter(failed.values())).exit_code)


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
