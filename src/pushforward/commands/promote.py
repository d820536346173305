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
    from pushforward.release.promote import Passed, Promotion


@click.command(epilog=common.example("pushforward promote --from verdict --handover handover"))
@click.option("--from", "source", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True)
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True)
@click.option("--review", "tag", default="", metavar="TAG", help="Instead: what a person's word in this tag takes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list: an object for each model.")
def promote(source: Path, folder: Path, tag: str, as_json: bool) -> None:
    """Tag what a passing verdict on the default branch has judged, and push the tags.

    So is what the judge could not tell, where a person has accepted it: pushforward accept.
    """
    say = common.progress(as_json)
    done = _by_word(tag, source, say) if tag else _judged(source, folder, say)
    if as_json:
        common.show(done)


def _judged(source: Path, folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Promote what was judged just now, and is in the folder `source`."""
    from pushforward.judge import handover, judged, passed
    from pushforward.release import reviewed
    from pushforward.release.promote import Passed
    from pushforward.release.promote import promote as run_promote

    done = list[dict[str, Any]]()
    for model, place in (judged.parts(source) or {"": source}).items():
        verdict, _, level = judged.stored(place)
        waits = verdict.verdict != "promote"
        if waits and not (passed.may_be(verdict.verdict) and reviewed.word_on(Path.cwd(), verdict, model)):
            say(f"{f'{model}: ' if model else ''}{verdict.verdict}: nothing to promote")
            done.append({"model": model, "verdict": verdict.verdict, "promotion": None})
            continue
        if not (place / common.GOLDEN).is_file():
            raise PushforwardError(f"{place} has no {common.GOLDEN}: an older version has judged", next="push again")
        # it is judged already
        read, golden = handover.read(folder, handover.AT_MOST), (place / common.GOLDEN).read_bytes()
        about = Passed(verdict, level, golden, model)
        made = run_promote(Path.cwd(), about, read.locks, read.metrics, say=say)
        done.append(_told(about, made))
    return done


def _by_word(tag: str, out: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Promote what was judged before, and what a person's word takes now; nothing is trained or judged again.

    What the word is goes into `out`, for whoever posts it, and on a forge into the report of its commit.
    """
    from pushforward.judge import ledger, recorded
    from pushforward.release import reviewed
    from pushforward.release.promote import promote as run_promote
    from pushforward.release.promote import standing
    from pushforward.report import notes

    root = Path.cwd()
    taken = reviewed.reviewed(root, tag)
    said, done, step = taken.word, list[dict[str, Any]](), ""
    if taken.passed is None:
        say(f"{said.told}: nothing to promote by it")
    else:
        made = run_promote(root, taken.passed, {}, {}, say=say, target=taken.target)
        done = [_told(taken.passed, made)]
    book = ledger.of(root)
    if done and book.remote:
        step = standing(book.repository, tag.partition("@")[0], said.subject.commit).words
    out.mkdir(exist_ok=True)
    told = {"verdict": said.word, "reason": said.told.removeprefix(f"{said.word} ")}
    (out / "verdict.json").write_text(json.dumps(told) + "\n")
    if book.remote:  # a server of ours tells it by itself
        recorded.review(book.repository, said, lock=root / ".git" / notes.LOCK, remote=book.remote, step=step)
    return done


def _told(about: "Passed", made: "Promotion") -> dict[str, Any]:
    """What came of it, for --json; on a forge's runner its summary says so too."""
    from pushforward.git.repository import Repository
    from pushforward.release.promote import standing

    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        told = standing(Repository(Path.cwd()), made.version.partition("@")[0], about.verdict.commit)
        with Path(summary).open("a") as handle:
            handle.write(f"**After the verdict**: {told.words}.\n")
    return {"model": about.model, "verdict": about.verdict.verdict, "promotion": made}
