"""A verdict between two steps of the judge: a folder with it and with what its report needs."""

import dataclasses
import json
from pathlib import Path

from pydantic import ValidationError

from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.registry.tags import Level
from pushforward.report import note
from pushforward.report.note import Context, Report
from pushforward.untrusted import plain_json

MODELS = "models"


def store(folder: Path, verdict: Verdict, context: Context, level: Level) -> None:
    """Put a verdict and what its report needs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(verdict.to_json() + "\n")
    beside = {"level": level, "context": dataclasses.asdict(context)}
    (folder / "context.json").write_text(json.dumps(beside, allow_nan=False, indent=1) + "\n")


def stored(folder: Path) -> tuple[Verdict, Context, Level]:
    """What `store` put into `folder`."""
    try:
        verdict = Verdict.from_json((folder / "verdict.json").read_bytes())
        beside = json.loads((folder / "context.json").read_bytes())
    except FileNotFoundError as missing:
        raise PushforwardError(f"{folder} holds no verdict", next="pushforward gate") from missing
    except ValueError as broken:
        raise PushforwardError(f"{folder} holds no verdict: {broken}", next="pushforward gate") from broken
    try:
        return verdict, note.reader(Context).validate_python(beside["context"]), beside["level"]
    except (KeyError, TypeError, ValidationError) as other:
        raise PushforwardError(
            f"the verdict in {folder} was left by another version", next="pushforward gate"
        ) from other


def kept(folder: Path) -> Report:
    """The report of the verdict in `folder`, as its judge wrote it, be that of another version."""
    tree = plain_json((folder / "verdict.json").read_bytes(), f"the verdict in {folder}")
    if not isinstance(tree.get("verdict"), str):
        raise PushforwardError(f"{folder} holds no verdict", next="pushforward gate")
    text = (folder / "report.md").read_text("utf-8", "replace")
    if not is_ours(folder):
        return Report(tree, Context(), text)
    verdict, context, _ = stored(folder)
    return note.of(verdict, context, text)


def parts(folder: Path) -> dict[str, Path]:
    """The folders of the verdicts on each of several models below that of their word on the commit, by name."""
    below = folder / MODELS
    found = sorted(below.iterdir()) if below.is_dir() and not below.is_symlink() else []
    return {path.name: path for path in found if path.is_dir() and not path.is_symlink()}


def each(folder: Path) -> dict[str, tuple[Verdict, Context]]:
    """The verdict on each of several models and what its report tells, by name; none where there is one alone."""
    return {name: stored(part)[:2] for name, part in parts(folder).items()}


def is_ours(folder: Path) -> bool:
    """Whether what is in `folder` has our form, so that it can be shown again and says no less than it did."""
    try:
        told = json.loads((folder / "context.json").read_bytes())["context"]
        return set(told) == {field.name for field in dataclasses.fields(Context)}
    except (OSError, ValueError, KeyError, TypeError):
        return False
