"""Predictor of a model folder for requests, one row or many: what `predict` tells of tables, equal to the bit.

`load` is what `serve` of pushforward.yaml names. Events are told as they come; no table is made on the way.
"""

from itertools import count
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from flights.booster import Matrix, threads
from flights.catalog import FEATURES
from flights.online import Online
from flights.predict import load as load_model
from flights.told import Columns

# Fewer rows than this are answered by one thread sooner than several are woken.
FEW = 200


def load(folder: Path) -> "Predictor":
    """The predictor of the model in `folder`, which no event is known to; raises `StageError` as `predict` does."""
    return Predictor(*load_model(folder))


class Predictor:
    """A booster and the events that its features are made of."""

    def __init__(self, manifest: dict[str, Any], booster: Any) -> None:
        self._names = [feature["name"] for feature in manifest["features"]]
        self._codes = {
            feature.name: (place, dict(zip(manifest["categories"].get(feature.name, ()), count(0.0, 1.0))))
            for place, feature in enumerate(FEATURES)
            if feature.category
        }
        place = {feature.name: place for place, feature in enumerate(FEATURES)}
        self._places = [place[name] for name in self._names]
        self._many, self._few = booster, booster.copy()
        self._many.set_param({"nthread": threads()})
        self._few.set_param({"nthread": 1})
        self._events = Online()
        self._asked: tuple[Columns, Matrix] | None = None

    def observe(self, events: Columns) -> None:
        """Take note of events, columns of `EVENTS`: in any order, once where they come twice."""
        self._asked = None
        self._events.observe(events)

    def predict(self, rows: Columns) -> dict[str, list[float]]:
        """`p`, the probability of being late, for every row of columns of `ROWS`.

        Raises ValueError, with the column, for rows that cannot be answered: see `Online.features`.
        """
        x = self._matrix(rows)
        booster = self._few if len(x) < FEW else self._many
        p = booster.inplace_predict(x) if len(x) else np.zeros(0, dtype=np.float32)
        return {"p": p.astype(np.float64).tolist()}

    def features(self, rows: Columns) -> dict[str, list[float | None]]:
        """What the booster is given for every row, by feature: categories as their code, None where not known."""
        columns = self._matrix(rows).astype(np.float64).T.tolist()
        return {
            name: [None if isnan(value) else value for value in column]
            for name, column in zip(self._names, columns, strict=True)
        }

    def _matrix(self, rows: Columns) -> Matrix:
        """Features as `matrix` of `booster` has them; those of the same rows, asked twice in turn, are read once."""
        if self._asked is not None and self._asked[0] is rows:
            return self._asked[1]
        table = self._events.features(rows).astype(np.float32)
        for name, (place, codes) in self._codes.items():
            table[:, place] = [codes.get(value, np.nan) for value in rows[name]]
        x = table if len(self._places) == len(FEATURES) else np.ascontiguousarray(table[:, self._places])
        self._asked = rows, x
        return x
