"""Columns that are filled in, or left out, once the outcome was there: each told by name, and nothing else told."""

import datetime

import numpy as np
import polars as pl
import pytest

from pushforward.gate import leaks, stats
from pushforward.gate.leaks import Names

NAMES = Names("y", "date", "at", ("id",))
DAYS, A_DAY = 60, 50


@pytest.fixture(scope="module")
def tables():
    """3,000 rows of 60 days; a fifth comes to nothing, and x says something of it: AUC about .7."""
    random = np.random.default_rng(3)
    count = DAYS * A_DAY
    day = [datetime.date(2020, 3, 1) + datetime.timedelta(days=number // A_DAY) for number in range(count)]
    minute = [number % A_DAY * 20 for number in range(count)]
    y = (random.random(count) < 0.2).astype("int8")
    x = random.normal(0, 1, count) + 0.75 * y
    at = [
        datetime.datetime.combine(d, datetime.time()) + datetime.timedelta(minutes=m)
        for d, m in zip(day, minute, strict=True)
    ]
    rows = pl.DataFrame(
        {"id": [f"r{n}" for n in range(count)], "x": x, "at": at, "kind": random.choice(["a", "b"], count)}
    )
    return rows, pl.DataFrame({"id": rows["id"], "y": y, "date": day}), random.random(count)


def found(tables, column, limit=0.95, names=NAMES):
    rows, labels, _ = tables
    return leaks.leaks(rows.with_columns(column.alias("c")) if column is not None else rows, labels, limit, names=names)


def test_honest_columns_are_not_suspected(tables):
    rows, labels, _ = tables
    assert 0.68 < stats.auc(labels["y"].to_numpy(), rows["x"].to_numpy()) < 0.74
    assert found(tables, None) == ()
    assert leaks.doubt(()) == ""


def columns(tables):
    rows, labels, noise = tables
    y, at = labels["y"], rows["at"]
    is_one = y == 1
    noise = pl.Series(noise)
    drawn = noise < 0.5
    left = at + pl.Series([datetime.timedelta(minutes=120)] * len(y))
    late = pl.Series([datetime.timedelta(minutes=int(m)) for m in 90 * y.to_numpy() + 60 * noise.to_numpy()])
    status = pl.Series(["gone" if one else "flown" for one in is_one])
    return {
        "actual departure, missing for what did not leave": left.set(is_one & drawn, None),
        "actual departure, filled from the timetable": left + late,
        "status": status,
        "status of a part": status.set(~is_one | drawn, "open"),
        "null marks what came to nothing": noise.set(is_one, None),
        "null marks a twentieth of it": noise.set(is_one & (noise < 0.05 * 5), None),
        "filled for nothing else": noise.set(~is_one, None),
        "sentinel": noise.set(is_one & drawn, -1.0),
        "text sentinel": pl.Series(["x" + str(n) for n in range(len(y))]).set(is_one & drawn, ""),
        "code without an order": (y.cast(pl.Int32) * 3 - 1).pow(2).cast(pl.Int32)
        + pl.Series([n % 2 * 9 for n in range(len(y))]),
        "flag": is_one,
        "score": y + 0.3 * noise,
        "score turned round": -(y + 0.3 * noise),
        "list": pl.Series([None if one else [1] for one in is_one], dtype=pl.List(pl.Int64)),
        "category": status.cast(pl.Categorical),
        "length of a list": pl.Series([[] if one else [1] for one in is_one], dtype=pl.List(pl.Int64)),
        "what a list begins with": pl.Series([[2, 0] if one else [1, 0] for one in is_one]),
        "array": pl.Series([[2, 0] if one else [1, 0] for one in is_one], dtype=pl.Array(pl.Int64, 2)),
        "field of a structure": pl.DataFrame({"a": noise, "gone": is_one}).to_struct(),
        "field of a structure, inside": pl.DataFrame({"b": pl.DataFrame({"gone": is_one}).to_struct()}).to_struct(),
        "number as text": (y + 0.3 * noise).round(4).cast(pl.String),
        "moment as text": (left + late).dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "day as text": (at + late * 2000).dt.strftime("%Y-%m-%d"),
        "code of each row": pl.Series([f"{'late' if one else 'fine'}{n}" for n, one in enumerate(is_one)]),
        "text of a length": pl.Series([f"{n:0{9 if one else 8}}" for n, one in enumerate(is_one)]),
        "date": pl.Series([datetime.date(1970, 1, 1) if one else datetime.date(2020, 3, 1) for one in is_one]),
        "not a number": noise.set(is_one & drawn, float("nan")),
    }


def test_what_is_filled_in_after_the_outcome_is_told_by_name(tables):
    missed = [
        name
        for name, column in columns(tables).items()
        if [one.column for one in found(tables, column)] != ["the column 'c' of the rows"]
    ]
    assert missed == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("actual departure, missing for what did not leave", "where it is missing (1 in nearly every such row)"),
        ("actual departure, filled from the timetable", "by its distance from the decision"),
        ("status of a part", "where it is 'gone' (1 in nearly every such row)"),
        ("score", "by its order"),
        ("sentinel", "where it is '-1.0'"),
        ("flag", "where it is 'False' (0 in nearly every such row)"),
        ("status", "where it is 'flown' (0 in nearly every such row)"),
        ("length of a list", "by how many it holds by its order"),
        ("field of a structure", "in its field 'gone' where it is 'False' (0 in nearly every such row)"),
        ("number as text", "as a number by its order"),
        ("moment as text", "as a moment by its distance from the decision"),
        ("code of each row", "by its first letter where it is 'f' (0 in nearly every such row)"),
    ],
)
def test_the_doubt_says_by_what(tables, name, words):
    said = leaks.doubt(found(tables, columns(tables)[name]))
    assert said.startswith(f"the column 'c' of the rows foretells the label {words}")
    assert said.endswith("a person must look at the data, and list under gate.cleared what is known before the outcome")


