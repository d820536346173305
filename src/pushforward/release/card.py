"""A version's model card: what it is for, what it was judged by, what it was made from, how to get it.

One structure, which becomes markdown here and HTML on a page, so that both say the same. Every text that somebody else
chose stays text: of the project's own file only headings, paragraphs and lists are taken over.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pushforward import params, percent, schema
from pushforward.gate.verdict import BY, Number, Slice, Validation, Verdict, by_limits, self_scored
from pushforward.git.repository import Repository
from pushforward.pipeline.revision import Revision, sha256
from pushforward.release.provenance import Statement, read
from pushforward.report.words import bounds_title, by_word, calibration_line, epoch_line, figures, promotion
from pushforward.settings import Settings
from pushforward.text import between, code, figure, plain, plural, prose, sample, signed, table

LIMIT_BYTES = 32 * 1024
LONGEST = 1500
SLICES = 24
MARKS = {"pass": "✓", "fail": "✗", "undecided": "?"}
SERVER, FORGE = "a server on one machine", "a forge's runner"
AGAIN = (
    "Before the promotion the judge scored the holdout again by itself, and got what was handed over, but for rounding."
)
PROBED = (
    f"{AGAIN} Where features remember events, it did so once more with all that was not known yet replaced, and no "
    "earlier prediction changed: else the verdict would be invalid."
)
NOT_PROBED = f"{AGAIN} The score command takes no events: whether features see the future was not asked."
UNASKED = (
    "Self-scored: the pushed code wrote labels and predictions by itself. The judge has asked this model for no row, "
    "cannot tell whether it gives these predictions, and has not looked for features that see the future."
)
INDEPENDENT = "Rows are taken as independent: where some belong together, every bound above is too narrow."

Kind = Literal["text", "list", "facts", "digests", "table", "commands"]


@dataclass(frozen=True)
class Block:
    """A part of a section: one row a paragraph, item or command, (name, value) for facts; a table's head is first."""

    kind: Kind
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """What stands below one heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Card:
    """The card of the version that the tag `name` names."""

    name: str
    lead: str
    sections: tuple[Section, ...]


def build(
    name: str,
    verdict: Verdict,
    rules: Settings,
    made: Statement,
    *,
    batches: Sequence[str],
    digest: str,
    previous: str,
    about: str | None,
) -> Card:
    """The card of the version `name`, from what its tag and its provenance bind.

    `rules` are the settings at its commit and `batches` what had arrived there, `made` its provenance and `digest` that
    file's SHA-256, `previous` the version before it ("" for the first) and `about` the text of the file `card`, None
    where there is none.
    """
    sections = [
        *_about(about),
        Section("Data", tuple(_data(verdict, batches, rules.gate.window))),
        Section("Metrics", tuple(_metrics(verdict))),
        Section("Checks", tuple(_checks(verdict, rules))),
        Section("Lineage", tuple(_lineage(verdict, made, digest, previous))),
        Section("Get it, and verify it", tuple(_commands(name, rules))),
    ]
    reason = plain(verdict.reason, LONGEST)
    if made.accepted:
        reason = plain(f"{made.accepted}; the judge: {reason}", LONGEST)
    return Card(name, f"{reason[:1].upper()}{reason[1:]}.", tuple(sections))


def of(repository: Repository, name: str, verdict: Verdict, provenance: bytes, *, previous: str) -> Card:
    """The card of the version `name`, its settings and the project's own text read at the commit that it names."""
    made = read(provenance)
    revision = Revision(repository, made.lock_commit, name.partition("@")[0])
    rules = revision.settings
    batches = [] if self_scored(verdict) or by_limits(verdict) else revision.batches
    text = repository.read(made.lock_commit, rules.model.card) if rules.model.card else None
    about = None if text is None else text.decode("utf-8", "replace")
    digest = sha256(provenance)
    return build(name, verdict, rules, made, batches=batches, digest=digest, previous=previous, about=about)


def markdown(card: Card) -> str:
    """The card as GitHub-flavoured markdown."""
    parts = [f"# Model card: {code(card.name)}", prose(card.lead, LONGEST)]
    for section in card.sections:
        parts.append(f"## {prose(section.title)}")
        for block in section.blocks:
            parts += [f"**{prose(block.title)}**"] if block.title else []
            parts.append(_markdown(block))
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> str:
    match block.kind:
        case "text":
            return "\n\n".join(prose(row[0], LONGEST) for row in block.rows)
        case "list":
            return "\n".join(f"- {prose(row[0], LONGEST)}" for row in block.rows)
        case "facts":
            return "\n".join(f"- {prose(f'{name}: {value}', LONGEST)}" for name, value in block.rows)
        case "digests":
            return "\n".join(f"- {prose(name)}: {code(value)}" for name, value in block.rows)
        case "table":
            head, *rows = block.rows
            return table(head, [[prose(row[0]), *row[1:]] for row in rows])  # but for its name, numbers of ours
        case "commands":
            return "\n".join(f"    {plain(row[0], LONGEST)}" for row in block.rows)


