"""`pushforward report`: Print the report of a commit again; with --from, render a new one beside its verdict."""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pushforward.commands import common, completion
from pushforward.errors import PushforwardError

if TYPE_CHECKING:
    from pushforward.git.repository import Repository
    from pushforward.registry.authority import Reading


@click.command(epilog=common.example("git fetch && pushforward report HEAD"))
@click.argument("revision", required=False, shell_complete=completion.revisions)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Render the verdict in this folder instead.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The markdown that reviewers see.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON.")
def report(revision: str | None, source: Path | None, as_markdown: bool, as_json: bool) -> None:
    """Print the report of a commit again; with --from, render a new one beside its verdict."""
    if source is not None:
        _render(source, as_markdown=as_markdown, as_json=as_json)
        return
    from pushforward.gate.verdict import Verdict
    from pushforward.git.repository import Repository
    from pushforward.registry import authority
    from pushforward.report import notes
    from pushforward.report.terminal import terminal

    repository = Repository(Path.cwd())
    read = authority.reading(repository.path)
    commit = _commit(repository, revision or "HEAD", read)
    found = notes.read(read.repository, commit)
    if not found:
        raise _missing(repository, commit, read)
    newest = found[0]
    if as_json:
        click.echo(json.dumps(newest.verdict))
    elif as_markdown:
        click.echo(newest.text)
    else:
        verdict = Verdict.from_json(json.dumps(newest.verdict))
        colored = common.colored()
        click.echo(terminal(verdict, newest.context, color=colored), color=colored)


def _commit(repository: "Repository", revision: str, read: "Reading") -> str:
    """The commit that is asked for; one whose branch is gone is known by its report alone."""
    from pushforward.report import notes

    if repository.resolve(revision) is None and re.fullmatch("[0-9a-f]{7,40}", revision):
        known = [commit for commit in notes.kept(read.repository) if commit.startswith(revision)]
        if len(known) == 1:
            return known[0]
    return repository.commit(revision)


def _missing(repository: "Repository", commit: str, read: "Reading") -> PushforwardError:
    """Why there is no report of a commit, and what leads on."""
    from pushforward.report import notes

    kept, strange = notes.listed(read.repository)
    if commit in strange:
        step = f"{read.repository.typed} notes --ref=pushforward show {commit[:9]}"
        return PushforwardError(f"the report of {commit[:9]} was written by another version", next=step)
    above = notes.later(repository, commit, kept)
    told = f"; the next commit that has one is {above[:9]}" if above else ""
    then = f"pushforward report {above[:9]}" if above else read.lacks.rpartition("; next: ")[2]
    return PushforwardError(f"{commit[:9]} has no report in {read.source}{told}", next=then or "pushforward show")


def _render(source: Path, *, as_markdown: bool, as_json: bool) -> None:
    """Put the report of the verdict in `source` beside it, and into the summary of the job."""
    from pushforward.judge import judged
    from pushforward.report.several import markdown_of, terminal_of

    verdict, context, _ = judged.stored(source)
    parts = judged.each(source)
    text, card = markdown_of(verdict, context, parts), terminal_of(verdict, context, parts)
    (source / "report.md").write_text(text)
    (source / "report.txt").write_text(card)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as handle:
            handle.write(text)
    if as_json:
        click.echo(verdict.to_json())
    elif not os.environ.get("CI"):
        click.echo(text if as_markdown else card)
