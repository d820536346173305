"""charts: values stand where they should."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.views.charts import Point, Scale, bars, curve, dots, spans, ticks, trend


def point(value, *, version="", month="2013-03"):
    return Point(value, "hold", version, month, "title")


def test_a_scale_maps_its_ends_and_one_value_to_the_middle():
    scale = Scale(0, 10, 100, 0)
    assert [scale.at(value) for value in (0, 2.5, 10)] == [100, 75, 0]
    assert Scale(3, 3, 0, 50).at(3) == 25


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.462, 0.488, [0.465, 0.47, 0.475, 0.48, 0.485]),
        (-3, 7, [-2, 0, 2, 4, 6]),
        (5, 5, [5]),
    ],
)
def test_marks_are_round_numbers(low, high, marks):
    assert ticks(low, high) == pytest.approx(marks)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_marks_are_few_and_inside(low, width):
    marks = ticks(low, low + width)
    assert len(marks) <= 9
    slack = max(width * 1e-6, 4 * math.ulp(low))
    assert all(low - slack <= mark <= low + width + slack for mark in marks)


def test_a_trend_goes_from_left_to_right_and_up_where_values_rise():
    drawn = trend([point(0.4, version="v1"), point(0.5), point(0.45, version="v2")], width=540, height=220)
    first, second, third = drawn.points
    assert first.x < second.x < third.x
    assert second.y < third.y < first.y
    assert drawn.lines == (f"{first.x},{first.y} {third.x},{third.y}",)
    assert all(0 <= one.x <= 540 and 0 <= one.y <= 220 for one in drawn.points)
    assert {round(value, drawn.digits) for _, value in drawn.grid} == {value for _, value in drawn.grid}


def test_no_line_joins_values_on_different_months():
    months = ("2013-03", "2013-03", "2013-04", "2013-05", "2013-05")
    drawn = trend([point(0.4, version="v", month=month) for month in months], width=540, height=220)
    assert [len(line.split()) for line in drawn.lines] == [2, 2]
    placed = dots([("2013-03", "v1", 0.5), ("2013-03", "v2", 0.4), ("2013-04", "", 0.3)], width=100, height=56)
    assert placed.dots == ((5.0, 5.0), (50.0, 28.0), (95.0, 51.0))
    assert placed.lines == ("5.0,5.0 50.0,28.0",)


def test_bars_begin_at_nothing_and_a_limit_is_always_in_the_picture():
    drawn = bars([0.0, 0.1, 0.2], limit=0.4, width=240, height=64)
    assert drawn.limit == 3
    assert [height for *_, height in drawn.places] == [0.0, 15.0, 30.0]
    assert all(y + height == pytest.approx(63, abs=0.11) for _, y, _, height in drawn.places)
    assert bars([5.0], limit=0.2).places[0][1] == 3
    assert bars([0.0]).places[0][3] == 0


@pytest.mark.parametrize("count", range(1, 14))
def test_pictures_fill_their_rows_without_a_hole(count):
    widths, row = spans(count), 0
    assert len(widths) == count
    for width in widths:
        row += width
        assert row <= 6
        row %= 6
    assert row == 0


def test_a_month_is_marked_at_its_first_run_where_there_is_room():
    points = [point(0.4, month=month) for month in ("2013-03", "2013-04", "2013-03", "2013-05")]
    assert [name for _, name in trend(points, width=540, height=220).months] == ["2013-03", "2013-04", "2013-05"]
    crowd = [point(0.4, month=f"{year}-01") for year in range(2000, 2060)]
    marks = [x for x, _ in trend(crowd, width=540, height=220).months]
    assert len(marks) < 10
    assert min(after - before for before, after in itertools.pairwise(marks)) >= 64


@pytest.mark.parametrize("values", [[0.4], [0.4, 0.4], [0.0], [-1.0, 1e9]])
def test_few_equal_and_far_values_can_be_drawn(values):
    drawn = trend([point(value) for value in values], width=540, height=220)
    assert len(drawn.points) == len(values)
    assert drawn.grid
    assert len(curve(values).split()) == len(values)


def test_a_curve_starts_at_the_left_and_falls_with_its_values():
    assert curve([1.0, 0.5, 0.0], width=100, height=56) == "2.0,3.0 50.0,28.0 98.0,53.0"
