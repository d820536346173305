"""One row by its key: found in what a commit's holdout holds or was made of, with the events that a model is told.

The label of a row in a holdout in use is sealed, as its loss is: whoever could ask for it row by row would know the
holdout in the end, and no look would have been taken.
"""

import bisect
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from pushforward import files
from pushforward.errors import USAGE, PushforwardError
from pushforward.gate.leakage import KNOWN_AT
from pushforward.judge import holdout as holdouts
from pushforward.judge import ledger, names, table
from pushforward.pipeline.revision import Revision
from pushforward.report import moved
from pushforward.settings import ModelContract, Settings
from pushforward.text import plain

NEAR = 3


@dataclass(frozen=True)
class Found:
    """A row, a table of one; the events that models are told of it, None where their features remember none.

    `where` is the table that it was in, `suffix` of which kind the holdout's are, `held` whether that is the holdout.
    `labels` is the row of its label, a table of one or none.
    """

    row: pl.DataFrame
    events: pl.DataFrame | None
    labels: pl.DataFrame
    where: str
    suffix: str
    held: bool


@dataclass
class Searched:
    """Where a key was looked for in vain, and the keys that are nearest to it there."""

    key: str
    tables: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    lacking: str = ""  # a table that has it, and not all that a row has

    def missed(self, path: str, keys: pl.Series) -> None:
        """Remember a table that does not have it."""
        if path in self.tables:
            return
        self.tables.append(path)
        known = sorted(keys.cast(pl.String).drop_nulls().unique().to_list())
        place = bisect.bisect_left(known, self.key)
        self.near += known[max(0, place - NEAR) : place + NEAR]

    def refusal(self, column: str, commit: str, model: str = "") -> PushforwardError:
        """That there is no such row, where that was looked for, and what comes near; `model` is which of several."""
        if self.lacking:
            return PushforwardError(
                f"{self.lacking} has {plain(self.key, 80)}, and not all columns that a row of the holdout has: "
                "no model can be asked",
                next="have the stage of the holdout read a table with the columns of its rows",
                exit_code=USAGE,
            )
        near = sorted(set(self.near), key=lambda one: (-_alike(one, self.key), one))[:NEAR]
        tables = ", ".join(self.tables[:3]) + (f" and {len(self.tables) - 3} more" if len(self.tables) > 3 else "")
        told = f"; near it are {', '.join(plain(one, 60) for one in near)}" if near else ""
        return PushforwardError(
            f"no row has the {column} {plain(self.key, 80)!r}: {commit[:9]} has {tables or 'no table of rows'}{told}",
            next=moved.command(near[0], model=model) if near else "pushforward report, which lists keys",
            exit_code=USAGE,
        )


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def held(root: Path, rules: Settings, key: str, searched: Searched) -> Found | None:
    """The row `key` of the holdout that was brought into the checkout `root`; None where it has none."""
    contract = rules.contract
    folder = files.place(root, contract.holdout)
    given = table.place(folder, holdouts.ROWS, contract.holdout)
    rows = table.read(given, f"{contract.holdout}/{given.name}")
    mine = rows.filter(_is(contract.key, key))
    if mine.height:
        labels = table.read(table.place(folder, holdouts.LABELS, contract.holdout), contract.holdout)
        own = labels.filter(_is(contract.key, key))
        return Found(mine[:1], holdouts.events(folder, rules), own, _named(contract, given), given.suffix, held=True)
    searched.missed(_named(contract, given), rows[contract.key])
    return None


def earlier(root: Path, rules: Settings, key: str, searched: Searched) -> Found | None:
    """The row in the tables that the holdout was made of; both have been brought."""
    contract = rules.contract
    given = table.place(files.place(root, contract.holdout), holdouts.ROWS, contract.holdout)
    rows = table.read(given, _named(contract, given))
    told = holdouts.events(given.parent, rules)
    asked = [pl.col(name).cast(dtype, strict=False) for name, dtype in rows.schema.items()]
    where, mine = "", rows.clear()
    for path, found in holdouts.fed(root, rules, asked, pl.lit(value=True)):
        row = found.filter(_is(contract.key, key))
        if row.height:
            where, mine = path, row[:1]
            break
        searched.missed(path, found[contract.key])
    if not where:
        had = holdouts.fed(root, rules, [pl.col(contract.key)], _is(contract.key, key))
        searched.lacking = searched.lacking or next((path for path, found in had if found.height), "")
        return None
    columns = [name for name in (contract.key, contract.label, contract.cluster) if name is not None]
    wanted = [pl.col(name) for name in dict.fromkeys(columns)]
    labels = [found for _, found in holdouts.fed(root, rules, wanted, _is(contract.key, key)) if found.height]
    events = None
    if told is not None:
        facts = [pl.col(name).cast(dtype, strict=False) for name, dtype in told.schema.items()]
        parts = [found for _, found in holdouts.fed(root, rules, facts, pl.lit(value=True)) if found.width]
        events = pl.concat([*parts, told.clear()]).sort(KNOWN_AT, maintain_order=True) if told.width else told
        events = _before(events, rows, mine, contract)
    return Found(mine, events, labels[0] if labels else pl.DataFrame(), where, given.suffix, held=False)


