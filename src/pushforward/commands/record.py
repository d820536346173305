"""`pushforward record`: Write a verdict's report and pictures into git, where show, report and web read them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common
from pushforward.errors import PushforwardError

if TYPE_CHECKING:
    from pushforward.gate.verdict import Verdict
    from pushforward.git.repository import Repository
    from pushforward.report.note import Context
    from pushforward.report.several import Parts


@click.command(epilog=common.example("pushforward record --from verdict"))
@click.option("--from", "source", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True)
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True)
@click.option("--tagged", is_flag=True, help="After `promote`: say what came of it.")
@common.JSON
def record(source: Path, folder: Path, tagged: bool, as_json: bool) -> None:
    """Write a verdict's report and pictures into git, where show, report and web read them.

    The judge's job on a forge does it; a server of ours records by itself.
    """
    from pushforward.git.repository import Repository
    from pushforward.judge import handover, judged, ledger, recorded
    from pushforward.release import promote

    root, repository = Path.cwd(), Repository(Path.cwd())
    verdict, context, _ = judged.stored(source)
    run = verdict.commit if verdict.event == "push" else ""  # of a pull request nothing of its own is kept
    if run and handover.locks_in(folder):
        read = handover.read(folder, handover.AT_MOST)  # it is judged already
        run = promote.lock_commit(ledger.of(root).repository, run, read.locks, read.metrics, scratch=root / ".git")
    parts = judged.each(source)
    if tagged and verdict.event == "push":
        context = _after(repository, verdict, context, parts)
    drawn = recorded.pictures(source / "plots")
    made = recorded.record(root, recorded.report(verdict, context, parts), drawn, run)
    # for whoever posts it: where the pictures are, and what is said of the version that it was held against
    told = {"pictures": made.pictures, "names": sorted(drawn), **_told(root, verdict, drawn)}
    (source / "recorded.json").write_text(json.dumps(told) + "\n")
    if as_json:
        common.show({"commit": verdict.commit, "place": made.place, **told})
        return
    click.echo(f"  recorded {verdict.commit[:9]} in {made.place}: pushforward report {verdict.commit[:9]}")


def _after(repository: "Repository", verdict: "Verdict", context: "Context", parts: "Parts") -> "Context":
    """What the report tells after `promote`: what was tagged, for it passed or by a person's word."""
    from pushforward.judge import recorded
    from pushforward.pipeline.revision import Revision
    from pushforward.release import promote

    passed = _passed(repository, verdict, parts)
    models = [name for name in Revision(repository, verdict.commit).settings.project.models if name not in passed]
    found = {name: promote.standing(repository, name, verdict.commit) for name in models}
    by = {name: one.review for name, one in found.items() if one.version and one.made and one.review}
    if not passed and not by:
        return context
    untagged = "it is not tagged yet; the log of the job that promotes says why"
    names = [*passed, *by]
    there = promote.standing_of_each(repository, names, verdict.commit, several=bool(parts), untagged=untagged)
    return replace(recorded.last_word(context, there.words), review=next(iter(by.values()), context.review))


def _told(root: Path, verdict: "Verdict", drawn: Mapping[str, bytes]) -> dict[str, str]:
    """What a comment shows: the commit that has its pictures, and where the card of the champion is, "" where none."""
    from pushforward import settings
    from pushforward.git.refs import REGISTRY
    from pushforward.judge import ledger, shown
    from pushforward.release import entry

    book = ledger.of(root)
    told, wish = {"shown": "", "card": ""}, settings.load(root).project.report.pictures
    if wish == "none":
        told["pictures"] = ""
    if wish == "shown" and book.remote and verdict.event == "pull_request":
        try:
            told["shown"] = shown.put(book.repository, book.remote, verdict.commit, shown.drawn(drawn))
        except PushforwardError as failed:
            click.echo(f"  {failed.message}; the comment links to them", err=True)
    if book.remote and verdict.champion:
        fetched = (f"+{REGISTRY}*:{REGISTRY}*",)  # a pattern, for there is none before the first version
        book.repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", book.remote, *fetched)
        card = f"{entry.folder(verdict.champion.version)}/{entry.CARD}"
        if (chain := book.repository.resolve(REGISTRY)) and book.repository.read(chain, card):
            told["card"] = f"{chain}/{card}"
    return told


def _passed(repository: "Repository", verdict: "Verdict", parts: "Parts") -> list[str]:
    """The models that the judge has passed."""
    from pushforward.pipeline.revision import Revision

    if parts:
        return [name for name, (one, _) in parts.items() if one.verdict == "promote"]
    return list(Revision(repository, verdict.commit).settings.project.models) if verdict.verdict == "promote" else []
