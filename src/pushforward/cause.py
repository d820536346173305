"""Causes: what went wrong first, by the last lines of whatever failed: what, where, and the next command. Pure."""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from pushforward import pointers

KILLED = {128 + signal.SIGKILL, -signal.SIGKILL}
LIMIT = 500
OUTSIDE = ("site-packages/", "/lib/python", "<")  # frames of a traceback that are no file of the project

_OURS = re.compile(r"pushforward: (?P<text>.+)")
_NEXT = re.compile(r"\s+next: (?P<next>.+)")
_FRAME = re.compile(r'\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_RAISED = re.compile(r"(?P<name>[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Iteration|Failure))(: .*)?")
_MISSING = re.compile(r"(?:.*: )?(?P<name>[^\s:]+): (?:command )?not found")
_CARRIAGE = re.compile(r"\\r['’]|\$'\\r'|\^M")
# Of act: a place in a workflow, and what is wrong there.
_PLACE = re.compile(r"Line: (?P<line>\d+) Column \d+: (?P<text>.*?)(?=Line: \d+ Column|$)")
# What only repeats that something before it has failed.
_ECHO = re.compile(r"make(\[\d+\])?: |##\[|Error: (Process|Job)|exit status \d+$|ERROR: failed to reproduce|exitcode ")
# Where a run has its checkout, and any checkout of a judge.
_CHECKOUT = re.compile(r"^.*/(?:hostexecutor|checkout|(?:judge|champion|challenger)-[0-9a-f]{12})/")


# Where our own git runs: a folder of the server, which says nothing to whoever pushed.
_PLACED = re.compile(r"\bgit (?:-C (?:'[^']*'|\S+)|--git-dir=(?:'[^']*'|\S+)) ")


@dataclass(frozen=True)
class Cause:
    """One line of what went wrong, and where; the command that comes next, where one is known."""

    text: str
    next: str = ""


NONE = Cause("")


def of(lines: Sequence[str], status: int | None = None, *, root: str = "") -> Cause:
    """The cause that the last `lines` of what failed tell of; `root` is the folder that its paths are told from.

    `status` is how it ended (below 0: by a signal). What is known to say nothing is passed over.
    """
    found = [line.rstrip() for line in lines if line.strip()]
    for look in (_carriage_returns, _ours, _pointer, _traceback, _no_command):
        if cause := look(found, root):
            return cause
    told = [line.strip() for line in found if not _ECHO.match(line.strip())]
    if status in KILLED:
        last = f"; its last words: {told[-1]}" if told else ""
        return _cause(f"it was killed, as happens where memory runs out{last}", "let it use less memory")
    if status is not None and status < 0:
        return _cause(f"it died of {_signal(-status)}" + (f": {told[-1]}" if told else ""))
    return _cause(told[-1]) if told else _cause("" if status is None else f"exit status {status}")


def of_act(file: str, errors: Sequence[str]) -> Cause | None:
    """The place at which act cannot read the workflow `file`; None where its words are of something else."""
    told = " ".join(errors)
    if "workflow is not valid" not in told and "Failed to " not in told and "cannot unmarshal" not in told:
        return None
    places = [found for found in _PLACE.finditer(errors[0]) if not found["text"].startswith("Failed to match ")]
    if not places:
        return _cause(f"{file}: {errors[0].removeprefix('Error: ')}")
    return _cause(f"{file}:{places[-1]['line']}: {places[-1]['text'].strip(' :')}")


def _cause(text: str, then: str = "") -> Cause:
    return Cause(text[:LIMIT], then[:LIMIT])


def _carriage_returns(lines: Sequence[str], _: str) -> Cause | None:
    if not any(_CARRIAGE.search(line) for line in lines):
        return None
    return _cause(
        "its files are checked out with CRLF line ends (.gitattributes, or committed so), and no shell runs them",
        "write `* text=auto eol=lf` into .gitattributes, then git add --renormalize . && git commit",
    )


def _ours(lines: Sequence[str], _: str) -> Cause | None:
    """An error as the command line of this project tells it."""
    for at in range(len(lines) - 1, -1, -1):
        if found := _OURS.match(lines[at]):
            rest = lines[at + 1 :]
            then = next((match["next"] for line in rest if (match := _NEXT.match(line))), "")
            return _cause(_PLACED.sub("git ", found["text"]), then)
    return None


def _pointer(lines: Sequence[str], root: str) -> Cause | None:
    """Source that is a Git LFS pointer, in which Python sees no more than a syntax error."""
    at = next((place for place, line in enumerate(lines) if line.strip().startswith(pointers.LFS.decode())), 0)
    frame = _FRAME.match(lines[at - 1]) if at else None
    if frame is None:
        return None
    return _cause(
        f"{_relative(frame['file'], root)} is a Git LFS pointer, not what it points to",
        pointers.OUT_OF_LFS,
    )


def _traceback(lines: Sequence[str], root: str) -> Cause | None:
    """The exception that ended a Python program, at the last line of the project that it passed through."""
    raised = next((at for at in range(len(lines) - 1, -1, -1) if _RAISED.fullmatch(lines[at])), -1)
    frames = [match for line in lines[: max(raised, 0)] if (match := _FRAME.match(line))]
    if raised < 0 or not frames:
        return None
    own = [frame for frame in frames if not any(word in frame["file"] for word in OUTSIDE)]
    where = (own or frames)[-1]
    return _cause(f"{_relative(where['file'], root)}:{where['line']}: {lines[raised]}")


def _no_command(lines: Sequence[str], _: str) -> Cause | None:
    told = [line for line in lines if not _ECHO.match(line.strip())]
    found = _MISSING.fullmatch(told[-1].strip()) if told else None
    if found is None:
        return None
    return _cause(
        f"{found['name']}: command not found", f"mend the name, or add what has {found['name']} to the environment"
    )


def _relative(path: str, root: str) -> str:
    if root and path.startswith(f"{root}/"):
        return path[len(root) + 1 :]
    inside = _CHECKOUT.sub("", path)
    return inside if inside != path or not path.startswith("/") else path.rpartition("/")[2]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
