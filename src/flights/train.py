"""Fit the model on every month before the holdout: `python -m flights.train`.

Two fits with the same settings. The first leaves the last training month out and watches the log loss on it: that
picks the number of rounds and gives the validation numbers, honest in time. The second is fitted on all training
months with that number of rounds, and ships.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from flights.booster import SCHEMA, best_round, fit, matrix, plain, quantized, sha256, threads, vocabulary
from flights.catalog import FEATURES, Feature, Group
from flights.errors import StageError, run_stage
from flights.metrics import auc, log_loss
from flights.params import Section, Split, read_section, read_split
from flights.schema import EVENTS, INSTANT, LABELS, LOCAL, ORIGINS, ROWS, read_table, write_table

BOOSTER = "model.ubj"
KINDS = ("scheduled", "cancelled", "departed", "departure_overdue", "arrived", "arrival_overdue", "weather")
CLOSED: Mapping[str, Sequence[str | int]] = {"origin": ORIGINS, "kind": KINDS, "late": (0, 1)}
# Twice as many give the same picture and cost twice as much.
EXPLAINED_ROWS = 2000


class Features(Section):
    """`features`: which groups of features the model uses."""

    groups: Annotated[list[Group], Field(min_length=1)]

    @field_validator("groups")
    @classmethod
    def _each_once(cls, groups: list[Group]) -> list[Group]:
        if len(set(groups)) != len(groups):
            raise ValueError("a group is named twice")
        return groups


class Train(Section):
    """`train`: the gradient boosting, and how its number of rounds is found.

    One month is a noisy judge of rounds: left alone it picks from 77 to 388 on this data, and the picks cost more than
    they bring. Hence `min_rounds`.
    """

    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    max_rounds: Annotated[int, Field(ge=1, le=5000)]
    min_rounds: Annotated[int, Field(ge=1, le=5000)]
    patience: Annotated[int, Field(ge=1, le=1000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    max_depth: Annotated[int, Field(ge=1, le=16)]
    min_child_weight: Annotated[float, Field(ge=0)]
    subsample: Annotated[float, Field(gt=0, le=1)]
    colsample_bytree: Annotated[float, Field(gt=0, le=1)]
    reg_lambda: Annotated[float, Field(ge=0)]
    max_bin: Annotated[int, Field(ge=2, le=1024)]
    monotone: bool

    @model_validator(mode="after")
    def _ordered(self) -> "Train":
        if self.min_rounds > self.max_rounds:
            raise ValueError(f"min_rounds {self.min_rounds} is above max_rounds {self.max_rounds}")
        return self

    def booster_params(self, chosen: list[Feature]) -> dict[str, Any]:
        """What XGBoost is told; the number of threads is not part of it, the model's bytes do not depend on it."""
        return {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": "hist",
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample_bytree,
            "reg_lambda": self.reg_lambda,
            "max_bin": self.max_bin,
            "max_cat_to_onehot": 4,
            "monotone_constraints": tuple(feature.monotone if self.monotone else 0 for feature in chosen),
        }


def chosen_features(groups: list[Group]) -> list[Feature]:
    """The features of `groups`, in the order of `FEATURES`."""
    return [feature for feature in FEATURES if feature.group in groups]


def training_table(months: list[str]) -> pl.DataFrame:
    """Features and labels (as `label_<column>`) of `months`, oldest first, with a `month` column."""
    wanted: dict[str, pl.DataType] = {"flight_id": pl.String()}
    wanted |= {feature.name: pl.String() if feature.category else pl.Float32() for feature in FEATURES}
    parts = []
    for month in months:
        table = read_table(_feature_file(month), wanted)
        labels = read_table(_label_file(month), LABELS)
        if not table["flight_id"].equals(labels["flight_id"]):
            raise StageError(
                f"{_feature_file(month)} and {_label_file(month)} list different flights", next_step="dvc repro"
            )
        labels = labels.drop("flight_id").rename(lambda name: f"label_{name}")
        parts.append(table.with_columns(month=pl.lit(month)).hstack(labels))
    return pl.concat(parts)


def _feature_file(month: str) -> Path:
    return Path("data/features") / f"{month}.parquet"


def _label_file(month: str) -> Path:
    return Path("data/valid/labels") / f"{month}.parquet"


def pick_rounds(
    table: pl.DataFrame, split: Split, chosen: list[Feature], settings: Train
) -> tuple[int, dict[str, list[float]], pl.DataFrame]:
    """The first fit: number of rounds, learning curve, and its predictions (the labels' columns, `month`, `part`, `p`).

    The vocabulary is that of the earlier months only, so the validation month meets unseen values as the future will.
    """
    is_validation = table["month"] == split.validation
    earlier, later = table.filter(~is_validation), table.filter(is_validation)
    names = [feature.name for feature in chosen]
    categories = vocabulary(earlier, chosen)
    x, x_later = matrix(earlier, names, categories), matrix(later, names, categories)
    params = settings.booster_params(chosen) | {"nthread": threads()}
    validation = plain(x_later, names, categories, later["label_late"].to_numpy())
    booster, curve = fit(
        quantized(x, earlier["label_late"].to_numpy(), names, categories, settings.max_bin),
        params,
        settings.max_rounds,
        validation,
        (settings.patience, settings.min_rounds),
    )
    rounds = max(settings.min_rounds, best_round(curve["validation"]))
    scored = [
        part.select(
            "flight_id",
            *[pl.col(f"label_{column}").alias(column) for column in LABELS if column != "flight_id"],
            month=pl.col("month"),
            part=pl.lit(name),
            p=pl.Series(booster.predict(data, iteration_range=(0, rounds)).astype(np.float64)),
        )
        for name, part, data in (("train", earlier, plain(x, names, categories)), ("validation", later, validation))
    ]
    return rounds, curve, pl.concat(scored)


