"""Markdown of a verdict; pure, knows no forge.

Every text that a pusher can choose (branch, file, parameter, slice, message) passes `code`, `prose` or `plain` on its
way in, so that a report can neither be forged nor broken out of, ping a person, or move a terminal's cursor.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pushforward import params
from pushforward.gate.verdict import LEVEL, Number, Outcome, Slice, Verdict, by_limits, worst_first
from pushforward.report import moved, words
from pushforward.report.note import Context
from pushforward.text import between, capital, code, figure, plain, plural, prose, sample, sentence, signed, table

BUDGET = 60_000
SLICES_OPEN = 6
POINTS = 10
MONTH = re.compile(r"\d{4}-\d\d")
# Mermaid's own first colour is all but white on white; these are seen on white and on black.
PALETTE = '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "COLORS"}}}}%%'
THIS, CHAMPION = "#2f81f7", "#bb8009"


MARKS: dict[Outcome, str] = {
    "promote": "✅",
    "hold": "⛔",
    "unknown": "❔",
    "calibration-only": "❔",
    "identical": "➖",
    "invalid": "❌",
    "measured": "📏",
}


@dataclass(frozen=True)
class _Section:
    name: str
    text: str
    folded: bool = False


def markdown(verdict: Verdict, context: Context | None = None, *, budget: int = BUDGET) -> str:
    """The report as GitHub-flavoured markdown of at most `budget` bytes.

    What does not fit is dropped as whole sections, folded ones first, from the bottom, and the report says which.
    """
    context = context or Context()
    told = words.span(verdict.holdout) if context.kind == "judged" else ""
    on = f" on {code(told)}" if told else ""
    title = f"{words.WORDS[verdict.verdict]}: {words.title(verdict, context, code)}{on}"
    top = [f"## {MARKS[verdict.verdict]} {title}"]
    top += [sentence(prose(verdict.reason)), *_alerts(verdict, context)]
    top.append(f"**Next**: {words.next_step(verdict, context, prose, code)}")
    sections = [section for section in _sections(verdict, context) if section.text]
    last = [footer for footer in [_footer(verdict)] if footer]
    dropped: list[str] = []
    while True:
        note = [f"_Left out for length: {', '.join(dropped)}._"] if dropped else []
        text = "\n\n".join([*top, *(section.text for section in sections), *note, *last]) + "\n"
        if len(text.encode()) <= budget or not sections:
            return text
        folded = [place for place, section in enumerate(sections) if section.folded]
        dropped.insert(0, sections.pop(folded[-1] if folded else -1).name)


_TAGS = str.maketrans({"<": "‹", ">": "›"})


def _alerts(verdict: Verdict, context: Context) -> list[str]:
    alerts = []
    if context.override:
        alerts.append(f"> [!WARNING]\n> **Let in by a person's word**, not by a verdict: {prose(context.override)}")
    if context.review:
        alerts.append(words.review_alert(context, prose))
    if verdict.touched:
        listed = words.listing(verdict.touched, code)
        alerts.append(
            "> [!WARNING]\n> **This change touches the judge**: "
            f"{listed}. It was judged by the judge it found, and its own counts from the next push on."
        )
    if context.renamed_from:
        alerts.append(f"> [!WARNING]\n> **{words.RENAMED}**: {prose(words.unlike(context))}.")
    alerts += [f"> [!NOTE]\n> {prose(sentence(capital(remark)))}" for remark in words.remarks(verdict, context)]
    if context.message:
        alerts.append("\n".join(_indented(line) for line in words.message_lines(context)))
    if verdict.clipped:
        alerts.append(
            f"> [!NOTE]\n> {verdict.clipped:,} predictions are so near 0 or 1 that their loss was capped at 1e-7."
        )
    return alerts


def _indented(line: str) -> str:
    # Indented code cannot be closed from inside; tags go too, for readers that are not parsers.
    return f"    {line.translate(_TAGS)}"


def _sections(verdict: Verdict, context: Context) -> list[_Section]:
    return [
        _Section("numbers", _number_table(verdict)),
        _Section("measured", _measured(context)),
        _Section("guards", _guards(verdict)),
        *_slice_sections(words.shown_slices(verdict)),
        _Section(
            "validation", "" if words.panel(verdict) else _labelled("Validation", words.validation_line(context, code))
        ),
        _Section("rows", _moved(verdict, context), folded=True),
        _Section("learning", _labelled("Learning", words.learning_line(context, code))),
        _Section("calibration", _labelled("Calibration", words.calibration_line(words.shown_calibration(verdict)))),
        _Section("epoch", _labelled("Holdout", words.epoch_line(verdict, code))),
        _Section("data", _labelled("Data", words.data_line(context, code))),
        _Section("drift", _labelled("Drift", words.drift_line(context, prose))),
        _Section("trend", _labelled("Trend", words.trend_line(context, code))),
        _Section("curves", _charts(context), folded=True),
        _Section("changes", _labelled("Changed", words.changed_line(context, code))),
        _Section("stages", _labelled("Stages", words.stages_line(verdict.stages, code))),
        _Section("lineage", _lineage(verdict), folded=True),
        _Section("reproduce", _reproduce(verdict, context), folded=True),
    ]


def _moved(verdict: Verdict, context: Context) -> str:
    """The rows of the validation month that gained and lost most, and what explains each."""
    if not context.moved:
        return ""
    head = ["row", "label", "champion", "this", "gain"]
    rows = [[code(one.key), *map(prose, moved.cells(one))] for one in context.moved]
    asked = code(moved.command(context.moved[-1].key, verdict.commit, context.model))
    note = f"<sub>Rows of the validation month whose loss has changed most. Step by step: {asked}</sub>"
    return f"<details><summary>Rows that gained and lost most</summary>\n\n{table(head, rows)}\n\n{note}\n\n</details>"


def _labelled(name: str, text: str) -> str:
    return f"**{name}**: {text}." if text else ""


def _number_table(verdict: Verdict) -> str:
    if not verdict.numbers:
        return _validation_table(verdict)
    if verdict.numbers[0].gain is None:
        return table(["metric", "this"], [[_name(number), figure(number.challenger)] for number in verdict.numbers])
    head = ["metric", "champion", "this", "gain", words.bounds_title(verdict.numbers), "asked", " "]
    rows = [
        [_name(one), *words.figures(one), _asked(one), words.mark(one, "✅", "❌", "❔")] for one in verdict.numbers
    ]
    days = ""
    if verdict.clusters_better is not None:
        days = f" Better on {verdict.clusters_better} of {verdict.clusters} {plural(verdict.cluster)}."
    smallest = ""
    if verdict.minimum_detectable is not None:
        smallest = f" A true gain of {figure(verdict.minimum_detectable)} is found in 4 of 5 such windows."
    note = (
        f"<sub>{words.asked_of(verdict)}: {sample(verdict.rows, verdict.clusters, verdict.cluster)}. A positive gain "
        f"is better. Bounds are one-sided, paired by row{words.clustered(verdict)}.{days}{smallest}</sub>"
    )
    return f"{table(head, rows)}\n\n{note}"


def _measured(context: Context) -> str:
    """What the run wrote, beside what that of the target branch wrote."""
    if not context.measured:
        return ""
    rows = [[code(name), *cells] for name, *cells in words.measured(context)]
    more = f" {words.unlisted(context)}." if words.unlisted(context) else ""
    note = f"<sub>{sentence(capital(words.written(context, code)))}{more}</sub>"
    return f"{table(['number', 'old', 'new'], rows)}\n\n{note}"


def _validation_table(verdict: Verdict) -> str:
    """What is shown freely: the validation month's numbers, of both models where they can be compared."""
    found = words.panel(verdict)
    why = f"<sub>{prose(words.sealed(verdict))}</sub>" if verdict.sealed else ""
    if found is None or not found.numbers:
        return why
    size = prose(sample(found.rows, found.clusters, verdict.cluster))
    on = f"Validation {params.noun((found.month,))} {code(found.month)}" if found.month else "Validation rows"
    if found.numbers[0].gain is None:
        rows = table(["metric", "this"], [[_name(number), figure(number.challenger)] for number in found.numbers])
        note = f"{on}: {size}, by a fit that had not seen it."
    else:
        head = ["metric", "champion", "this", "gain", words.bounds_title(found.numbers)]
        rows = table(head, [[_name(number), *words.figures(number)] for number in found.numbers])
        better = ""
        if found.clusters_better is not None:
            better = f" Better on {found.clusters_better} of {found.clusters} {prose(plural(verdict.cluster))}."
        note = (
            f"{on}: {size}, by fits that had not seen it. A positive gain is better. Bounds are "
            f"one-sided, paired by row{prose(words.clustered(verdict))}.{better}"
        )
    return f"{rows}\n\n<sub>{note}</sub>" + (f"\n{why}" if why else "")


