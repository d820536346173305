"""The explanation of one row: what it is, what was known then, what both sides make of it, and what came of it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pushforward.explaining import rows, sides
from pushforward.explaining.rows import Found
from pushforward.explaining.sides import Answer, Asked, Place, Side
from pushforward.explaining.told import Step, Value
from pushforward.gate import loss as losses
from pushforward.gate.leakage import KNOWN_AT
from pushforward.judge import table
from pushforward.judge.case import gate_of
from pushforward.pipeline.store import outs
from pushforward.settings import Settings
from pushforward.text import plain

OWN = 20  # events of the very row that are listed at most


@dataclass(frozen=True)
class Event:
    """An event that has the row's own key: when it became known, whether that was in time, and what it says."""

    known_at: str
    known: bool
    says: str


@dataclass(frozen=True)
class Known:
    """What was known when the row was asked, `at`: how many events, and how many came later; those of the row itself.

    `closed` is why what would tell sealed labels is left out, "" where the row is not sealed. Where it is, `later` is
    None: how much came later, and when, would tell too.
    """

    at: str
    known: int = 0
    later: int | None = 0
    newest: str = ""
    next: str = ""
    own: tuple[Event, ...] = ()
    closed: str = ""


@dataclass(frozen=True)
class Part:
    """What a feature adds, in the link of its side; `value` is what it was."""

    name: str
    value: Value
    contribution: float


@dataclass(frozen=True)
class Told:
    """What a side says. `loss` is None where the label is not told, or is none that this loss is taken of.

    `validated` is what the fit that had not seen the validation month said, and `trained` whether this model has. Base
    and parts add up to the link of the prediction in the column `of`, "" where there are none.
    """

    name: str
    commit: str
    version: str
    predicted: Mapping[str, float]
    validated: Mapping[str, float]
    trained: bool | None
    loss: float | None
    steps: tuple[dict[str, Any], ...]
    link: str
    of: str
    base: float | None
    parts: tuple[Part, ...]
    doubts: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """One row, step by step. `sealed` is why label and losses are not told, "" where they may be."""

    model: str
    key: str
    where: str
    batch: str
    row: tuple[tuple[str, Value], ...]
    known: Known | None
    label: Value
    label_name: str
    loss_name: str
    sealed: str
    champion: Told | None
    challenger: Told


def explain(
    root: Path, key: str, *, model: str = "", of: str = "", against: str = "", say: Callable[[str], None]
) -> Explanation:
    """Explain the row `key` by the code of two commits; nothing is written into the clone `root` but DVC's cache.

    `of` and `against` are versions, branches or commits that were run; `sides.sides` says which they are by themselves.
    Raises `PushforwardError` where no table has the key, telling where it was looked for.
    """
    asked = sides.sides(root, model=model, of=of, against=against)
    base = asked.newest or (asked.champion.of if asked.champion else None)
    with sides.scratch() as folder:
        places = [
            Place(side, root, Path(folder) / name, base, say)
            for name, side in (("challenger", asked.challenger), ("champion", asked.champion))
            if side is not None
        ]
        found, first = _found(key, places)
        closed, taken = _sealed(asked, places, found, root, Path(folder), say)
        rules = places[first].rules
        found = rows.opened(found, rules.contract, taken, closed=bool(closed))
        batch = rows.batch(found, rules)
        answers = [place.ask(found, batch) for place in places]
    label = None if closed else _label(found, rules)
    said = [_told(answer, _loss(answer, found, rules) if label is not None else None) for answer in answers]
    return Explanation(
        model=rules.contract.name,
        key=plain(key, 200),
        where=found.where,
        batch=batch,
        row=tuple((name, rows.told_value(found.row[name][0])) for name in found.row.columns),
        known=_known(found, rules, closed),
        label=label,
        label_name=rules.contract.label,
        loss_name=rules.contract.loss or losses.of(rules.gate, len(rules.contract.classes)).title,
        sealed=closed,
        champion=said[1] if len(said) > 1 else None,
        challenger=said[0],
    )


def _found(key: str, places: list[Place]) -> tuple[Found, int]:
    """The row, in the data of the first place that has it."""
    searched = rows.Searched(key)
    for number, place in enumerate(places):
        place.bring(place.rules.contract.holdout)
        found = rows.held(place.data, place.rules, key, searched)
        if found is None:
            place.bring_fed()
            found = rows.earlier(place.data, place.rules, key, searched)
        if found is not None:
            return found, number
    rules, of = places[0].rules, places[0].side.of
    raise searched.refusal(rules.contract.key, of.commit, rules.name if rules.several else "")


