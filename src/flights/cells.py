"""Delivered cells -> typed columns, column checks, and how a breach is told: file, row, column, rule."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from flights.errors import StageError, shown
from flights.schema import INSTANT

MISSING = ("", "NA")


@dataclass(frozen=True)
class Column:
    """One column of a delivery: `kind` is int, float, text or instant; bounds are inclusive, `domain` is all values."""

    kind: str
    low: float | None = None
    high: float | None = None
    domain: tuple[str, ...] = ()
    pattern: str = ""
    nullable: bool = False


DTYPES: dict[str, pl.DataType] = {"int": pl.Int32(), "float": pl.Float64(), "text": pl.String(), "instant": INSTANT}
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "text": "text",
    "instant": "a UTC time like 2013-05-01T09:00:00Z",
}


@dataclass(frozen=True)
class Breach:
    """A rule that some rows break: `rows` are row numbers in the delivered file, `what` says what is wrong."""

    column: str
    what: str
    rows: list[int]


def typed(delivered: pl.DataFrame, columns: dict[str, Column]) -> tuple[pl.DataFrame, list[Breach]]:
    """The delivery with the contract's columns and types, and the cells that could not be read.

    Text is parsed, never guessed at: a cell that is no number of its kind is a breach. Typed columns (parquet) must
    already have a matching type.
    """
    breaches = [Breach(name, "the column is missing", []) for name in columns if name not in delivered.columns]
    breaches += [
        Breach(name, "the contract has no such column; nothing unknown is let in", [])
        for name in delivered.columns
        if name not in columns and name not in ("source_file", "source_row")
    ]
    if breaches:
        return delivered, breaches
    parsed = {}
    for name, column in columns.items():
        parsed[name], breach = _parsed(delivered[name], column, delivered["source_row"])
        breaches += breach
    return pl.DataFrame({**parsed, "source_row": delivered["source_row"]}), breaches


def _parsed(series: pl.Series, column: Column, rows: pl.Series) -> tuple[pl.Series, list[Breach]]:
    dtype = DTYPES[column.kind]
    name = series.name
    if series.dtype == pl.String:
        text = series.set(series.is_in(MISSING), None)
        if column.kind == "text":
            return text, []
        if column.kind == "instant":
            value = text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False)
        elif column.kind == "int":
            value = text.set(~text.str.contains(r"^-?[0-9]{1,9}$").fill_null(value=True), None).cast(dtype)
        else:
            value = text.set(~text.str.contains(r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$").fill_null(value=True), None)
            value = value.cast(dtype)
        bad = (text.is_not_null() & value.is_null()).arg_true()
        if len(bad):
            cell = shown(text[int(bad[0])])
            return value, [Breach(name, f"{cell} is not {WORDS[column.kind]}", rows.gather(bad).to_list())]
        return value, []
    kinds = {
        "int": series.dtype.is_integer() or series.dtype == pl.Null,
        "float": series.dtype.is_numeric() or series.dtype == pl.Null,
        "text": series.dtype == pl.Null,
        "instant": isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone == "UTC",
    }
    if not kinds[column.kind]:
        return series, [Breach(name, f"the type is {series.dtype}, expected {WORDS[column.kind]}", [])]
    value = series.cast(dtype, strict=False)
    bad = (
        series.is_not_null()
        & (value.is_null() | (value.is_infinite() | value.is_nan() if column.kind == "float" else False))
    ).arg_true()
    if len(bad):
        return value, [
            Breach(name, f"{shown(series[int(bad[0])])} is not {WORDS[column.kind]}", rows.gather(bad).to_list())
        ]
    return value, []


def breaches_of(frame: pl.DataFrame, columns: dict[str, Column], rules: dict[str, tuple[str, pl.Expr]]) -> list[Breach]:
    """What a typed frame breaks: ranges, domains, missing values, then `rules` (text -> column, expression).

    A rule's expression is true where it holds; null counts as holding.
    """
    # Imported here: pandera costs half a second, and only a validation should pay for it.
    import pandera.polars as pa

    schema = pa.DataFrameSchema(
        {
            name: pa.Column(DTYPES[column.kind], _checks(column), nullable=column.nullable)
            for name, column in columns.items()
        },
        checks=[pa.Check(_rule(expression), name=text, error=text) for text, (_, expression) in rules.items()],
    )
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return []
    found = []
    for (name, check), group in cases.group_by(["column", "check"], maintain_order=True):
        rows = frame["source_row"].gather(group["index"].drop_nulls().to_list()).to_list()
        if name is None:
            found.append(Breach(rules[check][0], check, rows))
        else:
            found.append(Breach(name, _in_words(columns[name], check, group["failure_case"][0]), rows))
    return found


def _checks(column: Column) -> list[Any]:
    import pandera.polars as pa

    checks = []
    if column.low is not None or column.high is not None:
        checks.append(pa.Check.in_range(column.low, column.high))
    if column.domain:
        checks.append(pa.Check.isin(column.domain))
    if column.pattern:
        checks.append(pa.Check.str_matches(column.pattern))
    return checks


def _rule(expression: pl.Expr) -> Any:
    return lambda data: data.lazyframe.select(expression.fill_null(value=True))


def _in_words(column: Column, check: str, value: object) -> str:
    if check == "not_nullable":
        return "a value is missing"
    if column.domain:
        return f"{shown(value)} is not one of {', '.join(column.domain)}"
    if column.pattern:
        return f"{shown(value)} does not match {column.pattern}"
    return f"{value} is outside {column.low:g} to {column.high:g}"


def refuse(month: str, file: str, breaches: list[Breach]) -> None:
    """Raise `StageError` telling the first breaches with file, row, column and rule; do nothing without any."""
    if not breaches:
        return
    row = "row" if file.endswith(".parquet") else "line"
    told = []
    for breach in breaches[:8]:
        rows = sorted(breach.rows)
        where = f"{row} {rows[0]}, " if rows else ""
        more = (
            f" ({len(rows)} rows: {', '.join(map(str, rows[:5]))}{', …' if len(rows) > 5 else ''})"
            if len(rows) > 1
            else ""
        )
        told.append(f"  {where}column {shown(breach.column)[1:-1]}: {breach.what}{more}")
    if len(breaches) > 8:
        told.append(f"  and {len(breaches) - 8} more rules")
    raise StageError(
        f"data refused: {month}, {file}\n" + "\n".join(told),
        next_step="correct the delivery, put it in a new folder, list that first under collect.source in params.yaml",
    )
