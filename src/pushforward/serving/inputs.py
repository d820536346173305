"""Tables that a version takes, rows and events: made from its manifest, read from a body; `named` and `v2` ask here.

A body is read in one pass by a type made from the columns. What that refuses is read again, slowly, by the checks that
can say which field of which row is wrong, and these have the last word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import msgspec

from pushforward.errors import DATA, PushforwardError
from pushforward.serving.columns import Column, MisfitError, column, in_utc
from pushforward.serving.port import Columns, Served, Value
from pushforward.serving.strict import RequestError, meant, parse, shown

MOST_ROWS = 10_000  # in one request
MOST_EVENTS = 100_000
BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # what the quick readers refuse by


class Table:
    """One kind of rows: its columns, and the readers of a body that has them under `name` or under `columns`."""

    def __init__(self, name: str, columns: Sequence[Column], key: str | None, most: int) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.by_name = {one.name: one for one in columns}
        self.key = key
        self.most = most
        self._begins = f'"{name}"'.encode()
        self._always_quoted = sum(one.quoted and not one.nullable for one in columns)
        self._maybe_quoted = [one.name for one in columns if one.quoted and one.nullable]
        self._instants = [one.name for one in columns if one.type == "instant"]
        places = [f"c{place}" for place in range(len(columns))]
        rename = {place: one.name for place, one in zip(places, columns, strict=True)}
        row = _record([(place, one.annotation()) for place, one in zip(places, columns, strict=True)], rename)
        whole = _record([(place, _list(one.annotation())) for place, one in zip(places, columns, strict=True)], rename)
        self._by_row: Any = msgspec.json.Decoder(_record([("found", _list(row))], {"found": name}))
        self._by_column: Any = msgspec.json.Decoder(_record([("found", whole)], {"found": "columns"}))

    def read(self, body: bytes) -> Columns:
        """The columns of a body, checked; raises `RequestError`."""
        made = self.quick(body)
        return made if made is not None else self.slowly(parse(body))

    def quick(self, body: bytes) -> Columns | None:
        """The columns of a body that is beyond doubt; None where there is one.

        The readers take the last of two equal names. Without escapes each string has two quotation marks, so a body
        with more of them than its names and values has named something twice.
        """
        if b"\\" in body:
            return None
        try:
            if body[:64].lstrip(b" \t\r\n{").startswith(self._begins):
                found = self._by_row.decode(body).found
                values: list[Any] = [*zip(*map(msgspec.structs.astuple, found), strict=True)]
                names = len(found) * len(self.columns)
            else:
                values = [*msgspec.structs.astuple(self._by_column.decode(body).found)]
                names = len(self.columns)
        except BROKEN:
            return None
        made = dict(zip(self.by_name, values, strict=False))  # none where there are no rows
        if not made or body.count(b'"') != 2 * (1 + names + self.strings(made)):
            return None
        return self.quickly_checked(made)

    def strings(self, made: Mapping[str, Sequence[Any]]) -> int:
        """How many strings of JSON the values are."""
        rows = len(made[self.columns[0].name])
        return self._always_quoted * rows + sum(rows - made[name].count(None) for name in self._maybe_quoted)

    def quickly_checked(self, made: dict[str, Sequence[Any]]) -> Columns | None:
        """Columns of the quick reader with instants in UTC; None where something is left for the strict one to name."""
        lengths = set(map(len, made.values()))
        rows = lengths.pop()
        if lengths or not 1 <= rows <= self.most:
            return None
        if self.key is not None and rows > 1 and len(set(made[self.key])) != rows:
            return None
        try:
            for name in self._instants:
                values = made[name]
                if any(value is not None and value.tzinfo is not UTC for value in values):
                    made[name] = [value if value is None else in_utc(value) for value in values]
        except OverflowError:
            return None
        return made

    def slowly(self, tree: Any) -> Columns:
        """The columns of a body that the strict reader has read; raises `RequestError` with field, row and why."""
        if not isinstance(tree, dict):
            raise RequestError(f'the body must be an object such as {{"{self.name}": [{{…}}]}}')
        for name in tree:
            if name not in (self.name, "columns"):
                raise RequestError(f"is not known; {meant(name, (self.name, 'columns'))}", field=name)
        if len(tree) != 1:
            raise RequestError(f"the body must have either {self.name} or columns, one of them", field=self.name)
        if self.name in tree:
            return self.checked(self._turned(tree[self.name]))
        return self.checked(tree["columns"])

    def _turned(self, rows: Any) -> dict[str, list[Any]]:
        """Rows as columns; each row has each column and no other."""
        if not isinstance(rows, list):
            raise RequestError(f"must be a list of objects, is {shown(rows)}", field=self.name)
        self.count(len(rows), self.name)
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise RequestError(f"must be an object, is {shown(row)}", field=self.name, row=number)
            self.complete(row, number)
        return {name: [row[name] for row in rows] for name in self.by_name}

    def complete(self, names: Mapping[str, Any], row: int | None = None) -> None:
        """Refuse a name that is no column, then a column that is not named."""
        for name in names:
            if name not in self.by_name:
                raise RequestError(f"is no column; {meant(name, self.by_name)}", field=name, row=row)
        for name in self.by_name:
            if name not in names:
                raise RequestError(f"is missing; must be {self.by_name[name].said}", field=name, row=row)

    def count(self, rows: int, field: str) -> None:
        """Refuse no rows, and more than are answered at once."""
        if rows == 0:
            raise RequestError("has no rows", field=field)
        if rows > self.most:
            raise RequestError(f"has {rows:,} rows, at most {self.most:,} at once", status=413, field=field)

    def checked(self, columns: Any) -> Columns:
        """Columns of values as JSON has them, checked one by one."""
        if not isinstance(columns, dict):
            raise RequestError(f"must be an object of lists, is {shown(columns)}", field="columns")
        self.complete(columns)
        first = self.columns[0].name
        for name, values in columns.items():
            if not isinstance(values, list):
                raise RequestError(f"must be a list of values, is {shown(values)}", field=name)
        for name, values in columns.items():
            if len(values) != len(columns[first]):
                raise RequestError(f"has {len(values)} values, and {first} has {len(columns[first])}", field=name)
        self.count(len(columns[first]), first)
        made = {one.name: _read(one, columns[one.name]) for one in self.columns}
        if self.key is not None:
            _differ(self.key, made[self.key])
        return made


def _record(fields: list[tuple[str, Any]], rename: dict[str, str]) -> Any:
    """A type of exactly these fields, none of which a name of Python's has to be."""
    return msgspec.defstruct("Record", fields, rename=rename, forbid_unknown_fields=True, gc=False)


