"""What a project's `explain` command has written: steps and contributions, read as hostile data. Pure but for `taken`.

The form is told in docs/explain.md; what else stands in the file is left alone.
"""

import math
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pushforward import untrusted
from pushforward.judge.score import PredictionsError
from pushforward.text import figure, plain

LIMIT_BYTES = 1024 * 1024
SCORED = 1e-9  # what a prediction may differ by where it is made twice, as for the judge
SUMMED = 1e-5  # what contributions may miss their prediction by: they are often sums of single precision


def _short(longest: int) -> AfterValidator:
    return AfterValidator(lambda text: plain(text, longest))


NAMED = 80
Named = Annotated[str, _short(NAMED)]
Value = Annotated[str, _short(120)] | bool | int | float | None
# so that the sum of all parts is a number, and their sums beside one another are
Added = Annotated[float, Field(ge=-1e300, le=1e300)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Line(_Part):
    """A name and its value, the unit of it, and what is to be known beside."""

    name: Named
    value: Value = None
    unit: Annotated[str, _short(20)] = ""
    note: Annotated[str, _short(200)] = ""


class Step(_Part):
    """A step on the way from the row to its prediction, as a table."""

    name: Named
    rows: Annotated[list[Line], Field(max_length=500)] = []


class Contribution(_Part):
    """What one feature adds."""

    name: Named
    value: Value = None
    contribution: Added


class Contributions(_Part):
    """Base and parts, whose sum is the link function of the prediction in the column `of`, the first where none is."""

    link: Literal["identity", "logit", "log"] = "identity"
    base: Added
    of: Named = ""
    parts: Annotated[list[Contribution], Field(max_length=2000)] = []

    def column(self, predicted: Iterable[str]) -> str:
        """The column of these whose prediction is explained; as it is named here where there is none such."""
        return next((one for one in predicted if not self.of or plain(one, NAMED) == self.of), self.of)

    @property
    def total(self) -> float:
        """Base and parts, summed without an error of its own."""
        return math.fsum([self.base, *(one.contribution for one in self.parts)])

    @property
    def predicts(self) -> float:
        """The prediction that their sum stands for."""
        total = max(-700.0, min(700.0, self.total)) if self.link != "identity" else self.total
        if self.link == "logit":
            return 1.0 / (1.0 + math.exp(-total))
        return math.exp(total) if self.link == "log" else total


class Told(_Part):
    """What an `explain` command has written of one row."""

    steps: Annotated[list[Step], Field(max_length=20)] = []
    contributions: Contributions | None = None
    prediction: float | None = None

    def doubts(self, predicted: Mapping[str, float]) -> list[str]:
        """In what it does not agree with the predictions of `score`, by column; sentences without a full stop."""
        found, p = list[str](), next(iter(predicted.values()))
        if self.prediction is not None and abs(self.prediction - p) > SCORED:
            found.append(f"explain predicts {self.prediction!r}, score {p!r}: what explains is not what scores")
        parts = self.contributions
        if parts is None:
            return found
        of = parts.column(predicted)
        if of not in predicted:
            return [*found, f"the contributions are of {of}, which score does not predict"]
        off = abs(parts.predicts - predicted[of])
        if off > SUMMED * max(1.0, abs(predicted[of])):
            told = f"{figure(parts.predicts)}, score predicts {figure(predicted[of])}"
            found.append(f"base and contributions add up to {told}: they do not explain it")
        return found


def taken(path: Path, most: int, by: str) -> bytes:
    """What a command has left where it alone wrote: a plain file of at most `most` bytes, and what no link leads to.

    `by` is the command's setting; `PredictionsError` says what is wrong.
    """
    try:
        # a pipe would be waited for
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise PredictionsError(f"the {by} command left no file {path.name} that can be read") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise PredictionsError(f"the {by} command left no file {path.name}: it is something else")
    with os.fdopen(handle, "rb") as left:
        content = left.read(most + 1)
    if len(content) > most:
        raise PredictionsError(f"what the {by} command wrote is too long; the limit is {most:,} bytes")
    return content


def parse(content: bytes) -> Told:
    """What an `explain` command has written; `PredictionsError` says what is wrong with it."""
    what = "what the explain command wrote"
    found = untrusted.plain_json(content, what)
    try:
        return Told.model_validate(found)
    except ValidationError as wrong:
        raise PredictionsError(f"{what} is not of the form expected: {untrusted.where(wrong)}") from None
