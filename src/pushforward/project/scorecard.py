"""Scorecard: which rows of the ML Test Score a repository earns by what is in it, and why. `score-card` prints it.

Three things earn a row: what the settings have done by themselves, a workflow that does it again and again, and a test
of the project's own that names the row by its marker. Nothing is run: a test counts for a point where a workflow runs
pytest, and for half a one where a person has to.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward import schema
from pushforward.errors import PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.project import rubric

WORKFLOWS = re.compile(r"(\.github|\.gitea|\.forgejo)/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|\.gitlab/[^/]+\.yml")
TESTS = re.compile(r"(.*/)?(test_[^/]*|[^/]*_test)\.py")
CLOCK = re.compile(r"(?m)^\s*(-\s*)?(schedule|cron):")
RUNS_TESTS = re.compile(r"\bpytest\b|\bmake [\w -]*test\b|\btox\b|\bnox\b")
LIMIT_BYTES = 1024 * 1024
MOST_TESTS = 3  # of a row that are named


@dataclass(frozen=True)
class Row:
    """A row of the rubric: its points, and why; `next` is what earns more, "" where it has all."""

    row: str
    title: str
    points: float
    why: str
    next: str


@dataclass(frozen=True)
class Card:
    """All rows, the sums of the sections, and the score."""

    rows: tuple[Row, ...]
    sums: dict[str, float]
    score: float
    says: str


@dataclass(frozen=True)
class _Has:
    """What a repository has: its settings, its files, what its workflows say, and which tests name which rows."""

    project: schema.Project
    tracked: frozenset[str]
    flows: tuple[str, ...]
    served: bool
    marked: dict[str, tuple[str, ...]]

    def verb(self, words: str, *, by_clock: bool = False) -> bool:
        """Whether a workflow types this verb, and does so by the clock."""
        typed = [text for text in self.flows if re.search(rf"\bpushforward ({words})\b", text)]
        return any(CLOCK.search(text) for text in typed) if by_clock else bool(typed)

    @property
    def judged(self) -> bool:
        """Whether each push is judged: by a workflow of a forge, or by a server, which has them without any file."""
        return self.served or self.verb("gate|forge")

    def each(self, test: Callable[[schema.Model], object]) -> bool:
        """Whether this is so of each of the models."""
        return all(test(model) for model in self.project.models.values())


@dataclass(frozen=True)
class _Rule:
    """By what pushforward itself earns a row: a test of what is there, why it does, and what else would."""

    earned: Callable[[_Has], float]
    why: str
    next: str


def card(root: Path) -> Card:
    """The card of the repository at `root`, as its HEAD has it."""
    has = _look(root)
    rows = tuple(_row(row, title, has) for row, title in rubric.ROWS.items())
    points = {one.row: one.points for one in rows}
    total = rubric.score(points)
    return Card(rows, rubric.sums(points), total, rubric.says(total))


def _look(root: Path) -> _Has:
    repository = Repository(root)
    told = repository.read("HEAD", schema.FILE) if repository.resolve("HEAD") else None
    if told is None:
        raise PushforwardError(f"{root} has no {schema.FILE} in a commit", next="pushforward adopt, which writes it")
    project = schema.parse(told)
    tracked, remote = repository.tree("HEAD"), remotes.authority(repository)
    flows = tuple(
        _commands(text.decode("utf-8", "replace")) for text in _texts(repository, tracked, WORKFLOWS).values()
    )
    marked: dict[str, list[str]] = {}
    for path, text in _texts(repository, tracked, TESTS).items():
        for row, name in marks(text):
            marked.setdefault(row, []).append(f"{path}::{name}")
    served = remote is not None and remote.is_server
    return _Has(project, frozenset(tracked), flows, served, {row: tuple(names) for row, names in marked.items()})


def _texts(repository: Repository, tracked: Iterable[str], form: re.Pattern[str]) -> dict[str, bytes]:
    """The files of HEAD with such a name, in order."""
    paths = sorted(path for path in tracked if form.fullmatch(path) and "\n" not in path)
    found = repository.objects([f"HEAD:{path}" for path in paths])
    return {path: one[1] for path, one in zip(paths, found, strict=True) if one is not None and one[0] == "blob"}


def _commands(text: str) -> str:
    """A workflow without what only people read."""
    return "\n".join(line.partition(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))


def marks(source: bytes) -> Iterator[tuple[str, str]]:
    """The rows that tests of a file name, each with the test; nothing of what is no Python, or names no row."""
    if len(source) > LIMIT_BYTES or rubric.MARK.encode() not in source:
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for call in node.decorator_list:
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and call.func.attr == rubric.MARK
                ):
                    named = [one.value for one in call.args if isinstance(one, ast.Constant)]
                    yield from ((str(row), node.name) for row in named if row in rubric.ROWS)


def _row(row: str, title: str, has: _Has) -> Row:
    rule = RULES.get(row, NONE)
    by_us = rule.earned(has)
    tests = has.marked.get(row, ())
    by_tests = 0.0 if not tests else 1.0 if any(map(RUNS_TESTS.search, has.flows)) else 0.5
    write = f'a test with @pytest.mark.{rubric.MARK}("{row}")'
    if by_us >= max(by_tests, 0.5):
        return Row(row, title, by_us, rule.why, rule.next if by_us < 1 else "")
    if tests:
        more = f" and {len(tests) - MOST_TESTS} more" if len(tests) > MOST_TESTS else ""
        why = f"{', '.join(tests[:MOST_TESTS])}{more}"
        then = "" if by_tests == 1 else "run pytest in a workflow: a person runs it now"
        return Row(row, title, by_tests, why, then)
    return Row(row, title, 0.0, "nothing here says so", f"{rule.next}, or {write}" if rule.next else write)


def _at(level: int) -> Callable[[_Has], float]:
    return lambda has: float(has.judged and has.each(lambda model: model.level >= level))


def _monitored(more: Callable[[_Has], object]) -> Callable[[_Has], float]:
    """A point where it is monitored again and again, half a one where a person has to type it."""
    return lambda has: (
        (1.0 if has.verb("monitor", by_clock=True) else 0.5) if has.project.monitor and more(has) else 0.0
    )


def _reproducible(has: _Has) -> float:
    locked = has.each(lambda model: model.environment) and any(path.endswith("dvc.lock") for path in has.tracked)
    return (1.0 if has.verb("verify", by_clock=True) else 0.5) if locked else 0.0


def _quality(has: _Has) -> float:
    held = has.each(
        lambda model: model.level >= 2 or any(schema.limits(metric) for metric in (model.metrics or {}).values())
    )
    return float(has.judged and held)


def _simpler(has: _Has) -> float:
    floor = has.each(
        lambda model: (model.holdout and model.holdout.floor) or (model.predictions and model.predictions.floor)
    )
    return _at(2)(has) * (1.0 if floor else 0.5)


def _tuned(has: _Has) -> float:
    return (1.0 if has.verb("tune", by_clock=True) else 0.5) if has.project.tune else 0.0


def _told(has: _Has) -> float:
    if has.project.arrive is None:
        return 0.0
    return 1.0 if has.project.notify and has.verb("arrive", by_clock=True) else 0.5


NONE = _Rule(lambda _: 0.0, "", "")
RULES = {
    "Data 4": _Rule(
        lambda has: float(has.judged and has.each(lambda model: "{events}" in (model.score or ""))),
        "the judge replaces the future in the events and asks again: no feature may know it",
        "let `score` take {events}: the judge then tries whether features know the future",
    ),
    "Model 1": _Rule(
        _at(1),
        "a model is made of a commit, which is judged, and a version of that is a signed tag",
        "level 1 in pushforward.yaml, and the judge's workflow",
    ),
    "Model 2": _Rule(
        _monitored(lambda has: has.project.monitor and has.project.monitor.outcomes),
        "the monitor holds the live loss against the one that was promised",
        "monitor.outcomes in pushforward.yaml, and monitor.yml, which runs it by the clock",
    ),
    "Model 3": _Rule(_tuned, "tune searches them", "tune in pushforward.yaml, and a schedule in tune.yml"),
    "Model 5": _Rule(
        _simpler,
        "the judge holds each model against the best constant, and against the floor where there is one",
        "holdout.floor in pushforward.yaml: what something simple predicts",
    ),
    "Model 6": _Rule(
        lambda has: _at(2)(has) * float(bool(has.project.gate.slices)),
        "the gate holds what harms a slice",
        "gate.slices in pushforward.yaml, at level 2",
    ),
    "Infra 1": _Rule(
        _reproducible,
        "environment and data are locked, and verify makes the bytes of the version in use again",
        "lock the environment, and verify.yml, by pushforward adopt",
    ),
    "Infra 3": _Rule(
        lambda has: float(has.served or has.verb("repro")),
        "each push runs the pipeline as a whole, in an environment of its own",
        "train.yml, by pushforward adopt",
    ),
    "Infra 4": _Rule(
        _quality,
        "no version is tagged without its verdict",
        "level 2 in pushforward.yaml, or a limit for a metric",
    ),
    "Infra 6": _Rule(
        lambda has: float(has.project.serve.canary is not None),
        "serve gives a new version a share of the requests first",
        "serve.canary in pushforward.yaml",
    ),
    "Infra 7": _Rule(
        lambda has: float(bool(has.project.promote.environments) and has.each(lambda model: model.path)),
        "pushforward rollback is one signed tag, and needs neither network nor training",
        "models.NAME.path and promote.environments in pushforward.yaml",
    ),
    "Monitoring 1": _Rule(
        _told,
        "arrive tells of a batch that is late, gone or another than it was",
        "arrive and notify in pushforward.yaml, and arrive.yml",
    ),
    "Monitoring 2": _Rule(
        _monitored(lambda has: has.project.monitor),
        "the monitor holds what is served against what was trained on",
        "monitor in pushforward.yaml, and monitor.yml",
    ),
    "Monitoring 4": _Rule(
        _monitored(lambda has: has.project.monitor and has.project.monitor.stale_days),
        "the monitor has a version trained anew that is too old",
        "monitor.stale_days in pushforward.yaml, and monitor.yml",
    ),
    "Monitoring 5": _Rule(
        _at(2),
        "the judge refuses predictions that are no finite numbers",
        "level 2 in pushforward.yaml",
    ),
    "Monitoring 7": _Rule(
        _monitored(lambda has: has.project.monitor and has.project.monitor.outcomes),
        "the monitor joins outcomes, and tells where the live loss is above what was promised",
        "monitor.outcomes in pushforward.yaml, and monitor.yml",
    ),
}
