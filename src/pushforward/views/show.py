"""The state of a repository as text: what is in use where and since when, and everything that was judged."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline.revision import settings_here
from pushforward.registry import authority
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.authority import Reading
from pushforward.registry.tags import NEITHER, UNJUDGED, Registered, Registry
from pushforward.report.words import SIGNS
from pushforward.settings import Settings
from pushforward.text import beside, between, code, columns, cut, figure, plain, table
from pushforward.views.history import History
from pushforward.views.looked import Newest, newest
from pushforward.views.snapshot import Header, Run, Snapshot, Tag, clock

REVIEWS = 3  # shown in a terminal


@dataclass(frozen=True)
class Entry:
    """One verdict: what was pushed, when, what came of it. `loss` and `gain` are of the validation month, if there."""

    commit: str
    when: str
    subject: str
    ref: str
    pull: int | None
    verdict: str
    stands_from: str
    mode: str
    months: str
    gain: float | None
    low: float | None
    high: float | None
    loss: float | None
    version: str


@dataclass(frozen=True)
class Use:
    """What an environment holds by its newest tag: since when, by whom and why; `previous` was there before, if any.

    `version` is "" for one that was emptied.
    """

    environment: str
    version: str
    tag: str
    when: str
    by: str
    reason: str
    previous: str


@dataclass(frozen=True)
class Deprecated:
    """A version that is not to be put to use again: since when, by whom and why."""

    version: str
    when: str
    by: str
    reason: str


@dataclass(frozen=True)
class Reviewed:
    """A person's word on a verdict: on what was judged at a commit, `accepted` or `rejected`, when, by whom and why."""

    tag: str
    word: str
    commit: str
    verdict: str
    when: str
    by: str
    reason: str


@dataclass(frozen=True)
class Foreign:
    """What GTO has left from before the server, the highest version last, and what it has put to use where none is."""

    versions: tuple[str, ...] = ()
    uses: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """The registry and the history of a repository, newest verdict last.

    `foreign` is what nobody here has judged or signed, `earlier` what environments hold under other names than the
    model has now, `lacks` what is not known of a remote, `looks` how what is in use does, `reviews` what people have
    said of verdicts, the newest last.
    """

    model: str
    environments: dict[str, str]
    uses: tuple[Use, ...]
    versions: tuple[str, ...]
    deprecated: tuple[Deprecated, ...]
    problems: tuple[str, ...]
    history: tuple[Entry, ...]
    earlier: tuple[Use, ...] = ()
    foreign: Foreign = Foreign()
    lacks: str = ""
    looks: tuple[Newest, ...] = ()
    reviews: tuple[Reviewed, ...] = ()

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def models(root: Path) -> list[str]:
    """The models that there are."""
    return list(settings_here(root).project.models)


def reading(root: Path) -> Reading:
    """Whose history counts for the repository in `root`; it itself as it is where that is an open question."""
    try:
        return authority.reading(root, models(root))
    except PushforwardError as open_question:
        return authority.here(Repository(root), f"{open_question.message}; next: {open_question.next}")


def state(root: Path, model: str = "", read: Reading | None = None) -> State:
    """Read tags and reports of whose history counts for the repository in `root`; rejected changes are in it too.

    Of one `model`; who asks for several has `read` once.
    """
    rules = settings_here(root).of(model)
    read = read or reading(root)
    repository = read.repository
    known = _counting(root, repository, rules.model.name, rules)
    tags = _tags(repository, known)
    snapshot = History(repository, model, read.head).snapshot()
    found = of(snapshot, known, tags)
    seen = newest(repository, found.environments, rules.name)
    return replace(found, earlier=tuple(_earlier(root, repository, rules)), lacks=read.lacks, looks=seen)


