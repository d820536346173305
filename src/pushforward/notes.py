"""Reports and verdicts in git: one note per commit, holding its reports, newest first."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pushforward import report
from pushforward.git import NOTES, Repository


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone; the kernel lets go of it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def read(repository: Repository, commit: str) -> str:
    """The note of `commit`, or an empty text."""
    done = repository.git("notes", f"--ref={NOTES}", "show", commit, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def put(repository: Repository, commit: str, event: str, text: str, *, lock: Path) -> None:
    """Put a report on top of the note of `commit`, in the place of an earlier one for the same event.

    Under a lock: concurrent `git notes add` loses notes without a word.
    """
    with locked(lock):
        older = [body for header, body in report.entries(read(repository, commit)) if header.get("event") != event]
        _write(repository, commit, [text, *older])


def renew(repository: Repository, commit: str, event: str, text: str, *, lock: Path) -> None:
    """Put a report in the place of the one for the same event, wherever in the note of `commit` that is."""
    with locked(lock):
        entries = report.entries(read(repository, commit))
        _write(repository, commit, [text if header.get("event") == event else body for header, body in entries])


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
