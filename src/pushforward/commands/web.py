"""`pushforward web`: Show runs, pull requests, models and holdouts as web pages; they read nothing but the
repository.
"""

from pathlib import Path

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward web --export site"))
@click.option(
    "--repository",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="A clone, whose server is read where it is on this machine, or a bare repository. Default: this folder.",
)
@click.option(
    "--export", "folder", type=click.Path(path_type=Path), help="Write the pages as files, for a static host."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; whoever reaches it may read.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="With --export: one JSON object.")
def web(repository: Path, folder: Path | None, host: str, port: int, as_json: bool) -> None:
    """Show runs, pull requests, models and holdouts as web pages; they read nothing but the repository."""
    from pushforward.views import web as pages

    if as_json and folder is None:
        raise click.UsageError("--json goes with --export")
    if folder is None:
        pages.serve(repository, host, port, say=click.echo)
        return
    count = pages.export(repository, folder)
    if as_json:
        common.show({"files": count, "folder": str(folder)})
        return
    click.echo(f"{count} files in {folder}\n  next: open {folder}/index.html")
