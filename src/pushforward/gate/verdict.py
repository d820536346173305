"""The verdict: its numbers and words, read strictly; and by what differs, what kind of judgement is due.

Pure, and without the arithmetic of the gate: whoever shows or keeps a verdict need not load that.
"""

import dataclasses
import functools
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pushforward.errors import DATA, PushforwardError
from pushforward.files import PARAMS, SETTINGS
from pushforward.git import kept

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from pushforward.settings import GateRules

Mode = Literal["first", "superior", "refresh"]
Outcome = Literal["promote", "hold", "unknown", "calibration-only", "identical", "invalid", "measured"]

# A batch was taken back, or the window has grown: no verdict until another version is the yardstick.
CHAMPION_SAW = "the champion trained on "
OFFSET_TITLE = "log loss, offset adjusted"
DATA_TITLE = "data"
DOUBT = "a person must look at the data"
LEVEL = "level"  # among the rules of a verdict at a level below the highest, with what that is called
BY = "by"  # among them where nothing was judged but limits: who promotes for all that, `metrics` or an address
SELF_SCORED = "2 (predictions)"
# What can change between two commits without touching what a model is made of.
INERT = ("arrive.", "monitor.", "notify.", "promote.", "report.", "repro.", "serve.", "server.", "tool", "tune.")
INERT_PARAMS = tuple(f"{SETTINGS}: {section}" for section in INERT)
LOCKED_PATHS = (PARAMS, SETTINGS, "dvc.lock")
FORGE_PATHS = (".github/", ".gitlab-ci.yml", ".gitlab/", ".gitea/", ".forgejo/")  # what its runners are told
JUDGE_PATHS = ("src/pushforward/", *FORGE_PATHS, "Makefile", "requirements/", "metrics/", "dvc.yaml")
OWN_PATHS = ("requirements/", "metrics/")  # of those, what is the run's own where that scores itself
JUDGE_PARAMS = tuple(f"{SETTINGS}: {section}" for section in ("gate.", "models.", "promote.", "tool"))

_STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class Number:
    """One metric of both models. `gain` is positive where the challenger is better, whatever the metric.

    `low` and `high` are one-sided bounds of the gain at confidence 1 - `alpha` each. `bound` is what `low` must
    exceed for `passed`; both are None where nothing is asked of the metric.
    """

    name: str
    better: Literal["lower", "higher"]
    champion: float | None
    challenger: float
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    alpha: float | None = None
    bound: float | None = None
    passed: bool | None = None
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Guard:
    """A condition beside the main one: `fail` is proven harm, `undecided` neither proven safe nor harmful."""

    name: str
    outcome: Literal["pass", "fail", "undecided"]
    detail: str
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Slice:
    """The gated loss where `column` is `value`; a slice that is not `eligible` is shown and decides nothing.

    `p_harm` is the one-sided p value against "no worse than the margin", Holm-adjusted over the eligible slices.
    """

    column: str
    value: str
    rows: int
    clusters: int
    positives: int | None
    champion: float
    challenger: float
    gain: float
    low: float | None
    high: float | None
    p_harm: float | None
    eligible: bool
    harmed: bool
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Calibration:
    """Observed rate, mean predictions, expected calibration errors (10 bins of equal width)."""

    rate: float
    champion_mean: float | None
    challenger_mean: float
    champion_error: float | None
    challenger_error: float
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Champion:
    """The version in use that was judged against."""

    version: str
    commit: str
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Epoch:
    """Keys of a holdout without batches that are judged together: those that no epoch before has had.

    `since` is the version in use when it opened, "" where there was none. It is not yet `open` where only a pull
    request would open it. `waiting` keys that came later are of the next, which opens at `renews`.
    """

    number: int
    keys: int
    since: str
    open: bool
    waiting: int
    renews: int
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Holdout:
    """The rows that neither model trained on: of some months, or batches, or of an epoch where there are none.

    `until` is the last of the months that were there when they were first looked at, where more have come since.
    """

    months: tuple[str, ...]
    rows: int
    days: int
    sha256: str
    epoch: Epoch | None = None
    until: str = ""
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Digests:
    """SHA-256 of what was judged and of what it was made from."""

    model: str = ""
    manifest: str = ""
    data: str = ""
    lock: str = ""
    params: str = ""
    environment: str = ""
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Stage:
    """What the run did with one DVC stage, why, and for how long."""

    name: str
    outcome: Literal["ran", "restored", "frozen", "unchanged", "failed"]
    reason: str = ""
    seconds: float = 0.0
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Waiting:
    """How far a look has come that may wait for more clusters: its which `asking` the verdict is.

    Of its own `level` it has `spent` so much by now, and all of it at so many `planned` clusters. While it is `open`,
    those to come may settle it: about so many `more`, None where nothing tells.
    """

    asking: int
    planned: int
    level: float
    spent: float
    open: bool
    more: int | None
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Look:
    """Which use of the holdout a verdict was, of how many, at which level; `replayed` gave an earlier answer again.

    `promoted` versions were made on that holdout by other looks, of `promotions` that may be. Both are None of the
    month's refresh, which is none of them.
    `alpha` is what this verdict's test was held to; where the look is one that may wait, `waiting` says of how much.
    """

    number: int
    of: int
    alpha: float
    replayed: bool = False
    promoted: int | None = None
    promotions: int | None = None
    waiting: Waiting | None = None
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Validation:
    """Numbers on the validation month, for reviewers; they decide nothing.

    `numbers` are of the challenger alone where the champion has none on the same rows. Bounds are one-sided at 95 %.
    """

    month: str
    rows: int
    clusters: int
    numbers: tuple[Number, ...]
    slices: tuple[Slice, ...] = ()
    calibration: Calibration | None = None
    clusters_better: int | None = None
    gain_error: float | None = None
    __pydantic_config__: ClassVar[Any] = _STRICT


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one challenger, the numbers it rests on, and the identity of everything that took part.

    The judging fills what comes before `commit`; who called it knows the rest. Where it is `sealed` the numbers of the
    holdout were left out, and `ledger` names the entry of the holdout's ledger that holds them.
    """

    verdict: Outcome
    reason: str
    mode: Mode
    metric: str
    rules: dict[str, Any]
    numbers: tuple[Number, ...] = ()
    guards: tuple[Guard, ...] = ()
    slices: tuple[Slice, ...] = ()
    calibration: Calibration | None = None
    rows: int = 0
    clusters: int = 0
    cluster: str = "day"
    positives: int | None = None
    clusters_better: int | None = None
    clipped: int = 0
    minimum_detectable: float | None = None
    days_to_settle: int | None = None
    commit: str = ""
    base: str = ""
    ref: str = ""
    event: str = ""
    pull: int | None = None
    champion: Champion | None = None
    holdout: Holdout | None = None
    look: Look | None = None
    sealed: bool = False
    ledger: str = ""
    validation: Validation | None = None
    digests: Digests = Digests()
    stages: tuple[Stage, ...] = ()
    touched: tuple[str, ...] = ()
    seconds: float = 0.0
    schema: Literal[1] = 1
    __pydantic_config__: ClassVar[Any] = _STRICT

    def to_json(self) -> str:
        """One line of JSON; a number that is not finite is a bug and raises ValueError."""
        tree = dataclasses.asdict(self)
        if self.holdout is not None and self.holdout.epoch is None:
            del tree["holdout"]["epoch"]  # as it was before there were epochs
        if self.holdout is not None and not self.holdout.until:
            del tree["holdout"]["until"]  # or before windows grew
        if self.look is not None and self.look.waiting is None:
            del tree["look"]["waiting"]
        if self.look is not None and self.look.promotions is None:
            del tree["look"]["promoted"], tree["look"]["promotions"]  # as it was when the first one was the last
        return json.dumps(tree, allow_nan=False, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str | bytes) -> "Verdict":
        """Read a verdict strictly: a key unknown, missing or given twice, a wrong type or version is an error."""
        try:
            tree = json.loads(text, object_pairs_hook=_once)
            verdict = _adapter().validate_json(text)
            same = json.loads(verdict.to_json()) == tree
        except (ValueError, RecursionError) as wrong:
            first = " ".join(str(wrong).split())[:300]
            raise PushforwardError(f"this is not a verdict: {first}", exit_code=DATA) from None
        if not same:
            raise PushforwardError("this is not a verdict: a key is missing", exit_code=DATA)
        return verdict


def mode(
    changed_paths: Iterable[str],
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    *,
    arrivals: str,
    grown: Collection[str] = (),
) -> Mode:
    """How a challenger is to be judged, by what differs from the champion; the author does not choose.

    `before` and `after` are the leaves of the settings and of params.yaml at the champion (None: there is none) and at
    the challenger, `arrivals` the one that lists the batches, `changed_paths` the files that differ between the two
    commits, `grown` those of them that have only gained rows. Batches or rows added and nothing else that a model is
    made of is `refresh`; anything else is `superior`.
    """
    if before is None:
        return "first"
    changed = [key for key in _changed(before, after) if not key.startswith(INERT_PARAMS)]
    old, new = before.get(arrivals), after.get(arrivals)
    if arrivals in changed:
        changed.remove(arrivals)
        if not (isinstance(old, list) and isinstance(new, list) and new[: len(old)] == old):
            return "superior"
    return "refresh" if told_only(changed_paths, after, grown) and not changed else "superior"


def told_only(changed_paths: Iterable[str], after: Iterable[str], grown: Collection[str] = ()) -> bool:
    """Whether all of these files are told leaf by leaf, `grown`, made by a run, or take no part in any model."""
    told = (*LOCKED_PATHS, *files_of(after), *grown)
    return all(
        path in told or path.startswith("metrics/") or kept.is_lock(path) or inert(path) for path in changed_paths
    )


def touched(
    changed_paths: Iterable[str],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    making: tuple[Collection[str], Collection[str]] = ((), ()),
    *,
    arrivals: str,
    grown: Collection[str] = (),
) -> tuple[str, ...]:
    """What a change touches of the judge itself: its files, and its settings as `pushforward.yaml: key`.

    `making` are the files and the parameters that the holdout is made with; a batch that arrives touches nothing, nor
    do the rows that files have `grown` by.
    """
    paths, used = making
    below = tuple(f"{path}/" for path in paths)
    files = [path for path in changed_paths if of_judge(path) or f"{path}/".startswith(below)]
    files = [path for path in files if path not in grown]
    own = (*JUDGE_PARAMS, *(f"{name}." for name in used))
    changed = [key for key in _changed(before, after) if key != arrivals]
    keys = [named(key) for key in changed if f"{key}.".startswith(own)]
    return tuple(sorted(files) + sorted(keys))


def lands(verdict: Verdict) -> bool:
    """Whether a protected default branch takes a change for its verdict alone.

    What predicts the same does no harm and is no gain either: it lands where it leaves the judge as it is, for whoever
    could change the judge by it would need no better model ever after. So does what was measured and not judged, and
    what passed by predictions that the change itself wrote: its pipeline is its own there, and the rest is the judge's.
    """
    if self_scored(verdict) and verdict.verdict == "promote":
        return all(name.startswith(OWN_PATHS) or is_pipeline(name) for name in verdict.touched)
    same = verdict.verdict in {"identical", "measured"} and not changes_judge(verdict)
    return verdict.verdict == "promote" or same


def changes_judge(verdict: Verdict) -> bool:
    """Whether a change is one of the judge: of its files, or of its settings."""
    return any(of_judge(name) or name.startswith(JUDGE_PARAMS) for name in verdict.touched)


def self_scored(verdict: Verdict) -> bool:
    """Whether a run's own predictions were judged, and no model was asked."""
    return bool(verdict.rules.get(LEVEL) == SELF_SCORED)


