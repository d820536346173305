"""`pushforward report`: Print the report of a commit again; with --from, render a new one beside its verdict."""

import json
import os
from pathlib import Path

import click

from pushforward.commands import common, completion
from pushforward.errors import PushforwardError


@click.command(epilog=common.example("git fetch && pushforward report HEAD"))
@click.argument("revision", required=False, shell_complete=completion.revisions)
@click.option("--from", "source", type=click.Path(path_type=Path), help="Render the verdict in this folder instead.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The markdown that reviewers see.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON.")
def report(revision: str | None, source: Path | None, as_markdown: bool, as_json: bool) -> None:
    """Print the report of a commit again; with --from, render a new one beside its verdict."""
    from pushforward.gate.verdict import Verdict
    from pushforward.git.repository import Repository
    from pushforward.registry import authority
    from pushforward.report import note, notes
    from pushforward.report.several import markdown_of, terminal_of
    from pushforward.report.terminal import terminal

    if source is not None:
        from pushforward.judge import judged

        verdict, context, _ = judged.stored(source)
        parts = {name: judged.stored(part)[:2] for name, part in judged.parts(source).items()}
        text = note.with_context(markdown_of(verdict, context, parts), context)
        card = terminal_of(verdict, context, parts)
        (source / "report.md").write_text(text)
        (source / "report.txt").write_text(card)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a") as handle:
                handle.write(text)
        if not os.environ.get("CI"):
            click.echo(text if as_markdown else card)
        return
    repository = Repository(Path.cwd())
    commit = repository.commit(revision or "HEAD")
    found = note.entries(notes.read(repository, commit))
    if not found:
        above = notes.later(repository, commit)
        told = f"; the next commit that has one is {above[:9]}" if above else ""
        then = f"pushforward report {above[:9]}" if above else authority.fetching_here(repository)
        raise PushforwardError(f"{commit[:9]} has no report here{told}", next=then)
    header, body = found[0]
    if as_json:
        click.echo(json.dumps(header))
    elif as_markdown:
        click.echo(body)
    else:
        verdict = Verdict.from_json(json.dumps(header))
        colored = common.colored()
        click.echo(terminal(verdict, note.context_of(body), color=colored), color=colored)
