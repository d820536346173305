"""The answers: the bytes at one address of the pages, and their media type."""

from dataclasses import dataclass

HTML, CSS, SVG = "text/html; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"
SCRIPT = "text/javascript; charset=utf-8"
ATOM, JSON = "application/atom+xml; charset=utf-8", "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """The bytes of a page, a picture, a feed, a script or a style sheet, and their media type."""

    content: bytes
    kind: str
