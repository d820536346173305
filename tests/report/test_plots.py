"""plots: what is drawn is what the numbers are, and nothing that a pusher writes does more than stand there."""

import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushforward.gate import stats
from pushforward.gate.loss import of
from pushforward.report import plots, vega
from pushforward.settings import GateRules
from pushforward.views import svg as pictures

SVG = "{http://www.w3.org/2000/svg}"
NOBODY = np.array([])
NONE = {"learning": {}, "importance": {}}
LEARNING = {
    "champion": b"round,train,validation\n1,0.6,0.64\n2,0.5,0.61\n3,0.45,0.62\n",
    "challenger": b"round,train,validation\n1,0.6,0.63\n2,0.5,0.6\n3,0.45,0.59\n4,0.4,0.595\n",
}
IMPORTANCE = {
    "champion": b"feature,contribution\nhour,0.2\nwind,0.1\n",
    "challenger": b"feature,contribution\nhour,0.1\ntail,0.4\n",
}


@pytest.fixture(scope="module")
def month():
    """Outcomes, predictions of the champion and of the challenger, and days of 2,000 rows."""
    dice = np.random.default_rng(5)
    skill = dice.normal(size=2000)
    y = (skill + dice.normal(size=2000) > 0.8).astype(np.int8)
    challenger = np.round(1 / (1 + np.exp(1.2 - 1.6 * skill)), 2)
    champion = 1 / (1 + np.exp(1.2 - 1.6 * (skill + dice.normal(scale=0.4, size=2000))))
    # From a day with a gap behind it to the next month, in no order.
    days = np.array([f"2013-02-{day:02}" for day in (20, *range(23, 29))] + ["2013-03-01"])
    return y, champion, challenger, dice.choice(days, 2000)


@pytest.fixture(scope="module")
def drawn(month):
    y, champion, challenger, days = month
    return plots.draw(
        y, challenger, champion, days, loss=of(GateRules(metric="logloss")), learning=LEARNING, importance=IMPORTANCE
    )


def _tree(svg):
    return ET.fromstring(svg)


def _marks(svg, kind):
    """Elements of the data marks of a kind, in the order in which they are drawn."""
    return [
        mark
        for group in _tree(svg).iter(f"{SVG}g")
        if group.get("class", "").startswith(f"mark-{kind} role-mark")
        for mark in group
    ]


def _numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def _lines(svg, color):
    """Places of the lines of a colour, shape (points, 2), as shares of the plot from its lower left."""
    lower = next(mark for mark in _marks(svg, "rule") if mark.get("stroke-dasharray"))
    width, height = float(lower.get("x2")), -float(lower.get("y2"))
    places = [np.array(_numbers(line.get("d"))).reshape(-1, 2) for line in _marks(svg, "line") if _of(line, color)]
    return [np.column_stack([place[:, 0] / width, 1 - place[:, 1] / height]) for place in places]


def _of(mark, model):
    return vega.COLORS[model] in (mark.get("stroke"), mark.get("fill"))


def _texts(svg):
    return ["".join(text.itertext()) for text in _tree(svg).iter(f"{SVG}text")]


def test_a_pair_of_models_gets_every_picture_and_the_web_page_takes_them(drawn):
    assert set(drawn) == {
        *("roc.svg", "pr.svg", "reliability.svg", "gain-by-day.svg", "importance.svg", "learning.svg")
    }
    for svg in drawn.values():
        found = pictures.read(svg)
        assert found is not None
        assert found.title
        assert found.description
        assert found.width <= 600
        assert found.height <= 360
        assert len(svg) < 60_000


def test_a_picture_has_no_script_no_address_and_no_style_but_the_ink_of_a_dark_page(drawn):
    for svg in drawn.values():
        text = svg.decode()
        assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
        assert re.findall(r"<style>(.*?)</style>", text) == [vega.DARK]
        assert not re.search(r"<script|@import|<image|<foreignObject|href|url\(|\son\w+=|\sid=", text)
        families = {element.get("font-family") for element in _tree(svg).iter(f"{SVG}text")}
        assert families == {"sans-serif"}
        assert _tree(svg).get("role") == "img"


