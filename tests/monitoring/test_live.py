"""Live numbers of hand-made tables: the loss, what it is held against, and what counts at all."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pushforward.gate import loss as losses
from pushforward.gate.verdict import Calibration, Holdout, Number, Validation, Verdict
from pushforward.monitoring import interval, live
from pushforward.monitoring.outcomes import Wait

NOW = datetime(2013, 6, 1, tzinfo=UTC)
WAIT = Wait(timedelta(hours=10), 1000, 1.0)
LOGLOSS, SQUARED = losses.LOSSES["logloss"], losses.LOSSES["squared"]


def _days(count: int, labels: list[int | None], p: list[float]) -> pl.DataFrame:
    """The same rows on each of so many days."""
    return pl.DataFrame(
        {
            "label": labels * count,
            "p": p * count,
            "cluster": [f"day {day:02d}" for day in range(count) for _ in labels],
            "origin": (["EWR"] * (len(labels) // 2) + ["JFK"] * (len(labels) - len(labels) // 2)) * count,
        },
        schema_overrides={"label": pl.Int64},
    )


def _asked(promise: live.Promise | None, kind: losses.Loss = LOGLOSS, **more: object) -> live.Question:
    return live.Question(kind, ("p",), promise, allowed=0.1, alpha=0.06, **more)


def test_loss_naive_loss_and_what_is_missing_by_hand():
    old = _days(10, [1, 0, 0, None], [0.5, 0.5, 0.2, 0.9])
    young = _days(1, [1, None], [0.1, 0.9])
    found = live.measure(pl.concat([old, young]), old, WAIT, _asked(None))
    by_hand = (2 * math.log(2) - math.log(0.8)) / 3
    assert found.loss.mean == pytest.approx(by_hand)
    assert found.naive == pytest.approx((30 * by_hand - math.log(0.1)) / 31)
    assert (found.asked, found.old, found.missing, found.naive_rows) == (42, 40, 10, 31)
    assert (found.over, found.worse) == (None, None)
    assert found.bias.mean == pytest.approx(0.4 - 1 / 3)


def test_the_promise_as_it_stands_and_as_the_constant_moves_it():
    # half of the labels are 1: the constant loses log 2. The promise was .45 where it lost .5
    table = _days(12, [1, 0, 1, 0], [0.6, 0.4, 0.6, 0.4])
    found = live.measure(table, table, WAIT, _asked(live.Promise(0.45, "the holdout (2013-03)", rival=0.5)))
    loss = -math.log(0.6)
    assert found.over.mean == pytest.approx(loss - 1.1 * 0.45)
    assert found.worse.mean == pytest.approx(loss - 1.1 * 0.9 * math.log(2))
    assert found.rival == pytest.approx(math.log(2))
    assert found.skill == pytest.approx(1 - loss / math.log(2))
    assert found.over.alpha == 0.015  # a quarter of what may be wrong


def test_a_harder_month_is_over_the_promise_and_no_worse():
    drawn = np.random.default_rng(3)
    rows = 200 * 40
    p = drawn.uniform(0.2, 0.8, rows)
    y = (drawn.uniform(size=rows) < p).astype(int)
    table = pl.DataFrame({"label": y, "p": p, "cluster": np.repeat(np.arange(40), 200)})
    easy = live.Promise(0.4, "the holdout (2013-03)", rival=0.44)
    found = live.measure(table, table, WAIT, _asked(easy))
    assert found.over.above(0.0)
    assert not found.worse.above(0.0)
    assert found.bias.low < 0 < found.bias.high


def _sliced(count: int, origins: tuple[str, str], after: int, *, known: timedelta | None) -> pl.DataFrame:
    """Days of two origins that are asked with, and of a carrier that comes with the outcome, so long after."""
    labels = [1, 0, 1, 0, 0, 0, 1]
    table = _days(count, labels, [0.6, 0.4, 0.6, 0.4, 0.1, 0.9, 0.2]).drop("origin")
    asked = pl.Series([NOW + timedelta(days=after + place // 7) for place in range(table.height)])
    return table.with_columns(
        pl.lit(None, pl.Int64).alias("label") if known is None else pl.col("label"),
        cluster=asked.dt.date(),
        at=asked,
        time=asked,
        known_at=pl.lit(None, asked.dtype) if known is None else asked + known,
        **{"row.origin": pl.Series((origins[:1] * 3 + origins[1:] * 4) * count)},
        carrier=pl.lit(None, pl.String) if known is None else pl.Series((["UA"] * 6 + ["OO"]) * count),
    )


def test_slices_share_their_error_and_small_ones_are_left_out():
    table = _sliced(60, ("EWR", "JFK"), 0, known=timedelta(hours=1))
    asked = _asked(live.Promise(0.5, "x", rival=0.6), slices={"origin": "row.origin", "carrier": "carrier"})
    found = live.measure(table, table, WAIT, asked)
    # of EWR there are 180 rows, of OO 60
    assert [(part.column, part.value) for part in found.parts] == [("origin", "JFK"), ("carrier", "UA")]


def test_a_slice_keeps_the_error_that_it_began_with():
    # two origins for 90 days; a third, asked before the carriers were known, counts from its outcomes on
    asked = _asked(live.Promise(0.5, "x", rival=0.6), slices={"origin": "row.origin", "carrier": "carrier"})
    early = _sliced(90, ("EWR", "JFK"), 0, known=timedelta(hours=2))
    waiting, came = (_sliced(90, ("AAA", "AAA"), 0, known=one) for one in (None, timedelta(days=100)))
    came = came.with_columns(carrier=pl.lit("ZZ"))
    told = [
        {(part.column, part.value): part.over.alpha for part in live.measure(all_, old, WAIT, asked).parts}
        for all_, old in ((pl.concat([early, waiting]), early), (pl.concat([came, early]), pl.concat([came, early])))
    ]
    # at first AAA, EWR and JFK are asked with, then OO and UA are known, at last ZZ
    shares = {place: 0.06 / 4 * 6 / (math.pi * place) ** 2 for place in range(1, 7)}
    before = {("origin", "EWR"): shares[2], ("origin", "JFK"): shares[3], ("carrier", "UA"): shares[5]}
    assert told[0] == pytest.approx(before)
    assert told[1] == pytest.approx({**before, ("origin", "AAA"): shares[1], ("carrier", "ZZ"): shares[6]})
    assert sum(6 / (math.pi * place) ** 2 for place in range(1, 10_000)) == pytest.approx(1, abs=1e-4)


def test_a_moment_that_a_client_names_moves_no_slice_before_others():
    asked = _asked(live.Promise(0.5, "x", rival=0.6), slices={"origin": "row.origin"})
    early = _sliced(90, ("EWR", "JFK"), 0, known=timedelta(hours=2))
    late = _sliced(90, ("AAA", "AAA"), 90, known=timedelta(hours=2))
    late = late.with_columns(pl.lit(datetime(1970, 1, 1, tzinfo=UTC)).cast(early.schema["time"]).alias("time"))
    table = pl.concat([late, early])
    shares = {part.value: part.over.alpha for part in live.measure(table, table, WAIT, asked).parts}
    places = {"EWR": 1, "JFK": 2, "AAA": 3}
    assert shares == pytest.approx({name: 0.06 / 4 * 6 / (math.pi * place) ** 2 for name, place in places.items()})


def test_where_the_log_has_lost_its_beginning_only_what_is_late_is_proven():
    asked = _asked(live.Promise(0.45, "x", rival=0.5), slices={"origin": "row.origin"})
    table = _days(165, [1, 0, 1, 0, 0, 0], [0.6, 0.4, 0.6, 0.4, 0.1, 0.9])
    days = pl.Series([NOW + timedelta(days=place // 6) for place in range(table.height)])
    table = table.rename({"origin": "row.origin"}).with_columns(at=days, time=days, cluster=days.dt.date())
    looked = dataclasses.replace(asked, begun=NOW.date(), first=NOW.date())
    whole = live.measure(table, table, WAIT, looked)
    assert whole.begun == ""
    assert whole.loss.low is not None
    cut = table.filter(pl.col("time") >= NOW + timedelta(days=100))
    later = (NOW + timedelta(days=100)).date()
    lost = live.measure(cut, cut, WAIT, dataclasses.replace(looked, first=later))
    assert lost.begun == "2013-06-01"
    assert [one.low for one in (lost.loss, lost.over, lost.worse, lost.bias)] == [None] * 4
    assert (lost.loss.mean, lost.loss.clusters, lost.parts) == (pytest.approx(cut_loss(cut)), 65, ())
    assert lost.late == whole.late  # runs are counted from the first day that was looked at: from day 112 on
    assert lost.late.clusters == 53
    short = table.filter(pl.col("time") >= NOW + timedelta(days=113))
    shorter = dataclasses.replace(looked, first=(NOW + timedelta(days=113)).date())
    assert live.measure(short, short, WAIT, shorter).late is None
    again = live.measure(cut, cut, WAIT, looked)  # every question of the first hundred days was asked again since
    assert (again.begun, again.loss.low is None, again.late) == ("", False, whole.late)
    ignorant = live.measure(cut, cut, WAIT, dataclasses.replace(asked, first=later))
    assert (ignorant.begun, ignorant.late.clusters) == ("", 37)


def cut_loss(table):
    """The mean log loss, by hand."""
    return -sum(math.log(p if y else 1 - p) for y, p in table.select("label", "p").iter_rows()) / table.height


@pytest.mark.parametrize(
    ("kind", "labels", "p", "said"),
    [
        ("percentage", [0.0, 2.0], [1.0, 2.0], "a label is 0, and the absolute percentage error divides by it"),
        ("poisson", [-1.0, 2.0], [1.0, 2.0], "a label is below 0, and the Poisson deviance is of counts"),
        ("poisson", [1.0, 2.0], [0.0, 2.0], "the version predicts 0 or less, and the Poisson deviance is of positive"),
        ("logloss", [0.0, 2.0], [0.5, 0.5], "a label is neither 0 nor 1"),
        ("logloss", [0.0, 1.0], [0.5, 1.5], "the version predicts outside [0, 1]"),
        ("squared", [0.0, 1e70], [0.5, 1.5], "a label is beyond 1e+60, too large to square"),
        ("squared", [0.0, 1.0], [0.5, -1e70], "a prediction is beyond 1e+60, too large to square"),
        ("given", [0.0, 0.0], [0.5, 1e70], "a loss is beyond 1e+60, too large to square"),
    ],
)
def test_what_the_loss_cannot_be_taken_of_is_said(kind, labels, p, said):
    known = pl.DataFrame({"label": labels, "p": p})
    loss = losses.given("loss") if kind == "given" else losses.LOSSES[kind]
    assert live.unfit(known, loss, ("p",)).startswith(said)
    assert live.unfit(known.with_columns(label=1.0, p=0.5), loss, ("p",)) == ""
    assert live.unfit(known.clear(), loss, ("p",)) == ""


def test_one_class_of_some_days_is_no_problem_of_a_loss_of_classes():
    kind = losses.Loss(*losses.OF_CLASSES["logloss"], form="classes", classes=2)
    known = pl.DataFrame({"label": [1.0, 1.0], "p_a": [0.8, 0.4], "p_b": [0.2, 0.6]})
    assert live.unfit(known, kind, ("p_a", "p_b")) == ""
    assert "do not add up to 1" in live.unfit(known.with_columns(p_a=0.7), kind, ("p_a", "p_b"))


def test_clusters_are_called_by_their_name_and_days_days():
    table = _days(12, [1, 0], [0.5, 0.5])
    named = live.measure(table, table, WAIT, _asked(None, noun="customer_id"))
    assert named.cluster == "customer id"
    dates = table.with_columns(cluster=pl.lit("2013-06-01"))
    assert live.measure(dates, dates, WAIT, _asked(None, noun="customer_id")).cluster == "day"
    assert live.measure(table, table, WAIT, _asked(None)).cluster == "day"


def test_numbers_have_no_rival_of_the_verdict_and_no_bias():
    table = _days(10, [3, 5], [4.0, 4.0])
    found = live.measure(table, table, WAIT, _asked(live.Promise(2.0, "x"), kind=SQUARED))
    assert found.loss.mean == 1.0
    assert found.over.mean == pytest.approx(1 - 1.1 * 2.0)
    assert (found.worse, found.bias) == (None, None)


def test_classes_are_measured_by_their_own_loss():
    kind = losses.Loss(*losses.OF_CLASSES["logloss"], form="classes", classes=2)
    table = pl.DataFrame(
        {"label": [0, 1] * 10, "p_a": [0.8, 0.4] * 10, "p_b": [0.2, 0.6] * 10, "cluster": np.repeat(np.arange(10), 2)}
    )
    found = live.measure(table, table, WAIT, live.Question(kind, ("p_a", "p_b"), None, 0.1, 0.05))
    assert found.loss.mean == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_where_nothing_is_old_enough_the_naive_number_stands_alone():
    table = _days(2, [1, 0], [0.5, 0.5])
    found = live.measure(table, table.clear(), WAIT, _asked(None))
    assert (found.loss, found.old, found.naive) == (None, 0, pytest.approx(math.log(2)))


def test_before_twelve_days_there_is_a_loss_and_no_interval():
    table = _days(11, [1, 0], [0.5, 0.5])
    found = live.measure(table, table, WAIT, _asked(live.Promise(0.1, "x", rival=0.2)))
    assert (found.loss.low, found.loss.clusters) == (None, 11)
    assert not found.over.above(0.0)
    assert interval.LEAST_CLUSTERS == 12


VERDICT = Verdict("promote", "because", "first", "logloss", {})
NUMBER = Number("log loss", "lower", None, 0.45)


def test_the_promise_is_the_holdouts_and_the_validations_while_that_is_sealed():
    rate = Calibration(0.25, None, 0.2, None, 0.01)
    told = dataclasses.replace(
        VERDICT, numbers=(NUMBER,), calibration=rate, holdout=Holdout(("2013-03", "2013-04"), 100, 61, "0" * 64)
    )
    found = live.promise(told, LOGLOSS)
    assert (found.loss, found.of) == (0.45, "the holdout (2013-03, 2013-04)")
    assert found.rival == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    assert found.skill == pytest.approx(1 - 0.45 / found.rival)
    watched = Validation("2013-02", 10, 5, (dataclasses.replace(NUMBER, challenger=0.5),))
    sealed = dataclasses.replace(told, numbers=(), calibration=None, validation=watched, sealed=True)
    assert live.promise(sealed, LOGLOSS) == live.Promise(
        0.5, "the validation (2013-02, while the numbers of the holdout are sealed)"
    )
    never = dataclasses.replace(sealed, sealed=False)
    assert live.promise(never, LOGLOSS).of == "the validation (2013-02)"
    assert live.promise(VERDICT, LOGLOSS) is None


def test_what_went_wrong_lately_is_not_hidden_by_a_long_good_past():
    # 140 good days, then 25 bad ones; runs of 28 days begin at 0, 28, …, 140: counted is from day 112 on
    days = [day for day in range(165) for _ in range(10)]
    right = [place % 10 < (8 if day < 140 else 5) for place, day in enumerate(days)]
    up = [place % 2 for place in range(len(days))]
    table = pl.DataFrame(
        {
            "label": [int(one == bool(hit)) for one, hit in zip(up, right, strict=True)],
            "p": [0.8 if one else 0.2 for one in up],
            "cluster": days,
            "time": [NOW + timedelta(days=day) for day in days],
        }
    )
    first = NOW.date()
    found = live.measure(table, table, WAIT, _asked(live.Promise(0.52, "x", rival=0.69), first=first))
    assert (found.late.clusters, found.late.rows) == (53, 530)
    assert found.late.alpha == pytest.approx(0.06 / 4 * 6 / (math.pi * 4) ** 2)
    assert found.late.mean > found.worse.mean
    young = table.head(550)
    assert live.measure(young, young, WAIT, _asked(live.Promise(0.52, "x"), first=first)).late is None
    # one of 1970 among them is counted, and moves no run
    early = table.head(1).with_columns(time=pl.lit(datetime(1970, 1, 1, tzinfo=UTC)).cast(table.schema["time"]))
    dated = pl.concat([early, table])
    assert live.measure(dated, dated, WAIT, _asked(live.Promise(0.52, "x", rival=0.69), first=first)).late.rows == 530
