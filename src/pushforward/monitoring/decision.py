"""The decision: what was found of a version in use -> retrain, watch or fine, with its reasons. Pure. `look` asks.

`RULES` is all of it, in order: docs/monitoring.md has the same table. Every rule that holds gives a reason; the word is
that of the gravest one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pushforward import percent
from pushforward.errors import DATA, PushforwardError
from pushforward.lifecycle import Monitor
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.live import Live, Promise
from pushforward.monitoring.outcomes import LEAST, span
from pushforward.text import plural

Word = Literal["fine", "watch", "retrain"]
WORDS: tuple[Word, ...] = ("fine", "watch", "retrain")  # from the mildest on
HAPPY = "nothing speaks against it"
MOST_NAMED, MOST_TOLD = 5, 2
OPEN = timedelta(days=30)


@dataclass(frozen=True)
class Ages:
    """How old things are: the version, the end of its newest batch (None: no months), its last answer (None: none)."""

    version: timedelta
    batch: timedelta | None
    answer: timedelta | None


@dataclass(frozen=True)
class Found:
    """What was found: the limits, the ages, what was promised and lost, what has drifted or is broken, what waits.

    `unread` is why outcomes or drift could not be looked at, "" where they could; `waiting` are batches that the
    default branch has and the version has not seen, the holdout's left out.
    """

    limits: Monitor
    ages: Ages
    promise: Promise | None = None
    live: Live | None = None
    drifted: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    unread: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule: its name, what it leads to, when it holds in words, and the reason it gives, "" where it does not."""

    name: str
    word: Word
    when: str
    reason: Callable[[Found], str]


@dataclass(frozen=True)
class Decision:
    """The word and its reasons, each with the rule that gives it."""

    word: Word
    reasons: tuple[tuple[str, str], ...]

    @property
    def reason(self) -> str:
        """The reason that counts: the first of those that lead to the word."""
        return self.reasons[0][1] if self.reasons else HAPPY


def decide(found: Found) -> Decision:
    """What is to be done about a version in use."""
    told = [(rule, reason) for rule in _gravest_first(RULES) if (reason := rule.reason(found))]
    return Decision(told[0][0].word if told else "fine", tuple((rule.name, reason) for rule, reason in told))


def _gravest_first(rules: Sequence[Rule]) -> list[Rule]:
    """Rules by their word; of equal ones the first counts."""
    return sorted(rules, key=lambda rule: -WORDS.index(rule.word))


def check(word: Word, rules: Sequence[str]) -> None:
    """Refuse a word and rules that `decide` has not said so: each once, in its order, and the word that of the first.

    Another process says by them that it has decided.
    """
    told = [rule for rule in _gravest_first(RULES) if rule.name in rules]
    if list(rules) != [rule.name for rule in told] or word != (told[0].word if told else "fine"):
        raise PushforwardError(f"the word {word} does not follow from {', '.join(rules) or 'no rule'}", exit_code=DATA)


def changed(before: str, now: Word) -> bool:
    """Whether a decision is another one than that before it; "" where there was none, and then what is fine is not."""
    return now != (before or "fine")


def _worse(found: Found) -> str:
    live = found.live
    over = None if live is None else live.worse if live.worse is not None else live.over
    if live is None or live.loss is None or found.promise is None or over is None:
        return ""
    if not over.above(0.0):
        return _lately(live)
    if live.over is not None and not live.over.above(0.0):
        return _beside_constant(found, live.loss)
    told = _against(found, live.loss)
    if live.skill is None or found.promise.skill is None:
        return told
    return f"{told}; of the best constant's loss it takes {percent.share(live.skill)}, {_promised_skill(found)}"


def _lately(live: Live) -> str:
    late = live.late
    if late is None or not late.above(0.0):
        return ""
    many = f"{late.clusters} {plural(live.cluster)}"
    return f"over the last {many} it loses {late.mean:.4f} more than is allowed ({_span(late)})"


def _harder(found: Found) -> str:
    live = found.live
    if live is None or live.loss is None or live.over is None or live.worse is None:
        return ""
    if not live.over.above(0.0) or live.worse.above(0.0):
        return ""
    return f"{_against(found, live.loss)}, and the best constant loses more too: what is asked has become harder"


def _against(found: Found, loss: Interval) -> str:
    assert found.promise is not None  # noqa: S101, or nothing is over it
    promised = f"{found.promise.loss:.4f} on {found.promise.of}"
    allowed = percent.share(found.limits.lose_at_most)
    return f"it loses {loss.mean:.4f} live ({_span(loss)}), promised were {promised}, more than {allowed} above"


