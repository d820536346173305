"""Workflow files, what GitHub documents of each, and what this server makes of it: the rows of conformance.yml.

Every row is run here: what is refused by the linter alone, what runs by real act. Files that have jobs alone share one
run of act. The page docs/server.md shows the rows; UPDATE_GOLDEN=1 writes it.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.actions.test_act import Project

from pushforward.actions import lint, workflow
from pushforward.actions.event import Event, Repository, context
from pushforward.errors import PushforwardError

DATA = Path(__file__).parent / "conformance.yml"
PAGE = Path(__file__).parents[2] / "docs" / "server.md"
KINDS = {
    "green": "act alone would run it, or run it otherwise",
    "red": "act alone, or this server before, would refuse it",
    "newer": "syntax that came late",
    "words": "what is said",
}


@dataclass(frozen=True)
class Row:
    """A row of the data, as its head explains."""

    row: str
    kind: str
    documented: str
    source: str
    file: str
    github: str
    here: str = ""
    why: str = ""
    told: str = ""
    prints: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    ends: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    alone: bool = False
    crons: tuple[str, ...] = ()
    concurrency: dict[str, Any] | None = None

    @property
    def refused(self) -> bool:
        return (self.here or self.github) == "refuses"

    @property
    def shares(self) -> bool:
        """Whether its jobs can run in one file with those of others."""
        return not self.refused and not self.alone and re.match(r"on: push\njobs:", self.file) is not None


def read() -> tuple[dict[str, str], list[Row]]:
    data = YAML(typ="safe", pure=True).load(DATA.read_text())
    return data["sources"], [Row(**one) for one in data["rows"]]


SOURCES, ROWS = read()
REFUSED = [row for row in ROWS if row.refused]
SHARED = [row for row in ROWS if row.shares]
ALONE = [row for row in ROWS if not row.refused and not row.shares]


def name(row: Row) -> str:
    return row.row.replace(" ", "-")


def event(sha: str) -> Event:
    return Event("push", sha, "refs/heads/main", sender="ada", message="a change")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("conformance"))


@pytest.fixture(scope="module")
def together(project: Project) -> dict[str, tuple[str, list[str]]]:
    """Job -> how it ended and what it printed, of one run of all jobs that can share one."""
    text = "on: push\njobs:\n"
    for row in SHARED:
        jobs = row.file.removeprefix("on: push\njobs:").rstrip()
        inline = jobs.startswith(" {")
        text += f"{_unfolded(jobs.strip())}\n" if inline else f"{jobs.strip(chr(10))}\n"
    result = project.run(text, event=event)
    assert result.conclusion == "success", result.errors
    ended: dict[str, tuple[str, list[str]]] = {}
    for job in result.jobs:
        said = [one.text for one in project.seen if one.kind == "output" and one.job == job.name]
        ended[job.id] = (job.result, ended.get(job.id, ("", []))[1] + said)
    return ended


def _unfolded(jobs: str) -> str:
    """`{name: {…}}` as a line of a mapping."""
    return f"  {jobs[1:-1].strip()}"


def test_every_row_is_whole() -> None:
    assert len(ROWS) >= 80
    assert len({row.row for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.kind in KINDS, row
        assert row.source.partition(" ")[0] in SOURCES, row
        assert row.github in ("runs", "refuses", "fails"), row
        assert bool(row.here) == bool(row.why), f"{row.row}: a difference is explained, and nothing else"
        assert row.here != row.github, row
        assert row.told or row.prints or row.ends or row.crons or row.concurrency, f"{row.row} holds nothing"
    for kind in KINDS:
        assert sum(row.kind == kind for row in ROWS) >= 10, kind


@pytest.mark.parametrize("row", REFUSED, ids=name)
def test_what_is_refused_names_file_and_cause(row: Row) -> None:
    try:
        found = lint.problems(workflow.load("ci.yml", row.file), row.files.get)
    except PushforwardError as refusal:
        found = [refusal.message]
    assert found, "it is taken"
    assert row.told in found[0], found
    assert str(Path.cwd()) not in "".join(found)


@pytest.mark.parametrize("row", SHARED, ids=name)
def test_what_runs_in_jobs_prints_what_github_documents(row: Row, together: dict[str, tuple[str, list[str]]]) -> None:
    jobs = workflow.load("ci.yml", row.file).jobs
    said = [line for job in jobs for line in _of(job, together)]
    for line in row.prints:
        assert line in said, said
    assert not set(row.silent) & set(said)


def _of(job: str, together: dict[str, tuple[str, list[str]]]) -> Iterator[str]:
    assert job in together, f"{job} did not run: {sorted(together)}"
    yield from together[job][1]


@pytest.mark.parametrize("row", ALONE, ids=name)
def test_what_runs_by_itself_ends_as_github_documents(row: Row, project: Project) -> None:
    flow = workflow.load("ci.yml", row.file)
    assert lint.problems(flow, row.files.get) == []
    if row.crons:
        assert workflow.crons(flow) == tuple(row.crons)
    if row.concurrency:
        contexts = context(event("a" * 40), Repository(Path("/x"), "acme/flights"), workflow_name=flow.name)
        found = workflow.concurrency(flow, contexts)
        assert found is not None
        assert {"group": found.group, "cancel": found.cancel_in_progress, "queue": found.queue} == row.concurrency
    result = project.run(row.file, files=row.files, event=event)
    assert result.conclusion == row.ends.get("run", "failure" if row.github == "fails" else "success"), result.errors
    if row.told:
        assert row.told in result.cause.text, (result.cause, result.errors)
    said = [one.text for one in project.seen if one.kind == "output"]
    assert set(row.prints) <= set(said), said
    assert not set(row.silent) & set(said)
    ended = {job.id: job.result for job in result.jobs}
    assert {job: ended.get(job) for job in row.ends if job != "run"} == {
        job: how for job, how in row.ends.items() if job != "run"
    }


def page() -> str:
    """The tables of the page: agreement in numbers, then what differs, then all of it."""
    differ = [row for row in ROWS if row.here]
    lines = [
        f"{len(ROWS)} files: {len(ROWS) - len(differ)} come out as GitHub documents, {len(differ)} are refused here."
    ]
    lines += ["", "### What differs", "", "| a workflow with | GitHub | here | because |", "|:--|:--|:--|:--|"]
    lines += [f"| {_cell(row.row)} ({_link(row)}) | {row.github} | {row.here} | {_cell(row.why)} |" for row in differ]
    lines += ["", "### All of it", ""]
    for kind, words in KINDS.items():
        lines += [
            f"**{words[0].upper()}{words[1:]}**",
            "",
            "| a workflow with | GitHub documents | both |",
            "|:--|:--|:--|",
        ]
        lines += [
            f"| {_cell(row.row)} | {_cell(row.documented)} ({_link(row)}) | {row.github} |"
            for row in ROWS
            if row.kind == kind and not row.here
        ]
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("{{", "{ {")


def _link(row: Row) -> str:
    source, _, section = row.source.partition(" ")
    address = SOURCES[source]
    return f"[{source}]({address}#{section})" if "docs.github.com" in address and section else f"[{source}]({address})"


def test_the_page_shows_these_rows() -> None:
    text = PAGE.read_text()
    begin, end = (
        "<!-- rows: tests/actions/test_conformance.py keeps this equal to conformance.yml -->\n",
        "<!-- /rows -->",
    )
    before, _, rest = text.partition(begin)
    shown, _, after = rest.partition(end)
    assert rest, "the page has no place for the rows"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(before + begin + page() + end + after)
    else:
        assert shown == page(), "run UPDATE_GOLDEN=1, and look at the difference"