def _before(events: pl.DataFrame, held: pl.DataFrame, row: pl.DataFrame, contract: ModelContract) -> pl.DataFrame:
    """The events without those of the time of the `held` rows, for a row that was asked before: they tell labels."""
    if contract.time is None or not (held.height and events.height):
        return events
    first, asked = held[contract.time].min(), row[contract.time][0]
    return events.filter(pl.col(KNOWN_AT) < first) if asked < first else events


def _is(column: str, key: str) -> pl.Expr:
    return pl.col(column).cast(pl.String) == key


def _named(contract: ModelContract, given: Path) -> str:
    return f"{contract.holdout}/{given.name}"


def keys(root: Path, rules: Settings) -> pl.DataFrame:
    """The rows of the holdout brought into `root`: `key` as text, and `asked`, null where rows have no moment."""
    contract = rules.contract
    folder = files.place(root, contract.holdout)
    given = table.place(folder, holdouts.ROWS, contract.holdout)
    rows = table.read(given, _named(contract, given))
    asked = pl.lit(None, pl.Datetime("us", "UTC")) if contract.time is None else pl.col(contract.time)
    return rows.select(key=pl.col(contract.key).cast(pl.String), asked=asked)


def opened(found: Found, contract: ModelContract, taken: Iterable[pl.DataFrame], *, closed: bool) -> Found:
    """The row with those events alone that tell no label that is sealed.

    `taken` are the `keys` of holdouts in use: what came to be known of one of their rows after that was asked is left
    out, for it may be its label. Of a row that is `closed` itself all that came later is. Events without the key
    column stay: nothing says of which row they tell.
    """
    events = found.events
    if events is None or not events.height or contract.time is None:
        return found
    if closed:
        events = events.filter(pl.col(KNOWN_AT) <= found.row[contract.time][0])
    for rows in taken if contract.key in events.columns else ():
        told = events.select(key=pl.col(contract.key).cast(pl.String), known=pl.col(KNOWN_AT))
        asked = pl.col("asked").cast(told.schema["known"], strict=False)
        known = rows.select("key", asked, taken=pl.lit(value=True)).unique("key")
        beside = told.join(known, on="key", how="left", maintain_order="left")
        open_ = pl.col("taken").is_null() | (pl.col("known") <= pl.col("asked"))
        events = events.filter(beside.select(open_.fill_null(value=False)).to_series())
    return replace(found, events=events)


def sealed(clone: Path, holders: Iterable[Revision]) -> str:
    """Why labels and losses are not told of rows in the holdout of each of `holders`; "" where they may be."""
    return next(_why(clone, holders), "")


def _why(clone: Path, holders: Iterable[Revision]) -> Iterator[str]:
    for of in holders:
        rules = of.settings
        if rules.gate.reveal == "numbers":
            continue
        if not rules.batched:
            yield f"it is held out, and what is held out by its key stays so: gate.reveal is {rules.gate.reveal}"
            continue
        name = names.ledger(of.batches[-rules.gate.window :])
        if ledger.of(clone, rules.name).state(name).retired is None:
            yield f"it is in the {names.called(name)}, which is in use: told when that retires"


def batch(found: Found, rules: Settings) -> str:
    """The month that a row is of, by its cluster; "" where clusters are no days or other parts of a month."""
    cluster = rules.contract.cluster
    if cluster is None or cluster not in found.labels.columns or not found.labels.height:
        return ""
    day = str(found.labels[cluster].cast(pl.String)[0])
    return day[:7] if day[4:5] == "-" and day[:4].isdigit() else ""


def told_value(value: Any) -> str | bool | int | float | None:
    """A cell as people and JSON have it: moments in UTC to the second, texts made harmless."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if hasattr(value, "isoformat"):
        return str(value)[:19] + (" UTC" if getattr(value, "tzinfo", None) is not None else "")
    return plain(str(value), 120)
