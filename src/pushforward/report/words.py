"""The words of a verdict: its title, and a line a subject. `markdown` and `terminal` set them, each with its quotes."""

from collections.abc import Callable, Iterable, Sequence

from pushforward import params, percent
from pushforward.gate.verdict import (
    BY,
    OFFSET_TITLE,
    Calibration,
    Epoch,
    Holdout,
    Number,
    Outcome,
    Slice,
    Stage,
    Validation,
    Verdict,
    by_limits,
    self_scored,
    worst_first,
)
from pushforward.registry.grammar import UNTRAINED
from pushforward.report.note import Context
from pushforward.text import ROW, between, code, exact, figure, plain, plural, prose, signed

LISTED = 12
MEASURED = 40  # numbers of a run in a table
RENAMED = "The model has another name"
SELF_SCORED = (
    "self-scored: the pushed code wrote these labels and predictions itself; the judge has asked no model, and cannot "
    "tell whether this one gives them"
)
Shown = Callable[..., str]
SIGNS: dict[str, str] = {
    "promote": "✓",
    "hold": "✗",
    "unknown": "?",
    "calibration-only": "?",
    "identical": "=",
    "invalid": "!",
    "measured": "•",
}
WORDS: dict[Outcome, str] = {
    "promote": "Promote",
    "hold": "Hold",
    "unknown": "Unknown",
    "calibration-only": "Calibration only",
    "identical": "Identical",
    "invalid": "Invalid",
    "measured": "Measured",
}
NEXT: dict[Outcome, str] = {
    "promote": "merge it; main judges again and tags it",
    "hold": "change the model, not the gate, and push again",
    "unknown": "a larger effect, or more data: the next {batch} counts too",
    "calibration-only": "improve what the model knows; its level is the season's",
    "identical": "nothing to do: no version is made, the champion stays with its own code",
    "invalid": "mend what is named above and push again",
    "measured": "nothing to do: at this level a version is made by a person's word, or promote.metrics",
}


def sparkline(values: Sequence[float], points: int = 24) -> str:
    """The values as a line of eight block heights, at most `points` long (evenly picked, first and last kept)."""
    values = [value for value in values if value == value and abs(value) != float("inf")]
    if len(values) > points:
        values = [values[round(place * (len(values) - 1) / (points - 1))] for place in range(points)]
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = 7 / (high - low) if high > low else 0.0
    return "".join("▁▂▃▄▅▆▇█"[round((value - low) * scale)] for value in values)


def untrained(verdict: Verdict) -> bool:
    """Whether nothing was trained, and so nothing was compared: the holdout answers no more."""
    return verdict.reason.startswith(UNTRAINED)


def title(verdict: Verdict, context: Context, shown: Shown, *, this: str = "") -> str:
    """The verdict as a sentence about `this`, by default its commit; of a run that was not judged, why not."""
    this = this or shown((context.carried_to or verdict.commit)[:7] or "this change")
    if context.kind == "data-refused":
        return f"the data of {this} is refused"
    if context.kind == "training-failed":
        return f"training failed at {this}"
    if context.kind == "merge-conflict":
        return f"{shown(context.branch or verdict.ref)} conflicts with {shown(context.target)}"
    if context.kind == "carried":
        return f"nothing to train at {this}; the verdict on {shown(verdict.commit[:7])} stands"
    if untrained(verdict):
        return f"{this} was not trained"
    champion = shown(verdict.champion.version) if verdict.champion else "the champion"
    first, refresh = verdict.mode == "first", verdict.mode == "refresh"
    titles: dict[Outcome, str] = {
        "promote": f"{this} is no worse than {champion}" if refresh else f"{this} beats {champion}",
        "hold": f"{this} does not replace {champion}",
        "unknown": f"{this} is not shown to be {'as good as' if refresh else 'better than'} {champion}",
        "calibration-only": f"{this} differs from {champion} in level only",
        "identical": f"{this} predicts exactly what {champion} predicts",
        "invalid": f"{this} cannot be judged",
        "measured": f"{this} has run, and its numbers are told",
    }
    if by_limits(verdict):
        titles["promote"] = f"{this} is promoted by {shown(str(verdict.rules.get(BY)))}"
        titles["hold"] = f"{this} breaks a limit of its metrics"
    elif first and self_scored(verdict) and verdict.champion:
        titles["promote"] = f"{this} begins another test set than that of {champion}, judged against floors only"
        titles["hold"] = f"{this} would begin another test set and does not meet the floors"
        titles["unknown"] = f"{this} would begin another test set and is not shown to meet the floors"
    elif first:
        titles["promote"] = f"{this} is the first model, judged against floors only"
        titles["hold"] = f"{this} would be the first model and does not meet the floors"
        titles["unknown"] = f"{this} would be the first model and is not shown to meet the floors"
    return titles[verdict.verdict]


