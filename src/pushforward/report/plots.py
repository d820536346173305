"""Champion and challenger as pictures: DVC's own plot templates, and a few of ours, drawn to SVG without a browser.

What is drawn is of the validation month, or what runs say of themselves; nothing of a holdout. Texts and numbers of a
run are hostile: a table that is not what it should be draws nothing.
"""

import contextlib
import csv
import datetime
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pushforward.gate import stats
from pushforward.gate.loss import Loss
from pushforward.gate.stats import BINS, GUARD_ALPHA, Floats
from pushforward.report.vega import (
    COLORS,
    INK,
    MONTH,
    SQUARE,
    Plot,
    Points,
    color,
    compared,
    corner,
    diagonal,
    layers,
    listed,
    scale,
    svg,
    template,
)
from pushforward.text import figure, signed

T = TypeVar("T")
Models = Mapping[str, Floats]


MOST_POINTS = 200  # of a line
MOST_BYTES = 1_000_000  # of a table
MOST_ROWS = 10_000
MOST_DAYS = 400
MOST_FEATURES = 12  # that are shown
LONGEST_NAME = 200
LARGEST = 1e12


def draw(
    y: NDArray[Any],
    challenger: NDArray[Any],
    champion: NDArray[Any] | None,
    clusters: NDArray[Any],
    *,
    loss: Loss,
    learning: Mapping[str, bytes],
    importance: Mapping[str, bytes],
) -> dict[str, bytes]:
    """Pictures by file name, as SVG; what cannot be drawn from what is given is left out.

    Labels and predictions are arrays of one length, one entry a row of the validation month, `champion` None where it
    has not answered the same rows; `clusters` are days as text. `loss` is the gated one. `learning` (CSV:
    round, validation, optionally train) and `importance` (CSV: feature, contribution) are by "champion" and
    "challenger". No two runs on one machine differ in a byte.
    """
    models = {
        name: p.astype(np.float64) for name, p in (("champion", champion), ("challenger", challenger)) if p is not None
    }
    outcomes = y.astype(np.float64)
    plots = {"learning": _learning(learning), "importance": _importance(importance)}
    if all(_drawable(values) for values in (outcomes, *models.values())):
        if loss.form not in {"classes", "given"} and _binary(outcomes, models):
            plots |= {
                "roc": _roc(outcomes, models),
                "pr": _precision_recall(outcomes, models),
                "reliability": _reliability(outcomes, models),
            }
        if champion is not None:
            plots["gain-by-day"] = _gain(outcomes, models, clusters.astype(str), loss)
    drawn = {}
    for name, plot in sorted(plots.items()):
        # Vega raises ValueError where it stumbles; a picture is no reason to go without a verdict.
        with contextlib.suppress(ValueError):
            if plot is not None:
                drawn[f"{name}.svg"] = svg(plot)
    return drawn


def _binary(y: Floats, models: Models) -> bool:
    """Whether these are outcomes of both kinds and their probabilities."""
    probabilities = all(((p >= 0) & (p <= 1)).all() for p in models.values())
    return probabilities and set(np.unique(y)) == {0.0, 1.0}


def _roc(y: Floats, models: Models) -> Plot:
    points: Points = []
    for name, p in models.items():
        positives, negatives = _above(y, p)
        found, false = (np.concatenate([[0.0], counts / counts[-1]]) for counts in (positives, negatives))
        kept = _thinned(found + false)
        points += _line(name, x=false[kept], y=found[kept])
    areas = {name: f"AUC {figure(stats.auc(y, p))}" for name, p in models.items()}
    body = compared(points, areas, x="false positive rate", y="true positive rate")
    said = f"area under the curve (AUC); {listed(areas)}"
    return Plot("ROC curve", said, layers(diagonal(), body, corner(MONTH)), SQUARE)


