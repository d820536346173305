"""A picture in SVG -> its size and what it says; a picture that is more than a picture is none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from pushforward.report.vega import DARK

MOST_BYTES = 2_000_000
SHAPES = {
    *("svg", "g", "path", "rect", "line", "circle", "ellipse", "polyline", "polygon", "text", "tspan"),
    *("title", "desc", "defs", "clipPath", "linearGradient", "radialGradient", "stop", "mask", "symbol", "use"),
}


@dataclass(frozen=True)
class Picture:
    """Title and description of a picture in its own words, and its size in pixels, 0 where it does not say."""

    title: str
    description: str
    width: int
    height: int

    @property
    def square(self) -> bool:
        """Whether it is as wide as high, by its own words."""
        return self.width == self.height


def read(svg: bytes) -> Picture | None:
    """What a picture is; None for one that could run, fetch or include anything: a static host serves it as a page."""
    if len(svg) > MOST_BYTES:
        return None
    sizes: list[tuple[int, int]] = []
    said: dict[str, str] = {}
    path: list[str] = []
    sheet: list[str] = []

    def begin(name: str, attributes: Mapping[str, str]) -> None:
        path.append(name)
        if name == "style" and not attributes:
            return
        if name not in SHAPES or not all(_inert(key, value) for key, value in attributes.items()):
            raise ValueError(name)
        if len(path) == 1:
            sizes.append((_pixels(attributes.get("width", "")), _pixels(attributes.get("height", ""))))

    def text(part: str) -> None:
        if path[-1] == "style":
            sheet.append(part)
        if len(path) == 2:
            said[path[-1]] = said.get(path[-1], "") + part

    def refuse(*_: object) -> None:
        raise ValueError("a document type, or an instruction")

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: path.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.ProcessingInstructionHandler = refuse
    first = re.match(rb"\s*(<\?xml[^>]*>\s*)?<svg[\s>]", svg)
    try:
        parser.Parse(svg, True)
        if "".join(sheet) not in ("", DARK):  # of styles it may have that of our own plots, and no other
            return None
    except (expat.ExpatError, ValueError):
        return None
    return Picture(said.get("title", ""), said.get("desc", ""), *sizes[0]) if first else None


def _inert(key: str, value: str) -> bool:
    """Whether an attribute handles no event and names no address outside of the picture."""
    link = key.rpartition(":")[2] == "href" and not value.startswith("#")
    return not (
        key.lower().startswith("on") or key == "style" or link or re.search(r"url\((?!['\"]?#)", value, re.IGNORECASE)
    )


def _pixels(text: str) -> int:
    found = re.fullmatch(r"(\d{1,5})(\.\d*)?(px)?", text)
    return int(found[1]) if found else 0
