"""The ML Test Score of this repository, from its tests: `make score` writes docs/ml-test-score.md, `--check` holds it.

What is named beside --check are records of other runs, which count too.

A test names the rows that it earns by its marker, `@pytest.mark.ml_test_score("Data 1")`. A run with RECORD_SCORE set
writes down what became of each such test, and a row is earned where one of its tests has passed and none has failed.
"""

import ast
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pushforward.project import rubric

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "ml-test-score.md"
RECORD = "RECORD_SCORE"
TOP = """# ML Test Score

By Breck, Cai, Nielsen, Salib and Sculley, [The ML Test Score: A Rubric for ML Production Readiness and Technical Debt
Reduction](https://research.google/pubs/pub46555/) (IEEE Big Data 2017): 28 rows, each a point where its test runs by
itself; a section is the sum of its rows, the score the least of the four.

Here a test names the rows that it earns (`@pytest.mark.ml_test_score("Data 1")`), and `make score` makes this page of a
run of these tests: a row counts where one of them has passed and none has failed. A row that no test names has 0.
`make test test-rest` fails where a row is lost. `pushforward score-card` says the same of a repository of yours, by
what is in it.
"""
LINE = re.compile(r"\| (?P<row>\w+ \d) \| (?P<points>[01]) \|")


def named(item: pytest.Item) -> list[str]:
    """The rows that a test names; an error where there is none of that name."""
    rows = [str(row) for mark in item.iter_markers(rubric.MARK) for row in mark.args]
    if unknown := [row for row in rows if row not in rubric.ROWS]:
        raise pytest.UsageError(f"{item.nodeid}: the ML Test Score has no row {unknown[0]!r}")
    return rows


def record(report: pytest.TestReport) -> None:
    """Write down what became of a test that names rows; each process of a run that is shared out tells one."""
    rows = [row for name, row in report.user_properties if name == rubric.MARK]
    if rows and "PYTEST_XDIST_WORKER" not in os.environ and (report.when == "call" or not report.passed):
        with Path(os.environ[RECORD]).open("a") as file:
            file.write(json.dumps({"test": report.nodeid, "rows": rows, "outcome": report.outcome}) + "\n")


def earned(told: str) -> dict[str, float]:
    """The points of each row by what a run has written down."""
    outcomes: dict[str, set[str]] = {row: set() for row in rubric.ROWS}
    for line in told.splitlines():
        one = json.loads(line)
        for row in one["rows"]:
            outcomes[row].add(one["outcome"])
    return {row: float("passed" in found and "failed" not in found) for row, found in outcomes.items()}


def marked(folder: Path = ROOT / "tests") -> dict[str, list[str]]:
    """The tests that name each row, by file and function, in order."""
    found: dict[str, list[str]] = {row: [] for row in rubric.ROWS}
    for path in sorted(folder.rglob("test_*.py")):
        for row, name in _marks(path):
            found[row].append(f"{path.relative_to(folder.parent).as_posix()}::{name}")
    return found


def _marks(path: Path) -> Iterator[tuple[str, str]]:
    from pushforward.project.scorecard import marks

    text = path.read_bytes()
    yield from marks(text)
    if b"pytestmark" in text and rubric.MARK.encode() in text:
        for node in ast.parse(text).body:  # a file whose tests name rows all together is told of once
            assert not (isinstance(node, ast.Assign) and rubric.MARK in ast.dump(node)), f"{path}: mark each test"


def page(points: Mapping[str, float], tests: Mapping[str, list[str]]) -> str:
    """docs/ml-test-score.md."""
    sums, total = rubric.sums(points), rubric.score(points)
    lines = [
        *TOP.splitlines(),
        "",
        f"**Score: {total:g} of 7**: {rubric.says(total)}.",
        "",
        "| " + " | ".join([*sums, "least"]) + " |",
        "|" + "--:|" * (len(sums) + 1),
        "| " + " | ".join(f"{value:g}" for value in [*sums.values(), total]) + " |",
    ]
    for section, titles in rubric.SECTIONS.items():
        lines += ["", f"## {section}", "", "| row | points | what | by |", "|:--|--:|:--|:--|"]
        for number, title in enumerate(titles, start=1):
            row = f"{section} {number}"
            by = "<br>".join(_linked(test) for test in tests[row]) or "no test yet"
            lines.append(f"| {row} | {points[row]:g} | {title} | {by} |")
    return "\n".join(lines) + "\n"


def _linked(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{file})"


def said(text: str) -> dict[str, float]:
    """The points of each row as a page says them."""
    found = {match["row"]: float(match["points"]) for match in map(LINE.match, text.splitlines()) if match}
    return {row: found.get(row, 0.0) for row in rubric.ROWS}


def lost(before: Mapping[str, float], now: Mapping[str, float]) -> list[str]:
    """The rows that were earned and are not."""
    return [row for row in rubric.ROWS if now[row] < before[row]]


def main() -> int:
    """Write the page from the record of a run, or with --check say what has been lost."""
    records = [Path(os.environ[RECORD]), *map(Path, (word for word in sys.argv[1:] if word != "--check"))]
    now = earned("".join(told.read_text() for told in records if told.exists()))
    total = rubric.score(now)
    sums = ", ".join(f"{section} {value:g}" for section, value in rubric.sums(now).items())
    print(f"ML Test Score {total:g} ({sums})")
    if "--check" not in sys.argv:
        PAGE.write_text(page(now, marked()))
        return 0
    gone = lost(said(PAGE.read_text()), now)
    for row in gone:
        tests = ", ".join(marked()[row]) or "none names it"
        print(
            f"lost: {row}, {rubric.ROWS[row]}: no test of it has passed, or one has failed ({tests})", file=sys.stderr
        )
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
