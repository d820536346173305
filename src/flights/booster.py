"""XGBoost as this project uses it: features as a matrix, one fit with progress, deterministic to the byte."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flights.catalog import Feature

if TYPE_CHECKING:
    import xgboost

SCHEMA = 1  # of manifest.json
Matrix = npt.NDArray[np.float32]


def vocabulary(tables: Iterable[pl.DataFrame], chosen: list[Feature]) -> dict[str, list[str]]:
    """The values of every category in training, sorted; a value's code is its place here."""
    found: dict[str, set[str]] = {feature.name: set() for feature in chosen if feature.category}
    for table in tables:
        for name, values in found.items():
            values.update(table[name].drop_nulls().unique())
    return {name: sorted(values) for name, values in found.items()}


def matrix(table: pl.DataFrame, names: list[str], categories: dict[str, list[str]]) -> Matrix:
    """Features as float32, shape (rows, features): categories as their code, NaN for missing and for unseen values."""
    columns = []
    for name in names:
        if name in categories:
            codes = {value: code for code, value in enumerate(categories[name])}
            series = table[name].replace_strict(codes, default=None, return_dtype=pl.Float32)
        else:
            series = table[name].cast(pl.Float32)
        columns.append(series.fill_null(float("nan")).to_numpy())
    return np.column_stack(columns).astype(np.float32, copy=False)


def fit(
    train: "xgboost.DMatrix",
    params: dict[str, Any],
    rounds: int,
    validation: "xgboost.DMatrix | None" = None,
    stop_after: tuple[int, int] = (0, 0),
    enough: Callable[[], int] | None = None,
) -> tuple["xgboost.Booster", dict[str, list[float]]]:
    """Boost for `rounds`; with `validation`, also the log loss by round on both.

    With `validation`, stop earlier once `stop_after` = (patience, least rounds) is over: that many rounds without a
    better log loss on it, and no less than that many in all. Without, stop after `enough()` rounds where that is given:
    it is asked after the least, and may wait for its answer.
    """
    import xgboost as xgb

    history: dict[str, dict[str, list[float]]] = {}
    watched = [(train, "train"), (validation, "validation")] if validation is not None else []
    booster = xgb.train(
        params,
        train,
        rounds,
        evals=watched,
        evals_result=history,
        verbose_eval=False,
        callbacks=[watch(rounds, *stop_after) if enough is None else until(enough, stop_after[1])],
    )
    return booster, {name: values["logloss"] for name, values in history.items()}


def watch(rounds: int, patience: int, least: int) -> Any:
    """A callback of XGBoost that tells how a fit of so many `rounds` goes, and ends it as `fit` says."""
    import xgboost as xgb

    began = time.monotonic()

    class Watch(xgb.callback.TrainingCallback):  # type: ignore[misc]  # the base is untyped
        """Tells every 25 rounds where the fit stands and how long it may take; ends it when patience is over."""

        def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:  # noqa: ARG002
            done = epoch + 1
            if (done % 25 == 0 or done == rounds) and xgb.collective.get_rank() == 0:
                losses = "".join(f"  {name} {values['logloss'][-1]:.4f}" for name, values in evals_log.items())
                told = f"  log loss:{losses}" if losses else ""
                left = (time.monotonic() - began) / done * (rounds - done)
                print(f"  round {done}/{rounds}{told}  at most {left:.0f} s left", flush=True)
            if "validation" not in evals_log:
                return False
            return done >= least and done - best_round(evals_log["validation"]["logloss"]) >= patience

    return Watch()


def until(enough: Callable[[], int], least: int) -> Any:
    """A callback of XGBoost that ends a fit after `enough()` rounds, which is asked after the `least`."""
    import xgboost as xgb

    class Until(xgb.callback.TrainingCallback):  # type: ignore[misc]  # the base is untyped
        """Ends a fit once it has as many rounds as are wanted."""

        def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, Any]) -> bool:  # noqa: ARG002
            return epoch + 1 >= least and epoch + 1 >= enough()

    return Until()


def best_round(losses: list[float]) -> int:
    """The number of rounds with the lowest loss, the first of equals."""
    return int(np.argmin(losses)) + 1


def quantized(
    x: Matrix, y: npt.NDArray[np.int8], names: list[str], categories: dict[str, list[str]], max_bin: int
) -> Any:
    """Training data in XGBoost's binned form."""
    import xgboost as xgb

    types = ["c" if name in categories else "q" for name in names]
    return xgb.QuantileDMatrix(x, y, feature_names=names, feature_types=types, max_bin=max_bin, nthread=threads())


def plain(x: Matrix, names: list[str], categories: dict[str, list[str]], y: npt.NDArray[np.int8] | None = None) -> Any:
    """Data to predict on."""
    import xgboost as xgb

    types = ["c" if name in categories else "q" for name in names]
    return xgb.DMatrix(x, y, feature_names=names, feature_types=types, nthread=threads())


def threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
