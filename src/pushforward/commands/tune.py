"""`pushforward tune`: Search better parameters on the past, never on the holdout, and check what was found."""

import sys

import click

from pushforward.commands import common

INTERRUPTED = 130  # what a shell takes Ctrl-C for


@click.command(epilog=common.example("pushforward tune --trials 20, and after a kill pushforward tune --resume"))
@common.MODEL
@click.option("--trials", type=click.IntRange(1, 10_000), help="How many sets are tried. Default: tune.trials.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES", help="When no trial begins any more."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the search: another tries others."
)
@click.option("--resume", is_flag=True, help="Go on with the search of this commit that was begun.")
@common.JSON
def tune(model: str, trials: int | None, timeout: float | None, seed: int, resume: bool, as_json: bool) -> None:
    """Search better parameters on the past, never on the holdout, and check what was found.

    What is searched, and by which number, is `tune` in pushforward.yaml. Each set of parameters is tried in several
    moments of the past: the pipeline runs there with the batches that had arrived by then. What is best is held
    against the parameters of today where no trial was, with other seeds. Ctrl-C ends it well: what was tried is kept.
    """
    from pushforward.tuning import told
    from pushforward.tuning import tune as tuning

    root = common.project()
    say = common.progress(as_json)
    with common.aside(as_json):
        found = tuning.tune(root, tuning.Wish(model, seed, trials, timeout, resume), say=say)
    if as_json:
        common.show(found)
    else:
        click.echo("\n".join(told.lines(found)))
    if found.interrupted == "Ctrl-C":
        sys.exit(INTERRUPTED)
