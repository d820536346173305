"""One error for "you can fix this", and how a stage ends on it."""

import sys
from collections.abc import Callable

SETTINGS = 2
DATA = 3
TOOL = 6


class StageError(Exception):
    """A stage cannot go on and a person can mend it: what, where and why, then what to do next.

    `exit_code` is one of the constants of this module.
    """

    def __init__(self, message: str, *, next_step: str = "", exit_code: int = DATA) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


def run_stage(main: Callable[[list[str]], None]) -> None:
    """Call `main` with the command line; a refusal becomes one message on standard error and its exit code."""
    try:
        main(sys.argv[1:])
    except StageError as refused:
        print(refused, file=sys.stderr)
        sys.exit(refused.exit_code)


def shown(value: object) -> str:
    """`value` as text that is safe to print: quoted, ASCII, at most 60 characters."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
