"""tables: a type that may be asked for is one type in a data frame, by whichever of its names a manifest has it."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pushforward.serving import tables
from pushforward.serving.columns import DATATYPES, INTEGERS, column

INSTANT, LOCAL = pl.Datetime("us", "UTC"), pl.Datetime("us")


def test_every_type_that_may_be_asked_for_is_one_of_a_data_frame():
    assert set(tables.EXACT) == set(DATATYPES)


@pytest.mark.parametrize(
    ("said", "exact", "kind"),
    [
        ("bool", pl.Boolean, pl.Boolean),
        ("Boolean", pl.Boolean, pl.Boolean),
        ("boolean", pl.Boolean, pl.Boolean),
        ("int", pl.Int64, pl.Int64),
        ("UInt16", pl.UInt16, pl.Int64),
        ("UInt64", pl.UInt64, pl.UInt64),
        ("int8", pl.Int8, pl.Int64),
        ("float", pl.Float64, pl.Float64),
        ("Float32", pl.Float32, pl.Float64),
        ("str", pl.String, pl.String),
        ("Utf8", pl.String, pl.String),
        ("Categorical", pl.Categorical, pl.String),
        ("instant", INSTANT, INSTANT),
        ("Datetime(time_unit='ms', time_zone='America/New_York')", INSTANT, INSTANT),
        ("local", LOCAL, LOCAL),
        ("Datetime(time_unit='ns', time_zone=None)", LOCAL, LOCAL),
    ],
)
def test_a_name_is_the_same_type_for_a_request_a_score_command_and_the_log(said, exact, kind):
    for each in (said, {"type": said, "nullable": True}):
        assert tables.exact(each) == exact
        assert tables.kind(each) == kind
        assert tables.EXACT[column("x", each, "inputs.rows", always=False).type] == (
            pl.String if said == "Categorical" else exact
        )


def test_truths_named_as_python_does_stay_truths_and_are_plain_again():
    at = datetime(2020, 3, 1, tzinfo=UTC)
    given = {"yes": [True, None], "at": [at, None], "n": [1, None]}
    for as_named in (True, False):
        table = tables.frame(given, {"yes": "bool", "at": "instant", "n": "int"}, as_named=as_named)
        assert table.dtypes == [pl.Boolean, INSTANT, pl.Int64]
        assert tables.columns(table) == given


def test_the_largest_whole_numbers_that_may_be_asked_are_logged_as_they_are():
    given = {name: [*INTEGERS[name]] for name in INTEGERS}
    assert given["uint64"] == [0, 2**64 - 1]
    for as_named in (True, False):
        assert tables.columns(tables.frame(given, {name: name for name in given}, as_named=as_named)) == given
