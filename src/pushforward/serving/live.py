"""Live: the versions of one model that are asked now, and which of them answers; what `port` asks for.

`follow` puts versions here and takes them away. A request keeps the version that it began with, so a swap drops none:
the old one answers what it was asked and is ended after. Beside the version in use there may be a canary, which answers
its share, and a shadow, which is asked its share and not heard.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from pushforward.serving import tables
from pushforward.serving.candidate import Prepared
from pushforward.serving.channel import Channel
from pushforward.serving.events import Events
from pushforward.serving.journal import Asking, Entry, Journal
from pushforward.serving.line import Predicted
from pushforward.serving.memory import Memory
from pushforward.serving.port import Answer, Arm, Columns, RefusedError, Served, UnavailableError
from pushforward.serving.shares import Pairs, within

if TYPE_CHECKING:
    from pushforward.lifecycle import Serve

MOST_BESIDE = 100  # requests that others than the one who answers are asked at once; more are left out, and counted
LOOK_EVERY = 20  # pairs


@dataclass(frozen=True)
class Running:
    """A version that can be asked: as replies name it, its workers, and what it was made of."""

    served: Served
    channel: Channel
    prepared: Prepared

    @property
    def name(self) -> str:
        """The version's tag."""
        return f"{self.served.model}@{self.served.version}"


async def opened(
    prepared: Prepared, may: "Serve", live: "Live", say: Callable[[str], None], *, features: bool
) -> Running:
    """A version whose worker has loaded it and knows all events; `say` hears what its worker does wrong later."""

    def told(why: str) -> None:
        live.counts["faults"] += 1
        say(f"{prepared.version}: {why}")

    spec = replace(prepared.spec(may, features=features), remember_days=live.events.days)
    channel = Channel(spec, live.events, told, prepared.opens)
    await channel.start()
    return Running(prepared.served, channel, prepared)


@dataclass
class Live:
    """The versions of a model by their arms. `worse` hears why a canary has to go; it is asked no more by then."""

    events: Events
    journal: Journal | None = None
    share: float = 0.1
    slower: float = 3.0
    worse: Callable[[str], None] = lambda _: None
    memory: Memory | None = None
    counts: Counter[str] = field(default_factory=Counter)
    arms: dict[Arm, Running | None] = field(default_factory=dict)
    pairs: Pairs = field(default_factory=lambda: Pairs(3.0))
    _beside: set["asyncio.Task[None]"] = field(default_factory=set)
    _begun: str = field(default_factory=lambda: secrets.token_hex(6))
    _number: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def served(self) -> Served | None:
        """The version that answers; None while there is none."""
        main = self.arms.get("main")
        return main.served if main is not None else None

    def put(self, arm: Arm, running: Running | None) -> None:
        """Let a version answer from now on, or none."""
        if self.arms.get(arm) is running:
            return
        self.arms[arm] = running
        self.counts["swaps"] += 1
        if arm != "shadow":
            self.pairs = Pairs(self.slower)

    async def predict(self, rows: Columns, request: str, *, pinned: bool = False) -> Answer:
        """Predictions of the version whose share the first row's key is in; `request` is what whoever asks calls it.

        `pinned`: no canary answers.
        """
        main = self.arms.get("main")
        if main is None:
            raise UnavailableError("no version is in use")
        key = _key(rows, main.served)
        asking = Asking(request, f"{self._begun}-{next(self._number):x}")
        canary = None if pinned else self._asked("canary", main, key)
        if canary is None:
            answer = await self._ask(main, "main", rows, asking)
        else:
            answer = await self._paired(canary, main, rows, asking)
        shadow = self._asked("shadow", main, key)
        if shadow is not None:
            self._aside(self._quietly(shadow, "shadow", rows, asking))
        return answer

    async def observe(self, events: Columns) -> int:
        """Keep events for every version, now and to come; what the one in use refuses is not kept.

        Many go in several frames. Where it refuses some, `RefusedError` says why, and what it has taken is known: who
        mends them may tell all of them again.
        """
        main = self.arms.get("main")
        if main is None:
            raise UnavailableError("no version is in use")
        first = self.events.end
        end = self.events.add(events)
        for running in self.arms.values():
            if running is not None and running is not main:
                running.channel.wake()
        refused = await main.channel.observed(first, end)
        for number in refused:
            self.events.take_back(number)
        if self.memory is not None:
            types = tables.inputs(main.served.manifest, "events")
            for known in self.events.told(first, end) if refused else (events,):
                self.memory.add(known, types)
        if refused:
            words = refused[min(refused)]
            name, colon, why = words.partition(": ")
            named = bool(colon) and name in events
            raise RefusedError(name if named else "", why if named else words)
        return self.events.rows

    async def close(self) -> None:
        """Wait for what is asked beside, a little."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=1.0)

    def _asked(self, arm: Arm, main: Running, key: str) -> Running | None:
        """The version of an arm, where this key is in its share; the version in use has no arm beside itself."""
        other = self.arms.get(arm)
        if other is None or other.channel is main.channel or not within(key, other.served.digest, self.share):
            return None
        return other

    async def _paired(self, canary: Running, main: Running, rows: Columns, asking: Asking) -> Answer:
        """The canary's answer; the version in use is asked too, and answers where the canary does not."""
        began = time.perf_counter()
        try:
            answer = await self._ask(canary, "canary", rows, asking)
        except (UnavailableError, RefusedError):
            answer = await self._ask(main, "main", rows, asking)
            self._pair(canary, main, None, 0.0)
            return answer
        taken = time.perf_counter() - began
        self._aside(self._compare(canary, main, rows, asking, 1000 * taken))
        return answer

    async def _compare(self, canary: Running, main: Running, rows: Columns, asking: Asking, taken_ms: float) -> None:
        began = time.perf_counter()
        try:
            await self._ask(main, "main", rows, asking)
        except (UnavailableError, RefusedError):
            self._pair(canary, main, taken_ms, None)
        else:
            self._pair(canary, main, taken_ms, 1000 * (time.perf_counter() - began))

    def _pair(self, canary: Running, main: Running, canary_ms: float | None, main_ms: float | None) -> None:
        if self.arms.get("canary") is not canary or self.arms.get("main") is not main:
            return
        self.pairs.slower = self.slower  # as the settings say it now
        self.pairs.add(canary_ms, main_ms)
        if canary_ms is None or self.pairs.asked % LOOK_EVERY == 0:
            why = self.pairs.fault()
            if why:
                self.put("canary", None)
                self.worse(why)

    async def _quietly(self, running: Running, arm: Arm, rows: Columns, asking: Asking) -> None:
        try:
            await self._ask(running, arm, rows, asking)
        except (UnavailableError, RefusedError):
            self.counts[f"{arm}_failed"] += 1

    def _aside(self, asked: Coroutine[Any, Any, None]) -> None:
        if len(self._beside) >= MOST_BESIDE:
            asked.close()
            self.counts["left_out"] += 1
            return
        task = asyncio.create_task(asked)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _ask(self, running: Running, arm: Arm, rows: Columns, asking: Asking) -> Answer:
        began = time.perf_counter()
        height = len(next(iter(rows.values()), ()))
        predicted: Predicted = await running.channel.predict(rows, height)
        if self.journal is not None:
            taken = int(1_000_000 * (time.perf_counter() - began))
            self.journal.add(Entry(datetime.now(UTC), asking, running.served, arm, rows, predicted, taken))
        return Answer(running.served, arm, predicted.columns)


def _key(rows: Mapping[str, Sequence[object]], served: Served) -> str:
    values = rows.get(served.key)
    return str(values[0]) if values else ""
