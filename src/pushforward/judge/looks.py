"""Looks at a holdout: what the entries of its chain say and what state they come to; pure. `ledger` keeps the chains.

A look is a question that was never asked before: another challenger, champion, holdout or rule. It is reserved before
anything is computed and its verdict is appended after; whoever asks the same again gets the same answer and spends
nothing.

The error that is promised for a holdout is shared among its looks, by `levels`: whatever passes hands its own level on
to the looks after it, so a holdout may see several promotions; how many is said by its first look. A refresh claims
something else (that newer data does no harm) and nobody chooses it among others, so it has the whole alpha, once, and
is none of those promotions.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pushforward.errors import DATA, NOT_PROMOTED, PushforwardError
from pushforward.git.refs import HOLDOUTS
from pushforward.judge import levels, names
from pushforward.judge.askings import Asking, Waits
from pushforward.registry.grammar import ACCEPTABLE

ENTRY = "entry.json"
KEYS, BEFORE, LOOKED = "keys", "before", "looked"  # of an epoch, in the tree of its chain: eight bytes a key
DAYS = "days"  # of looks that may wait, in the tree of their chain: sixteen bytes a cluster
REFRESH, PASS = "refresh", "promote"

Retirement = Literal["promoted", "spent", "superseded"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
Text = Annotated[str, Field(max_length=500)]


class ClosedError(PushforwardError):
    """A holdout that answers no new question: retired, or all of its looks are taken."""

    def __init__(self, state: "State") -> None:
        super().__init__(refusal(state), next=names.step(state.holdout), exit_code=NOT_PROMOTED)


@dataclass(frozen=True)
class Key:
    """What makes a look new, as SHA-256: challenger and champion model, the holdout's files, the rules in force."""

    challenger: str
    champion: str
    holdout: str
    rules: str


@dataclass(frozen=True)
class Look:
    """One use of a holdout: the `number`-th `of` so many, judged at `alpha`. `verdict` is "" until it is known.

    `replayed` says that the same question had been asked before; `sealed` is the SHA-256 of the numbers. What it was
    asked on, where more clusters may settle it, is in `waits`.
    """

    number: int
    of: int
    alpha: float
    key: Key
    mode: str
    commit: str
    verdict: str = ""
    sealed: str = ""
    replayed: bool = False
    waits: Waits | None = None

    @property
    def question(self) -> Key:
        """What it was asked last."""
        return Key(*self.waits.last.asked, self.key.rules) if self.waits else self.key

    @property
    def asked(self) -> float:
        """The level that its test is held to now: of one that waits what this asking may spend."""
        return self.waits.last.level if self.waits else self.alpha

    @property
    def spends(self) -> float:
        """What this asking has added to what is spent of `alpha`; a pass hands it on (`levels`)."""
        return self.waits.step if self.waits else self.alpha

    @property
    def open(self) -> bool:
        """Whether more clusters may settle it."""
        return self.waits is not None and self.verdict == "unknown" and not self.waits.over

    def at(self, key: Key) -> "Look | None":
        """The look as it stood when this question was put; None where it never was."""
        if self.waits is None or key.rules != self.key.rules:
            return self if key == self.key else None
        then = self.waits.until((key.challenger, key.champion, key.holdout))
        if then is None:
            return None
        if then == self.waits:
            return self
        return replace(self, verdict="unknown", waits=then)  # or it would not have been asked again


@dataclass(frozen=True)
class Opening:
    """An epoch as it was opened: how many `keys` it has, and the SHA-256 of their list, of the list of all that earlier
    epochs have had (`before`), and of the `labels`. `since` is the version that was in use.
    """

    keys: int
    listed: str
    before: str
    labels: str
    since: str
    commit: str