def span(holdout: Holdout | None) -> str:
    """What a holdout is of: the first and the last of its months, or its epoch; "" where nothing says it."""
    if holdout is None or holdout.epoch is not None:
        return f"epoch {holdout.epoch.number}" if holdout is not None and holdout.epoch is not None else ""
    return " to ".join(dict.fromkeys((holdout.months[0], holdout.months[-1]))) if holdout.months else ""


def arrival(verdict: Verdict) -> str:
    """The word for what opens another holdout."""
    holdout = verdict.holdout
    return "epoch" if holdout and holdout.epoch else params.noun(holdout.months if holdout else ())


def epoch_line(verdict: Verdict, shown: Shown) -> str:
    """The keys of an epoch, and those that wait for the next; "" where the holdout is of batches."""
    found = verdict.holdout.epoch if verdict.holdout else None
    return epoch(found, shown) if found else ""


def epoch(epoch: Epoch, shown: Shown) -> str:
    """An epoch in a sentence without a full stop."""
    which = f"epoch {epoch.number}" if epoch.open else f"epoch {epoch.number}, which these keys will open"
    since = f" first seen since {shown(epoch.since)}" if epoch.since else ", the first that there were"
    wait = f"{epoch.waiting:,} wait for the next, which opens" if epoch.waiting else "the next opens"
    return f"{which}: {epoch.keys:,} keys{since}; {wait} at {epoch.renews:,}"


def unlike(context: Context) -> str:
    """What it means that the champion has another name."""
    return (
        f"it was not compared with {context.renamed_from}, the champion under the name before; "
        "it is in use nowhere until a person puts it to use"
    )


def independent(verdict: Verdict) -> str:
    """What it means that every row is a cluster of its own; "" where rows belong together."""
    if not verdict.rows or (verdict.cluster, verdict.clusters) != (ROW, verdict.rows):
        return ""
    where = "predictions" if self_scored(verdict) else "holdout"
    return f"rows are taken as independent ({where}.cluster: none): where some belong together, bounds are too narrow"


def clustered(verdict: Verdict) -> str:
    """How the bounds were taken, as the end of a sentence."""
    return "" if independent(verdict) else f", clustered by {verdict.cluster}"


def measured(context: Context) -> list[tuple[str, str, str]]:
    """The numbers of the run as cells: which, old, new; those that moved first."""
    moved = sorted(context.measured, key=lambda one: one[1] == one[2])
    return [(name, "" if old is None else exact(old), exact(new)) for name, old, new in moved[:MEASURED]]


def unlisted(context: Context) -> str:
    """How many numbers are not in the table; "" where all are."""
    more = len(context.measured) - MEASURED
    return f"{_count(more, 'number')} more" if more > 0 else ""


def written(context: Context, shown: Shown) -> str:
    """Where the numbers of a run are from, as a sentence without a full stop."""
    old = (
        f"; old is what {shown(context.measured_before[:7])} of the target branch wrote"
        if context.measured_before
        else ""
    )
    return f"as the run wrote it; not judged on the same rows{old}"


