"""Predictor of features that are ready, for `serve`: what a model without feature code is served by."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xgboost as xgb


class Predictor:
    """A booster, asked in one thread."""

    def __init__(self, booster: xgb.Booster) -> None:
        self._booster = booster
        self._names = booster.feature_names
        booster.set_param({"nthread": 1})

    def predict(self, rows: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        """Probabilities of rows, columns by the names that the booster was trained with."""
        x = np.array([rows[name] for name in self._names], dtype=np.float32).T
        return {"p": self._booster.inplace_predict(np.ascontiguousarray(x)).astype(np.float64).tolist()}


def load(folder: Path) -> Predictor:
    """The predictor of `folder`/model.ubj."""
    booster = xgb.Booster()
    booster.load_model(folder / "model.ubj")
    return Predictor(booster)
