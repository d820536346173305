"""An explanation as lines of at most 80 columns. Pure."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pushforward.explaining.explain import Explanation, Part, Told
from pushforward.explaining.told import Value
from pushforward.text import cut, figure, left, plain, right, signed

WIDTH = 80
NAME = 30
FIGURE = 13
PARTS = 12  # contributions that are listed; the rest is one line
LINES = 24  # of a step; of a longer one those that move the prediction most
LEFT_OUT = (
    "what came later, and what came to be known of other rows in use, is told to neither model, so each may predict "
    "another number than for the judge"
)
LINKS = {"logit": "log odds", "log": "its logarithm", "identity": "its own unit"}


def terminal(found: Explanation) -> str:
    """The whole of it."""
    sides = [one for one in (found.champion, found.challenger) if one is not None]
    lines = [f"{plain(found.key, 60)}, {found.model}", *_wrap(_about(found), "  ")]
    lines += ["", "the row", *(_pair(name, shown(value)) for name, value in found.row)]
    lines += ["", *_known(found)]
    most = {name for name, _, _ in parts(sides)[: PARTS + 1]}
    for name, beside, told in steps(sides):
        shorter = [row for row in told if row.name in most][:LINES] or told[:LINES] if len(told) > LINES else told
        lines += ["", _head(name, beside), *map(_line, shorter)]
        if rest := len(told) - len(shorter):
            lines.append(f"  {rest} more, which --json and --html have")
    for part in (list(_contributions(sides)), list(_predictions(found, sides))):
        lines += ["", *part] if part else []
    for side in sides:
        for doubt in side.doubts:
            lines += _wrap(f"{side.name}: {doubt}", "  ! ", "    ")
    return "\n".join(cut(line.rstrip(), WIDTH) for line in lines).rstrip() + "\n"


def _about(found: Explanation) -> str:
    of = f", of {found.batch}" if found.batch else ""
    who = found.challenger.name if found.champion is None else f"{found.challenger.name} beside {found.champion.name}"
    return f"in {found.where}{of}; by the code of {who}"


def _known(found: Explanation) -> list[str]:
    known = found.known
    if known is None:
        return ["what was known when is not told: rows have no moment (holdout.time)"]
    lines = [f"known when it was asked, {known.at}"]
    if not known.known and not known.later and not known.closed:
        return [*lines, "  no events are told of it"]
    lines.append(_pair("events known", f"{known.known:,}, the newest {known.newest}" if known.known else "none"))
    if known.later is not None:
        lines.append(_pair("not known yet", f"{known.later:,}, the first {known.next}" if known.later else "none"))
    for one in known.own:
        mark = "known  " if one.known else "not yet"
        lines.append(cut(f"  {mark}  {one.known_at}  {one.says}", WIDTH))
    if known.closed:
        lines += _wrap(f"{LEFT_OUT}: {known.closed}", "  ")
    return lines


class Row(NamedTuple):
    """A line of a step: the value of each side, or of a list of events none, and what is to be known beside."""

    name: str
    cells: list[str]
    note: str


def steps(sides: Sequence[Told]) -> list[tuple[str, list[str], list[Row]]]:
    """Each step: its name, whose values stand in its columns, and its lines.

    Side by side where names are there once, in one column where both say the same; where they are not it is a list, of
    the last side that has one. Units and notes are the last side's that has some.
    """
    names = dict.fromkeys(str(step["name"]) for side in reversed(sides) for step in side.steps if step["rows"])
    return [(name, *_step(name, sides)) for name in names]


def _step(name: str, sides: Sequence[Told]) -> tuple[list[str], list[Row]]:
    tables = [[line for step in side.steps if step["name"] == name for line in step["rows"]] for side in sides]
    known = [{line["name"]: line for line in one} for one in tables]
    if any(len(mine) < len(one) for mine, one in zip(known, tables, strict=True)):
        last = next(one for one in reversed(tables) if one)
        return [], [Row(line["name"], [], _valued(line)) for line in last]
    rows = []
    for key in dict.fromkeys(key for one in reversed(known) for key in one):
        found = [one.get(key) for one in known]
        told = next(line for line in reversed(found) if line is not None)
        note = "  ".join(filter(None, (told["unit"], told["note"])))
        rows.append(Row(key, [shown(line["value"]) if line else "–" for line in found], note))
    if len(sides) > 1 and _same(rows):
        return ["both"], [Row(row.name, row.cells[:1], row.note) for row in rows]
    return [side.name for side in sides], rows


def _same(rows: Sequence[Row]) -> bool:
    return all(len(set(row.cells)) == 1 for row in rows)


def parts(sides: Sequence[Told]) -> list[tuple[str, list[float | None], str]]:
    """Base, then what moved the prediction most, by the larger of the two: name, what it adds for each, its value."""
    if not any(side.parts for side in sides):
        return []
    known = [_named(one.parts) for one in sides]
    names = dict.fromkeys(name for one in reversed(known) for name in one)
    order = sorted(names, key=lambda name: -max(abs(one[name].contribution) for one in known if name in one))
    found: list[tuple[str, list[float | None], str]] = [("base", [one.base for one in sides], "")]
    for name in order:
        mine = [one.get(name) for one in known]
        value = next(part.value for part in reversed(mine) if part is not None)
        found.append((name[0], [part.contribution if part else None for part in mine], shown(value)))
    return found


def _named(told: Sequence[Part]) -> dict[tuple[str, int], Part]:
    """Parts by their name and which of that name each is: a name that was too long, say, may be there twice."""
    seen, found = Counter[str](), {}
    for part in told:
        found[part.name, seen[part.name]] = part
        seen[part.name] += 1
    return found


def explained(sides: Sequence[Told]) -> list[str]:
    """Which prediction the parts add up to, where there are several: a sentence, or one for each side."""
    if all(len(side.predicted) < 2 for side in sides):
        return []
    told = [side for side in sides if side.of]
    if len({side.of for side in told}) == 1:
        return [f"of {told[0].of}"]
    return [f"{side.name}: of {side.of}" for side in told]


def _valued(line: Mapping[str, Value]) -> str:
    told = " ".join(filter(None, ("" if line["value"] is None else shown(line["value"]), str(line["unit"] or ""))))
    return "  ".join(filter(None, (told, str(line["note"] or ""))))


def _head(name: str, sides: Sequence[str]) -> str:
    return f"{left(cut(name, NAME + 2), NAME + 2)}{''.join(right(cut(one, FIGURE), FIGURE + 1) for one in sides)}"


def _line(row: Row) -> str:
    values = "".join(right(cut(one, FIGURE), FIGURE + 1) for one in row.cells)
    return cut(f"  {left(cut(row.name, NAME), NAME)}{values}  {row.note}".rstrip(), WIDTH)


def _contributions(sides: Sequence[Told]) -> Iterator[str]:
    """The parts that move it most, the sum of the others, and all together."""
    found = parts(sides)
    if not found:
        return
    links = dict.fromkeys(LINKS[one.link] for one in sides if one.link)
    yield _head(f"what adds to it, in {' and '.join(links)}", [one.name for one in sides])
    for line in explained(sides):
        yield from _wrap(line, "  ", "    ")
    for name, adds, value in found[: PARTS + 1]:
        yield _figures(name, adds, f"  at {value}" if value else "")
    if rest := found[PARTS + 1 :]:
        yield _figures(f"{len(rest)} more", _sums(rest, sides))
    yield _figures("together", _sums(found, sides))


def _sums(found: Sequence[tuple[str, list[float | None], str]], sides: Sequence[Told]) -> list[float | None]:
    return [
        math.fsum(adds[place] or 0.0 for _, adds, _ in found) if side.parts else None
        for place, side in enumerate(sides)
    ]


def _predictions(found: Explanation, sides: Sequence[Told]) -> Iterator[str]:
    yield _head("the prediction", [one.name for one in sides])
    columns = dict.fromkeys(name for side in sides for name in side.predicted)
    for name in columns:
        yield _figures(name, [side.predicted.get(name) for side in sides], sign=False)
    for name in columns:
        if any(name in side.validated for side in sides):
            yield _figures(f"{name}, validated", [side.validated.get(name) for side in sides], sign=False)
    if any(side.validated for side in sides):
        yield from _wrap("validated: by the fit that had not seen this month, as the report has it", "    ")
    for side in sides:
        if side.trained:
            yield from _wrap(f"{side.name} has trained on {found.batch}: it may know this row by heart", "    ")
    if found.sealed:
        yield from _wrap(f"label and loss are not told: {found.sealed}", "  ")
    elif found.label is None:
        yield "  label: none is known"
    else:
        yield _pair(f"label, {found.label_name}", shown(found.label))
        if any(side.loss is not None for side in sides):
            yield _figures(found.loss_name, [side.loss for side in sides], sign=False)


def _figures(name: str, values: Sequence[float | None], more: str = "", *, sign: bool = True) -> str:
    shown = ("–" if one is None else signed(one) if sign else figure(one) for one in values)
    return cut(f"  {left(cut(name, NAME), NAME)}{''.join(right(one, FIGURE + 1) for one in shown)}{more}", WIDTH)


def _pair(name: str, value: str) -> str:
    return cut(f"  {left(cut(name, NAME), NAME)}  {value}", WIDTH)


def shown(value: Value) -> str:
    """A value as people read it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}".replace("-", "−") if value.is_integer() and abs(value) < 1e7 else figure(value)
    return str(value).replace("-", "−") if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _wrap(text: str, first: str, rest: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest or first,
        break_on_hyphens=False,
        break_long_words=True,
    )