def test_no_number_of_the_labels_is_told(tables):
    _, labels, _ = tables
    for name, column in columns(tables).items():
        said = leaks.doubt(found(tables, column))
        assert str(int(labels["y"].sum())) not in said, name


@pytest.mark.parametrize("kind", ["unique", "timetable", "parts", "few rows", "one day", "constant", "missing", "half"])
def test_what_only_looks_like_it_is_not_told(tables, kind):
    _, labels, noise = tables
    y, count = labels["y"].to_numpy(), len(labels)
    place = np.arange(count)
    column = {
        "unique": pl.Series([f"r{n * 7919 % count}" for n in range(count)]),
        "timetable": tables[0]["at"].dt.offset_by("2h").dt.strftime("%Y-%m-%d %H:%M:%S"),
        "parts": pl.DataFrame({"x": tables[0]["x"], "of": tables[0]["kind"]}).to_struct(),
        "few rows": pl.Series([None if one and n < 200 else 1.5 for n, one in enumerate(y)]),
        "one day": pl.Series(np.where((place < 200) & (y == 1), "storm", "calm")),
        "constant": pl.repeat(1, count, eager=True),
        "missing": pl.repeat(None, count, eager=True, dtype=pl.Float64),
        "half": pl.Series(np.where(noise < 0.5, None, 1.0), nan_to_null=True),
    }[kind]
    assert found(tables, column) == (), kind


def test_the_order_of_the_rows_is_a_column_too(tables):
    rows, labels, _ = tables
    whole = rows.with_columns(y=labels["y"], date=labels["date"]).sort("date", "y", maintain_order=True)
    told = leaks.leaks(whole.drop("y", "date"), whole.select("id", "y", "date"), 0.95, names=NAMES)
    assert leaks.doubt(told).startswith("the order of the rows foretells the label within its clusters; ")


def test_a_column_that_a_person_has_looked_at_is_passed_over_and_a_limit_of_one_asks_nobody(tables):
    flag = tables[1]["y"] == 1
    assert found(tables, flag, names=Names("y", "date", "at", ("id", "c"))) == ()
    assert found(tables, flag, limit=1.0) == ()


def test_labels_that_are_no_classes_are_left_to_the_gate(tables):
    rows, labels, _ = tables
    assert leaks.leaks(rows, labels.with_columns(y=pl.lit(1)), 0.95, names=NAMES) == ()
    assert leaks.leaks(rows, labels.with_columns(y=rows["x"]), 0.95, names=NAMES) == ()


def test_many_columns_are_cut(tables):
    rows, labels, _ = tables
    many = rows.with_columns((labels["y"] + n).alias(f"c{n}") for n in range(7))
    said = leaks.doubt(leaks.leaks(many, labels, 0.95, names=NAMES))
    assert "'c2'" in said
    assert "'c3'" not in said
    assert "and 4 more columns do" in said


def test_what_nine_rows_in_ten_are_anyway_need_not_be_foretold(tables):
    rows, labels, noise = tables
    fraud = labels.with_columns(y=pl.Series((noise < 0.05).astype("int8")))
    invoice = pl.Series(["invoice" if p > 0.6 else "card" for p in noise])
    assert leaks.leaks(rows.with_columns(invoice.alias("c")), fraud, 0.95, names=NAMES) == ()