@dataclass(frozen=True)
class State:
    """A ledger as read: its tip ("" where nobody has looked yet), its looks in order, and why it retired, if so.

    `share` says at which level the next look is. `promoted` are the versions that its looks have made, by the number of
    the look, but for the last of `promotions`, which retires it. Of an epoch how it was `opened`, and of looks before
    that, at keys that a pull request brought, which keys: by the number of the look the SHA-256 of their list.
    `accepted` are the tag objects of the words that took what a look left open.
    """

    holdout: str
    tip: str = ""
    length: int = 0
    budget: float = 0.0
    of: int = 0
    promotions: int = 1
    looks: tuple[Look, ...] = ()
    share: levels.Share | None = None
    promoted: tuple[tuple[int, str], ...] = ()
    retired: Retirement | None = None
    by: str = ""
    opened: Opening | None = None
    looked: tuple[tuple[int, str], ...] = ()
    accepted: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """How many new looks are left; meaningful from the first look on."""
        return 0 if self.retired else self.of - len(self.looks)

    @property
    def closed(self) -> bool:
        """Whether it answers no new question: it has retired, or all of its looks are taken."""
        return self.retired is not None or bool(self.looks and not self.left)

    def find(self, key: Key) -> Look | None:
        """The look that asked the same, if there was one."""
        return next((found for look in self.looks if (found := look.at(key))), None)

    @property
    def open(self) -> tuple[Look, ...]:
        """The looks that more clusters may settle."""
        return () if self.retired else tuple(look for look in self.looks if look.open)

    @property
    def refresh(self) -> Look | None:
        """The look at which the month's refresh was judged; a promotion by it leaves the holdout open."""
        return next((look for look in self.looks if look.mode == REFRESH), None)

    def next_alpha(self, budget: float, of: int, mode: str) -> float:
        """The level of the next new look; `budget` and `of` count only where it is the first."""
        if mode == REFRESH and self.refresh is None:
            return self.budget if self.looks else budget
        return (self.share or levels.Share.first(budget, of)).level


