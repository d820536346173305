"""Verdict -> markdown, terminal text; pure, knows no forge.

Every text that a pusher can choose (branch, file, parameter, slice, message) passes `code`, `prose` or `plain` on its
way in, so that a report can neither be forged nor broken out of, ping a person, or move a terminal's cursor.
"""

import dataclasses
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pushforward import percent
from pushforward.gate.verdict import OFFSET_TITLE, Calibration, Number, Outcome, Slice, Stage, Validation, Verdict
from pushforward.text import code, cut, figure, left, plain, prose, raised, right, shorten, signed

BUDGET = 60_000
LISTED = 12
SLICES_OPEN = 6
NAME_WIDTH, NUMBER_WIDTH = 26, 9
POINTS = 10
RENAMED = "The model has another name"
MONTH = re.compile(r"\d{4}-\d\d")
# Mermaid's own first colour is all but white on white; this one is seen on white and on black.
PALETTE = '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#2f81f7"}}}}%%'

Shown = Callable[..., str]
Kind = Literal["judged", "data-refused", "training-failed", "merge-conflict", "carried"]

WORDS: dict[Outcome, str] = {
    "promote": "Promote",
    "hold": "Hold",
    "unknown": "Unknown",
    "calibration-only": "Calibration only",
    "identical": "Identical",
    "invalid": "Invalid",
}
MARKS: dict[Outcome, str] = {
    "promote": "✅",
    "hold": "⛔",
    "unknown": "❔",
    "calibration-only": "⛔",
    "identical": "➖",
    "invalid": "❌",
}
SIGNS: dict[Outcome, str] = {
    "promote": "✓",
    "hold": "✗",
    "unknown": "?",
    "calibration-only": "✗",
    "identical": "=",
    "invalid": "!",
}
COLORS: dict[Outcome, str] = {
    "promote": "\x1b[1;32m",
    "hold": "\x1b[1;31m",
    "unknown": "\x1b[1;33m",
    "calibration-only": "\x1b[1;33m",
    "identical": "\x1b[1;36m",
    "invalid": "\x1b[1;31m",
}
NEXT: dict[Outcome, str] = {
    "promote": "merge it; main judges again and tags it",
    "hold": "change the model, not the gate, and push again",
    "unknown": "a larger effect, or more data: the next month counts too",
    "calibration-only": "improve what the model knows; its level is the season's",
    "identical": "nothing to do: no version is made, the champion stays with its own code",
    "invalid": "mend what is named above and push again",
}


@dataclass(frozen=True)
class Context:
    """What a report tells beside the verdict; every field may stay empty, and its section is left out then.

    `message` is the text of a run that ended before judging (`kind`), line by line. `carried_to` is the commit at
    which the verdict on an earlier commit stands because nothing that a model is made of has changed. `renamed_from` is
    the champion under the name that the model had before, with which it was not compared. `months` are
    (month, rows, share of positive labels or None while that is sealed). Curves are losses by round, on the validation
    month. `drift` says column by column how the rows of the months added differ. `trend` is (month, version, value) of
    `trend_metric` on the validation month of each version, this challenger last. `override` says who has let the commit
    into a protected branch by their word, and why.
    """

    kind: Kind = "judged"
    message: str = ""
    branch: str = ""
    target: str = "main"
    carried_to: str = ""
    renamed_from: str = ""
    changed_params: tuple[tuple[str, str, str], ...] = ()
    changed_files: tuple[tuple[str, int, int], ...] = ()
    validation_month: str = ""
    validation: Mapping[str, float] = field(default_factory=dict)
    champion_validation_month: str = ""
    champion_validation: Mapping[str, float] = field(default_factory=dict)
    learning_curve: tuple[float, ...] = ()
    months_added: tuple[str, ...] = ()
    months: tuple[tuple[str, int, float | None], ...] = ()
    drift: tuple[str, ...] = ()
    trend: tuple[tuple[str, str, float], ...] = ()
    trend_metric: str = ""
    next_version: str = ""
    override: str = ""
    next_step: str = ""
    next_command: str = ""
    reproduce: str = ""