def _beside_constant(found: Found, loss: Interval) -> str:
    """The same where the month has become easier: the loss itself may lie below what was promised."""
    live, promise = found.live, found.promise
    assert live is not None  # noqa: S101, or it has lost nothing
    assert promise is not None  # noqa: S101
    if not live.rival or not promise.rival:
        return _against(found, loss)
    told, promised = percent.share(loss.mean / live.rival), percent.share(promise.loss / promise.rival)
    allowed = percent.share(found.limits.lose_at_most)
    return (
        f"it loses {loss.mean:.4f} live ({_span(loss)}), {told} of what the best constant loses, promised were "
        f"{promised}, more than {allowed} above: what is asked has become easier"
    )


def _promised_skill(found: Found) -> str:
    assert found.promise is not None  # noqa: S101
    assert found.promise.skill is not None  # noqa: S101
    return f"promised were {percent.share(found.promise.skill)}"


def _span(found: Interval) -> str:
    return "too early for an interval" if found.low is None else f"{found.low:.4f} to {found.high:.4f}"


def _slices(found: Found) -> str:
    parts = found.live.parts if found.live else ()
    harmed = sorted((part for part in parts if part.over.above(0.0)), key=lambda part: -part.over.mean)
    named = [f"{part.column} {part.value} ({part.loss:.4f})" for part in harmed]
    return f"it loses too much at {_some(named)}" if named else ""


def _bias(found: Found) -> str:
    bias, most = found.live.bias if found.live else None, found.limits.bias_at_most
    if bias is None or not (bias.above(most) or bias.below(-most)):
        return ""
    way = "above" if bias.mean > 0 else "below"
    return f"the mean probability is {abs(bias.mean):.3f} {way} the rate of what came ({_span(bias)})"


def _stale(found: Found) -> str:
    days = found.limits.stale_days
    if days is None or found.ages.version <= timedelta(days=days):
        return ""
    return f"the version is {span(found.ages.version)} old, and stale_days is {days}"


def _silent(found: Found) -> str:
    age = found.ages.answer
    if age is None:
        return "it has answered nothing that the log has"
    if age <= timedelta(days=found.limits.silent_days):
        return ""
    return f"its last answer is {span(age)} old"


def _missing(found: Found) -> str:
    live = found.live
    if live is None or not live.old or live.missing <= found.limits.missing_at_most * live.old:
        return ""
    share = percent.share(live.missing / live.old)
    return f"{share} of the answers that are old enough have no outcome ({live.missing:,} of {live.old:,})"


def _open(found: Found) -> str:
    wait = found.live.wait if found.live else None
    if wait is None or wait.age is not None or wait.followed < OPEN:
        return ""
    return wait.words if wait.share or wait.rows < LEAST else f"{wait.words}: has monitor.outcomes the keys of the log?"


def _drifted(found: Found) -> str:
    return _told(found.drifted)


def _broken(found: Found) -> str:
    return _told(found.broken)


def _told(sentences: tuple[str, ...]) -> str:
    """The first sentences of several, and how many more there are."""
    more = f"; and {len(sentences) - MOST_TOLD} more" if len(sentences) > MOST_TOLD else ""
    return "; ".join(sentences[:MOST_TOLD]) + more


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


RULES = (
    Rule(
        "worse",
        "retrain",
        "the live loss is proven to be more than `lose_at_most` above the promise, which moves with the loss of the "
        "best constant: no harder month explains it, and no easier one hides it; since the version serves, or lately",
        _worse,
    ),
    Rule("stale", "retrain", "the version is older than `stale_days`", _stale),
    Rule("harder", "watch", "the same against the promise as it stands, and a harder month explains it", _harder),
    Rule("slice", "watch", "the same as `worse` in a slice of `gate.slices`", _slices),
    Rule(
        "bias",
        "watch",
        "the mean probability is proven to be more than `bias_at_most` off the rate of what came",
        _bias,
    ),
    Rule("broken", "watch", "inputs have unseen categories, nulls or volumes that the reference never had", _broken),
    Rule("drift", "watch", "inputs or predictions are further from the reference than its own batches", _drifted),
    Rule("missing", "watch", "more than `missing_at_most` of the answers old enough have no outcome", _missing),
    Rule("open", "watch", "after 30 days it cannot be told yet how long outcomes are to be waited for", _open),
    Rule("silent", "watch", "nothing was answered for more than `silent_days`", _silent),
    Rule(
        "unread",
        "watch",
        "outcomes, the rows that were trained on, or the predictions of `validation`, cannot be read",
        lambda found: found.unread,
    ),
)