class Entry(BaseModel):
    """What every document of a chain says. Its bytes are canonical: one text for one content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    version: Literal[1] = 1
    holdout: Text
    sequence: int = Field(ge=0)
    previous: Commit
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Reserved(Entry):
    """That a look was taken: of what, and at which level; `promotions` of the holdout where there may be several."""

    entry: Literal["look"] = "look"
    number: int = Field(ge=1)
    of: int = Field(ge=1, le=1000)
    budget: float = Field(gt=0, lt=1)
    alpha: float = Field(gt=0, lt=1)
    challenger: Digest
    champion: Digest
    data: Digest
    rules: Digest
    mode: Text
    commit: Commit
    keys: Digest | None = None
    promotions: int | None = Field(default=None, ge=2, le=1000)
    planned: int | None = Field(default=None, ge=1)
    clusters: int | None = Field(default=None, ge=1)
    days: Digest | None = None
    labels: Digest | None = None


class Extended(Entry):
    """That a look which could not tell was taken up again on more clusters: at which level, and what it has spent."""

    entry: Literal["extended"] = "extended"
    number: int = Field(ge=1)
    asking: int = Field(ge=2)
    clusters: int = Field(ge=1)
    level: float = Field(ge=0, lt=1)
    spent: float = Field(gt=0, lt=1)
    challenger: Digest
    champion: Digest
    data: Digest
    days: Digest
    labels: Digest
    commit: Commit


class Settled(Entry):
    """The verdict of a look that was taken."""

    entry: Literal["verdict"] = "verdict"
    number: int = Field(ge=1)
    verdict: Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")]
    sealed: Digest


class Promoted(Entry):
    """That a look has made the version `by`, and the holdout goes on; "" where what passed was a version already."""

    entry: Literal["promoted"] = "promoted"
    number: int = Field(ge=1)
    by: Text


class Retired(Entry):
    """That a holdout answers no new question."""

    entry: Literal["retired"] = "retired"
    reason: Retirement
    by: Text


class Accepted(Entry):
    """That a person took what a look had not shown to be better; it alters no level, and opens and closes nothing."""

    entry: Literal["accepted"] = "accepted"
    number: int = Field(ge=1)
    by: Text
    review: Commit


class Opened(Entry):
    """That an epoch was opened, and with which keys."""

    entry: Literal["opened"] = "opened"
    keys: int = Field(ge=1)
    listed: Digest
    before: Digest
    labels: Digest
    since: Text
    commit: Commit


Written = Reserved | Extended | Settled | Promoted | Retired | Opened | Accepted
_ANY: TypeAdapter[Written] = TypeAdapter(
    Annotated[Written, Field(discriminator="entry")], config=ConfigDict(defer_build=True)
)
Step = tuple[Written, Mapping[str, bytes]]


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def refusal(state: State) -> str:
    """Why a holdout answers no new question, in one sentence."""
    what, word, new = names.called(state.holdout), names.noun(state.holdout), names.opening(state.holdout)
    last = f", the last of {state.promotions} promotions" if state.promotions > 1 else ""
    why = {
        "promoted": f"{state.by} was promoted on it{last}"
        if state.by
        else f"a model has passed on it, and was a version already{last}",
        "spent": f"all of its {state.of} looks are used",
        "superseded": f"a later {word} has closed since",
    }
    if number := names.number(state.holdout):
        why["superseded"] = "a later one has opened since"
        ended = f"all {state.of} looks at it are taken" if state.retired is None else why[state.retired]
        return f"epoch {number} of the holdout has retired: {ended}; the next opens when enough unseen keys have come"
    if state.retired is None:
        return f"all {state.of} looks at the {what} are taken; {new} opens a new one"
    return f"the {what} has retired: {why[state.retired]}; {new} opens a new one"


def fold(holdout: str, chain: list[tuple[str, list[str], bytes]]) -> State:
    """The state that a chain comes to; refused where anything about it is not as it must be."""
    state = State(holdout)
    for commit, parents, text in chain:
        entry = _parse(holdout, commit, text)
        if parents != ([state.tip] if state.tip else []):
            raise tampered(holdout, f"the parent of {commit[:9]} is not the entry before it")
        if (entry.holdout, entry.sequence, entry.previous) != (holdout, state.length, state.tip):
            raise tampered(holdout, f"{commit[:9]} does not say that it is entry {state.length} after {state.tip[:9]}")
        state = after(state, entry, commit)
    return state


def after(state: State, entry: Written, commit: str) -> State:
    """The state after one entry more."""
    return replace(_advance(state, entry, commit), tip=commit, length=state.length + 1)


def _parse(holdout: str, commit: str, text: bytes) -> Written:
    try:
        entry = _ANY.validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise tampered(holdout, f"{ENTRY} of {commit[:9]}: {first['msg'][:200]}") from None
    if document(entry) != text:
        raise tampered(holdout, f"{ENTRY} of {commit[:9]} is not in canonical form")
    return entry


def _advance(state: State, entry: Written, commit: str) -> State:
    """The state after an entry that this module may have written; any other is refused."""

    def expect(holds: bool, what: str) -> None:
        if not holds:
            raise tampered(state.holdout, f"{commit[:9]}: {what}")

    if isinstance(entry, Reserved):
        return _reserved(state, entry, expect)
    if isinstance(entry, Opened):
        expect(state.opened is None, "opened twice")
        told = entry.model_dump(include={"keys", "listed", "before", "labels", "since", "commit"})
        return replace(state, opened=Opening(**told))
    if isinstance(entry, Extended):
        expect(state.retired is None, "a look taken up again after the holdout retired")
        expect(entry.number <= len(state.looks), f"look {entry.number} taken up again, which was never reserved")
        assert state.share is not None  # noqa: S101, there are looks
        again = _with(state, _asked_again(state.looks[entry.number - 1], entry, expect))
        return replace(again, share=state.share.again(entry.number))
    if isinstance(entry, Settled):
        return _settled(state, entry, expect)
    if isinstance(entry, Promoted):
        expect(state.retired != "promoted", "a promotion after the last one")
        expect(entry.number <= len(state.looks), f"a promotion by look {entry.number}, which was never reserved")
        expect(state.looks[entry.number - 1].verdict == PASS, f"a promotion by look {entry.number}, which did not pass")
        expect(entry.number not in dict(state.promoted), f"a second promotion by look {entry.number}")
        most = state.promotions if state.retired else state.promotions - 1
        expect(len(state.promoted) < most, f"promotion {len(state.promoted) + 1} left the holdout open")
        return replace(state, promoted=(*state.promoted, (entry.number, entry.by)))
    if isinstance(entry, Accepted):
        open_ = [look.number for look in state.looks if look.verdict in ACCEPTABLE]
        expect(entry.number in open_, f"look {entry.number} was accepted, and cannot be")
        expect(entry.review not in state.accepted, "accepted twice by one word")
        return replace(state, accepted=(*state.accepted, entry.review))
    expect(state.retired is None, "retired twice")
    expect(bool(state.looks), "retired before its first look")
    return replace(state, retired=entry.reason, by=entry.by)


def _with(state: State, look: Look) -> State:
    return replace(state, looks=(*state.looks[: look.number - 1], look, *state.looks[look.number :]))


def _first_asking(entry: Reserved) -> Waits | None:
    if not (entry.planned and entry.clusters and entry.days and entry.labels):
        return None
    waits, asked = Waits(entry.alpha, entry.planned), (entry.challenger, entry.champion, entry.data)
    return waits.ask(Asking(entry.clusters, waits.next_level(entry.clusters), asked, entry.days, entry.labels))


def _asked_again(look: Look, entry: Extended, expect: Callable[[bool, str], None]) -> Look:
    """A look with one asking more; refused of one that is over, without another cluster, beyond its level."""
    expect(look.open, f"look {look.number} is not open")
    assert look.waits is not None  # noqa: S101, or it would not be open
    before, asked = look.waits, (entry.challenger, entry.champion, entry.data)
    expect(entry.asking == len(before.askings) + 1, f"asking {entry.asking} after asking {len(before.askings)}")
    expect(entry.clusters > before.last.clusters, "a look taken up again without another cluster")
    level = before.next_level(entry.clusters)
    expect(math.isclose(entry.level, level, rel_tol=1e-6, abs_tol=1e-12), "the level of the asking is wrong")
    waits = before.ask(Asking(entry.clusters, level, asked, entry.days, entry.labels))
    expect(math.isclose(entry.spent, waits.spent, rel_tol=1e-9), "what is said to be spent is wrong")
    return replace(look, verdict="", sealed="", waits=waits)


def _reserved(state: State, entry: Reserved, expect: Callable[[bool, str], None]) -> State:
    key, promotions = Key(entry.challenger, entry.champion, entry.data, entry.rules), entry.promotions or 1
    began = (state.budget, state.of, state.promotions) if state.looks else (entry.budget, entry.of, promotions)
    budget, of_, _ = began
    expect(state.retired is None, "a look after the holdout retired")
    expect(entry.number == len(state.looks) + 1, f"look {entry.number} after look {len(state.looks)}")
    expect((entry.budget, entry.of, promotions) == began, "the budget changed")
    expect(entry.number <= of_, f"look {entry.number} of {of_}")
    level = state.next_alpha(budget, of_, entry.mode)
    expect(math.isclose(entry.alpha, level, rel_tol=1e-9), "the level of the look is wrong")
    expect(state.find(key) is None, "the same look twice")
    look = Look(entry.number, of_, entry.alpha, key, entry.mode, entry.commit, waits=_first_asking(entry))
    share = state.share or levels.Share.first(budget, of_)
    of_month = entry.mode == REFRESH and state.refresh is None
    return replace(
        state,
        budget=budget,
        of=of_,
        promotions=promotions,
        looks=(*state.looks, look),
        share=share.take_refresh() if of_month else share.take(),
        looked=state.looked if entry.keys is None else (*state.looked, (entry.number, entry.keys)),
    )


def _settled(state: State, entry: Settled, expect: Callable[[bool, str], None]) -> State:
    expect(entry.number <= len(state.looks), f"a verdict of look {entry.number}, which was never reserved")
    look = state.looks[entry.number - 1]
    expect(not look.verdict, f"a second verdict of look {entry.number}")
    settled = replace(look, verdict=entry.verdict, sealed=entry.sealed)
    assert state.share is not None  # noqa: S101, there are looks
    return replace(
        state,
        looks=_with(state, settled).looks,
        share=state.share.answer(look.number, look.spends, passed=entry.verdict == PASS),
    )


def document(entry: Entry) -> bytes:
    """The one text of an entry."""
    return entry.model_dump_json(exclude_none=True).encode()


def head(state: State) -> dict[str, Any]:
    """What every entry says that comes after this state."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"holdout": state.holdout, "sequence": state.length, "previous": state.tip, "at": now}


def subject(entry: Entry) -> str:
    """An entry as the first line of its commit."""
    if isinstance(entry, Reserved):
        return f"Look {entry.number} of {entry.of} at {entry.holdout}"
    if isinstance(entry, Extended):
        return f"Look {entry.number} at {entry.holdout}, asked again on {entry.clusters} clusters"
    if isinstance(entry, Settled):
        return f"Look {entry.number} at {entry.holdout}: {entry.verdict}"
    if isinstance(entry, Promoted):
        return f"Promotion by look {entry.number} at {entry.holdout}"
    if isinstance(entry, Opened):
        return f"Open {entry.holdout} with {entry.keys} keys"
    if isinstance(entry, Accepted):
        return f"Look {entry.number} at {entry.holdout}: accepted by {entry.by}"
    return f"Retire {entry.holdout}"


def tampered(holdout: str, what: str) -> PushforwardError:
    """The refusal of a chain that was changed by anything else."""
    return PushforwardError(
        f"the ledger {HOLDOUTS}{holdout} is not as it was written: {what}",
        next=f"git log -p {HOLDOUTS}{holdout}",
        exit_code=DATA,
    )
