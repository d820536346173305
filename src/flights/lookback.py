"""Hand every month the events of the month before, under its own name: `python -m flights.lookback`.

Features reach back 28 days. A DVC template cannot compute the name of the month before, so this step does: stage
`features@2013-05` depends on `data/lookback/2013-05.parquet`, which is `data/valid/events/2013-04.parquet` byte for
byte (one object in the cache). A new month adds a file here and leaves the others as they are, so that only its own
features are computed.
"""

import shutil
from pathlib import Path

from flights.errors import run_stage
from flights.months import month_before
from flights.params import read_months
from flights.schema import EVENTS, empty_table, read_table, write_table


def main(_: list[str]) -> None:
    """Write `data/lookback/<month>.parquet` for every month; the first has nothing to look back on."""
    folder = Path("data/lookback")
    folder.mkdir(parents=True, exist_ok=True)
    months = read_months()
    for month in months:
        before = Path("data/valid/events") / f"{month_before(month)}.parquet"
        if month == months[0]:
            write_table(empty_table(EVENTS), folder / f"{month}.parquet")
        else:
            read_table(before, EVENTS)
            shutil.copyfile(before, folder / f"{month}.parquet")
    print(f"{len(months)} months look back on the one before", flush=True)


if __name__ == "__main__":
    run_stage(main)