def remarks(verdict: Verdict, context: Context) -> list[str]:
    """What the judge could not ask, and what it took for granted."""
    found = (by_itself(verdict), own_word(verdict), by_word(verdict), independent(verdict), *context.remarks)
    return [remark for remark in found if remark]


def own_word(verdict: Verdict) -> str:
    """What a verdict does not claim whose predictions the pushed code wrote by itself; "" for any other."""
    return SELF_SCORED if self_scored(verdict) else ""


def review_alert(context: Context, shown: Shown) -> str:
    """A person's word on what was judged, as markdown sets it apart."""
    word, _, rest = context.review.partition(" ")
    return f"> [!IMPORTANT]\n> **{word.capitalize()} by a person's word**, not by the gate: {shown(rest)}"


def by_word(verdict: Verdict) -> str:
    """Whose word promotes what was not judged; "" where nobody's does."""
    by = verdict.rules.get(BY) if by_limits(verdict) else None
    if by is None:
        return ""
    how = "promote.metrics: what keeps its limits is promoted" if by == "metrics" else "in words that they signed"
    return f"by: {by} ({how}); no verdict on the model, which nobody has asked"


def asked_of(verdict: Verdict) -> str:
    """What the rows of a verdict are, as the beginning of a sentence."""
    return "Test set" if self_scored(verdict) else "Holdout"


def by_itself(verdict: Verdict) -> str:
    """That nobody was there yet to judge a push but itself."""
    own = verdict.event == "push" and bool(verdict.commit) and verdict.base == verdict.commit
    return "no push before this one had a word on a model, so its own code and settings judged it" if own else ""


def message_lines(context: Context) -> list[str]:
    """The last lines of what a run has said, harmless, with their indentation."""
    lines = context.message.strip("\n").splitlines()[-40:]
    return [" " * min(len(line) - len(line.lstrip(" ")), 8) + plain(line, 300) for line in lines]


def panel(verdict: Verdict) -> Validation | None:
    """The validation month's numbers, where they stand in for those of the holdout."""
    return None if verdict.numbers else verdict.validation


def promotion(verdict: Verdict) -> str:
    """Which promotion on its holdout a version is, or would be; "" where there is one at most, and of a refresh."""
    look = verdict.look
    if verdict.verdict != "promote" or look is None or look.promoted is None or (look.promotions or 1) == 1:
        return ""
    would = "" if verdict.event == "push" else "would be "
    return f"{would}promotion {look.promoted + 1} of {look.promotions} on this holdout"


def sealed(verdict: Verdict) -> str:
    """Why no number of the holdout is shown, and what that rests on."""
    made = f", {told}" if (told := promotion(verdict)) else ""
    spent = f"look {verdict.look.number} of {verdict.look.of} is taken{made}; " if verdict.look else ""
    return (
        f"Holdout: {spent}its numbers stay sealed until it retires, since thirty exact answers are enough to fit it. "
        "On your honour: who has the data can compute them."
    )


def bounds_title(numbers: Iterable[Number]) -> str:
    """The confidence at which the bounds of these numbers hold, as a column's title."""
    alphas = [number.alpha for number in numbers if number.alpha is not None]
    return f"{percent.confidence(alphas[0], '.4g')} bounds" if alphas else "bounds"


def figures(number: Number) -> list[str]:
    """A number's cells: champion, this, gain, and the bounds of the gain."""
    gain = "" if number.gain is None else signed(number.gain)
    champion = "" if number.champion is None else figure(number.champion)
    return [champion, figure(number.challenger), gain, between(number.low, number.high)]


def mark(number: Number, passed: str, failed: str, undecided: str) -> str:
    """Which of the three marks a number that is asked for has earned; none where nothing is asked."""
    if number.bound is None:
        return ""
    if number.passed:
        return passed
    # The offset-adjusted gain is asked for as a point, so it is never in between.
    between = number.high is not None and number.high > number.bound and number.name != OFFSET_TITLE
    return undecided if between else failed


