"""One flight, step by step: `python -m flights.explain rows.parquet events.parquet out.json`, as `predict` scores it.

What it tells: the facts that were joined to the flight, those that were not known yet when the question was asked, the
features, and what each adds to the log odds. Features and probability are made by the very calls of `predict`, so they
are equal to the bit.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from flights.booster import matrix, plain
from flights.catalog import GROUPS
from flights.errors import SETTINGS, StageError, run_stage
from flights.features import ORDER, features
from flights.predict import load
from flights.schema import EVENTS, ROWS, WEATHER, read_table
from flights.spans import COUNTED, HISTORY_SHARES, IN_TIME, ROTATION_SECONDS, WEATHER_SECONDS, Share

UNITS = {
    "temp": "°F",
    "dewp": "°F",
    "humid": "%",
    "wind_dir": "°",
    "wind_speed": "mph",
    "wind_gust": "mph",
    "precip": "in",
    "pressure": "mbar",
    "visib": "mi",
    "distance": "mi",
    "block_minutes": "min",
    "tail_arr_delay": "min",
    "tail_minutes_since": "min",
    "dep_delay_origin_1h": "min",
    "dep_delay_origin_carrier_3h": "min",
}
LATER = 6  # facts that came after the question, of the aircraft and of the sky, that are named at most

Line = dict[str, Any]


def explain(manifest: dict[str, Any], booster: Any, row: pl.DataFrame, events: pl.DataFrame) -> dict[str, Any]:
    """The steps from one row of `ROWS` to its probability; raises `StageError` where there is another number of rows.

    `steps` are tables of name, value, unit and note; `contributions` are SHAP values (Lundberg and Lee 2017) in log
    odds, which with their base add up to the log odds of `prediction`.
    """
    if row.height != 1:
        raise StageError(f"one flight is explained at a time, not {row.height}")
    wanted = manifest["features"]
    names, used = [one["name"] for one in wanted], {one["group"] for one in wanted}
    table = features(row, events, [group for group in GROUPS if group in used])
    x = matrix(table, names, manifest["categories"])
    data = plain(x, names, manifest["categories"])
    p = float(booster.predict(data).astype(np.float64)[0])
    moved = booster.predict(data, pred_contribs=True)[0].astype(np.float64).tolist()
    values = {name: table[name][0] for name in names}
    asked = row["decided_at"][0]
    known, later = events.filter(pl.col("known_at") <= asked), events.filter(pl.col("known_at") > asked)
    steps = [
        {"name": "joined", "rows": list(_joined(row, known.sort(ORDER)))},
        {"name": "not known yet", "rows": list(_later(row, later.sort(ORDER)))},
        {"name": "features", "rows": [_feature(one, values[one["name"]]) for one in wanted]},
    ]
    parts = [
        {"name": name, "value": values[name], "contribution": part}
        for name, part in zip(names, moved[:-1], strict=True)
    ]
    return {
        "steps": steps,
        "contributions": {"link": "logit", "base": moved[-1], "parts": parts},
        "prediction": p,
    }


def _feature(feature: dict[str, Any], value: Any) -> Line:
    return _line(feature["name"], value, note=feature["group"])


def _line(name: str, value: Any, note: str = "") -> Line:
    found = {"name": name, "value": value, "unit": UNITS.get(name, ""), "note": note}
    return {key: one for key, one in found.items() if one != "" or key == "value"}


def _joined(row: pl.DataFrame, known: pl.DataFrame) -> Iterator[Line]:
    """What is known of the sky, the aircraft, and of flights like this one; `known` is in the order of time."""
    asked: datetime = row["decided_at"][0]

    def last(kind: str, key: str, seconds: int) -> dict[str, Any] | None:
        since = asked - timedelta(seconds=seconds)
        mine = (pl.col("kind") == kind) & (pl.col(key) == row[key][0]) & (pl.col("known_at") > since)
        found = known.filter(mine).tail(1).to_dicts()
        return found[0] if found else None

    hour = last("weather", "origin", WEATHER_SECONDS)
    if hour is None:
        yield _line("weather", None, note=f"no reading of {row['origin'][0]} in the last 3 h")
    else:
        yield _line("weather", row["origin"][0], note=f"known {_moment(hour['known_at'])}")
        yield from (_line(name, hour[name]) for name in WEATHER)
    leg = last("arrived", "tailnum", ROTATION_SECONDS) if row["tailnum"][0] is not None else None
    if row["tailnum"][0] is None:
        yield _line("aircraft", None, note="the timetable does not say which")
    elif leg is None:
        yield _line("aircraft", row["tailnum"][0], note="no leg of it arrived in the last 18 h")
    else:
        told = f"{leg['origin']} to {leg['dest']}, {leg['delay']:+d} min, known {_moment(leg['known_at'])}"
        yield _line("aircraft", row["tailnum"][0], note=told)
    for name, share in HISTORY_SHARES.items():
        yield _month(name, share, row, known)


def _month(name: str, share: Share, row: pl.DataFrame, known: pl.DataFrame) -> Line:
    """How many flights like this one a share of history stands on, and how many of them were late."""
    since: datetime = row["decided_at"][0] - timedelta(seconds=share.seconds)
    # history begins a day into the month before: `reach` of `features`
    month = row["dep_local"].dt.truncate("1mo").dt.offset_by("-1mo").dt.offset_by("1d")[0]
    reach = since.replace(year=month.year, month=month.month, day=month.day, hour=0, minute=0, second=0, microsecond=0)
    kinds = COUNTED[share.counted]
    keys = {key: row[key][0] if key != "hour" else row["dep_local"][0].hour for key in share.keys}
    like = pl.all_horizontal(pl.col(key) == value for key, value in keys.items())
    told = pl.col("kind").is_in(list(kinds)) & (~pl.col("kind").is_in(list(IN_TIME)) | (pl.col("late") == 0))
    found = known.filter(like & told & (pl.col("known_at") > max(since, reach)))
    late = int(found["kind"].is_in([kind for kind, mark in kinds.items() if mark]).sum())
    which = f"late, of {', '.join(f'{key} {value}' for key, value in keys.items())}"
    return _line(name, f"{late} of {found.height}", note=which)


def _later(row: pl.DataFrame, later: pl.DataFrame) -> Iterator[Line]:
    """What came after the question, the first first: of this flight, of its aircraft, of the sky at its origin."""
    mine = later.filter(pl.col("flight_id") == row["flight_id"][0])
    others = later.filter(pl.col("flight_id").is_null() | (pl.col("flight_id") != row["flight_id"][0]))
    until = pl.col("known_at") <= row["sched_dep"][0]
    about = (pl.col("tailnum") == row["tailnum"][0]) & (pl.col("kind") != "scheduled") & until
    sky = (pl.col("kind") == "weather") & (pl.col("origin") == row["origin"][0]) & until
    for of, found in (("this flight", mine), ("its aircraft", others.filter(about)), ("the sky", later.filter(sky))):
        for event in found.head(LATER).to_dicts():
            ahead = round((event["known_at"] - row["decided_at"][0]).total_seconds() / 60)
            told = f"known {_moment(event['known_at'])}, {ahead} min after the question"
            yield _line(f"{of}: {event['kind']}", event["delay"], note=told)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def main(arguments: list[str]) -> None:
    """Read a row and events, write the steps as JSON."""
    if len(arguments) != 3:
        raise StageError(
            f"expected 3 files, got {len(arguments)}",
            next_step="python -m flights.explain rows.parquet events.parquet out.json",
            exit_code=SETTINGS,
        )
    rows, events, out = (Path(argument) for argument in arguments)
    asked = read_table(rows, ROWS, required=[name for name in ROWS if name != "tailnum"])
    told = explain(*load(), asked, read_table(events, EVENTS, required=["known_at", "kind"]))
    out.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"{asked['flight_id'][0]}: {told['prediction']!r}", flush=True)


if __name__ == "__main__":
    run_stage(main)
