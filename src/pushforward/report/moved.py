"""The rows that gained and lost most, as reports list them, and the command that explains one. Pure."""

import shlex
from collections.abc import Iterator

from pushforward.gate.verdict import Verdict
from pushforward.report.note import Context, Moved
from pushforward.text import figure, plain, signed


def command(key: str, commit: str = "", model: str = "") -> str:
    """What a person types to have a row explained, as it was judged at `commit`; `model` is which of several."""
    options = [("--model", plain(model)), ("--commit", plain(commit)[:9])]
    words = [f"{option} {shlex.quote(value)}" for option, value in options if value]
    quoted = shlex.quote(plain(key))
    # what begins with a dash is an option unless two dashes alone have ended them
    words = [*words, "--", quoted] if quoted.lstrip("'").startswith("-") else [quoted, *words]
    return " ".join(["pushforward explain", *words])


def cells(row: Moved) -> list[str]:
    """Label, both predictions and the gain, as people read them."""
    return [plain(row.label, 20), figure(row.champion), figure(row.challenger), signed(row.gain)]


def ends(context: Context) -> Iterator[tuple[str, Moved]]:
    """The row that gained most and the one that lost most, as far as there are such, with a word for each."""
    gained, lost = [one for one in context.moved if one.gain > 0], [one for one in context.moved if one.gain < 0]
    yield from (("gained most", gained[0]),) if gained else ()
    yield from (("lost most", lost[0]),) if lost else ()


def line(verdict: Verdict, context: Context) -> str:
    """Both ends in a sentence, and the command that explains the last; "" where nothing has moved."""
    found = list(ends(context))
    if not found:
        return ""
    told = ", ".join(f"{plain(row.key, 60)} {word} ({signed(row.gain)})" for word, row in found)
    return f"{told}; why: {command(found[-1][1].key, verdict.commit, context.model)}"
