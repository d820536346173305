"""The badge: which version a model has in use, as a small picture in SVG; pure. For READMEs and dashboards."""

from html import escape

from pushforward.registry.tags import PRODUCTION
from pushforward.text import plain
from pushforward.views.snapshot import Snapshot

HEIGHT, LETTER, MARGIN = 20, 6.6, 8
NAME, IN_USE, WAITING, GONE = "#444b55", "#0b6b3c", "#775100", "#a5182d"


def of(snapshot: Snapshot) -> bytes:
    """What production holds of a model, else its newest version, and whether anybody should still use it."""
    known, name = snapshot.registry, snapshot.model or "pushforward"
    used, newest = known.in_use(PRODUCTION), known.newest
    if used is not None:
        gone = known.deprecated(used)
        return badge(name, f"{used.version} {'deprecated' if gone else PRODUCTION}", GONE if gone else IN_USE)
    return badge(name, f"{newest.version} not in {PRODUCTION}" if newest else "no version", WAITING if newest else NAME)


def badge(name: str, value: str, color: str) -> bytes:
    """Two fields beside each other, white on dark: what it is of, and what it says."""
    name, value = plain(name, 60), plain(value, 60)
    widths = [round(len(text) * LETTER) + 2 * MARGIN for text in (name, value)]
    said = f"{name}: {value}"
    places = (widths[0] / 2, widths[0] + widths[1] / 2)
    texts = "".join(
        f'<text x="{place:g}" y="14" fill="#fff" text-anchor="middle">{escape(text)}</text>'
        for place, text in zip(places, (name, value), strict=True)
    )
    whole = sum(widths)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(said)}" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"<title>{escape(said)}</title>"
        f'<rect width="{whole}" height="{HEIGHT}" rx="3" fill="{NAME}"/>'
        f'<rect x="{widths[0]}" width="{widths[1]}" height="{HEIGHT}" rx="3" fill="{color}"/>'
        f'<rect x="{widths[0]}" width="4" height="{HEIGHT}" fill="{color}"/>{texts}</svg>'
    ).encode()
