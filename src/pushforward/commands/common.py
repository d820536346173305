"""Options, places and prints that several commands share."""

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from pushforward.errors import TOOL, USAGE, PushforwardError

HANDOVER = Path("handover")
VERDICT = Path("verdict")
GOLDEN = "golden.json"
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
WHY = click.option("-m", "--message", "reason", required=True, help="Why, in one sentence; it stays in the tag.")
BARE = click.option(
    "--bare", type=click.Path(path_type=Path), help="The server. Default: where the git remote `local` points."
)


def _models(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Models that have a version, for a shell that completes."""
    from pushforward.git.repository import Repository
    from pushforward.registry import grammar

    done = Repository(Path.cwd()).git("for-each-ref", "--format=%(refname:strip=2)", "refs/tags", check=False)
    found = map(grammar.VERSION_TAG.fullmatch, done.text.splitlines() if done.returncode == 0 else ())
    return sorted({match[0].partition("@")[0] for match in found if match and match[0].startswith(begun)})


MODEL = click.option("--model", default="", metavar="NAME", help="Which of several models.", shell_complete=_models)


def _moment(_ctx: click.Context, _param: click.Parameter, text: str) -> datetime:
    """The moment that is meant, this one where none is; without a zone it is of UTC."""
    if not text:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r:.60} is no moment such as 2013-05-01T06:00:00Z") from None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def now(what: str) -> Callable[[Any], Any]:
    """The option --now: a moment in UTC, and what it is the moment of."""
    return click.option("--now", default="", metavar="ISO", callback=_moment, help=f"{what} Default: this one.")


class Words(click.Group):
    """A verb with words below it: its help has the whole sentence of each, on as many lines as it takes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the words with their sentences."""
        known = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            rows = [(name, " ".join((one.help or "").partition("\n\n")[0].split())) for name, one in known if one]
            formatter.write_dl(rows)


def project() -> Path:
    """The clone, or the bare repository, that the current folder is in. Raises PushforwardError outside of both."""
    from pushforward.git.repository import Repository

    here = Path.cwd()
    done = Repository(here).git("rev-parse", "--show-toplevel", check=False)
    if done.returncode == 0:
        return Path(done.text)
    if not any((folder / ".git").exists() for folder in (here, *here.parents)) and b"not a git" in done.stderr:
        raise PushforwardError(f"{here} is in no git repository", next="cd into your clone", exit_code=USAGE)
    return here


def example(text: str) -> str:
    """The words below a command's help."""
    return f"Example: {text}"


def colored() -> bool:
    """Whether to print in colour: as FORCE_COLOR or NO_COLOR says, otherwise on a terminal (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()


def show(value: Any) -> None:
    """Print as JSON a record, a list of them, or what can be made one."""
    click.echo(json.dumps(value, indent=1, default=dataclasses.asdict))


def progress(as_json: bool, before: str = "  ") -> Callable[[str], None]:
    """Prints what goes on: with --json beside what is printed, for that is one JSON document."""
    return lambda text: click.echo(f"{before}{text}", err=as_json)


@contextmanager
def aside(on: bool = True) -> Iterator[None]:
    """What children print is progress: it goes to where that goes, so that what is found can be piped on."""
    if not on:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def findings(found: Iterable[Any], *, only_bad: bool) -> None:
    """Print what was found, and end with the exit code that it stands for."""
    well = True
    for finding in found:
        well = well and (finding.ok or finding.optional)
        if finding.ok and not only_bad:
            click.echo(f"ok       {finding.name}: {finding.found}")
        if not finding.ok and not (only_bad and finding.optional):
            word = "later" if finding.optional else "missing"
            click.echo(f"{word:<8} {finding.name}: {finding.found}\n  next: {finding.mend}", err=not finding.optional)
    if not well:
        sys.exit(TOOL)


def may(key: Any) -> str:
    """What a key may sign, in words."""
    words = {"any": "every environment", "main": "what has not passed into main", "version": "versions"}
    words |= {"accept": "what the judge could not tell"}
    said = ", ".join(words.get(word, word) for word in sorted(key.may)) or "nothing"
    when = key.valid_before
    revoked = f"revoked {when[:4]}-{when[4:6]}-{when[6:8]} {when[8:10]}:{when[10:12]} UTC"
    return f"{said} ({revoked})" if when else said


def made(made: Any, *, as_json: bool) -> None:
    """Print what was signed."""
    if as_json:
        show(made)
    elif made.environment and not made.version:
        click.echo(f"{made.environment}: nothing from now on ({made.tag}, before: {made.previous})")
    elif made.environment:
        before = f", before: {made.previous}" if made.previous else ""
        click.echo(f"{made.environment}: {made.version} from now on ({made.tag}{before})")
    else:
        click.echo(f"{made.version} is deprecated ({made.tag})")


def said(said: Any, *, as_json: bool) -> None:
    """Print a person's word on a verdict."""
    if as_json:
        show(said)
    else:
        click.echo(f"{said.commit[:9]} is {said.word} by {said.by} against `{said.verdict}` ({said.tag})")
        click.echo(f"  next: {said.next}")


def server(bare: Path | None) -> Any:
    """The server in `bare`, or the one that this clone pushes to."""
    from pushforward.git import remote
    from pushforward.git.repository import Repository
    from pushforward.git.server import Server

    if bare is not None:
        return Server.load(bare.absolute()).settle()
    local = remote.authority(Repository(Path.cwd()))
    if local is None or not local.is_server:
        raise PushforwardError("this clone has no git remote `local`", next="pushforward init")
    if local.folder is None:
        words = f"pushforward {' '.join(sys.argv[1:])}"
        raise PushforwardError(f"the server is on another machine ({local.url})", next=local.command(words))
    return Server.load(local.folder.absolute()).settle()


def owned(server: Any) -> Any:
    """The server, where it is this user's to run; an error that names its owner where it is not."""
    from pushforward.git import whereabouts

    whereabouts.refuse_stranger(Path(server.bare), shlex.join(["pushforward", *sys.argv[1:]]))
    return server