def of(snapshot: Snapshot, known: Registry, tags: Mapping[str, Tag]) -> State:
    """The state by a snapshot and by those of its tags that count, by their objects."""
    uses = tuple(_use(known, name, tags) for name in known.environments)
    made = {str(tags[version.tag].record.get("commit", version.commit)): version for version in known.versions}
    unread = (f"{commit[:9]} has a report that this version cannot read" for commit in snapshot.unread)
    inconsistent = registry.inconsistent(known, {name: tag.record for name, tag in tags.items()})
    return State(
        known.model,
        {use.environment: use.version for use in uses if use.version},
        uses,
        tuple(version.name for version in known.versions),
        tuple(_deprecated(deprecation, tags) for deprecation in known.deprecations),
        (*known.problems, *inconsistent, *unread),
        tuple(_entry(run, made) for run in reversed(snapshot.runs)),
        foreign=Foreign(tuple(one.name for one in known.foreign_versions), known.foreign_environments),
        reviews=tuple(_reviewed(review, tags) for review in known.reviews),
    )


def _earlier(root: Path, repository: Repository, rules: Settings) -> Iterator[Use]:
    """What environments hold by the tags of models that are called otherwise: the one here, before it was renamed."""
    refs = repository.refs(*registry.PLACES)
    parsed = (registry.parse(ref.name.removeprefix("refs/tags/")) for ref in refs if ref.type == "tag")
    for model in sorted({found["model"] for found in parsed if found} - set(rules.project.models)):
        known = _counting(root, repository, model, rules)
        tags = _tags(repository, known)
        for name in known.environments:
            use = _use(known, name, tags)
            if use.version != "?" and tags[known.uses(name)[-1].tag].record:
                yield use


def _counting(root: Path, repository: Repository, model: str, rules: Settings) -> Registry:
    """What counts of the registry; all of it, and that as a problem, where nobody can say whose signatures count."""
    known = registry.fold(model, repository.refs(*registry.PLACES))
    try:
        return tagging.counting(root, known, rules.promote.environments, repository=repository)
    except PushforwardError as unknown:
        return replace(known, problems=(*known.problems, f"no signature was verified: {unknown.message}"))


def _tags(repository: Repository, known: Registry) -> dict[str, Tag]:
    """Every tag of the registry by its object, read at once."""
    names = [one.tag for one in known.tags]
    found = zip(names, repository.objects(names), strict=True)
    return {name: Tag(content[1]) for name, content in found if content is not None}


def _use(known: Registry, environment: str, tags: Mapping[str, Tag]) -> Use:
    latest, version = known.uses(environment)[-1], known.in_use(environment)
    when, by, reason = _told(tags[latest.tag])
    previous = tags[latest.tag].record.get("previous")
    held = version.name if version else "" if latest.empties else "?"
    return Use(environment, held, latest.name, when, by, reason, str(previous or ""))


def _reviewed(review: registry.Review, tags: Mapping[str, Tag]) -> Reviewed:
    (when, by, reason), record = _told(tags[review.tag]), tags[review.tag].record
    word, verdict = (plain(str(record.get(name, "")), 40) for name in ("word", "verdict"))
    return Reviewed(review.name, word, review.commit, verdict, when, by, reason)


def _deprecated(deprecation: registry.Deprecation, tags: Mapping[str, Tag]) -> Deprecated:
    return Deprecated(deprecation.name.removesuffix("!"), *_told(tags[deprecation.tag]))


def _told(tag: Tag) -> tuple[str, str, str]:
    """(day, who, why) of a tag."""
    record = tag.record
    return (
        f"{clock(tag.seconds):%Y-%m-%d}",
        str(record.get("by") or tag.tagger),
        str(record.get("reason") or ""),
    )


def _entry(run: Run, made: dict[str, Registered]) -> Entry:
    header = run.header
    # That of the validation month is there for every verdict, sealed or not.
    loss = run.loss or (header.numbers[0] if header.numbers else None)
    return Entry(
        commit=run.commit,
        when=f"{clock(run.about.seconds):%Y-%m-%d}" if run.about.seconds else "",
        subject=run.about.subject,
        ref=run.branch,
        pull=header.pull,
        verdict=header.verdict,
        stands_from=run.stands_from,
        mode=header.mode,
        months=_holdout(header),
        gain=loss.gain if loss else None,
        low=loss.low if loss else None,
        high=loss.high if loss else None,
        loss=loss.challenger if loss else None,
        version=str(made[run.commit].version) if header.event == "push" and run.commit in made else "",
    )


def _holdout(header: Header) -> str:
    """What the holdout is of, as a cell has it: the first and the last of its months, or its epoch."""
    found = header.holdout
    if found is None or found.epoch is None:
        return " ".join((found.months[0], found.months[-1])) if found and found.months else ""
    return f"epoch {found.epoch.number}"


