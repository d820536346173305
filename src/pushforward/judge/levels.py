"""The level at which each look at a holdout is judged, so that all of them together keep one promise; pure.

What a team has learned of a holdout is which of its looks have passed. Each look is the node of a tree: behind it the
history goes on in two ways. `alpha` is shared equally by the looks of the history in which nothing passes; a pass hands
its own level on to the looks behind it, which share that in turn. It can: either the change that passed was an
improvement, then its own level was at no risk, or it was none, then the promise was broken there and nothing that
comes after breaks it again. So the levels of all nodes that a false promotion can come first at add up to `alpha` at
most, whatever is true of which change (docs/gate.md has the proof, and what it takes for granted).

Looks overlap: one may be taken while the answer of another is still out. Its change was chosen without that answer, so
its level counts once; what is handed on must do for each way in which the answers that are out may come.
"""

from dataclasses import dataclass, field, replace

LEAST = 1e-100  # nothing passes at it, and its quantiles are still numbers


@dataclass(frozen=True)
class Share:
    """What the next look of a holdout of `looks` has as its `level`, once so many are `taken`.

    `out` are the looks taken since the newest pass whose answers are not known; `since` is how many had been taken by
    that pass, `refresh` the number of the look at which the month's refresh is judged, 0 before there is one. `halved`
    says how many had been taken each time that the level was halved since the newest pass.
    """

    looks: int
    level: float
    taken: int = 0
    refresh: int = 0
    since: int = 0
    halved: tuple[int, ...] = ()
    out: frozenset[int] = field(default_factory=frozenset)

    @staticmethod
    def first(alpha: float, looks: int) -> "Share":
        """Before the first look: `alpha` is shared by all that there may be."""
        return Share(looks, alpha / looks)

    def take(self) -> "Share":
        """After one look more was taken, at `level`."""
        return replace(self, taken=self.taken + 1, out=self.out | {self.taken + 1})

    def take_refresh(self) -> "Share":
        """After the month's refresh took a look, at a level of its own: whether it passes is told, so all halves."""
        return replace(self._half(), taken=self.taken + 1, refresh=self.taken + 1)

    def again(self, look: int) -> "Share":
        """After a look that could not tell is taken up again, on more data: its own level pays, as it did before.

        Where another has passed since it was taken, and where it is the month's refresh, it hands nothing on, and as
        either answer may come all halves.
        """
        if look <= self.since or look == self.refresh:
            return self._half()
        return replace(self, out=self.out | {look})

    def answer(self, look: int, spent: float, *, passed: bool) -> "Share":
        """After the answer of a look that had the level `spent`; of one that is taken up again, this time.

        The month's refresh hands nothing on, nor does a look that was taken before another had passed: what that has
        handed on is for both of its answers.
        """
        rest = self.out - {look}
        if not passed or look not in self.out:
            return replace(self, out=rest)
        ways = len(rest) + sum(look <= taken for taken in self.halved)
        behind = max(1, self.looks - self.taken)
        return replace(self, level=max(spent / 2**ways / behind, LEAST), since=self.taken, halved=(), out=frozenset())

    def _half(self) -> "Share":
        # A pass of a look that was taken before must do for both ways, too.
        return replace(self, level=self.level / 2, halved=(*self.halved, self.taken))
