"""The features by name: their group, and which way each may move the risk."""

from dataclasses import dataclass
from typing import Literal

Group = Literal["schedule", "congestion", "live", "rotation", "weather", "history"]
GROUPS: tuple[Group, ...] = ("schedule", "congestion", "live", "rotation", "weather", "history")


@dataclass(frozen=True)
class Feature:
    """A column of the model; `monotone`: +1 more of it must never lower the risk, -1 the reverse, 0 either way."""

    name: str
    group: Group
    monotone: int = 0
    category: bool = False


FEATURES = (
    Feature("dep_minute", "schedule"),
    Feature("arr_minute", "schedule"),
    Feature("block_minutes", "schedule"),
    Feature("distance", "schedule"),
    Feature("weekday", "schedule"),
    Feature("carrier", "schedule", category=True),
    Feature("origin", "schedule", category=True),
    Feature("dest", "schedule", category=True),
    Feature("departures_origin", "congestion"),
    Feature("departures_origin_carrier", "congestion"),
    Feature("late_dep_origin_2h", "live", +1),
    Feature("late_dep_origin_6h", "live", +1),
    Feature("late_dep_origin_carrier_3h", "live", +1),
    Feature("late_dep_nyc_2h", "live", +1),
    Feature("late_dep_dest_6h", "live", +1),
    Feature("late_dep_carrier_6h", "live", +1),
    Feature("cancelled_origin_2h", "live", +1),
    Feature("cancelled_origin_12h", "live", +1),
    Feature("cancelled_dest_12h", "live", +1),
    Feature("cancelled_carrier_12h", "live", +1),
    Feature("dep_delay_origin_1h", "live", +1),
    Feature("dep_delay_origin_carrier_3h", "live", +1),
    Feature("late_arr_dest_6h", "live", +1),
    Feature("late_arr_nyc_3h", "live", +1),
    Feature("queue_origin", "live", +1),
    Feature("queue_origin_carrier", "live", +1),
    Feature("tail_arr_delay", "rotation", +1),
    Feature("tail_minutes_since", "rotation"),
    Feature("temp", "weather"),
    Feature("dewp", "weather"),
    Feature("humid", "weather"),
    Feature("wind_dir", "weather"),
    Feature("wind_speed", "weather", +1),
    Feature("wind_gust", "weather", +1),
    Feature("precip", "weather", +1),
    Feature("pressure", "weather", -1),
    Feature("visib", "weather", -1),
    Feature("late_carrier_7d", "history", +1),
    Feature("late_carrier_28d", "history", +1),
    Feature("late_route_28d", "history", +1),
    Feature("late_dest_7d", "history", +1),
    Feature("late_flight_28d", "history", +1),
    Feature("known_flight_28d", "history"),
    Feature("late_origin_carrier_hour_28d", "history", +1),
)
