"""A holdout is what it says: its keys, its months, its batches; every lie told with a number and examples."""

import polars as pl
import pytest

from pushforward.gate import inspection
from pushforward.gate.inspection import CLUSTER, KEY, Batches

MONTHS = ("2020-03", "2020-04")
WHERE = "data/holdout"


def rows(*months, count=100, prefix=""):
    """Rows of some months: ten a day for ten days."""
    table = [(f"{prefix}{month}-{n}", f"{month}-{n // 10 + 1:02d}") for month in months for n in range(count)]
    return pl.DataFrame(table, schema=[KEY, CLUSTER], orient="row")


def sample(table):
    return inspection.sample(table[KEY], table[CLUSTER], WHERE, MONTHS)


def batches(*tables):
    return [inspection.texts(table.lazy()).collect() for table in tables]


def problem(found, known):
    return inspection.problem(found, Batches.of(known or (), found))


def doubt(found, known, share):
    return inspection.doubt(found, Batches.of(known or (), found), share)


ALL = rows("2020-01", "2020-02", *MONTHS)
GOOD = rows(*MONTHS)


@pytest.mark.parametrize("known", [None, batches(ALL), batches(ALL, ALL), batches(rows("2020-01", prefix="other"))])
def test_an_honest_holdout_is_taken(known):
    assert problem(sample(GOOD), known) == ""
    assert doubt(sample(GOOD), known, 0.2) == ""


SAID = (
    "200 of the 400 rows of data/holdout are of 2020-01 to 2020-02, not of 2020-03 2020-04 "
    "('2020-01-0' of 2020-01-01, '2020-01-1' of 2020-01-01, '2020-01-2' of 2020-01-01, …)"
)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (ALL, SAID),
        (pl.concat([GOOD, rows("2020-05", count=1)]), "1 of the 201 rows of data/holdout are of 2020-05, not of"),
        (pl.concat([GOOD, rows("2019-04", count=2)]), "2 of the 202 rows of data/holdout are of 2019-04"),
        (pl.concat([GOOD, pl.DataFrame({KEY: ["x"], CLUSTER: [None]})]), "1 of the 201 rows of data/holdout are un"),
        (pl.concat([GOOD, pl.DataFrame({KEY: ["x"], CLUSTER: ["soon"]})]), "('x' of soon)"),
        (rows("2020-04"), "data/holdout has no row of 2020-03"),
        (rows("2020-03"), "data/holdout has no row of 2020-04"),
    ],
    ids=["training rows", "a later month", "another year", "no date", "soon", "no March", "no April"],
)  # fmt: skip
def test_rows_of_other_months_are_told_with_count_and_examples(table, words):
    assert words in problem(sample(table), None)


@pytest.mark.parametrize("kind", [pl.Date, pl.Datetime("us"), pl.Datetime("ns", "UTC")])
def test_clusters_of_any_type_that_names_a_day_are_read(kind):
    table = ALL.with_columns(pl.col(CLUSTER).str.to_date().cast(kind))
    assert "200 of the 400 rows" in problem(sample(table), None)
    assert problem(sample(table.filter(pl.col(CLUSTER) >= pl.date(2020, 3, 1))), None) == ""


def test_clusters_that_are_no_days_say_nothing_of_months():
    table = ALL.with_columns(pl.lit("shop 7").alias(CLUSTER))
    assert problem(sample(table), None) == ""
    assert doubt(sample(table), None, 0.2) == ""
    assert "200 of the 400 rows" in problem(sample(table), batches(ALL)), "its batches do"


def test_training_rows_that_say_they_are_of_the_holdouts_months_are_told():
    dated = rows("2020-01").with_columns(pl.lit("2020-03-05").alias(CLUSTER))
    said = problem(sample(pl.concat([GOOD, dated])), batches(ALL))
    assert said == (
        "100 of the 300 rows of data/holdout are rows of other months in its batches, which a model may have trained "
        "on ('2020-01-0' of 2020-01-01, '2020-01-1' of 2020-01-01, '2020-01-2' of 2020-01-01, …)"
    )


def test_a_key_that_is_asked_about_every_month_is_no_training_row():
    monthly = pl.concat(rows(month).with_columns(pl.col(KEY).str.slice(8)) for month in ("2020-02", *MONTHS))
    own = inspection.sample(monthly[KEY].tail(100), monthly[CLUSTER].tail(100), WHERE, MONTHS[1:])
    assert problem(own, batches(monthly)) == ""


