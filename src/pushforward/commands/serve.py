"""`pushforward serve`: Answer requests over HTTP with the version that an environment's tag names; follow that tag."""

import contextlib
import functools
import json
import math
from pathlib import Path

import click

from pushforward.commands import common, completion

MOST_DAYS = 36_600  # a century


def _number(_context: click.Context, _option: click.Parameter, days: float | None) -> float | None:
    """Refuse what is no number: it lies within no bounds, and outside of none."""
    if days is not None and math.isnan(days):
        raise click.BadParameter("nan is no number of days")
    return days


@click.command(epilog=common.example("pushforward serve production --log predictions"))
@click.argument("environment", required=False, shell_complete=completion.environments)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; whoever reaches it may ask.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--log", type=click.Path(path_type=Path), help="The folder to keep each answer in, as Parquet by day.")
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0, max=MOST_DAYS),
    callback=_number,
    help="How long a day of the log is kept. Default: for good.",
)
@click.option(
    "--events",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A table of events that versions know from the start.",
)
@click.option("--features", is_flag=True, help="Log a digest of each row's features, where the version tells them.")
@click.option(
    "--bundle",
    "given",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Serve the version in this folder, which `pushforward bundle` wrote, and follow no tag.",
)
@click.option(
    "--signers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --bundle: the allowed signers, one of whom has to have signed the version.",
)
@click.option("--check", is_flag=True, help="With --bundle: verify it, build its environment, ask it; serve nothing.")
@common.MODEL
@click.option("--json", "as_json", is_flag=True, help="What happens as one JSON object a line.")
def serve(as_json: bool, given: Path | None, environment: str | None, **options: object) -> None:
    """Answer requests over HTTP with the version that an environment's tag names; follow that tag.

    Without ENVIRONMENT it is production. A version is verified from its tag to its bytes, loaded and asked for its
    golden rows before it takes over; until then, and where it cannot be served, the one before answers on.
    """
    from pushforward.server import beside
    from pushforward.serving import serve as serving

    say = functools.partial(_say, as_json)
    told = serving.Options(environment or "production", **options)  # type: ignore[arg-type]
    if given is None and (told.signers or told.check):
        raise click.UsageError("--signers and --check are for --bundle DIR")
    if given is None:
        root = common.project()
        serving.serve(root, told, say=say, tell=functools.partial(beside.tell, root, say))
    elif environment or told.model:
        raise click.UsageError("a bundle is one version: give --bundle DIR, or what to follow")
    else:
        serving.serve_bundle(given, told, say=say)


def _say(as_json: bool, text: str) -> None:
    """Say what happens; where whoever read it has gone, answers go on."""
    with contextlib.suppress(OSError):
        click.echo(json.dumps({"said": text}) if as_json else text, err=not as_json)
