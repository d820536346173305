"""The record of what passed, as `passed` keeps it of a commit: which file is a model's. `release` and `server` ask."""

from pushforward.git.refs import VERDICTS
from pushforward.git.repository import Repository


def file_of(model: str) -> str:
    """What the verdict on a model is called in the record of a commit: one of several has its own."""
    return f"{model}.json" if model else "verdict.json"


def read(repository: Repository, commit: str, model: str) -> bytes | None:
    """The recorded verdict on a model at a commit, whether there were several or this one alone; None for none."""
    ref = f"{VERDICTS}{commit}"
    return repository.read(ref, file_of(model)) or repository.read(ref, file_of(""))
