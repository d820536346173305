"""Batches that a commit has taken in, with the digests that stand beside them, and the edits that take in one more.

A batch is a line of the list; its digest is the comment behind it. No tool reads comments: a batch that arrives is one
line and nothing else, and what a person has typed by hand has none, of which nothing is claimed. Edits touch that line
alone, and are read again before they count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pushforward import params, yamledit
from pushforward.arrival.source import DIGEST, Listed
from pushforward.errors import USAGE, PushforwardError
from pushforward.git.repository import Repository
from pushforward.lifecycle import Arrive
from pushforward.pipeline.revision import Revision
from pushforward.schema import FILE, NONE

NOTED = "# digest "
BEHIND = re.compile(rf"{NOTED}(?P<digest>{DIGEST.pattern})")


@dataclass(frozen=True)
class Taken:
    """The batches of a commit, in order: `file` and `key` list them, `digests` has those that are written beside."""

    file: str
    key: str
    text: bytes
    names: tuple[str, ...]
    digests: Mapping[str, str]
    arrive: Arrive
    beside: bytes | None  # the file in which corrections are written, where that is another one

    @classmethod
    def of(cls, repository: Repository, commit: str) -> "Taken":
        """What a commit has taken in; refused where nothing says from where batches come, or which there are."""
        settings = Revision(repository, commit).settings
        arrive = settings.project.arrive
        if arrive is None:
            raise _usage(f"{FILE} has no `arrive`: nothing says where batches come from")
        listed = {one.batches for one in settings.each} - {("", "")}
        if len(listed) != 1:
            many = "several models list batches in different places" if listed else f"batches are {NONE}"
            raise _usage(f"{FILE}: there is nothing for `arrive` to add to: {many}")
        ((file, key),) = listed
        text = repository.read_plain(commit, file)
        if text is None:
            raise _usage(f"{file} is not in {commit[:9]}, and batches are listed there")
        names = params.batches(text, key, file)
        other = arrive.corrected.partition(":")[0] if arrive.corrected else file
        beside = repository.read_plain(commit, other) if other != file else None
        return cls(file, key, text, tuple(names), _digests(text, key, file), arrive, beside)

    def adding(self, one: Listed) -> dict[str, bytes]:
        """The files with one more batch, the last of the list, and its digest behind it."""
        made = yamledit.appended(self.text, self.key, one.batch, self.file, note=f"{NOTED}{one.digest}")
        return {self.file: made}

    def correcting(self, one: Listed) -> dict[str, bytes]:
        """The files with another digest of a batch, and where a stage reads it: there it has what is to be fetched."""
        assert self.arrive.corrected is not None  # noqa: S101, who asks has looked
        file, _, key = self.arrive.corrected.partition(":")
        noted = yamledit.noted(self.text, self.key, one.batch, f"{NOTED}{one.digest}", self.file)
        found = {self.file: noted}
        told = found.get(file, self.beside)
        if told is None:
            raise _usage(f"arrive.corrected names {file}, which is not there")
        return {**found, file: yamledit.put(told, key, one.batch, one.digest, file)}


def _digests(text: bytes, key: str, file: str) -> dict[str, str]:
    """The digests that stand behind batches, each on a line of its own."""
    behind = yamledit.notes(text, key, file).items()
    return {name: found["digest"] for name, note in behind if (found := BEHIND.fullmatch(note))}


def _usage(words: str) -> PushforwardError:
    return PushforwardError(words, next=f"edit {FILE}: docs/arrival.md", exit_code=USAGE)
