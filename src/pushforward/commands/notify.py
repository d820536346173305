"""`pushforward notify`: Tell those whom `notify:` names of a verdict, a release, a failed check, a batch, a look."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common
from pushforward.errors import TOOL, PushforwardError

if TYPE_CHECKING:
    from pushforward.notify.news import News
    from pushforward.schema import Target

PAUSES = (5.0, 20.0)  # seconds, before a job tries what may pass once more
RUN = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")


@click.command(epilog=common.example("pushforward notify --test"))
@click.argument("what", required=False, type=click.Choice(["verdict", "release", "verify", "monitor", "arrival"]))
@click.option("--from", "source", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True)
@click.option("--tag", default="", help="Of a release: the tag that puts a version to use.")
@click.option("--test", is_flag=True, help="Send everybody a message, and say who has taken it.")
@click.option("--failed", is_flag=True, envvar="PUSHFORWARD_FAILED", help="Of a look: its run has failed; tell that.")
@common.JSON
def notify(what: str | None, source: Path, tag: str, test: bool, failed: bool, as_json: bool) -> None:
    """Tell those whom `notify:` names of a verdict, a release, a failed check, a batch, a look.

    A job on a forge does it, and ends well whatever comes of it; a server tells by itself. With --test the exit code
    says whether everybody was reached.
    """
    from pushforward.server import telling

    if bool(what) == test:
        raise click.UsageError("say what to tell, or --test")
    root = common.project()
    project, wanted, known = _asked(root)
    if test and not wanted:
        raise PushforwardError("nobody is to be told: pushforward.yaml has no `notify`", next="edit pushforward.yaml")
    news = [telling.test(project)] if test else [*_news(root, project, what or "", source, tag, failed=failed)]
    pauses = () if test else PAUSES
    told = [one for message in news for one in telling.at_once(wanted, known, message, pauses=pauses)]
    if as_json:
        common.show([{"target": name, "host": host, "ok": not why, "reason": why} for name, host, why in told])
    for name, host, why in told if not as_json else ():
        click.echo(f"missing  {name}: {why}" if why else f"ok       {name}: {host} has taken it", err=bool(why))
    if test and any(why for *_, why in told):
        sys.exit(TOOL)


def _asked(root: Path) -> "tuple[str, Mapping[str, Target], Mapping[str, str]]":
    """What the project is called, who is to be told, and the addresses: a server's own, else the environment's."""
    from pushforward import settings
    from pushforward.git import remote
    from pushforward.git.repository import Repository
    from pushforward.git.server import Server
    from pushforward.server import telling

    there = remote.authority(Repository(root))
    folder = there.folder if there and there.is_server else root if remote.is_server(root) else None
    if folder is not None:
        server = Server.load(folder.absolute())
        return server.name, telling.targets(server), telling.addresses(server)
    return os.environ.get("GITHUB_REPOSITORY", root.name), settings.load(root).project.notify, os.environ


def _news(root: Path, project: str, what: str, source: Path, tag: str, *, failed: bool) -> "Iterator[News]":
    """What is to be told, with the run that has found it."""
    import dataclasses

    from pushforward import settings
    from pushforward.arrival import arrive
    from pushforward.git.repository import Repository
    from pushforward.judge import judged, recorded
    from pushforward.server import telling

    repository, found = Repository(root), list["News"]()
    if what == "verdict":
        verdict, context, _ = judged.stored(source)
        found.append(telling.of_verdict(project, recorded.report(verdict, context, judged.each(source))))
        if verdict.event == "push":
            models = settings.load(root).project.models
            found += telling.of_versions(project, repository, models, verdict.commit)
    elif what == "release":
        found += telling.of_use(project, repository, tag)
    elif what == "arrival":
        found += telling.of_arrivals(project, arrive.news(source))
    elif what == "monitor":
        found += _looked(root, project, failed=failed)
    else:
        found.append(telling.of_verify(project, "Pushforward verify says which hop is broken", ""))
    place = [os.environ.get(name, "") for name in RUN]
    link = f"{place[0]}/{place[1]}/actions/runs/{place[2]}" if all(place) else ""
    yield from (dataclasses.replace(one, link=link) for one in found)


def _looked(root: Path, project: str, *, failed: bool) -> "list[News]":
    """The news of the looks that this run has taken, as they are where looks are kept."""
    from pushforward.monitoring.monitor import of_run
    from pushforward.registry import authority
    from pushforward.server import telling

    read = authority.reading(root)
    return [*telling.of_looks(project, read.repository, of_run(os.environ), failed=failed)]
