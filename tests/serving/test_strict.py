"""JSON as it is written: twice the same name, half a character and what is no JSON are refused."""

import json
import math

import pytest

from pushforward.serving.strict import RequestError, meant, parse, shown


def refused(body):
    with pytest.raises(RequestError) as error:
        parse(body)
    assert error.value.status == 400
    return str(error.value)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "a: is named twice in one object"),
        (b'{"x": [{"\\u0061": 1, "a": 1}]}', "a: is named twice in one object"),
        (b"", "the body is not JSON: Expecting value (line 1, column 1)"),
        (b'{"a": }', "the body is not JSON: Expecting value (line 1, column 7)"),
        (b"{}{}", "the body is not JSON: Extra data"),
        (b"\xff{}", "the body is not UTF-8: byte 0"),
        ("{}".encode("utf-16"), "the body is not UTF-8: byte 0"),
        (b"\xef\xbb\xbf{}", "the body is not JSON: Unexpected UTF-8 BOM"),
        (b'"\\ud800"', "half of a pair"),
        (b'{"\\udc00": 1}', "half of a pair"),
        (b"[" + b"1" * 5000 + b"]", "a number of thousands of digits"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(body, why):
    assert why in refused(body)


def test_what_is_nested_beyond_reading_is_refused():
    assert refused(b"[" * 5000) == "the body is nested too deeply"


def test_what_is_no_number_is_left_for_the_column_to_name():
    nan, large = parse(b"[NaN, 1e400]")
    assert math.isnan(nan)
    assert large == math.inf


@pytest.mark.parametrize("tree", [None, [1, 2.5, "é", True], {"a": {"b": []}}, "\U0001f600"])
def test_other_json_is_read(tree):
    assert parse(json.dumps(tree).encode()) == tree


def test_a_value_is_shown_as_json_in_one_line():
    shows = [shown(one) for one in ("a\nb", None, 1.5, [1], {}, float("nan"), math.inf, 10**100)]
    assert shows[:5] == ['"a b"', "null", "1.5", "a list", "an object"]
    assert shows[5:7] == ["NaN", "a number beyond those of 64 bits"]
    assert len(shows[7]) == 60


def test_a_name_that_is_none_is_told_what_was_meant_or_what_there_is():
    assert meant("distanze", ["distance", "dest"]) == "did you mean distance?"
    assert meant("zzz", [f"c{n}" for n in range(20)]).endswith("c11, …")
