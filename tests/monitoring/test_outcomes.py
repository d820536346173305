"""Outcomes by the moment that they are known, against tables whose age and loss can be counted by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pushforward.monitoring import outcomes

START = datetime(2013, 4, 1, tzinfo=UTC)
INSTANT = pl.Datetime("us", "UTC")


def _hours(count: float) -> datetime:
    return START + timedelta(hours=count)


def _answers(times: list[float], p: list[float] | None = None) -> pl.DataFrame:
    keys = [f"k{place}" for place in range(len(times))]
    return pl.DataFrame(
        {"key": keys, "time": pl.Series([_hours(one) for one in times], dtype=INSTANT), "p": p or [0.5] * len(times)}
    )


def _outcomes(*told: tuple[str, int, float]) -> pl.DataFrame:
    keys, labels, known = zip(*told, strict=True)
    return pl.DataFrame(
        {"key": keys, "label": labels, "known_at": pl.Series([_hours(one) for one in known], dtype=INSTANT)}
    )


def test_of_each_key_the_newest_label_known_counts_and_the_moment_of_its_first():
    told = _outcomes(("k0", 0, 2), ("k1", 1, 3), ("k0", 1, 5), ("k2", 1, 9))
    at_four = outcomes.known(told, _hours(4)).sort("key")
    assert at_four.rows() == [("k0", 0, _hours(2)), ("k1", 1, _hours(3))]
    at_six = outcomes.known(told, _hours(6)).sort("key")
    assert at_six.rows() == [("k0", 1, _hours(2)), ("k1", 1, _hours(3))]


def test_the_order_of_the_table_is_none_of_time():
    told = _outcomes(("k0", 1, 5), ("k0", 0, 2))
    assert outcomes.known(told, _hours(6))["label"].to_list() == [1]


def test_answers_keep_their_order_and_what_is_not_known_yet_is_null():
    told = _outcomes(("k1", 1, 3), ("k0", 0, 9))
    found = outcomes.joined(_answers([0, 1, 7]), told, _hours(6))
    assert found.select("key", "label").rows() == [("k0", None), ("k1", 1)]


def test_where_all_are_known_the_age_is_the_quantile_counted_by_hand():
    # outcomes after 1 to 200 minutes, all known: 99 % of 200 are known after the 198th
    answers = _answers([0.0] * 200)
    known = pl.Series([START + timedelta(minutes=one) for one in range(1, 201)], dtype=INSTANT)
    wait = outcomes.learned(answers["time"], known, _hours(1000))
    assert wait.age == timedelta(minutes=198)
    assert (wait.rows, wait.share) == (200, 1.0)


def test_what_is_not_known_yet_counts_as_such_by_kaplan_and_meier():
    # 100 old answers known after 1 h, 100 known after 10 h; 200 young ones, 5 h old, of which those of 10 h are not.
    # Until 1 h 200 of 400 are known; of the 200 at risk after 5 h, when 100 are lost sight of, all 100 become known.
    answers = _answers([0.0] * 200 + [95.0] * 200)
    known = [_hours(1)] * 100 + [_hours(10)] * 100 + [_hours(96)] * 100 + [None] * 100
    wait = outcomes.learned(answers["time"], pl.Series(known, dtype=INSTANT), _hours(100))
    assert wait.age == timedelta(hours=10)


def test_without_the_slow_ones_seen_no_age_is_told():
    # all 5 h old, half known after 1 h: nothing is known of the rest
    answers = _answers([95.0] * 400)
    known = pl.Series([_hours(96)] * 200 + [None] * 200, dtype=INSTANT)
    wait = outcomes.learned(answers["time"], known, _hours(100))
    assert (wait.age, wait.share) == (None, 0.5)
    assert wait.words == "50.0% of the outcomes are known after 5.0 h: how long to wait is not to be told yet"


def test_what_has_not_come_after_ten_times_as_long_is_taken_never_to_come():
    # 96 of 100 come after 1 h, the others not in 10 h: 4 % never do, where 5 % may
    answers = _answers([90.0] * 400)
    known = pl.Series([_hours(91)] * 384 + [None] * 16, dtype=INSTANT)
    wait = outcomes.learned(answers["time"], known, _hours(100), never=0.05)
    assert wait.age == timedelta(hours=1)
    assert wait.words == "1.0 h are waited for; 4.0% of the outcomes never come"
    assert outcomes.learned(answers["time"], known, _hours(99.9), never=0.05).age is None
    assert outcomes.learned(answers["time"], known, _hours(100), never=0.03).age is None


def test_rows_of_the_past_that_no_outcome_is_told_of_are_known_for_it():
    told = _outcomes(*((f"k{place}", 0, 1) for place in range(100)))
    assert outcomes.covered(outcomes.joined(_answers([0.0] * 100), told, _hours(9)))
    assert outcomes.covered(outcomes.joined(_answers([0.0] * 101), told, _hours(9)))
    assert not outcomes.covered(outcomes.joined(_answers([0.0] * 102), told, _hours(9)))


def test_an_age_that_few_were_followed_for_tells_nothing():
    # 400 answers of 2 h known after 1 h but one; 50 of 1,000 h, all known after 900 h
    answers = _answers([998.0] * 400 + [0.0] * 50)
    known = pl.Series([_hours(999)] * 395 + [None] * 5 + [_hours(900)] * 50, dtype=INSTANT)
    wait = outcomes.learned(answers["time"], known, _hours(1000))
    assert wait.age is None
    assert wait.share == pytest.approx(395 / 450)


def test_too_few_answers_tell_nothing():
    wait = outcomes.learned(_answers([0.0] * 99)["time"], pl.Series([_hours(1)] * 99, dtype=INSTANT), _hours(9))
    assert (wait.age, wait.rows) == (None, 99)
    assert wait.words == "99 answers are too few to tell when their outcomes are known"


def test_where_none_is_known_the_age_that_was_waited_for_is_told():
    # 100 of 200 answers are 150 days old or older, the others a day: none is known
    answers = _answers([0.0] * 100 + [149 * 24.0] * 100)
    wait = outcomes.learned(answers["time"], pl.Series([None] * 200, dtype=INSTANT), _hours(150 * 24))
    assert (wait.age, wait.rows, wait.share, wait.followed) == (None, 200, 0.0, timedelta(days=150))
    assert wait.words == "no outcome of 200 answers has come within 150.0 d"


def test_of_too_few_answers_the_oldest_tells_for_how_long():
    answers = _answers([0.0, 24.0])
    wait = outcomes.learned(answers["time"], pl.Series([_hours(1), None], dtype=INSTANT), _hours(48))
    assert (wait.age, wait.rows, wait.followed) == (None, 2, timedelta(hours=48))
    nothing = outcomes.learned(answers["time"].clear(), pl.Series([], dtype=INSTANT), _hours(48))
    assert (nothing.rows, nothing.followed) == (0, timedelta())


def test_an_answer_without_a_key_waits_for_nothing():
    answers = _answers([0, 1, 2]).with_columns(key=pl.Series(["k0", "", "k2"]))
    found = outcomes.joined(answers, _outcomes(("k0", 1, 3), ("", 1, 3)), _hours(6))
    assert found.select("key", "label").rows() == [("k0", 1), ("k2", None)]


def test_an_outcome_known_before_the_question_has_the_age_nought():
    known = pl.Series([START - timedelta(hours=1)] * 100, dtype=INSTANT)
    assert outcomes.learned(_answers([0.0] * 100)["time"], known, _hours(9)).age == timedelta()


def test_only_what_is_old_enough_counts_whether_it_is_known_or_not():
    wait = outcomes.Wait(timedelta(hours=10), 1000, 1.0)
    found = outcomes.settled(_answers([0, 89, 90, 91]), wait, _hours(100))
    assert found["key"].to_list() == ["k0", "k1", "k2"]
    assert outcomes.settled(_answers([0]), outcomes.Wait(None, 5, 0.0), _hours(100)).is_empty()


@pytest.mark.parametrize(
    ("length", "said"),
    [(timedelta(minutes=5), "5 min"), (timedelta(hours=9.44), "9.4 h"), (timedelta(days=12), "12.0 d")],
)
def test_a_length_of_time_for_people(length, said):
    assert outcomes.span(length) == said
