"""Columns of a request: what a version's manifest says of each, and the check of a value; `inputs` has the tables.

A column is `{"type": …, "nullable": …, "values": […]}`. A plain name, of ours, of polars' or of Python's, is a column
that may be null unless it is the key or the moment asked about.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from pushforward.errors import DATA, PushforwardError
from pushforward.serving.port import Value
from pushforward.serving.strict import listed, meant, shown

MOST_VALUES = 10_000  # of a column that names its own
EXACT = 2**53  # the largest whole number up to which a float tells each from its neighbour
LARGEST_FLOAT32 = float.fromhex("0x1.fffffep+127")
INTEGERS = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
INTEGERS |= {f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)}
FLOATS = {"float32": "FP32", "float64": "FP64"}
# By their names in the Open Inference Protocol; moments are texts there.
DATATYPES = {"boolean": "BOOL", "string": "BYTES", "instant": "BYTES", "local": "BYTES", **FLOATS}
DATATYPES |= {name: name.upper() for name in INTEGERS}
SAID = {
    "boolean": "true or false",
    "string": "a string",
    "instant": "a moment with its offset from UTC, such as 2013-06-01T07:15:00Z",
    "local": "a local time without offset, such as 2013-06-01T07:15:00",
    "float32": "a number of 32 bits",
    "float64": "a number",
}
_MOMENTS = {
    "instant": Annotated[datetime, msgspec.Meta(tz=True)],
    "local": Annotated[datetime, msgspec.Meta(tz=False)],
}
_OFFSET = re.compile(r"(?:[zZ]|[+-]\d\d:?\d\d)$")
_NAMES = {"String": "string", "Utf8": "string", "Categorical": "string", "Boolean": "boolean"}
_NAMES |= {"float": "float64", "int": "int64", "str": "string", "bool": "boolean"}
_NAMES |= {f"Float{bits}": f"float{bits}" for bits in (32, 64)}
_NAMES |= {name.replace("int", "Int").replace("u", "U"): name for name in INTEGERS}
_POLARS_MOMENT = re.compile(r"Datetime\(time_unit='\w+', time_zone=(None|'[^']+')\)")


class MisfitError(Exception):
    """A value that is none of its column's: why."""


