"""`python -m toy.predict ROWS EVENTS OUT`."""

import json
import sys
from pathlib import Path

import polars as pl

shares = json.loads(Path("model/model.json").read_text())
table = pl.read_parquet(sys.argv[1])
bucket = (pl.col("x") * len(shares)).floor().cast(pl.Int64)
table.select("id", bucket.replace_strict(dict(enumerate(shares)), return_dtype=pl.Float64).alias("p")).write_parquet(
    sys.argv[3]
)
