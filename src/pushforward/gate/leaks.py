"""Columns of the rows that foretell the label: filled in, or left out, once the outcome was there; pure.

The time-honesty probe sees the events only. What a row itself tells is asked here, one column at a time: its order, the
distance of a moment from the decision, and every value that many rows share, a missing one among them. A text is asked
as the number or the moment that it may be, too, and by how it begins; of what is nested, every part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pushforward.gate import stats
from pushforward.gate.stats import Floats
from pushforward.gate.verdict import DOUBT

# A value counts where it is in as many rows and clusters as a class must have to be judged.
MIN_ROWS = 50
MIN_CLUSTERS = 10
# Less than this share of a class marked by one value is a curiosity, not what a model lives on.
MIN_SHARE = 0.01
# What nine rows in ten are anyway, a value need not foretell.
COMMON = 0.9
NAMED = 3
PLACE = "the order of the rows"


@dataclass(frozen=True)
class Leak:
    """A column that foretells the label too well, and by what: its order, or one of its values."""

    column: str
    how: str

    def sentence(self) -> str:
        """What is suspicious, without a number that the labels give: it is told while they are sealed."""
        return f"{self.column} foretells the label {self.how}"


def leaks(rows: pl.DataFrame, labels: pl.DataFrame, limit: float, *, names: "Names") -> tuple[Leak, ...]:
    """The suspicious columns of `rows`; `labels` are of the same rows in the same order, with labels of 0 and 1.

    A column is suspicious where its AUC by itself lies above `limit`, or where one value of it has the same label in
    more than that share of its rows.
    """
    y = labels[names.label].cast(pl.Float64).to_numpy()
    if set(y.tolist()) != {0.0, 1.0}:
        return ()
    alone = pl.int_range(labels.height, eager=True).cast(pl.String)
    clusters = alone if names.cluster is None else labels[names.cluster].cast(pl.String)
    inside = clusters if names.cluster else pl.repeat("", labels.height, eager=True)
    place = inside.to_frame("cluster").select(pl.int_range(pl.len()).over("cluster") / pl.len().over("cluster"))
    found = (
        [Leak(PLACE, "within its clusters" if names.cluster else "by itself")]
        if _separates(place.to_series(), y, limit)
        else []
    )
    time = None if names.time is None else rows[names.time]
    for column in rows.get_columns():
        if column.name in names.passed:
            continue
        how = _how(column, time, y, clusters, limit)
        if how:
            found.append(Leak(f"the column {column.name!r} of the rows", how))
    return tuple(found)


@dataclass(frozen=True)
class Names:
    """The contract's columns, and those of the rows that are passed over: the key, and what a person has looked at."""

    label: str
    cluster: str | None
    time: str | None
    passed: tuple[str, ...]


def doubt(found: tuple[Leak, ...]) -> str:
    """What a person is to look at, or ""."""
    if not found:
        return ""
    told = "; ".join(leak.sentence() for leak in found[:NAMED])
    more = f" and {len(found) - NAMED} more columns do" if len(found) > NAMED else ""
    return f"{told}{more}; {DOUBT}, and list under gate.cleared what is known before the outcome"


def _how(column: pl.Series, time: pl.Series | None, y: Floats, clusters: pl.Series, limit: float) -> str:
    for view, words in _views(column):
        if how := _told_by(view, time, y, clusters, limit):
            return f"{words}{how}"
    return ""


def _views(column: pl.Series) -> Iterator[tuple[pl.Series, str]]:
    """What a column may be read as, each with the words that lead to it: itself, its parts, what its texts say."""
    if column.dtype.is_nested() or column.dtype == pl.Object:
        yield column.is_not_null().replace_strict({False: None, True: "filled"}, return_dtype=pl.String), ""
    else:
        yield column, ""
    if isinstance(column.dtype, pl.Struct):
        for field in column.struct.unnest().get_columns():
            yield from ((view, f"in its field {field.name!r} {words}") for view, words in _views(field))
    elif isinstance(column.dtype, pl.List | pl.Array):
        listed = column if isinstance(column.dtype, pl.List) else column.arr.to_list()
        yield listed.list.len(), "by how many it holds "
        yield from ((view, f"in its first element {words}") for view, words in _views(listed.list.first()))
    elif isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        text = column.cast(pl.String)
        yield text.str.strip_chars().cast(pl.Float64, strict=False), "as a number "
        yield _moments(text), "as a moment "
        yield text.str.len_chars(), "by its length "
        yield text.str.slice(0, 1), "by its first letter "


