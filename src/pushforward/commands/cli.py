"""The command line: finds the file of a verb, and turns errors into exit codes. No logic.

What a verb needs is imported when it runs: a hook must not wait for numpy.
"""

import importlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from pushforward import __version__
from pushforward.errors import BUG, MACHINE, TOOL, PushforwardError

HERE = Path(__file__).parent
# `pushforward <verb>` is the function of that name in the file of that name.
VERBS = sorted(
    path.stem.replace("_", "-")
    for path in HERE.glob("[!_]*.py")
    if path.stem not in {"cli", "common", "completion", "printed"}
)
# Who types what, in the order in which a help lists it.
ROLES = {
    "Start": ("new", "adopt", "env", "rehearse", "act", "init", "setup", "check", "score-card"),
    "Developers and reviewers": ("runs", "report", "explain", "show", "web", "pull", "tune", "accept", "reject"),
    "Releasers": (
        "release",
        "rollback",
        "deprecate",
        "verify",
        "bundle",
        "serve",
        "monitor",
        "trust",
    ),
    "What workflows and hooks call": (
        "arrive",
        "repro",
        "score",
        "gate",
        "record",
        "promote",
        "notify",
        "forge",
        "dispatch",
        "gc",
    ),
}


@dataclass(frozen=True)
class _Told:
    """Where --json is asked for, an error is a document on standard output too; in words it is told all the same."""

    as_json: bool

    def json(self, error: str, step: str, exit_code: int) -> None:
        """Print it as such."""
        if self.as_json:
            click.echo(json.dumps({"error": error, "next": step, "exit_code": exit_code}, indent=1))


class _Group(click.Group):
    """Turns an error of ours into its exit code, and a bug into a log file."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return VERBS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"pushforward.commands.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs by role, in the first lines of their files: to import them all takes as long as all else."""
        width = max(len(verb) for verb in VERBS)
        for role, verbs in ROLES.items():
            with formatter.section(role):
                formatter.write_dl([(verb.ljust(width), _said(verb)) for verb in verbs])

    def invoke(self, ctx: click.Context) -> Any:
        asked = [*ctx._protected_args, *ctx.args]  # click 8 has no other name for the verb
        told = _Told("--json" in asked[: asked.index("--")] if "--" in asked else "--json" in asked)
        try:
            if not os.environ.get("PUSHFORWARD_RUN"):
                return super().invoke(ctx)
            from pushforward.git import reading  # a step of a run asks git for dozens of files

            with reading.kept():
                return super().invoke(ctx)
        except PushforwardError as consequence:
            error = _first_cause(consequence)
            click.echo(f"pushforward: {error}", err=True)
            told.json(error.message, error.next, error.exit_code)
            sys.exit(error.exit_code)
        except click.UsageError as wrong:
            usage = wrong.ctx.command_path if wrong.ctx else "pushforward"
            told.json(wrong.format_message(), f"{usage} --help", wrong.exit_code)
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read has gone; what is left to say goes nowhere
            sys.exit(0)
        except OSError as trouble:
            if trouble.errno not in MACHINE:
                _bug(trouble)
            place = f"{trouble.filename}: " if trouble.filename else ""
            mend = "df -h, and pushforward check"
            click.echo(f"pushforward: {place}{trouble.strerror}\n  next: {mend}", err=True)
            told.json(f"{place}{trouble.strerror}", mend, TOOL)
            sys.exit(TOOL)
        except Exception as bug:  # noqa: BLE001
            _bug(bug)


def _said(verb: str) -> str:
    """What a verb does, as the first sentence of its file says it: up to an empty line, or the end of the docstring."""
    text = (HERE / f"{verb.replace('-', '_')}.py").read_text(encoding="utf-8")
    first = text.removeprefix('"""').partition('"""')[0].partition("\n\n")[0]
    return " ".join(first.partition(": ")[2].split())


def _first_cause(error: PushforwardError) -> PushforwardError:
    """Why git cannot read the repository at hand, where that is so: whatever a verb says then comes of it."""
    from pushforward.git import form
    from pushforward.git.repository import Repository

    try:
        return form.refusal(Repository(Path.cwd())) or error
    except (PushforwardError, OSError):  # there is no git, or no folder
        return error


def _bug(bug: Exception) -> NoReturn:
    """Say that this is ours to mend, and where what is known of it lies."""
    import tempfile  # a bug is rare, and starts are many: both take longer than a verb's own file
    import traceback

    if os.environ.get("CI"):
        traceback.print_exception(bug)  # the step's log is what stays of a run
        sys.exit(BUG)
    log = Path(tempfile.gettempdir()) / f"pushforward-{os.getpid()}.log"
    log.write_text("".join(traceback.format_exception(bug)))
    click.echo(f"pushforward: a bug: {type(bug).__name__}: {bug}\n  its log: {log}", err=True)
    sys.exit(BUG)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: pushforward init && git push local HEAD:my-idea && pushforward show",
)
@click.version_option(__version__, prog_name="pushforward")
def main() -> None:
    """Retrain on every push, judge the new model against the one in use, promote it with a git tag."""
