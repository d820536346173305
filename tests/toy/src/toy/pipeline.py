"""The stages: `python -m toy.pipeline collect|holdout|train`."""

import calendar
import datetime
import hashlib
import json
import sys
from pathlib import Path

import polars as pl
from ruamel.yaml import YAML

PARAMS = YAML(typ="safe").load(Path("params.yaml"))
MONTHS = PARAMS["data"]["months"]
WINDOW = YAML(typ="safe").load(Path("pushforward.yaml"))["gate"]["window"]
TRAINING = MONTHS[:-WINDOW]


def collect() -> None:
    import numpy as np  # the other stages do without, and a push runs one or two of them

    frames = []
    for month in MONTHS:
        if month == PARAMS["collect"]["refuse"]:
            print(f"rows of {month}: row 7, column x: 3.5 is not between 0 and 1", file=sys.stderr)
            sys.exit(3)
        year, number = int(month[:4]), int(month[5:])
        random = np.random.default_rng(year * 100 + number)
        days = calendar.monthrange(year, number)[1]
        day = np.repeat(np.arange(days), 50)
        x = random.random(len(day))
        mood = random.normal(0, 0.3, days)[day]
        y = random.random(len(day)) < 1 / (1 + np.exp(1 - 4 * (x - 0.5) - mood))
        date = [datetime.date(year, number, int(d) + 1) for d in day]
        table = pl.DataFrame(
            {"id": [f"{month}-{n}" for n in range(len(day))], "x": x, "y": y.astype("int8"), "date": date}
        )
        # as delivered: of each day first those that came to nothing
        frames.append(table.sort("date", "y", maintain_order=True))
    pl.concat(frames).write_parquet("data/rows.parquet")


def rows(months: list[str]) -> pl.DataFrame:
    return pl.read_parquet("data/rows.parquet").filter(pl.col("date").dt.strftime("%Y-%m").is_in(months))


def holdout() -> None:
    out = Path("data/holdout")
    out.mkdir(parents=True, exist_ok=True)
    table = rows(MONTHS[-WINDOW:]).sort(pl.col("id").str.slice(0, 7), pl.col("id").str.slice(8).cast(pl.Int32))
    hour = pl.duration(minutes=29 * (pl.int_range(pl.len()) % 50))
    table = table.with_columns((pl.col("date").cast(pl.Datetime("us", "UTC")) + hour).alias("at"))
    table.select("id", "x", "at").write_parquet(out / "rows.parquet")
    told = table.select("id", "y", known_at=pl.col("at") + pl.duration(hours=3))
    (told if PARAMS["holdout"]["told"] else told.clear()).write_parquet(out / "events.parquet")
    table.select("id", "y", "date", (pl.col("x") > 0.5).alias("half")).write_parquet(out / "labels.parquet")


def train() -> None:
    table = rows(TRAINING)
    buckets, shift = PARAMS["train"]["buckets"], PARAMS["train"]["shift"]
    shares = [
        float(table.filter((pl.col("x") * buckets).floor() == b)["y"].mean()) * (1 - shift) + shift / 2
        for b in range(buckets)
    ]
    Path("model").mkdir(exist_ok=True)
    Path("model/model.json").write_text(json.dumps(shares))
    data = hashlib.sha256(Path("data/rows.parquet").read_bytes()).hexdigest()
    manifest = {
        "inputs": {"rows": {"x": "float"}, "events": {"id": "str", "y": "int8", "known_at": "instant"}},
        "training": {"months": TRAINING},
        "data": {"data/rows.parquet": data},
    }
    Path("model/manifest.json").write_text(json.dumps(manifest))
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/metrics.json").write_text(json.dumps({"validation": {"buckets": buckets}}))


if __name__ == "__main__":
    {"collect": collect, "holdout": holdout, "train": train}[sys.argv[1]]()