def fit_all(
    table: pl.DataFrame, rounds: int, chosen: list[Feature], settings: Train
) -> tuple[Any, dict[str, list[str]]]:
    """The second fit, on all of `table`: the booster that ships, and its vocabulary."""
    names = [feature.name for feature in chosen]
    categories = vocabulary(table, chosen)
    x, y = matrix(table, names, categories), table["label_late"].to_numpy()
    params = settings.booster_params(chosen) | {"nthread": threads()}
    booster, _ = fit(quantized(x, y, names, categories, settings.max_bin), params, rounds)
    return booster, categories


def contributions(
    booster: Any, table: pl.DataFrame, chosen: list[Feature], categories: dict[str, list[str]]
) -> dict[str, float]:
    """How far each feature moves the log odds: mean absolute SHAP value (Lundberg and Lee 2017), largest first.

    Over every k-th row of `table`, so that there are `EXPLAINED_ROWS` at most.
    """
    names = [feature.name for feature in chosen]
    sample = table.gather_every(max(1, -(-table.height // EXPLAINED_ROWS)))
    data = plain(matrix(sample, names, categories), names, categories)
    # Shape (rows, features + 1), the last for what no feature moves.
    moved = np.abs(booster.predict(data, pred_contribs=True)[:, :-1].astype(np.float64)).mean(axis=0)
    return dict(sorted(zip(names, moved.tolist(), strict=True), key=lambda pair: -pair[1]))


def main(_: list[str]) -> None:
    """Write `model/`, `data/predictions.parquet` (of the first fit), `metrics/{learning,importance}.csv`."""
    # Threads that wait by spinning cost ten times the CPU on a shared machine; read when OpenMP starts.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    split = read_split()
    settings = read_section("train", Train)
    chosen = chosen_features(read_section("features", Features).groups)
    table = training_table(split.training)
    months = f"{split.training[0]} to {split.training[-1]}"
    print(f"{table.height:,} flights of {months}, {len(chosen)} features", flush=True)

    print(f"fit before {split.validation}, watched on {split.validation}", flush=True)
    rounds, curve, scored = pick_rounds(table, split, chosen, settings)
    write_table(scored, Path("data/predictions.parquet"))
    write_learning(curve, Path("metrics/learning.csv"))
    for (part,), of_part in scored.group_by("part", maintain_order=True):
        y, p = of_part["late"].to_numpy(), of_part["p"].to_numpy()
        print(f"  {part}: log loss {log_loss(y, p):.4f}, AUC {auc(y, p):.4f}", flush=True)

    print(f"fit up to {split.training[-1]}, {rounds} rounds", flush=True)
    booster, categories = fit_all(table, rounds, chosen, settings)
    folder = Path("model")
    folder.mkdir(exist_ok=True)
    booster.save_model(folder / BOOSTER)
    manifest = _manifest(split, chosen, categories, settings, rounds, table.height, folder / BOOSTER)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    asked = table.filter(pl.col("month") == split.validation)
    write_importance(contributions(booster, asked, chosen, categories), Path("metrics/importance.csv"))
    print(f"model/{BOOSTER} sha256 {manifest['booster']['sha256'][:16]}…", flush=True)


def write_learning(curve: dict[str, list[float]], path: Path) -> None:
    """The learning curve as CSV: round, train, validation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["round,train,validation"]
    lines += [
        f"{n},{a!r},{b!r}" for n, (a, b) in enumerate(zip(curve["train"], curve["validation"], strict=True), start=1)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_importance(moved: dict[str, float], path: Path) -> None:
    """Contributions as CSV: feature, contribution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Five digits: the rest is the order in which a processor sums.
    lines = ["feature,contribution", *(f"{name},{value:.5g}" for name, value in moved.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _asked(columns: Mapping[str, pl.DataType], nullable: set[str]) -> dict[str, dict[str, Any]]:
    """What a request must look like: type, whether a value may be missing, and the values where no other can come.

    Carriers and destinations come and go; the airports that flights leave from, and the kinds of events, do not.
    """
    types = {pl.String(): "string", pl.Float64(): "float64", INSTANT: "instant", LOCAL: "local"}
    return {
        name: {"type": types.get(dtype, str(dtype).lower()), "nullable": name in nullable}
        | ({"values": list(CLOSED[name])} if name in CLOSED else {})
        for name, dtype in columns.items()
    }


def _manifest(
    split: Split,
    chosen: list[Feature],
    categories: dict[str, list[str]],
    settings: Train,
    rounds: int,
    rows: int,
    booster: Path,
) -> dict[str, Any]:
    import xgboost

    files = [path for month in split.training for path in (_feature_file(month), _label_file(month))]
    return {
        "schema": SCHEMA,
        "inputs": {
            "rows": _asked(ROWS, {"tailnum"}),
            "events": _asked(EVENTS, set(EVENTS) - {"known_at", "kind"}),
        },
        "features": [
            {
                "name": f.name,
                "group": f.group,
                "type": "category" if f.category else "number",
                "monotone": f.monotone if settings.monotone else 0,
            }
            for f in chosen
        ],
        "categories": categories,
        "training": {
            "months": split.training,
            "validation_month": split.validation,
            "rows": rows,
            "rounds": rounds,
            "params": {
                name: value for name, value in settings.booster_params(chosen).items() if name != "monotone_constraints"
            },
        },
        "data": {str(path.as_posix()): sha256(path) for path in files},
        "booster": {"file": BOOSTER, "sha256": sha256(booster)},
        "versions": {"xgboost": xgboost.__version__, "numpy": np.__version__, "polars": pl.__version__},
    }


if __name__ == "__main__":
    run_stage(main)
