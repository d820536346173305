"""What a run wrote by itself: which numbers are read, and what a limit says of one."""

import pytest

from pushforward.judge import measured
from pushforward.schema import Metric


def test_numbers_are_named_by_file_and_path_and_what_is_none_is_left_out():
    files = {
        "metrics/found.json": b'{"auc": {"test": 0.5, "name": "x", "fine": true}, "rows": 3, "list": [1]}',
        "metrics/curve.csv": b"a,b\n1,2\n",
        "metrics/odd.json": b"[1]",
        "eval/more.yaml": b"auc: 0.25\n",
    }
    found, unread = measured.numbers(files)
    assert found == {"metrics/found.json:auc.test": 0.5, "metrics/found.json:rows": 3.0, "eval/more.yaml:auc": 0.25}
    assert [words.startswith("metrics/odd.json ") for words in unread] == [True]
    assert measured.numbers({"x.json": b'{"a": NaN}'})[0] == {}


@pytest.mark.parametrize(
    ("limits", "old", "new", "outcome"),
    [
        ({"at_least": 0.8}, None, 0.8, "pass"),
        ({"at_least": 0.8}, 0.9, 0.79, "fail"),
        ({"lose_at_most": 0.005}, 0.8, 0.795, "pass"),  # in floats it loses 0.0050000000000000044
        ({"lose_at_most": 0.005}, 0.8, 0.7949, "fail"),
        ({"lose_at_most": 0.0}, 0.8, 0.8, "pass"),
        ({"gain_at_least": 0.1}, 0.7, 0.8, "pass"),
        ({"gain_at_least": 0.1}, 0.75, 0.8, "fail"),
        ({"gain_at_least": 0.1}, None, 0.8, "undecided"),
        ({"better": "lower", "at_most": 3}, None, 3.0, "pass"),
        ({"better": "lower", "at_most": 3}, None, 3.1, "fail"),
        ({"better": "lower", "gain_at_least": 0.0}, 3.0, 3.1, "fail"),
        ({"better": "lower", "gain_at_least": 0.0}, 3.0, 2.9, "pass"),
        ({"better": "lower", "lose_at_most": 0.2}, 3.0, 3.1, "pass"),
    ],
)
def test_a_limit_is_kept_to_the_last_digit(limits, old, new, outcome):
    (guard,) = measured.held("metrics/m.json:x", Metric(**{"better": "higher"} | limits), old, new)
    assert guard.outcome == outcome


def test_a_broken_limit_names_number_limit_file_and_path():
    (guard,) = measured.held("metrics/m.json:auc.test", Metric(better="higher", lose_at_most=0.005), 0.81, 0.7)
    assert guard.detail == "metrics/m.json:auc.test is 0.7 after 0.81, and lose_at_most asks for 0.005"