def slices_line(slices: Sequence[Slice], shown: Shown) -> str:
    """How the slices did, and the one with the lowest gain."""
    if not slices:
        return ""
    harmed, small = sum(one.harmed for one in slices), sum(not one.eligible for one in slices)
    worst = worst_first(slices)[0]
    parts = [f"{harmed} of {len(slices)} shown to be worse"]
    if small:
        parts.append(f"{small} too small to tell")
    return f"{', '.join(parts)}; lowest {shown(f'{worst.column}={worst.value}')} {signed(worst.gain)}"


def validation_line(context: Context, shown: Shown) -> str:
    """The metrics of the validation month, the champion's in brackets."""
    parts = []
    for name, value in context.validation.items():
        before = context.champion_validation.get(name)
        was = f" (champion {figure(before)})" if before is not None else ""
        parts.append(f"{shown(name)} {figure(value)}{was}")
    text = ", ".join(parts[:LISTED])
    if text and context.validation_month:
        text = f"{shown(context.validation_month)}: {text}"
        other = context.champion_validation_month
        if context.champion_validation and other and other != context.validation_month:
            text += f" (the champion's on {shown(other)})"
    return text


def learning_line(context: Context, shown: Shown) -> str:
    """The loss by round as a curve, its first value and its lowest."""
    curve = context.learning_curve
    if not curve:
        return ""
    best = min(curve)
    return f"{shown(sparkline(curve))} {figure(curve[0])} to {figure(best)} in {curve.index(best) + 1} rounds"


def shown_slices(verdict: Verdict) -> tuple[Slice, ...]:
    """The slices that may be shown: the validation month's where its numbers stand in."""
    found = panel(verdict)
    return found.slices if found else verdict.slices


def shown_calibration(verdict: Verdict) -> Calibration | None:
    """The calibration that may be shown, likewise."""
    found = panel(verdict)
    return found.calibration if found else verdict.calibration


def calibration_line(found: Calibration | None) -> str:
    """What was predicted and what happened, as a sentence without a full stop."""
    if found is None:
        return ""
    text = f"mean prediction {figure(found.challenger_mean, 3)} where {figure(found.rate, 3)} happened"
    if found.champion_mean is not None:
        text += f" (champion {figure(found.champion_mean, 3)})"
    text += f", expected calibration error {figure(found.challenger_error, 3)}"
    return text + (f" (champion {figure(found.champion_error, 3)})" if found.champion_error is not None else "")


def data_line(context: Context, shown: Shown) -> str:
    """The months added, and how much there was before."""
    if not (context.months or context.months_added):
        return ""
    known = {month: (rows, rate) for month, rows, rate in context.months}
    added = []
    for month in context.months_added:
        rows, rate = known.get(month, (0, None))
        parts = [f"{rows:,} rows"] if rows else []
        parts += [f"{percent.share(rate)} positive"] if rate is not None else []
        size = f" ({', '.join(parts)})" if parts else ""
        added.append(f"+ {shown(month)}{size}")
    old = [(rows, rate) for month, (rows, rate) in known.items() if month not in context.months_added]
    total = sum(rows for rows, _ in old)
    before = ""
    if total:
        before = f"{'before ' if added else ''}{_count(len(old), 'month')}, {total:,} rows"
        rates = [(rows, rate) for rows, rate in old if rate is not None]
        if len(rates) == len(old):
            before += f", {percent.share(sum(rows * rate for rows, rate in rates) / total)} positive"
    listed = "; ".join(added[:LISTED]) + (f" and {len(added) - LISTED} more" if len(added) > LISTED else "")
    return "; ".join(part for part in (listed, before) if part)


