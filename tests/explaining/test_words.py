"""An explanation as text: 80 columns, the same twice told once, and what was cut is said."""

import dataclasses
import unicodedata

import pytest

from pushforward.explaining.explain import Event, Explanation, Known, Part, Told, record
from pushforward.explaining.words import LINES, parts, steps, terminal
from pushforward.views.explained import page


def step(name, *rows):
    return {"name": name, "rows": [{"name": one, "value": value, "unit": "", "note": ""} for one, value in rows]}


def side(name, p=0.25, *, found=(), adds=(), **more):
    told = {"commit": "0" * 40, "version": "", "validated": {}, "trained": None, "loss": None, "doubts": ()}
    return Told(
        name=name,
        predicted={"p": p} if isinstance(p, float) else p,
        steps=found,
        link="logit" if adds else "",
        of="p" if adds else "",
        base=-1.0 if adds else None,
        parts=tuple(Part(one, 1.5, value) for one, value in adds),
        **(told | more),
    )


def explanation(champion, challenger, **more):
    told = {
        "model": "toy",
        "key": "2020-01-7",
        "where": "data/rows.parquet",
        "batch": "2020-01",
        "row": (("id", "2020-01-7"), ("x", 0.5)),
        "known": Known(
            "2020-01-01 03:00:00 UTC", 2, 1, "2020-01-01", "2020-01-02", (Event("2020-01-01", True, "y 1"),)
        ),
        "label": 1,
        "label_name": "y",
        "loss_name": "log loss",
        "sealed": "",
    }
    return Explanation(champion=champion, challenger=challenger, **(told | more))


def test_what_both_say_alike_stands_in_one_column_and_what_differs_in_two():
    same = step("joined", ("temp", 39.0), ("sky", "clear"))
    old, new = (
        side("v1.0.0", found=(same, step("features", ("a", 1.0)))),
        side("abc", found=(same, step("features", ("a", 2.0), ("b", 3.0)))),
    )
    assert [(name, beside) for name, beside, _ in steps([old, new])] == [
        ("joined", ["both"]),
        ("features", ["v1.0.0", "abc"]),
    ]
    rows = steps([old, new])[1][2]
    assert [(row.name, row.cells) for row in rows] == [("a", ["1", "2"]), ("b", ["–", "3"])]


def test_a_name_that_is_there_twice_makes_it_a_list():
    events = step("not known yet", ("departed", 5), ("departed", 7))
    ((_, beside, rows),) = steps([side("v1.0.0", found=(events,))])
    assert (beside, [row.note for row in rows]) == ([], ["5", "7"])


def test_parts_come_by_the_larger_of_the_two_and_add_up():
    old, new = side("v1", adds=(("a", 0.1), ("b", -2.0))), side("v2", adds=(("a", 0.5), ("c", 0.9)))
    found = parts([old, new])
    assert [name for name, _, _ in found] == ["base", "b", "c", "a"]
    card = terminal(explanation(old, new))
    assert "together" in card
    assert "−2.9000       +0.4000" in card


def test_parts_of_one_name_are_told_each_and_no_other_takes_their_place():
    old, new = side("v1", adds=(("a", 0.25), ("a", -2.0), ("b", 0.5))), side("v2", adds=(("a", 1.0),))
    assert parts([old, new]) == [
        ("base", [-1.0, -1.0], ""),
        ("a", [-2.0, None], "1.5000"),
        ("a", [0.25, 1.0], "1.5000"),
        ("b", [0.5, None], "1.5000"),
    ]
    (together,) = [line for line in terminal(explanation(old, new)).splitlines() if "together" in line]
    assert together.split() == ["together", "−2.2500", "+0.0000"]


def of(name, column, **more):
    told = side(name, {"p_a": 0.25, "p_b": 0.75}, adds=(("x", 0.5),), **more)
    return dataclasses.replace(told, of=column)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (("p_b", "p_b"), ["of p_b"]),
        (("p_a", "p_b"), ["v1: of p_a", "v2: of p_b"]),
    ],
)
def test_of_several_classes_it_is_told_whose_contributions_these_are(columns, told):
    old, new = (of(name, column) for name, column in zip(("v1", "v2"), columns, strict=True))
    card = terminal(explanation(old, new))
    adds = card[card.index("what adds") : card.index("together")].splitlines()
    assert [line.strip() for line in adds[1 : 1 + len(told)]] == told
    shown = page(explanation(old, new))
    for line in told:
        assert f'<p class="small">{line[:1].upper() if line.startswith("of") else line[:1]}{line[1:]}.</p>' in shown
    assert record(explanation(old, new))["challenger"]["of"] == columns[1]


def test_of_one_number_it_is_not_told_which_it_is():
    card = terminal(explanation(None, side("v1", adds=(("a", 0.1),))))
    assert "of p" not in card


def test_of_a_sealed_row_nothing_says_how_much_came_later_nor_when():
    known = Known("2020-01-01 03:00:00 UTC", 2, None, "2020-01-01", closed="it is in use")
    found = explanation(None, side("v1"), label=None, sealed="it is in use", known=known)
    for text in (terminal(found), page(found)):
        assert "came later, and what came to be known of other rows in use" in " ".join(text.split())
        assert "not known yet" not in text
        assert "came later," in text
        assert "came later." not in text


def test_a_long_step_shows_what_moves_the_prediction_and_says_how_many_more():
    names = [f"f{n}" for n in range(LINES + 6)]
    only = side("v1", found=(step("features", *((name, 1.0) for name in names)),), adds=(("f29", 0.5), ("f3", 0.4)))
    card = terminal(explanation(None, only))
    features = card[card.index("features") : card.index("what adds")]
    assert "f29" in features
    assert "f7 " not in features
    assert "28 more, which --json and --html have" in features


@pytest.mark.parametrize("text", ["x" * 300, "延" * 90, "a, b " * 60], ids=["long", "wide", "words"])
def test_no_line_is_wider_than_80_columns(text):
    one = step("joined", (text, text))
    both = [side(text, found=(one,), adds=((text, 0.1),), doubts=(text,), trained=True) for _ in range(2)]
    known = Known(text, 1, 1, text, text, (Event(text, False, text),), text)
    card = terminal(explanation(*both, key=text, row=((text, text),), known=known, label=text, sealed=text, where=text))
    for line in card.splitlines():
        wide = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
        assert wide <= 80, line


def test_a_sealed_row_says_why_and_a_row_without_a_moment_too():
    card = terminal(
        explanation(None, side("v1"), label=None, sealed="it is in the holdout, which is in use", known=None)
    )
    assert "label and loss are not told: it is in the holdout, which is in use" in card
    assert "label, y" not in card
    assert "rows have no moment" in card


def test_losses_are_told_with_the_label():
    card = terminal(explanation(side("v1", 0.5, loss=0.6931), side("v2", 0.8, loss=0.2231)))
    assert "label, y                        1" in card
    assert "0.6931        0.2231" in card