def _name(number: Number) -> str:
    return f"{prose(number.name)} {'↓' if number.better == 'lower' else '↑'}"


def _asked(number: Number) -> str:
    return "" if number.bound is None else f"> {signed(number.bound) if number.bound else '0'}"


def _guards(verdict: Verdict) -> str:
    marks = {"pass": "✅", "fail": "❌", "undecided": "❔"}
    return "\n".join(f"- {marks[guard.outcome]} {prose(capital(guard.detail))}" for guard in verdict.guards)


def _slice_sections(slices: Sequence[Slice]) -> list[_Section]:
    if not slices:
        return []
    ordered = worst_first(slices)
    line = _labelled("Slices", words.slices_line(slices, code))
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
        name = code(f"{one.column}={one.value}")
        figures = [f"{one.rows:,}", figure(one.champion), figure(one.challenger), signed(one.gain)]
        rows.append([name, *figures, between(one.low, one.high) or "too small to tell", "❌" if one.harmed else ""])
    return table(["slice", "rows", "champion", "this", "gain", "bounds", " "], rows)


def _charts(context: Context) -> str:
    """The curves as mermaid charts, for readers on a forge that draws them; the sparklines say the same."""
    charts = []
    if len(context.learning_curve) > 1:
        charts.append(_learning(context))
    if len(context.trend) > 1:
        some = context.trend[-POINTS:]
        labels = _places([month for month, *_ in some])
        charts.append(_chart("Validation metric by version", labels, {THIS: [value for *_, value in some]}))
    if not charts:
        return ""
    return "<details><summary>Curves</summary>\n\n" + "\n\n".join(charts) + "\n\n</details>"


