"""The rendering: what templates say verdicts, numbers and moments with. The pages are made with it.

Every text that a template shows passes `text.plain` and is escaped: who names a branch or a slice writes no markup.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pushforward import __version__, params, percent
from pushforward.gate.verdict import LEVEL, by_limits, self_scored, worst_first
from pushforward.judge import names
from pushforward.registry.tags import NEITHER, UNJUDGED
from pushforward.report import moved, words
from pushforward.text import beside, between, capital, clean, figure, plain, plural, sample, sentence, signed
from pushforward.views import charts
from pushforward.views.snapshot import clock

SLICES_OPEN = 8
LONGEST = 4000
# What stands for environments where nothing is judged.
MEASURED = "The numbers of a run are told, and held to their limits where they have some; nothing is promoted unasked."


def _told_by() -> dict[str, Any]:
    """What templates say verdicts with."""
    return {
        # the page says of which commit it is
        "headline": lambda verdict, context: capital(words.title(verdict, context, plain, this="this change")),
        "curve": charts.curve,
        "bars": charts.bars,
        "dots": charts.dots,
        "spans": charts.spans,
        "fold_stages": words.fold_stages,
        "remarks": words.remarks,
        "epoch_line": lambda verdict: words.epoch_line(verdict, plain).partition(": ")[2],
        "measured": words.measured,
        "explain": moved.command,
        "unlisted": words.unlisted,
        "written": lambda context: words.written(context, plain),
        "clustered": words.clustered,
        "LEVEL": LEVEL,
        "MEASURED": MEASURED,
        "NEITHER": NEITHER,
        "UNJUDGED": UNJUDGED,
        "by_limits": by_limits,
        "self_scored": self_scored,
        "WORDS": words.WORDS,
        "next_step": lambda verdict, context: (
            context.next_step or words.NEXT[verdict.verdict].format(batch=words.arrival(verdict))
        ),
        "SLICES_OPEN": SLICES_OPEN,
        "PUSHFORWARD": __version__,
    }


@cache
def templates() -> Environment:
    """The templates, compiled: once for all sites."""
    made = Environment(
        loader=PackageLoader("pushforward.views"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "figure": lambda value, decimals=4: "" if value is None else figure(value, decimals),
        "between": lambda one: between(one.low, one.high),
        "plural": plural,
        "sample": sample,
        "beside": lambda value, whole: "" if value is None else beside(value, whole),
        "signed": lambda value: "" if value is None else signed(value),
        "ago": _ago,
        "moment": lambda seconds: f"{clock(seconds):%Y-%m-%d %H:%M}",
        "iso": lambda seconds: clock(seconds).isoformat(),
        "holdout": words.span,
        "promotion": words.promotion,
        "batches": names.span,
        "arrival": names.noun,
        "noun": params.noun,
        "lines": _lines,
        "verbatim": _verbatim,
        "sentence": sentence,
        "worst_first": worst_first,
        "percent": lambda share: percent.share(share, ".4g"),
        "confidence": lambda alpha: percent.confidence(alpha, ".4g"),
    }
    made.globals |= _told_by()
    # Compiled now, so that no reader waits for it.
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)
    return made


def _shown(value: Any) -> Any:
    """What a template's expression shows: markup as it is, anything else as one line of plain text."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    text = str(value)
    # most texts are nothing but letters, and there are thousands on a page
    return text if text.isascii() and text.isprintable() and "  " not in text else plain(text, LONGEST)


def _lines(text: str) -> Markup:
    """A text of several lines for `<pre>`, each line plain."""
    lines = text.strip("\n").split("\n")
    indented = (" " * min(len(line) - len(line.lstrip(" ")), 24) + plain(line, LONGEST) for line in lines)
    return Markup("\n").join(escape(line) for line in indented)


def _verbatim(text: str) -> Markup:
    """Code, or a log, for `<pre>`: its blanks count, and nothing in it is more than text."""
    return Markup("\n").join(escape(clean(line)) for line in text.rstrip("\n").split("\n"))


def _ago(seconds: int, now: int) -> str:
    """How long ago a moment is, in the largest unit of which it has been one: 3 h ago."""
    gone = max(0, now - seconds)
    for unit, size in (("y", 31_557_600), ("mo", 2_629_800), ("d", 86_400), ("h", 3600), ("min", 60)):
        if gone >= size:
            return f"{gone // size} {unit} ago"
    return "just now"
