"""The answers: the bytes at one address of the pages, their media type, and how soon they are old."""

from dataclasses import dataclass

HTML, CSS, SVG = "text/html; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"
ATOM, JSON = "application/atom+xml; charset=utf-8", "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """The bytes of a page, a picture, a feed or a style sheet, and their media type.

    After `refresh` seconds, if any, a browser asks again: only of a run that goes on.
    """

    content: bytes
    kind: str
    refresh: int = 0
