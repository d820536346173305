"""Looks at a holdout: an append-only chain of commits a holdout, moved by compare and swap, so that no look is lost.

A look is a question that was never asked before: another challenger, champion, holdout or rule. It is reserved before
anything is computed and its verdict is appended after; whoever asks the same again gets the same answer and spends
nothing. Each commit of the chain holds one JSON document in `entry.json`.

The error that is promised for a holdout is shared among its looks: alpha / looks each. That holds while all that a team
learns is that nothing has passed yet (the union bound over one transcript). What is learned beyond that doubles the
transcripts, so the level halves: once, when the month's refresh is judged, whose model stays no secret and leaves the
holdout open; and a pass that waits for its merge hands its own share on to the looks after it. A refresh claims
something else (that newer data does no harm) and nobody chooses it among others, so it has the whole alpha, once.
"""

import hashlib
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pushforward import params
from pushforward.errors import BUG, DATA, NOT_PROMOTED, TOOL, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import HOLDOUTS, ZERO
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.judge import names, seal
from pushforward.pipeline.revision import Revision

ENTRY = "entry.json"
SEALED = "sealed"
NUMBERS = "numbers"
REFRESH = "refresh"
PATIENCE_SECONDS = 120.0
STUCK = 6
LIMIT_ENTRIES = 10_000
LIMIT_ENTRY_BYTES = 16 * 1024

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

    `replayed` says that the same question had been asked before; `sealed` is the SHA-256 of the numbers.
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


@dataclass(frozen=True)
class State:
    """A ledger as read: its tip ("" where nobody has looked yet), its looks in order, and why it retired, if so."""

    holdout: str
    tip: str = ""
    length: int = 0
    budget: float = 0.0
    of: int = 0
    looks: tuple[Look, ...] = ()
    retired: Retirement | None = None
    by: str = ""

    @property
    def left(self) -> int:
        """How many new looks are left; meaningful from the first look on."""
        return 0 if self.retired else self.of - len(self.looks)

    def find(self, key: Key) -> Look | None:
        """The look that asked the same, if there was one."""
        return next((look for look in self.looks if look.key == key), None)

    @property
    def refresh(self) -> Look | None:
        """The look at which the month's refresh was judged; a promotion by it leaves the holdout open."""
        return next((look for look in self.looks if look.mode == REFRESH), None)

    def next_alpha(self, budget: float, of: int, mode: str) -> float:
        """The level of the next new look; `budget` and `of` count only where it is the first."""
        budget, of = (self.budget, self.of) if self.looks else (budget, of)
        if mode == REFRESH and self.refresh is None:
            return budget
        share = budget / of / (1 if self.refresh is None else 2)
        passed = [look for look in self.looks if look.verdict == "promote" and look != self.refresh]
        return min(share, passed[-1].alpha / max(1, of - passed[-1].number)) if passed else share


