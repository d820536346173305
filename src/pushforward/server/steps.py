"""The steps of a run, with their seconds, as act's log has them while it grows: for the terminal and the pages."""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pushforward.git.server import Server
from pushforward.server import runs
from pushforward.server.runs import Run
from pushforward.text import clean

RAW = '"raw_output": true'
MOST = 500  # steps of one workflow that are told
LONGEST = 50_000  # characters of what one step has said, its end
_END = re.compile(r": [a-z-]+, \d+\.\d s$")
BESIDE = ("Pre ", "Post ")  # what an action does before and after is told where it fails, by its end alone
RUNNING = "running"


@dataclass(frozen=True)
class Step:
    """One step: of which workflow and job, how it ended or that it is running, and its seconds so far."""

    workflow: str
    job: str
    name: str
    result: str
    seconds: float


def of(server: Server, run: Run) -> list[Step]:
    """The steps of a run in the order in which they began; none where its logs are gone."""
    logs = _logs(server, run)
    found: list[Step] = []
    live = run.state == "running"
    for path in sorted(logs, key=lambda path: path.parent.stat().st_mtime_ns):
        found += _read(path, live=live)
    return found


def lines(found: list[Step], *, indent: str = "  ") -> Iterator[str]:
    """Steps for the terminal, a line each."""
    for step in found:
        mark = {"success": "✓", RUNNING: "…", "skipped": "-"}.get(step.result, "!")
        job = f"{step.job} / " if step.job else ""
        yield f"{indent}{mark} {step.workflow}  {job}{step.name}  {step.seconds:.1f} s"


def said(server: Server, run: Run) -> list[str]:
    """What each step of a run has said, in the order of `of`, the end of what is long."""
    found: list[str] = []
    for path in sorted(_logs(server, run), key=lambda path: path.parent.stat().st_mtime_ns):
        text = path.with_name("log.txt")
        parts: list[list[str]] = []
        at_work: list[str] = []  # of several jobs several steps; a name may look like an end, and ends none of them
        for line in text.read_text("utf-8", "replace").splitlines() if text.is_file() else ():
            if line.startswith("step "):
                told = line.removeprefix("step ")
                name = _END.sub("", told)
                if name != told and name in at_work:
                    at_work.remove(name)
                elif name == told or not name.startswith(BESIDE):
                    at_work.append(told)
                    parts.append([])
            elif parts and not line.startswith("job "):
                parts[-1].append(line)
        found += ["\n".join(part)[-LONGEST:] for part in parts[:MOST]]
    return found


def mark(server: Server) -> str:
    """A text that is another one whenever a run has begun, ended, or said something."""
    place = server.folder / runs.FOLDER
    seen = []
    for path in [*place.glob("*/run.json"), *place.glob("*/report.log"), *place.glob("*/*/log.txt")]:
        with contextlib.suppress(OSError):
            found = path.stat()
            seen.append(f"{path.parent.name} {found.st_mtime_ns} {found.st_size}")
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()[:16]


def _logs(server: Server, run: Run) -> list[Path]:
    return [path for path in runs.folder(server, run.job.key).glob("*/log.jsonl") if path.is_file()]


def _read(path: Path, *, live: bool) -> list[Step]:
    began: dict[tuple[str, str], tuple[str, float]] = {}
    ended: dict[tuple[str, str], tuple[str, float]] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if RAW in line:
                continue
            with contextlib.suppress(ValueError, TypeError):
                _take(json.loads(line), began, ended)
    last = "" if live else "cancelled"
    found = []
    for key, (name, since) in [*began.items()][:MOST]:
        result, seconds = ended.get(key, (last or RUNNING, max(0.0, time.time() - since) if live else 0.0))
        found.append(Step(path.parent.name, clean(key[0])[:100], clean(name)[:100], result, round(seconds, 1)))
    return found


def _take(
    entry: dict[str, Any],
    began: dict[tuple[str, str], tuple[str, float]],
    ended: dict[tuple[str, str], tuple[str, float]],
) -> None:
    identity = entry.get("stepID")
    if not isinstance(identity, list) or len(identity) != 1 or entry.get("stage", "Main") != "Main":
        return
    key = (str(entry.get("job", "")).rpartition("/")[2].strip(), str(identity[0]))
    if key not in began:
        told = str(entry.get("step", identity[0])).strip().partition("\n")[0]
        began[key] = told, datetime.fromisoformat(str(entry["time"])).timestamp()
    if "stepResult" in entry:
        taken = entry.get("executionTime")
        ended[key] = str(entry["stepResult"]), taken / 1e9 if isinstance(taken, int | float) else 0.0
