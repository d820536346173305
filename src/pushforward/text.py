"""Foreign text made harmless, and figures as people read them. Pure; the standard library alone."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 160  # characters of a foreign text in a sentence
MAX_LINE = 2000  # of a line of output

# Operating system commands, device control strings, control sequences (7-bit and 8-bit), then the other escapes.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_SPAN = str.maketrans({"`": "ˋ", "|": "¦", "<": "‹", ">": "›", "\\": "∖"})
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "＠", "#": "＃", "$": "＄"})


def plain(text: str, longest: int = LONGEST) -> str:
    """Foreign text as one line of printable characters: no escape sequence, control, bidi or invisible character."""
    return shorten(" ".join(_printable(text).split()), longest)


def code(text: str, longest: int = LONGEST) -> str:
    """Foreign text as a markdown code span that it cannot leave, in a table too."""
    # GitHub reads @ as a mention after anything but a word character; stages and versions keep theirs.
    text = re.sub(r"(?<!\w)@", "＠", plain(text, longest)).translate(_SPAN)
    return f"`{text}`" if text else "`(empty)`"


def prose(text: str, longest: int = 600) -> str:
    """Foreign text as a part of a markdown sentence: no markup, link, mention or reference is left in it."""
    text = plain(text, longest).translate(_TEXT).replace("://", ":⁄⁄").replace("www.", "www․")
    text = re.sub(r"(?i)\b(gh)-(?=\d)", r"\1‑", text)
    text = re.sub(r"([\\`*_\[\]~|])", r"\\\1", text)
    text = re.sub(r"^(\d+)([.)])", r"\1\\\2", text)
    return re.sub(r"^([-+=])", r"\\\1", text)


def clean(text: str) -> str:
    r"""Output of a program as one harmless line that keeps its indentation; what `\r` overwrote is gone."""
    kept = " ".join(part.rstrip("\r").rpartition("\r")[2] for part in text.rstrip("\r\n").split("\n"))
    return _printable(kept)[:MAX_LINE]


def uncommanding(line: str) -> str:
    """A line that the runner of a forge takes for words, whatever it begins with, and never for a command."""
    return re.sub(r"^(\s*):(?=:)", r"\1: ", line).replace("##[", "## [")


def clean_lines(text: str) -> str:
    """Output of a program as harmless lines."""
    return "\n".join(_printable(part) for part in text.replace("\r\n", "\n").split("\n"))


def shorten(text: str, longest: int) -> str:
    """The text in at most `longest` characters, the last one an ellipsis where some are missing."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def plural(noun: str) -> str:
    """The plural of an English noun, a column's name say: days, queries, batches, classes."""
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(?:s|x|z|ch|sh)$", noun) else f"{noun}s"


ROW = "row"  # the word for a cluster where every row is one


def sample(rows: int, clusters: int, noun: str) -> str:
    """How much there is of what was judged: so many rows of so many clusters, whose noun is given."""
    many = f"{clusters} {plural(noun)}" if (noun, clusters) != (ROW, rows) else "taken as independent"
    return f"{rows:,} rows, {many}"


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    marks = ("Mn", "Me")  # combine with the letter before them
    return sum(
        0 if unicodedata.category(one) in marks else 1 + (unicodedata.east_asian_width(one) in "WF") for one in text
    )


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns of a terminal."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + "…"


def left(text: str, width: int) -> str:
    """The text at the left of `width` columns of a terminal."""
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """The text at the right of `width` columns of a terminal."""
    return " " * (width - cells(text)) + text


def capital(text: str) -> str:
    """A sentence with its first letter raised, unless its first word is a name: params.yaml, or the folder metrics."""
    plain_word = re.match(r"[a-z]+[ ,]", text) and not _NAMED.match(text)
    return text[:1].upper() + text[1:] if plain_word else text


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    return capital(text) + ("" if text.endswith((".", "…", "?")) else ".")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """A markdown table; with `numbers`, its columns but the first stand at the right. Cells are markdown already."""
    rule = [":--", *["--:" if numbers else ":--"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table for a terminal, two blanks between its columns."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(left, row, widths)).rstrip() for row in rows]


def figure(value: float, decimals: int = 4) -> str:
    """A number: four decimals where they say something, for losses have any scale.

    0.4642, 0.0001, 3e−05, 7.7e−07, 2,104.3, 1.235e+07; the minus is a minus.
    """
    size = abs(value)
    if value == 0 or 0.5 / 10**decimals <= size < 1000:
        said = f"{value:.{decimals}f}"
    elif size < 1:
        said = f"{value:.2g}"
    else:
        said = f"{value:,.1f}" if size < 1e7 else f"{value:.4g}"
    return said.replace("-", "−")


def exact(value: float) -> str:
    """A number as somebody wrote it, up to ten digits: a limit is held against no rounded one."""
    return f"{value:.10g}"


def signed(value: float) -> str:
    """A difference, as `figure` shows it, with its sign."""
    return f"{'+' if value >= 0 else ''}{figure(value)}"


def beside(value: float, whole: float) -> str:
    """A difference beside the number that it is one of, in no more decimals than that has: by 0.4712, +0.0000."""
    plain_whole = whole == 0 or 0.5 / 10**4 <= abs(whole) < 1000
    return f"{value:+.4f}".replace("-", "−") if plain_whole and abs(value) < 1000 else signed(value)


def between(low: float | None, high: float | None) -> str:
    """The bounds of a difference; "" where it has none."""
    return "" if low is None or high is None else f"{signed(low)} … {signed(high)}"


def _printable(text: str) -> str:
    text = _ESCAPES.sub("", text).replace("\t", "    ")
    return text if text.isascii() and text.isprintable() else "".join(map(_kept, text))


def _kept(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\n\r\v\f" or category in ("Zl", "Zp", "Zs"):
        return " "
    return "" if category[0] == "C" else character


# A noun of ours has an article, so what is one word and has a verb behind it is the name of a file, setting or place.
_NAMED = re.compile(
    r"(?!(?:it|this|that|there|here|what|which|who|whoever|whatever|somebody|anybody|neither|nothing|nobody|none|each|all"
    r"|everything|everybody|one)\b)"
    r"[a-z]+ (?:is|has|was|does|says|names|lacks|holds|needs|lies|must|can|cannot|would|will|stands)\b"
)
