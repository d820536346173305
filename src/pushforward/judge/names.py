"""Names of the ledgers of looks, and what they say. The ledger and whoever looks for one ask; pure."""

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pushforward import params

if TYPE_CHECKING:
    from pushforward.gate.verdict import Holdout

PART = r"(?:(?:[A-Za-z0-9-]|%[0-9A-F]{2})+(?:=[0-9a-f]{32})?|=[0-9a-f]{32})"
EPOCH = re.compile(r"epoch\.([1-9][0-9]{0,5})")  # no batch has a dot
NAME = re.compile(f"{PART}(?:_{PART})?|{EPOCH.pattern}")
LONGEST = 80  # characters of a batch in a ref, whose last part is a file's name
KEPT = 40


def ledger(batches: Sequence[str]) -> str:
    """The ledger of a holdout is named by its batches, so that a change of its bytes buys no new looks."""
    return part(batches[0]) if len(batches) == 1 else f"{part(batches[0])}_{part(batches[-1])}"


def epoch(number: int) -> str:
    """The ledger of an epoch is named by its number, so that no key taken out or put in buys new looks."""
    return f"epoch.{number}"


def number(name: str) -> int:
    """The epoch that a ledger is of; 0 where it is of batches."""
    found = EPOCH.fullmatch(name)
    return int(found[1]) if found else 0


def of(holdout: "Holdout") -> str:
    """The ledger of the holdout that a verdict names."""
    if holdout.epoch is not None:
        return epoch(holdout.epoch.number)
    months = holdout.months
    return ledger(months[: months.index(holdout.until) + 1] if holdout.until in months else months)


def part(batch: str) -> str:
    """A batch as a part of a ref: letters, digits and - as they are, other bytes as %XX; with a digest where long."""
    words = re.sub(rb"[^A-Za-z0-9-]", lambda found: b"%%%02X" % ord(found[0]), batch.encode()).decode()
    if len(words) <= LONGEST:
        return words
    start = words.partition("%")[0][:KEPT]
    return f"{start}={hashlib.sha256(batch.encode()).hexdigest()[:32]}"


def test_set(digest: str) -> str:
    """What stands for the batches of a test set that has none, by the digest of its keys and labels."""
    return f"{params.TEST_SET}{digest[:16]}"


def called(name: str) -> str:
    """What a ledger is of, as a sentence has it."""
    return name if name.startswith(params.TEST_SET) else f"holdout {span(name)}"


def opening(name: str) -> str:
    """What opens a new holdout when this one answers no more, as the end of a sentence."""
    return "another test set" if name.startswith(params.TEST_SET) else f"the next {noun(name)}"


def step(name: str) -> str:
    """What a person does to have a new one."""
    if name.startswith(params.TEST_SET):
        return "name another test set in predictions.test_set of pushforward.yaml, on the target branch"
    if number(name):
        return "add rows to the data: enough unseen keys of the holdout open the next epoch"
    return f"add the next {noun(name)} to the list that `batches` names, when it arrives"


def span(name: str) -> str:
    """The batches of a ledger, as a sentence has them; of one that is too long for a ref its beginning."""
    if which := number(name):
        return f"epoch {which}"
    found = (one.partition("=") for one in name.split("_"))
    return " to ".join(unquote(start) + ("…" if cut else "") for start, cut, _ in found)


def noun(name: str) -> str:
    """The word for one batch of a ledger, or for the epoch that it is of."""
    return "epoch" if number(name) else params.noun(name.split("_"))
