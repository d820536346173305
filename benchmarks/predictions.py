"""Weekly looks at predictions as served, on the real year: `python benchmarks/predictions.py`.

A model of January to March serves from April on. Each week its predictions are held, as a monitor does, against those
of March by a fit of January and February, and against its own first 28 days. Nothing was put in, so what is named is
a week that was another one, or a false alarm. Two minutes of one core; features are those of backtest.py.
"""

from datetime import date, timedelta

import polars as pl
from backtest import MONTHS, boosted, month_tables, whole_year

from pushforward.monitoring import predicted
from pushforward.monitoring.outcomes import KEY, TIME
from pushforward.monitoring.predicted import MAIN, Unseen
from pushforward.monitoring.reference import refer
from pushforward.monitoring.tables import ARM, INSTANT

START, END, WEEK = date(2013, 4, 1), date(2013, 12, 31), 7


def scored(year: pl.DataFrame, train: list[str], later: list[str]) -> pl.DataFrame:
    """What a model of some months predicts of later ones, by the moment asked."""
    rows = year.filter(pl.col("month").is_in(later))
    _, p, _ = boosted(year.filter(pl.col("month").is_in(train)), rows)
    asked = pl.concat(table.select("flight_id", "decided_at") for table, _, _ in map(month_tables, later))
    named = rows.select("flight_id").with_columns(p=p).join(asked, on="flight_id")
    return named.select(
        pl.col("flight_id").alias(KEY), pl.col("decided_at").cast(INSTANT).alias(TIME), "p", pl.lit(MAIN).alias(ARM)
    )


def main() -> None:
    """Print the weeks that were named, and of how many."""
    year = whole_year()
    unseen, served = scored(year, MONTHS[:2], MONTHS[2:3]), scored(year, MONTHS[:3], MONTHS[3:])
    known = refer(unseen.select(TIME, pl.col("p").round_sig_figs(predicted.DIGITS).alias(predicted.NAME)), time=TIME)
    for name, past in (("March, unseen", Unseen(known, "March")), ("its own first days", None)):
        looks, far = 0, []
        for day in range(WEEK, (END - START).days, WEEK):
            today = START + timedelta(days=day)
            told = predicted.compared(past, served.filter(pl.col(TIME).dt.date() < today), ("p",), today, WEEK)
            looks += bool(told.looked)
            far += [f"  the week before {today}: {one.words}" for one in told.looked if one.far]
        print("\n".join([f"against {name}: {looks} weeks, {len(far)} findings", *far]))


if __name__ == "__main__":
    main()