class _Entry(BaseModel):
    """What every document of a chain says. Its bytes are canonical: one text for one content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    holdout: Text
    sequence: int = Field(ge=0)
    previous: Commit
    at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class _Reserved(_Entry):
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


class _Settled(_Entry):
    entry: Literal["verdict"] = "verdict"
    number: int = Field(ge=1)
    verdict: Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")]
    sealed: Digest


class _Retired(_Entry):
    entry: Literal["retired"] = "retired"
    reason: Retirement
    by: Text


_ANY: TypeAdapter[_Reserved | _Settled | _Retired] = TypeAdapter(
    Annotated[_Reserved | _Settled | _Retired, Field(discriminator="entry")]
)
_Step = tuple[_Reserved | _Settled | _Retired, Mapping[str, bytes]]


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def of(root: Path, model: str = "") -> "Ledger":
    """The ledger of the project checked out in `root`: the one of its authority; of one of several models its own.

    Where that is a repository on this machine, the chain is there, and `update-ref` compares and swaps. Anywhere else
    it is pushed to that remote, with a lease.
    """
    repository = Repository(root)
    there = remotes.authority(repository)
    if there is None:
        return Ledger(repository, key=seal.key(root), model=model)
    if there.folder is not None and there.folder.is_dir():
        return Ledger(Repository(there.folder), key=seal.key(there.folder), model=model)
    return Ledger(repository, remote=there.name, key=seal.key(None), model=model)


@dataclass(frozen=True)
class Ledger:
    """The chains in `repository`, or in its `remote` where one is named.

    `key` seals the numbers of a holdout in use and opens them when it retires; without one only their digest stays.
    """

    repository: Repository
    remote: str = ""
    key: bytes = b""
    model: str = ""

    def ref(self, holdout: str) -> str:
        """Where the chain of a holdout is: of one of several models under its name.

        A model that was alone when its holdout was first looked at goes on with that chain: another model beside it
        buys no new looks.
        """
        alone, own = HOLDOUTS + holdout, f"{HOLDOUTS}{self.model}@{holdout}"
        if not self.model or (self.repository.resolve(own) is None and self._was_alone(alone)):
            return alone
        return own

    def _was_alone(self, ref: str) -> bool:
        tip = self.repository.resolve(ref)
        if tip is None:
            return False
        first = json.loads(self._read(tip)[0][2]).get("commit", "")
        try:
            return set(Revision(self.repository, first).settings.project.models) == {self.model}
        except PushforwardError:
            return True  # whose it was cannot be told: then nobody begins anew

    def state(self, holdout: str) -> State:
        """Read a chain; raises `PushforwardError` where anything about it is not as this module writes it."""
        if not names.NAME.fullmatch(holdout):
            raise ValueError(f"{holdout!r} is not the name of a holdout")
        self._fetch()
        tip = self.repository.resolve(self.ref(holdout))
        return State(holdout) if tip is None else _fold(holdout, self._read(tip))

    def reserve(self, holdout: str, key: Key, *, alpha: float, looks: int, mode: str, commit: str) -> Look:
        """Take a look before anything is computed; the same `key` gets the look that it has, finished or not.

        `alpha` and `looks` are the budget of a holdout that nobody has looked at; one in use keeps what it began
        with. Raises `ClosedError` where no new look is to be had.
        """

        def step(state: State) -> _Step | None:
            if state.find(key):
                return None
            if state.retired or (state.looks and not state.left):
                raise ClosedError(state)
            reserved = _Reserved(
                **_head(state),
                number=len(state.looks) + 1,
                of=state.of or looks,
                budget=state.budget or alpha,
                alpha=state.next_alpha(alpha, looks, mode),
                challenger=key.challenger,
                champion=key.champion,
                data=key.holdout,
                rules=key.rules,
                mode=mode,
                commit=commit,
            )
            return reserved, {}

        state, mine = self._append(holdout, step)
        look = state.find(key)
        if look is None:
            raise PushforwardError(f"the look at {holdout} could not be read back", exit_code=BUG)
        return replace(look, replayed=not mine)

    def settle(self, holdout: str, look: Look, verdict: str, numbers: str, *, reveal: bool = False) -> Look:
        """Append the verdict of a reserved look; `numbers` is the whole of it, sealed unless `reveal`.

        Where the look has a verdict already that one stands, and another one now is an error: the same bytes were
        judged twice by the same rules. The holdout retires with the last verdict of its last look.
        """

        def step(state: State) -> _Step | None:
            there = state.find(look.key)
            if there is None:
                raise PushforwardError(f"look {look.number} at {holdout} was never reserved", exit_code=BUG)
            if there.verdict:
                return None
            settled = _Settled(**_head(state), number=there.number, verdict=verdict, sealed=digest(numbers))
            shown = reveal or state.retired is not None
            return settled, self._box(there.number, numbers, shown=shown)

        state, _ = self._append(holdout, step)
        stored = state.find(look.key)
        if stored is None or stored.verdict != verdict:
            said = stored.verdict if stored else "nothing"
            raise PushforwardError(
                f"look {look.number} at {holdout} gave {said}; now the same models, holdout and rules give {verdict}",
                exit_code=BUG,
            )
        if not state.retired and not state.left and all(one.verdict for one in state.looks):
            self.retire(holdout, "spent")
        return replace(stored, replayed=look.replayed)

    def retire(self, holdout: str, reason: Retirement, by: str = "") -> None:
        """Close a holdout for new looks and publish the numbers of the old ones; once is enough."""

        def step(state: State) -> _Step | None:
            if state.retired or not state.looks:
                return None
            return _Retired(**_head(state), reason=reason, by=by), self._opened(state)

        self._append(holdout, step)

    def promoted(self, holdout: str, number: int, by: str) -> None:
        """Close the holdout on which look `number` has made the version `by`; the month's refresh leaves it open.

        `by` is "" where what passed was a version already and nothing was tagged.
        """
        refresh = self.state(holdout).refresh
        if refresh is None or refresh.number != number:
            self.retire(holdout, "promoted", by)

    def supersede(self, window: Sequence[str], batches: Sequence[str]) -> None:
        """Retire every holdout that ends before that of `window` does, in the order of `batches`: the next has closed.

        Of months the names are the order, so that those count too which are listed no more.
        """
        self._fetch()
        holdout, last = names.ledger(window), window[-1]
        earlier = {names.part(batch) for batch in batches[: batches.index(last)]}
        for ref in self.repository.refs(HOLDOUTS):
            other = ref.name.removeprefix(HOLDOUTS).removeprefix(f"{self.model}@" if self.model else "")
            end = other.rpartition("_")[2]
            if names.NAME.fullmatch(other) and (end in earlier or (params.monthly((end, last)) and end < last)):
                self.retire(other, "superseded", holdout)

    def numbers(self, holdout: str) -> dict[int, str]:
        """The published numbers by look; empty while they are sealed. Each is checked against its digest."""
        state = self.state(holdout)
        found = {}
        for look in state.looks:
            path = f"{NUMBERS}/{look.number}.json"
            content = self.repository.read(state.tip, path) if state.tip else None
            if content is None:
                continue
            if hashlib.sha256(content).hexdigest() != look.sealed:
                raise _tampered(holdout, f"{path} is not what look {look.number} found")
            found[look.number] = content.decode()
        return found

    def _append(self, holdout: str, step: Callable[[State], _Step | None]) -> tuple[State, bool]:
        """Read, decide, append, and once more when somebody else was first; the state after, and whether we wrote."""
        stuck, started, attempt, known = 0, time.monotonic(), 0, None
        while True:
            state = self.state(holdout)
            following = step(state)
            if following is None:
                return state, False
            entry, files = following
            if state.tip == known:
                stuck += 1
            else:
                stuck, known = 0, state.tip
            commit = self._write(state, entry, files)
            failure = self._swap(self.ref(holdout), state.tip, commit)
            if not failure:
                return _after(state, entry, commit), True
            if stuck > STUCK or time.monotonic() - started > PATIENCE_SECONDS:
                raise PushforwardError(
                    f"the ledger {self.ref(holdout)} cannot be moved: {failure}",
                    next=f"git update-ref {self.ref(holdout)} {commit} {state.tip or ZERO}, to see why",
                    exit_code=TOOL,
                )
            attempt += 1
            time.sleep(random.uniform(0.005, 0.02 * 2 ** min(attempt, 5)))  # noqa: S311

    def _write(self, state: State, entry: _Entry, files: Mapping[str, bytes]) -> str:
        content = {ENTRY: entry.model_dump_json().encode(), **files}
        parents = [state.tip] if state.tip else []
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            tree = self.repository.write_tree(state.tip or EMPTY_TREE, content, index=index)
        return self.repository.write_commit(tree, parents, f"{_subject(entry)}\n", date=entry.at)

    def _swap(self, ref: str, old: str, new: str) -> str:
        """Move `ref` from `old` to `new`; why it did not move, or ""."""
        if not self.remote:
            moved = self.repository.update_ref(ref, new, old or ZERO)
            return "" if moved else "it is locked, or another process was first"
        done = self.repository.remote(
            "push", "-q", f"--force-with-lease={ref}:{old}", self.remote, f"{new}:{ref}", check=False
        )
        if done.returncode == 0:
            return ""
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return " ".join(lines[:3])[:300] or "the push failed"

    def _fetch(self) -> None:
        if self.remote:
            every = f"+{HOLDOUTS}*:{HOLDOUTS}*"
            self.repository.remote("fetch", "-q", "--no-tags", "--prune", "--no-write-fetch-head", self.remote, every)

    def _read(self, tip: str) -> list[tuple[str, list[str], bytes]]:
        """(commit, parents, document) from the first to `tip`."""
        lines = self.repository.git("rev-list", "--parents", "--topo-order", "--reverse", tip).text.splitlines()
        if len(lines) > LIMIT_ENTRIES:
            raise _tampered("", f"the chain has more than {LIMIT_ENTRIES} entries")
        chain = [line.split() for line in lines]
        names = [f"{commit}:{ENTRY}" for commit, *_ in chain]
        asked = "".join(f"{name}\n" for name in names).encode()
        sizes = self.repository.git("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=asked).text
        for (commit, *_), line in zip(chain, sizes.splitlines(), strict=True):
            kind, _, size = line.partition(" ")
            if kind != "blob" or int(size) > LIMIT_ENTRY_BYTES:
                raise _tampered("", f"{commit[:9]} has no readable {ENTRY}")
        documents = []
        for (commit, *parents), found in zip(chain, self.repository.objects(names), strict=True):
            if found is None:
                raise _tampered("", f"{commit[:9]} has no readable {ENTRY}")
            documents.append((commit, parents, found[1]))
        return documents

    def _box(self, number: int, numbers: str, *, shown: bool) -> dict[str, bytes]:
        if shown:
            return {f"{NUMBERS}/{number}.json": numbers.encode()}
        if not self.key:
            return {}
        return {f"{SEALED}/{number}": seal.close(self.key, numbers)}

    def _opened(self, state: State) -> dict[str, bytes]:
        """The numbers of every settled look whose box our key opens."""
        found = {}
        for look in state.looks:
            box = self.repository.read(state.tip, f"{SEALED}/{look.number}") if self.key and look.sealed else None
            numbers = seal.open(self.key, box) if box else None
            # Sealed with a key since replaced: the digest stays, the numbers are gone.
            if numbers is not None and digest(numbers) == look.sealed:
                found[f"{NUMBERS}/{look.number}.json"] = numbers.encode()
        return found


def refusal(state: State) -> str:
    """Why a holdout answers no new question, in one sentence."""
    what, word, new = names.called(state.holdout), names.noun(state.holdout), names.opening(state.holdout)
    why = {
        "promoted": f"{state.by} was promoted on it"
        if state.by
        else "a model has passed on it, and was a version already",
        "spent": f"all of its {state.of} looks are used",
        "superseded": f"a later {word} has closed since",
    }
    if state.retired is None:
        return f"all {state.of} looks at the {what} are taken; {new} opens a new one"
    return f"the {what} has retired: {why[state.retired]}; {new} opens a new one"


def _fold(holdout: str, chain: list[tuple[str, list[str], bytes]]) -> State:
    state = State(holdout)
    for commit, parents, text in chain:
        entry = _parse(holdout, commit, text)
        if parents != ([state.tip] if state.tip else []):
            raise _tampered(holdout, f"the parent of {commit[:9]} is not the entry before it")
        if (entry.holdout, entry.sequence, entry.previous) != (holdout, state.length, state.tip):
            raise _tampered(holdout, f"{commit[:9]} does not say that it is entry {state.length} after {state.tip[:9]}")
        state = _after(state, entry, commit)
    return state


def _after(state: State, entry: _Reserved | _Settled | _Retired, commit: str) -> State:
    return replace(_advance(state, entry, commit), tip=commit, length=state.length + 1)


def _parse(holdout: str, commit: str, text: bytes) -> _Reserved | _Settled | _Retired:
    try:
        entry = _ANY.validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        raise _tampered(holdout, f"{ENTRY} of {commit[:9]}: {first['msg'][:200]}") from None
    if entry.model_dump_json().encode() != text:
        raise _tampered(holdout, f"{ENTRY} of {commit[:9]} is not in canonical form")
    return entry


def _advance(state: State, entry: _Reserved | _Settled | _Retired, commit: str) -> State:
    """The state after an entry that this module may have written; any other is refused."""

    def expect(holds: bool, what: str) -> None:
        if not holds:
            raise _tampered(state.holdout, f"{commit[:9]}: {what}")

    if isinstance(entry, _Reserved):
        key = Key(entry.challenger, entry.champion, entry.data, entry.rules)
        budget, of_ = (state.budget, state.of) if state.looks else (entry.budget, entry.of)
        expect(state.retired is None, "a look after the holdout retired")
        expect(entry.number == len(state.looks) + 1, f"look {entry.number} after look {len(state.looks)}")
        expect((entry.budget, entry.of) == (budget, of_), "the budget changed")
        expect(entry.number <= of_, f"look {entry.number} of {of_}")
        expect(
            math.isclose(entry.alpha, state.next_alpha(budget, of_, entry.mode), rel_tol=1e-9),
            "the level of the look is wrong",
        )
        expect(state.find(key) is None, "the same look twice")
        look = Look(entry.number, of_, entry.alpha, key, entry.mode, entry.commit)
        return replace(state, budget=budget, of=of_, looks=(*state.looks, look))
    if isinstance(entry, _Settled):
        expect(entry.number <= len(state.looks), f"a verdict of look {entry.number}, which was never reserved")
        look = state.looks[entry.number - 1]
        expect(not look.verdict, f"a second verdict of look {entry.number}")
        settled = replace(look, verdict=entry.verdict, sealed=entry.sealed)
        return replace(state, looks=(*state.looks[: look.number - 1], settled, *state.looks[look.number :]))
    expect(state.retired is None, "retired twice")
    expect(bool(state.looks), "retired before its first look")
    return replace(state, retired=entry.reason, by=entry.by)


def _head(state: State) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"holdout": state.holdout, "sequence": state.length, "previous": state.tip, "at": now}


def _subject(entry: _Entry) -> str:
    if isinstance(entry, _Reserved):
        return f"Look {entry.number} of {entry.of} at {entry.holdout}"
    if isinstance(entry, _Settled):
        return f"Look {entry.number} at {entry.holdout}: {entry.verdict}"
    return f"Retire {entry.holdout}"


def _tampered(holdout: str, what: str) -> PushforwardError:
    return PushforwardError(
        f"the ledger {HOLDOUTS}{holdout} is not as it was written: {what}",
        next=f"git log -p {HOLDOUTS}{holdout}",
        exit_code=DATA,
    )
