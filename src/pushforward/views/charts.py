"""Charts: numbers -> where they stand in a drawing; pure. The pages draw with it, without a script."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pushforward import params


@dataclass(frozen=True)
class Scale:
    """A line from values `low` … `high` to places `start` … `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value, to a tenth; the middle where all values are one."""
        if self.high <= self.low:
            return round((self.start + self.end) / 2, 1)
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def ticks(low: float, high: float) -> list[float]:
    """Round values between `low` and `high`: steps of 1, 2 or 5 times a power of ten, about five of them."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs((high - low) / step - 5))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


@dataclass(frozen=True)
class Point:
    """One run in a chart: its value, its verdict, the version that it became, and the month that it is a value on."""

    value: float
    kind: str
    version: str
    month: str
    title: str


@dataclass(frozen=True)
class Placed:
    """A point and its place."""

    x: float
    y: float
    point: Point


@dataclass(frozen=True)
class Trend:
    """A chart of one metric over runs: places for grid lines, for the first run on each new month, and for the runs.

    Grid lines end at `right`; their values stand beyond it, beside the newest runs.
    """

    width: int
    height: int
    right: float
    grid: tuple[tuple[float, float], ...]
    digits: int
    months: tuple[tuple[float, str], ...]
    points: tuple[Placed, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Frame:
    """What values are drawn in: their scales, and grid lines at round ones with as many digits as tell them apart."""

    down: Scale
    across: Scale
    right: float
    grid: tuple[tuple[float, float], ...]
    digits: int

    @classmethod
    def of(cls, values: Sequence[float], count: int, width: int, height: int) -> "_Frame":
        """Around `values`, for `count` points at equal distances."""
        right, top, bottom = width - 60.0, 28.0, height - 16.0
        low, high = min(values), max(values)
        margin = (high - low) * 0.08 or abs(high) * 0.01 or 1.0
        down, across = Scale(low - margin, high + margin, bottom, top), Scale(0, count - 1, 20.0, right - 16)
        marks = ticks(low - margin, high + margin)
        step = min((after - before for before, after in itertools.pairwise(marks)), default=abs(high) or 1.0)
        grid = tuple((down.at(mark), mark) for mark in marks)
        return cls(down, across, right, grid, max(0, -math.floor(math.log10(step) + 1e-9)))


def trend(points: Sequence[Point], *, width: int, height: int) -> Trend:
    """Place the points of one metric, oldest first, at equal distances; `lines` join those that became versions.

    Values on different months cannot be compared, so no line goes from one month to another.
    """
    frame = _Frame.of([point.value for point in points], len(points), width, height)
    down, across = frame.down, frame.across
    placed = tuple(Placed(across.at(place), down.at(point.value), point) for place, point in enumerate(points))
    seen, months = {""}, []
    for one in placed:
        month = one.point.month
        if month not in seen and (not params.MONTH.fullmatch(month) or month > max(seen)):
            months.append((one.x, month))
        seen.add(month)
    return Trend(
        width,
        height,
        frame.right,
        frame.grid,
        frame.digits,
        tuple(_apart(months, 64)),
        placed,
        _joined([(one.x, one.y, one.point.month) for one in placed if one.point.version]),
    )


@dataclass(frozen=True)
class Daily:
    """A number by day: places for grid lines, for the first day of each month, and for days with what is said of them.

    `promised` and `limit` are the heights of two lines, `band` the top and the height of an interval; None without.
    """

    width: int
    height: int
    right: float
    grid: tuple[tuple[float, float], ...]
    digits: int
    months: tuple[tuple[float, str], ...]
    points: tuple[tuple[float, float, str], ...]
    line: str
    promised: float | None
    limit: float | None
    band: tuple[float, float] | None


def daily(
    days: Sequence[tuple[str, float, str]],
    promised: float | None,
    limit: float | None,
    band: tuple[float, float] | None,
    size: tuple[int, int],
) -> Daily:
    """Place (day, value, words) at equal distances, oldest first; lines and band are within the drawing."""
    width, height = size
    values = [value for _, value, _ in days] + [one for one in (promised, limit, *(band or ())) if one is not None]
    frame = _Frame.of(values, len(days), width, height)
    down, across = frame.down, frame.across
    points = tuple((across.at(place), down.at(value), words) for place, (_, value, words) in enumerate(days))
    firsts = [place for place, (day, _, _) in enumerate(days) if not place or day[:7] != days[place - 1][0][:7]]
    return Daily(
        width,
        height,
        frame.right,
        frame.grid,
        frame.digits,
        tuple(_apart([(points[place][0], days[place][0][:7]) for place in firsts], 64)),
        points,
        " ".join(f"{x},{y}" for x, y, _ in points),
        None if promised is None else down.at(promised),
        None if limit is None else down.at(limit),
        None if band is None else (down.at(band[1]), round(down.at(band[0]) - down.at(band[1]), 1)),
    )


def _apart(marks: Sequence[tuple[float, str]], distance: float) -> list[tuple[float, str]]:
    """Those marks whose names can stand side by side."""
    kept: list[tuple[float, str]] = []
    for x, name in marks:
        if not kept or x - kept[-1][0] >= distance:
            kept.append((x, name))
    return kept


def _joined(points: Iterable[tuple[float, float, str]]) -> tuple[str, ...]:
    """Lines through points (x, y, month), each through neighbours of one month, for `<polyline points>`."""
    runs = (list(some) for _, some in itertools.groupby(points, key=lambda point: point[2]))
    return tuple(" ".join(f"{x},{y}" for x, y, _ in some) for some in runs if len(some) > 1)


@dataclass(frozen=True)
class Dots:
    """Values by version as dots, those of one month joined by lines."""

    dots: tuple[tuple[float, float], ...]
    lines: tuple[str, ...]


def dots(values: Sequence[tuple[str, str, float]], *, width: int = 240, height: int = 56) -> Dots:
    """Places for (month, version, value), oldest first."""
    numbers = [value for *_, value in values]
    down = Scale(min(numbers), max(numbers), height - 5, 5)
    across = Scale(0, len(values) - 1, 5, width - 5)
    places = [(across.at(place), down.at(value), month) for place, (month, _, value) in enumerate(values)]
    return Dots(tuple((x, y) for x, y, _ in places), _joined(places))


def spans(count: int, columns: int = 6) -> list[int]:
    """The widths of `count` pictures that fill rows of `columns` without a hole: halves, thirds, one whole if alone."""
    if count == 1:
        return [columns]
    halves = {0: 0, 1: 4, 2: 2}[count % 3]
    return [columns // 2] * halves + [columns // 3] * (count - halves)


@dataclass(frozen=True)
class Bars:
    """Bars from a base line: (x, y, width, height) each, and where the line of `limit` is."""

    places: tuple[tuple[float, float, float, float], ...]
    limit: float | None


def bars(values: Sequence[float], *, limit: float | None = None, width: int = 240, height: int = 64) -> Bars:
    """Places for bars of values from 0 up; `limit` is a value that is always in the picture."""
    down = Scale(0.0, max(*values, limit or 0.0, 1e-9), height - 1, 3)
    step = min(width / max(1, len(values)), 40.0)
    places = tuple(
        (round(place * step + 1, 1), down.at(value), round(step - 2, 1), round(height - 1 - down.at(value), 1))
        for place, value in enumerate(values)
    )
    return Bars(places, None if limit is None else down.at(limit))


def curve(values: Sequence[float], *, width: int = 240, height: int = 56) -> str:
    """The points of a line through the values, for `<polyline points>`."""
    down = Scale(min(values), max(values), height - 3, 3)
    across = Scale(0, len(values) - 1, 2, width - 2)
    return " ".join(f"{across.at(place)},{down.at(value)}" for place, value in enumerate(values))
