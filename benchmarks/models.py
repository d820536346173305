"""Models of the worked example for the tables of `gate.py`: what each predicted for October to December 2013."""

import contextlib
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before anything loads OpenMP

import numpy as np
import numpy.typing as npt
import polars as pl
from backtest import PARAMS, whole_year

from flights.booster import fit, matrix, plain, quantized, vocabulary
from flights.catalog import GROUPS, Group
from flights.params import read_section
from flights.train import Train, chosen_features
from pushforward.gate.decision import judge
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Verdict
from pushforward.settings import GateRules

Floats = npt.NDArray[np.float64]

SEEDS = range(31)
ROUNDS, LEARNING_RATE = 60, 0.2  # a third of the pipeline's rounds, at twice its rate: as good within .001 log loss
FEWER = (10, 15)
FULL = f"seed {SEEDS[0]}"
# What the champion lacks, for a challenger that is better in truth.
GAINS = {
    "aircraft rotation as features": "no rotation",
    f"{ROUNDS} rounds instead of {FEWER[1]}": f"{FEWER[1]} rounds",
    f"{ROUNDS} rounds instead of {FEWER[0]}": f"{FEWER[0]} rounds",
}
# Recipes whose level follows the season, for want of recent outcomes among their features.
TRAPS: dict[str, tuple[Group, ...]] = {
    "timetable alone": ("schedule", "congestion"),
    "timetable and weather": ("schedule", "weather"),
}


class Holdout:
    """Labels, days and everybody's predictions of the rows of October to December."""

    def __init__(self, tables: dict[str, npt.NDArray[np.generic]]) -> None:
        self.y = tables.pop("y").astype(np.float64)
        self.day = tables.pop("day").astype(np.int64)
        self.origin = tables.pop("origin")
        self.p = {name: p.astype(np.float64) for name, p in tables.items()}
        self.first = int(self.day.min())

    def window(self, start: int, days: int) -> npt.NDArray[np.bool_]:
        """The rows of `days` days from day `start` on, October 1 being 0."""
        return (self.day >= self.first + start) & (self.day < self.first + start + days)

    def starts(self, days: int) -> range:
        """Every day on which a window of so many days can begin."""
        return range(int(self.day.max()) - self.first + 2 - days)


def kept(name: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """What `make` gives, from the temporary folder where this very code has put it before."""
    here = Path(__file__)
    sources = [here, here.with_name("backtest.py"), PARAMS, *sorted((here.parents[1] / "src/flights").glob("*.py"))]
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"pushforward-benchmark-{os.getuid()}" / f"{name}-{code}.parquet"
    if not path.is_file():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        made = make()
        made.write_parquet(path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return pl.read_parquet(path)


def predictions() -> pl.DataFrame:
    """One column of predictions a model, beside the labels of October to December."""
    year = kept("features", whole_year)
    test = year.filter(pl.col("month") >= "2013-10")
    train, shorter = (year.filter(pl.col("month") < month) for month in ("2013-10", "2013-09"))
    columns = {f"seed {seed}": p for (seed, _), p in trained(train, test, GROUPS, SEEDS, [ROUNDS]).items()}
    for (_, rounds), p in trained(train, test, GROUPS, SEEDS[:1], FEWER).items():
        columns[f"{rounds} rounds"] = p
    without = [group for group in GROUPS if group != "rotation"]
    columns["no rotation"] = trained(train, test, without, SEEDS[:1], [ROUNDS])[SEEDS[0], ROUNDS]
    for name, groups in TRAPS.items():
        for until, table in (("August", shorter), ("September", train)):
            columns[f"{name} to {until}"] = trained(table, test, groups, SEEDS[:1], [ROUNDS])[SEEDS[0], ROUNDS]
    print(f"{len(columns)} models trained", file=sys.stderr, flush=True)
    return pl.DataFrame(columns).with_columns(
        y=test["label_late"], day=test["label_date"].to_physical(), origin=test["label_origin"]
    )


def trained(
    train: pl.DataFrame, test: pl.DataFrame, groups: Sequence[Group], seeds: Iterable[int], rounds: Sequence[int]
) -> dict[tuple[int, int], Floats]:
    """Predictions for `test` by seed and number of rounds; all models share one binned matrix."""
    settings = read_section("train", Train, PARAMS)
    chosen = chosen_features(list(groups))
    names = [feature.name for feature in chosen]
    categories = vocabulary([train], chosen)
    y = train["label_late"].to_numpy()
    x = quantized(matrix(train, names, categories), y, names, categories, settings.max_bin)
    asked = plain(matrix(test, names, categories), names, categories)
    found = {}
    for seed in seeds:
        params = settings.booster_params(chosen) | {"nthread": 1, "seed": seed, "learning_rate": LEARNING_RATE}
        with contextlib.redirect_stdout(io.StringIO()):
            booster, _ = fit(x, params, max(rounds))
        for count in rounds:
            found[seed, count] = booster.predict(asked, iteration_range=(0, count)).astype(np.float64)
    return found


def holdout() -> Holdout:
    """The rows of October to December with everybody's predictions, from the temporary folder where they are there."""
    table = kept("predictions", predictions)
    return Holdout({name: table[name].to_numpy() for name in table.columns})


def judged(
    holdout: Holdout, rows: npt.NDArray[np.bool_], champion: Floats, challenger: Floats, alpha: float
) -> Verdict:
    """The whole gate on some rows of the holdout, for a change of code."""
    evidence = Evidence(
        y=holdout.y[rows],
        champion=champion[rows],
        challenger=challenger[rows],
        clusters=holdout.day[rows],
        mode="superior",
        months=(),
        slices={"origin": holdout.origin[rows]},
    )
    return judge(evidence, GateRules(alpha=alpha, slices=["origin"]))
