"""The card of a verdict for a terminal; pure."""

import textwrap

from pushforward.gate.verdict import Outcome, Verdict, by_limits
from pushforward.report import moved, words
from pushforward.report.note import Context
from pushforward.text import capital, cut, left, plain, right

GUARDS = {"pass": "✓", "fail": "✗", "undecided": "?"}
NAME_WIDTH, NUMBER_WIDTH, MEASURED_WIDTH = 26, 9, 50
COLORS: dict[Outcome, str] = {
    "promote": "\x1b[1;32m",
    "hold": "\x1b[1;31m",
    "unknown": "\x1b[1;33m",
    "calibration-only": "\x1b[1;33m",
    "identical": "\x1b[1;36m",
    "invalid": "\x1b[1;31m",
    "measured": "\x1b[1;36m",
}


def terminal(verdict: Verdict, context: Context | None = None, *, width: int = 80, color: bool = False) -> str:
    """The same content as a card for a terminal of `width` columns; colour only where asked for."""
    context = context or Context()
    title = f"{words.SIGNS[verdict.verdict]} {words.WORDS[verdict.verdict].upper()}"
    head = cut(f"{title}  {words.title(verdict, context, plain)}", width)
    if color:
        head = f"{COLORS[verdict.verdict]}{title}\x1b[0m{head[len(title) :]}"
    lines = [head, *_wrap(capital(plain(verdict.reason, 600)), width, "  ")]
    lines += [cut(f"  │ {line}", width) for line in words.message_lines(context)[-words.LISTED :]]
    if context.override:
        lines += _wrap(f"let in by a person's word: {plain(context.override)}", width, "  ! ", "    ")
    if context.review:
        lines += _wrap(plain(context.review, 600), width, "  ! ", "    ")
    if context.renamed_from:
        lines += _wrap(f"{words.RENAMED.lower()}: {plain(words.unlike(context))}", width, "  ! ", "    ")
    if verdict.touched:
        lines += _wrap(f"judge touched: {words.listing(verdict.touched, plain)}", width, "  ! ", "    ")
    for remark in words.remarks(verdict, context):
        lines += _wrap(plain(remark, 600), width, "  ! ", "    ")
    if context.measured:
        lines += ["", *(cut(line, width) for line in _measured(context))]
    for guard in verdict.guards if by_limits(verdict) else ():
        lines += _wrap(plain(guard.detail), width, f"  {GUARDS[guard.outcome]} ", "    ")
    if card := _number_card(verdict):
        lines += ["", *(cut(line, width) for line in card)]
    facts = [
        ("slices", words.slices_line(words.shown_slices(verdict), plain)),
        ("validation", "" if words.panel(verdict) else words.validation_line(context, plain)),
        ("rows", moved.line(verdict, context)),
        ("learning", words.learning_line(context, plain)),
        ("calibration", words.calibration_line(words.shown_calibration(verdict))),
        ("data", words.data_line(context, plain)),
        ("drift", words.drift_line(context, plain)),
        ("trend", words.trend_line(context, plain)),
        ("changed", words.changed_line(context, plain)),
        ("stages", words.stages_line(verdict.stages, plain)),
        ("epoch", words.epoch_line(verdict, plain).removeprefix("epoch ")),
        ("holdout", _looks_line(verdict)),
        ("model", f"sha256:{plain(verdict.digests.model[:12])}" if verdict.digests.model else ""),
        ("next", words.next_step(verdict, context, plain, plain)),
    ]
    lines.append("")
    for name, text in facts:
        if text:
            lines += _wrap(text, width, f"  {name:<12}", " " * 14)
    return "\n".join(lines) + "\n"


def _number_card(verdict: Verdict) -> list[str]:
    numbers = verdict.numbers
    on = f"on {plain(told, 23)}" if (told := words.span(verdict.holdout)) else ""
    if found := words.panel(verdict):
        numbers, on = found.numbers, f"on {plain(found.month, 7)}, validation" if found.month else "validation"
    if not numbers:
        return []
    alone = numbers[0].gain is None
    head = ["this"] if alone else ["champion", "this", "gain"]
    rows, behind = [head], ["" if alone else words.bounds_title(numbers)]
    for number in numbers:
        champion, challenger, gain, between = words.figures(number)
        rows.append([challenger] if alone else [champion, challenger, gain])
        behind.append("" if alone else f"{between} {words.mark(number, '✓', '✗', '?')}")
    widths = [max(NUMBER_WIDTH, 1 + max(map(len, column))) for column in zip(*rows, strict=True)]
    named = [on, *(plain(number.name, NAME_WIDTH) for number in numbers)]
    lines = []
    for name, row, rest in zip(named, rows, behind, strict=True):
        figures = "".join(map(right, row, widths))
        lines.append(f"  {left(name, NAME_WIDTH)}{figures}   {rest}".rstrip())
    return lines


def _measured(context: Context) -> list[str]:
    rows = [("as the run wrote it", "old", "new"), *words.measured(context)]
    wide = min(max(len(name) for name, *_ in rows), MEASURED_WIDTH)
    lines = [f"  {left(plain(name, wide), wide)}{right(old, 13)}{right(new, 13)}" for name, old, new in rows]
    return lines + ([f"  {words.unlisted(context)}"] if words.unlisted(context) else [])


def _looks_line(verdict: Verdict) -> str:
    if verdict.look is None:
        return "sealed until it retires" if verdict.sealed and verdict.verdict != "unknown" else ""
    again = ", the same question as before" if verdict.look.replayed else ""
    closed = "; sealed until it retires" if verdict.sealed else "; retired, its numbers are open"
    made = f"; {told.removesuffix(' on this holdout')}" if (told := words.promotion(verdict)) else ""
    return f"look {verdict.look.number} of {verdict.look.of}{again}{made}{closed}"


def _wrap(text: str, width: int, first: str, rest: str | None = None) -> list[str]:
    rest = first if rest is None else rest
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return [cut(line, width) for line in lines]
