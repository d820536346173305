"""What an `explain` command has written is a stranger's: form, size and sums."""

import json
import math
import os

import pytest

from pushforward.errors import PushforwardError
from pushforward.explaining.told import LIMIT_BYTES, Told, parse, taken


def written(tmp_path, tree):
    path = tmp_path / "out.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return path


def read(path):
    return parse(taken(path, LIMIT_BYTES, "explain"))


def test_what_is_well_formed_is_taken_and_what_else_is_there_left_alone(tmp_path):
    line = {"name": "temp", "value": 39.0, "unit": "°F", "note": "known 09:51", "more": {"a": [1]}}
    told = read(written(tmp_path, {"steps": [{"name": "joined", "rows": [line]}], "else": 1}))
    assert told.steps[0].rows[0].value == 39.0
    assert told.contributions is None
    assert read(written(tmp_path, {})) == Told()


@pytest.mark.parametrize("value", ["text", 3, 2.5, True, None], ids=["text", "whole", "number", "truth", "nothing"])
def test_a_value_keeps_its_type(tmp_path, value):
    told = read(written(tmp_path, {"steps": [{"name": "a", "rows": [{"name": "b", "value": value}]}]}))
    found = told.steps[0].rows[0].value
    assert (found, type(found)) == (value, type(value))


def test_no_control_character_and_no_long_text_gets_through(tmp_path):
    line = {"name": "\x1b[2Ja\u202eb", "value": "x" * 5000, "note": "one\ntwo"}
    told = read(written(tmp_path, {"steps": [{"name": "s", "rows": [line]}]})).steps[0].rows[0]
    assert told.name == "ab"
    assert told.note == "one two"
    assert len(told.value) == 120


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ("no json", "is not JSON"),
        ("[1]", "it is not an object"),
        ('{"prediction": NaN}', "NaN is no number"),
        ('{"prediction": 1e999}', "not of the form expected: prediction"),
        ({"prediction": "0.5"}, "not of the form expected: prediction"),
        ({"steps": [{"rows": []}]}, "steps.0.name"),
        ({"steps": [{"name": "a", "rows": [{"name": "b", "value": [1]}]}]}, "steps.0.rows.0.value"),
        ({"steps": [{"name": str(n)} for n in range(21)]}, "steps: List should have at most 20"),
        ({"contributions": {"link": "probit", "base": 0}}, "contributions.link"),
        ({"contributions": {"base": 0.0, "parts": [{"name": "a"}]}}, "contributions.parts.0.contribution"),
        ({"contributions": {"base": 1e308, "parts": [{"name": "a", "contribution": 1e308}]}}, "contributions.base"),
        ({"contributions": {"base": 0, "parts": [{"name": "a", "contribution": -2e300}]}}, "parts.0.contribution"),
        ({"contributions": {"base": 10**400}}, "contributions.base"),
        ("[" * 100_000, "is not JSON"),
        ('{"a": "' + "x" * LIMIT_BYTES + '"}', "the limit is 1,048,576"),
    ],
)
def test_anything_else_is_refused_with_where_it_is_wrong(tmp_path, tree, said):
    with pytest.raises(PushforwardError, match=r"explain command|not JSON") as refused:
        read(written(tmp_path, tree))
    assert said in str(refused.value)


def link(path):
    (path.parent / "other.json").write_text("{}")
    path.symlink_to(path.parent / "other.json")


@pytest.mark.parametrize(
    "left",
    [
        lambda path: None,
        link,
        lambda path: path.symlink_to(path),
        lambda path: path.mkdir(),
        os.mkfifo,
    ],
    ids=["nothing", "link", "circle", "folder", "pipe"],
)
def test_what_is_no_plain_file_is_neither_read_nor_waited_for(tmp_path, left):
    left(tmp_path / "out.json")
    with pytest.raises(PushforwardError, match=r"the score command left no file out\.json"):
        taken(tmp_path / "out.json", 10, "score")


def test_no_more_is_read_than_may_be_left(tmp_path):
    (tmp_path / "out.json").write_bytes(b"x" * 10)
    assert taken(tmp_path / "out.json", 10, "score") == b"x" * 10
    with pytest.raises(PushforwardError, match=r"what the score command wrote is too long; the limit is 9 bytes"):
        taken(tmp_path / "out.json", 9, "score")


@pytest.mark.parametrize(
    ("link", "base", "part", "p"),
    [("logit", -1.0, 0.25, 1 / (1 + math.exp(0.75))), ("log", 0.5, 0.5, math.e), ("identity", 3.0, -1.5, 1.5)],
)
def test_base_and_contributions_are_held_against_the_prediction(link, base, part, p):
    parts = [{"name": "a", "contribution": part}]
    told = Told.model_validate({"contributions": {"link": link, "base": base, "parts": parts}, "prediction": p})
    assert told.doubts({"p": p}) == []
    off = Told.model_validate({"contributions": {"link": link, "base": base + 0.01, "parts": parts}})
    assert "they do not explain it" in off.doubts({"p": p})[0]


def test_a_prediction_that_is_not_that_of_score_is_said():
    assert Told(prediction=0.5).doubts({"p": 0.5 + 1e-10}) == []
    assert "what explains is not what scores" in Told(prediction=0.5).doubts({"p": 0.5001})[0]


def test_a_sum_of_single_precision_agrees_and_one_of_four_digits_does_not():
    def off_by(error):
        told = Told.model_validate({"contributions": {"base": 0.5, "parts": [{"name": "a", "contribution": error}]}})
        return told.doubts({"p": 0.5})

    assert off_by(2e-6) == []
    assert off_by(1e-4)


def test_contributions_of_a_class_name_it():
    told = Told.model_validate({"contributions": {"base": 0.7, "of": "p_b"}})
    assert told.doubts({"p_a": 0.3, "p_b": 0.7}) == []
    assert told.doubts({"p_a": 0.3}) == ["the contributions are of p_b, which score does not predict"]


def test_a_class_whose_name_is_long_is_found_by_what_is_shown_of_it():
    name = "p_" + "b" * 200
    told = Told.model_validate({"contributions": {"base": 0.7, "of": name}})
    assert told.doubts({"p_a": 0.3, name: 0.7}) == []
    assert told.contributions.column({"p_a": 0.3, name: 0.7}) == name


@pytest.mark.parametrize("link", ["identity", "logit", "log"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_numbers_that_there_may_be_have_a_sum_and_it_is_doubted(link, sign):
    parts = [{"name": str(n), "contribution": sign * 1e300} for n in range(2000)]
    told = Told.model_validate({"contributions": {"link": link, "base": sign * 1e300, "parts": parts}})
    assert told.contributions.total == pytest.approx(sign * 2001e300)
    assert "they do not explain it" in told.doubts({"p": 0.5})[0]
