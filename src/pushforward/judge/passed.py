"""What was judged, where a promotion and a person's word look for it: the verdict, and rows by which it is known."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.errors import POLICY, PushforwardError
from pushforward.gate.verdict import Verdict, changes_judge, lands
from pushforward.git.refs import VERDICTS
from pushforward.git.repository import EMPTY_TREE
from pushforward.judge import ledger, looks, names, records, seal
from pushforward.registry.grammar import ACCEPTABLE
from pushforward.registry.tags import Level

if TYPE_CHECKING:
    import polars as pl

    from pushforward.gate import leakage as honesty

GOLDEN_ROWS = 100
NO_ROWS = b'{"schema":1,"key":"","rows":[]}'  # of a version whose model nobody has asked


def golden_rows(key: str, keys: "pl.Series", predictions: "honesty.Floats") -> bytes:
    """What the model gives for rows that are spread evenly over the holdout: JSON, the same bytes for the same."""
    import polars as pl  # a promotion and a word on a verdict read what was judged, and no table

    step = max(1.0, len(keys) / GOLDEN_ROWS)
    places = [int(place * step) for place in range(min(GOLDEN_ROWS, len(keys)))]
    named = keys if keys.dtype.is_integer() else keys.cast(pl.String)
    rows = [{key: named[place], "p": predictions[place].tolist()} for place in places]
    return json.dumps({"schema": 1, "key": key, "rows": rows}, allow_nan=False, separators=(",", ":")).encode()


def may_be(outcome: str) -> bool:
    """Whether what the judge has said so of may be promoted: by that, or by a person's word on it."""
    return outcome == "promote" or outcome in ACCEPTABLE


def record(
    root: Path,
    verdict: Verdict,
    model: str = "",
    *,
    subject: str = "",
    level: Level = "minor",
    golden: Path | None = None,
) -> None:
    """Put a verdict where a promotion, a person's word and the policy of the remote look for it.

    It is a commit of `verdict.json`, of `MODEL.json` where the judge knows several, at
    `refs/pushforward/verdict/<pushed commit>` in the repository that the looks are counted in. On the default branch it
    is kept of what has passed, and of what a person may accept, with its `golden` rows; of a pull request, in a folder
    of its own, of whatever was judged on `subject`, the merge that was tried. Any other verdict leaves no trace there.
    """
    pull = verdict.event == "pull_request" and verdict.verdict != "invalid"
    if not pull and not (verdict.event == "push" and may_be(verdict.verdict)):
        return
    book, ref = ledger.of(root), f"{VERDICTS}{verdict.commit}"
    if book.remote:
        book.repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", book.remote, f"+{ref}*:{ref}*")
    before, place = book.repository.resolve(ref), records.place(verdict.event, model)
    tree = book.repository.git("rev-parse", f"{subject or verdict.commit}^{{tree}}").text
    beside = records.Beside(level, tree, lands(verdict), changes_judge(verdict))
    content = {place: verdict.to_json().encode(), f"{records.BESIDE}{place}": beside.to_json()}
    if not pull and golden is not None and golden.is_file():
        content[f"{records.GOLDEN}{place}"] = golden.read_bytes()
    tree = book.repository.write_tree(before or EMPTY_TREE, content, index=root / ".git" / "verdict.index")
    date, parents = book.repository.date(verdict.commit), [before] if before else []
    commit = book.repository.write_commit(tree, parents, f"Verdict on {verdict.commit}\n", date=date)
    if book.remote:
        book.repository.remote("push", "-q", book.remote, f"{commit}:{ref}")
    else:
        book.repository.git("update-ref", ref, commit)


def check_look(root: Path, verdict: Verdict, model: str) -> None:
    """Refuse a verdict that the ledger of its holdout does not have; one that took no look is in none.

    The numbers are asked too where they are published, or this place has the key that sealed them.
    """
    if verdict.look is None or verdict.holdout is None:
        return
    book, holdout, number = ledger.of(root, model), names.of(verdict.holdout), verdict.look.number
    state = book.state(holdout)
    look = next((one for one in state.looks if one.number == number), None)
    told = {verdict.verdict, seal.word(verdict)}
    box = book.repository.read(state.tip, f"{ledger.SEALED}/{number}") if look and book.key else None
    numbers = book.numbers(holdout).get(number) or (seal.open(book.key, box) if box else None)
    if look is None or look.verdict not in told or (numbers is not None and not _found(look, numbers)):
        raise PushforwardError(
            f"the ledger of {holdout} does not say {verdict.verdict} at look {number}, as the verdict recorded of "
            f"{verdict.commit[:9]} does",
            next="push it again: the judge answers the same question in the same way, and records it anew",
            exit_code=POLICY,
        )


def _found(look: looks.Look, numbers: str) -> bool:
    """Whether these are the numbers of a look, and say what was told of it."""
    return looks.digest(numbers) == look.sealed and seal.word(Verdict.from_json(numbers)) == look.verdict
