"""A test set that the pipeline itself has scored: a table with the label and the prediction of each row. `judge` asks.

The pushed code wrote both, and nobody asks its model for one row: that is level 2, and whatever is said of such a
verdict says so. What the judge adds is the comparison. The champion's table is what its own run has left in the DVC
store, the rows have to be the same, and the statistics are those of the gate, at looks that the ledger counts by the
digest of keys and labels: a change of one row buys no look, for it makes another test set. That begins by a person's
word alone (`test_set` in the settings), against floors, and in use nowhere until a person puts it to use. Whoever
verifies a version reads the same tables here.
"""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from pushforward import files, schema
from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.gate.evidence import Evidence
from pushforward.gate.stats import Floats
from pushforward.gate.verdict import Holdout, Verdict
from pushforward.judge import losses, names, passed, table
from pushforward.judge.case import Case, gate_of, slices_of
from pushforward.judge.holdout import LABELS
from pushforward.judge.look import Rows, look
from pushforward.judge.validation import clusters_of
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import folders
from pushforward.pipeline.lock import LOCK, is_object, read_lock
from pushforward.pipeline.revision import sha256
from pushforward.registry import tags as registry
from pushforward.report.note import Context
from pushforward.settings import ModelContract, Settings

MEND = "edit models in pushforward.yaml, or the stage that writes it"
NONE_YET = "there is no champion"  # so begins what the gate says of a first model


class Table(NamedTuple):
    """A table by the names of whoever judges, its rows in the order of their keys; `sha256` is of its file."""

    labels: pl.DataFrame
    keys: list[str]
    predictions: Floats
    sha256: str


class _Rival(NamedTuple):
    """What is compared with, and why nothing is where a champion is in use: as the beginning of a sentence."""

    table: Table | None = None
    why: str = ""


def read(path: Path, told: schema.Predictions, contract: ModelContract, name: str) -> Table:
    """The table at `path`, called `name`, whose columns `told` names; refused where it is not what was asked for."""
    frame = table.read(path, name)
    written = [f"{told.p}_{one}" for one in contract.classes] or [told.p]
    wanted = dict(
        zip((told.key, told.label, *written), (contract.key, contract.label, *contract.predicted), strict=True)
    )
    if missing := [column for column in wanted if column not in frame.columns]:
        raise PushforwardError(f"{name} has no column {missing[0]}", next=MEND, exit_code=DATA)
    others = [column for column in frame.columns if column not in wanted and column not in wanted.values()]
    frame = frame.select([*wanted, *others]).rename(wanted)
    keys = frame[contract.key].cast(pl.String)
    if lost := keys.null_count():
        raise PushforwardError(
            f"{name}: {told.key} is missing in {lost:,} of {len(keys):,} rows", next=MEND, exit_code=DATA
        )
    if (doubles := keys.is_duplicated()).any():
        what = f"{told.key} {keys.filter(doubles)[0]!r:.60} appears more than once"
        raise PushforwardError(f"{name}: {what}", next=MEND, exit_code=DATA)
    order = keys.arg_sort()
    frame = frame[order].with_columns(_labels(frame[order][contract.label], contract, name))
    named = zip(written, contract.predicted, strict=True)
    predicted = np.column_stack([_numbers(frame[column].alias(one), name) for one, column in named])
    if not np.isfinite(predicted).all():
        where = int(np.argmax(~np.isfinite(predicted).all(axis=1)))
        what = f"what is predicted for {told.key} {keys[order][where]!r:.60} is not a finite number"
        raise PushforwardError(f"{name}: {what}", next=MEND, exit_code=DATA)
    predictions = predicted if contract.classes else predicted[:, 0]
    labels = frame.drop(list(contract.predicted))
    return Table(labels, keys[order].to_list(), np.ascontiguousarray(predictions), sha256(path.read_bytes()))


def _labels(labels: pl.Series, contract: ModelContract, name: str) -> pl.Series:
    """Labels as numbers; of a loss by command as they are."""
    found = table.places(labels, contract.classes, name) if contract.classes or not contract.loss else labels
    if contract.loss is None and not found.dtype.is_numeric():
        raise PushforwardError(
            f"{name}: {labels.name} (predictions.label) is {found.dtype}, not a number",
            next="name the classes in classes, or edit predictions.label, in pushforward.yaml",
            exit_code=DATA,
        )
    return found


