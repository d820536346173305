"""Pictures of a search: how it went, what matters, and where the best values lie; SVG, drawn without a browser.

For `--out` and for a proposal. Nothing of a holdout is in them.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from pushforward.report.vega import COLORS, INK, WIDE, Plot, Spec, corner, layers, svg
from pushforward.text import figure, shorten
from pushforward.tuning.study import Trial
from pushforward.tuning.tune import Tuned

BEST, OTHERS = COLORS["challenger"], COLORS["champion"]
MOST_PARAMETERS = 3  # whose values are drawn, those that matter most
LONGEST_NAME = 40


def draw(found: Tuned) -> dict[str, bytes]:
    """Pictures by file name; what cannot be drawn of so few trials is left out."""
    plots: dict[str, Callable[[Tuned], Plot | None]] = {"history": _history, "importance": _importance}
    drawn = {}
    for name, plot in plots.items():
        with contextlib.suppress(ValueError):  # Vega's, where it stumbles
            if (made := plot(found)) is not None:
                drawn[f"{name}.svg"] = svg(made)
    for place, name in enumerate(list(found.importances)[:MOST_PARAMETERS], start=1):
        with contextlib.suppress(ValueError):
            if (made := _values(found, name)) is not None:
                drawn[f"values-{place}.svg"] = svg(made)
    return drawn


def best_so_far(found: Tuned) -> list[float]:
    """The best number after each trial that went through all folds, in order."""
    values = [one.value for one in _whole(found)]
    better = max if found.better == "higher" else min
    return list(itertools.accumulate((value for value in values if value is not None), better))


def _whole(found: Tuned) -> list[Trial]:
    return [one for one in found.trials if one.value is not None]


def _history(found: Tuned) -> Plot | None:
    whole = _whole(found)
    if len(whole) < 2:
        return None
    points = [{"trial": one.number + 1, "value": one.value} for one in whole]
    so_far = [{"trial": one.number + 1, "value": value} for one, value in zip(whole, best_so_far(found), strict=True)]
    dots = _layer(points, {"type": "point", "color": OTHERS, "size": 40}, "trial", found.number)
    line = _layer(so_far, {"type": "line", "interpolate": "step-after", "color": BEST}, "trial", found.number)
    gone = len(found.trials) - len(whole)
    note = corner(f"orange: the best so far; {gone} more went not through all folds" if gone else "orange: best so far")
    said = (
        f"{len(found.trials)} trials; {found.number} from {figure(so_far[0]['value'])} to {figure(so_far[-1]['value'])}"
    )
    return Plot("Trials", said, layers(dots, line, note), WIDE)


def _importance(found: Tuned) -> Plot | None:
    if len(found.importances) < 2:
        return None
    shown = list(found.importances.items())
    points = [{"name": f"{place:02}", "share": share} for place, (_, share) in enumerate(shown)]
    axis = {"field": "name", "type": "nominal", "axis": None, "scale": {"padding": 0.3}}
    bars: Spec = {
        "data": {"values": points},
        "mark": {"type": "bar", "color": OTHERS},
        "encoding": {"x": _axis("share", "share of what the trials differ by"), "y": axis},
    }
    names: Spec = {
        "data": {
            "values": [
                {"name": f"{place:02}", "text": shorten(name, LONGEST_NAME)} for place, (name, _) in enumerate(shown)
            ]
        },
        "mark": {"type": "text", "align": "right", "limit": 186, "color": INK, "fontSize": 11},
        "encoding": {"x": {"value": -8}, "y": axis, "text": {"field": "text", "type": "nominal"}},
    }
    said = ", ".join(f"{name} {share:.0%}" for name, share in shown)
    return Plot("What matters", said, layers(bars, names), WIDE, left=206)


def _values(found: Tuned, name: str) -> Plot | None:
    """The number by the values of one parameter, those of the best and of today marked."""
    told = [(one, one.values[name]) for one in _whole(found)]
    if len({str(value) for _, value in told}) < 2:
        return None
    numeric = all(type(value) in (int, float) for _, value in told)
    points = [
        {
            "x": value if numeric else shorten(str(value), LONGEST_NAME),
            "value": one.value,
            "best": one.values == found.best,
        }
        for one, value in told
    ]
    kind = "quantitative" if numeric else "nominal"
    color = {"condition": {"test": "datum.best", "value": BEST}, "value": OTHERS}
    body: Spec = {
        "data": {"values": points},
        "mark": {"type": "point", "size": 50, "filled": True, "opacity": 1},
        "encoding": {"x": _axis("x", name, kind), "y": _axis("value", found.number), "color": color},
    }
    return Plot(
        shorten(name, LONGEST_NAME), f"{found.number} by {name}", layers(body, corner("orange: the best")), WIDE
    )


def _layer(points: list[dict[str, Any]], mark: dict[str, Any], x: str, title: str) -> Spec:
    return {
        "data": {"values": points},
        "mark": mark,
        "encoding": {"x": _axis(x, x), "y": _axis("value", title)},
    }


def _axis(field: str, title: str, kind: str = "quantitative") -> dict[str, Any]:
    found: dict[str, Any] = {"field": field, "type": kind, "title": shorten(title, LONGEST_NAME)}
    return found | ({"scale": {"zero": field == "share"}} if kind == "quantitative" else {})


def chart(found: Tuned) -> Iterator[str]:
    """The best so far as a chart of mermaid, for a forge that draws them; no line where there are too few trials."""
    values = best_so_far(found)
    if len(values) < 2:
        return
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    yield "```mermaid"
    yield "xychart-beta"
    yield '  title "The best so far, by trial"'
    yield f"  x-axis [{', '.join(str(one.number + 1) for one in _whole(found))}]"
    yield f"  y-axis {low - margin:.6f} --> {high + margin:.6f}"
    yield f"  line [{', '.join(f'{value:.6f}' for value in values)}]"
    yield "```"
