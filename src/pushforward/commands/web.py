"""`pushforward web`: Show runs, pull requests, models and holdouts as web pages; they read nothing but the
repository.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common

if TYPE_CHECKING:
    from pushforward.git.repository import Repository
    from pushforward.server.runs import Run
    from pushforward.views.underway import Desk, Underway


LONGEST_LOG = 200_000  # characters of a log, its end


def _desk(repository: "Repository") -> "Desk":
    """What is under way at a repository that is a server; nothing at any other."""
    from pushforward.git.server import FOLDER, Server
    from pushforward.server import runs as kept
    from pushforward.server import steps as acted
    from pushforward.text import clean_lines
    from pushforward.views.underway import Desk, Step, Underway

    if not (repository.path / FOLDER / "server.json").is_file():
        return Desk()
    server = Server.load(repository.path)

    def under_way() -> list[Underway]:
        runs = kept.listed(server)
        return [_told(run, kept.place_of(server, run.job.key) if run.state == "queued" else "") for run in runs]

    def log(key: str) -> str:
        run = kept.load(server, key)
        text = "".join(kept.log(server, run, follow=False)) if run else ""
        return clean_lines(text[-LONGEST_LOG:])

    def steps(key: str) -> list[Step]:
        run = next((one for one in kept.listed(server) if one.job.key == key), None)
        if run is None:
            return []
        told, found = acted.said(server, run), acted.of(server, run)
        told += [""] * (len(found) - len(told))
        return [
            Step(one.workflow, one.job, one.name, one.result, one.seconds, clean_lines(text))
            for one, text in zip(found, told, strict=False)
        ]

    return Desk(under_way, log, steps, lambda: acted.mark(server))


def _told(run: "Run", place: str) -> "Underway":
    from pushforward.views.underway import Underway

    job = run.job
    return Underway(
        key=job.key,
        name=job.id,
        event=job.on or job.event,
        branch=f"{job.file} for {job.branch}" if job.serial else job.branch or job.file,
        commit=job.commit,
        pull=job.pull,
        state=run.state,
        stage=run.stage,
        verdict=run.told,
        reason=run.reason,
        place=place,
        asked=int(run.asked),
        started=int(run.started),
        seconds=run.seconds,
    )


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
        pages.serve(repository, host, port, say=click.echo, desk=_desk)
        return
    count = pages.export(repository, folder, _desk)
    if as_json:
        common.show({"files": count, "folder": str(folder)})
        return
    click.echo(f"{count} files in {folder}\n  next: open {folder}/index.html")
