"""Sphinx's settings for the documentation site; `build.py` calls it on a copy of docs/ with what it has generated."""

from pathlib import Path
from typing import Any

from pushforward import __version__

HERE = Path(__file__).parent

project = "pushforward"
author = "The pushforward authors"
project_copyright = author
release = __version__
html_title = f"pushforward {release}"

extensions = ["myst_parser"]
myst_heading_anchors = 4  # named as GitHub names them
root_doc = "index"
language = "en"
# `console` and `diff` of a page are shown as they are where Pygments does not know a word of them
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_favicon = str(HERE.parents[1] / "src" / "pushforward" / "views" / "templates" / "icon.svg")
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
smartquotes = False  # what is shown is typed
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def reachable(_app: Any, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """What Sphinx leaves out: the level of the navigation's captions, and a keyboard's way to what scrolls."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(' role="heading">', ' role="heading" aria-level="2">')
    body = context.get("body", "").replace("<pre>", '<pre tabindex="0">')
    context["body"] = body.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')


def setup(app: Any) -> None:
    """Called by Sphinx; the theme makes the navigation at the usual priority, 500."""
    app.connect("html-page-context", reachable, priority=900)
