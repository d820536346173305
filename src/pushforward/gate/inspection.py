"""Inspection of a holdout, if it is what it says: its keys, its months, the batches it was taken from; pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward import params
from pushforward.gate.verdict import DOUBT

KEY, CLUSTER, MONTH = "key", "cluster", "month"
NAMED = 3
MOST = 0.5
# Batches that hold fewer of a holdout's rows in its months are not what it was taken from.
LEAST = 0.1
DATED = re.compile(r"^[12]\d{3}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Sample:
    """The rows of a holdout as texts: `key`, `cluster` and `month`, which is null where a cluster names none."""

    where: str
    table: pl.DataFrame
    months: tuple[str, ...]

    @property
    def monthly(self) -> bool:
        """Whether it is of months: of batches of other names no cluster tells which one a row is of."""
        return params.monthly(self.months)

    @property
    def dated(self) -> bool:
        """Whether the clusters are days or other parts of a month."""
        return self.table[MONTH].count() > MOST * self.table.height


@dataclass(frozen=True)
class Batches:
    """What is known of the rows of all batches, which may be many: how many there are, of each month as `sizes`.

    `table` has those as `texts` gives them that are of a holdout's months, or whose key is in it; `dated` of all `rows`
    are of a month.
    """

    table: pl.DataFrame
    sizes: Mapping[str, int]
    rows: int
    dated: int

    @classmethod
    def of(cls, tables: Iterable[pl.DataFrame], found: Sample) -> "Batches | None":
        """Of tables as `texts` gives them, one after the other, held against a holdout; None where there are none."""
        keys, kept = found.table[KEY].implode(), list[pl.DataFrame]()
        seen: dict[str, NDArray[np.uint64]] = {}  # by what they hash to: a key that comes twice counts once
        rows = dated = 0
        for table in tables:
            rows, dated = rows + table.height, dated + table[MONTH].count()
            kept.append(table.filter(pl.col(MONTH).is_in(found.months) | pl.col(KEY).is_in(keys)))
            for (month,), part in table.filter(pl.col(MONTH).is_not_null()).group_by(MONTH):
                before = seen.get(str(month), np.zeros(0, dtype=np.uint64))
                seen[str(month)] = np.union1d(before, part[KEY].hash().to_numpy())
        if not kept:
            return None
        return cls(pl.concat(kept), {month: len(one) for month, one in seen.items()}, rows, dated)


def sample(keys: pl.Series, clusters: pl.Series | None, where: str, months: Sequence[str]) -> Sample:
    """The rows of the holdout of `months` that lies at `where`; without clusters none of them is of a month."""
    of_none = pl.lit(None, pl.String).alias(CLUSTER)
    named = pl.LazyFrame({KEY: keys}).with_columns(of_none if clusters is None else clusters.alias(CLUSTER))
    return Sample(where, texts(named).collect(), tuple(months))


def texts(table: pl.LazyFrame) -> pl.LazyFrame:
    """Keys and clusters in one form, whatever types their files have, with the month that a cluster lies in."""
    named = table.select(pl.col(KEY, CLUSTER).cast(pl.String))
    return named.with_columns(pl.col(CLUSTER).str.extract(f"({DATED.pattern})", 1).alias(MONTH))


def gaps(batches: Batches, declared: Sequence[str]) -> list[str]:
    """The months that are `declared` and of which the `batches` have no row.

    Of months before the first and after the last that has rows nothing is said: what a holdout is made of may be less.
    """
    there = batches.sizes
    if not params.monthly(declared) or batches.dated <= MOST * batches.rows:
        return []
    return [month for month in declared if month not in there and min(there) < month < max(there)]


def missing(found: Sample, keys: pl.Series) -> list[str]:
    """The months of a sample of which none of these keys, given as texts, is one."""
    there = set(found.table.filter(pl.col(KEY).is_in(keys.implode()))[MONTH].drop_nulls())
    return [month for month in found.months if month not in there]


def twins(first: pl.Series, second: pl.Series, where: tuple[str, str]) -> str:
    """What is wrong with the keys of two tables that must hold the same ones, each once; "" where nothing is."""
    for keys, name in zip((first, second), where, strict=True):
        if keys.null_count():
            return f"{name}: {keys.null_count():,} rows have no {keys.name}"
        doubles = keys.filter(keys.is_duplicated())
        if len(doubles):
            count = doubles.n_unique()
            return f"{name}: {count:,} {keys.name} appear more than once ({_some(doubles.unique(maintain_order=True))})"
    if first.dtype != second.dtype and not (first.dtype.is_integer() and second.dtype.is_integer()):
        return f"{first.name} is {first.dtype} in {where[0]} and {second.dtype} in {where[1]}"
    for keys, others, names in ((first, second, where), (second, first, where[::-1])):
        asked, known = (one.cast(pl.Int128) if one.dtype.is_integer() else one for one in (keys, others))
        alone = keys.filter(~asked.is_in(known.implode()))
        if len(alone):
            return f"{len(alone):,} {keys.name} of {names[0]} are not in {names[1]} ({_some(alone)})"
    return ""


def problem(found: Sample, batches: Batches | None) -> str:
    """Why nothing can be judged on this holdout, or "".

    `batches` are the rows of the tables that it was made from, of all months; None where there are none that hold its
    keys.
    """
    if not found.monthly:
        return ""
    if found.dated:
        strange = found.table.filter(~pl.col(MONTH).is_in(found.months).fill_null(value=False))
        if strange.height:
            months = sorted(set(strange[MONTH].drop_nulls()))
            span = f"of {months[0]} to {months[-1]}" if len(months) > 1 else f"of {months[0]}" if months else "undated"
            return (
                f"{strange.height:,} of the {found.table.height:,} rows of {found.where} are {span}, not of "
                f"{' '.join(found.months)} ({_pairs(strange)})"
            )
        empty = [month for month in found.months if month not in set(found.table[MONTH])]
        if empty:
            return f"{found.where} has no row of {empty[0]}"
    if batches is None:
        return ""
    inside = pl.col(MONTH).is_in(found.months)
    taken = batches.table.filter(inside).select(KEY)
    earlier = (
        batches.table.filter(~inside).join(taken, on=KEY, how="anti").unique(KEY, keep="first", maintain_order=True)
    )
    seen = earlier.join(found.table.select(KEY), on=KEY, how="semi", maintain_order="left")
    own = found.table.join(taken, on=KEY, how="semi")
    if not seen.height or own.height < LEAST * found.table.height:
        return ""
    return (
        f"{seen.height:,} of the {found.table.height:,} rows of {found.where} are rows of other months in its batches, "
        f"which a model may have trained on ({_pairs(seen)})"
    )


def doubt(found: Sample, batches: Batches | None, share: float) -> str:
    """What a person is to look at, or "": a month that is too small or too large, rows of no batch, rows left out.

    A month is suspicious with less than `share` of the rows of the month before it, or with more than one over that;
    a `share` of 0 asks nobody.
    """
    if not share:
        return ""
    doubts = [_sizes(found, batches, share)] if found.monthly else []
    if batches is not None and found.monthly:
        doubts += [_elsewhere(found, batches.table), _left_out(found, batches.table)]
    if batches is not None:
        doubts.append(_strangers(found, batches.table))
    told = next((one for one in doubts if one), "")
    return f"{told}; {DOUBT}, and lower gate.suspect_rows where it is right" if told else ""


def _sizes(found: Sample, batches: Batches | None, share: float) -> str:
    own, known = _counts(found.table), {} if batches is None else dict(batches.sizes)
    counts = known | own
    for month in found.months:
        before = max((name for name in counts if name < month), default="")
        if month not in own or not before:
            continue
        # Of a month that the holdout does not hold, what its batches hold is the measure, and so it must be here.
        size = own[month] if before in own else known.get(month, own[month])
        if not share * counts[before] <= size <= counts[before] / share:
            return f"{month} has {size:,} rows in {found.where}, {before} had {counts[before]:,}"
    return ""


def _elsewhere(found: Sample, batches: pl.DataFrame) -> str:
    """Rows that the batches have in other months only: all but certain where some are where they should be."""
    here = batches.filter(pl.col(MONTH).is_in(found.months))
    dated = batches.filter(pl.col(MONTH).is_not_null())
    there = dated.join(here, on=KEY, how="anti").join(found.table, on=KEY, how="semi").unique(KEY, maintain_order=True)
    if there.height < MOST * found.table.height:
        return ""
    return f"{there.height:,} rows of {found.where} are of other months in its batches ({_pairs(there)})"


def _strangers(found: Sample, batches: pl.DataFrame) -> str:
    strange = found.table.join(batches.select(KEY), on=KEY, how="anti", maintain_order="left")
    if not 0 < strange.height < MOST * found.table.height:
        return ""
    return f"{strange.height:,} rows of {found.where} are in none of its batches ({_pairs(strange)})"


def _left_out(found: Sample, batches: pl.DataFrame) -> str:
    whole = batches.filter(pl.col(MONTH).is_in(found.months)).unique(KEY)
    kept = whole.join(found.table.select(KEY), on=KEY, how="semi").height
    if not 0 < kept < MOST * whole.height:
        return ""
    return f"{found.where} has {kept:,} of the {whole.height:,} rows that its batches have of {' '.join(found.months)}"


def _counts(table: pl.DataFrame) -> dict[str, int]:
    sizes = table.filter(pl.col(MONTH).is_not_null()).unique([KEY, MONTH]).group_by(MONTH).len()
    return {str(month): int(rows) for month, rows in sizes.iter_rows()}


def _pairs(table: pl.DataFrame) -> str:
    some = [
        f"{str(key)[:40]!r} of {str(cluster)[:20]}" for key, cluster in table.select(KEY, CLUSTER).head(NAMED).rows()
    ]
    return ", ".join(some) + (", …" if table.height > NAMED else "")


def _some(keys: pl.Series) -> str:
    return ", ".join(repr(key)[:40] for key in keys.head(NAMED)) + (", …" if len(keys) > NAMED else "")
