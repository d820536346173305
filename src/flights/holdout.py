"""Set the last months aside for the judge: `python -m flights.holdout`. Knows no features and no model."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from flights.errors import run_stage
from flights.months import month_before
from flights.params import read_split
from flights.schema import (
    EVENTS,
    LABELS,
    ROWS,
    empty_table,
    read_columns,
    read_table,
    rows_in,
    write_table,
    write_tables,
)

ORDER = ("known_at", "flight_id", "kind", "origin")
AT_ONCE = 2_000_000  # rows of a table that is made in memory; a larger one is written month by month


def main(_: list[str]) -> None:
    """Write `data/holdout/{rows,events,labels}.parquet`; the events begin with those of the month before."""
    months = read_split().holdout
    valid, holdout = Path("data/valid"), Path("data/holdout")
    tables = {
        "rows": (ROWS, months),
        "events": (EVENTS, [month_before(months[0]), *months]),
        "labels": (LABELS, months),
    }
    for name, (columns, wanted) in tables.items():
        paths = [valid / name / f"{month}.parquet" for month in wanted]
        if sum(map(rows_in, paths)) > AT_ONCE:
            parts = merged(paths) if name == "events" else (read_table(path, columns) for path in paths)
            write_tables(parts, holdout / f"{name}.parquet")
            continue
        table = pl.concat([read_table(path, columns) for path in paths])
        write_table(table.sort(ORDER) if name == "events" else table, holdout / f"{name}.parquet")
    print(f"holdout: {', '.join(months)}", flush=True)


def merged(paths: list[Path]) -> Iterator[pl.DataFrame]:
    """The events of months, in order: what a month tells when the next has begun to tell waits for it."""
    waiting = empty_table(EVENTS)
    for place, path in enumerate(paths):
        told = pl.concat([waiting, read_table(path, EVENTS)]).sort(ORDER)
        if path == paths[-1]:
            yield told
            return
        begins = read_columns(paths[place + 1], EVENTS, pl.lit(value=True), ["known_at"])["known_at"].min()
        later = (told["known_at"] >= begins).fill_null(value=False)
        waiting = told.filter(later)
        yield told.filter(~later)


if __name__ == "__main__":
    run_stage(main)
