"""What came of flights, and when that was known: `python -m flights.outcomes OUT` (parquet). Monitoring asks for it.

A flight that has not arrived when its limit of lateness passes is known to be late then, one that is cancelled at its
departure, and one that is in time when it arrives. Of the months that are here, all flights.
"""

from pathlib import Path

import polars as pl

from flights.errors import SETTINGS, StageError, run_stage
from flights.schema import EVENTS, INSTANT, LABELS, read_table, shaped, write_table

VALID = Path("data/valid")
OUTCOMES: dict[str, pl.DataType] = {
    "flight_id": pl.String(),
    "late": pl.Int8(),
    "date": pl.Date(),
    "known_at": INSTANT,
}
DECIDES = ("arrived", "arrival_overdue", "cancelled")


def outcomes(labels: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Labels with the moment from which each was known: the first event that decides it."""
    decided = events.filter(pl.col("kind").is_in(DECIDES)).group_by("flight_id").agg(pl.col("known_at").min())
    told = labels.join(decided, on="flight_id", how="inner", maintain_order="left")
    return shaped(told, OUTCOMES)


def main(arguments: list[str]) -> None:
    """Write the outcomes of all months in data/valid."""
    if len(arguments) != 1:
        raise StageError(
            f"expected 1 file, got {len(arguments)}", next_step="python -m flights.outcomes OUT", exit_code=SETTINGS
        )
    months = sorted(path.name for path in (VALID / "labels").glob("*.parquet"))
    if not months:
        raise StageError(f"{VALID}/labels holds no month", next_step="dvc pull, or dvc repro")
    parts = [
        outcomes(read_table(VALID / "labels" / name, LABELS), read_table(VALID / "events" / name, EVENTS))
        for name in months
    ]
    table = pl.concat(parts)
    write_table(table, Path(arguments[0]))
    print(f"{table.height:,} outcomes of {len(months)} months", flush=True)


if __name__ == "__main__":
    run_stage(main)