def _moments(text: pl.Series) -> pl.Series:
    """The moments that texts name in the one form all tools write; a zone behind it is the same in every row."""
    whole = text.str.slice(0, 19).str.replace("T", " ", literal=True)
    return whole.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).fill_null(
        whole.str.to_datetime("%Y-%m-%d", strict=False)
    )


def _told_by(column: pl.Series, time: pl.Series | None, y: Floats, clusters: pl.Series, limit: float) -> str:
    is_moment = column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime)
    if is_moment and time is not None and _separates(_seconds(column) - _seconds(time), y, limit):
        return "by its distance from the decision"
    if (column.dtype.is_numeric() or column.dtype.is_temporal()) and _separates(column.to_physical(), y, limit):
        return "by its order"
    values = _values(column, y, clusters)
    sure = values.filter(
        (pl.max_horizontal("rate", 1 - pl.col("rate")) > limit)
        & (pl.col("of_class") >= MIN_SHARE)
        & (pl.col("common") <= COMMON)
    )
    if sure.height:
        most = sure.sort("n", descending=True, maintain_order=True).row(0, named=True)
        value = most["value"]
        where = "where it is missing" if value is None else f"where it is {str(value)[:40]!r}"
        return f"{where} ({'1' if most['rate'] > 0.5 else '0'} in nearly every such row)"
    if values.height > 1 and _separates(_encoded(column, values), y, limit):
        return "by its values together"
    return ""


def _values(column: pl.Series, y: Floats, clusters: pl.Series) -> pl.DataFrame:
    """The values that many rows of many clusters share: their rows, the rate of the label, the share of its class.

    `common` is the share of that class among all rows.
    """
    positives = float(y.sum())
    table = (
        pl.DataFrame({"value": column, "y": y, "cluster": clusters})
        .group_by("value", maintain_order=True)
        .agg(n=pl.len(), rate=pl.col("y").mean(), hits=pl.col("y").sum(), clusters=pl.col("cluster").n_unique())
    )
    negatives = len(y) - positives
    is_one = pl.col("rate") > 0.5
    return table.filter((pl.col("n") >= MIN_ROWS) & (pl.col("clusters") >= MIN_CLUSTERS)).with_columns(
        of_class=pl.when(is_one).then(pl.col("hits") / positives).otherwise((pl.col("n") - pl.col("hits")) / negatives),
        common=pl.when(is_one).then(positives / len(y)).otherwise(negatives / len(y)),
    )


def _encoded(column: pl.Series, values: pl.DataFrame) -> pl.Series:
    """For each row the rate of its value; what few rows share is one value together, which tells nothing."""
    table = (
        column.alias("value")
        .to_frame()
        .join(values.select("value", "rate"), on="value", how="left", nulls_equal=True, maintain_order="left")
    )
    return table["rate"]


def _separates(column: pl.Series, y: Floats, limit: float) -> bool:
    """Whether the order of the values alone ranks the labels better than `limit`, in one direction or the other."""
    values = column.cast(pl.Float64, strict=False).fill_nan(None)
    there = values.is_not_null().to_numpy()
    told, asked = values.drop_nulls().to_numpy(), y[there]
    smaller = min(float(asked.sum()), len(asked) - float(asked.sum()))
    if smaller < MIN_ROWS:
        return False
    auc = stats.auc(asked, told)
    return bool(max(auc, 1 - auc) > limit)


def _seconds(moments: pl.Series) -> pl.Series:
    return moments.dt.epoch("ms").cast(pl.Float64) / 1000
