"""Set the last months aside for the judge: `python -m flights.holdout`. Knows no features and no model."""

from pathlib import Path

import polars as pl

from flights.errors import run_stage
from flights.months import month_before
from flights.params import read_split
from flights.schema import EVENTS, LABELS, ROWS, read_table, write_table


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
        parts = [read_table(valid / name / f"{month}.parquet", columns) for month in wanted]
        table = pl.concat(parts)
        if name == "events":
            table = table.sort("known_at", "flight_id", "kind", "origin")
        write_table(table, holdout / f"{name}.parquet")
    print(f"holdout: {', '.join(months)}", flush=True)


if __name__ == "__main__":
    run_stage(main)
