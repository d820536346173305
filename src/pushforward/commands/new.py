"""`pushforward new`: Make a small whole project in an empty folder: its first push is judged."""

from pathlib import Path

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward new tumours && cd tumours"))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be written, and write nothing.")
@click.option(
    "--tool-from",
    "source",
    metavar="URL|PATH",
    default="",
    help="Where a forge gets pushforward: git URL@COMMIT, a wheel.",
)
@common.JSON
def new(folder: Path, dry: bool, source: str, as_json: bool) -> None:
    """Make a small whole project in an empty folder: its first push is judged.

    For those who have none. XGBoost on data that scikit-learn ships: pipeline, locked environment, holdout, settings,
    in a git repository.
    """
    from pushforward.project import new as projects

    made = projects.make(folder, dry=dry, source=source)
    if as_json:
        common.show({"folder": made.folder, "files": made.files, "commits": made.commits, "next": made.next})
        return
    what = "XGBoost on 569 samples of tissue, three stages, level 3 of 3"
    click.echo(f"{'would make' if dry else 'made':<11}{made.folder}: {what}")
    click.echo(f"{'files':<11}{', '.join(made.files)}")
    if made.commits:
        click.echo(f"{'commits':<11}{len(made.commits)}, by pushforward: nobody's name is made up")
    for number, line in enumerate(made.lacks):
        click.echo(f"{'' if number else 'you':<11}{line}{'' if number else '   (your own commits need it)'}")
    for number, line in enumerate(made.next):
        click.echo(f"{'' if number else 'next':<11}{line}")