def _sealed(
    asked: Asked, places: list[Place], found: Found, root: Path, folder: Path, say: Callable[[str], None]
) -> tuple[str, list[pl.DataFrame]]:
    """Why the row is sealed, "" where it is not, and the rows of each holdout in use.

    Of the holdouts of the sides, and of the default branch's newest run: it may be in use there.
    """
    more = []
    if asked.newest is not None and asked.newest.commit not in {place.side.of.commit for place in places}:
        newest = Side(asked.newest.commit[:9], asked.newest, "", vouched=True)
        more.append(Place(newest, root, folder / "newest", asked.newest, say))
    known, closed, taken = dict[str, pl.DataFrame](), "", dict[str, pl.DataFrame]()
    for place in (*places, *more):
        contract = place.rules.contract
        object_ = outs(place.side.of.repository, place.side.of.commit).get(contract.holdout, place.side.name)
        if object_ not in known:
            place.bring(contract.holdout)
            known[object_] = rows.keys(place.data, place.rules)
        if why := rows.sealed(root, [place.side.of]):
            taken[object_] = known[object_]
            if known[object_]["key"].is_in([str(found.row[contract.key][0])]).any():
                closed = closed or why
    return closed, list(taken.values())


def _label(found: Found, rules: Settings) -> Value:
    name = rules.contract.label
    return rows.told_value(found.labels[name][0]) if name in found.labels.columns and found.labels.height else None


def _loss(answer: Answer, found: Found, rules: Settings) -> float | None:
    """What the side has lost at the row; None where only a command of the project's knows, or it is no number."""
    contract = rules.contract
    if contract.loss is not None:
        return None
    labels = table.places(found.labels[contract.label], contract.classes, found.where)
    p = np.array([list(answer.predicted.values())])
    kind = losses.of(gate_of(rules), len(contract.classes))
    with np.errstate(over="ignore"):  # a prediction may be any number
        lost = float(kind.rows(labels.to_numpy().astype(np.float64), p if contract.classes else p[:, 0])[0])
    return lost if math.isfinite(lost) else None


def _told(answer: Answer, loss: float | None) -> Told:
    side, said = answer.side, answer.told
    parts = said.contributions
    return Told(
        name=side.name,
        commit=side.of.commit,
        version=side.version,
        predicted=dict(answer.predicted),
        validated=dict(answer.validated),
        trained=answer.trained,
        loss=loss,
        steps=tuple(_step(one) for one in said.steps),
        link=parts.link if parts else "",
        of=parts.column(answer.predicted) if parts else "",
        base=parts.base if parts else None,
        parts=tuple(Part(one.name, one.value, one.contribution) for one in parts.parts) if parts else (),
        doubts=answer.doubts,
    )


def _step(step: Step) -> dict[str, Any]:
    return step.model_dump()


def _known(found: Found, rules: Settings, closed: str) -> Known | None:
    """What was known when the row was asked; None where rows have no moment."""
    time, key = rules.contract.time, rules.contract.key
    if time is None:
        return None
    at = found.row[time][0]
    told = found.events
    if told is None or not told.height:
        return Known(str(rows.told_value(at)), later=None if closed else 0, closed=closed)
    early, late = told.filter(pl.col(KNOWN_AT) <= at), told.filter(pl.col(KNOWN_AT) > at)
    own = tuple[Event, ...]()
    if key in told.columns:
        mine = told.filter(pl.col(key).cast(pl.String) == str(found.row[key][0])).sort(KNOWN_AT)
        row = found.row.to_dicts()[0]
        own = tuple(_event(one, row, known=one[KNOWN_AT] <= at) for one in mine.head(OWN).to_dicts())
    return Known(
        at=str(rows.told_value(at)),
        known=early.height,
        later=None if closed else late.height,
        newest=str(rows.told_value(early[KNOWN_AT].max())) if early.height else "",
        next=str(rows.told_value(late[KNOWN_AT].min())) if late.height else "",
        own=own,
        closed=closed,
    )


def _event(one: Mapping[str, Any], row: Mapping[str, Any], *, known: bool) -> Event:
    """An event of the row, without what the row says itself."""
    new = {name: value for name, value in one.items() if value is not None and row.get(name) != value}
    says = ", ".join(f"{name} {rows.told_value(value)}" for name, value in new.items() if name != KNOWN_AT)
    return Event(str(rows.told_value(one[KNOWN_AT])), known, plain(says, 200))


def record(found: Explanation) -> dict[str, Any]:
    """For `--json`."""
    return asdict(found)
