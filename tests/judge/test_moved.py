"""The rows that gained and lost most, against losses computed by hand."""

import math

import numpy as np
import pytest

from pushforward.gate import loss as losses
from pushforward.gate.evidence import Evidence
from pushforward.judge.moved import MOST, most
from pushforward.report.note import Moved


def evidence(y, champion, challenger, classes=()):
    return Evidence(
        y=np.array(y, dtype=float),
        champion=None if champion is None else np.array(champion),
        challenger=np.array(challenger),
        clusters=np.array([str(n) for n in range(len(y))]),
        mode="superior",
        months=("2020-01",),
        slices={},
        classes=classes,
    )


def test_they_are_by_the_loss_the_most_first_and_a_row_that_stays_is_in_neither():
    found = most(
        ["a", "b", "c", "d"],
        evidence([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.5, 0.4]),
        losses.LOSSES["logloss"],
    )
    assert [one.key for one in found] == ["a", "d", "b"]
    assert found[0] == Moved("a", "1", 0.5, 0.9, pytest.approx(math.log(0.9 / 0.5)))
    assert found[2].gain == pytest.approx(math.log(0.1 / 0.5))


def test_there_are_five_of_either_kind_and_none_is_in_both():
    y, n = [1] * 7, 7
    up = most(list(range(n)), evidence(y, [0.5] * n, [0.51 + k / 100 for k in range(n)]), losses.LOSSES["logloss"])
    assert [one.key for one in up] == ["6", "5", "4", "3", "2"]
    assert len(up) == MOST


def test_nothing_is_held_against_no_champion():
    assert most(["a"], evidence([1], None, [0.9]), losses.LOSSES["logloss"]) == ()


def test_of_several_classes_it_is_the_probability_of_the_label():
    kind = losses.Loss("log loss", losses.class_log_loss, form="classes", classes=2)
    found = most(["r"], evidence([1], [[0.8, 0.2]], [[0.4, 0.6]], ("no", "yes")), kind)
    assert found == (Moved("r", "yes", 0.2, 0.6, pytest.approx(math.log(3))),)


def test_a_key_that_nobody_can_type_is_left_out_and_one_that_would_move_a_cursor_is_made_harmless():
    found = most(["x" * 500, "a\x1b[2J"], evidence([1, 1], [0.5, 0.5], [0.9, 0.8]), losses.LOSSES["logloss"])
    assert [one.key for one in found] == ["a"]
