"""`pushforward serve`: Answer requests over HTTP with the version that an environment's tag names; follow that tag."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import click

from pushforward.commands import common, completion


@click.command(epilog=common.example("pushforward serve production --log predictions"))
@click.argument("environment", default="production", shell_complete=completion.environments)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; whoever reaches it may ask.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--log", type=click.Path(path_type=Path), help="The folder to keep each answer in, as Parquet by day.")
@click.option("--keep-days", type=click.FloatRange(min=0), help="How long a day of the log is kept. Default: for good.")
@click.option(
    "--events",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A table of events that versions know from the start.",
)
@click.option("--features", is_flag=True, help="Log a digest of each row's features, where the version tells them.")
@common.MODEL
@click.option("--json", "as_json", is_flag=True, help="What happens as one JSON object a line.")
def serve(as_json: bool, **options: object) -> None:
    """Answer requests over HTTP with the version that an environment's tag names; follow that tag.

    A version is verified from its tag to its bytes, loaded and asked for its golden rows before it takes over; until
    then, and where it cannot be served, the one before answers on.
    """
    from pushforward.server import beside
    from pushforward.serving import serve as serving

    say: Callable[[str], None] = _as_json if as_json else (lambda text: click.echo(text, err=True))
    root = common.project()
    tell = functools.partial(beside.tell, root, say)
    serving.serve(root, serving.Options(**options), say=say, tell=tell)  # type: ignore[arg-type]


def _as_json(text: str) -> None:
    click.echo(json.dumps({"said": text}))