@dataclass(frozen=True)
class Column:
    """One column: its type, whether it may be null, and the values that there are where they are closed."""

    name: str
    type: str
    nullable: bool
    values: tuple[str | int, ...] = ()

    @property
    def datatype(self) -> str:
        """Its type in the Open Inference Protocol."""
        return DATATYPES[self.type]

    @property
    def quoted(self) -> bool:
        """Whether its values are strings in JSON."""
        return self.datatype == "BYTES"

    @property
    def said(self) -> str:
        """What its values must be, in words."""
        if self.values:
            return f"one of {listed(map(str, self.values))}"
        if self.type in INTEGERS:
            low, high = INTEGERS[self.type]
            return f"an integer from {low} to {high}"
        return SAID[self.type]

    def annotation(self) -> Any:
        """Its type for the quick reader, which takes nothing that `read` refuses."""
        kind: Any
        if self.values:
            kind = Literal[self.values]
        elif self.type in INTEGERS:
            low, high = INTEGERS[self.type]
            kind = Annotated[int, msgspec.Meta(ge=low, le=min(high, 2**63 - 1))]  # the quick reader's own limit
        elif self.type == "float32":
            kind = Annotated[float, msgspec.Meta(ge=-LARGEST_FLOAT32, le=LARGEST_FLOAT32)]
        else:
            kind = _MOMENTS.get(self.type) or {"string": str, "boolean": bool, "float64": float}[self.type]
        return kind | None if self.nullable else kind

    def read(self, value: Any) -> Value:
        """A value of JSON as one of this column; raises `MisfitError` with why it is none."""
        if value is None:
            if self.nullable:
                return None
            raise MisfitError(f"is null, must be {self.said}")
        if self.type in INTEGERS:
            made: Value = self._integer(value)
        elif self.type in FLOATS:
            made = self._float(value)
        elif self.type in _MOMENTS:
            made = self._moment(value)
        elif isinstance(value, bool if self.type == "boolean" else str):
            made = value
        else:
            raise MisfitError(f"{shown(value)} is not {SAID[self.type]}")
        if self.values and made not in self.values:
            hint = meant(made, map(str, self.values)) if isinstance(made, str) else f"known: {self.said[7:]}"
            raise MisfitError(f"{shown(made)} is no value of this column; {hint}")
        return made

    def _integer(self, value: Any) -> int:
        low, high = INTEGERS[self.type]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MisfitError(f"{shown(value)} is not an integer")
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            raise MisfitError(f"{shown(value)} is not an integer")
        if isinstance(value, float) and abs(value) > EXACT:
            raise MisfitError(f"{shown(value)} is too large to be exact; write it without point and exponent")
        if not low <= value <= high:
            raise MisfitError(f"{shown(value)} is not from {low} to {high}, which {self.type} holds")
        return int(value)

    def _float(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MisfitError(f"{shown(value)} is not a number")
        try:
            made = float(value)
        except OverflowError:
            made = math.inf
        if not math.isfinite(made):
            raise MisfitError(f"{shown(made)} is not a finite number" + ("; write null" if self.nullable else ""))
        if self.type == "float32" and abs(made) > LARGEST_FLOAT32:
            raise MisfitError(f"{shown(value)} is beyond what float32 holds")
        return made

    def _moment(self, value: Any) -> datetime:
        if not isinstance(value, str):
            raise MisfitError(f"{shown(value)} is not {SAID[self.type]}")
        try:
            return in_utc(msgspec.convert(value, _MOMENTS[self.type]))
        except OverflowError:
            raise MisfitError(f"{shown(value)} is no year of UTC from 1 to 9999") from None
        except msgspec.ValidationError:
            if self.type == "instant" and not _OFFSET.search(value) and "T" in value:
                raise MisfitError(f"{shown(value)} does not say its offset from UTC; write Z or +hh:mm") from None
            if self.type == "local" and _OFFSET.search(value):
                raise MisfitError(f"{shown(value)} has an offset, and the local time of a place has none") from None
            raise MisfitError(f"{shown(value)} is not {SAID[self.type]}") from None


def in_utc(moment: datetime) -> datetime:
    """An instant in UTC; a local time as it is. Raises `OverflowError` beyond the years 1 to 9999."""
    return moment if moment.tzinfo is UTC or moment.tzinfo is None else moment.astimezone(UTC)


def column(name: str, said: object, where: str, *, always: bool) -> Column:
    """The column that a manifest describes; `always`: it has a value in each row, whatever the manifest says."""

    def refused(why: str) -> PushforwardError:
        return PushforwardError(
            f"manifest.json of the model: {where}.{name}: {why}",
            next="write what is asked of each column: docs/serving.md",
            exit_code=DATA,
        )

    if any(character in '"\\' or ord(character) < 32 for character in name):
        raise refused("a name with quotes, backslashes or control characters cannot be asked for")
    if isinstance(said, str):
        return Column(name, _type(said, refused), not always)
    if not isinstance(said, Mapping):
        raise refused("must be the name of a type, or {type, nullable, values}")
    for key in said:
        if key not in ("type", "nullable", "values"):
            raise refused(f"unknown key '{key}'; {meant(str(key), ('type', 'nullable', 'values'))}")
    nullable, values = said.get("nullable", False), said.get("values", ())
    if not isinstance(nullable, bool):
        raise refused("nullable must be true or false")
    made = Column(name, _type(said.get("type"), refused), nullable and not always)
    return Column(name, made.type, made.nullable, _closed(made, values, refused)) if "values" in said else made


def type_named(said: object) -> str:
    """Our name of a type that a manifest names, by it, by polars' or by Python's; "" of what is none."""
    if not isinstance(said, str):
        return ""
    moment = _POLARS_MOMENT.fullmatch(said)
    if moment:
        return "local" if moment[1] == "None" else "instant"
    name = _NAMES.get(said, said)
    return name if name in DATATYPES else ""


def _type(said: object, refused: Any) -> str:
    """The type by our name, by polars' or by Python's."""
    if name := type_named(said):
        return name
    raise refused(f"{shown(said)} is no type that can be asked for; there are {', '.join(DATATYPES)}")


def _closed(made: Column, values: object, refused: Any) -> tuple[str | int, ...]:
    """The values of a column that names them all."""
    kind = str if made.type == "string" else int if made.type in INTEGERS else None
    if kind is None:
        raise refused("values are of strings and integers")
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_VALUES:
        raise refused(f"values must be a list of 1 to {MOST_VALUES:,}")
    if any(type(value) is not kind for value in values) or len(set(values)) != len(values):
        raise refused(f"values must differ, and each be {SAID['string'] if kind is str else 'an integer'}")
    for value in values:
        try:
            made.read(value)
        except MisfitError as why:
            raise refused(f"values: {why}") from None
    return tuple(values)
