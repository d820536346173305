"""Sphinx's settings for the documentation site; `build.py` calls it on a copy of docs/ with what it has generated."""

from pathlib import Path

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
