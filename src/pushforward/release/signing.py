"""Who signs in a clone, by which settings, and where what they sign goes. `release` and `review` ask."""

from pathlib import Path

from pushforward import schema
from pushforward.errors import PushforwardError
from pushforward.git import person as persons
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.pipeline.revision import Revision, settings_here
from pushforward.registry import authority
from pushforward.registry.transaction import Hand
from pushforward.settings import Settings


def rules(root: Path, model: str) -> Settings:
    """The settings of the clone; of one that has checked nothing out yet those of the default branch that counts."""
    if Repository(root).resolve("HEAD") is not None or (root / schema.FILE).exists():
        return settings_here(root).of(model)
    with authority.of(root) as source:
        return Revision(source.repository, source.repository.commit("HEAD"), model).settings


def remote(repository: Repository) -> remotes.Remote:
    """The remote that what is signed goes to; an error where the clone has none."""
    if there := remotes.authority(repository):
        return there
    raise PushforwardError("this clone has no git remote 'local' or 'origin' to release to", next="pushforward init")


def person(repository: Repository) -> Hand:
    """Who is at work, as git has them: a release is signed by a person, with the key that git signs with for them."""
    name, email = persons.identity(repository)
    if not name or not email:
        raise PushforwardError(
            "git does not know who you are", next='git config --global user.name "Ann" && git config user.email ann@…'
        )
    persons.signing_key(repository)  # else git would say why in words of its own
    return Hand(name, email)
