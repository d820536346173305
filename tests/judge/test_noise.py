"""Noise of a recipe: the interval in which one more run lies, whose noise a file tells, and what it says of a limit."""

import json

import pytest

from pushforward.judge import measured, noise
from pushforward.pipeline.lock import write_lock
from pushforward.schema import Metric


def test_one_more_run_lies_in_students_prediction_interval():
    # mean 3, standard deviation sqrt(2.5), t(4) at 97.5 % is 2.776445, and the root of 1 + 1/5 is 1.095445
    low, high = noise.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == (pytest.approx(-1.808937, abs=1e-5), pytest.approx(7.808937, abs=1e-5))
    assert noise.interval([0.5, 0.5]) == (0.5, 0.5)


def test_a_file_that_is_not_of_our_form_tells_nothing():
    kept = noise.Noise("train.seed", "ab", {"m.json:auc": (0.5, 0.25)})
    assert noise.read(noise.written(kept)) == kept
    tree = json.loads(noise.written(kept))
    assert measured.numbers({noise.FILE: noise.written(kept)})[0] == {}
    others = [
        tree | {"values": {}},
        tree | {"values": {"m.json:auc": [0.5, "x"]}},
        tree | {"values": {"m.json:auc": [True]}},
        tree | {"values": [1]},
        tree | {"param": 3},
    ]
    assert [noise.read(json.dumps(other).encode()) for other in others] == [None] * len(others)
    assert [noise.read(content) for content in (None, b"", b"[", b"[]")] == [None] * 4


def lock(seed, md5="a" * 32, data="c" * 32):
    """The lock of a stage with a seed, and of one that reads what it makes."""
    params = {"params.yaml": {"train.seed": seed, "train.depth": 3}}
    train = {
        "cmd": "train",
        "deps": [{"path": "data.csv", "md5": data}],
        "params": params,
        "outs": [{"path": "model", "md5": md5}],
    }
    test = {"cmd": "test", "deps": [{"path": "model", "md5": md5}], "outs": [{"path": "m.json", "md5": md5}]}
    return write_lock({"train": train, "test": test})


def test_a_recipe_is_all_but_its_seed_and_what_comes_of_it():
    recipe = noise.recipe(lock(1), "train.seed")
    assert noise.recipe(lock(2, md5="b" * 32), "train.seed") == recipe
    assert noise.recipe(lock(1, data="d" * 32), "train.seed") != recipe
    assert noise.recipe(lock(2), "train.depth") != noise.recipe(lock(1), "train.depth")


@pytest.mark.parametrize(
    ("limit", "new", "outcome"),
    [
        ({"lose_at_most": 0.01}, 0.75, "undecided"),  # a loss that a seed alone could make
        ({"lose_at_most": 0.01}, 0.5, "fail"),
        ({"lose_at_most": 0.01}, 0.795, "pass"),
        ({"gain_at_least": 0.01}, 0.82, "undecided"),  # a gain that a seed alone could make
        ({"gain_at_least": 0.01}, 0.99, "pass"),
        ({"gain_at_least": 0.01}, 0.5, "fail"),
        ({"at_least": 0.79}, 0.75, "fail"),  # what it has to reach is no comparison
    ],
)
def test_what_a_seed_alone_could_do_is_no_gain_and_no_loss(limit, new, outcome):
    seeds = (0.78, 0.76, 0.83, 0.81)  # with 0.8: 0.796, and a new run lies between 0.716 and 0.876
    (guard,) = measured.held("m.json:auc", Metric(better="higher", **limit), 0.8, new, seeds)
    assert guard.outcome == outcome
    if "at_least" not in limit:
        assert "4 other seeds of the old recipe gave 0.76 to 0.83, and one more would give 0.7" in guard.detail
        assert ("no more than a seed does" in guard.detail) == (0.72 < new < 0.87)
