"""Rolling origin, months 4 to 12 of 2013, each by a model of every earlier month: `python benchmarks/backtest.py`.

Needs the test environment (scikit-learn for the baseline). Prints a table by month and checks its means against the
bounds at the end of this file; exits 1 when one is missed. About three minutes on two cores.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from flights.booster import matrix, plain, vocabulary
from flights.catalog import FEATURES
from flights.coded import held
from flights.collect import Collect, collect
from flights.features import features
from flights.metrics import auc, brier, calibration_error, log_loss
from flights.params import read_section
from flights.spans import DAY
from flights.timeline import events_of, labels_of, rows_of
from flights.train import Features, Fitter, Train, chosen_features
from flights.validate import Validate, checked_flights, checked_weather
from flights.windows import Timeline, asked_seconds, known_seconds

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
PARAMS = Path(__file__).parents[1] / "params.yaml"
MONTHS = [f"2013-{number:02d}" for number in range(1, 13)]
Probabilities = npt.NDArray[np.float64]


def month_tables(month: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows, events and labels of a month."""
    source, settings = read_section("collect", Collect, PARAMS), read_section("validate", Validate, PARAMS)
    flights = checked_flights(collect(month, "flights", source), month, settings)
    weather, _ = checked_weather(collect(month, "weather", source), month, settings)
    limit = settings.late_after_minutes
    return rows_of(flights), events_of(flights, weather, limit), labels_of(flights, limit)


def whole_year() -> pl.DataFrame:
    """Features, labels, month and the trailing rate of every flight."""
    parts = []
    before: list[pl.DataFrame] = []
    for month in MONTHS:
        rows, events, labels = month_tables(month)
        known = pl.concat([*before, events])
        table = features(rows, known)
        slices = labels.drop("flight_id").rename(lambda name: f"label_{name}")
        parts.append(table.with_columns(month=pl.lit(month), trailing=trailing_rate(rows, known)).hstack(slices))
        before = [events]
        print(f"{month}: {table.height:,} flights", file=sys.stderr, flush=True)
    return pl.concat(parts)


def trailing_rate(rows: pl.DataFrame, events: pl.DataFrame) -> pl.Series:
    """Share of late flights among all whose outcome became known in the last 28 days."""
    late = events["kind"].is_in(["cancelled", "arrival_overdue"])
    known = late | ((events["kind"] == "arrived") & (events["late"] == 0).fill_null(value=False))
    seconds = known_seconds(events["known_at"].filter(known))
    timeline = Timeline.of(np.zeros_like(seconds), seconds, late.filter(known).cast(pl.Int64).to_numpy())
    asked = asked_seconds(rows["decided_at"])
    count, total = timeline.between(np.zeros_like(asked), asked - 28 * DAY, asked)
    return pl.Series((total + 1) / (count + 4))


def boosted(train: pl.DataFrame, test: pl.DataFrame) -> tuple[Probabilities, Probabilities, int]:
    """What the pipeline ships: rounds by the last training month, then a fit on all; p of train, p of test, rounds."""
    settings = read_section("train", Train, PARAMS)
    chosen = chosen_features(read_section("features", Features, PARAMS).groups)
    names = [feature.name for feature in chosen]
    months = sorted(train["month"].unique())
    parts = [held(train.filter(pl.col("month") == month)) for month in months]
    fitter = Fitter(chosen, settings)
    rounds, _, _ = fitter.pick_rounds(parts[:-1], parts[-1]())
    booster, categories = fitter.fit_all(parts, lambda: rounds)
    p_train, p_test = (
        booster.predict(plain(matrix(part, names, categories), names, categories)).astype(np.float64)
        for part in (train, test)
    )
    return p_train, p_test, rounds


