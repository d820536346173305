"""`pushforward arrive`: Ask the source for new batches, try the oldest, and propose it as a change of one line."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common
from pushforward.errors import DATA

if TYPE_CHECKING:
    from pushforward.arrival.arrive import Done, Looked


@click.command(epilog=common.example("pushforward arrive --dry-run"))
@click.option("--dry-run", "dry", is_flag=True, help="Ask and try; propose, merge and record nothing.")
@common.now("The moment by which a batch is late.")
@click.option(
    "--look",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Only ask and try; leave in FOLDER what was found.",
)
@click.option(
    "--from", "source", type=click.Path(path_type=Path), metavar="FOLDER", help="Act on what --look has left in FOLDER."
)
@common.JSON
def arrive(dry: bool, now: datetime, look: Path | None, source: Path | None, as_json: bool) -> None:
    """Ask the source for new batches, try the oldest, and propose it as a change of one line.

    `arrive` in pushforward.yaml says what lists them, and how. What is proposed already is found; what a batch's own
    stages refuse is proposed by nobody. Exit code 3 where something is wrong: a batch refused, late, gone.
    """
    from pushforward import files
    from pushforward.arrival import arrive as arrival

    if look and (source or dry or as_json):
        raise click.UsageError("--look goes with none of the others: what it finds is a JSON in FOLDER")
    root = common.project()
    say = common.progress(as_json)
    with common.aside():
        found: Looked = arrival.read(source) if source else arrival.look(root, say=lambda line: say(str(line)))
    if look:
        look.mkdir(parents=True, exist_ok=True)
        (look / arrival.FOUND).write_text(found.document())
        click.echo(f"{look / arrival.FOUND}: the source has {len(found.listed)}")
        return

    def keep(done: "Done") -> None:
        if source:
            files.write(source, arrival.DONE, arrival.document(done).encode())

    done = arrival.act(root, found, now, dry=dry, say=say, keep=keep)
    if as_json:
        common.show(arrival.record(done))
    else:
        _say(done)
    if done.alarms:
        sys.exit(DATA)


def _say(done: "Done") -> None:
    for line in done.words:
        click.echo(line)
    for alarm in done.alarms:
        click.echo(f"! {alarm.words}" + ("" if alarm.new else f" (known since {alarm.since[:10]})"), err=True)
