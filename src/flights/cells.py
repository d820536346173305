"""Delivered cells -> typed columns, column checks, and how a breach is told: file, row, column, rule."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from flights.errors import StageError, shown
from flights.schema import INSTANT

MISSING = ("", "NA")
# A month where every cell is wrong must not become a list of millions: the first rows and the count say as much.
MOST_ROWS = 20
BATCH = 10_000


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
    """A rule that some rows break: `what` is wrong with the `column` in `count` rows of the delivered file.

    `rows` are the numbers of the first of them.
    """

    column: str
    what: str
    rows: list[int]
    count: int = 0


def breach(column: str, what: str, rows: pl.Series, wrong: pl.Series) -> Breach:
    """A rule that the rows marked in `wrong` break, of a file whose row numbers are `rows`."""
    first = rows.gather(wrong.arg_true().head(MOST_ROWS)).to_list()
    return Breach(column, what, first, int(wrong.sum()))


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
        parsed[name], broken = _parsed(delivered[name], column, delivered["source_row"])
        breaches += broken
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
        return value, _unread(series, text.is_not_null() & value.is_null(), column, rows)
    kinds = {
        "int": series.dtype.is_integer() or series.dtype == pl.Null,
        "float": series.dtype.is_numeric() or series.dtype == pl.Null,
        "text": series.dtype == pl.Null,
        "instant": isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone == "UTC",
    }
    if not kinds[column.kind]:
        return series, [Breach(name, f"the type is {series.dtype}, expected {WORDS[column.kind]}", [])]
    value = series.cast(dtype, strict=False)
    odd = value.is_null() | (value.is_infinite() | value.is_nan() if column.kind == "float" else False)
    return value, _unread(series, series.is_not_null() & odd, column, rows)


def _unread(series: pl.Series, bad: pl.Series, column: Column, rows: pl.Series) -> list[Breach]:
    if not bad.any():
        return []
    cell = shown(series.filter(bad)[0])
    return [breach(series.name, f"{cell} is not {WORDS[column.kind]}", rows, bad)]


def breaches_of(frame: pl.DataFrame, columns: dict[str, Column], rules: dict[str, tuple[str, pl.Expr]]) -> list[Breach]:
    """What a typed frame breaks: ranges, domains, missing values, then `rules` (text -> column, expression).

    A rule's expression is true where it holds; null counts as holding.
    """
    source = frame["source_row"]
    found = _of_columns(frame, columns)
    for text, (name, expression) in rules.items():
        wrong = ~frame.select(holds=expression.fill_null(value=True)).to_series()
        if wrong.any():
            found.append(breach(name, text, source, wrong))
    return found


def _of_columns(frame: pl.DataFrame, columns: dict[str, Column]) -> list[Breach]:
    """What single columns break, found batch by batch: every wrong cell is a row of pandera's answer."""
    # Imported here: pandera costs half a second, and only a validation should pay for it.
    import pandera.polars as pa

    schema = pa.DataFrameSchema(
        {
            name: pa.Column(DTYPES[column.kind], _checks(column), nullable=column.nullable)
            for name, column in columns.items()
        }
    )
    told: dict[tuple[str, str], Breach] = {}
    for batch in frame.iter_slices(BATCH):
        try:
            schema.validate(batch, lazy=True)
        except pa.errors.SchemaErrors as errors:
            cases = errors.failure_cases
        else:
            continue
        for (name, check), group in cases.group_by(["column", "check"], maintain_order=True):
            places = group["index"].drop_nulls()
            rows = batch["source_row"].gather(places.head(MOST_ROWS).to_list()).to_list()
            one = Breach(name, _in_words(columns[name], check, group["failure_case"][0]), rows, len(places))
            before = told.get((name, check))
            told[name, check] = one if before is None else _joined(before, one)
    order = list(columns)
    return sorted(told.values(), key=lambda one: order.index(one.column))


def _joined(before: Breach, after: Breach) -> Breach:
    rows = (before.rows + after.rows)[:MOST_ROWS]
    return Breach(before.column, before.what, rows, before.count + after.count)


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
    for one in breaches[:8]:
        rows = sorted(one.rows)
        where = f"{row} {rows[0]}, " if rows else ""
        more = (
            f" ({one.count:,} rows: {', '.join(map(str, rows[:5]))}{', …' if one.count > 5 else ''})"
            if one.count > 1
            else ""
        )
        told.append(f"  {where}column {shown(one.column)[1:-1]}: {one.what}{more}")
    if len(breaches) > 8:
        told.append(f"  and {len(breaches) - 8} more rules")
    raise StageError(
        f"data refused: {month}, {file}\n" + "\n".join(told),
        next_step="correct the delivery, put it in a new folder, list that first under collect.source in params.yaml",
    )