def _numbers(column: pl.Series, name: str) -> Floats:
    if not column.dtype.is_numeric():
        raise PushforwardError(f"{name}: {column.name} is {column.dtype}, not a number", next=MEND, exit_code=DATA)
    found: Floats = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return found


def digest(one: Table, contract: ModelContract) -> str:
    """SHA-256 of keys and labels: by it a test set is known, whatever its file looks like."""
    return sha256(json.dumps([one.keys, _told(one.labels[contract.label])]).encode())


def differences(mine: Table, theirs: Table, contract: ModelContract) -> str:
    """What keeps two tables from being of the same test set, with how many rows and one of them; "" where nothing."""
    ours, others = (_by_key(one, contract) for one in (mine, theirs))
    gone, new = [key for key in others if key not in ours], [key for key in ours if key not in others]
    moved = [key for key, label in ours.items() if key in others and label != others[key]]
    told = [(gone, "gone"), (new, "new"), (moved, "with another label")]
    found = [
        f"{len(some):,} {'row' if len(some) == 1 else 'rows'} {what}, such as {contract.key} {some[0]!r:.60}"
        for some, what in told
        if some
    ]
    if moved:
        found[-1] += f": {ours[moved[0]]!r:.40} instead of {others[moved[0]]!r:.40}"
    return "; ".join(found)


def _by_key(one: Table, contract: ModelContract) -> dict[str, float | str]:
    return dict(zip(one.keys, _told(one.labels[contract.label]), strict=True))


def _told(labels: pl.Series) -> list[float | str]:
    """Labels as they are compared: a number is one in whichever type it is written."""
    found: list[float | str] = labels.cast(pl.Float64 if labels.dtype.is_numeric() else pl.String).to_list()
    return found


def evidence(rules: Settings, mine: Table, theirs: Table | None) -> tuple[Evidence, pl.DataFrame]:
    """What the gate decides on, and the labels that it is of: each column the champion's where it has it.

    What belongs together, and the slices, are no challenger's to choose.
    """
    contract, gate = rules.contract, gate_of(rules)
    labels = mine.labels
    if theirs is not None:
        labels = labels.with_columns([one for one in theirs.labels if one.name in labels.columns])
        labels = labels.with_columns([one for one in theirs.labels if one.name not in labels.columns])
    for column in (contract.cluster, contract.floor):
        if column is not None and column not in labels.columns:
            raise PushforwardError(f"{contract.holdout} has no column {column}", next=MEND, exit_code=DATA)
    floor = None if contract.floor is None else _numbers(labels[contract.floor], contract.holdout)
    y = np.zeros(labels.height) if contract.loss else labels[contract.label].cast(pl.Float64).to_numpy()
    found = Evidence(
        y=y,
        champion=None if theirs is None else theirs.predictions,
        challenger=mine.predictions,
        clusters=clusters_of(labels, contract.cluster),
        mode="first" if theirs is None else "superior",
        months=(names.test_set(digest(theirs or mine, contract)),),
        slices=slices_of(gate, contract, labels),
        classes=tuple(contract.classes),
        floor=floor,
        floor_name=contract.floor or "",
    )
    return found, labels


def answer(case: Case, context: Context, golden: Path | None) -> tuple[Verdict, Context, registry.Level]:
    """The verdict on the table that the run has handed over, held against the champion's."""
    contract = case.contract
    mine = _handed_over(case)
    rival = _rival(case, mine)
    found, labels = evidence(case.rules, mine, rival.table)
    case.say(f"{found.months[0]}, as the run has scored it")
    if contract.loss:
        place = case.work / "test-set"
        place.mkdir(exist_ok=True)
        table.write(labels, place / f"{LABELS}{case.read.self_scored.suffix}")
        found = losses.given(case, found, labels, place)
    verdict = look(case, found, Rows(_rows(labels, contract, found)))
    if rival.why:
        verdict = dataclasses.replace(verdict, reason=verdict.reason.replace(NONE_YET, rival.why, 1))
    size = Holdout(found.months, labels.height, len(set(found.clusters.tolist())), mine.sha256)
    if case.trusted and passed.may_be(verdict.verdict) and golden is not None:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(passed.golden_rows(contract.key, mine.labels[contract.key], mine.predictions))
    return dataclasses.replace(verdict, holdout=size), context, "minor"