def _about(text: str | None) -> Iterator[Section]:
    """The project's own text, section by section; its first heading may be left out."""
    if text is None or not text.strip():
        yield Section("Intended use", (Block("text", (("The project does not say (card in pushforward.yaml).",),)),))
        return
    title, blocks = "Intended use", list[Block]()
    for kind, line in _lines(text[:LIMIT_BYTES]):
        if kind == "heading":
            if blocks:
                yield Section(title, tuple(blocks))
            title, blocks = plain(line), []
        elif kind == "list" and blocks and blocks[-1].kind == "list":
            blocks[-1] = Block("list", (*blocks[-1].rows, (line,)))
        else:
            blocks.append(Block("list" if kind == "list" else "text", ((line,),)))
    if blocks:
        yield Section(title, tuple(blocks))


def _lines(text: str) -> Iterator[tuple[Literal["heading", "list", "text"], str]]:
    """Headings, items and paragraphs of a markdown text, each as one line; whatever else it has is text."""
    for part in re.split(r"\n\s*\n", text.strip()):
        heading = re.match(r"#{1,6} +(.*?)(?: +#+)?(?:\n|$)", part)
        if heading:
            yield "heading", heading[1]
            part = part[heading.end() :]
        if not part.strip():
            continue
        if re.match(r"[-*] ", part):
            for item in re.split(r"(?:^|\n)[-*] +", part)[1:]:
                yield "list", plain(item, LONGEST)
        else:
            yield "text", plain(part, LONGEST)


def _data(verdict: Verdict, months: Sequence[str], window: int) -> Iterator[Block]:
    if by_limits(verdict):
        yield Block("text", (("The settings name no rows to judge by: the run's own numbers are all there is.",),))
        return
    if self_scored(verdict):
        yield from _test_set(verdict)
        return
    training, holdout = months[:-window], verdict.holdout.months if verdict.holdout else tuple(months[-window:])
    told = "every one before the holdout" if verdict.digests.manifest else "those before the holdout"
    epoch = epoch_line(verdict, plain).partition(";")[0]
    facts = [("Training", "every row whose key is not held out" if epoch else _months(training, told))]
    if verdict.validation:
        found = verdict.validation
        facts.append(
            (
                "Validation",
                f"{_of(found)}{sample(found.rows, found.clusters, verdict.cluster)}, by a fit without it",
            )
        )
    never = "never trained on" if verdict.digests.manifest else "nothing here knows whether it was trained on"
    size = f"{sample(verdict.rows, verdict.clusters, verdict.cluster)}; {never}"
    about = size if verdict.rows else never
    facts.append(("Holdout", f"{epoch} ({about})" if epoch else _months(holdout, about)))
    if verdict.positives is not None and verdict.rows:
        facts.append(("Positive labels in the holdout", percent.share(verdict.positives / verdict.rows)))
    yield Block("facts", tuple(facts))


def _of(found: Validation) -> str:
    return f"{found.month}: " if found.month else ""


def _test_set(verdict: Verdict) -> Iterator[Block]:
    """What is known of rows that the pipeline itself has scored."""
    name = "".join(verdict.holdout.months) if verdict.holdout else ""
    size = sample(verdict.rows, verdict.clusters, verdict.cluster)
    told = [("Test set", f"{name} ({size}; nothing here knows whether the model was trained on them)")]
    if verdict.positives is not None and verdict.rows:
        told.append(("Positive labels in it", percent.share(verdict.positives / verdict.rows)))
    yield Block("facts", tuple(told))


def _months(months: Sequence[str], more: str) -> str:
    span = f"{months[0]} to {months[-1]}" if len(months) > 1 else "".join(months)
    noun = params.noun(months)
    return f"{span} ({len(months)} {noun if len(months) == 1 else plural(noun)}; {more})"


def _metrics(verdict: Verdict) -> Iterator[Block]:
    found = verdict.validation
    if by_limits(verdict):
        yield Block("text", (("Numbers are as the run wrote them; the limits that they keep are below.",),))
        return
    if verdict.numbers:
        yield _numbers(verdict.numbers, f"On the {'test set' if self_scored(verdict) else 'holdout'}")
    if found and found.numbers:
        on = f"{params.noun((found.month,))} {found.month}" if found.month else "rows"
        yield _numbers(found.numbers, f"On the validation {on}; these decide nothing")
    if verdict.sealed or not verdict.numbers:
        yield Block("text", (("The numbers of the holdout are sealed until it retires; the verdict rests on them.",),))
    calibration = verdict.calibration or (found.calibration if found else None)
    if calibration:
        yield Block("text", ((f"{calibration_line(calibration)}.",),), title="Calibration")
    slices = verdict.slices or (found.slices if found else ())
    if slices:
        yield _slices(slices)


