"""Spans: what features count over the time before a question, by which keys; told once for all who compute them.

`features` computes them for whole tables, `online` as events come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

HOUR = 3600
DAY = 24 * HOUR
KEYS = ("origin", "dest", "carrier", "flight", "tailnum", "hour")
Keys = tuple[str, ...]
Counted = Literal["departure", "cancellation", "arrival", "outcome"]

# What a share is drawn towards while little is known, and by how many imagined events. Constants, because anything
# averaged over the data would carry the future back; the model corrects their level.
LATE, CANCELLED, DELAY = 0.25, 0.025, 10.0
DELAY_PRIOR = 3

# Which kinds of events are counted together, and which of them are marked: 1. Whether a flight is late is known for one
# in time when it is there, for a late one when the limit has passed: kinds of `IN_TIME` count where `late` is 0.
COUNTED: dict[Counted, Mapping[str, int]] = {
    "departure": {"departed": 0, "departure_overdue": 1},
    "cancellation": {"departed": 0, "departure_overdue": 0, "cancelled": 1},
    "arrival": {"arrived": 0, "arrival_overdue": 1},
    "outcome": {"arrived": 0, "arrival_overdue": 1, "cancelled": 1},
}
IN_TIME = ("departed", "arrived")


@dataclass(frozen=True)
class Share:
    """Share of the marked among the `counted` events of the last `seconds` that agree with a row in `keys`.

    Drawn towards `base` by `prior` imagined events.
    """

    counted: Counted
    keys: Keys
    seconds: int
    prior: int
    base: float = LATE


LIVE_SHARES = {
    "late_dep_origin_2h": Share("departure", ("origin",), 2 * HOUR, 5),
    "late_dep_origin_6h": Share("departure", ("origin",), 6 * HOUR, 5),
    "late_dep_origin_carrier_3h": Share("departure", ("origin", "carrier"), 3 * HOUR, 3),
    "late_dep_nyc_2h": Share("departure", (), 2 * HOUR, 5),
    "late_dep_dest_6h": Share("departure", ("dest",), 6 * HOUR, 3),
    "late_dep_carrier_6h": Share("departure", ("carrier",), 6 * HOUR, 3),
    "cancelled_origin_2h": Share("cancellation", ("origin",), 2 * HOUR, 5, CANCELLED),
    "cancelled_origin_12h": Share("cancellation", ("origin",), 12 * HOUR, 5, CANCELLED),
    "cancelled_dest_12h": Share("cancellation", ("dest",), 12 * HOUR, 5, CANCELLED),
    "cancelled_carrier_12h": Share("cancellation", ("carrier",), 12 * HOUR, 5, CANCELLED),
    "late_arr_dest_6h": Share("arrival", ("dest",), 6 * HOUR, 3),
    "late_arr_nyc_3h": Share("arrival", (), 3 * HOUR, 5),
}
# Mean delay of departures, drawn towards `DELAY` by `DELAY_PRIOR` imagined ones: keys and seconds.
LIVE_DELAYS: dict[str, tuple[Keys, int]] = {
    "dep_delay_origin_1h": (("origin",), HOUR),
    "dep_delay_origin_carrier_3h": (("origin", "carrier"), 3 * HOUR),
}
# These end a day into the month before the row's own as well: `reach` of `features`.
HISTORY_SHARES = {
    "late_carrier_7d": Share("outcome", ("carrier",), 7 * DAY, 20),
    "late_carrier_28d": Share("outcome", ("carrier",), 28 * DAY, 20),
    "late_route_28d": Share("outcome", ("origin", "dest"), 28 * DAY, 20),
    "late_dest_7d": Share("outcome", ("dest",), 7 * DAY, 20),
    "late_flight_28d": Share("outcome", ("carrier", "flight"), 28 * DAY, 4),
    "late_origin_carrier_hour_28d": Share("outcome", ("origin", "carrier", "hour"), 28 * DAY, 10),
}
# How many outcomes a share of history stands on.
HISTORY_COUNTS = {"known_flight_28d": "late_flight_28d"}

# Departures in the timetable this near before and after a row's own, and flights that wait to leave: suffix -> keys.
PER_ORIGIN: dict[str, Keys] = {"origin": ("origin",), "origin_carrier": ("origin", "carrier")}
NEAR = HOUR // 2
# How long before departure a timetable entry must have been known to count: longer than any decision is ahead.
TIMETABLE_NOTICE = timedelta(hours=13)
# A flight waits from its time on until one of these is known of it, and no longer than that.
GONE = ("departed", "cancelled")
QUEUED = timedelta(hours=24)

ROTATION_SECONDS = 18 * HOUR
WEATHER_SECONDS = 3 * HOUR
# Minutes of delay beyond these count as these.
DEPARTURE_DELAYS = (-15, 240)
ARRIVAL_DELAYS = (-60, 480)