def _rows(labels: pl.DataFrame, contract: ModelContract, found: Evidence) -> str:
    """SHA-256 of all that the rows say, for the look: whose clusters or slices are others asks another question."""
    slices = {name: values.tolist() for name, values in sorted(found.slices.items())}
    told = [labels[contract.key].cast(pl.String).to_list(), _told(labels[contract.label]), found.clusters.tolist()]
    floor = None if found.floor is None else found.floor.tolist()
    return sha256(json.dumps([told, slices, floor]).encode())


def _handed_over(case: Case) -> Table:
    """The challenger's table; refused where it is not the one that the lock of its run names."""
    asked, told = case.rules.predictions, case.asked.predictions
    assert asked is not None  # noqa: S101, or the judge would be at another level
    name, path = f"models.{case.asked.model.name}.predictions", case.read.self_scored
    if told is None:
        raise PushforwardError(
            f"{schema.FILE} of {case.question.subject[:9]} has no {name}, by which the target branch judges",
            next=f"keep {name} until what replaces it is on the target branch",
        )
    if not path.is_file():
        raise PushforwardError(f"the run handed over no {told.path} ({name})", next=MEND)
    oid = _named(case.read.lock, told.path)
    if not oid:
        raise PushforwardError(f"{LOCK} names no {told.path}: it is no out of its own", next="edit dvc.yaml")
    if not is_object(path.read_bytes(), oid):
        raise PushforwardError(f"the hand-over's {told.path} is not the one that its {LOCK} names")
    return read(path, asked, case.contract, told.path)


def _rival(case: Case, mine: Table) -> _Rival:
    """The champion's table, where it is of the same test set; another one is a person's word, or refused."""
    champion, asked = case.champion, case.rules.predictions
    if champion is None or asked is None:
        return _Rival()
    root = case.checkout("champion", champion.commit)
    before = case.settings_in(root)
    told = before.predictions
    if told is None:
        return _Rival(why=f"not compared with {champion.name}, which has no table of predictions")
    if before.contract.classes != case.contract.classes:
        raise PushforwardError(
            f"{champion.name} tells other classes than the settings: {', '.join(before.contract.classes) or 'none'}",
            next="give the model another name: it begins again, and is compared with nothing",
        )
    theirs = read(_fetched(root, told.path, champion.name), told, case.contract, f"{champion.name}:{told.path}")
    wrong = differences(mine, theirs, case.contract)
    if not wrong:
        return _Rival(theirs)
    if asked.test_set != told.test_set:
        both = len(set(mine.keys) & set(theirs.keys))
        share = f"{both:,} of its {len(mine.keys):,} rows are in both"
        why = f"not compared with {champion.name}: {asked.test_set or 'the unnamed'!r} is another test set ({share})"
        return _Rival(why=why)
    raise PushforwardError(
        f"the test set is not that of {champion.name}: {wrong}",
        next=f"leave it as it is; or begin another one by a person's word: models.{case.contract.name}.predictions."
        f"test_set in {schema.FILE}, on the target branch and by itself",
        exit_code=DATA,
    )


def _fetched(root: Path, path: str, name: str) -> Path:
    """The table of the version `name` in its checkout, by the MD5 that its lock has; from the DVC store, if need be."""
    oid, place = _named(folders.whole_here(root), path), files.place(root, path)
    if not oid:
        raise PushforwardError(f"{LOCK} of {name} names no {path}", next=f"git show {name}", exit_code=DATA)
    try:
        if not _is(place, oid):
            files.remove(root, path)
            pipeline.fetch(root, path, say=lambda _: None)
        why = "" if _is(place, oid) else "its bytes are others"
    except PushforwardError as lost:
        why = lost.message.splitlines()[0]
    if why:
        raise PushforwardError(
            f"the table of {name}, {path} (MD5 {oid[:12]}…), cannot be had from the DVC store: {why}",
            next="dvc push from a machine that has it, then judge once more",
            exit_code=TOOL,  # of the store: no verdict on the challenger
        )
    return place


def _is(place: Path, oid: str) -> bool:
    return place.is_file() and is_object(place.read_bytes(), oid)


def _named(lock: bytes | None, path: str) -> str:
    """The MD5 that a lock has of the out `path`; "" where it names none."""
    outs = (out for entry in read_lock(lock).values() for out in entry.get("outs", []) if out["path"] == path)
    return next((str(out["md5"]) for out in outs if out.get("hash", "md5") == "md5" and "md5" in out), "")