def _list(kind: Any) -> Any:
    return list[kind]


def _read(one: Column, values: list[Any]) -> list[Value]:
    made = []
    for row, value in enumerate(values):
        try:
            made.append(one.read(value))
        except MisfitError as why:
            raise RequestError(str(why), field=one.name, row=row) from None
    return made


def _differ(key: str, values: Sequence[Value]) -> None:
    """Refuse a key that is there twice: each row of the log has its own."""
    seen: dict[Value, int] = {}
    for row, value in enumerate(values):
        if (first := seen.setdefault(value, row)) != row:
            said = shown(value) if isinstance(value, str | int | float) else str(value)
            raise RequestError(f"{said} is asked twice, in row {first} too", field=key, row=row)


@dataclass(frozen=True)
class Inputs:
    """What a version takes: the rows that it answers, and the events that it is told."""

    rows: Table
    events: Table | None

    @property
    def names(self) -> set[str]:
        """The names of all columns."""
        return {*self.rows.by_name, *(self.events.by_name if self.events else ())}


def inputs_of(served: Served) -> Inputs:
    """What a version takes, by its manifest; raises `PushforwardError` where that does not say."""
    said = served.manifest.get("inputs")
    rows = _columns(said, "rows", {served.key, served.time})
    named = {one.name for one in rows}
    # A manifest that names what the model sees may leave out what only the log needs.
    if served.key not in named:
        rows.insert(0, Column(served.key, "string", nullable=False))
    if served.time is not None and served.time not in named:
        rows.append(Column(served.time, "instant", nullable=False))
    events = Table("events", _columns(said, "events", set()), None, MOST_EVENTS) if served.events else None
    return Inputs(Table("rows", rows, served.key, MOST_ROWS), events)


def _columns(said: object, name: str, always: set[str | None]) -> list[Column]:
    """The columns that a manifest names under `inputs`."""
    columns = said.get(name) if isinstance(said, Mapping) else None
    if not isinstance(columns, Mapping) or not columns:
        raise PushforwardError(
            f"manifest.json of the model: inputs.{name} does not say which columns there are",
            next='write inputs: {"rows": {COLUMN: {"type": …}}} into it: docs/serving.md',
            exit_code=DATA,
        )
    return [column(one, kind, f"inputs.{name}", always=one in always) for one, kind in columns.items()]
