"""Whether anybody is to be told at all: one look, by whoever would not wait for the rest of this room."""

from pushforward import schema
from pushforward.git.repository import Repository


def asked(repository: Repository) -> bool:
    """Whether the settings of the default branch may name somebody; most name nobody."""
    return b"notify" in (repository.read("HEAD", schema.FILE) or b"")