def drift_line(context: Context, text: Shown) -> str:
    """How the rows of the months added differ."""
    more = f" and {len(context.drift) - LISTED} more" if len(context.drift) > LISTED else ""
    return "; ".join(text(one, 200) for one in context.drift[:LISTED]) + more


def trend_line(context: Context, shown: Shown) -> str:
    """The validation month's metric by version, oldest first: a drift of the world, or of the model, shows here."""
    if len(context.trend) < 2:
        return ""
    curve = sparkline([value for *_, value in context.trend])
    (month, version, first), (last_month, _, last) = context.trend[0], context.trend[-1]
    since, now = (f" on {shown(one)}" if one else "" for one in (month, last_month))
    return (
        f"{shown(context.trend_metric)} {shown(curve)} {figure(first)} ({shown(version)}{since}) "
        f"to {figure(last)} (this{now})"
    )


def changed_line(context: Context, shown: Shown) -> str:
    """The parameters and files that changed."""
    params = [f"{shown(key)} {shown(before, 60)} → {shown(after, 60)}" for key, before, after in context.changed_params]
    files = [f"{shown(path)} (+{added} −{removed})" for path, added, removed in context.changed_files]
    parts = []
    for items in (params, files):
        more = [f"{len(items) - LISTED} more"] if len(items) > LISTED else []
        parts += items[:LISTED] + more
    return "; ".join(parts)


def fold_stages(stages: Sequence[Stage]) -> list[Stage]:
    """One stage for each family (`features@2013-01`, `features@2013-02`, …) that ended alike and for the same reason.

    Its name says which members it stands for, its seconds are their sum.
    """
    families: dict[tuple[str, str, str], list[Stage]] = {}
    for stage in stages:
        family, _, member = stage.name.partition("@")
        # a member's own name in the reason (a file of that month) does not set it apart
        reason = stage.reason.replace(member, "…") if member else stage.reason
        families.setdefault((family, stage.outcome, reason), []).append(stage)
    folded = []
    for (family, _, reason), members in families.items():
        if len(members) == 1:
            folded.append(members[0])
            continue
        first, last = (some.name.partition("@")[2] for some in (members[0], members[-1]))
        seconds = round(sum(stage.seconds for stage in members), 2)
        folded.append(Stage(f"{family}@{first}…{last}", members[0].outcome, reason, seconds))
    return folded


def stages_line(stages: Sequence[Stage], shown: Shown) -> str:
    """What the pipeline did, by how it ended."""
    parts = []
    for outcome in ("failed", "ran", "restored", "frozen"):
        some = [stage for stage in fold_stages(stages) if stage.outcome == outcome]
        named = []
        for stage in some[:LISTED]:
            why = prose(stage.reason, 120) if shown is code else plain(stage.reason, 120)
            took = f"{stage.seconds:.1f} s" if stage.seconds else ""
            extra = ", ".join(part for part in (took, why) if part)
            named.append(shown(stage.name) + (f" ({extra})" if extra else ""))
        if len(some) > LISTED:
            named.append(f"{len(some) - LISTED} more")
        if named:
            parts.append(f"{outcome} {', '.join(named)}")
    unchanged = sum(stage.outcome == "unchanged" for stage in stages)
    if unchanged:
        parts.append(f"{unchanged} unchanged")
    return "; ".join(parts)


def next_step(verdict: Verdict, context: Context, text: Shown, shown: Shown) -> str:
    """What to do now, and the command for it."""
    batch = arrival(verdict)
    step = text(context.next_step or NEXT[verdict.verdict].format(batch=batch), 600)
    made = context.next_version if verdict.verdict == "promote" else ""
    version = f" as {shown(made)}" if made else ""
    command = f": {shown(context.next_command, 300)}" if context.next_command else ""
    return f"{step}{version}{command}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural(noun)}"


def listing(items: Sequence[str], shown: Shown) -> str:
    """The first of these items, and how many more there are."""
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(shown(item) for item in items[:LISTED]) + more
