"""`pushforward tune`: Search better parameters on the past, never on the holdout, and check what was found."""

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pushforward.commands import common

INTERRUPTED = 130  # what a shell takes Ctrl-C for


@click.command(epilog=common.example("pushforward tune --trials 20, and after a kill pushforward tune --resume"))
@common.MODEL
@click.option("--trials", type=click.IntRange(1, 10_000), help="How many sets are tried. Default: tune.trials.")
@click.option(
    "--timeout",
    "minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="When no trial begins any more.",
)
@click.option(
    "--within",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="In which all is done: the last trial leaves time for the check.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the search: another tries others."
)
@click.option("--resume", is_flag=True, help="Go on with the search of this commit that was begun.")
@click.option("--propose", "asks", is_flag=True, help="Ask for what is worth it as a change: a branch, a pull request.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Leave what is found there, with pictures."
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Search nothing: what --out has left there.",
)
@common.JSON
def tune(asks: bool, out: Path | None, source: Path | None, as_json: bool, **wished: Any) -> None:
    """Search better parameters on the past, never on the holdout, and check what was found.

    What is searched, and by which number, is `tune` in pushforward.yaml. Each set of parameters is tried in several
    moments of the past: the pipeline runs there with the batches that had arrived by then. What is best is held
    against the parameters of today where no trial was, with other seeds. Ctrl-C ends it well: what was tried is kept.
    """
    from pushforward.tuning import proposed, study, told
    from pushforward.tuning import tune as tuning

    if source and (ignored := _given(wished)):
        raise click.UsageError(f"--from searches nothing, so {ignored} is of no use with it")
    root, say = common.project(), common.progress(as_json)
    with common.aside(as_json):
        found = proposed.read(source) if source else tuning.tune(root, tuning.Wish(**wished), say=say)
        if out is not None:
            proposed.leave(found, out)
        if asks:
            found = dataclasses.replace(found, proposed=proposed.propose(root, found, say=say))
    if as_json:
        common.show(found)
    else:
        click.echo("\n".join(told.lines(found, asked=asks)))
    if found.interrupted == study.BROKEN and not source:
        sys.exit(INTERRUPTED)


def _given(names: Iterable[str]) -> str:
    """The first of these options that was typed, as it is typed; "" where none was."""
    context = click.get_current_context()
    typed = (
        option.opts[0]
        for option in context.command.params
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    )
    return next(typed, "")
