"""`pushforward gate`: Judge a hand-over against the champion, with the target branch's code, rules and holdout."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pushforward.commands import common
from pushforward.errors import NOT_PROMOTED
from pushforward.text import plain

if TYPE_CHECKING:
    from pushforward.gate.verdict import Verdict
    from pushforward.judge.question import Question
    from pushforward.report.note import Context


@click.command(epilog=common.example("pushforward gate --plan"))
@click.option("--plan", is_flag=True, help="Before any training: looks left, what this holdout can detect.")
@click.option("--ahead", is_flag=True, help="Before any training: say so where what it asks answers no more.")
@click.option("--head", envvar="PUSHFORWARD_HEAD", help="The pushed commit.")
@click.option("--event", envvar="PUSHFORWARD_EVENT", type=click.Choice(["push", "pull_request"]))
@click.option("--ref", envvar="PUSHFORWARD_REF", help="The branch that was pushed.")
@click.option("--pull", type=int, envvar="PUSHFORWARD_PULL", help="The number of the pull request.")
@click.option(
    "--merge",
    default="",
    envvar="PUSHFORWARD_MERGE",
    help="The merge that was tried, of a forge that has no ref of it.",
)
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True, help="Where the verdict goes."
)
@common.MODEL
@click.option("--check", "strict", is_flag=True, help="Exit with 4 unless the verdict is promote.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict, or the plan, as JSON.")
def gate(plan: bool, ahead: bool, folder: Path, out: Path, strict: bool, as_json: bool, **pushed: Any) -> None:
    """Judge a hand-over against the champion, with the target branch's code, rules and holdout."""
    from pushforward.judge import handover, question

    root = Path.cwd()
    if plan:
        _plan(root, pushed["model"], as_json=as_json)
        return
    if ahead:
        _ahead(root, out, pushed, as_json=as_json)
        return
    head, event, ref = pushed["head"], pushed["event"], pushed["ref"]
    if head is None or event is None or ref is None:
        raise click.UsageError("a hand-over is judged with --head, --event and --ref; or ask with --plan")
    name = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    say: Callable[[str], None] = (lambda _: None) if as_json else (lambda text: click.echo(f"  {text}"))
    handover.output(out)
    asked = question.ask(root, head, event, name, pushed["pull"], pushed["merge"])
    judge = os.environ.get("PUSHFORWARD_JUDGE", "")
    if not judge:
        judge = question.judge_of(root, asked, os.environ.get("PUSHFORWARD_BASE", ""))
        if (package := question.code_of(root, judge)) is not None:
            environment = os.environ | {"PYTHONPATH": str(package), "PUSHFORWARD_JUDGE": judge}
            os.execve(sys.executable, [sys.executable, "-m", "pushforward", *sys.argv[1:]], environment)  # noqa: S606
    verdict, context = _weighed(root, root / folder, asked, judge, out, say)
    if as_json:
        click.echo(verdict.to_json())
    elif os.environ.get("CI"):
        click.echo(f"  {verdict.verdict}: {plain(verdict.reason)}")  # the report step shows the rest
    else:
        from pushforward.report.terminal import terminal

        colored = common.colored()
        click.echo(terminal(verdict, context, color=colored), color=colored)
    if strict and verdict.verdict != "promote":
        sys.exit(NOT_PROMOTED)


def _weighed(
    root: Path, folder: Path, asked: "Question", judge: str, out: Path, say: Callable[[str], None]
) -> "tuple[Verdict, Context]":
    """The verdict on what was asked, and what its report tells beside it; both are left in `out`."""
    from pushforward.judge import question
    from pushforward.judge.early import early

    if models := question.models_of(root, asked, judge):
        from pushforward.judge import judged, several

        found = several.judge_each(root, folder, asked, models, judge=judge, out=out, say=say)
        verdict, context, level = several.together(found)
    else:
        golden, work = out / common.GOLDEN, root / question.WORK
        with early(root, folder, asked, judge, work) as begun:
            from pushforward.judge import judge as evidence  # the libraries take as long as what is begun
            from pushforward.judge import judged, passed

            verdict, context, level = evidence.weigh(
                root,
                folder,
                asked,
                judge=judge,
                work=work,
                say=say,
                pictures=out / "plots",
                golden=golden,
                begun=begun,
            )
        passed.record(root, verdict, subject=asked.subject, level=level, golden=golden)
    judged.store(out, verdict, context, level)
    return verdict, context


def _ahead(root: Path, out: Path, pushed: dict[str, Any], *, as_json: bool) -> None:
    """What is known before the work; with `--head` of what a forge has, else of what is checked out.

    The first line is left in `out` too, for whoever posts it.
    """
    from pushforward import files
    from pushforward.git.repository import Repository
    from pushforward.judge import ahead, handover, question

    head, base, repository = pushed["head"], os.environ.get("PUSHFORWARD_BASE", ""), Repository(root)
    event, ref = pushed["event"] or "pull_request", pushed["ref"] or ""
    if head is not None:
        handover.output(out)
        asked = question.ask(root, head, event, ref, pushed["pull"], pushed["merge"])
        judge = question.judge_of(root, asked, base)
    else:
        subject = repository.commit("HEAD")
        asked = question.Question(subject, subject, event, ref, pushed["pull"])
        judge = question.judge_of(root, asked, base) if event == "push" else repository.commit(base or "HEAD^1")
    found = ahead.ahead(root, asked, judge)
    lines = [*ahead.told(found)]
    if head is not None and lines:
        files.write(root, f"{out}/{ahead.FILE}", f"{lines[0].removeprefix('! ')}\n".encode())
    if as_json:
        common.show(found)
    for line in [] if as_json else lines:
        click.echo(line)


def _plan(root: Path, model: str, *, as_json: bool) -> None:
    from pushforward.judge import plan

    found = plan.plan(root, model)
    if as_json:
        common.show(found)
    else:
        click.echo(plan.terminal(found))