def by_limits(verdict: Verdict) -> bool:
    """Whether nothing was judged but the numbers that a run wrote by itself."""
    return LEVEL in verdict.rules and not self_scored(verdict)


def of_its_own_word(verdict: Verdict) -> Verdict:
    """The verdict on predictions that the pushed code wrote by itself, which says that it is one."""
    said = verdict.reason if verdict.verdict == "invalid" else f"self-scored: {verdict.reason}"
    return dataclasses.replace(verdict, reason=said, rules={**verdict.rules, LEVEL: SELF_SCORED})


def invalid(reason: str, mode: Mode = "superior", rules: "GateRules | None" = None) -> Verdict:
    """The verdict where there is nothing to judge: data refused, a model that crashed, malformed predictions."""
    return Verdict("invalid", reason, mode, rules.metric if rules else "", rules.model_dump() if rules else {})


def unanswered(reason: str, mode: Mode, rules: "GateRules") -> Verdict:
    """The verdict where the holdout answers no new question: it has retired, or all of its looks are taken."""
    return Verdict("unknown", reason, mode, rules.metric, rules.model_dump())


def worst_first(slices: "Iterable[Slice]") -> list[Slice]:
    """Harmed slices first, then those that can be judged, each by gain."""
    return sorted(slices, key=lambda one: (not one.harmed, not one.eligible, one.gain, one.column, one.value))


def named(leaf: str) -> str:
    """A leaf with the file that it is in."""
    return leaf if ": " in leaf else f"{PARAMS}: {leaf}"


def files_of(leaves: Iterable[str]) -> set[str]:
    """The files that are told leaf by leaf."""
    return {named(leaf).partition(": ")[0] for leaf in leaves}


def of_judge(path: str) -> bool:
    """Whether a file is the judge's own: its code, workflows, locks, and what says how a holdout is made."""
    return path.startswith(JUDGE_PATHS) or is_pipeline(path)


def is_pipeline(path: str) -> bool:
    """Whether a file is a dvc.yaml, wherever it lies."""
    return f"/{path}".endswith("/dvc.yaml")


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    # By repr, so that 1, 1.0 and True are three values.
    keys: Collection[str] = sorted({*before, *after})
    return [key for key in keys if repr(before.get(key, ...)) != repr(after.get(key, ...))]


def inert(path: str) -> bool:
    """Whether a file takes no part in any model: words about it, and tests."""
    ignores = f"/{path}".endswith("/.gitignore")
    return path.startswith(("docs/", "tests/")) or path.endswith(".md") or path == "LICENSE" or ignores


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


@functools.cache
def _adapter() -> "TypeAdapter[Verdict]":
    from pydantic import TypeAdapter

    return TypeAdapter(Verdict)