def test_texts_and_models_stand_out_from_a_white_and_from_a_dark_page(drawn):
    for svg in drawn.values():
        root = _tree(svg)
        assert not [rect for rect in root.findall(f"{SVG}rect") if rect.get("fill") not in (None, "none")]
        assert {element.get("fill") for element in root.iter(f"{SVG}text")} == {vega.INK}
        assert min(_contrast("#ffffff", vega.INK), _contrast("#1a1c21", vega.INK_ON_DARK)) >= 4.5
        assert _contrast("#0d1117", vega.INK_ON_DARK) >= 4.5
        assert _contrast("#0d1117", vega.INK) >= 3, "where a page is dark and the browser is not told so"
        for page, color in itertools.product(("#ffffff", "#0d1117"), vega.COLORS.values()):
            assert _contrast(page, color) >= 4, (page, color)


def _contrast(*colors):
    dark, light = sorted(_luminance(color) for color in colors)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color):
    """Relative luminance as WCAG 2 has it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_the_area_under_the_drawn_roc_curve_is_the_auc(drawn, month):
    y, champion, challenger, _ = month
    for model, p in (("champion", champion), ("challenger", challenger)):
        (line,) = _lines(drawn["roc.svg"], model)
        assert 50 < len(line) <= 200
        np.testing.assert_allclose(line[[0, -1]], [[0, 0], [1, 1]], atol=1e-3)
        assert (np.diff(line, axis=0) >= -1e-9).all()
        area = stats.auc(y.astype(float), p)
        assert np.trapezoid(line[:, 1], line[:, 0]) == pytest.approx(area, abs=1e-3)
        assert f"{model} AUC {area:.4f}" in [" ".join(text.split()) for text in _texts(drawn["roc.svg"])]


def test_every_step_of_a_small_roc_curve_is_drawn():
    y, p = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    svg = plots.draw(y, p, None, NOBODY, loss=of(GateRules(metric="brier")), **NONE)["roc.svg"]
    (line,) = _lines(svg, "challenger")
    expected = [[0, 0], [0, 1 / 2], [1 / 3, 1 / 2], [2 / 3, 1], [1, 1]]
    np.testing.assert_allclose(line, expected, atol=1e-5)


def test_the_drawn_precision_is_that_of_the_rows_above_each_prediction():
    y, p = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    svg = plots.draw(y, p, None, NOBODY, loss=of(GateRules(metric="brier")), **NONE)["pr.svg"]
    (line,) = _marks(svg, "line")
    places = np.array(_numbers(line.get("d"))).reshape(-1, 2)
    (chance,) = _marks(svg, "rule")
    height = _numbers(chance.get("transform"))[1] / (1 - 2 / 5)
    # At 0.9 one of one, at 0.5 two of four; the steps between change no recall.
    np.testing.assert_allclose(1 - places[:, 1] / height, [1, 1 / 2], atol=1e-5)
    assert places[0, 0] == pytest.approx(places[1, 0] / 2, abs=1e-2)
    assert any("AP 0.7500" in text for text in _texts(svg))


def test_dots_of_reliability_are_at_the_means_of_ten_equal_bins(drawn, month):
    y, _, challenger, _ = month
    svg = drawn["reliability.svg"]
    (line,) = _lines(svg, "challenger")
    bins = np.minimum((challenger * 10).astype(int), 9)
    expected = [[challenger[bins == one].mean(), y[bins == one].mean()] for one in np.unique(bins)]
    np.testing.assert_allclose(line, expected, atol=1e-4)
    dots = _marks(svg, "symbol")
    assert {(dot.get("stroke"), dot.get("fill")) for dot in dots} == {
        (vega.COLORS["champion"], None),
        (vega.COLORS["challenger"], plots.COLORS["challenger"]),
    }
    rows = np.bincount(bins)[np.unique(bins)]
    sizes = [_numbers(dot.get("d"))[0] ** 2 for dot in dots if dot.get("fill")]
    np.testing.assert_allclose(np.diff(sizes) / np.diff(rows), (sizes[1] - sizes[0]) / (rows[1] - rows[0]), rtol=0.05)


def test_a_bar_of_the_gain_is_the_mean_of_its_day(month):
    y, champion, challenger, days = month
    svg = plots.draw(y, challenger, champion, days, loss=of(GateRules(metric="brier")), **NONE)["gain-by-day.svg"]
    gains = stats.squared(y, champion) - stats.squared(y, challenger)
    zero, mean = (_numbers(mark.get("transform"))[1] for mark in _marks(svg, "rule"))
    estimate = stats.clustered_mean(gains, days)
    unit = (zero - mean) / estimate.mean
    band, *bars = _marks(svg, "rect")
    for bar, day in zip(bars, np.unique(days), strict=True):
        _, top, _, height = _numbers(bar.get("d"))[:4]
        gain = gains[days == day].mean()
        assert height / unit == pytest.approx(abs(gain), rel=1e-6)
        assert top == pytest.approx(zero - max(gain, 0) * unit, abs=1e-6)
        assert _of(bar, "challenger" if gain > 0 else "champion")
    _, top, _, height = _numbers(band.get("d"))[:4]
    low, high = estimate.low(0.05), estimate.high(0.05)
    assert [(zero - top) / unit, (zero - top - height) / unit] == pytest.approx([high, low], rel=1e-6)
    assert f"mean {low + (high - low) / 2:+.4f}, 95 % bounds {low:+.4f} and {high:+.4f}" in _texts(svg)


def test_days_stand_in_order_with_room_for_those_that_are_missing(drawn):
    bars = [_numbers(bar.get("d"))[0] for bar in _marks(drawn["gain-by-day.svg"], "rect") if bar.get("opacity") is None]
    steps = np.diff(bars)
    np.testing.assert_allclose(steps / steps[-1], [3, 1, 1, 1, 1, 1, 1], rtol=1e-6)
    assert {"20 Feb", "26 Feb"} <= set(_texts(drawn["gain-by-day.svg"]))


def test_a_regression_gets_the_pictures_that_apply():
    y, days = np.array([3.0, 5.0, -200.0]), np.array(["2013-01-01", "2013-01-02", "2013-01-02"])
    found = plots.draw(y, y + 1, y - 2, days, loss=of(GateRules(metric="absolute")), learning=LEARNING, importance={})
    assert set(found) == {"gain-by-day.svg", "learning.svg"}
    assert "gain in absolute error" in _texts(found["gain-by-day.svg"])


Y, P = np.array([1, 0, 1, 0]), np.array([0.7, 0.2, 0.6, 0.4])
DAYS = np.array(["2013-01-01", "2013-01-01", "2013-01-02", "2013-01-02"])
CURVES = {"roc.svg", "pr.svg", "reliability.svg"}


@pytest.mark.parametrize(
    ("y", "champion", "days", "found"),
    [
        pytest.param(Y, P / 2, DAYS, {*CURVES, "gain-by-day.svg"}, id="all"),
        pytest.param(Y, None, DAYS, CURVES, id="no champion"),
        pytest.param(Y, P, DAYS, CURVES, id="the same predictions"),
        pytest.param(Y, P / 2, np.array(["JFK", "LGA", "EWR", "EWR"]), CURVES, id="clusters that are no days"),
        pytest.param(Y, P / 2, np.array(["20130101", "20130102", "20130103", "20130103"]), CURVES, id="other days"),
        pytest.param(Y, P / 2, np.array(["0001-01-01", "2013-01-02"] * 2), CURVES, id="too many days"),
        pytest.param(Y, P / 2, np.repeat("2013-01-01", 4), CURVES, id="one day"),
        pytest.param(np.ones(4), P / 2, DAYS, {"gain-by-day.svg"}, id="one outcome"),
        pytest.param(Y, P * 2, DAYS, {"gain-by-day.svg"}, id="no probabilities"),
        pytest.param(Y, P * np.nan, DAYS, set(), id="not a number"),
        pytest.param(Y, P * np.inf, DAYS, set(), id="infinite"),
        pytest.param(Y, P * 1e300, DAYS, set(), id="too large to draw"),
        pytest.param(Y[:0], P[:0], DAYS[:0], set(), id="no rows"),
    ],
)
def test_what_cannot_be_drawn_is_left_out(y, champion, days, found):
    assert set(plots.draw(y, P[: len(y)], champion, days, loss=of(GateRules(metric="brier")), **NONE)) == found


def test_a_learning_curve_shows_both_parts_and_the_lowest_round(drawn):
    svg = drawn["learning.svg"]
    lines = _marks(svg, "line")
    assert len([line for line in lines if _of(line, "challenger")]) == len(lines) / 2 == 2
    assert {"train", "validation", "challenger  lowest 0.5900 in round 3"} <= set(_texts(svg))
    dashed = [line for line in lines if line.get("stroke-dasharray", "").startswith("2")]
    assert len(dashed) == 2
    lowest = next(dot for dot in _marks(svg, "symbol") if _of(dot, "challenger"))
    whole = next(line for line in lines if _of(line, "challenger") and line not in dashed)
    places = np.array(_numbers(whole.get("d"))).reshape(-1, 2)
    assert _numbers(lowest.get("transform")) == pytest.approx(places[2], abs=1e-3)
    assert places[2, 1] == places[:, 1].max()


def test_ten_thousand_rounds_are_thinned_and_their_lowest_is_kept():
    rounds = [f"{n},{2.0 if n == 7777 else 3 + n / 1000}" for n in range(1, 10_001)]
    table = "\n".join(["round,validation", *rounds]).encode()
    svg = _tables(learning={"challenger": table})["learning.svg"]
    (line,) = _marks(svg, "line")
    assert len(_numbers(line.get("d"))) <= 2 * 201
    assert "challenger  lowest 2.0000 in round 7777" in _texts(svg)
    assert len(svg) < 60_000


def test_features_are_ordered_by_the_larger_contribution_and_paired(drawn):
    svg = drawn["importance.svg"]
    names = [text for text in _texts(svg) if text in ("hour", "tail", "wind")]
    assert names == ["tail", "hour", "wind"]
    widths = {
        model: [_numbers(bar.get("d"))[2] for bar in _marks(svg, "rect") if _of(bar, model)] for model in vega.COLORS
    }
    assert np.array(widths["champion"]) / widths["challenger"][0] == pytest.approx([0.2 / 0.4, 0.1 / 0.4])
    assert np.array(widths["challenger"]) / widths["challenger"][0] == pytest.approx([1, 0.1 / 0.4])
    assert "3 of 3 features" in _texts(svg)


def test_of_many_features_the_twelve_largest_are_shown():
    rows = "".join(f"f{n:03},{n}\n" for n in range(900))
    svg = _tables(importance={"challenger": f"feature,contribution\n{rows}".encode()})["importance.svg"]
    assert [text for text in _texts(svg) if re.fullmatch(r"f\d+", text)] == [f"f{n}" for n in range(899, 887, -1)]
    assert "12 of 900 features" in _texts(svg)


def _tables(learning=None, importance=None):
    return plots.draw(
        NOBODY,
        NOBODY,
        None,
        NOBODY,
        loss=of(GateRules(metric="brier")),
        learning=learning or {},
        importance=importance or {},
    )


HEADS = {"learning": b"round,train,validation\n", "importance": b"feature,contribution\n"}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("learning", b""),
        ("learning", b"1,2\n"),
        ("learning", b"1,2,nan\n"),
        ("learning", b"1,inf,2\n"),
        ("learning", b"1,2,1e400\n"),
        ("learning", b"1,2,1e13\n"),
        ("learning", b"1,2,x\n"),
        ("learning", b"1,2,3\n1,2,3\n"),
        ("learning", b'1,2,"3'),
        ("learning", b"1,2,\xff\n"),
        pytest.param("learning", b"".join(b"%d,2,3\n" % n for n in range(10_001)), id="too many rows"),
        pytest.param("learning", b"1,2,3\n" + b"\n" * 1_000_000, id="too long"),
        pytest.param("learning", b"1,2," + b"3" * 200_000, id="long number"),
        ("importance", b",1\n"),
        ("importance", b"a,1\na,2\n"),
        ("importance", b"a,1,2\n"),
        ("importance", b"a,-inf\n"),
        ("importance", b"a" * 201 + b",1\n"),
        ("importance", b"\xed\xa0\x80,1\n"),
    ],
)
def test_a_malformed_table_draws_nothing(name, rows):
    good = {"learning": LEARNING, "importance": IMPORTANCE}[name]["champion"]
    assert _tables(**{name: {"champion": good, "challenger": HEADS[name] + rows}}) == {}


def test_a_table_needs_its_columns_once_and_may_have_more():
    assert _tables(learning={"challenger": b"round,loss\n1,2\n"}) == {}
    assert _tables(learning={"challenger": b"round,round,validation\n1,1,2\n"}) == {}
    assert set(_tables(learning={"challenger": b"round,seconds,validation\n1,x,2\n"})) == {"learning.svg"}


def test_a_champion_that_cannot_be_read_leaves_the_challenger_alone():
    svg = _tables(importance={"champion": b"?", "challenger": IMPORTANCE["challenger"]})["importance.svg"]
    assert {"challenger"} == {text for text in _texts(svg) if text in vega.COLORS}


HOSTILE = [
    "</text><script>alert(1)</script>",
    '"><image href="https://example.org/x.png"/>',
    "]]><!--",
    "&lt;b&gt;",
    "<DVC_METRIC_COLOR>",
    "__proto__",
    "constructor",
    "datum.x",
    "null",
    "a\nb\x07\x1b[31m\u202eright to left",
    "\U0001f4a9" * 150,
]


def test_hostile_names_are_texts_and_nothing_else():
    rows = "".join('"{}",{}\n'.format(name.replace('"', '""'), 20 - n) for n, name in enumerate(HOSTILE))
    svg = _tables(importance={"challenger": f"feature,contribution\n{rows}".encode()})["importance.svg"]
    calm = _tables(importance={"challenger": "".join(["feature,contribution\n", *_calm(len(HOSTILE))]).encode()})
    kinds = [sorted({element.tag for element in _tree(one).iter()}) for one in (svg, calm["importance.svg"])]
    assert kinds[0] == kinds[1]
    shown = _texts(svg)
    assert set(HOSTILE[3:9]) <= set(shown)
    assert "</text><script>alert(1)</script>" in shown
    assert not re.search(r"[\x00-\x1f\u202e\U00010000-\U0010ffff]", svg.decode())
    assert pictures.read(svg) is not None


def _calm(count):
    return [f"f{n},{20 - n}\n" for n in range(count)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=6, unique=True))
def test_whatever_a_feature_is_called_its_picture_is_drawn_or_left_out(names):
    rows = "".join('"{}",1\n'.format(name.replace('"', '""')) for name in names)
    found = _tables(importance={"challenger": f"feature,contribution\n{rows}".encode("utf-8", "replace")})
    for svg in found.values():
        assert pictures.read(svg) is not None


def test_the_same_bytes_twice_and_whatever_lies_in_the_working_directory(drawn, month, tmp_path, monkeypatch):
    for name in ("simple", "bar_horizontal", "linear"):
        for path in (tmp_path / name, tmp_path / f"{name}.json", tmp_path / ".dvc/plots" / f"{name}.json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('{"data": {"values": "<DVC_METRIC_DATA>"}, "mark": "text"}')
    monkeypatch.chdir(tmp_path)
    y, champion, challenger, days = month
    again = plots.draw(
        y, challenger, champion, days, loss=of(GateRules(metric="logloss")), learning=LEARNING, importance=IMPORTANCE
    )
    assert again == drawn


def test_what_is_not_told_the_colour_of_its_page_has_an_ink_for_both(drawn, monkeypatch):
    import vl_convert

    assert min(_contrast(page, vega.BETWEEN) for page in ("#ffffff", "#0d1117")) >= 4
    seen, real = [], vl_convert.svg_to_png
    monkeypatch.setattr(vl_convert, "svg_to_png", lambda svg, **more: seen.append(svg) or real(svg, **more))
    vega.png(drawn["roc.svg"], 720)
    assert vega.BETWEEN in seen[0]
    assert vega.INK not in seen[0]
    assert "<style" not in seen[0]