def logistic(train: pl.DataFrame, test: pl.DataFrame) -> Probabilities:
    """Logistic regression on the same features: standardized, missing as the mean, categories one-hot, C 0.05."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = vocabulary([train], list(FEATURES))
    names = [feature.name for feature in FEATURES]
    numbers = [place for place, name in enumerate(names) if name not in categories]
    codes = [place for place, name in enumerate(names) if name in categories]
    model = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
            (
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value=-1), OneHotEncoder(handle_unknown="ignore")
                ),
                codes,
            ),
        ),
        LogisticRegression(C=0.05, max_iter=1000),
    )
    model.fit(matrix(train, names, categories), train["label_late"].to_numpy())
    return np.asarray(model.predict_proba(matrix(test, names, categories))[:, 1], dtype=np.float64)


def main() -> int:
    """Print the table and the bounds; 0 when all hold."""
    began = time.process_time()
    year = whole_year()
    results: dict[str, list[tuple[float, float, float, float]]] = {}
    gaps = []
    print(f"{'month':9}{'model':15}{'AUC':>8}{'log loss':>10}{'Brier':>8}{'ECE':>8}{'rounds':>8}{'CPU s':>8}")
    for month in MONTHS[3:]:
        train, test = year.filter(pl.col("month") < month), year.filter(pl.col("month") == month)
        y = test["label_late"].to_numpy()
        start = time.process_time()
        p_train, p_test, rounds = boosted(train, test)
        seconds = time.process_time() - start
        gaps.append(auc(train["label_late"].to_numpy(), p_train) - auc(y, p_test))
        predicted = {
            "pushforward": p_test,
            "logistic": logistic(train, test),
            "trailing 28 d": test["trailing"].to_numpy(),
            "base rate": np.full(len(y), train["label_late"].cast(pl.Float64).mean()),
        }
        for name, p in predicted.items():
            scores = (auc(y, p), log_loss(y, p), brier(y, p), calibration_error(y, p))
            results.setdefault(name, []).append(scores)
            cost = f"{rounds:8}{seconds:8.1f}" if name == "pushforward" else ""
            print(f"{month:9}{name:15}" + _row(scores) + cost, flush=True)
    means = {name: np.mean(scores, axis=0) for name, scores in results.items()}
    for name, mean in means.items():
        print(f"{'mean':9}{name:15}" + _row(mean))
    late_months = float(np.mean([scores[0] for scores in results["pushforward"][-3:]]))
    held = _check(means, late_months, max(gaps))
    print(f"{time.process_time() - began:.0f} CPU s")
    return 0 if held else 1


def _row(scores: "tuple[float, ...] | npt.NDArray[np.float64]") -> str:
    return "{:8.4f}{:10.4f}{:8.4f}{:8.4f}".format(*scores)


def _check(means: dict[str, npt.NDArray[np.float64]], late_months: float, gap: float) -> bool:
    ours = dict(zip(("auc", "logloss", "brier", "ece"), map(float, means["pushforward"]), strict=True))
    bounds = [
        ("mean AUC at least .755", ours["auc"] >= 0.755, ours["auc"]),
        ("mean AUC at most .79 (more is suspect)", ours["auc"] <= 0.79, ours["auc"]),
        ("mean log loss at most .470", ours["logloss"] <= 0.470, ours["logloss"]),
        ("mean Brier at most .151", ours["brier"] <= 0.151, ours["brier"]),
        ("mean ECE at most .035", ours["ece"] <= 0.035, ours["ece"]),
        ("AUC of months 10 to 12 at least .730", late_months >= 0.730, late_months),
        (
            "log loss below logistic by .005",
            means["logistic"][1] - ours["logloss"] >= 0.005,
            means["logistic"][1] - ours["logloss"],
        ),
        (
            "log loss below trailing by .08",
            means["trailing 28 d"][1] - ours["logloss"] >= 0.08,
            means["trailing 28 d"][1] - ours["logloss"],
        ),
        ("train minus test AUC at most .10", gap <= 0.10, gap),
    ]
    for text, holds, value in bounds:
        print(f"{'pass' if holds else 'FAIL'}  {text}: {value:.4f}")
    return all(holds for _, holds, _ in bounds)


if __name__ == "__main__":
    sys.exit(main())
