"""What has passed on the default branch: its verdict where a promotion looks for it, and rows by which it is known."""

import json
from pathlib import Path

import polars as pl

from pushforward.gate import leakage as honesty
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import VERDICTS
from pushforward.git.repository import EMPTY_TREE
from pushforward.judge import ledger
from pushforward.judge.records import file_of

GOLDEN_ROWS = 100
NO_ROWS = b'{"schema":1,"key":"","rows":[]}'  # of a version whose model nobody has asked


def golden_rows(key: str, keys: pl.Series, predictions: honesty.Floats) -> bytes:
    """What the model gives for rows that are spread evenly over the holdout: JSON, the same bytes for the same."""
    step = max(1.0, len(keys) / GOLDEN_ROWS)
    places = [int(place * step) for place in range(min(GOLDEN_ROWS, len(keys)))]
    named = keys if keys.dtype.is_integer() else keys.cast(pl.String)
    rows = [{key: named[place], "p": predictions[place].tolist()} for place in places]
    return json.dumps({"schema": 1, "key": key, "rows": rows}, allow_nan=False, separators=(",", ":")).encode()


def record(root: Path, verdict: Verdict, model: str = "") -> None:
    """Put what passed on the default branch where a promotion and the policy of the remote look for it.

    It is a commit of `verdict.json`, of `MODEL.json` where the judge knows several, at
    `refs/pushforward/verdict/<pushed commit>` in the repository that the looks are counted in. Any other verdict leaves
    no trace there.
    """
    if verdict.verdict != "promote" or verdict.event != "push":
        return
    book, ref = ledger.of(root), f"{VERDICTS}{verdict.commit}"
    if book.remote:
        book.repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", book.remote, f"+{ref}*:{ref}*")
    before = book.repository.resolve(ref)
    content = {file_of(model): verdict.to_json().encode()}
    base = before if before and model else EMPTY_TREE
    tree = book.repository.write_tree(base, content, index=root / ".git" / "verdict.index")
    date, parents = book.repository.date(verdict.commit), [before] if before else []
    commit = book.repository.write_commit(tree, parents, f"Verdict on {verdict.commit}\n", date=date)
    if book.remote:
        book.repository.remote("push", "-q", book.remote, f"{commit}:{ref}")
    else:
        book.repository.git("update-ref", ref, commit)
