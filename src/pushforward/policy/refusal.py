"""Refusal: why a ref may not move, in words that any terminal can show. Every module of the policy raises it."""

import re

from pushforward.errors import POLICY, PushforwardError

MOST_LETTERS = 100
# What ends a line, moves the cursor or turns the direction of text around.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class PolicyError(PushforwardError):
    """Why one ref may not move, and the next command to type."""

    def __init__(self, why: str, next: str) -> None:  # noqa: A002
        super().__init__(why, next=next, exit_code=POLICY)


def shown(text: str) -> str:
    """Foreign text as a few printable letters."""
    plain = re.sub(r"[^\x20-\x7e]", "?", text)
    return plain if len(plain) <= MOST_LETTERS else f"{plain[: MOST_LETTERS - 3]}..."


def readable(path: bytes) -> bool:
    """Whether it is text."""
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True
