"""What is in use where and since when, and the history of everything that was judged."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pushforward import notes, registry, report, settings
from pushforward.git import Repository


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
class State:
    """The registry and the history of a repository, newest verdict last."""

    model: str
    environments: dict[str, str]
    versions: tuple[str, ...]
    problems: tuple[str, ...]
    history: tuple[Entry, ...]

    def record(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def state(root: Path) -> State:
    """Read tags and notes of the repository in `root`; rejected changes are in the history too."""
    repository = Repository(root)
    text = repository.read("HEAD", "params.yaml")
    model = settings.parse(text).model.name if text else settings.load(root).model.name
    known = registry.fold(model, repository.refs("refs/tags"))
    environments = {}
    for name in known.environments:
        version = known.in_use(name)
        environments[name] = version.name if version else "?"
    return State(
        model,
        environments,
        tuple(version.name for version in known.versions),
        known.problems,
        tuple(_history(repository, known)),
    )


def _history(repository: Repository, known: registry.Registry) -> Iterator[Entry]:
    found: list[tuple[int, int, Entry]] = []
    made = {}
    for version in known.versions:
        made[registry.record(repository.git("cat-file", "tag", version.tag).text).get("commit", version.commit)] = (
            version
        )
    for commit in notes.annotated(repository):
        for number, (header, _) in enumerate(report.entries(notes.read(repository, commit))):
            when, _, subject = _described(repository, commit).partition("\0")
            seconds, _, day = when.partition(" ")
            found.append((int(seconds or 0), -number, _entry(header, commit, day, subject, made)))
    yield from (entry for *_, entry in sorted(found, key=lambda row: row[:2]))


def _described(repository: Repository, commit: str) -> str:
    """Time, day and subject of a commit; empty where a note outlived its commit, or came without it."""
    done = repository.git("log", "-1", "--format=%ct %cs%x00%s", commit, check=False)
    return done.text if done.returncode == 0 else ""


def _entry(header: dict[str, Any], commit: str, day: str, subject: str, made: dict[str, registry.Registered]) -> Entry:
    months = (header.get("holdout") or {}).get("months") or []
    # The gated loss stands first. That of the validation month is there for every verdict, sealed or not.
    loss = ((header.get("validation") or {}).get("numbers") or header.get("numbers") or [{}])[0]
    event = header.get("event")
    return Entry(
        commit=commit,
        when=day,
        subject=subject,
        ref=str(header.get("ref", "")).removeprefix("refs/heads/"),
        pull=header.get("pull"),
        verdict=str(header.get("verdict")),
        stands_from="" if header.get("commit") == commit else str(header.get("commit")),
        mode=str(header.get("mode")),
        months=" ".join((months[0], months[-1])) if months else "",
        gain=loss.get("gain"),
        low=loss.get("low"),
        high=loss.get("high"),
        loss=loss.get("challenger"),
        version=str(made[commit].version) if event == "push" and commit in made else "",
    )


MARKS = {"promote": "✓", "hold": "✗", "unknown": "?", "calibration-only": "✗", "identical": "=", "invalid": "!"}


def _verdict(entry: Entry) -> str:
    if entry.stands_from:
        return f"= as {entry.stands_from[:7]}"
    return f"{MARKS.get(entry.verdict, ' ')} {entry.verdict}"


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form).replace("-", "−")


def _branch(entry: Entry) -> str:
    return report.plain(f"#{entry.pull} {entry.ref}" if entry.pull else entry.ref, 24)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - report.cells(cell))


def terminal(state: State, *, width: int = 80) -> str:
    """The state as text: environments, then the history as a table of `width` columns, oldest first."""
    head = ["commit", "branch", "val. loss", "gain", "verdict", "version", "subject"]
    rows = [head]
    for entry in state.history:
        loss, gain = _figure(entry.loss, ".4f"), _figure(entry.gain, "+.4f")
        rows.append([entry.commit[:7], _branch(entry), loss, gain, _verdict(entry), entry.version, ""])
    widths = [max(report.cells(row[column]) for row in rows) for column in range(len(head) - 1)]
    for row, entry in zip(rows[1:], state.history, strict=True):
        row[-1] = report.plain(entry.subject)
    lines = ["  ".join([*map(_padded, row, widths), row[-1]]).rstrip() for row in rows]
    table = [report.cut(line, width) for line in lines]
    uses = [f"{name:<12} {version}" for name, version in state.environments.items()] or ["no version yet"]
    problems = [report.cut(f"! {report.plain(text)}", width) for text in state.problems]
    return "\n".join([state.model, *(f"  {line}" for line in uses), *problems, "", *table])


def markdown(state: State) -> str:
    """The history as a markdown table, with the holdout's months and the bounds of the gain."""
    head = ["commit", "branch", "subject", "holdout", "validation loss", "gain", "95 % bounds", "verdict", "version"]
    rows = []
    for entry in state.history:
        bounds = [_figure(value, "+.4f") for value in (entry.low, entry.high)]
        numbers = [_figure(entry.loss, ".4f"), _figure(entry.gain, "+.4f"), " … ".join(filter(None, bounds))]
        where, subject = report.code(_branch(entry)), report.code(entry.subject, 60)
        rows.append([entry.commit[:7], where, subject, entry.months, *numbers, _verdict(entry), entry.version])
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, [":--"] * len(head), *rows))
