"""Before any training: how many looks the holdout has left, and what it can tell."""

import functools
import json
import math
import statistics
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pushforward import files, params, percent, settings
from pushforward.gate import stats
from pushforward.gate import verdict as verdicts
from pushforward.git.repository import Repository
from pushforward.judge import ledger, looks, names, waiting
from pushforward.report import note, notes, words
from pushforward.text import figure, plain, plural

RECENT = 30
A_CENTURY = 36_525
GAINS = (0.005, 0.01, 0.02)


@dataclass(frozen=True)
class Detectable:
    """The smallest true gain that is found in 4 of 5 cases, for challengers that differ as much as `like`."""

    like: str
    gain: float
    share: float


@dataclass(frozen=True)
class Open:
    """A look that could not tell and waits for more clusters: whose, how many it had, and how many it waits for.

    About `more` than it had would settle it, by the gain of its validation month; None where nothing tells.
    """

    commit: str
    clusters: int
    planned: int
    more: int | None


@dataclass(frozen=True)
class Plan:
    """What the holdout of `months`, or of an `epoch`, can still answer, and how sharply.

    `alpha` is the level of the next look; of its `promotions`, `promoted` have been made. `typical` comes
    from the challengers judged so far: how much their loss differed from the champion's on the validation month,
    scaled to the holdout's clusters. `days` says for a true gain (a share of the champion's loss) how many clusters
    in all would show it, for a typical challenger. `open` are the looks that wait.
    """

    months: tuple[str, ...]
    looks: int
    left: int
    alpha: float
    closed: str
    champion_loss: float | None
    challengers: int
    clusters: int
    typical: tuple[Detectable, ...]
    days: tuple[tuple[float, int], ...]
    unknown: tuple[tuple[str, int], ...]
    cluster: str = "day"
    epoch: str = ""
    promoted: int = 0
    promotions: int = 1
    open: tuple[Open, ...] = ()


def plan(root: Path, model: str = "") -> Plan:
    """Read the ledger and the verdicts that count for the clone in `root`; nothing is trained and no look is taken."""
    rules = settings.load(root).of(model)
    rules.check_tool()
    months = tuple(rules.arrived(lambda file: files.read(root, file))[-rules.gate.window :])
    book = ledger.of(root, rules.name)
    began = months[: months.index(waiting.until(book, rules, months) or months[-1]) + 1] if months else ()
    state = book.state(names.ledger(began)) if months else book.epoch() or looks.State(names.epoch(1))
    told = _verdicts(notes.of(root))
    known = [(verdict, found) for verdict in told if (found := _compared(verdict))][:RECENT]
    errors = [(one["gain_error"], one["clusters"], one["numbers"][0]["champion"]) for _, one in known]
    epoch, clusters = _counted(told, state.holdout)
    if not clusters and errors:
        clusters = state.opened.keys if state.opened else errors[0][1] * max(1, len(months))
    alpha = state.next_alpha(rules.gate.alpha, rules.gate.looks, "superior")
    typical: list[Detectable] = []
    days: list[tuple[float, int]] = []
    unknown: list[tuple[str, int]] = []
    loss = errors[0][2] if errors else None
    if errors and loss:
        # The error of a mean over days falls with the root of their number.
        scaled = sorted(error * math.sqrt(count / clusters) for error, count, _ in errors)
        of_all = stats.Estimate(0.0, statistics.median(scaled), clusters - 1)
        named = {"the closest": scaled[0], "typical": of_all.error, "the most different": scaled[-1]}
        for like, error in named.items() if len(scaled) > 2 else [("those so far", of_all.error)]:
            gain = stats.minimum_detectable(stats.Estimate(0.0, error, clusters - 1), alpha)
            typical.append(Detectable(like, gain, gain / loss))
        for share in GAINS:
            needed = stats.clusters_to_settle(stats.Estimate(share * loss, of_all.error, clusters - 1), 0.0, alpha)
            days += [(share, needed)] if needed else []
        unknown = list(_unsettled(known, clusters, alpha))
    return Plan(
        months,
        state.of or rules.gate.looks,
        state.left if state.looks else rules.gate.looks,
        alpha,
        looks.refusal(state) if state.closed else "",
        loss,
        len(errors),
        clusters,
        tuple(typical),
        tuple(days),
        tuple(unknown),
        str(known[0][0].get("cluster", "day")) if known else "day",
        _told(state, epoch, rules.renews) if not rules.batched else "",
        len(state.promoted) + (state.retired == "promoted"),
        state.promotions if state.looks else rules.promotions,
        tuple(_open(state, told)),
    )


def _open(state: looks.State, told: list[Mapping[str, Any]]) -> Iterator[Open]:
    """The looks that wait, with what their verdicts have said."""
    for look in state.open:
        said = [one.get("look") for one in told if one.get("commit") == look.commit]
        waits = next((one["waiting"] for one in said if isinstance(one, dict) and "waiting" in one), None)
        more = waits.get("more") if isinstance(waits, dict) else None
        assert look.waits is not None  # noqa: S101, or it would not be open
        yield Open(look.commit, look.waits.last.clusters, look.waits.planned, more if isinstance(more, int) else None)


