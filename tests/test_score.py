"""The ML Test Score: what earns a row, what loses it, and that the page is of the marks that there are."""

import json
import os
import subprocess
import sys

import pytest
from tests import score
from tests.score import ROOT

from pushforward.project import rubric


def told(*lines):
    return "\n".join(json.dumps({"test": test, "rows": rows, "outcome": what}) for test, rows, what in lines)


def test_there_are_28_rows_seven_to_a_section():
    assert len(rubric.ROWS) == 28
    assert {section: len(titles) for section, titles in rubric.SECTIONS.items()} == dict.fromkeys(rubric.SECTIONS, 7)
    assert rubric.ROWS["Infra 7"] == "Serving models can be rolled back"


def test_a_row_is_earned_where_a_test_has_passed_and_none_has_failed():
    now = score.earned(
        told(
            ("a", ["Data 1", "Infra 7"], "passed"),
            ("b", ["Data 1"], "skipped"),
            ("c", ["Data 2"], "skipped"),
            ("d", ["Data 3"], "passed"),
            ("e", ["Data 3"], "failed"),
        )
    )
    assert [row for row, points in now.items() if points] == ["Data 1", "Infra 7"]
    assert rubric.sums(now) == {"Data": 1, "Model": 0, "Infra": 1, "Monitoring": 0}
    assert rubric.score(now) == 0
    assert rubric.says(0) == rubric.NOTHING
    assert score.lost(now | {"Model 4": 1.0}, now) == ["Model 4"]
    assert score.lost(now, now | {"Data 2": 1.0}) == []


def test_what_two_runs_have_written_down_counts_together(tmp_path, monkeypatch, capsys):
    first, second, page = tmp_path / "first", tmp_path / "second", tmp_path / "page.md"
    first.write_text(told(("a", ["Data 1"], "passed"), ("b", ["Data 2"], "passed")) + "\n")
    second.write_text(told(("c", ["Data 2"], "failed"), ("d", ["Data 3"], "passed")) + "\n")
    earned = dict.fromkeys(rubric.ROWS, 0.0) | {"Data 1": 1.0, "Data 2": 1.0, "Data 3": 1.0}
    page.write_text(score.page(earned, score.marked()))
    monkeypatch.setattr(score, "PAGE", page)
    monkeypatch.setenv(score.RECORD, str(second))
    monkeypatch.setattr("sys.argv", ["score", "--check", str(first)])
    assert score.main() == 1
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["lost: Data 2"]


def test_the_score_is_the_least_of_the_sections():
    points = dict.fromkeys(rubric.ROWS, 1.0) | {"Model 7": 0.0, "Monitoring 1": 0.0, "Monitoring 2": 0.5}
    assert rubric.score(points) == 5.5
    assert rubric.says(5.5).startswith("exceptional")
    assert rubric.says(5).startswith("strong")


def test_a_page_says_what_it_was_made_of():
    points = dict.fromkeys(rubric.ROWS, 1.0) | {"Data 3": 0.0}
    tests = {row: [f"tests/test_a.py::test_it_{number}"] for number, row in enumerate(rubric.ROWS)} | {"Data 3": []}
    text = score.page(points, tests)
    assert score.said(text) == points
    assert "**Score: 6 of 7**" in text
    assert "| Data 3 | 0 | No feature's cost is too much | no test yet |" in text
    assert "[it 0](../tests/test_a.py)" in text


def test_the_page_is_of_the_marks_that_there_are():
    text, marked = score.PAGE.read_text(), score.marked()
    assert text == score.page(score.said(text), marked), "make score"
    assert not [row for row, points in score.said(text).items() if points and not marked[row]]


SUITE = """
import pytest

@pytest.mark.ml_test_score("Data 1", "Data 2")
@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    assert number < LIMIT

@pytest.mark.ml_test_score("Data 1")
def test_more():
    pass

@pytest.mark.ml_test_score("Model 1")
def test_broken(nothing_of_this_name):
    pass

@pytest.mark.ml_test_score("Model 2")
@pytest.mark.skip(reason="there is no tool")
def test_tool():
    pass
"""
CONFTEST = """
from tests import score

def pytest_itemcollected(item):
    item.user_properties.extend(("ml_test_score", row) for row in score.named(item))

def pytest_runtest_logreport(report):
    score.record(report)
"""


@pytest.mark.parametrize("shared", [[], ["-n", "2"]], ids=["alone", "shared"])
def test_a_run_writes_down_what_became_of_each(tmp_path, shared):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = ml_test_score\n")
    record = tmp_path / "score.jsonl"
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", score.RECORD: str(record)}
    env.pop("PYTEST_XDIST_WORKER", None)  # this test may be a worker's, and the run in it is not
    found = {}
    for limit in (3, 2):
        record.unlink(missing_ok=True)
        (tmp_path / "test_it.py").write_text(SUITE.replace("LIMIT", str(limit)))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shared, "test_it.py"]
        subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True)
        found[limit] = [row for row, points in score.earned(record.read_text()).items() if points]
    assert found == {3: ["Data 1", "Data 2"], 2: []}


def test_a_row_of_another_name_is_refused(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = ml_test_score\n")
    (tmp_path / "test_it.py").write_text(SUITE.replace("Model 2", "Data 8"))
    env = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "the ML Test Score has no row 'Data 8'" in done.stdout + done.stderr
