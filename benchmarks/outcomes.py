"""The naive live loss and ours against the truth, on the real year: `python benchmarks/outcomes.py`.

A model of January to March serves from April on. Each day at four hours, at which more or less of the answers have
an outcome, the live loss is taken as a monitor would: over all that is known, and over what is old enough. The truth is
the loss over all that was asked until then. Prints one table by days after the cut, one by the hour, and what the last
day alone looks like. Two minutes of one core; features are those of backtest.py.
"""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from backtest import MONTHS, boosted, month_tables, whole_year

from flights.outcomes import outcomes as outcomes_of
from pushforward.gate import stats
from pushforward.monitoring import outcomes
from pushforward.monitoring.outcomes import KEY, KNOWN, LABEL, TIME

SERVED = MONTHS[3:]
HOURS = (0, 6, 12, 18)  # UTC: 8 in the evening, 2, 8 and 14 o'clock in New York
DAYS = (1, 2, 3, 5, 7, 14, 30, 60, 120, 240)


def answers() -> pl.DataFrame:
    """What a model of January to March answers from April on, with label and the moment that it is known."""
    year = whole_year()
    train, served = year.filter(pl.col("month").is_in(MONTHS[:3])), year.filter(pl.col("month").is_in(SERVED))
    _, p, rounds = boosted(train, served)
    print(f"{rounds} rounds", file=sys.stderr)
    told = pl.concat(outcomes_of(labels, events) for _, events, labels in map(month_tables, SERVED))
    asked = pl.concat(rows.select("flight_id", "decided_at") for rows, _, _ in map(month_tables, SERVED))
    table = served.select("flight_id").with_columns(p=p).join(asked, on="flight_id").join(told, on="flight_id")
    return table.rename({"flight_id": KEY, "decided_at": TIME, "late": LABEL}).sort(TIME)


def looks(table: pl.DataFrame) -> pl.DataFrame:
    """One row a look: the loss by all three, and the same of the last day alone."""
    start = datetime.fromisoformat(f"{SERVED[0]}-01").replace(tzinfo=UTC)
    losses = stats.log_loss(table[LABEL].to_numpy().astype(np.float64), table["p"].to_numpy())
    table = table.with_columns(loss=losses)
    found = []
    for day in sorted({*DAYS, *range(4, 272, 4)}):
        for hour in HOURS:
            now = start + timedelta(days=day, hours=hour)
            asked = table.filter(pl.col(TIME) <= now)
            known = asked.with_columns(pl.when(pl.col(KNOWN) <= now).then(KNOWN).alias(KNOWN))
            wait = outcomes.learned(known[TIME], known[KNOWN], now)
            old = outcomes.settled(known, wait, now)
            row = {"day": day, "hour": hour, "age": wait.age.total_seconds() / 3600 if wait.age else None}
            for name, since in (("", start), ("_last", now - timedelta(days=1))):
                seen = known.filter(pl.col(KNOWN).is_not_null() & (pl.col(TIME) > since))
                ours = old.filter(pl.col(KNOWN).is_not_null())
                # the last whole day that counts: a day before the newest answer that is old enough
                if name:
                    ours = ours.filter(pl.col(TIME) > now - timedelta(days=1) - (wait.age or timedelta()))
                truth = asked.filter(pl.col(TIME) > since)
                row |= {f"truth{name}": truth["loss"].mean(), f"naive{name}": seen["loss"].mean()}
                row |= {f"rate{name}": truth[LABEL].mean(), f"naive_rate{name}": seen[LABEL].mean()}
                row |= {f"ours{name}": ours["loss"].mean(), f"ours_rate{name}": ours[LABEL].mean()}
                # ours ends earlier: held against the truth of its own rows
                own = asked.filter(pl.col(TIME) <= now - (wait.age or timedelta()))
                if name:
                    own = own.filter(pl.col(TIME) > now - timedelta(days=1) - (wait.age or timedelta()))
                row |= {f"own{name}": own["loss"].mean(), f"own_rate{name}": own[LABEL].mean()}
            found.append(row)
    return pl.DataFrame(found, infer_schema_length=None)


def main() -> None:
    """Print the tables."""
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=4):
        table = looks(answers())
        by_day = table.filter(pl.col("day").is_in(DAYS)).group_by("day", maintain_order=True)
        since = {
            "naive": pl.col("naive") - pl.col("truth"),
            "ours": pl.col("ours") - pl.col("own"),
            "naive_rate": pl.col("naive_rate") - pl.col("rate"),
            "ours_rate": pl.col("ours_rate") - pl.col("own_rate"),
        }
        print("All since the cut: the loss in truth; the worst of four hours off the truth of the rows that are meant")
        worst = [one.abs().max().alias(f"{name}_worst") for name, one in since.items()]
        print(by_day.agg(pl.col("age").mean().alias("age_hours"), pl.col("truth").mean(), *worst))
        last = table.filter(pl.col("ours_last").is_not_null())
        gaps = {
            "naive": pl.col("naive_last") - pl.col("truth_last"),
            "ours": pl.col("ours_last") - pl.col("own_last"),
            "naive_rate": pl.col("naive_rate_last") - pl.col("rate_last"),
            "ours_rate": pl.col("ours_rate_last") - pl.col("own_rate_last"),
        }
        told = [one.mean().alias(name) for name, one in gaps.items()]
        told += [one.abs().max().alias(f"{name}_worst") for name, one in gaps.items()]
        print("The last day alone, by the hour of the look (UTC): what is off the truth of the same rows")
        print(last.group_by("hour", maintain_order=True).agg(*told))


if __name__ == "__main__":
    main()
