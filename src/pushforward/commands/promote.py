"""`pushforward promote`: Tag what a passing verdict on the default branch has judged, and push the tags."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pushforward.commands import common
from pushforward.errors import PushforwardError

if TYPE_CHECKING:
    from pushforward.gate.verdict import Verdict
    from pushforward.registry.reviews import Word
    from pushforward.registry.tags import Level
    from pushforward.release.promote import Passed, Promotion


@click.command(epilog=common.example("pushforward promote --from verdict --handover handover"))
@click.option("--from", "source", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True)
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True)
@click.option("--review", "tag", default="", metavar="TAG", help="Instead: what a person's word in this tag takes.")
@click.option("--head", default="", metavar="COMMIT", help="With --review: refuse a word on another commit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list: an object for each model.")
def promote(source: Path, folder: Path, tag: str, head: str, as_json: bool) -> None:
    """Tag what a passing verdict on the default branch has judged, and push the tags.

    So is what the judge could not tell, where a person has accepted it: pushforward accept.
    """
    say = common.progress(as_json)
    done = _by_word(tag, head, say) if tag else _judged(source, folder, say)
    if as_json:
        common.show(done)


def _judged(source: Path, folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Promote what was judged just now, and is in the folder `source`."""
    from pushforward.gate.verdict import lands
    from pushforward.judge import judged, passed

    done, words, all_land = list[dict[str, Any]](), list["Word"](), True
    for model, place in (judged.parts(source) or {"": source}).items():
        verdict, _, level = judged.stored(place)
        may_be = passed.may_be(verdict.verdict)
        by = _word_on(verdict, model) if may_be and verdict.verdict != "promote" else None
        words += [by] if by else []
        all_land = all_land and (by is not None or lands(verdict))
        if verdict.verdict != "promote" and by is None:
            say(f"{f'{model}: ' if model else ''}{verdict.verdict}: nothing to promote")
            done.append({"model": model, "verdict": verdict.verdict, "promotion": None})
            continue
        if not (place / common.GOLDEN).is_file():
            raise PushforwardError(f"{place} has no {common.GOLDEN}: an older version has judged", next="push again")
        done.append(_promoted(place, folder, verdict, level, model, say))
    if words and all_land:
        from pushforward.release import reviewed

        _hand_over(reviewed.said_of(words[-1]))
    return done


def _word_on(verdict: "Verdict", model: str) -> "Word | None":
    """The word of a person that accepts a verdict, if there is one."""
    from pushforward.release import reviewed  # of what is held nobody asks

    return reviewed.word_on(Path.cwd(), verdict, model)


def _promoted(
    place: Path, folder: Path, verdict: "Verdict", level: "Level", model: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Promote what the verdict in `place` says, which is judged already; of most verdicts nothing is."""
    from pushforward.judge import handover
    from pushforward.release.promote import Passed
    from pushforward.release.promote import promote as run_promote

    read, golden = handover.read(folder, handover.AT_MOST), (place / common.GOLDEN).read_bytes()
    about = Passed(verdict, level, golden, model)
    return _told(about, run_promote(Path.cwd(), about, read.locks, read.metrics, say=say))


def _by_word(tag: str, head: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Promote what was judged before, and what a person's word takes now; nothing is trained or judged again.

    What the status of the commit is to say goes to whoever posts it, and on a forge into the report. Where the word
    does not count, the summary of the job says why, and nothing is handed over: the verdict stands.
    """
    from pushforward.judge import ledger, recorded
    from pushforward.release import reviewed
    from pushforward.release.promote import promote as run_promote
    from pushforward.release.promote import standing
    from pushforward.report import notes
    from pushforward.text import prose

    root, done, step = Path.cwd(), list[dict[str, Any]](), ""
    try:
        taken = reviewed.reviewed(root, tag, head)
        if taken.passed is None:
            say(f"{taken.word.told}: nothing to promote by it")
        else:
            made = run_promote(root, taken.passed, {}, {}, say=say, target=taken.target)
            done = [_told(taken.passed, made)]
    except PushforwardError as refused:
        _summarize(f"**{prose(tag, 100)} takes nothing**: {prose(refused.message)}. The status stays as it was.")
        raise
    said, book = taken.word, ledger.of(root)
    if done and book.remote:
        step = standing(book.repository, tag.partition("@")[0], said.subject.commit).words
    if told := reviewed.answer(root, said):
        _hand_over(told)
    if book.remote:  # a server of ours tells it by itself
        recorded.review(book.repository, said, lock=root / ".git" / notes.LOCK, remote=book.remote, step=step)
    return done


def _hand_over(told: tuple[str, str]) -> None:
    """Leave what the status of the commit is to say, as an output of the step that a forge's job runs."""
    if outputs := os.environ.get("GITHUB_OUTPUT"):
        with Path(outputs).open("a") as handle:
            handle.write(f"word={json.dumps(dict(zip(('verdict', 'reason'), told, strict=True)))}\n")


def _summarize(text: str) -> None:
    """Say something in the summary of a forge's job."""
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as handle:
            handle.write(f"{text}\n")


def _told(about: "Passed", made: "Promotion") -> dict[str, Any]:
    """What came of it, for --json; on a forge's runner its summary says so too."""
    from pushforward.git.repository import Repository
    from pushforward.release.promote import standing

    if os.environ.get("GITHUB_STEP_SUMMARY"):
        told = standing(Repository(Path.cwd()), made.version.partition("@")[0], about.verdict.commit)
        _summarize(f"**After the verdict**: {told.words}.")
    return {"model": about.model, "verdict": about.verdict.verdict, "promotion": made}
