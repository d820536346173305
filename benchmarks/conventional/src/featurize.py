"""Columns for the model: the schedule, the weather, what was late before."""

from pathlib import Path

import pandas as pd

table = pd.read_parquet("data/prepared/flights.parquet")
columns = pd.DataFrame(
    {
        "minute": table["sched_dep_time"] // 100 * 60 + table["sched_dep_time"] % 100,
        "arrives": table["sched_arr_time"] // 100 * 60 + table["sched_arr_time"] % 100,
        "weekday": table["date"].dt.weekday,
        "distance": table["distance"],
    }
)
for name in ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]:
    columns[name] = table[name]
for key in ["carrier", "origin", "dest"]:
    columns[key] = table[key].astype("category").cat.codes
for keys in (["carrier"], ["origin"], ["dest"], ["tailnum"], ["carrier", "dest"], ["origin", "hour"]):
    daily = table.groupby([*keys, "date"])["late"].agg(["sum", "count"]).reset_index()
    daily[["before", "rows"]] = daily.groupby(keys)[["sum", "count"]].cumsum() - daily[["sum", "count"]].to_numpy()
    daily["share"] = (daily["before"] + 5) / (daily["rows"] + 20)
    joined = table[[*keys, "date"]].merge(daily[[*keys, "date", "share", "rows"]], on=[*keys, "date"], how="left")
    columns["_".join(keys) + "_share"], columns["_".join(keys) + "_rows"] = joined["share"], joined["rows"]
columns["tail_delay"] = table.groupby("tailnum")["arr_delay"].shift()
for origin_keys in (["origin"], ["origin", "carrier"]):
    hourly = table.groupby([*origin_keys, "date", "hour"])["dep_delay"].mean().rename("delay").reset_index()
    hourly["hour"] += 2
    joined = table[[*origin_keys, "date", "hour"]].merge(hourly, on=[*origin_keys, "date", "hour"], how="left")
    columns["_".join(origin_keys) + "_delay"] = joined["delay"]
columns["late"], columns["month"] = table["late"], table["month"]
out = Path("data/features")
out.mkdir(parents=True, exist_ok=True)
last = columns["month"].max()
columns[columns["month"] < last].drop(columns="month").to_parquet(out / "train.parquet")
columns[columns["month"] == last].drop(columns="month").to_parquet(out / "test.parquet")
