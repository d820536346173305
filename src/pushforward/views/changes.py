"""The changes: what lies between two commits as git tells it -> files and lines to show; pure. `history` reads them.

What is pushed is hostile, and may be huge: few files are shown, and few lines; git takes a large file for binary.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pushforward.text import shorten

LARGE = "64k"  # bytes of a file whose lines are not compared
MOST_CHANGED = 20_000  # lines between two commits that are compared at all
MOST_FILES, MOST_LINES, LONGEST_LINE = 40, 500, 240
# What a run writes and no person does: locks and numbers of a version.
MADE = (":(exclude,glob)**/dvc.lock", ":(exclude,glob)**/metrics/**")
PAIR = re.compile(r"^[0-9a-f]{40} [0-9a-f]{40}\n", re.MULTILINE)
_KINDS = {"+": "added", "-": "removed", " ": "same", "@": "place"}
_NUMBERS = re.compile(r"(\d+|-)\t(\d+|-)\t(.*)")


@dataclass(frozen=True)
class File:
    """One file that differs, `lines` as (kind, text): added, removed, same, or the place where lines begin.

    `added` is None where git compares no lines: of a binary or a large file.
    """

    path: str
    added: int | None
    removed: int | None
    lines: tuple[tuple[str, str], ...] = ()
    cut: bool = False


@dataclass(frozen=True)
class Change:
    """What a commit changes of `base`: its files, of which `more` are not listed, and what its message says below."""

    base: str = ""
    body: str = ""
    files: tuple[File, ...] = ()
    more: int = 0


def counted(numbers: str) -> list[File]:
    """The files of one pair of commits by `git diff-tree --numstat`."""
    found = (_NUMBERS.fullmatch(line) for line in numbers.split("\n"))
    rows = (match.groups() for match in found if match)
    return [File(path, _count(added), _count(removed)) for added, removed, path in rows]


def comparable(files: Sequence[File]) -> bool:
    """Whether it is worth comparing lines: where whole folders came, nobody reads them here."""
    return bool(files) and sum((one.added or 0) + (one.removed or 0) for one in files) <= MOST_CHANGED


def read(files: Sequence[File], patch: str) -> tuple[tuple[File, ...], int]:
    """Files with their lines by `git diff-tree -p`, in the same order, as many as are shown; and how many are not."""
    bodies = re.split(r"^diff --git .*\n", patch, flags=re.MULTILINE)[1:]
    bodies += [""] * (len(files) - len(bodies))
    left, shown = MOST_LINES, []
    for file, body in list(zip(files, bodies, strict=False))[:MOST_FILES]:
        start = re.search(r"^@@ ", body, re.MULTILINE)
        lines = body[start.start() :].rstrip("\n").split("\n") if start else []
        kept = tuple(
            (_KINDS[line[0]], shorten(line[line[0] != "@" :], LONGEST_LINE))
            for line in lines[:left]
            if line[:1] in _KINDS
        )
        shown.append(File(file.path, file.added, file.removed, kept, cut=len(lines) > left))
        left -= len(kept)
    return tuple(shown), len(files) - len(shown)


def _count(text: str) -> int | None:
    return int(text) if text.isdigit() else None
