"""What a look has found, in words: markdown for git, pages and pull requests, a few lines for a terminal. Pure."""

from collections.abc import Iterator

from pushforward import percent, text
from pushforward.monitoring.interval import Interval
from pushforward.monitoring.live import Live
from pushforward.monitoring.outcomes import span
from pushforward.monitoring.record import Record
from pushforward.text import figure, prose

SIGNS = {"fine": "✓", "watch": "?", "retrain": "!"}


def title(found: Record) -> str:
    """The decision in one line."""
    reason = found.reason or "nothing speaks against it"
    return f"{found.decision}: {found.version} in {found.environment}: {reason}"


def lines(found: Record) -> list[str]:
    """For a terminal: the decision, what it rests on, and what may be done."""
    told = [f"{SIGNS[found.decision]} {title(found)}"]
    told += [f"  {reason.words}" for reason in found.reasons[1:]]
    told += [f"  {name}: {value}" for name, value in numbers(found)]
    told += [f"  next: {found.step}"] if found.step else []
    return [text.uncommanding(line) for line in told]


def markdown(found: Record) -> str:
    """The report of a look."""
    head = f"## {SIGNS[found.decision]} {found.decision}: {text.code(found.version)} in {text.code(found.environment)}"
    parts = [head, f"Looked at {found.at:%Y-%m-%d %H:%M} UTC."]
    why = [f"- {prose(text.sentence(reason.words))} ({reason.rule})" for reason in found.reasons]
    parts.append("\n".join(why) if why else "Nothing speaks against it.")
    parts.append(text.table(("", ""), [(prose(name), prose(value)) for name, value in numbers(found)], numbers=False))
    parts += _tables(found)
    if found.step:
        parts.append(f"Next: {prose(found.step)}")
    return "\n\n".join(parts) + "\n"


def _tables(found: Record) -> Iterator[str]:
    """The slices, and the columns that were held against training."""
    if found.live is not None and found.live.parts:
        parts = found.live.parts
        names = [f"{prose(part.column)} {prose(part.value)}" for part in parts]
        rows = [(name, figure(part.loss), prose(_bounds(part.over))) for name, part in zip(names, parts, strict=True)]
        yield text.table(("slice", "live loss", "beyond what is allowed"), rows)
    told = found.predicted.looked if found.predicted is not None else ()
    far = [one for one in (*found.drift, *told) if one.far]
    if far:
        rows = [(prose(one.column or "rows"), prose(one.kind), prose(one.words)) for one in far]
        yield text.table(("column", "what", "how far"), rows, numbers=False)


def numbers(found: Record) -> Iterator[tuple[str, str]]:
    """What the decision rests on, by name."""
    if found.promise is not None:
        yield f"promised {found.metric}", f"{figure(found.promise.loss)} on {found.promise.of}"
    if found.live is not None:
        yield from _live(found, found.live)
    ages = found.ages
    yield "version", f"{span(ages.version)} old"
    if ages.batch is not None:
        yield "newest month trained on", f"ended {span(ages.batch)} ago"
    yield "last answer", f"{span(ages.answer)} old" if ages.answer is not None else "none"
    if found.drift:
        columns, far = {one.column for one in found.drift}, {one.column or "rows" for one in found.drift if one.far}
        named = f", further than they may be: {', '.join(sorted(far))}" if far else ", none further than it may be"
        yield "inputs", f"{len(columns - {''})} held against training{named}"
    if found.predicted is not None:
        far = {one.column for one in found.predicted.looked if one.far}
        named = "" if not found.predicted.looked else f", {'further' if far else 'no further'} than they may be"
        yield "predictions", f"held against {found.predicted.against}{named}"
    if found.waiting:
        yield "not trained on yet", ", ".join(found.waiting)


def _live(found: Record, live: Live) -> Iterator[tuple[str, str]]:
    wait = live.wait.words
    if live.loss is not None:
        counted = f"{live.loss.rows:,} answers of {live.loss.clusters} {text.plural(live.cluster)}"
        yield f"live {found.metric}", f"{figure(live.loss.mean)} ({_interval(live.loss, live)}; {counted})"
    if live.begun:
        gone = "were counted, of which the first or their outcomes are there no more"
        yield f"answers from {live.begun} on", f"{gone}: only what is lost lately can be proven"
    if live.naive is not None:
        yield "over all that is known", f"{figure(live.naive)} ({live.naive_rows:,} answers), which counts the early"
    yield "outcomes", wait
    young = live.asked - live.old
    missing = f", {live.missing:,} of the older have none" if live.missing else ""
    yield "answers", f"{live.asked:,}, of which {young:,} are younger{missing}"
    if live.skill is not None:
        promised = found.promise.skill if found.promise is not None else None
        said = f"; promised were {percent.share(promised)}" if promised is not None else ""
        yield "of the best constant's loss it takes", f"{percent.share(live.skill)}{said}"
    if live.bias is not None:
        said = f", calibration error {live.calibration_error:.4f}" if live.calibration_error is not None else ""
        yield "mean probability less rate", f"{text.signed(live.bias.mean)} ({_interval(live.bias, live)}){said}"


def _interval(found: Interval, live: Live) -> str:
    if found.low is None or found.high is None:
        return "no interval" if live.begun else "too early for an interval"
    return f"{figure(found.low)} … {figure(found.high)} at every look"


def _bounds(found: Interval) -> str:
    return text.between(found.low, found.high) or "too early"
