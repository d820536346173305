"""Vega-Lite specs and their SVG, without a browser: DVC's templates, one frame, one set of colours. For `plots`.

`judge.shown` has PNG made of it, for whoever shows no SVG.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

Points = list[dict[str, Any]]
Spec = dict[str, Any]
SQUARE, WIDE = (360, 360), (540, 300)
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 58, 44
MARGIN = 12
MONTH = "validation month"
# No one colour of text has a contrast of 4.5 both on white and on a dark page, so it has two. Lines have one that is
# seen on either, and no kind of colour blindness takes blue for orange. The champion is also the thick line or the
# hollow dot, for a print in grey.
INK, INK_ON_DARK = "#656b73", "#a3a8b1"
_ON_DARK = f'[fill="{INK}"]{{fill:{INK_ON_DARK}}}[stroke="{INK}"]{{stroke:{INK_ON_DARK}}}'
DARK = f"@media (prefers-color-scheme:dark){{{_ON_DARK}}}"
BETWEEN = "#747a81"  # for a picture that nobody tells how dark the page is
FAINT = "rgba(128,128,128,0.22)"
COLORS = {"champion": "#3f7fbf", "challenger": "#cb5c0d"}
STYLE: Spec = {
    "background": "transparent",
    "font": "sans-serif",
    # Else every mark repeats its numbers as text for screen readers; `desc` says what matters.
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "domain": False,
        "ticks": False,
        "grid": True,
        "gridColor": FAINT,
        "labelColor": INK,
        "labelFlush": False,
        "labelFontSize": 11,
        "labelPadding": 6,
        "tickCount": 5,
        "titleColor": INK,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {
        "orient": "none",
        "direction": "horizontal",
        "legendY": -29,
        # Whoever looks may have a wider font than the one that the places were measured with.
        "columnPadding": 40,
        "labelColor": INK,
        "labelFontSize": 11,
        "labelLimit": 400,
        "symbolOpacity": 1,
        "symbolSize": 80,
        "symbolStrokeWidth": 2,
        "symbolType": "circle",
    },
}


@dataclass(frozen=True)
class Plot:
    """A Vega-Lite spec without its frame; `description` says in words what it shows."""

    title: str
    description: str
    body: Spec
    size: tuple[int, int] = WIDE
    left: int = LEFT
    right: int = RIGHT


def compared(points: Points, labels: Mapping[str, str], *, x: str, y: str) -> Spec:
    """Lines of both models over the unit square."""
    from dvc_render.vega_templates import SimpleLinearTemplate

    body = template(SimpleLinearTemplate, points, labels, x="x", y="y", x_label=x, y_label=y)
    body["encoding"]["x"]["scale"] = body["encoding"]["y"]["scale"] = {"domain": [0, 1]}
    return body


def template(template: Any, points: Points, labels: Mapping[str, str], **properties: Any) -> Spec:
    """A template of DVC's, filled as `dvc plots diff` fills it, less what only a browser could do with it."""
    from dvc_render.vega import VegaRenderer

    # The template itself, because a name would be looked up in the working directory first.
    spec = VegaRenderer(points, "", template=template(), **properties).get_filled_template()
    encoding = {name: value for name, value in spec["encoding"].items() if value and name != "tooltip"}
    encoding["color"] = color(labels, labels)
    if spec["mark"]["type"] == "line":
        encoding["color"]["legend"]["symbolType"] = "stroke"
        widths = {"domain": list(COLORS), "range": [3, 1.5]}
        encoding["strokeWidth"] = {"field": "rev", "type": "nominal", "scale": widths, "legend": None}
        # As given: sorted by x alone, a step of several points would go up and down.
        encoding["order"] = {"value": None}
    return {"data": spec["data"], "mark": spec["mark"]["type"], "encoding": encoding}


def color(models: Iterable[str], labels: Mapping[str, str]) -> Spec:
    """The models' colours, with a legend below the title that says `labels` too."""
    texts = json.dumps({name: f"{name}  {labels[name]}".strip() for name in models})
    legend = {"title": None, "labelExpr": f"{texts}[datum.label]"}
    return {"field": "rev", "type": "nominal", "scale": scale(models), "legend": legend}


