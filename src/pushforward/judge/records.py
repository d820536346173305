"""The record of what was judged, as `passed` keeps it of a commit: which file is what. `release` and `server` ask."""

import hashlib
import json
from dataclasses import asdict, dataclass

from pushforward.git.refs import VERDICTS
from pushforward.git.repository import Repository

On = tuple[str, str, str]  # a commit, the event and the model of a verdict
PULL, BESIDE, GOLDEN = "pull/", "beside/", "golden/"


@dataclass(frozen=True)
class Beside:
    """What is noted beside a verdict: the part of the number that a promotion raises, the tree that was tried, whether
    a protected branch takes it for its verdict alone, and whether it changes the judge.
    """

    level: str
    tree: str
    lands: bool
    judge: bool

    def to_json(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def file_of(model: str) -> str:
    """What the verdict on a model is called in the record of a commit: one of several has its own."""
    return f"{model}.json" if model else "verdict.json"


def place(event: str, model: str) -> str:
    """Where the record of a commit has the verdict on an event: that of a pull request in a folder of its own."""
    return f"{PULL if event == 'pull_request' else ''}{file_of(model)}"


def judged(repository: Repository, commit: str, event: str, model: str) -> tuple[str, bytes] | None:
    """(path, verdict) of a commit's record on an event, be it one of several models or the only one; None for none."""
    for path in (place(event, model), place(event, "")):
        if content := repository.read(f"{VERDICTS}{commit}", path):
            return path, content
    return None


def was_said(repository: Repository, on: On, sha256: str) -> bool:
    """Whether the record of a commit has, or had before it was judged again, the verdict with this SHA-256."""
    commit, event, model = on
    done = repository.git("rev-list", f"{VERDICTS}{commit}", check=False)
    names = [f"{one}:{path}" for one in done.text.split() for path in {place(event, model), place(event, "")}]
    found = repository.objects(names) if done.returncode == 0 and names else []
    return any(one is not None and hashlib.sha256(one[1]).hexdigest() == sha256 for one in found)


def read(repository: Repository, commit: str, model: str) -> bytes | None:
    """The recorded verdict on a model at a commit, whether there were several or this one alone; None for none."""
    ref = f"{VERDICTS}{commit}"
    return repository.read(ref, file_of(model)) or repository.read(ref, file_of(""))
