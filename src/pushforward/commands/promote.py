"""`pushforward promote`: Tag what a passing verdict on the default branch has judged, and push the tags."""

import os
from pathlib import Path
from typing import Any

import click

from pushforward.commands import common
from pushforward.errors import PushforwardError


@click.command(epilog=common.example("pushforward promote --from verdict --handover handover"))
@click.option("--from", "source", type=click.Path(path_type=Path), default=common.VERDICT, show_default=True)
@click.option("--handover", "folder", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON list: an object for each model.")
def promote(source: Path, folder: Path, as_json: bool) -> None:
    """Tag what a passing verdict on the default branch has judged, and push the tags."""
    from pushforward.git.repository import Repository
    from pushforward.judge import handover, judged
    from pushforward.release.promote import Passed, standing
    from pushforward.release.promote import promote as run_promote

    say, done = common.progress(as_json), list[dict[str, Any]]()
    for model, place in (judged.parts(source) or {"": source}).items():
        verdict, _, level = judged.stored(place)
        if verdict.verdict != "promote":
            say(f"{f'{model}: ' if model else ''}{verdict.verdict}: nothing to promote")
            done.append({"model": model, "verdict": verdict.verdict, "promotion": None})
            continue
        if not (place / common.GOLDEN).is_file():
            raise PushforwardError(f"{place} has no {common.GOLDEN}: an older version has judged", next="push again")
        # it is judged already
        read, golden = handover.read(folder, handover.AT_MOST), (place / common.GOLDEN).read_bytes()
        passed = Passed(verdict, level, golden, model)
        made = run_promote(Path.cwd(), passed, read.locks, read.metrics, say=say)
        done.append({"model": model, "verdict": verdict.verdict, "promotion": made})
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            told = standing(Repository(Path.cwd()), made.version.partition("@")[0], verdict.commit)
            with Path(summary).open("a") as handle:
                handle.write(f"**After the verdict**: {told.words}.\n")
    if as_json:
        common.show(done)
