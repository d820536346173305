"""Where protocol and versions meet: what is served, what is asked of it, and what it answers.

The HTTP side knows no process and no tag; the versions' side knows no HTTP.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

Value = str | int | float | bool | datetime | None
Columns = Mapping[str, Sequence[Value]]  # all of one length, of the types that the version's inputs say
Arm = Literal["main", "canary", "shadow"]


class UnavailableError(Exception):
    """No version can answer now: 503, with when to ask again."""


class RefusedError(Exception):
    """A version says that it cannot answer what was asked: the request's own fault, 4xx."""

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(f"{field_name}: {why}" if field_name else why)
        self.field = field_name
        self.why = why


@dataclass(frozen=True)
class Served:
    """A version that answers: the model's name, the SHA-256 of its bytes, and what its manifest says of itself."""

    model: str
    version: str  # v1.3.0; the log and the replies say MODEL@v1.3.0
    digest: str
    environment: str
    key: str
    time: str | None
    predicted: tuple[str, ...]
    events: bool
    manifest: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Predictions in the order of the rows, by column (`p`, or `p_<class>`), and who gave them."""

    served: Served
    arm: Arm
    predictions: Mapping[str, Sequence[float]]


class Versions(Protocol):
    """The versions of one model, as the protocol asks them."""

    @property
    def served(self) -> Served | None:
        """The version that answers; None while there is none yet."""

    async def predict(self, rows: Columns, request: str, *, pinned: bool = False) -> Answer:
        """Ask for predictions of rows that have been checked; `request` is what whoever asks calls it.

        `pinned`: whoever asks has named the version that is served, so no canary answers.
        Raises `UnavailableError` where no version can answer, `RefusedError` where it says that it cannot.
        """

    async def observe(self, events: Columns) -> int:
        """Tell events that have been checked to every version; how many there are now."""
