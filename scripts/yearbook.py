"""The year of `scripts/simulate.py` as a table and a picture: live loss beside what was promised, month by month."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pushforward.gate import stats
from pushforward.report import vega

LIVE, PROMISED = vega.COLORS["champion"], vega.COLORS["challenger"]
CANARY, PALE = "#8250df", "#8c959f"
WIDTH, HEIGHT = 960, 420


@dataclass(frozen=True)
class Loss:
    """A mean log loss with its 95 % interval, days as clusters; and how many rows it is of."""

    mean: float
    low: float
    high: float
    rows: int

    @classmethod
    def of(cls, late: Sequence[int], p: Sequence[float], day: Sequence[Any]) -> "Loss":
        """Of outcomes, predictions and the days they belong to (CR1, Student's t)."""
        loss = stats.log_loss(np.asarray(late, dtype=float), np.asarray(p, dtype=float))
        found = stats.clustered_mean(loss, np.asarray(day).astype(str))
        return cls(found.mean, found.low(0.025), found.high(0.025), len(loss))


def constant(late: Sequence[int]) -> float:
    """The log loss of whoever says the month's own rate for every row: how hard the month was."""
    y = np.asarray(late, dtype=float)
    return float(stats.log_loss(y, np.full(len(y), y.mean())).mean())


@dataclass(frozen=True)
class Line:
    """A month: what served it and how well, what was noticed, and what became of its delivery."""

    month: str
    version: str
    live: Loss | None = None
    promised: float | None = None
    hard: float | None = None
    canary: Loss | None = None
    drift: tuple[str, ...] = ()
    decision: str = ""
    delivery: str = ""
    verdict: str = ""
    made: str = ""
    told: str = ""


COLUMNS = (
    ("month", "<"),
    ("in production", "<"),
    ("rows served", ">"),
    ("live loss", ">"),
    ("95 %", "<"),
    ("promised", ">"),
    ("drift", "<"),
    ("decision", "<"),
    ("delivery", "<"),
    ("verdict", "<"),
    ("becomes", "<"),
)


def cells(line: Line) -> list[str]:
    """The cells of a month."""
    live = line.live
    return [
        line.month,
        line.version,
        f"{live.rows:,}" if live else "–",
        f"{live.mean:.4f}" if live else "–",
        f"{live.low:.3f}–{live.high:.3f}" if live else "–",
        f"{line.promised:.4f}" if line.promised is not None else "sealed",
        ", ".join(line.drift) or "–",
        line.decision or "–",
        line.delivery,
        line.verdict,
        line.made or "–",
    ]


def table(lines: Sequence[Line]) -> str:
    """For a terminal: columns as wide as what is in them."""
    rows = [[name for name, _ in COLUMNS], *map(cells, lines)]
    wide = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    sides = [side for _, side in COLUMNS]
    return "\n".join(
        "  ".join(f"{cell:{side}{size}}" for cell, side, size in zip(row, sides, wide, strict=True)).rstrip()
        for row in rows
    )


def markdown(lines: Sequence[Line]) -> str:
    """The same for a page."""
    head = [
        "| " + " | ".join(name for name, _ in COLUMNS) + " |",
        "|" + "|".join(":--" if side == "<" else "--:" for _, side in COLUMNS) + "|",
    ]
    return "\n".join([*head, *("| " + " | ".join(cells(line)) + " |" for line in lines)])


def picture(lines: Sequence[Line], title: str) -> vega.Plot:
    """Live loss with its interval, the promise, the canary's loss, and what happened, over months."""
    values = [_point(line) for line in lines]
    x = {
        "field": "month",
        "type": "ordinal",
        "axis": {"title": None, "grid": False, "labelAngle": 0, "labelExpr": _label(lines)},
    }
    y = {"type": "quantitative", "scale": {"domain": _domain(values), "nice": True}, "axis": {"title": "log loss"}}
    color = {"field": "what", "type": "nominal", "scale": _legend(lines), "legend": {"title": None}}
    known = "isValid(datum.{0})"

    def layer(what: str, field: str, mark: dict[str, Any], **more: Any) -> dict[str, Any]:
        encoding = {"x": x, "y": y | {"field": field}, "color": color} | more
        steps = [{"filter": known.format(field)}, {"calculate": json.dumps(what), "as": "what"}]
        return {"transform": steps, "mark": mark, "encoding": encoding}

    tick = {"type": "tick", "thickness": 3, "width": 44}
    layers = [
        layer("a constant, the month's own rate", "hard", {"type": "line", "strokeDash": [3, 3]}),
        layer("promised on the holdout", "promised", tick),
        layer("live, 95 %", "low", {"type": "rule", "strokeWidth": 2}, y2={"field": "high"}),
        layer("live, 95 %", "live", {"type": "point", "filled": True, "size": 90, "opacity": 1}),
        layer("canary", "canary_low", {"type": "rule", "strokeWidth": 2, "xOffset": 14}, y2={"field": "canary_high"}),
        layer("canary", "canary", {"type": "point", "filled": True, "size": 70, "opacity": 1, "xOffset": 14}),
        _notes(x),
    ]
    body = {"data": {"values": values}, "layer": layers, "resolve": {"scale": {"color": "shared"}}}
    words = "; ".join(f"{line.month} {line.version} {line.live.mean:.4f}" for line in lines if line.live)
    return vega.Plot(title, f"Live loss: {words}", body, (WIDTH, HEIGHT))


def _point(line: Line) -> dict[str, Any]:
    live, canary = line.live, line.canary
    return {
        "month": line.month,
        "live": live.mean if live else None,
        "low": live.low if live else None,
        "high": live.high if live else None,
        "promised": line.promised,
        "hard": line.hard,
        "canary": canary.mean if canary else None,
        "canary_low": canary.low if canary else None,
        "canary_high": canary.high if canary else None,
        "told": line.told.split("\n"),
    }


def _label(lines: Sequence[Line]) -> str:
    """Under each month the version that served it."""
    under = ", ".join(f"'{line.month}': '{line.version}'" for line in lines)
    return f"[datum.value, {{{under}}}[datum.value]]"


def _legend(lines: Sequence[Line]) -> dict[str, Any]:
    """What is drawn, with its colour; the canary only where there was one."""
    drawn = {"live, 95 %": LIVE, "promised on the holdout": PROMISED, "a constant, the month's own rate": PALE}
    if any(line.canary for line in lines):
        drawn["canary"] = CANARY
    return {"domain": list(drawn), "range": list(drawn.values())}


def _domain(values: Sequence[dict[str, Any]]) -> list[float]:
    """From a little below what is drawn to a fifth above it, where the notes stand."""
    fields = ("low", "high", "promised", "hard", "canary_low", "canary_high")
    drawn = [value[field] for value in values for field in fields if value[field] is not None]
    return [min(drawn) - 0.02, max(drawn) + (max(drawn) - min(drawn)) / 5]


def _notes(x: dict[str, Any]) -> dict[str, Any]:
    """What happened in a month, in a row at the top."""
    mark = {"type": "text", "baseline": "top", "fontSize": 11, "lineHeight": 13, "color": vega.INK}
    return {"mark": mark, "encoding": {"x": x, "y": {"value": 6}, "text": {"field": "told"}}}


def drawn(plot: vega.Plot) -> tuple[bytes, bytes]:
    """The picture as SVG and as PNG."""
    svg = vega.svg(plot)
    return svg, vega.png(svg, 2 * WIDTH)
