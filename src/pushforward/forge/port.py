"""The port: what `setup` and `check` ask of a forge, whichever it is.

A forge says how each thing is, step by step, and with which acts it becomes what it should be; it changes nothing while
it is asked. `setup` prints the acts or has them done, `check` only reads. `github` is one forge, others go beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """A call of a forge's API: `path` is below the API's root and has no leading slash, `body` is JSON."""

    method: str
    path: str
    body: Any = None
    why: str = ""


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
    """What a person asks of a set-up, whichever the forge."""

    reviewers: tuple[str, ...] = ()  # USER, or ORG/TEAM
    owners: tuple[str, ...] = ()  # of CODEOWNERS, as that file has them: @USER, @ORG/TEAM
    store: str = ""  # the url of the DVC remote
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
    def empty(self) -> bool:
        """Whether nothing was pushed yet: then the files come with the first push of the default branch."""

    @property
    def branch(self) -> str:
        """The default branch, as the forge has it, or will have it of the clone."""

    def steps(self, wanted: Wanted) -> Iterator[Step]:
        """How each thing is, in the order in which they are done. Read-only."""

    def call(self, act: Call) -> Any:
        """Have a call done; what came back, as JSON."""

    def set_secret(self, secret: Secret) -> None:
        """Set a secret; its value is written nowhere else."""

    def open_pull(self, branch: str, title: str, body: str) -> Call:
        """The call that opens a pull request of `branch`, or what the forge calls so."""
