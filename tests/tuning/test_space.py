"""The space of a search: what is tried, and where nothing is."""

import pytest
from pydantic import ValidationError

from pushforward.errors import PushforwardError
from pushforward.lifecycle import Searched, Tune
from pushforward.tuning import space

TEXT = b"""# the pipeline
train:
  rate: 0.1
  depth: 4
  word: plain
  on: true
"""


def test_today_is_what_the_file_says_and_a_name_that_it_has_not_is_refused():
    told = {"train.depth": Searched(low=3, high=8), "train.word": Searched(one_of=["plain", "other"])}
    assert space.today(TEXT, told) == {"train.depth": 4, "train.word": "plain"}
    with pytest.raises(PushforwardError, match=r"tune\.space\.train\.dept: params\.yaml has no such parameter"):
        space.today(TEXT, {"train.dept": Searched(low=1, high=2)})


def test_what_lies_outside_is_named():
    told = {
        "a": Searched(low=1, high=3),
        "b": Searched(low=0.5, high=1.0),
        "c": Searched(one_of=[1, True]),
        "d": Searched(one_of=[["x"], ["x", "y"]]),
    }
    assert space.outside({"a": 3, "b": 1, "c": True, "d": ["x", "y"]}, told) == []
    assert space.outside({"a": 4, "b": 0.4, "c": False, "d": ["y"]}, told) == ["a", "b", "c", "d"]
    assert space.outside({"a": 1.0, "b": True}, told) == ["a", "b"]


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({}, "low and high, or one_of"),
        ({"low": 1}, "'high' is missing"),
        ({"low": 2, "high": 2}, "low 2 is not below high 2"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low 0.0 has to be above 0"),
        ({"one_of": [1, 2], "low": 1, "high": 2}, "low and high, or one_of"),
        ({"one_of": [1, 2], "log": True}, "'log' is of low and high"),
        ({"one_of": [1]}, "at least 2 items"),
    ],
)
def test_a_parameter_is_of_one_form(told, wrong):
    with pytest.raises(ValidationError, match=wrong):
        Searched(**told)


def test_the_seed_is_not_searched_and_better_is_of_a_metric():
    with pytest.raises(ValidationError, match="is the seed, and is not searched"):
        Tune(space={"a.seed": Searched(low=1, high=2)}, seed="a.seed")
    with pytest.raises(ValidationError, match="'better' is of `metric`"):
        Tune(space={"a": Searched(low=1, high=2)}, better="higher")


def test_a_seed_is_a_whole_number():
    assert space.seed_of(TEXT, "train.depth") == 4
    for name in ("train.rate", "train.on", "train.none"):
        with pytest.raises(PushforwardError, match=rf"tune\.seed: {name} of params\.yaml is .*, not a whole number"):
            space.seed_of(TEXT, name)