def _numbers(numbers: Sequence[Number], title: str) -> Block:
    if all(one.gain is None for one in numbers):
        rows = [(_name(one), figure(one.challenger)) for one in numbers]
        return Block("table", (("metric", "this"), *rows), title)
    head = ("metric", "champion", "this", "gain", bounds_title(numbers))
    return Block("table", (head, *((_name(one), *figures(one)) for one in numbers)), title)


def _name(number: Number) -> str:
    return f"{number.name} ({number.better} is better)"


def _slices(slices: Sequence[Slice]) -> Block:
    """The slices by name, the harmed and the largest first where there are too many."""
    chosen = sorted(slices, key=lambda one: (not one.harmed, -one.rows, one.column, one.value))[:SLICES]
    head = ("slice", "rows", "champion", "this", "gain", "bounds")
    rows = [
        (
            f"{one.column} = {one.value}",
            f"{one.rows:,}",
            figure(one.champion),
            figure(one.challenger),
            signed(one.gain),
            between(one.low, one.high) or "too small to tell",
        )
        for one in sorted(chosen, key=lambda one: (one.column, one.value))
    ]
    more = f", {len(chosen)} of {len(slices)}" if len(slices) > len(chosen) else ""
    return Block("table", (head, *rows), f"Loss by slice{more}")


def _checks(verdict: Verdict, rules: Settings) -> Iterator[Block]:
    if verdict.guards:
        yield Block("list", tuple((f"{MARKS[one.outcome]} {one.detail}",) for one in verdict.guards), title="Guards")
    if not_claimed := by_word(verdict) or (UNASKED if self_scored(verdict) else ""):
        yield Block("text", ((not_claimed,),), title="What is not claimed")
    else:
        yield Block("text", ((PROBED if rules.contract.events else NOT_PROBED,),), title="Time honesty")
    if not by_limits(verdict) and rules.contract.cluster is None:
        yield Block("text", ((INDEPENDENT,),))
    if verdict.touched:
        listed = ", ".join(verdict.touched[:12]) + (" and more" if len(verdict.touched) > 12 else "")
        yield Block("text", ((f"This change touched the judge: {listed}. It was judged by the judge it found.",),))


def _lineage(verdict: Verdict, made: Statement, digest: str, previous: str) -> Iterator[Block]:
    used = f"look {verdict.look.number} of {verdict.look.of}" if verdict.look else "no look was needed"
    used += f"; {told}" if (told := promotion(verdict)) else ""
    facts = [
        ("Version", f"number {made.number} of {made.model}"),
        *([("A person's word", made.accepted)] if made.accepted else []),
        ("Promoted by", str(verdict.rules.get(BY))) if by_limits(verdict) else ("Holdout used", used),
        ("Made by", FORGE if made.builder.endswith(":forge") else SERVER),
    ]
    if made.unlocked:
        told = f"{', '.join(made.unlocked)}; the same commit may give another model"
        facts.append(("Environment", f"not locked: {told}"))
    if by_limits(verdict):
        facts.append(("Champion", "not asked; the limits are held against the numbers of the target branch"))
    elif verdict.champion is None:
        facts.append(("Champion", "there was none; judged against floors only"))
    elif self_scored(verdict) and verdict.mode == "first":
        facts.append(("Champion", "of another test set, and not compared with; judged against floors only"))
    yield Block("facts", tuple(facts))
    digests = verdict.digests
    identities = [
        ("champion", f"{verdict.champion.version} at {verdict.champion.commit[:9]}" if verdict.champion else ""),
        ("version before", previous),
        ("commit", made.commit),
        ("tree", made.tree),
        ("what the tag names", made.lock_commit),
        ("judge", made.judge),
        ("model", digests.model),
        ("scoring code", made.scoring),
        ("manifest", digests.manifest),
        ("data", digests.data),
        ("dvc.lock", made.lock),
        (params.FILE, made.params),
        (schema.FILE, made.settings),
        ("environment", digests.environment),
        ("holdout", verdict.holdout.sha256 if verdict.holdout else ""),
        ("verdict", made.verdict),
        ("ledger", made.ledger),
        ("provenance", digest),
        ("provenance before", made.previous),
    ]
    yield Block("digests", tuple(pair for pair in identities if pair[1]), title="Identities")


def _commands(name: str, rules: Settings) -> Iterator[Block]:
    lines = (
        "git fetch --tags",
        f"pushforward verify '{name}'",
        f"pushforward bundle '{name}' --out release",
    )
    yield Block("commands", tuple((line,) for line in lines))
    yield Block("text", (("Or without this tool, its bytes unverified:",),))
    yield Block("commands", ((f"git switch --detach '{name}' && dvc pull {rules.model_path}",),))
