"""Score rows with the model in `model/`: `python -m flights.predict ROWS EVENTS OUT` (parquet in, parquet out).

`EVENTS OUT` may be there again and again: the same rows with each table of events, model and rows read once.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from flights.booster import SCHEMA, matrix, sha256
from flights.catalog import GROUPS
from flights.errors import SETTINGS, StageError, run_stage
from flights.features import Asked
from flights.schema import PREDICTIONS, ROWS, read_table, write_table
from flights.spells import spells, together

MODEL = Path("model")


def load(folder: Path = MODEL) -> tuple[dict[str, Any], Any]:
    """The manifest and the booster of a model folder; raises `StageError` when absent or not of one piece."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StageError(f"{folder}/manifest.json is missing", next_step="dvc pull model, or dvc repro") from None
    except ValueError as error:
        raise StageError(f"{folder}/manifest.json is not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise StageError(f"{folder}/manifest.json: this code reads schema {SCHEMA}")
    path = folder / manifest["booster"]["file"]
    if not path.is_file() or sha256(path) != manifest["booster"]["sha256"]:
        raise StageError(
            f"{path} is not the file that the manifest names (sha256 differs)", next_step="dvc checkout --force model"
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import xgboost as xgb

    booster = xgb.Booster()
    booster.load_model(path)
    return manifest, booster


def predict(manifest: dict[str, Any], booster: Any, rows: pl.DataFrame | Asked, events: pl.DataFrame) -> pl.DataFrame:
    """`flight_id` and `p`, the probability of being late, for every row in its order.

    Features are computed here from rows and events, by the same function as for training. Rows that are asked with
    several tables of events are given as `Asked`.
    """
    asked = rows if isinstance(rows, Asked) else Asked(rows)
    wanted = manifest["features"]
    names = [feature["name"] for feature in wanted]
    used = {feature["group"] for feature in wanted}
    table = asked.features(events, [group for group in GROUPS if group in used])
    x = matrix(table, names, manifest["categories"])
    p = booster.inplace_predict(x) if len(x) else np.zeros(0, dtype=np.float32)
    return pl.DataFrame({"flight_id": table["flight_id"], "p": p.astype(np.float64)}, schema=PREDICTIONS)


def main(arguments: list[str]) -> None:
    """Read rows and events, write predictions: a table of them for each table of events."""
    if len(arguments) < 3 or len(arguments) % 2 == 0:
        raise StageError(
            f"expected rows, then events and predictions, once or more: {len(arguments)} files are none such",
            next_step="python -m flights.predict rows.parquet events.parquet predictions.parquet",
            exit_code=SETTINGS,
        )
    rows, *pairs = (Path(argument) for argument in arguments)
    manifest, booster = load()
    told = list(zip(pairs[::2], pairs[1::2], strict=True))
    found: list[list[pl.DataFrame]] = [[] for _ in told]
    parts = spells(read_table(rows, ROWS, required=[name for name in ROWS if name != "tailnum"]))
    for spell in parts:
        asked = Asked(spell.rows)
        for answers, (events, _) in zip(found, told, strict=True):
            answers.append(predict(manifest, booster, asked, spell.events(events)))
    for answers, (_, out) in zip(found, told, strict=True):
        predictions = together(parts, answers)
        write_table(predictions, out)
        print(f"{predictions.height:,} flights scored", flush=True)


if __name__ == "__main__":
    run_stage(main)