def _places(months: Sequence[str]) -> Sequence[str]:
    """The months, or numbers where one is unknown or comes twice: mermaid draws equal labels at one place."""
    if len(set(months)) == len(months) and all(MONTH.fullmatch(month) for month in months):
        return months
    return [str(place) for place in range(1, len(months) + 1)]


def _learning(context: Context) -> str:
    """The loss by round of this model and of the champion, as far as both have come: mermaid draws no gap."""
    mine, theirs = context.learning_curve, context.champion_learning_curve
    batch = params.noun((context.validation_month,)) if context.validation_month else "month"
    title = f"Loss by round, validation {batch}"
    if len(theirs) < 2:
        places = _picked(len(mine))
        return _chart(title, [str(place + 1) for place in places], {THIS: [mine[place] for place in places]})
    places = _picked(min(len(mine), len(theirs)))
    lines = {THIS: [mine[place] for place in places], CHAMPION: [theirs[place] for place in places]}
    return _chart(f"{title} (blue: this, amber: champion)", [str(place + 1) for place in places], lines)


def _picked(count: int) -> list[int]:
    return sorted({round(step * (count - 1) / (POINTS - 1)) for step in range(POINTS)})


def _chart(title: str, labels: Sequence[str], drawn: Mapping[str, Sequence[float]]) -> str:
    """A chart of lines, by their colours."""
    values = [value for line in drawn.values() for value in line]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    lines = [
        "```mermaid",
        PALETTE.replace("COLORS", ", ".join(drawn)),
        "xychart-beta",
        f'  title "{title}"',
        f"  x-axis [{', '.join(json.dumps(label) for label in labels)}]",
        f"  y-axis {low - margin:.6f} --> {high + margin:.6f}",
        *(f"  line [{', '.join(f'{value:.6f}' for value in line)}]" for line in drawn.values()),
        "```",
    ]
    return "\n".join(lines)


def _lineage(verdict: Verdict) -> str:
    text = _lineage_line(verdict, code)
    return f"<details><summary>Lineage</summary>\n\n{text}.\n\n</details>" if text else ""


def _lineage_line(verdict: Verdict, shown: words.Shown) -> str:
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


def _footer(verdict: Verdict) -> str:
    if not verdict.rules:
        return ""
    took = f"; judged in {verdict.seconds:.1f} s" if verdict.seconds else ""
    if by_limits(verdict):
        return f"<sub>level {prose(str(verdict.rules[LEVEL]))}{took}</sub>"
    rules = ", ".join(f"{plain(key)} {plain(_setting(value))}" for key, value in verdict.rules.items())
    return f"<sub>mode {verdict.mode}, from what differs; gate: {prose(rules)}{took}</sub>"


def _setting(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)
