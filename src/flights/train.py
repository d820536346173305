"""Fit the model on every month before the holdout: `python -m flights.train`.

Two fits with the same settings. The first leaves the last training month out and watches the log loss on it: that
picks the number of rounds and gives the validation numbers, honest in time. The second is fitted on all training
months with that number of rounds, and ships; in memory, on two processors or more, it goes beside the first.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, field_validator, model_validator

from flights.booster import SCHEMA, Matrix, best_round, fit, matrix, plain, sha256, threads, vocabulary
from flights.catalog import FEATURES, Feature, Group
from flights.cluster import connected, fit_on, workers
from flights.coded import Coded, Labels, Part, held, scratch
from flights.errors import StageError, run_stage
from flights.means import Means, check, told
from flights.metrics import auc, log_loss
from flights.params import Section, Split, read_section, read_split
from flights.schema import (
    EVENTS,
    INSTANT,
    LABELS,
    LOCAL,
    ORIGINS,
    ROWS,
    SCORED,
    read_columns,
    read_table,
    rows_in,
    write_table,
    write_tables,
)

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


class Train(Means):
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
        device = {} if self.device == "cpu" else {"device": self.device}
        return device | {
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


def training_table(month: str) -> pl.DataFrame:
    """Features and labels (as `label_<column>`) of `month`, with a `month` column."""
    wanted: dict[str, pl.DataType] = {"flight_id": pl.String()}
    wanted |= {feature.name: pl.String() if feature.category else pl.Float32() for feature in FEATURES}
    table = read_table(_feature_file(month), wanted)
    labels = read_table(_label_file(month), LABELS)
    if not table["flight_id"].equals(labels["flight_id"]):
        raise StageError(
            f"{_feature_file(month)} and {_label_file(month)} list different flights", next_step="dvc repro"
        )
    labels = labels.drop("flight_id").rename(lambda name: f"label_{name}")
    return table.with_columns(month=pl.lit(month)).hstack(labels)


def _feature_file(month: str) -> Path:
    return Path("data/features") / f"{month}.parquet"


def _label_file(month: str) -> Path:
    return Path("data/valid/labels") / f"{month}.parquet"


def parts_of(months: list[str], settings: Means) -> list[Part]:
    """The training table of each month, read once, or at each use where memory is not to hold them all."""
    if settings.memory == "external":
        return [partial(training_table, month) for month in months]
    return [held(training_table(month)) for month in months]


class Fitter:
    """Fits with the same `settings` and features, on this machine or, with a `client`, on its cluster.

    With `beside` the two go side by side where they can: in memory, on two processors or more.
    """

    def __init__(self, chosen: list[Feature], settings: Train, client: Any = None, *, beside: bool = False) -> None:
        self.chosen, self.settings, self.client = chosen, settings, client
        self.names = [feature.name for feature in chosen]
        self.params = settings.booster_params(chosen)
        # Each round waits for its slowest thread: two fits of half the threads are done before one after the other.
        able = client is None and settings.memory == "in-core" and settings.device == "cpu" and threads() > 1
        self.beside = beside and able

    def pick_rounds(
        self, earlier: Sequence[Part], later: pl.DataFrame
    ) -> tuple[int, dict[str, list[float]], Iterator[pl.DataFrame]]:
        """The first fit, watched on `later`: number of rounds, learning curve, and its predictions.

        Those are the labels' columns, `month`, `part` (train or validation) and `p`, made part by part as they are
        taken. The vocabulary is that of the earlier months only, so the validation month meets unseen values as the
        future will.
        """
        coded = self._coded(earlier)
        asked, y = matrix(later, self.names, coded.categories), later["label_late"].to_numpy()
        settings = self.settings
        booster, curve = self._fit(coded, settings.max_rounds, (asked, y), (settings.patience, settings.min_rounds))
        rounds = max(settings.min_rounds, best_round(curve["validation"]))

        def scored() -> Iterator[pl.DataFrame]:
            for part, p in zip(earlier, coded.predicted(booster, rounds), strict=True):
                yield _scored(part(), "train", p)
            found = booster.predict(plain(asked, self.names, coded.categories), iteration_range=(0, rounds))
            yield _scored(later, "validation", found.astype(np.float64))

        return rounds, curve, scored()

    def fit_all(self, parts: Sequence[Part], rounds: Callable[[], int]) -> tuple[Any, dict[str, list[str]]]:
        """The second fit, on all `parts`: the booster that ships, and its vocabulary.

        Where it goes beside the first it asks for the `rounds` once it has the least that there are to be.
        """
        coded = self._coded(parts)
        if not self.beside:
            return self._fit(coded, rounds())[0], coded.categories
        least = (0, self.settings.min_rounds)
        return self._fit(coded, self.settings.max_rounds, stop_after=least, enough=rounds)[0], coded.categories

    def _coded(self, parts: Sequence[Part]) -> Coded:
        categories = vocabulary((part() for part in parts), self.chosen)
        return Coded(parts, self.names, categories, kept=self.settings.memory == "in-core")

    def _fit(
        self,
        coded: Coded,
        rounds: int,
        validation: tuple[Matrix, Labels] | None = None,
        stop_after: tuple[int, int] = (0, 0),
        enough: Callable[[], int] | None = None,
    ) -> tuple[Any, dict[str, list[float]]]:
        max_bin = self.settings.max_bin
        if self.client is not None:
            return fit_on(self.client, coded, self.params, rounds, max_bin, validation, stop_after)
        share = threads()
        if self.beside:  # the first fit is the one with a validation month
            share = share // 2 if validation else share - share // 2
        params = self.params | {"nthread": share}
        watched = validation and plain(validation[0], coded.names, coded.categories, validation[1])
        with scratch() as folder:
            # Nothing here holds the rows: XGBoost takes their files away before the folder goes.
            booster, curve = fit(coded.binned(max_bin, folder), params, rounds, watched, stop_after, enough)
        booster.set_param({"nthread": threads()})  # whoever asks it is alone, or nearly
        return booster, curve


def _scored(table: pl.DataFrame, part: str, p: npt.NDArray[np.float64]) -> pl.DataFrame:
    return table.select(
        "flight_id",
        *[pl.col(f"label_{column}").alias(column) for column in LABELS if column != "flight_id"],
        month=pl.col("month"),
        part=pl.lit(part),
        p=pl.Series(p),
    )


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
    check(settings)
    parts = parts_of(split.training, settings)
    rows = sum(rows_in(_feature_file(month)) for month in split.training)
    months = f"{split.training[0]} to {split.training[-1]}"
    print(f"{rows:,} flights of {months}, {len(chosen)} features", flush=True)

    with connected(settings) if settings.cluster == "dask" else nullcontext() as client:
        fitter = Fitter(chosen, settings, client, beside=True)
        print(f"fit before {split.validation}, watched on {split.validation}", flush=True)
        rounds: Future[int] = Future()
        with ThreadPoolExecutor(1) as pool, ExitStack() as ends:
            ends.callback(rounds.cancel)  # of an error here the second fit hears so
            beside = pool.submit(fitter.fit_all, parts, rounds.result) if fitter.beside else None
            picked, curve, scored = fitter.pick_rounds(parts[:-1], parts[-1]())
            rounds.set_result(picked)
            _write_predictions(scored, settings)
            write_learning(curve, Path("metrics/learning.csv"))
            print(f"fit up to {split.training[-1]}, {picked} rounds", flush=True)
            booster, categories = beside.result() if beside else fitter.fit_all(parts, rounds.result)
        fitted = told(settings, workers(client) if client is not None else 0)
    folder = Path("model")
    folder.mkdir(exist_ok=True)
    booster.save_model(folder / BOOSTER)
    training = {"rows": rows, "rounds": picked}
    manifest = _manifest(split, chosen, categories, settings, training, fitted, folder / BOOSTER)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    write_importance(contributions(booster, parts[-1](), chosen, categories), Path("metrics/importance.csv"))
    print(f"model/{BOOSTER} sha256 {manifest['booster']['sha256'][:16]}…", flush=True)


def _write_predictions(scored: Iterator[pl.DataFrame], settings: Train) -> None:
    """Leave the predictions of the first fit for `evaluate` and the judge, and say how good they are."""
    path = Path("data/predictions.parquet")
    if settings.memory == "external":
        write_tables(scored, path)
    else:
        write_table(pl.concat(list(scored)), path)
    for part in ("train", "validation"):
        of_part = read_columns(path, SCORED, pl.col("part") == part, ["late", "p"])
        y, p = of_part["late"].to_numpy(), of_part["p"].to_numpy()
        print(f"  {part}: log loss {log_loss(y, p):.4f}, AUC {auc(y, p):.4f}", flush=True)


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
    training: dict[str, int],
    fitted: dict[str, Any],
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
            **training,
            "params": {
                name: value for name, value in settings.booster_params(chosen).items() if name != "monotone_constraints"
            },
        },
        "data": {str(path.as_posix()): sha256(path) for path in files},
        "fitted": fitted,
        "booster": {"file": BOOSTER, "sha256": sha256(booster)},
        "versions": {"xgboost": xgboost.__version__, "numpy": np.__version__, "polars": pl.__version__},
    }


if __name__ == "__main__":
    run_stage(main)