def _verdict(entry: Entry) -> str:
    if entry.stands_from:
        return f"= as {entry.stands_from[:7]}"
    return f"{SIGNS.get(entry.verdict, ' ')} {entry.verdict}"


def _number(value: float | None, shown: Callable[[float], str]) -> str:
    return "" if value is None else shown(value)


def _gain(entry: Entry) -> str:
    return "" if entry.gain is None or entry.loss is None else beside(entry.gain, entry.loss)


def _branch(entry: Entry) -> str:
    return plain(f"#{entry.pull} {entry.ref}" if entry.pull else entry.ref, 24)


def terminal(state: State, *, width: int = 80) -> str:
    """The state as text: environments, then the history as a table of `width` columns, oldest first."""
    head = ["commit", "branch", "val. loss", "gain", "verdict", "version", "subject"]
    rows = [head]
    for entry in state.history:
        loss, gain = _number(entry.loss, figure), _gain(entry)
        rows.append(
            [entry.commit[:7], _branch(entry), loss, gain, _verdict(entry), entry.version, plain(entry.subject)]
        )
    listed = [cut(line, width) for line in columns(rows)]
    uses = [f"{use.environment:<12} {use.version or 'nothing'}  {_since(use)}" for use in state.uses + state.earlier]
    uses += [f"{name:<12} {version}  {UNJUDGED}" for name, version in state.foreign.uses.items()]
    uses = uses or [_nothing(state)]
    uses += [f"{'deprecated':<12} {one.version}  {_since(one)}" for one in state.deprecated]
    uses += [_word(one) for one in state.reviews[-REVIEWS:]]
    uses += [f"{one.decision:<12} {one.environment} {one.version}  {_looked(one)}" for one in state.looks]
    if state.foreign.versions:
        count = f"{len(state.foreign.versions)} version{'s' if len(state.foreign.versions) > 1 else ''}"
        uses.append(f"{'foreign':<12} {count}, the newest {state.foreign.versions[-1]}: {NEITHER}")
    lines = [cut(f"  {line}".rstrip(), width) for line in uses]
    problems = [cut(f"! {plain(text)}", width) for text in state.problems]
    if state.lacks:
        told, _, command = state.lacks.partition("; next: ")
        problems += textwrap.wrap(f"! {told}", width, subsequent_indent="  ", break_on_hyphens=False)
        problems.append(f"  next: {command}")  # whole, to be typed as it stands
    if state.earlier:
        names = ", ".join(sorted({use.version.partition("@")[0] for use in state.earlier}))
        problems.append(cut(f"! the model was called {names} before; {state.model} is not compared with it", width))
    return "\n".join([state.model, *lines, *problems, "", *listed])


def _nothing(state: State) -> str:
    """What stands where no environment holds a version."""
    if state.lacks:
        return "no version is known here"
    return "no version is in use yet" if state.versions else "no version yet"


def _word(one: Reviewed) -> str:
    who = plain(one.by.partition(" <")[0], 40)
    return f"{one.word:<12} {one.commit[:7]} ({one.verdict})  {one.when} by {who}: {plain(one.reason)}"


def _looked(one: Newest) -> str:
    return f"{one.when}: {plain(one.reason)}" if one.reason else one.when


def _since(tag: Use | Deprecated) -> str:
    """Since when, by whom and why, as far as a tag tells it."""
    who = plain(tag.by.partition(" <")[0], 40)
    return f"{tag.when} by {who}: {plain(tag.reason)}" if tag.reason else f"{tag.when} by {who}"


def markdown(state: State) -> str:
    """The history as a markdown table, with the holdout's months and the bounds of the gain."""
    head = ["commit", "branch", "subject", "holdout", "validation loss", "gain", "95 % bounds", "verdict", "version"]
    rows = []
    for entry in state.history:
        numbers = [_number(entry.loss, figure), _gain(entry), between(entry.low, entry.high)]
        where, subject = code(_branch(entry)), code(entry.subject, 60)
        rows.append([entry.commit[:7], where, subject, entry.months, *numbers, _verdict(entry), entry.version])
    return table(head, rows, numbers=False)
