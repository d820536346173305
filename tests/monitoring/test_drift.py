"""drift: each kind of finding, what it names and why; and rows as ever, of which nothing is said."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pushforward.monitoring.drift import alarms, compare
from pushforward.monitoring.reference import refer

START = date(2013, 1, 1)
A_DAY = 100


def rows(days, first=0, seed=0):
    """Days that differ from each other: each has a level of its own."""
    chance, many = np.random.default_rng([first, seed]), days * A_DAY
    day = np.repeat(np.arange(first, first + days), A_DAY)
    level = np.repeat(chance.normal(0, 2, days), A_DAY)
    return pl.DataFrame(
        {
            "date": [START + timedelta(days=int(one)) for one in day],
            "x": 50 + level + chance.normal(0, 3, many),
            "c": chance.choice(["a", "b", "rare"], many, p=[0.6, 0.37, 0.03]),
            "y": chance.random(many) < 0.2 + 0.02 * level / 2,
            "m": pl.Series([None if one < 0.01 else 1.0 + one for one in chance.random(many)]),
        }
    )


REFERENCE = refer(rows(150), time="date")
LATER = rows(30, 150)


def found(window):
    told = alarms(compare(REFERENCE, REFERENCE.window(window)))
    return {(one.column, one.kind): one for one in told}


def test_rows_as_ever_alarm_nobody_though_every_column_is_looked_at():
    told = compare(REFERENCE, REFERENCE.window(LATER))
    assert alarms(told) == ()
    assert {(one.column, one.kind) for one in told} >= {
        ("x", "index"),
        ("x", "slow mean"),
        ("c", "index"),
        ("", "volume"),
    }
    assert all(one.measured <= one.limit for one in told)


@pytest.mark.parametrize("days", [1, 3, 10])
def test_short_windows_as_ever_alarm_nobody_either(days):
    for at in range(0, 30 - days, 7):
        window = LATER.filter(
            pl.col("date").is_between(START + timedelta(150 + at), START + timedelta(149 + at + days))
        )
        grown = REFERENCE.plus(REFERENCE.window(LATER.filter(pl.col("date") < window["date"][0]))) if at else REFERENCE
        assert alarms(compare(grown, grown.window(window))) == (), at


@pytest.mark.ml_test_score("Monitoring 2")
def test_another_unit_is_named_with_what_it_was_and_is():
    told = found(LATER.with_columns(pl.col("x") * 1.609))
    assert set(told) == {("x", "index"), ("x", "mean")}
    words = told["x", "mean"].words
    assert words.startswith("x: mean 50.02 → 80.26; ")
    assert "against 2013-05-01 to 2013-05-30, where its moves between runs of 30 days allow " in words
    assert (told["x", "mean"].move.before, told["x", "mean"].move.after) == ((120, 150), (150, 180))


def test_texts_that_vanish_are_named_though_they_were_few():
    told = found(LATER.filter(pl.col("c") != "rare"))
    assert told["c", "gone"].words == "c: rare is gone, 3.3 % of the rows before; away for 30 days, before for 2"
    assert not found(LATER.filter((pl.col("c") != "rare") | (pl.col("date") > START + timedelta(days=154))))


def test_texts_that_nobody_has_seen_are_named():
    told = found(LATER.with_columns(c=pl.when(pl.col("c") == "rare").then(pl.lit("zz")).otherwise("c")))
    assert told["c", "unseen"].words == "c: 1 unseen value (zz) in 2.6 % of the rows, where its past allows 0"
    one = pl.concat([LATER, LATER.head(1).with_columns(c=pl.lit("zz"))])
    assert not found(one)  # one row in three thousand alarms nobody


def test_missing_values_are_held_against_those_of_the_past():
    told = found(LATER.with_columns(x=None))
    assert set(told) == {("x", "missing")}
    assert told["x", "missing"].words.startswith("x: missing 0.0 % → 100.0 %; against 2013-05-01 to 2013-05-30, where")
    some = LATER.with_columns(m=pl.when(pl.int_range(pl.len()) % 20 == 0).then(None).otherwise("m"))
    assert set(found(some)) == {("m", "missing")}
    assert not found(LATER.with_columns(x=pl.when(pl.int_range(pl.len()) % 200 == 0).then(None).otherwise("x")))


def test_labels_that_come_more_often_are_named():
    told = found(LATER.with_columns(y=pl.col("y") | (pl.int_range(pl.len()) % 4 == 0)))
    assert {one for one, _ in told} == {"y"}
    assert "y: mean 0.2" in told["y", "mean"].words


def test_rows_that_come_half_as_often_are_named():
    half = LATER.gather_every(2)
    assert found(half)["", "volume"].words.startswith("100 → 50 rows a day, where its past allows 91 to 110")
    assert "volume" not in {one.kind for one in compare(REFERENCE, REFERENCE.window(half), volume=False)}


@pytest.mark.parametrize("cold", [20.0, 60.0])
def test_degrees_below_zero_are_held_against_the_same_limits_as_above(cold):
    def told(less):
        month, next_month = (
            one.with_columns(pl.col("x") - 30 - less).drop("m", "y") for one in (rows(31), rows(28, 31))
        )
        made = refer(month, time="date")
        looked = {one.kind: one for one in compare(made, made.window(next_month)) if one.column == "x"}
        assert looked["mean"].move.how == "halves"
        return looked["mean"]

    assert (told(cold).measured, told(cold).limit) == pytest.approx((told(0).measured, told(0).limit))


def test_columns_that_did_not_come_or_came_as_something_else_are_named():
    told = found(LATER.drop("c").with_columns(pl.col("x").cast(pl.String)))
    assert {key: one.words for key, one in told.items()} == {
        ("c", "absent"): "c: no such column came",
        ("x", "type"): "x: came as String, where the reference has numbers",
    }
    new = [one for one in compare(REFERENCE, REFERENCE.window(LATER.with_columns(z=1))) if one.kind == "added"]
    assert [one.far for one in new] == [False]


def test_a_slow_leak_is_named_once_its_months_add_up():
    grown, seen = REFERENCE, []
    for month in range(4):
        window = rows(30, 150 + 30 * month).with_columns(pl.col("x") + 1.2 * (month + 1))
        told = alarms(compare(grown, grown.window(window)))
        seen.append({(one.column, one.kind) for one in told})
        grown = grown.plus(grown.window(window))
    assert seen == [set(), set(), set(), {("x", "slow mean")}]
    assert told[0].move.months == 4
    assert "; over 4 times 30 days, against 2013-05-01 to 2013-05-30, where" in told[0].words


def test_a_reference_of_one_month_says_that_it_knows_no_seasons():
    month = refer(rows(31), time="date")
    told = [one for one in compare(month, month.window(rows(28, 31).with_columns(pl.col("x") + 30))) if one.far]
    assert {one.column for one in told} == {"x"}
    assert "halves of its days, a past too short to know seasons, allow" in told[0].words


def test_days_of_the_reference_that_come_after_the_window_count_for_nothing():
    early = refer(rows(100), time="date")
    window = rows(30, 100).with_columns(pl.col("x") + 20)
    later = REFERENCE.plus(REFERENCE.window(rows(30, 150)))
    assert (
        compare(later, later.window(window))[0].move == compare(later.before(early.end), later.window(window))[0].move
    )
    assert later.before(early.end).rows.tolist() == early.rows.tolist()
    assert compare(later, later.window(rows(30).with_columns(pl.col("date") - pl.duration(days=60)))) == ()


def test_nothing_is_said_of_no_rows():
    assert compare(REFERENCE, REFERENCE.window(LATER.clear())) == ()
    few = refer(rows(3), time="date")
    assert {one.kind for one in compare(few, few.window(LATER))} <= {"gone", "unseen"}


def test_no_constant_drifts_by_rounding():
    still = rows(150).with_columns(x=0.1 + 1e9)
    made = refer(still, time="date")
    assert alarms(compare(made, made.window(LATER.with_columns(x=0.1 + 1e9)))) == ()
    assert found(LATER.with_columns(x=7.0))