def test_nothing_but_training_rows_is_for_a_person():
    dated = rows("2020-01", "2020-02").with_columns(pl.col(CLUSTER).str.replace("-01-|-02-", "-03-"))
    dated = dated.with_columns(
        pl.when(pl.int_range(pl.len()) < 50).then(pl.lit("2020-04-01")).otherwise(CLUSTER).alias(CLUSTER)
    )
    assert problem(sample(dated), batches(ALL)) == ""
    assert "200 rows of data/holdout are of other months in its batches" in doubt(sample(dated), batches(ALL), 0.2)


@pytest.mark.parametrize(
    ("table", "known", "words"),
    [
        (pl.concat([rows("2020-03"), rows("2020-04", count=10)]), None,
         "2020-04 has 10 rows in data/holdout, 2020-03 had 100"),
        (pl.concat([rows("2020-03"), rows("2020-04", count=600)]), None, "2020-04 has 600 rows in data/holdout"),
        (pl.concat([rows("2020-03", count=9), rows("2020-04", count=9)]),
         batches(rows("2020-02"), rows(*MONTHS, count=9)), "2020-03 has 9 rows in data/holdout, 2020-02 had 100"),
        (pl.concat([GOOD, rows("2020-03", count=30, prefix="copy")]), batches(ALL),
         "30 rows of data/holdout are in none of its batches"),
        (pl.concat([rows("2020-03", count=40), rows("2020-04", count=40)]), batches(ALL),
         "data/holdout has 80 of the 200 rows that its batches have of 2020-03 2020-04"),
    ],
    ids=["a tenth", "six times", "a tenth of the last training month", "rows of no batch", "rows left out"],
)  # fmt: skip
def test_what_is_only_suspicious_is_for_a_person(table, known, words):
    found = sample(table)
    assert problem(found, known) == ""
    said = doubt(found, known, 0.2)
    assert words in said
    assert said.endswith("; a person must look at the data, and lower gate.suspect_rows where it is right")
    assert doubt(found, known, 0.0) == "", "a person has looked"


def test_a_holdout_that_takes_a_sample_of_its_batches_is_measured_by_what_they_hold():
    half = GOOD.filter(pl.int_range(pl.len()) % 5 < 3)
    assert doubt(sample(half), batches(rows("2020-02", count=320), GOOD), 0.2) == ""


IDS = pl.Series("id", ["a", "b", "c"])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "b", "c"], ""),
        (["c", "a", "b"], ""),
        (["a", "b", "b", "c"], "labels: 1 id appear more than once ('b')"),
        (["a", "a", "b", "b"], "labels: 2 id appear more than once ('a', 'b')"),
        (["a", "b"], "1 id of rows are not in labels ('c')"),
        (["a", "b", "c", "d", "e", "f", "g"], "4 id of labels are not in rows ('d', 'e', 'f', …)"),
        (["a", "b", None], "labels: 1 rows have no id"),
        ([1, 2, 3], "id is String in rows and Int64 in labels"),
    ],
)
def test_rows_and_labels_have_the_same_keys_each_once(labels, words):
    assert inspection.twins(IDS, pl.Series("id", labels), ("rows", "labels")) == words


def test_months_that_are_declared_and_have_no_row_are_gaps():
    days = pl.Series("cluster", ["2020-01-03", "2020-01-04", "2020-03-01", "2020-05-09"])
    known = batches(pl.DataFrame({"key": ["a", "b", "c", "d"], "cluster": days}))
    declared = [f"2020-{month:02d}" for month in range(1, 8)]
    assert inspection.gaps(Batches.of(known, sample(GOOD)), declared) == ["2020-02", "2020-04"], (
        "not what is before and after all rows"
    )
    assert inspection.gaps(Batches.of(known, sample(GOOD)), ["first", "second"]) == []
    undated = batches(pl.DataFrame({"key": ["a"], "cluster": ["x"]}))
    assert inspection.gaps(Batches.of(undated, sample(GOOD)), declared) == []


def test_the_months_of_which_no_key_is_answered_are_told():
    keys, days = pl.Series("id", [1, 2, 3]), pl.Series("day", ["2020-01-03", "2020-02-04", "2020-02-05"])
    found = inspection.sample(keys, days, "data/holdout", ["2020-01", "2020-02"])
    assert inspection.missing(found, pl.Series(["1", "7"])) == ["2020-02"]
    assert inspection.missing(found, pl.Series(["1", "3"])) == []
