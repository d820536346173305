"""A hop: one link of a version's chain of evidence. `chain`, `stored` and `rebuild` say what breaks it; all ask so."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pushforward.errors import POLICY, TOOL, PushforwardError

Steps = Mapping[str, Callable[[], str]]


class DifferentError(PushforwardError):
    """Something is not what it should be: `place` says where, `expected` and `found` what ("" for nothing)."""

    def __init__(self, message: str, place: str, expected: str = "", found: str = "", *, next: str = "") -> None:  # noqa: A002
        super().__init__(message, next=next, exit_code=POLICY)
        self.place, self.expected, self.found = place, expected, found


class FailedError(PushforwardError):
    """Something could not be looked at, or could not be made again."""

    def __init__(self, message: str, *, exit_code: int = POLICY) -> None:
        super().__init__(message, exit_code=exit_code)


class ElsewhereError(PushforwardError):
    """Something that cannot be done here, and may well be elsewhere: no word on what it is about."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=TOOL)


@dataclass(frozen=True)
class Hop:
    """One link from a version's tag to its bytes: what holds, or else where it breaks, what was expected and found.

    `ok` is None for a hop that was not taken, `next` what to type about a broken one, where that is known.
    """

    name: str
    ok: bool | None
    said: str
    place: str = ""
    expected: str = ""
    found: str = ""
    next: str = ""
    tool: bool = False

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        told = {"name": self.name, "ok": self.ok, "said": self.said}
        broken = {"place": self.place, "expected": self.expected, "found": self.found, "next": self.next}
        return told | ({} if self.ok else broken)

    def line(self) -> str:
        """As people read it."""
        mark = {True: "✓", False: "✗", None: "·"}[self.ok]
        return "\n             ".join([f"{mark} {self.name:<11}{self.said}", *self._told()])

    def _told(self) -> Iterator[str]:
        if self.expected or self.found:
            yield f"expected {self.expected or 'nothing'}"
            yield f"found    {self.found or 'nothing'}"
        if self.next:
            yield f"next     {self.next}"


def walk(steps: Steps) -> Iterator[Hop]:
    """Every hop, as it is taken; what stops two of them is told once, where it was met first."""
    met: dict[str, str] = {}
    for name, take in steps.items():
        hop = taken(name, take)
        if hop.ok is False and hop.said in met:
            hop = Hop(name, None, f"not taken: {met[hop.said]} does not hold")
        elif hop.ok is False:
            met[hop.said] = name
        yield hop


def taken(name: str, take: Callable[[], str]) -> Hop:
    """What came of one hop."""
    try:
        return Hop(name, True, take())
    except ElsewhereError as elsewhere:
        return Hop(name, None, elsewhere.message)
    except DifferentError as other:
        return Hop(name, False, other.message, other.place, other.expected, other.found, other.next)
    except FailedError as failed:
        return Hop(name, False, failed.message, tool=failed.exit_code == TOOL)
    except PushforwardError as wrong:
        # git gives up where an object is damaged: that is the chain, not the tool
        return Hop(name, False, " ".join(wrong.message.split()), next=wrong.next)


@contextlib.contextmanager
def following(command: str) -> Iterator[None]:
    """An error inside that names no next command names this one."""
    try:
        yield
    except PushforwardError as failed:
        if failed.next:
            raise
        raise PushforwardError(failed.message, next=command, exit_code=failed.exit_code) from failed


def same(what: str, place: str, expected: str, found: str) -> None:
    """Raise where two that have to be the same are not."""
    if expected != found:
        raise DifferentError(what if place in what else f"{what} ({place})", place, expected, found)


def same_files(what: str, place: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise for the first path of either that has another digest in the other, or none."""
    for path in sorted({*expected, *found}):
        same(f"{what} {path}", place, expected.get(path, ""), found.get(path, ""))