def scale(models: Iterable[str]) -> Spec:
    """The models' colours as a scale."""
    return {"domain": list(models), "range": [COLORS[name] for name in models]}


def layers(*layers: Spec) -> Spec:
    """One spec of several."""
    return {"data": {"values": [{}]}, "layer": list(layers)}


def diagonal() -> Spec:
    """The line on which both axes are equal."""
    ends = {"x": {"datum": 0}, "y": {"datum": 0}, "x2": {"datum": 1}, "y2": {"datum": 1}}
    return {"mark": {"type": "rule", "color": INK, "strokeDash": [3, 3]}, "encoding": ends}


def corner(text: str) -> Spec:
    """A text at the right end of the title's line."""
    place = {"x": {"value": "width"}, "y": {"value": -40}, "text": {"value": text}}
    return {"mark": {"type": "text", "align": "right", "color": INK, "fontSize": 11}, "encoding": place}


def _headline(plot: Plot) -> Spec:
    place = {"x": {"value": MARGIN - plot.left}, "y": {"value": -40}, "text": {"value": plot.title}}
    mark = {"type": "text", "align": "left", "color": INK, "fontSize": 13, "fontWeight": 600}
    return {"mark": mark, "encoding": place}


def listed(labels: Mapping[str, str]) -> str:
    """What the labels say, in one line."""
    return "; ".join(f"{name}: {label}" for name, label in labels.items())


def png(drawn: bytes, width: int) -> bytes:
    """A picture of `svg` as PNG, `width` pixels wide; as it, nothing behind what is drawn."""
    import vl_convert

    words = drawn.decode()
    found = re.search(r'\swidth="(\d+(?:\.\d+)?)"', words.partition(">")[0])
    if found is None or not float(found[1]):
        raise ValueError("the picture says no width")
    words = words.replace(f"<style>{DARK}</style>", "").replace(f'"{INK}"', f'"{BETWEEN}"')
    return _packed(vl_convert.svg_to_png(words, scale=width / float(found[1])))


def _packed(png: bytes) -> bytes:
    """The same PNG at a fifth of its size: what draws it takes no time to compress it."""
    parts, place = dict[bytes, bytes](), 8
    while place < len(png):
        (size,) = struct.unpack_from(">I", png, place)
        kind = png[place + 4 : place + 8]
        parts[kind] = parts.get(kind, b"") + png[place + 8 : place + 8 + size]
        place += 12 + size
    small = {b"IHDR": parts[b"IHDR"], b"IDAT": zlib.compress(zlib.decompress(parts[b"IDAT"]), 9), b"IEND": b""}
    chunks = (struct.pack(">I", len(body)) + kind + body + _crc(kind + body) for kind, body in small.items())
    return png[:8] + b"".join(chunks)


def _crc(content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content))


def begin() -> None:
    """Start what draws, which takes as long as the first ten pictures do; the pictures after it are the same."""
    svg(Plot("", "", layers()))


def svg(plot: Plot) -> bytes:
    """Draw a plot in its frame; nothing is fetched, there is no script and no address in what comes out."""
    import vl_convert

    width, height = plot.size
    frame = {
        # Fixed, so that plots beside each other have their axes in line.
        "autosize": {"type": "none"},
        "width": width - plot.left - plot.right,
        "height": height - TOP - BOTTOM,
        "padding": {"left": plot.left, "right": plot.right, "top": TOP, "bottom": BOTTOM},
    }
    style = STYLE | {"legend": STYLE["legend"] | {"legendX": MARGIN - plot.left}}
    body = plot.body | {"layer": [*plot.body["layer"], _headline(plot)]}
    drawn = vl_convert.vegalite_to_svg(frame | body, vl_version="5.21", config=style, allowed_base_urls=[])
    tag, rest = drawn.split(">", 1)
    words = f"<title>{escape(plot.title)}</title><desc>{escape(plot.description)}</desc><style>{DARK}</style>"
    return f'{tag} role="img">{words}{rest}'.encode()
