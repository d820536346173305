"""A look that may wait: what it was asked on so far, and what more clusters may spend; pure.

`looks` keeps one with each look that was reserved with a plan, and the ledger's chain tells each asking.
"""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pushforward.gate import sequential

DIGEST = 16  # bytes that a cluster is known again by


@dataclass(frozen=True)
class Asking:
    """One asking: on how many clusters, held to which level; `asked` are challenger, champion and holdout, as SHA-256.

    `days` is the SHA-256 of the list by which the clusters are known again, `labels` that of what became of them.
    """

    clusters: int
    level: float
    asked: tuple[str, str, str]
    days: str
    labels: str


@dataclass(frozen=True)
class Waits:
    """The `askings` of a look that has `alpha` in all, and has spent it once there are `planned` clusters."""

    alpha: float
    planned: int
    askings: tuple[Asking, ...] = ()

    @property
    def last(self) -> Asking:
        """The newest asking."""
        return self.askings[-1]

    @property
    def over(self) -> bool:
        """Whether all of the level is spent."""
        return self.last.clusters >= self.planned

    @property
    def spent(self) -> float:
        """How much of `alpha` is spent by now."""
        return self.alpha * sequential.spent(self.last.clusters / self.planned)

    @property
    def step(self) -> float:
        """How much of `alpha` the newest asking has added to what is spent."""
        before = self.askings[-2].clusters if len(self.askings) > 1 else 0
        return self.spent - self.alpha * sequential.spent(before / self.planned)

    @property
    def told(self) -> dict[str, Any]:
        """What the entry of the newest asking says."""
        last = self.last
        names = dict(zip(("challenger", "champion", "data"), last.asked, strict=True))
        numbers = {"asking": len(self.askings), "clusters": last.clusters, "level": last.level, "spent": self.spent}
        return {**numbers, **names, "days": last.days, "labels": last.labels}

    def next_level(self, clusters: int) -> float:
        """What the test of another asking is held to, on so many clusters in all."""
        return _level(self.alpha, self.planned, (*(one.clusters for one in self.askings), clusters))

    def ask(self, asking: Asking) -> "Waits":
        """With one asking more."""
        return replace(self, askings=(*self.askings, asking))

    def until(self, asked: tuple[str, str, str]) -> "Waits | None":
        """As it stood when this was asked; None where it never was."""
        place = next((place for place, one in enumerate(self.askings) if one.asked == asked), None)
        return None if place is None else replace(self, askings=self.askings[: place + 1])


@functools.cache
def _level(alpha: float, planned: int, clusters: tuple[int, ...]) -> float:
    shares = [min(1.0, count / planned) for count in clusters]
    before = [_level(alpha, planned, clusters[:place]) for place in range(1, len(clusters))]
    return sequential.nominal(alpha, shares, before)


@dataclass(frozen=True)
class Days:
    """The clusters of a holdout as a look knows them again: a digest of each, and one of the labels of any of them.

    A cluster's digest is of its name, its keys, and what the champion and the challenger predict of them, so that
    another challenger, another champion and a day that has changed are other clusters. It tells nothing of a label.
    `labels` has a line for each row, by the cluster's digest: who knows the labels of a look can only compare them.
    """

    digests: frozenset[bytes]
    labels: tuple[tuple[bytes, str], ...]

    @property
    def listed(self) -> bytes:
        """The digests as a file."""
        return b"".join(sorted(self.digests))

    def labelled(self, some: Iterable[bytes]) -> str:
        """SHA-256 of the labels of some of the clusters."""
        kept = frozenset(some)
        lines = sorted(line for digest, line in self.labels if digest in kept)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def go_on(self, listed: bytes, labels: str) -> bool:
        """Whether these are the clusters of an earlier asking, with the same labels, and more."""
        before = frozenset(listed[place : place + DIGEST] for place in range(0, len(listed), DIGEST))
        return before < self.digests and self.labelled(before) == labels


@dataclass(frozen=True)
class Plan:
    """How a look may wait: the clusters that it is asked on, and how many there are when all of its level is spent."""

    days: Days
    planned: int

    @property
    def first(self) -> dict[str, Any]:
        """What the entry of a new look says."""
        return {"planned": self.planned, "clusters": len(self.days.digests), **self._told}

    def further(self, waits: Waits, listed: bytes, asked: tuple[str, str, str]) -> Waits | None:
        """A look taken up again on the clusters of this plan; None where it was asked something else than this.

        `listed` are the clusters that it was asked on.
        """
        count = len(self.days.digests)
        if not self.days.go_on(listed, waits.last.labels):
            return None
        return waits.ask(Asking(count, waits.next_level(count), asked, **self._told))

    @property
    def _told(self) -> dict[str, str]:
        days = hashlib.sha256(self.days.listed).hexdigest()
        return {"days": days, "labels": self.days.labelled(self.days.digests)}
