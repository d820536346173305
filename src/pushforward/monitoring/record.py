"""The record of one look at a version in use: all that was found, and what is to be done, as JSON. Pure.

`look` makes one, `kept` keeps them in git, `words` and the pages tell them.
"""

import functools
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ValidationError

from pushforward import untrusted
from pushforward.errors import DATA, PushforwardError
from pushforward.lifecycle import Monitor
from pushforward.monitoring.decision import Ages, Word
from pushforward.monitoring.drift import Kind
from pushforward.monitoring.live import Live, Promise

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_STRICT = {"extra": "forbid", "allow_inf_nan": False}


@dataclass(frozen=True)
class Day:
    """The answers of one day that count, and what they lost."""

    day: str
    rows: int
    loss: float
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Reason:
    """A reason, and the rule that gives it."""

    rule: str
    words: str
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Looked:
    """What was looked at of a column ("" is of the rows): how far it has moved and how far it may, and in words."""

    column: str
    kind: Kind
    measured: float
    limit: float
    words: str
    far: bool
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Predicted:
    """What predictions as served were held `against`, in words, and what was looked at of them."""

    against: str
    looked: tuple[Looked, ...] = ()
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Record:
    """One look at the version in use in an environment of a model, `at` a moment.

    `metric` is the loss that live numbers are of; `drift` is of inputs, `predicted` of what was answered. `before` is
    the decision of the look before it, of whichever version, "" where this is the first. `first` is the earliest day of
    which this look or one before it at the version has counted answers, None where none has. `proposed` is the branch
    that asks for a retrain, "" where none does, `step` what a person may do next, and `run` whose run this was, ""
    where a person has looked.
    """

    model: str
    environment: str
    version: str
    commit: str
    at: datetime
    decision: Word
    reasons: tuple[Reason, ...]
    metric: str
    ages: Ages
    limits: Monitor
    promise: Promise | None = None
    live: Live | None = None
    days: tuple[Day, ...] = ()
    drift: tuple[Looked, ...] = ()
    predicted: Predicted | None = None
    waiting: tuple[str, ...] = ()
    first: date | None = None
    before: str = ""
    proposed: str = ""
    step: str = ""
    run: str = ""
    schema: Literal[1] = 1
    __pydantic_config__: ClassVar[Any] = _STRICT

    @property
    def reason(self) -> str:
        """The reason that counts, "" where there is none."""
        return self.reasons[0].words if self.reasons else ""

    def to_json(self) -> bytes:
        """The record as indented JSON; lengths of time are ISO 8601."""
        return bytes(_adapter().dump_json(self, indent=1)) + b"\n"


def read(text: bytes) -> Record:
    """A record, read strictly."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as wrong:
        said = f"this is no record of monitoring: {untrusted.where(wrong)}"
        raise PushforwardError(said, next="pushforward monitor, of the version that wrote it", exit_code=DATA) from None


@functools.cache
def _adapter() -> "TypeAdapter[Record]":
    from pydantic import TypeAdapter

    return TypeAdapter(Record)