def _told(state: looks.State, epoch: verdicts.Epoch | None, renews: int) -> str:
    """The epoch in use and what waits for the next, as far as verdicts have said it."""
    if state.opened is None:
        return "epoch 1 opens with the first model that can be judged"
    opened, number = state.opened, names.number(state.holdout)
    return words.epoch(epoch or verdicts.Epoch(number, opened.keys, opened.since, True, 0, renews), plain)


def terminal(plan: Plan) -> str:
    """The plan as a card of at most 80 columns."""
    span = plan.epoch or " to ".join(dict.fromkeys((plan.months[0], plan.months[-1])))
    lines = textwrap.wrap(span, 80, initial_indent="holdout     ", subsequent_indent=" " * 12)
    batch = "row" if plan.epoch else params.noun(plan.months)
    if plan.closed:
        lines += textwrap.wrap(plan.closed, 80, initial_indent="closed      ", subsequent_indent=" " * 12)
    else:
        sure = f"{percent.confidence(plan.alpha)} confidence"
        lines += [f"looks       {plan.left} of {plan.looks} left, the next at {sure}"]
        if plan.promotions > 1:
            lines += [f"promotions  {plan.promotions - plan.promoted} of {plan.promotions} left on this holdout"]
    for waits in plan.open:
        left = waits.planned - waits.clusters
        some = f"about {waits.more:,} settle it" if waits.more and waits.more <= left else "they may not settle it"
        some = some if waits.more else "how many settle it is not known"
        told = f"{'open':<12}{waits.commit[:9]} waits for up to {left:,} more {plural(plan.cluster)}: {some}"
        lines += textwrap.wrap(told, 80, subsequent_indent=" " * 12, drop_whitespace=True)
    if not plan.challengers:
        lines += ["detectable  no challenger is known here that was compared: the first one tells"]
        return "\n".join(lines)
    name = "detectable"
    for one in plan.typical:
        lines.append(
            f"{name:<12}a true gain of {figure(one.gain)} ({percent.share(one.share)}), if it differs as {one.like}"
        )
        name = ""
    name = "to settle"
    for share, needed in plan.days:
        takes = f"takes about {needed:,} {plural(plan.cluster)}; there are {plan.clusters}"
        lines.append(f"{name:<12}a true gain of {100 * share:g} % {takes}")
        name = ""
    name = "unknown"
    for commit, needed in plan.unknown:
        some = f"about {needed:,} {plural(plan.cluster)} in all"
        more = some if needed <= A_CENTURY else f"more {plural(plan.cluster)} than anybody waits for"
        more = "settled by this holdout's size" if needed <= plan.clusters else more
        right = "rows are" if plan.epoch else f"{batch} is"
        lines.append(f"{name:<12}{commit[:9]}: {more}, if the validation {right} right")
        name = ""
    many = f"the {plan.challengers} challengers" if plan.challengers > 1 else "the one challenger"
    return "\n".join([*lines, f"            from the validation {plural(batch)} of {many} judged so far"])


def _verdicts(repository: Repository) -> list[Mapping[str, Any]]:
    """Every verdict that is recorded in a repository, the newest commit's first."""
    kept = notes.kept(repository)
    contents = repository.objects([*kept.values()])
    found = [note.load(content[1]) for content in contents if content]
    newest = sorted(found, key=lambda one: one.commit.seconds, reverse=True)
    return [report.verdict for one in newest for report in one.reports]


def _compared(verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    """The paired numbers of a verdict on the validation month; None where nothing was compared."""
    found = verdict.get("validation")
    compared = isinstance(found, dict) and found.get("gain_error") and verdict.get("mode") != "refresh"
    return found if compared else None


@functools.cache
def _holdout() -> TypeAdapter[verdicts.Holdout | None]:
    return TypeAdapter(verdicts.Holdout | None)


def _counted(told: list[Mapping[str, Any]], name: str) -> tuple[verdicts.Epoch | None, int]:
    """What earlier verdicts on the holdout of a ledger have said: the last word on its epoch, and most clusters."""
    reader = _holdout()
    epoch, most = None, 0
    for verdict in reversed(told):
        try:
            holdout = reader.validate_json(json.dumps(verdict.get("holdout")))
        except ValidationError:
            continue  # of another version
        if holdout and (holdout.epoch or holdout.months) and names.of(holdout) == name:
            epoch, most = holdout.epoch, max(most, holdout.days)
    return epoch, most


def _unsettled(
    known: list[tuple[Mapping[str, Any], dict[str, Any]]], clusters: int, alpha: float
) -> Iterator[tuple[str, int]]:
    """For the latest verdicts that were `unknown`: how many clusters would settle the gain of the validation month."""
    open_ones = [(header, found) for header, found in known if header.get("verdict") == "unknown"]
    for header, found in open_ones[:3]:
        error = found["gain_error"] * math.sqrt(found["clusters"] / clusters)
        estimate = stats.Estimate(found["numbers"][0]["gain"], error, clusters - 1)
        needed = stats.clusters_to_settle(estimate, 0.0, alpha)
        if needed and estimate.mean > 0:
            yield str(header.get("commit")), needed
