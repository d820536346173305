"""A column by what a manifest says of it, and each value that is none of its own."""

from datetime import UTC, datetime

import pytest

from pushforward.errors import PushforwardError
from pushforward.serving.columns import INTEGERS, MisfitError, column


def of(said, *, always=False):
    return column("x", said, "inputs.rows", always=always)


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("String", "string"),
        ("Int32", "int32"),
        ("UInt64", "uint64"),
        ("Float64", "float64"),
        ("Boolean", "boolean"),
        ("Datetime(time_unit='us', time_zone='UTC')", "instant"),
        ("Datetime(time_unit='ms', time_zone='America/New_York')", "instant"),
        ("Datetime(time_unit='us', time_zone=None)", "local"),
        ("int8", "int8"),
        ("float", "float64"),
        ("int", "int64"),
        ("bool", "boolean"),
        ("str", "string"),
    ],
)
def test_a_plain_name_of_ours_of_polars_or_of_python_is_a_column_that_may_be_null(name, type_):
    assert (of(name).type, of(name).nullable) == (type_, True)
    assert not of(name, always=True).nullable


def test_a_described_column_is_never_null_unless_it_says_so():
    assert not of({"type": "int8"}).nullable
    assert of({"type": "int8", "nullable": True}).nullable
    assert not of({"type": "int8", "nullable": True}, always=True).nullable


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("List(Int8)", '"List(Int8)" is no type that can be asked for'),
        ("Date", "is no type"),
        (3, "must be the name of a type"),
        ({}, "null is no type"),
        ({"type": "int8", "nulable": True}, "unknown key 'nulable'; did you mean nullable?"),
        ({"type": "int8", "nullable": 1}, "nullable must be true or false"),
        ({"type": "float64", "values": [1.5]}, "values are of strings and integers"),
        ({"type": "string", "values": []}, "values must be a list of 1 to 10,000"),
        ({"type": "string", "values": ["a", "a"]}, "values must differ"),
        ({"type": "string", "values": ["a", 1]}, "values must differ, and each be a string"),
        ({"type": "int8", "values": [True]}, "each be an integer"),
        ({"type": "int8", "values": [300]}, "values: 300 is not from -128 to 127"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused_by_place(said, why):
    with pytest.raises(PushforwardError) as refused:
        of(said)
    assert "inputs.rows.x: " in refused.value.message
    assert why in refused.value.message


@pytest.mark.parametrize(
    ("said", "value", "why"),
    [
        ("int8", 15.9, "15.9 is not an integer"),
        ("int8", 300, "300 is not from -128 to 127, which int8 holds"),
        ("int8", "17", '"17" is not an integer'),
        ("int8", True, "true is not an integer"),
        ("int64", 2**63, "is not from"),
        ("int64", 2.0**60, "too large to be exact"),
        ("int64", float("nan"), "NaN is not an integer"),
        ("uint8", -1, "-1 is not from 0 to 255"),
        ("float64", "17", '"17" is not a number'),
        ("float64", False, "false is not a number"),
        ("float64", float("nan"), "NaN is not a finite number; write null"),
        ("float64", float("inf"), "is not a finite number"),
        ("float64", 10**400, "is not a finite number"),
        ("float32", 3.5e38, "is beyond what float32 holds"),
        ("string", 17, "17 is not a string"),
        ("string", ["a"], "a list is not a string"),
        ("string", {"a": 1}, "an object is not a string"),
        ("boolean", 1, "1 is not true or false"),
        ("boolean", "true", '"true" is not true or false'),
        ({"type": "string"}, None, "is null, must be a string"),
        ({"type": "string", "values": ["EWR", "JFK"]}, "EWK", '"EWK" is no value of this column; did you mean EWR?'),
        ({"type": "int8", "values": [0, 1]}, 7, "7 is no value of this column; known: 0, 1"),
        ("instant", "2013-06-01T07:15:00", "does not say its offset from UTC; write Z or +hh:mm"),
        ("instant", "2013-06-01", "is not a moment with its offset from UTC, such as"),
        ("instant", "2013-02-29T07:15:00Z", "is not a moment"),
        ("instant", "2013-06-01T24:00:00Z", "is not a moment"),
        ("instant", 1370070900, "1370070900 is not a moment"),
        ("instant", "0001-01-01T00:00:00+23:00", "is no year of UTC from 1 to 9999"),
        ("local", "2013-06-01T07:15:00Z", "has an offset, and the local time of a place has none"),
        ("local", "noon", '"noon" is not a local time without offset'),
    ],
)
def test_a_value_that_is_none_of_the_columns_is_refused_with_why(said, value, why):
    with pytest.raises(MisfitError) as misfit:
        of(said).read(value)
    assert why in str(misfit.value)


@pytest.mark.parametrize(
    ("said", "value", "read"),
    [
        ("int8", 15.0, 15),
        ("int8", -128, -128),
        ("int64", 2**63 - 1, 2**63 - 1),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("float64", 3, 3.0),
        ("float64", -0.0, -0.0),
        ("instant", "2013-06-01T07:15:00+05:30", datetime(2013, 6, 1, 1, 45, tzinfo=UTC)),
        ("instant", "2013-06-01t07:15:00.25z", datetime(2013, 6, 1, 7, 15, 0, 250_000, tzinfo=UTC)),
        ("local", "2013-06-01T07:15:00", datetime(2013, 6, 1, 7, 15)),  # noqa: DTZ001
        ("string", "", ""),
        ("string", None, None),
    ],
)
def test_a_value_is_read_as_what_it_is(said, value, read):
    made = of(said).read(value)
    assert (made, type(made)) == (read, type(read))
    assert getattr(made, "tzinfo", None) is getattr(read, "tzinfo", None)


@pytest.mark.parametrize("name", sorted(INTEGERS))
def test_the_range_of_an_integer_ends_where_its_bits_end(name):
    low, high = INTEGERS[name]
    assert [of(name).read(one) for one in (low, high)] == [low, high]
    for beyond in (low - 1, high + 1):
        with pytest.raises(MisfitError):
            of(name).read(beyond)


def test_a_refusal_repeats_no_more_than_a_line_of_what_it_was_sent():
    with pytest.raises(MisfitError) as misfit:
        of("int8").read("\x1b[31m" + "x" * 10_000)
    assert len(str(misfit.value)) < 100
    assert "\x1b" not in str(misfit.value)
