"""Join flights and weather, and set the last month aside."""

from pathlib import Path

import pandas as pd
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())["prepare"]
flights = pd.concat([pd.read_csv(path) for path in sorted(Path("data/raw").glob("flights-*.csv"))])
weather = pd.concat([pd.read_csv(path) for path in sorted(Path("data/raw").glob("weather-*.csv"))])
readings = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
weather = weather[["origin", "time_hour", *readings]].drop_duplicates(["origin", "time_hour"])
table = flights.merge(weather, on=["origin", "time_hour"], how="left")
table["late"] = ((table["arr_delay"] > params["late_after_minutes"]) | table["arr_delay"].isna()).astype(int)
table["date"] = pd.to_datetime(table[["year", "month", "day"]])
table = table.sort_values(["date", "sched_dep_time", "carrier", "flight"]).reset_index(drop=True)
out = Path("data/prepared")
out.mkdir(parents=True, exist_ok=True)
table.to_parquet(out / "flights.parquet")
