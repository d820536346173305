"""Tables: columns of plain values as a data frame of the types that a manifest names, and back.

For what is not on the road of a request: the log, tables of events, rows for a score command.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pushforward.serving.columns import type_named
from pushforward.serving.port import Columns, Value

INSTANT, LOCAL = pl.Datetime("us", "UTC"), pl.Datetime("us")
# Each type that there is (`columns`), in a data frame.
EXACT: Mapping[str, pl.DataType | type[pl.DataType]] = {
    **{f"int{bits}": getattr(pl, f"Int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": getattr(pl, f"UInt{bits}") for bits in (8, 16, 32, 64)},
    "float32": pl.Float32,
    "float64": pl.Float64,
    "boolean": pl.Boolean,
    "string": pl.String,
    "instant": INSTANT,
    "local": LOCAL,
}
Types = Mapping[str, object]  # as a manifest has them: a name of polars, or an object with one under `type`


def inputs(manifest: Mapping[str, object], which: str) -> Types:
    """The types that a manifest names for `rows`, or for `events`; none where it says nothing."""
    told = manifest.get("inputs")
    found = told.get(which) if isinstance(told, dict) else None
    return found if isinstance(found, dict) else {}


def exact(told: object) -> pl.DataType | type[pl.DataType]:
    """The type of that name; text for one that is not known."""
    said = told.get("type") if isinstance(told, dict) else told
    return pl.Categorical() if said == "Categorical" else EXACT.get(type_named(said), pl.String)


def kind(told: object) -> pl.DataType | type[pl.DataType]:
    """The widest type of the same family: it holds what a later version has under the same name."""
    named = exact(told)
    if named.is_integer():
        return pl.UInt64 if named == pl.UInt64 else pl.Int64  # neither holds the other
    if named.is_float() or named in (pl.Boolean, INSTANT, LOCAL):
        return pl.Float64 if named.is_float() else named
    return pl.String


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