def _precision_recall(y: Floats, models: Models) -> Plot:
    points: Points = []
    averages = {}
    for name, p in models.items():
        positives, negatives = _above(y, p)
        recall, precision = positives / positives[-1], positives / (positives + negatives)
        averages[name] = f"AP {figure(float(np.diff(recall, prepend=0.0) @ precision))}"
        # The first few rows make precision jump between 0 and 1, so the steps are of recall alone.
        kept = _thinned(recall)
        points += _line(name, x=recall[kept], y=precision[kept])
    rate = float(y.mean())
    rule = {"mark": {"type": "rule", "color": INK, "strokeDash": [3, 3]}, "encoding": {"y": {"datum": rate}}}
    body = compared(points, averages, x="recall", y="precision")
    said = f"average precision (AP); {listed(averages)}; {figure(rate)} by chance"
    return Plot("Precision and recall", said, layers(rule, body, corner(MONTH)), SQUARE)


def _above(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """How many positives and negatives are at or above each prediction that occurs, largest prediction first."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    positives = np.cumsum(y[order])[last]
    return positives, last + 1 - positives


def _thinned(way: Floats) -> NDArray[np.int64]:
    """Places, `MOST_POINTS` at most, that are about as far from each other by `way`, which never falls."""
    steps = np.linspace(way[0], way[-1], MOST_POINTS)
    return np.unique(np.searchsorted(way, steps).clip(0, len(way) - 1))


def _line(model: str, **columns: Floats) -> Points:
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [{"rev": model, **dict(zip(columns, row, strict=True))} for row in rows]


def _reliability(y: Floats, models: Models) -> Plot:
    points: Points = []
    for name, p in models.items():
        codes = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        rows = np.bincount(codes, minlength=BINS)
        some = rows > 0
        sums = [np.bincount(codes, weights=values, minlength=BINS)[some] / rows[some] for values in (p, y)]
        points += _line(name, predicted=sums[0], observed=sums[1], rows=rows[some].astype(np.float64))
    errors = {name: f"ECE {figure(stats.calibration_error(y, p))}" for name, p in models.items()}
    axes = {name: {"field": name, "type": "quantitative", "scale": {"domain": [0, 1]}} for name in points[0]}
    encoding = {
        "x": axes["predicted"] | {"title": "mean prediction"},
        "y": axes["observed"] | {"title": "share observed"},
        "color": color(models, errors),
    }
    sizes = {"field": "rows", "type": "quantitative", "scale": {"range": [12, 240], "domainMin": 0}, "legend": None}
    filled = {"condition": {"test": "datum.rev === 'champion'", "value": "transparent"}, "field": "rev"}
    body = {
        "data": {"values": points},
        "encoding": encoding,
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.55}},
            {
                "mark": {"type": "point", "strokeWidth": 1.5, "opacity": 1},
                "encoding": {"size": sizes, "fill": filled | {"scale": scale(models), "legend": None}},
            },
        ],
    }
    said = f"expected calibration error (ECE); {listed(errors)}"
    return Plot("Reliability", said, layers(diagonal(), body, corner(MONTH)), SQUARE)


def _gain(y: Floats, models: Models, clusters: NDArray[np.str_], loss: Loss) -> Plot | None:
    """Bars of mean gain by day, their mean and its bounds; None where the clusters are no days or nothing differs."""
    names, codes = np.unique(clusters, return_inverse=True)
    days = _days(names.tolist()) if len(names) > 1 else []
    gains = loss.rows(y, models["champion"]) - loss.rows(y, models["challenger"])
    if not days or not gains.any():
        return None
    means = np.bincount(codes, weights=gains) / np.bincount(codes)
    mean = stats.clustered_mean(gains, codes)
    low, high = mean.low(GUARD_ALPHA), mean.high(GUARD_ALPHA)
    points = [
        {"day": day, "gain": gain, "rev": "challenger" if gain > 0 else "champion"}
        for day, gain in zip(names.tolist(), means.tolist(), strict=True)
    ]
    better = {"champion": stats.clusters_better(-gains, codes), "challenger": stats.clusters_better(gains, codes)}
    counts = {name: f"better on {count} of {len(names)} days" for name, count in better.items()}
    bars = {
        "data": {"values": points},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "day",
                "type": "ordinal",
                "title": "day of the validation month",
                "scale": {"domain": days, "padding": 0.25},
                "axis": {
                    "grid": False,
                    "labelAngle": 0,
                    "tickCount": len(days),
                    "values": days[:: math.ceil(len(days) / 8)],
                    "labelExpr": "utcFormat(toDate(datum.label + 'T00:00Z'), '%-d %b')",
                },
            },
            "y": {"field": "gain", "type": "quantitative", "title": f"gain in {loss.title}"},
            "color": color(models, counts),
        },
    }
    across = {"x": {"value": 0}, "x2": {"value": "width"}}
    band = {
        "mark": {"type": "rect", "color": INK, "opacity": 0.16},
        "encoding": {**across, "y": {"datum": low}, "y2": {"datum": high}},
    }
    zero = {"mark": {"type": "rule", "color": INK}, "encoding": {"y": {"datum": 0}}}
    rule = {"mark": {"type": "rule", "color": INK, "strokeDash": [3, 3]}, "encoding": {"y": {"datum": mean.mean}}}
    said = f"mean {signed(mean.mean)}, 95 % bounds {signed(low)} and {signed(high)}"
    body = layers(band, bars, zero, rule, corner(said))
    return Plot("Gain by day", f"{said}; {listed(counts)}", body)


def _days(names: Sequence[str]) -> list[str]:
    """Every day from the first to the last of `names` (sorted); empty where one is no day, or they are too many."""
    try:
        found = [datetime.date.fromisoformat(name) for name in names]
    except ValueError:
        return []
    count = (found[-1] - found[0]).days + 1
    if [str(day) for day in found] != list(names) or count > MOST_DAYS:
        return []
    return [str(found[0] + datetime.timedelta(days=place)) for place in range(count)]


@dataclass(frozen=True)
class _Curve:
    """A loss by round, thinned; `best` is the place of the lowest on the validation month."""

    rounds: Floats
    losses: Mapping[str, Floats]
    best: int


def _learning(tables: Mapping[str, bytes]) -> Plot | None:
    from dvc_render.vega_templates import SimpleLinearTemplate

    curves = _readable(_curve, tables)
    if "challenger" not in curves:
        return None
    points = [
        point | {"field": field}
        for name, curve in curves.items()
        for field, losses in curve.losses.items()
        for point in _line(name, round=curve.rounds, loss=losses)
    ]
    lowest = {
        name: (int(curve.rounds[curve.best]), float(curve.losses["validation"][curve.best]))
        for name, curve in curves.items()
    }
    labels = {name: f"lowest {figure(loss)} in round {number}" for name, (number, loss) in lowest.items()}
    fields = sorted({str(point["field"]) for point in points})
    sources = [{"filename": "learning.csv", "field": field} for field in fields]
    body = template(SimpleLinearTemplate, points, labels, x="round", y="loss", anchors_y_definitions=sources)
    dashes = {"train": [2, 3], "validation": [1, 0]}
    scale = {"domain": fields, "range": [dashes[field] for field in fields]}
    body["encoding"]["x"]["scale"] = {"nice": False}
    body["encoding"]["strokeDash"] = {"field": "field", "type": "nominal", "scale": scale, "legend": None}
    drawn = curves["challenger"]
    place = {name: body["encoding"][name] for name in ("x", "y")}
    # The upper one above its line's end and the lower one below it, or equal losses would write over each other.
    ends = sorted((float(losses[-1]), field) for field, losses in drawn.losses.items())
    named = [
        {
            "data": {"values": [{"round": float(drawn.rounds[-1]), "loss": loss}]},
            "mark": {"type": "text", "align": "left", "dx": 6, "dy": dy, "color": INK, "fontSize": 11},
            "encoding": {**place, "text": {"value": field}},
        }
        for (loss, field), dy in zip(ends[::-1], (-6, 6), strict=False)
    ]
    dots = {
        "data": {"values": [{"rev": name, "round": n, "loss": loss} for name, (n, loss) in lowest.items()]},
        "mark": {"type": "point", "filled": True, "size": 40, "opacity": 1},
        "encoding": {**place, "color": body["encoding"]["color"]},
    }
    return Plot("Learning curves", listed(labels), layers(body, *named, dots), right=72)


def _curve(content: bytes) -> _Curve:
    table = _columns(content, ("round", "validation"))
    rounds = _floats(table["round"])
    losses = {name: _floats(table[name]) for name in ("train", "validation") if name in table}
    if not (np.diff(rounds) > 0).all():
        raise ValueError("rounds do not go up")
    best = int(np.argmin(losses["validation"]))
    kept = np.union1d(_thinned(rounds), [best])
    return _Curve(
        rounds[kept], {name: values[kept] for name, values in losses.items()}, int(np.searchsorted(kept, best))
    )


def _importance(tables: Mapping[str, bytes]) -> Plot | None:
    from dvc_render.vega_templates import BarHorizontalTemplate

    found = _readable(_contributions, tables)
    if "challenger" not in found:
        return None
    largest: dict[str, float] = {}
    for contributions in found.values():
        for feature, value in contributions.items():
            largest[feature] = max(value, largest.get(feature, value))
    shown = sorted(largest, key=lambda feature: (-largest[feature], feature))[:MOST_FEATURES]
    # Rows are known by number: names are drawn, and never a key of Vega's (`__proto__` stops it).
    points: Points = [
        {"rev": name, "feature": f"{number:02}", "contribution": contributions[feature]}
        for name, contributions in found.items()
        for number, feature in enumerate(shown)
        if feature in contributions
    ]
    labels = dict.fromkeys(found, "")
    body = template(BarHorizontalTemplate, points, labels, x="contribution", y="feature", x_label="mean contribution")
    body["encoding"]["x"]["scale"] = {"zero": True}
    body["encoding"]["y"] |= {"axis": None, "scale": {"padding": 0.3}}
    names = {
        "data": {"values": [{"feature": f"{number:02}", "name": name} for number, name in enumerate(shown)]},
        "mark": {"type": "text", "align": "right", "limit": 186, "color": INK, "fontSize": 11},
        "encoding": {"x": {"value": -8}, "y": body["encoding"]["y"], "text": {"field": "name", "type": "nominal"}},
    }
    note = corner(f"{len(shown)} of {len(largest)} features")
    said = ", ".join(f"{feature} {figure(largest[feature])}" for feature in shown)
    return Plot(
        "Feature importance", f"the larger contribution of both models: {said}", layers(body, names, note), left=206
    )


def _contributions(content: bytes) -> dict[str, float]:
    table = _columns(content, ("feature", "contribution"))
    # What is no letter would turn a line round or is no XML; what takes two UTF-16 units, Vega cuts in the middle.
    names = [
        "".join(letter if letter.isprintable() and letter < "\U00010000" else "\ufffd" for letter in name)
        for name in table["feature"]
    ]
    if len(set(names)) != len(names) or not all(0 < len(name) <= LONGEST_NAME for name in names):
        raise ValueError("a name is empty, too long or given twice")
    return dict(zip(names, _floats(table["contribution"]).tolist(), strict=True))


def _readable(read: Callable[[bytes], T], tables: Mapping[str, bytes]) -> dict[str, T]:
    """What is read of each model's table, champion first; without those that are absent or malformed."""
    found = {}
    for name in COLORS:
        with contextlib.suppress(ValueError, csv.Error):
            found[name] = read(tables.get(name, b""))
    return found


def _columns(content: bytes, wanted: Sequence[str]) -> dict[str, Sequence[str]]:
    """A CSV by column; raises ValueError or csv.Error where it is not one, is too long, or lacks what is `wanted`."""
    if len(content) > MOST_BYTES:
        raise ValueError("too long")
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    if not 0 < len(rows) <= MOST_ROWS or len(set(header)) != len(header) or not set(wanted) <= set(header):
        raise ValueError("not the table that is wanted")
    return dict(zip(header, (column[1:] for column in zip(header, *rows, strict=True)), strict=True))


def _floats(texts: Sequence[str]) -> Floats:
    """The numbers that texts stand for; raises ValueError where one is none, or none that fits on an axis."""
    values = np.array([float(text) for text in texts])
    if not _drawable(values):
        raise ValueError("not a number that can be drawn")
    return values


def _drawable(values: Floats) -> bool:
    return bool((np.abs(values) <= LARGEST).all())
