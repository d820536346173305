"""Predictions as served against those that no fit has seen: which rows count, by which day, and what is said."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.monitoring import past, predicted, tables
from pushforward.settings import ModelContract

MARCH = datetime(2013, 3, 1, 23, tzinfo=UTC)
CONTRACT = ModelContract(
    name="toy",
    path="model",
    score="score",
    holdout="holdout",
    key="id",
    label="late",
    cluster="date",
    time="at",
    environment=[],
    validation="predictions.parquet",
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _table(folder):
    """Predictions of two days of March, and of February as the fit has seen it."""
    rows = [("a", "2013-03-01", 0.1), ("b", "2013-03-01", 0.2), ("c", "2013-03-02", 0.6), ("x", "2013-02-28", 1.0)]
    path = folder / "predictions.parquet"
    pl.DataFrame(rows, schema=["id", "date", "p"], orient="row").with_columns(late=pl.lit(1)).write_parquet(path)
    return path


def _moments(**hours):
    moments = pl.Series([MARCH + timedelta(hours=one) for one in hours.values()], dtype=tables.INSTANT)
    return pl.DataFrame({"key": list(hours), "time": moments})


def test_rows_of_the_validation_month_count_by_the_day_on_which_they_were_asked(tmp_path):
    asked = _moments(a=0, b=2, c=25, x=-48)
    said = []

    def bring():
        said.append("brought")
        return _table(tmp_path)

    found = [predicted.load([("p", "1")], bring, CONTRACT, "2013-03", asked) for _ in range(2)]
    assert found[0].words == "3 of rows that no fit has seen (2013-03-01 to 2013-03-03)"
    (column,) = found[0].reference.columns
    assert column.name == "predictions"
    assert column.sums.tolist() == pytest.approx([0.1, 0.2, 0.6])  # and nothing of February, which it was fitted on
    assert found[0].reference.rows.tolist() == [1, 1, 1]
    assert found[1].reference.summary() == found[0].reference.summary()
    assert said == ["brought"]  # the second time it is kept


def test_without_batches_all_of_the_table_counts(tmp_path):
    found = predicted.load([("p", "1")], lambda: _table(tmp_path), CONTRACT, "", _moments(a=0, x=-48))
    assert found.words == "2 of rows that no fit has seen (2013-02-27 to 2013-03-01)"


def test_a_table_of_other_rows_than_the_reference_is_refused(tmp_path):
    with pytest.raises(PushforwardError, match=r"none of the 3 rows of predictions\.parquet is among those of monitor"):
        predicted.load([("p", "1")], lambda: _table(tmp_path), CONTRACT, "2013-03", _moments(other=0))


def _answers(days, level, *, arm="main", first=0, columns=("p",)):
    """Fifty answers a day, the mean of each day near `level`."""
    chance = np.random.default_rng([first, days])
    day = np.repeat(np.arange(first, first + days), 50)
    moments = pl.Series([MARCH + timedelta(days=int(one)) for one in day], dtype=tables.INSTANT)
    moved = np.repeat(chance.normal(0, 0.02, days), 50)
    p = np.clip(level + moved + chance.normal(0, 0.05, len(day)), 0, 1)
    told = {columns[0]: p} if len(columns) == 1 else dict(zip(columns, (p, 1 - p), strict=True))
    return pl.DataFrame({"time": moments, **told, tables.ARM: [arm] * len(day)})


def _compared(answers, until, unseen=None, columns=("p",)):
    return predicted.compared(unseen, answers, columns, (MARCH + timedelta(days=until)).date(), 7)


def _unseen():
    """A month of predictions near .3."""
    known = predicted.refer(_answers(31, 0.3).select("time", predictions="p"), time="time")
    return predicted.Unseen(known, "rows")


def test_what_the_version_always_said_is_near_and_another_level_is_far():
    sound = _compared(_answers(21, 0.3, first=31), 52, _unseen())
    assert sound.against == "rows"
    assert {one.column for one in sound.looked} == {"predictions"}  # how many came is told of the inputs
    assert not any(one.far for one in sound.looked)
    moved = pl.concat([_answers(14, 0.3, first=31), _answers(7, 0.45, first=45)])
    far = [one for one in _compared(moved, 52, _unseen()).looked if one.far]
    level = moved.tail(350)["p"].mean()
    assert any(one.kind == "mean" and f"→ {level:.2g}" in one.words for one in far)
    assert all(one.words.startswith("predictions: mean ") for one in far)


def test_how_many_are_asked_keeps_no_sound_answers_from_the_past():
    often = predicted.refer(pl.concat([_answers(31, 0.3)] * 9).select("time", predictions="p"), time="time")
    found = _compared(_answers(70, 0.3, first=31), 101, predicted.Unseen(often, "rows"))
    (mean,) = (one for one in found.looked if one.kind == "mean")
    assert (mean.move.how, mean.move.before) == ("runs", (66, 94))  # answers as served, 450 a day were validated
    assert not any(one.far for one in found.looked)


def test_shadows_and_canaries_are_not_counted():
    answers = pl.concat([_answers(21, 0.3, first=31), _answers(21, 0.9, first=31, arm="shadow")])
    assert _compared(answers, 52, _unseen()) == _compared(_answers(21, 0.3, first=31), 52, _unseen())
    nobody = _compared(_answers(21, 0.9, first=31, arm="canary"), 52, _unseen())
    assert nobody == predicted.Told("nothing yet: the version has answered nobody")


def test_without_a_validation_the_first_days_that_were_served_stand_for_it():
    early = _compared(_answers(34, 0.3), 34)
    assert early.looked == ()
    assert early.against == (
        "nothing yet: there is no `validation`, and of its first 28 days not enough: it serves since 2013-03-01"
    )
    moved = pl.concat([_answers(28, 0.3), _answers(7, 0.6, first=28)])
    found = _compared(moved, 35)
    assert found.against == (
        "the first 28 days that it has served (2013-03-01 to 2013-03-28), for there is no `validation`"
    )
    assert any(one.far and one.kind == "mean" for one in found.looked)
    assert not any(one.far for one in _compared(_answers(35, 0.3), 35).looked)


def test_a_prediction_that_many_rows_share_is_the_same_whoever_adds_up():
    said, served = 0.2, 1 - 0.8  # one unit in the last place less
    assert said != served
    known = predicted.refer(predicted._table(_answers(31, 0.3).with_columns(p=said), ("p",)), time="time")
    found = _compared(_answers(21, 0.3, first=31).with_columns(p=served), 52, predicted.Unseen(known, "rows"))
    assert {one.kind for one in found.looked} >= {"index", "mean"}
    assert not any(one.far for one in found.looked)


def test_several_classes_are_named():
    columns = ("p_early", "p_late")
    moved = pl.concat([_answers(28, 0.3, columns=columns), _answers(7, 0.6, first=28, columns=columns)])
    found = _compared(moved, 35, columns=columns)
    assert {one.column for one in found.looked} == {"predictions of early", "predictions of late"}


def test_the_days_before_the_first_and_the_first_itself_are_none_on_which_nothing_came():
    known = _unseen().reference
    rows = predicted._table(_answers(4, 0.3, first=31), ("p",))
    late = rows.filter(
        ~((pl.col("time").dt.date() == (MARCH + timedelta(days=31)).date()) & (pl.int_range(pl.len()) > 4))
    )
    today = (MARCH + timedelta(days=35)).date()
    found = past.held(known, late, today, 7)
    assert {one.kind for one in found} >= {"index", "mean"}
    assert not any(one.far for one in found)
    first_day = (MARCH + timedelta(days=32)).date()
    assert past.held(known, late, first_day, 7) == ()  # no day of it is whole
    gone = late.filter(pl.col("time").dt.date() != (MARCH + timedelta(days=33)).date())
    assert any(one.far and not one.column for one in past.held(known, gone, today, 7))  # a day with nothing is one