@dataclass(frozen=True)
class _Section:
    name: str
    text: str
    folded: bool = False


def markdown(verdict: Verdict, context: Context | None = None, *, budget: int = BUDGET) -> str:
    """The report as GitHub-flavoured markdown of at most `budget` bytes, the verdict as JSON in its first line.

    What does not fit is dropped as whole sections, folded ones first, from the bottom, and the report says which. A
    verdict whose JSON alone would take half the budget keeps only the first of its longest lists in that line.
    """
    context = context or Context()
    first = _machine_line(verdict, budget // 2)
    on = f" on {code(_span(verdict.holdout.months))}" if verdict.holdout and context.kind == "judged" else ""
    title = f"{WORDS[verdict.verdict]}: {_title(verdict, context, code)}{on}"
    top = [first, f"## {MARKS[verdict.verdict]} {title}"]
    top += [_sentence(verdict.reason), *_alerts(verdict, context)]
    sections = [section for section in _sections(verdict, context) if section.text]
    last = [f"**Next**: {_next(verdict, context, prose, code)}"]
    last += [footer for footer in [_footer(verdict)] if footer]
    dropped: list[str] = []
    while True:
        note = [f"_Left out for length: {', '.join(dropped)}._"] if dropped else []
        text = "\n\n".join([*top, *(section.text for section in sections), *note, *last]) + "\n"
        if len(text.encode()) <= budget or not sections:
            return text
        folded = [place for place, section in enumerate(sections) if section.folded]
        dropped.insert(0, sections.pop(folded[-1] if folded else -1).name)


def terminal(verdict: Verdict, context: Context | None = None, *, width: int = 80, color: bool = False) -> str:
    """The same content as a card for a terminal of `width` columns; colour only where asked for."""
    context = context or Context()
    title = f"{SIGNS[verdict.verdict]} {WORDS[verdict.verdict].upper()}"
    head = cut(f"{title}  {_title(verdict, context, plain)}", width)
    if color:
        head = f"{COLORS[verdict.verdict]}{title}\x1b[0m{head[len(title) :]}"
    lines = [head, *_wrap(raised(plain(verdict.reason, 600)), width, "  ")]
    lines += [cut(f"  │ {line}", width) for line in _message_lines(context)[-LISTED:]]
    if context.override:
        lines += _wrap(f"let in by a person's word: {plain(context.override)}", width, "  ! ", "    ")
    if context.renamed_from:
        lines += _wrap(f"{RENAMED.lower()}: {plain(_unlike(context))}", width, "  ! ", "    ")
    if verdict.touched:
        lines += _wrap(f"judge touched: {_listing(verdict.touched, plain)}", width, "  ! ", "    ")
    if card := _number_card(verdict):
        lines += ["", *(cut(line, width) for line in card)]
    facts = [
        ("slices", _slices_line(_shown_slices(verdict), plain)),
        ("validation", "" if _panel(verdict) else _validation_line(context, plain)),
        ("learning", _learning_line(context, plain)),
        ("calibration", calibration_line(_shown_calibration(verdict))),
        ("data", _data_line(context, plain)),
        ("drift", _drift_line(context, plain)),
        ("trend", _trend_line(context, plain)),
        ("changed", _changed_line(context, plain)),
        ("stages", _stages_line(verdict.stages, plain)),
        ("holdout", _looks_line(verdict)),
        ("model", f"sha256:{plain(verdict.digests.model[:12])}" if verdict.digests.model else ""),
        ("next", _next(verdict, context, plain, plain)),
    ]
    lines.append("")
    for name, text in facts:
        if text:
            lines += _wrap(text, width, f"  {name:<12}", " " * 14)
    return "\n".join(lines) + "\n"


def with_context(text: str, context: Context) -> str:
    """A report with its context as a second line for machines, so that it can be shown again in any form."""
    first, _, rest = text.partition("\n")
    tree = json.dumps(dataclasses.asdict(context), allow_nan=False, separators=(",", ":"))
    tree = tree.replace("<", "\\u003c").replace(">", "\\u003e")
    return f"{first}\n{_CONTEXT}{tree}{_LAST}\n{rest}"


def context_of(text: str) -> Context:
    """The context in the second line of a stored report; an empty one where there is none."""
    from pydantic import TypeAdapter, ValidationError

    line = text.partition("\n")[2].partition("\n")[0]
    if not (line.startswith(_CONTEXT) and line.endswith(_LAST)):
        return Context()
    try:
        return TypeAdapter(Context).validate_json(line[len(_CONTEXT) : -len(_LAST)])
    except ValidationError:
        return Context()


def entries(note: str) -> list[tuple[dict[str, Any], str]]:
    """The reports of a note, in its order: the JSON of each first line, and the report with that line."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    for line in note.split("\n"):
        tree = _from_machine_line(line)
        if tree is not None:
            found.append((tree, []))
        if found:
            found[-1][1].append(line)
    return [(tree, "\n".join(lines).strip("\n") + "\n") for tree, lines in found]


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


_TAGS = str.maketrans({"<": "‹", ">": "›"})
_FIRST, _CONTEXT, _LAST = "<!-- pushforward ", "<!-- context ", " -->"


def _machine_line(verdict: Verdict, limit: int) -> str:
    verdict = dataclasses.replace(verdict, reason=shorten(verdict.reason, 2000))
    while True:
        text = json.dumps(json.loads(verdict.to_json()), separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\x7f", "\\u007f")
        counts = {name: len(getattr(verdict, name)) for name in ("slices", "touched", "stages")}
        longest = max(counts, key=lambda name: counts[name])
        if len(text) <= limit or counts[longest] == 0:
            return f"{_FIRST}{text}{_LAST}"
        rest = _worst_first(verdict.slices) if longest == "slices" else getattr(verdict, longest)
        shorter: dict[str, Any] = {longest: tuple(rest[: counts[longest] // 2])}
        verdict = dataclasses.replace(verdict, **shorter)


def _from_machine_line(line: str) -> dict[str, Any] | None:
    if not (line.startswith(_FIRST) and line.endswith(_LAST)):
        return None
    try:
        tree = json.loads(line[len(_FIRST) : -len(_LAST)])
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def _title(verdict: Verdict, context: Context, shown: Shown) -> str:
    this = shown((context.carried_to or verdict.commit)[:7] or "this change")
    if context.kind == "data-refused":
        return f"the data of {this} is refused"
    if context.kind == "training-failed":
        return f"training failed at {this}"
    if context.kind == "merge-conflict":
        return f"{shown(context.branch or verdict.ref)} conflicts with {shown(context.target)}"
    if context.kind == "carried":
        return f"nothing to train at {this}; the verdict on {shown(verdict.commit[:7])} stands"
    champion = shown(verdict.champion.version) if verdict.champion else "the champion"
    first, refresh = verdict.mode == "first", verdict.mode == "refresh"
    titles: dict[Outcome, str] = {
        "promote": f"{this} is no worse than {champion}" if refresh else f"{this} beats {champion}",
        "hold": f"{this} does not replace {champion}",
        "unknown": f"{this} is not shown to be {'as good as' if refresh else 'better than'} {champion}",
        "calibration-only": f"{this} differs from {champion} in level only",
        "identical": f"{this} predicts exactly what {champion} predicts",
        "invalid": f"{this} cannot be judged",
    }
    if first:
        titles["promote"] = f"{this} is the first model, judged against floors only"
        titles["hold"] = f"{this} would be the first model and does not meet the floors"
        titles["unknown"] = f"{this} would be the first model and is not shown to meet the floors"
    return titles[verdict.verdict]


def _span(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}" if months else ""


def _sentence(reason: str) -> str:
    text = raised(prose(reason))
    return text if text.endswith((".", "…")) else f"{text}."


def _alerts(verdict: Verdict, context: Context) -> list[str]:
    alerts = []
    if context.override:
        alerts.append(f"> [!WARNING]\n> **Let in by a person's word**, not by a verdict: {prose(context.override)}")
    if verdict.touched:
        listed = _listing(verdict.touched, code)
        alerts.append(
            "> [!WARNING]\n> **This change touches the judge**: "
            f"{listed}. It was judged by the judge it found, and its own counts from the next push on."
        )
    if context.renamed_from:
        alerts.append(f"> [!WARNING]\n> **{RENAMED}**: {prose(_unlike(context))}.")
    if context.message:
        alerts.append("\n".join(_indented(line) for line in _message_lines(context)))
    if verdict.clipped:
        alerts.append(
            f"> [!NOTE]\n> {verdict.clipped:,} predictions are so near 0 or 1 that their loss was capped at 1e-7."
        )
    return alerts


def _unlike(context: Context) -> str:
    return (
        f"it was not compared with {context.renamed_from}, the champion under the name before; "
        "it is in use nowhere until a person puts it to use"
    )


def _indented(line: str) -> str:
    # Indented code cannot be closed from inside; tags go too, for readers that are not parsers.
    return f"    {line.translate(_TAGS)}"


def _message_lines(context: Context) -> list[str]:
    lines = context.message.strip("\n").splitlines()[-40:]
    return [" " * min(len(line) - len(line.lstrip(" ")), 8) + plain(line, 300) for line in lines]


def _sections(verdict: Verdict, context: Context) -> list[_Section]:
    return [
        _Section("numbers", _number_table(verdict)),
        _Section("guards", _guards(verdict)),
        *_slice_sections(_shown_slices(verdict)),
        _Section("validation", "" if _panel(verdict) else _labelled("Validation", _validation_line(context, code))),
        _Section("learning", _labelled("Learning", _learning_line(context, code))),
        _Section("calibration", _labelled("Calibration", calibration_line(_shown_calibration(verdict)))),
        _Section("data", _labelled("Data", _data_line(context, code))),
        _Section("drift", _labelled("Drift", _drift_line(context, prose))),
        _Section("trend", _labelled("Trend", _trend_line(context, code))),
        _Section("curves", _charts(context), folded=True),
        _Section("changes", _labelled("Changed", _changed_line(context, code))),
        _Section("stages", _labelled("Stages", _stages_line(verdict.stages, code))),
        _Section("lineage", _labelled("Lineage", _lineage_line(verdict, code))),
        _Section("reproduce", _reproduce(verdict, context), folded=True),
    ]


def _labelled(name: str, text: str) -> str:
    return f"**{name}**: {text}." if text else ""


def _panel(verdict: Verdict) -> Validation | None:
    """The validation month's numbers, where they stand in for those of the holdout."""
    return None if verdict.numbers else verdict.validation


def _number_table(verdict: Verdict) -> str:
    if not verdict.numbers:
        return _validation_table(verdict)
    if verdict.numbers[0].gain is None:
        return _table(["metric", "this"], [[_name(number), figure(number.challenger)] for number in verdict.numbers])
    head = ["metric", "champion", "this", "gain", bounds_title(verdict.numbers), "asked", " "]
    rows = [[_name(one), *_figures(one), _asked(one), _mark(one, "✅", "❌", "❔")] for one in verdict.numbers]
    days = ""
    if verdict.clusters_better is not None:
        days = f" Better on {verdict.clusters_better} of {verdict.clusters} {verdict.cluster}s."
    smallest = ""
    if verdict.minimum_detectable is not None:
        smallest = f" A true gain of {verdict.minimum_detectable:.4f} is found in 4 of 5 such windows."
    note = (
        f"<sub>Holdout: {verdict.rows:,} rows, {verdict.clusters} {verdict.cluster}s. A positive gain is better. "
        f"Bounds are one-sided, paired by row, clustered by {verdict.cluster}.{days}{smallest}</sub>"
    )
    return f"{_table(head, rows)}\n\n{note}"


def _validation_table(verdict: Verdict) -> str:
    """What is shown freely: the validation month's numbers, of both models where they can be compared."""
    found = _panel(verdict)
    why = f"<sub>{prose(_sealed(verdict))}</sub>" if verdict.sealed else ""
    if found is None or not found.numbers:
        return why
    month, size = code(found.month), f"{found.rows:,} rows, {found.clusters} {prose(verdict.cluster)}s"
    if found.numbers[0].gain is None:
        table = _table(["metric", "this"], [[_name(number), figure(number.challenger)] for number in found.numbers])
        note = f"Validation month {month}: {size}, by a fit that had not seen it."
    else:
        head = ["metric", "champion", "this", "gain", bounds_title(found.numbers)]
        table = _table(head, [[_name(number), *_figures(number)] for number in found.numbers])
        better = ""
        if found.clusters_better is not None:
            better = f" Better on {found.clusters_better} of {found.clusters} {prose(verdict.cluster)}s."
        note = (
            f"Validation month {month}: {size}, by fits that had not seen it. A positive gain is better. Bounds are "
            f"one-sided, paired by row, clustered by {prose(verdict.cluster)}.{better}"
        )
    return f"{table}\n\n<sub>{note}</sub>" + (f"\n{why}" if why else "")


def _sealed(verdict: Verdict) -> str:
    """Why no number of the holdout is shown, and what that rests on."""
    spent = f"look {verdict.look.number} of {verdict.look.of} is taken; " if verdict.look else ""
    return (
        f"Holdout: {spent}its numbers stay sealed until it retires, since thirty exact answers are enough to fit it. "
        "On your honour: who has the data can compute them."
    )


def _name(number: Number) -> str:
    return f"{prose(number.name)} {'↓' if number.better == 'lower' else '↑'}"


def bounds_title(numbers: Iterable[Number]) -> str:
    """The confidence at which the bounds of these numbers hold, as a column's title."""
    alphas = [number.alpha for number in numbers if number.alpha is not None]
    return f"{percent.confidence(alphas[0], '.4g')} bounds" if alphas else "bounds"


def _figures(number: Number) -> list[str]:
    between = ""
    if number.low is not None and number.high is not None:
        between = f"{signed(number.low)} … {signed(number.high)}"
    gain = "" if number.gain is None else signed(number.gain)
    champion = "" if number.champion is None else figure(number.champion)
    return [champion, figure(number.challenger), gain, between]


def _asked(number: Number) -> str:
    return "" if number.bound is None else f"> {signed(number.bound) if number.bound else '0'}"


def _mark(number: Number, passed: str, failed: str, undecided: str) -> str:
    if number.bound is None:
        return ""
    if number.passed:
        return passed
    # The offset-adjusted gain is asked for as a point, so it is never in between.
    between = number.high is not None and number.high > number.bound and number.name != OFFSET_TITLE
    return undecided if between else failed


def _number_card(verdict: Verdict) -> list[str]:
    numbers = verdict.numbers
    on = f"on {plain(_span(verdict.holdout.months), 23)}" if verdict.holdout else ""
    if panel := _panel(verdict):
        numbers, on = panel.numbers, f"on {plain(panel.month, 7)}, validation"
    if not numbers:
        return []
    alone = numbers[0].gain is None
    head = ["this"] if alone else ["champion", "this", "gain"]
    rows, behind = [head], ["" if alone else bounds_title(numbers)]
    for number in numbers:
        champion, challenger, gain, between = _figures(number)
        rows.append([challenger] if alone else [champion, challenger, gain])
        behind.append("" if alone else f"{between} {_mark(number, '✓', '✗', '?')}")
    widths = [max(NUMBER_WIDTH, 1 + max(map(len, column))) for column in zip(*rows, strict=True)]
    named = [on, *(plain(number.name, NAME_WIDTH) for number in numbers)]
    lines = []
    for name, row, rest in zip(named, rows, behind, strict=True):
        figures = "".join(map(right, row, widths))
        lines.append(f"  {left(name, NAME_WIDTH)}{figures}   {rest}".rstrip())
    return lines


def _guards(verdict: Verdict) -> str:
    marks = {"pass": "✅", "fail": "❌", "undecided": "❔"}
    return "\n".join(f"- {marks[guard.outcome]} {prose(raised(guard.detail))}" for guard in verdict.guards)


def _worst_first(slices: Iterable[Slice]) -> list[Slice]:
    return sorted(slices, key=lambda one: (not one.harmed, not one.eligible, one.gain, one.column, one.value))


def _slices_line(slices: Sequence[Slice], shown: Shown) -> str:
    if not slices:
        return ""
    harmed, small = sum(one.harmed for one in slices), sum(not one.eligible for one in slices)
    worst = _worst_first(slices)[0]
    parts = [f"{harmed} of {len(slices)} shown to be worse"]
    if small:
        parts.append(f"{small} too small to tell")
    return f"{', '.join(parts)}; lowest {shown(f'{worst.column}={worst.value}')} {signed(worst.gain)}"


def _slice_sections(slices: Sequence[Slice]) -> list[_Section]:
    if not slices:
        return []
    ordered = _worst_first(slices)
    line = _labelled("Slices", _slices_line(slices, code))
    opened = _Section("slices", f"{line}\n\n{_slice_table(ordered[:SLICES_OPEN])}")
    rest = ordered[SLICES_OPEN:]
    if not rest:
        return [opened]
    summary = f"<details><summary>The other {len(rest)} slices</summary>"
    folded = f"{summary}\n\n{_slice_table(rest)}\n\n</details>"
    return [opened, _Section(f"the other {len(rest)} slices", folded, folded=True)]


def _slice_table(slices: Iterable[Slice]) -> str:
    rows = []
    for one in slices:
        between = "too small to tell"
        if one.low is not None and one.high is not None:
            between = f"{signed(one.low)} … {signed(one.high)}"
        name = code(f"{one.column}={one.value}")
        figures = [f"{one.rows:,}", figure(one.champion), figure(one.challenger), signed(one.gain)]
        rows.append([name, *figures, between, "❌" if one.harmed else ""])
    return _table(["slice", "rows", "champion", "this", "gain", "bounds", " "], rows)


def _validation_line(context: Context, shown: Shown) -> str:
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


def _learning_line(context: Context, shown: Shown) -> str:
    curve = context.learning_curve
    if not curve:
        return ""
    best = min(curve)
    return f"{shown(sparkline(curve))} {figure(curve[0])} to {figure(best)} in {curve.index(best) + 1} rounds"


def _looks_line(verdict: Verdict) -> str:
    if verdict.look is None:
        return "sealed until it retires" if verdict.sealed and verdict.verdict != "unknown" else ""
    again = ", the same question as before" if verdict.look.replayed else ""
    closed = "; sealed until it retires" if verdict.sealed else "; retired, its numbers are open"
    return f"look {verdict.look.number} of {verdict.look.of}{again}{closed}"


def _shown_slices(verdict: Verdict) -> tuple[Slice, ...]:
    panel = _panel(verdict)
    return panel.slices if panel else verdict.slices


def _shown_calibration(verdict: Verdict) -> Calibration | None:
    panel = _panel(verdict)
    return panel.calibration if panel else verdict.calibration


def calibration_line(found: Calibration | None) -> str:
    """What was predicted and what happened, as a sentence without a full stop."""
    if found is None:
        return ""
    text = f"mean prediction {found.challenger_mean:.3f} where {found.rate:.3f} happened"
    if found.champion_mean is not None:
        text += f" (champion {found.champion_mean:.3f})"
    text += f", expected calibration error {found.challenger_error:.3f}"
    return text + (f" (champion {found.champion_error:.3f})" if found.champion_error is not None else "")


def _data_line(context: Context, shown: Shown) -> str:
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


def _drift_line(context: Context, text: Shown) -> str:
    more = f" and {len(context.drift) - LISTED} more" if len(context.drift) > LISTED else ""
    return "; ".join(text(one, 200) for one in context.drift[:LISTED]) + more


def _trend_line(context: Context, shown: Shown) -> str:
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


def _charts(context: Context) -> str:
    """The curves as mermaid charts, for readers on a forge that draws them; the sparklines say the same."""
    charts = []
    if len(context.learning_curve) > 1:
        values = _picked(context.learning_curve)
        charts.append(
            _chart("Loss by round, validation month", [str(place) for place, _ in values], [v for _, v in values])
        )
    if len(context.trend) > 1:
        some = context.trend[-POINTS:]
        labels = _places([month for month, *_ in some])
        charts.append(_chart("Validation metric by version", labels, [value for *_, value in some]))
    if not charts:
        return ""
    return "<details><summary>Curves</summary>\n\n" + "\n\n".join(charts) + "\n\n</details>"


def _places(months: Sequence[str]) -> Sequence[str]:
    """The months, or numbers where one is unknown or comes twice: mermaid draws equal labels at one place."""
    if len(set(months)) == len(months) and all(MONTH.fullmatch(month) for month in months):
        return months
    return [str(place) for place in range(1, len(months) + 1)]


def _picked(values: Sequence[float]) -> list[tuple[int, float]]:
    places = sorted({round(step * (len(values) - 1) / (POINTS - 1)) for step in range(POINTS)})
    return [(place + 1, values[place]) for place in places]


def _chart(title: str, labels: Sequence[str], values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    lines = [
        "```mermaid",
        PALETTE,
        "xychart-beta",
        f'  title "{title}"',
        f"  x-axis [{', '.join(json.dumps(label) for label in labels)}]",
        f"  y-axis {low - margin:.6f} --> {high + margin:.6f}",
        f"  line [{', '.join(f'{value:.6f}' for value in values)}]",
        "```",
    ]
    return "\n".join(lines)


def _changed_line(context: Context, shown: Shown) -> str:
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


def _stages_line(stages: Sequence[Stage], shown: Shown) -> str:
    parts = []
    for outcome in ("failed", "ran", "restored"):
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


def _lineage_line(verdict: Verdict, shown: Shown) -> str:
    digests = dataclasses.asdict(verdict.digests)
    if verdict.holdout:
        digests["holdout"] = verdict.holdout.sha256
    parts = [f"{name} {shown('sha256:' + value[:12])}" for name, value in digests.items() if value]
    if verdict.champion:
        parts.append(f"champion {shown(verdict.champion.version)} at {shown(verdict.champion.commit[:7])}")
    if verdict.base:
        parts.append(f"base {shown(verdict.base[:7])}")
    return ", ".join(parts)


def _reproduce(verdict: Verdict, context: Context) -> str:
    command = context.reproduce or (
        f"git fetch && git switch --detach {verdict.commit} && dvc pull && dvc repro" if verdict.commit else ""
    )
    if not command or context.kind == "merge-conflict":
        return ""
    expected = f"\n\nThe same bytes are expected: model {code('sha256:' + verdict.digests.model)}."
    body = f"{_indented(plain(command, 1000))}{expected if verdict.digests.model else ''}"
    return f"<details><summary>Reproduce</summary>\n\n{body}\n\n</details>"


def _next(verdict: Verdict, context: Context, text: Shown, shown: Shown) -> str:
    step = text(context.next_step or NEXT[verdict.verdict], 600)
    made = context.next_version if verdict.verdict == "promote" else ""
    version = f" as {shown(made)}" if made else ""
    command = f": {shown(context.next_command, 300)}" if context.next_command else ""
    return f"{step}{version}{command}"


def _footer(verdict: Verdict) -> str:
    if not verdict.rules:
        return ""
    rules = ", ".join(f"{plain(key)} {plain(_setting(value))}" for key, value in verdict.rules.items())
    took = f"; judged in {verdict.seconds:.1f} s" if verdict.seconds else ""
    return f"<sub>mode {verdict.mode}, from what differs; gate: {prose(rules)}{took}</sub>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _setting(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


def _listing(items: Sequence[str], shown: Shown) -> str:
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(shown(item) for item in items[:LISTED]) + more


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def _wrap(text: str, width: int, first: str, rest: str | None = None) -> list[str]:
    rest = first if rest is None else rest
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return [cut(line, width) for line in lines]
