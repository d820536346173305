"""Epochs of a holdout that no batch opens: keys are held out by a hash, and judged together that came unseen.

The judge asks which keys a case is judged on. A key is held out where the first eight bytes of the SHA-256 of its text,
as a number, are below `holdout.share` of all that there are: a rule that each project applies by itself, so that a row
stays on its side for ever. An epoch is opened by a push to the default branch, with all held out keys that none before
has had, once there are `gate.renews` of them; until then they wait. A pull request that brings as many is judged on
them, at a look of the epoch that they will open; whichever keys open it, its looks are one ledger's.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward import files
from pushforward.errors import DATA, PushforwardError
from pushforward.gate.evidence import Evidence, problem_of, scarce
from pushforward.gate.verdict import Epoch as Told
from pushforward.judge import holdout as holdouts
from pushforward.judge import ledger, names, table
from pushforward.judge.case import Case
from pushforward.judge.looks import State
from pushforward.judge.validation import clusters_of
from pushforward.pipeline.revision import Revision, sha256
from pushforward.report import words
from pushforward.settings import Settings
from pushforward.text import plain

Places = NDArray[np.uint64]
BIG = np.dtype(">u8")
LINE = 2.0**64
NAMED = 3
MOST_KEYS = 2_000_000  # of a holdout: its ledger has eight bytes of each
RULE = "docs/contract.md has the rule: SHA-256 of the key"
KINDS = (pl.String, pl.Categorical, pl.Enum, pl.Date)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What a case is judged on: the rows at the places `order` of the labels, by key.

    `listed` are the keys of an epoch that is not open; `remarks` what is to be known of those of one that is.
    """

    told: Told
    order: NDArray[np.intp]
    listed: bytes | None = None
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its ledger."""
        return names.epoch(self.told.number)


def places(keys: pl.Series) -> Places:
    """Where each key lies from 0 to 2**64, by its text: of whole numbers the decimal, of dates as 2013-05-31."""
    if not (keys.dtype.is_integer() or keys.dtype in KINDS):
        raise PushforwardError(
            f"{keys.name} (holdout.key) is {keys.dtype}; without batches a key is a whole number, a text or a date",
            next="edit holdout.key in pushforward.yaml",
            exit_code=DATA,
        )
    digests = (hashlib.sha256(text.encode()).digest()[:8] for text in keys.cast(pl.String))
    return np.frombuffer(b"".join(digests), BIG).astype(np.uint64)


def held_out(where: Places, share: float) -> NDArray[np.bool_]:
    """Whether each key is on the side of the holdout."""
    return where / LINE < share


def misplaced(keys: pl.Series, rules: Settings) -> str:
    """What is wrong with the keys of a holdout without batches, or ""."""
    contract = rules.contract
    strange = keys.filter(~pl.Series(held_out(places(keys), contract.share)))
    if not len(strange):
        if len(keys) > MOST_KEYS:
            return f"{contract.holdout} has {len(keys):,} keys; the limit is {MOST_KEYS:,}: lower holdout.share"
        return ""
    some = ", ".join(f"{key!r:.40}" for key in strange.head(NAMED)) + (", …" if len(strange) > NAMED else "")
    return (
        f"{len(strange):,} of the {len(keys):,} keys of {contract.holdout} are not on the holdout's side by "
        f"holdout.share {contract.share:g} ({some}); {RULE}"
    )


def scarcity(labels: pl.DataFrame, clusters: NDArray[Any], rules: Settings) -> str:
    """Why nothing could be judged on these labels, whatever is predicted: a model that answers as a constant does."""
    contract = rules.contract
    if contract.loss:
        return scarce(clusters)
    y = labels[contract.label].cast(pl.Float64).to_numpy()
    shape = (len(y), len(contract.classes)) if contract.classes else (len(y),)
    flat = np.full(shape, 1 / len(contract.classes) if contract.classes else 0.5)
    evidence = Evidence(y, None, flat, clusters, "first", (), classes=tuple(contract.classes))
    # a slice that is no column is told with the columns
    return problem_of(evidence, rules.gate.model_copy(update={"slices": []}))


@dataclasses.dataclass(frozen=True)
class Asked:
    """The rows that decide: their labels, the folder with their tables and its SHA-256, and where they are among all.

    All of a holdout of batches; without them those of an `epoch`, by key.
    """

    labels: pl.DataFrame
    folder: Path
    digest: str
    order: Any
    epoch: Epoch | None = None


def asked(
    case: Case,
    tables: tuple[pl.DataFrame, pl.DataFrame],
    holdout: Path,
    before: Callable[[], pl.DataFrame] | None,
    *,
    opens: bool,
) -> Asked:
    """Which rows of the `tables` of a holdout, its rows and its labels, decide the case; `at` says how."""
    rows, labels = tables
    if case.rules.batched:
        return Asked(labels, holdout, holdouts.digest(holdout), slice(None))
    found = at(case, labels, before, opens=opens)
    key, where, folder = case.contract.key, case.contract.holdout, case.work / "epoch"
    folder.mkdir()
    mine = labels[found.order]
    of_rows = mine.select(key).join(rows.select(key).with_row_index("place"), on=key, how="left", maintain_order="left")
    for stem, kept in ((holdouts.ROWS, of_rows["place"].to_numpy()), (holdouts.LABELS, found.order)):
        path = table.place(holdout, stem, where)
        whole = table.texts(path, path.name) if path.suffix == table.CSV else table.read(path, path.name)
        table.write(whole[kept], folder / path.name)
    digest = holdouts.digest(folder)
    if case.contract.events:
        files.copy(holdout, holdouts.EVENTS, folder / holdouts.EVENTS)  # those of rows that wait are there too
    return Asked(mine, folder, digest, found.order, found)


def at(case: Case, labels: pl.DataFrame, before: Callable[[], pl.DataFrame] | None, *, opens: bool) -> Epoch:
    """The epoch that the case is judged on; one that is due is opened where the case `opens` any.

    `before` gives the labels as they are without the rows that the change adds, where it adds some. Refused where the
    change takes keys out of an epoch in use, or gives them other labels.
    """
    book, where = ledger.of(case.repository.path, case.subject.model), places(labels[case.contract.key])
    while True:
        last = book.epoch()
        keys, seen = (_read(book.keys(last)), book.seen(last)) if last else (_read(b""), b"")
        fresh = held_out(where, _known_side(case)) & ~np.isin(where, _read(seen))
        enough = last is None or int(fresh.sum()) >= case.rules.renews
        lacking = _scarcity(case, labels, fresh) if enough else ""
        if last is not None and (not enough or lacking):
            return _current(case, labels, (last, keys), (where, fresh), lacking, before)
        due = _due(case, 1 + (names.number(last.holdout) if last else 0), where, fresh)
        if not opens or lacking or due.listed is None:
            return due
        earlier = _written(np.unique(_read(seen)))
        digest, head = _labels(case, labels, due.order), case.question.head
        state = book.open(due.name, due.listed, earlier, labels=digest, since=due.told.since, commit=head)
        if state.opened is not None and state.opened.listed == sha256(due.listed):
            return dataclasses.replace(due, told=dataclasses.replace(due.told, open=True), listed=None)
        # another push was first: what it opened is in use now


def foreseen(book: ledger.Ledger, keys: pl.Series, rules: Settings) -> str:
    """On which epoch a push of a holdout with these keys would be judged, before anybody opens one."""
    last, where = book.epoch(), places(keys)
    if last is None or last.opened is None:
        return f"epoch 1 would open with {len(keys):,} keys"
    number, fresh = names.number(last.holdout), int((~np.isin(where, _read(book.seen(last)))).sum())
    if fresh >= rules.renews:
        return f"epoch {number + 1} would open with {fresh:,} keys that nobody has judged"
    return words.epoch(Told(number, last.opened.keys, last.opened.since, True, fresh, rules.renews), plain)


def _due(case: Case, number: int, where: Places, fresh: NDArray[np.bool_]) -> Epoch:
    """The epoch that the unseen keys would open."""
    order = _order(where, fresh)
    since = case.champion.name if case.champion else ""
    told = Told(number, len(order), since, open=False, waiting=0, renews=case.rules.renews)
    return Epoch(told, order, _written(where[order]), _of_champion(case))


def _current(
    case: Case,
    labels: pl.DataFrame,
    last: tuple[State, Places],
    keys: tuple[Places, NDArray[np.bool_]],
    lacking: str,
    before: Callable[[], pl.DataFrame] | None,
) -> Epoch:
    """The epoch in use, on as many of its keys as are there."""
    (state, own), (where, fresh) = last, keys
    opened, number, waiting = state.opened, names.number(state.holdout), int(fresh.sum())
    assert opened is not None  # noqa: S101, or it would not be in use
    order = _order(where, np.isin(where, own))
    remarks, gone = [*_of_champion(case)], opened.keys - len(order)
    other = not gone and _labels(case, labels, order) != opened.labels
    if gone:
        remarks.append(f"{gone:,} of the {opened.keys:,} keys of epoch {number} are in the data no more")
    elif other:
        remarks.append(f"epoch {number} opened with other labels than the data has now")
    if before is not None and (gone or other):
        _check_caused(case, (labels, order), before(), own, remarks[-1])
    if lacking:
        remarks.append(f"{waiting:,} unseen keys cannot open the next epoch yet: {lacking}")
    told = Told(number, opened.keys, opened.since, open=True, waiting=waiting, renews=case.rules.renews)
    return Epoch(told, order, remarks=tuple(remarks))


def _check_caused(
    case: Case, now: tuple[pl.DataFrame, NDArray[np.intp]], then: pl.DataFrame, own: Places, what: str
) -> None:
    """Refuse a change that makes of an epoch in use another one by what it adds; what was so before is told only."""
    labels, order = now
    where = places(then[case.contract.key])
    earlier = _order(where, np.isin(where, own))
    if len(earlier) != len(order) or _labels(case, then, earlier) != _labels(case, labels, order):
        raise PushforwardError(f"{what}, by the rows that this change adds", next=table.EDIT, exit_code=DATA)


def _known_side(case: Case) -> float:
    """The share of the holdout that the champion has not trained on either: it may know a smaller one."""
    return min(case.contract.share, _share_of_champion(case) or 1.0)


def _of_champion(case: Case) -> tuple[str, ...]:
    """What is to be known of a champion that had another holdout."""
    if case.champion is None or _share_of_champion(case) is not None:
        return ()
    return (f"{case.champion.name} is of before the holdout was by keys: it may have trained on some of them",)


def _share_of_champion(case: Case) -> float | None:
    """The share that the champion held out; None where there is none, or its holdout was not by keys."""
    if case.champion is None:
        return None
    try:
        theirs = Revision(case.repository, case.champion.commit).settings
        share = theirs.contract.share
    except PushforwardError:
        return None
    return None if theirs.batched or theirs.self_scored else share


def _scarcity(case: Case, labels: pl.DataFrame, fresh: NDArray[np.bool_]) -> str:
    some = labels.filter(pl.Series(fresh))
    return scarcity(some, clusters_of(some, case.contract.cluster), case.rules)


def _order(where: Places, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The rows that are kept in one order, whatever order the data has them in."""
    rows = np.flatnonzero(kept)
    return rows[np.argsort(where[rows], kind="stable")]


def _labels(case: Case, labels: pl.DataFrame, order: NDArray[np.intp]) -> str:
    """SHA-256 of which key has which label."""
    told = labels[case.contract.label]
    texts = (told.cast(pl.Float64) if told.dtype.is_numeric() else told)[order].to_list()
    keys = labels[case.contract.key].cast(pl.String)[order]
    return sha256("".join(f"{key} {text!r}\n" for key, text in zip(keys, texts, strict=True)).encode())


def _read(keys: bytes) -> Places:
    return np.frombuffer(keys, BIG).astype(np.uint64)


def _written(where: Places) -> bytes:
    return np.sort(where).astype(BIG).tobytes()
