"""Numbers on the validation month: `python -m flights.evaluate`. Never looks at the holdout; that is the judge's.

They are those of the fit that had not seen the month. The model that ships has, so it cannot be measured on it.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field

from flights.errors import StageError, run_stage
from flights.metrics import auc, brier, calibration, calibration_error, log_loss
from flights.params import Section, read_section, read_split
from flights.schema import LABELS, SCORED, read_columns


class Evaluate(Section):
    """`evaluate`: how fine the tables are."""

    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    min_slice_rows: Annotated[int, Field(ge=1)]


def scores(part: pl.DataFrame, base: float, bins: int) -> dict[str, float]:
    """Metrics of one part; `base` is the constant prediction that skill is measured against."""
    y, p = part["late"].to_numpy(), part["p"].to_numpy()
    constant = log_loss(y, np.full(len(y), base))
    return {
        "rows": part.height,
        "base_rate": float(y.mean()),
        "mean_p": float(p.mean()),
        "logloss": log_loss(y, p),
        "auc": auc(y, p),
        "brier": brier(y, p),
        "ece": calibration_error(y, p, bins),
        "skill": 1 - log_loss(y, p) / constant,
    }


def slices(validation: pl.DataFrame, min_rows: int) -> pl.DataFrame:
    """Metrics by slice of the labels table; values with fewer than `min_rows` rows are pooled as "other"."""
    found = []
    for name in [column for column in LABELS if column not in ("flight_id", "late", "date")]:
        size = pl.len().over(name)
        pooled = validation.with_columns(value=pl.when(size < min_rows).then(pl.lit("other")).otherwise(pl.col(name)))
        for (value,), part in sorted(pooled.group_by("value"), key=lambda item: str(item[0][0])):
            y, p = part["late"].to_numpy(), part["p"].to_numpy()
            found.append(
                (
                    name,
                    value,
                    part.height,
                    part["date"].n_unique(),
                    y.mean(),
                    p.mean(),
                    log_loss(y, p),
                    auc(y, p),
                    brier(y, p),
                )
            )
    columns = ["slice", "value", "rows", "days", "base_rate", "mean_p", "logloss", "auc", "brier"]
    return pl.DataFrame(found, schema=columns, orient="row")


def main(_: list[str]) -> None:
    """Write `metrics/metrics.json`, `metrics/slices.csv` and `metrics/calibration.csv`."""
    settings = read_section("evaluate", Evaluate)
    month = read_split().validation
    scored = Path("data/predictions.parquet")
    train = read_columns(scored, SCORED, pl.col("part") == "train", ["late", "p"])
    validation = read_columns(scored, SCORED, pl.col("part") == "validation")
    if validation["month"].unique().to_list() != [month]:
        raise StageError(f"data/predictions.parquet is not about {month}", next_step="dvc repro")
    base = float(train["late"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    numbers = {
        "validation": scores(validation, base, settings.calibration_bins),
        "train": scores(train, base, settings.calibration_bins),
    }
    gap = {"gap": {"auc": numbers["train"]["auc"] - numbers["validation"]["auc"]}}
    folder = Path("metrics")
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(numbers | gap, indent=1) + "\n", encoding="utf-8")
    slices(validation, settings.min_slice_rows).write_csv(folder / "slices.csv")
    table = calibration(validation["late"].to_numpy(), validation["p"].to_numpy(), settings.calibration_bins)
    pl.DataFrame(table, schema=["mean_p", "share_late", "rows"]).cast({"rows": pl.Int64}).write_csv(
        folder / "calibration.csv"
    )
    found = numbers["validation"]
    print(f"{month}: log loss {found['logloss']:.4f}, AUC {found['auc']:.4f}, ECE {found['ece']:.4f}", flush=True)


if __name__ == "__main__":
    run_stage(main)
