"""Tables: columns of plain values as a data frame of the types that a manifest names, and back.

For what is not on the road of a request: the log, tables of events, rows for a score command.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pushforward.serving.port import Columns, Value

NAME = re.compile(r"[A-Za-z]+[0-9]*")
WORDS: Mapping[str, type[pl.DataType]] = {
    **dict.fromkeys(("int", "integer", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32"), pl.Int64),
    **dict.fromkeys(("float", "double", "number", "Float32", "Float64", "UInt64", "Decimal"), pl.Float64),
    **dict.fromkeys(("bool", "boolean", "Boolean"), pl.Boolean),
}
Types = Mapping[str, object]  # as a manifest has them: a name of polars, or an object with one under `type`


def inputs(manifest: Mapping[str, object], which: str) -> Types:
    """The types that a manifest names for `rows`, or for `events`; none where it says nothing."""
    told = manifest.get("inputs")
    found = told.get(which) if isinstance(told, dict) else None
    return found if isinstance(found, dict) else {}


def kind(told: object) -> pl.DataType | type[pl.DataType]:
    """What holds the values of a type, the widest of its family; text for one that is not known."""
    name = str(told.get("type", "")) if isinstance(told, dict) else str(told)
    if name.lower().startswith("datetime"):
        return pl.Datetime("us", "UTC" if "zone" in name and "None" not in name.partition("zone")[2] else None)
    found = NAME.match(name)
    return WORDS.get(found[0], pl.String) if found else pl.String


def exact(told: object) -> pl.DataType | type[pl.DataType]:
    """The very type that is named, where polars has one of that name; else what holds its values."""
    name = str(told.get("type", "")) if isinstance(told, dict) else str(told)
    named = getattr(pl, name, None) if NAME.fullmatch(name) else None
    simple = isinstance(named, type) and issubclass(named, pl.DataType) and not named.is_nested()
    return named if simple and named is not None else kind(told)


def frame(columns: Columns, types: Types, *, as_named: bool = True) -> pl.DataFrame:
    """The columns as a data frame; of what has no type the values say it."""
    of = exact if as_named else kind
    made = {
        name: pl.Series(name, list(values), dtype=of(types[name]) if name in types else None, strict=False)
        for name, values in columns.items()
    }
    return pl.DataFrame(list(made.values()))


def columns(table: pl.DataFrame) -> dict[str, list[Value]]:
    """A data frame as columns of plain values: instants are aware and of UTC."""
    return {name: [plain(value) for value in table[name].to_list()] for name in table.columns}


def plain(value: Any) -> Value:
    """A value as requests have them: a text, a number, a truth, an instant, or nothing."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo is not None else value
    return value if value is None or isinstance(value, str | int | float | bool) else _text(value)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else json.dumps(value, default=str)
