"""The ledger: an append-only chain of commits a holdout, moved by compare and swap, so that no look is lost.

The judge reserves and settles looks here, a promotion is counted at the holdout that it rests on, and the last closes
it. Each commit of a chain holds one JSON document in `entry.json`; `looks` says what it may say.
"""

import hashlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pushforward import params
from pushforward.errors import BUG, TOOL, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import HOLDOUTS, ZERO
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.swap import swap
from pushforward.judge import names, seal
from pushforward.judge.askings import Plan
from pushforward.judge.looks import (
    BEFORE,
    DAYS,
    ENTRY,
    KEYS,
    LOOKED,
    Accepted,
    ClosedError,
    Entry,
    Extended,
    Key,
    Look,
    Opened,
    Promoted,
    Reserved,
    Retired,
    Retirement,
    Settled,
    State,
    Step,
    after,
    digest,
    document,
    fold,
    head,
    subject,
    tampered,
)
from pushforward.pipeline.revision import Revision

SEALED = "sealed"
NUMBERS = "numbers"
PATIENCE_SECONDS = 120.0
STUCK = 6
LIMIT_ENTRIES = 10_000
LIMIT_ENTRY_BYTES = 16 * 1024
KEY_BYTES = 8
RETIRED = b'"entry":"retired"'


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
        return State(holdout) if tip is None else fold(holdout, self._read(tip))

    def reserve(
        self,
        holdout: str,
        key: Key,
        *,
        alpha: float,
        looks: int,
        promotions: int = 1,
        mode: str,
        commit: str,
        keys: bytes | None = None,
        plan: Plan | None = None,
    ) -> Look:
        """Take a look before anything is computed; the same `key` gets the look that it has, finished or not.

        `alpha`, `looks` and `promotions` are the budget of a holdout that nobody has looked at; one in use keeps what
        it began with. `keys` are those of an epoch that is not open. Raises `ClosedError` where no new look is to be
        had.

        With a `plan` the look may wait: an open one whose clusters are all in the plan's, with the same predictions of
        both models and the same labels, is taken up again with those that have come.
        """

        def step(state: State) -> Step | None:
            if state.find(key):
                return None
            if plan and (further := self._further(state, key, plan, commit)):
                return further, {f"{DAYS}/{further.number}": plan.days.listed}
            if state.closed:
                raise ClosedError(state)
            several = state.promotions if state.looks else promotions
            reserved = Reserved(
                **head(state),
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
                keys=None if keys is None else hashlib.sha256(keys).hexdigest(),
                promotions=several if several > 1 else None,
                **(plan.first if plan else {}),
            )
            beside = {} if keys is None else {f"{LOOKED}/{reserved.number}": keys}
            return reserved, beside | ({f"{DAYS}/{reserved.number}": plan.days.listed} if plan else {})

        state, mine = self._append(holdout, step)
        look = state.find(key)
        if look is None:
            raise PushforwardError(f"the look at {holdout} could not be read back", exit_code=BUG)
        return replace(look, replayed=not mine)

    def _further(self, state: State, key: Key, plan: Plan, commit: str) -> Extended | None:
        """The entry by which an open look is taken up again; None where none is of this question on fewer clusters."""
        for look in state.open:
            if look.waits is None or look.key.rules != key.rules:
                continue
            listed = self._list(state, f"{DAYS}/{look.number}", look.waits.last.days)
            if waits := plan.further(look.waits, listed, (key.challenger, key.champion, key.holdout)):
                return Extended(**head(state), number=look.number, commit=commit, **waits.told)
        return None

    def settle(self, holdout: str, look: Look, verdict: str, numbers: str, *, reveal: bool = False) -> Look:
        """Append the verdict of a reserved look; `numbers` is the whole of it, sealed unless `reveal`.

        Where the look has a verdict already that one stands, and another one now is an error: the same bytes were
        judged twice by the same rules. The holdout retires with the last verdict of its last look.
        """

        def step(state: State) -> Step | None:
            there = state.find(look.question)
            if there is None:
                raise PushforwardError(f"look {look.number} at {holdout} was never reserved", exit_code=BUG)
            if there.verdict:
                return None
            settled = Settled(**head(state), number=there.number, verdict=verdict, sealed=digest(numbers))
            shown = reveal or state.retired is not None
            return settled, self._box(there.number, numbers, shown=shown)

        state, _ = self._append(holdout, step)
        stored = state.find(look.question)
        if stored is None or stored.verdict != verdict:
            said = stored.verdict if stored else "nothing"
            raise PushforwardError(
                f"look {look.number} at {holdout} gave {said}; now the same models, holdout and rules give {verdict}",
                exit_code=BUG,
            )
        if not state.retired and not state.left and all(one.verdict and not one.open for one in state.looks):
            self.retire(holdout, "spent")
        return replace(stored, replayed=look.replayed)

    def retire(self, holdout: str, reason: Retirement, by: str = "") -> None:
        """Close a holdout for new looks and publish the numbers of the old ones; once is enough."""

        def step(state: State) -> Step | None:
            if state.retired or not state.looks:
                return None
            return Retired(**head(state), reason=reason, by=by), self._opened(state)

        self._append(holdout, step)

    def promoted(self, holdout: str, number: int, by: str) -> None:
        """Count that look `number` has made the version `by`, once; the last promotion that there may be retires it.

        `by` is "" where what passed was a version already and nothing was tagged. The month's refresh counts as none.
        What passed at the last look is counted all the same: that look had retired the holdout by then.
        """

        def step(state: State) -> Step | None:
            refresh = state.refresh is not None and state.refresh.number == number
            counted = refresh or number in dict(state.promoted) or state.retired == "promoted"
            if counted or not state.looks:
                return None
            if state.retired or len(state.promoted) + 1 < state.promotions:
                return Promoted(**head(state), number=number, by=by), {}
            return Retired(**head(state), reason="promoted", by=by), self._opened(state)

        self._append(holdout, step)

    def accepted(self, holdout: str, number: int, *, by: str, review: str) -> None:
        """Note that a person's word has taken what look `number` left open; once is enough."""

        def step(state: State) -> Step | None:
            if review in state.accepted:
                return None
            return Accepted(**head(state), number=number, by=by, review=review), {}

        self._append(holdout, step)

    def open(self, holdout: str, keys: bytes, before: bytes, *, labels: str, since: str, commit: str) -> State:
        """Open an epoch with these keys, once; the state after, which tells another opening where one was first."""

        def step(state: State) -> Step | None:
            if state.opened is not None:
                return None
            opened = Opened(
                **head(state),
                keys=len(keys) // KEY_BYTES,
                listed=hashlib.sha256(keys).hexdigest(),
                before=hashlib.sha256(before).hexdigest(),
                labels=labels,
                since=since,
                commit=commit,
            )
            return opened, {KEYS: keys, BEFORE: before}

        return self._append(holdout, step)[0]

    def epoch(self) -> State | None:
        """The newest epoch that was opened; None where none was."""
        self._fetch()
        listed = map(names.number, self._known())
        states = (self.state(names.epoch(number)) for number in sorted(filter(None, listed), reverse=True))
        return next((state for state in states if state.opened is not None), None)

    def keys(self, state: State) -> bytes:
        """The keys of an epoch that was opened."""
        assert state.opened is not None  # noqa: S101, who asks knows
        return self._list(state, KEYS, state.opened.listed)

    def seen(self, state: State) -> bytes:
        """All keys that this epoch and those before it have had, or were looked at before it was opened."""
        assert state.opened is not None  # noqa: S101, likewise
        looked = (self._list(state, f"{LOOKED}/{number}", listed) for number, listed in state.looked)
        return b"".join((self._list(state, BEFORE, state.opened.before), self.keys(state), *looked))

    def _list(self, state: State, path: str, listed: str) -> bytes:
        content = self.repository.read(state.tip, path)
        if content is None or hashlib.sha256(content).hexdigest() != listed:
            raise tampered(state.holdout, f"{path} is not the list that its entry names")
        return content

    def supersede_epochs(self, number: int) -> None:
        """Retire every epoch before that one: it has opened."""
        before = [name for name in self._known() if 0 < names.number(name) < number]
        for name in self._going_on(before):
            self.retire(name, "superseded", names.epoch(number))

    def began(self, window: Sequence[str]) -> str:
        """The last batch that a window had when it was first looked at; of one that nobody has looked at its last."""
        self._fetch()
        known = set(self._known())
        return next((end for place, end in enumerate(window, 1) if names.ledger(window[:place]) in known), window[-1])

    def supersede(self, window: Sequence[str], batches: Sequence[str], *, grown: bool = False) -> None:
        """Retire every holdout that ends before that of `window` does, in the order of `batches`: the next has closed.

        Of months the names are the order, so that those count too which are listed no more. Where the window
        has `grown` since its ledger began, that one stays.
        """
        self._fetch()
        holdout, last = names.ledger(window), window[-1]
        own = names.ledger(window[: window.index(self.began(window)) + 1]) if grown else holdout
        earlier = {names.part(batch) for batch in batches[: batches.index(last)]}
        others = {other: other.rpartition("_")[2] for other in self._known() if names.NAME.fullmatch(other)}
        before = [
            other
            for other, end in others.items()
            if other != own and (end in earlier or (params.monthly((end, last)) and end < last))
        ]
        for other in self._going_on(before):
            self.retire(other, "superseded", holdout)

    def _going_on(self, holdouts: Sequence[str]) -> list[str]:
        """Those whose chain does not end with their retirement, by one process: nothing else of the others is read."""
        known = self.repository.names(HOLDOUTS)
        refs = [own if (own := f"{HOLDOUTS}{self.model}@{name}") in known else HOLDOUTS + name for name in holdouts]
        found = self.repository.objects([f"{ref}:{ENTRY}" for ref in refs])
        ended = [content is not None and RETIRED in content[1] for content in found]
        return [name for name, over in zip(holdouts, ended, strict=True) if not over]

    def _known(self) -> list[str]:
        """The holdouts that have a chain here: those of this model, and those of one that was alone."""
        found = (name.removeprefix(HOLDOUTS) for name in self.repository.names(HOLDOUTS))
        own = f"{self.model}@" if self.model else ""
        return list(dict.fromkeys(name.removeprefix(own) for name in found))

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
                raise tampered(holdout, f"{path} is not what look {look.number} found")
            found[look.number] = content.decode()
        return found

    def _append(self, holdout: str, step: Callable[[State], Step | None]) -> tuple[State, bool]:
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
                return after(state, entry, commit), True
            if stuck > STUCK or time.monotonic() - started > PATIENCE_SECONDS:
                raise PushforwardError(
                    f"the ledger {self.ref(holdout)} cannot be moved: {failure}",
                    next=f"git update-ref {self.ref(holdout)} {commit} {state.tip or ZERO}, to see why",
                    exit_code=TOOL,
                )
            attempt += 1
            time.sleep(random.uniform(0.005, 0.02 * 2 ** min(attempt, 5)))  # noqa: S311

    def _write(self, state: State, entry: Entry, files: Mapping[str, bytes]) -> str:
        content = {ENTRY: document(entry), **files}
        parents = [state.tip] if state.tip else []
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            tree = self.repository.write_tree(state.tip or EMPTY_TREE, content, index=index)
        return self.repository.write_commit(tree, parents, f"{subject(entry)}\n", date=entry.at)

    def _swap(self, ref: str, old: str, new: str) -> str:
        """Move `ref` from `old` to `new`; why it did not move, or ""."""
        if not self.remote:
            moved = self.repository.update_ref(ref, new, old or ZERO)
            return "" if moved else "it is locked, or another process was first"
        return swap(self.repository, self.remote, ref, old, new)

    def _fetch(self) -> None:
        if self.remote:
            every = f"+{HOLDOUTS}*:{HOLDOUTS}*"
            self.repository.remote("fetch", "-q", "--no-tags", "--prune", "--no-write-fetch-head", self.remote, every)

    def _read(self, tip: str) -> list[tuple[str, list[str], bytes]]:
        """(commit, parents, document) from the first to `tip`."""
        lines = self.repository.git("rev-list", "--parents", "--topo-order", "--reverse", tip).text.splitlines()
        if len(lines) > LIMIT_ENTRIES:
            raise tampered("", f"the chain has more than {LIMIT_ENTRIES} entries")
        chain = [line.split() for line in lines]
        names = [f"{commit}:{ENTRY}" for commit, *_ in chain]
        asked = "".join(f"{name}\n" for name in names).encode()
        sizes = self.repository.git("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=asked).text
        for (commit, *_), line in zip(chain, sizes.splitlines(), strict=True):
            kind, _, size = line.partition(" ")
            if kind != "blob" or int(size) > LIMIT_ENTRY_BYTES:
                raise tampered("", f"{commit[:9]} has no readable {ENTRY}")
        documents = []
        for (commit, *parents), found in zip(chain, self.repository.objects(names), strict=True):
            if found is None:
                raise tampered("", f"{commit[:9]} has no readable {ENTRY}")
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
