"""`pushforward explain`: One row, step by step: what was known, the features, what each adds, both predictions."""

from pathlib import Path

import click

from pushforward.commands import common, completion


@click.command(epilog=common.example("pushforward explain EWR-UA-1545-20130305 --commit my-idea"))
@click.argument("key")
@click.option("--version", "version", default="", metavar="V", help="A version.", shell_complete=completion.versions)
@click.option(
    "--commit",
    default="",
    metavar="COMMIT",
    help="A commit that was run, a branch, or #3. Default: the newest of this branch.",
    shell_complete=completion.revisions,
)
@click.option(
    "--against",
    default="",
    metavar="V|COMMIT",
    help="What to hold beside it. Default: the version in use.",
    shell_complete=completion.revisions,
)
@common.MODEL
@click.option("--html", type=click.Path(path_type=Path), help="Write it as one page, too.")
@common.JSON
def explain(key: str, version: str, commit: str, against: str, model: str, html: Path | None, as_json: bool) -> None:
    """One row, step by step: what was known, the features, what each adds, both predictions.

    Each model is asked by its own code, in its own environment. KEY is what the holdout's key column has. Label and
    loss of a row in a holdout in use are not told.
    """
    from pushforward.explaining import explain as explaining
    from pushforward.explaining import words

    if version and commit:
        raise click.UsageError("name a version or a commit, not both")
    root = common.project()
    with common.aside():
        found = explaining.explain(
            root, key, model=model, of=version or commit, against=against, say=common.progress(as_json=True)
        )
    if html is not None:
        from pushforward.views import explained

        html.write_text(explained.page(found), encoding="utf-8")
        common.progress(as_json=True)(f"{html} is written")
    if as_json:
        common.show(explaining.record(found))
    else:
        click.echo(words.terminal(found), nl=False)
