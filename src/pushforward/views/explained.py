"""An explanation as one page that needs nothing beside it: `explain --html`."""

from pushforward.explaining import words
from pushforward.explaining.explain import Explanation
from pushforward.text import capital
from pushforward.views.rendering import templates


def page(found: Explanation) -> str:
    """The page, with its style in it; no script, and nothing is loaded."""
    sides = [one for one in (found.champion, found.challenger) if one is not None]
    values = {
        "found": found,
        "sides": sides,
        "steps": words.steps(sides),
        "parts": words.parts(sides),
        "links": words.LINKS,
        "explained": words.explained(sides),
        "left_out": capital(words.LEFT_OUT),
        "shown": words.shown,
    }
    return templates().get_template("explained.html").render(**values)
