"""reference: what is kept of rows, and how it grows."""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pushforward.gate.counted import Parts
from pushforward.monitoring.reference import of_summary, refer


def rows(first, days, a_day=20, seed=1):
    chance, many = np.random.default_rng(seed), days * a_day
    return pl.DataFrame(
        {
            "id": [f"{first}-{n}" for n in range(many)],
            "at": [
                datetime.combine(first, datetime.min.time(), UTC) + timedelta(hours=24 * n / a_day) for n in range(many)
            ],
            "x": chance.normal(10, 1, many),
            "c": chance.choice(["a", "b", "c"], many),
            "gone": [None if n % 10 == 0 else n % 2 for n in range(many)],
        },
        schema_overrides={"gone": pl.Int8},
    )


def test_a_reference_comes_back_from_its_summary():
    made = refer(rows(date(2013, 1, 1), 60), time="at", skip=("id",))
    told = json.loads(json.dumps(made.summary()))
    assert of_summary(told).summary() == made.summary() == told
    assert [one.name for one in made.columns] == ["x", "c", "gone"]
    assert (made.rows.sum(), len(made.rows)) == (1200, 60)
    assert made.column("gone").missing.sum() == 120
    with pytest.raises(ValueError, match="format 9, not 1"):
        of_summary(told | {"format": 9})


def test_columns_that_name_rows_are_there_or_missing():
    made = refer(rows(date(2013, 1, 1), 60), time="at")
    assert made.column("id").parts == Parts(opaque=True)
    window = made.window(rows(date(2013, 3, 2), 3).with_columns(pl.lit(None).alias("id")))
    assert (window.wrong, window.unseen, window.columns[0].missing.sum()) == ((), (), 60)


def test_a_reference_and_its_next_rows_count_as_both_together():
    early, late = rows(date(2013, 1, 1), 40), rows(date(2013, 2, 10), 20, seed=2)
    made = refer(early, time="at", skip=("id",))
    grown, whole = made.plus(made.window(late.drop("id"))), refer(pl.concat([early, late]), time="at", skip=("id",))
    assert grown.rows.tolist() == whole.rows.tolist()
    assert grown.column("c").counts.tolist() == whole.column("c").counts.tolist()
    assert grown.column("c").fresh.tolist() == whole.column("c").fresh.tolist()
    assert grown.column("x").sums == pytest.approx(whole.column("x").sums)


def test_a_window_has_the_days_that_it_is_asked_for():
    made = refer(rows(date(2013, 1, 1), 40), time="at", skip=("id",))
    late = rows(date(2013, 2, 10), 5)
    assert len(made.window(late).rows) == 5
    asked = made.window(late, (date(2013, 2, 8), date(2013, 2, 11)))
    assert asked.rows.tolist() == [0, 0, 20, 20]
    assert asked.columns[0].counts.sum() == 40


def test_columns_that_are_absent_new_or_of_another_type_are_named():
    made = refer(rows(date(2013, 1, 1), 40), time="at", skip=("id",))
    late = rows(date(2013, 2, 10), 5).drop("id", "c").with_columns(pl.col("x").cast(pl.String), more=1, gone=None)
    window = made.window(late)
    assert (window.absent, window.added, window.wrong) == (("c",), ("more",), (("x", "String"),))
    assert window.columns[0].missing.sum() == 100  # all missing is of every type
