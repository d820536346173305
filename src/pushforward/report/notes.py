"""Reports and verdicts in git: one note per commit, holding its reports, newest first."""

from pathlib import Path
from typing import Any

from pushforward.durable import locked
from pushforward.git.refs import NOTES
from pushforward.git.repository import Repository

LOCK = "notes.lock"


def read(repository: Repository, commit: str) -> str:
    """The note of `commit`, or an empty text."""
    done = repository.git("notes", f"--ref={NOTES}", "show", commit, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def later(repository: Repository, commit: str) -> str:
    """The first commit above `commit`, on the way to HEAD, that has a note, or "": a push has one report."""
    known = annotated(repository)
    above = repository.git("rev-list", "--reverse", "--ancestry-path", f"{commit}..HEAD", check=False)
    return next((one for one in above.text.splitlines() if one in known), "")


def put(repository: Repository, commit: str, event: str, text: str, *, lock: Path) -> None:
    """Put a report on top of the note of `commit`, in the place of an earlier one for the same event.

    Under a lock: concurrent `git notes add` loses notes without a word.
    """
    with locked(lock):
        older = [body for header, body in _entries(repository, commit) if header.get("event") != event]
        _write(repository, commit, [text, *older])


def drop(repository: Repository, commit: str, event: str, *, lock: Path) -> None:
    """Take the report for an event out of the note of `commit`; a note without reports goes."""
    with locked(lock):
        left = [body for header, body in _entries(repository, commit) if header.get("event") != event]
        if left:
            _write(repository, commit, left)
        else:
            repository.git("notes", f"--ref={NOTES}", "remove", "--ignore-missing", commit)


def renew(repository: Repository, commit: str, event: str, text: str, *, lock: Path) -> None:
    """Put a report in the place of the one for the same event, wherever in the note of `commit` that is."""
    with locked(lock):
        entries = _entries(repository, commit)
        _write(repository, commit, [text if header.get("event") == event else body for header, body in entries])


def _entries(repository: Repository, commit: str) -> list[tuple[dict[str, Any], str]]:
    from pushforward.report.note import entries  # whoever only lists notes does not wait for it

    return entries(read(repository, commit))


def _write(repository: Repository, commit: str, reports: list[str]) -> None:
    whole = "\n\n".join(part.rstrip() for part in reports) + "\n"
    # -C takes the bytes as they are; -F would strip them
    blob = repository.write_blob(whole.encode())
    repository.git("notes", f"--ref={NOTES}", "add", "-f", "-C", blob, commit)


def annotated(repository: Repository) -> dict[str, str]:
    """Commit -> the object that holds its note, for every commit that has one."""
    if not repository.resolve(NOTES):
        return {}
    lines = repository.git("notes", f"--ref={NOTES}", "list").text.splitlines()
    return {commit: blob for blob, commit in (line.split() for line in lines)}
