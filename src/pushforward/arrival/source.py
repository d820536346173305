"""The source of batches: the project's command that lists what there is, run and read as hostile data. `look` asks."""

import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pushforward import untrusted
from pushforward.errors import DATA, PushforwardError
from pushforward.judge import score
from pushforward.params import LONGEST_NAME
from pushforward.pipeline import environment
from pushforward.text import plain

SECONDS = 600.0  # that the command may take
LONGEST = 4 << 20  # bytes of a listing
MOST = 10_000  # batches
DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9:+/=._-]{5,127}")
SETTING = "arrive.source"


@dataclass(frozen=True)
class Listed:
    """A batch that the source has, and a text that is another one where its content is another one."""

    batch: str
    digest: str


def ask(checkout: Path, command: str, *, seconds: float = SECONDS) -> list[Listed]:
    """What the source lists, by the code and in the environment of a checkout; no variable of a job reaches it."""
    python = environment.project(checkout)
    asked = score.Command(SETTING, command, "the source of batches", ".")
    with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
        out = Path(folder) / "batches.json"
        score.command(checkout, asked, {"{out}": out}, python_bin=python, timeout=seconds)
        with out.open("rb") as handle:
            return read(handle.read(LONGEST + 1))


def read(content: bytes) -> list[Listed]:
    """A listing: a JSON list of {batch, digest}, each batch once; anything else is refused."""
    if len(content) > LONGEST:
        raise _refusal(f"it has more than {LONGEST >> 20} MiB")
    try:
        tree = json.loads(content.decode("utf-8"), object_pairs_hook=untrusted.once)
    except (ValueError, RecursionError) as broken:
        raise _refusal(f"it is no JSON: {plain(str(broken), 100)}") from None
    if not isinstance(tree, list) or len(tree) > MOST:
        raise _refusal(f"it is no list of at most {MOST:,} batches")
    found = [_listed(entry, number) for number, entry in enumerate(tree)]
    seen = set[str]()
    for one in found:
        if one.batch in seen:
            raise _refusal(f"{plain(one.batch)!r} is there twice")
        seen.add(one.batch)
    return found


def written(found: Iterable[Listed]) -> list[dict[str, str]]:
    """A listing as `read` takes it."""
    return [{"batch": one.batch, "digest": one.digest} for one in found]


def _listed(entry: Any, number: int) -> Listed:
    if not isinstance(entry, dict) or entry.keys() != {"batch", "digest"}:
        raise _refusal(f"entry {number} is not of the form {{batch, digest}}")
    batch, digest = entry["batch"], entry["digest"]
    if not isinstance(batch, str) or not batch.isprintable() or not 0 < len(batch) <= LONGEST_NAME:
        raise _refusal(f"entry {number}: {plain(str(batch))!a} is no name of a batch")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise _refusal(f"entry {number} ({batch}): {plain(str(digest))!a} is no digest")
    return Listed(batch, digest)


def _refusal(words: str) -> PushforwardError:
    return PushforwardError(
        f"{SETTING}: what it lists cannot be used: {words}",
        next="run the command by hand, with a path for {out}",
        exit_code=DATA,
    )
