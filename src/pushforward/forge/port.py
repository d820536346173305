"""The port: what `setup` and `check` ask of a forge, whichever it is.

A forge says how each thing is, step by step, and with which acts it becomes what it should be; it changes nothing while
it is asked. `setup` prints the acts or has them done, `check` only reads. `github` is one forge, others go beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pushforward.forge.keys import Keys


@dataclass(frozen=True)
class Call:
    """A call of a forge's API: `path` is below the API's root and has no leading slash, `body` is JSON.

    `then` is the call after it, made of what came back; of None, before anything did, with what is to be expected.
    """

    method: str
    path: str
    body: Any = None
    why: str = ""
    then: "Callable[[Any], Call] | None" = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Answer:
    """What came back, whole: the names of `headers` are in small letters."""

    status: int
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Secret:
    """A secret to be set in the environment `scope` ("" is the repository); `value` makes it when it is needed."""

    name: str
    scope: str
    value: Callable[[], str] = field(repr=False, compare=False)
    why: str = ""


@dataclass(frozen=True)
class File:
    """A file for the default branch; `content` makes it when it is needed, for it may hold a key made by then."""

    path: str
    content: Callable[[], bytes] = field(repr=False, compare=False)
    why: str = ""
    runs: bool = False


Act = Call | Secret | File


@dataclass(frozen=True)
class Step:
    """One thing that a forge should have: how it is, and what makes it right; without acts and `by_hand` it is.

    `lost` is told where this plan or this forge cannot have it: what is lost without, and what is done instead.
    `by_hand` is for what no call does: the command or the page. `optional` can wait.
    """

    name: str
    found: str
    acts: tuple[Act, ...] = ()
    lost: str = ""
    by_hand: str = ""
    optional: bool = False

    @property
    def right(self) -> bool:
        """Whether nothing is left to do."""
        return not self.acts and not self.by_hand


@dataclass(frozen=True)
class Wanted:
    """What a person asks of a set-up, whichever the forge; `signer` is their address and public key, for the releases.

    `keys` are made when they are needed. `signs` says whether a key of the judge counts on the default branch already.
    """

    keys: "Keys"
    signs: bool = False
    signer: tuple[str, str] | None = None
    reviewers: tuple[str, ...] = ()  # USER, or ORG/TEAM
    owners: tuple[str, ...] = ()  # of CODEOWNERS, as that file has them: @USER, @ORG/TEAM
    store: str = ""  # the url of the DVC remote
    aws_role: str = ""  # who writes to a store at S3, by its ARN
    aws_reader: str = ""  # who reads it
    pages: bool = False  # whether a site that anybody reads is to be published
    login: bool = False  # whether the files have runs log in to the store already
    tool: str = ""  # where a runner gets pushforward, as `adopt --tool-from` takes it
    forge: str = ""  # whose files, as `adopt --forge` takes it
    plan: str = ""  # in place of what the forge says of its owner's
    rotate: bool = False


class Forge(Protocol):
    """A repository on a forge, as who is logged in may see and change it."""

    @property
    def name(self) -> str:
        """What the forge is called in words: GitHub."""

    @property
    def place(self) -> str:
        """The address of the repository, for people."""

    @property
    def branch(self) -> str:
        """The default branch."""

    def steps(self, wanted: Wanted) -> Iterator[Step]:
        """What a first run needs of the forge: environments, secrets, rights. Read-only, as the next two."""

    def files(self, root: Path, wanted: Wanted) -> Iterator[Step]:
        """What files the default branch needs; `root` is a checkout of it, to be read."""

    def rules(self, wanted: Wanted) -> Iterator[Step]:
        """What closes the default branch and the tags, once the files are there."""

    def call(self, act: Call) -> Any:
        """Have a call done; what came back, as JSON."""

    def set_secret(self, secret: Secret) -> None:
        """Set a secret; its value is written nowhere else."""

    def open_pull(self, branch: str, title: str, body: str) -> Call | None:
        """The call that opens a pull request of `branch`, or what the forge calls so; None where one is open."""
