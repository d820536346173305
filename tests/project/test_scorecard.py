"""The card of a repository: which rows are earned by what is in it, and what earns the others."""

import json

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.project import rubric, scorecard

LEVEL_0 = 'tool: "0.2.0"\nmodels:\n  toy: {}\n'
LEVEL_1 = 'tool: "0.2.0"\nmodels:\n  toy: {path: model, metrics: {"m.json:auc": {better: higher, at_least: 0.8}}}\n'
LEVEL_3 = """tool: "0.2.0"
models:
  toy:
    path: model
    environment: [requirements.txt]
    holdout: {path: data/holdout, key: id, label: y, cluster: none, time: at, floor: mean}
    score: python predict.py {rows} {events} {out}
gate: {slices: [half]}
"""
MONITORED = LEVEL_3 + "monitor: {reference: data/rows, outcomes: 'python o.py {out}', stale_days: 40}\n"
GATE = "jobs: {judge: {steps: [{run: .venv/bin/pushforward gate}]}}\n"
CLOCK = "on:\n  schedule:\n    - cron: '17 4 * * 1'\njobs: {one: {steps: [{run: pushforward VERB}]}}\n"
TEST = """import pytest

@pytest.mark.ml_test_score("Data 1", "Data 9")
def test_columns():
    pass

class TestFeatures:
    @pytest.mark.ml_test_score("Data 7")
    def test_one(self):
        pass
"""


@pytest.fixture
def card(tmp_path, git):
    """The points of a repository with these files, by row."""

    def make(settings, **files):
        root = tmp_path / "toy"
        root.mkdir(exist_ok=True)
        git(root, "init", "-q")
        for name, text in {"pushforward.yaml": settings, **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(root, "add", "-A")
        git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
        return {one.row: one for one in scorecard.card(root).rows}

    return make


def points(rows):
    return {row: one.points for row, one in rows.items() if one.points}


def test_what_has_nothing_has_0_and_is_told_what_earns_each(card):
    rows = card(LEVEL_0)
    assert points(rows) == {}
    assert list(rows) == list(rubric.ROWS)
    assert rows["Data 1"].next == 'a test with @pytest.mark.ml_test_score("Data 1")'
    assert rows["Model 6"].next.startswith("gate.slices in pushforward.yaml, at level 2, or a test with")


def test_a_judge_counts_where_something_starts_it(card):
    assert points(card(LEVEL_1)) == {"Infra 7": 1.0}
    assert points(card(LEVEL_1, **{".github/workflows/judge.yml": f"# pushforward repro\n{GATE}"})) == {
        "Model 1": 1.0,
        "Infra 4": 1.0,
        "Infra 7": 1.0,
    }


def test_level_3_has_what_the_judge_does_by_itself(card):
    files = {".github/workflows/judge.yml": GATE, "dvc.lock": "{}\n"}
    rows = card(LEVEL_3, **files)
    assert points(rows) == {
        "Data 4": 1.0,
        "Model 1": 1.0,
        "Model 5": 1.0,
        "Model 6": 1.0,
        "Infra 1": 0.5,  # nothing makes the bytes again by the clock
        "Infra 4": 1.0,
        "Infra 7": 1.0,
        "Monitoring 5": 1.0,
    }
    again = card(LEVEL_3, **files, **{".github/workflows/verify.yml": CLOCK.replace("VERB", "verify")})
    assert again["Infra 1"].points == 1.0
    assert card(LEVEL_3.replace(", floor: mean", ""), **files)["Model 5"].points == 0.5
    assert card(LEVEL_3.replace(" {events}", ""), **files)["Data 4"].points == 0


def test_what_a_person_has_to_type_is_half_a_point(card):
    rows = {"Model 2", "Monitoring 2", "Monitoring 4", "Monitoring 7"}
    assert {row: one for row, one in points(card(MONITORED)).items() if row in rows} == dict.fromkeys(rows, 0.5)
    by_clock = {".github/workflows/monitor.yml": CLOCK.replace("VERB", "monitor")}
    assert {row: one for row, one in points(card(MONITORED, **by_clock)).items() if row in rows} == dict.fromkeys(
        rows, 1.0
    )


def test_a_test_that_names_a_row_earns_it_where_a_workflow_runs_it(card):
    rows = card(LEVEL_0, **{"tests/test_data.py": TEST, "broken_test.py": "ml_test_score(", "src/notes.py": TEST})
    assert points(rows) == {"Data 1": 0.5, "Data 7": 0.5}
    assert rows["Data 1"].why == "tests/test_data.py::test_columns"
    assert rows["Data 1"].next == "run pytest in a workflow: a person runs it now"
    run = {".github/workflows/ci.yml": "jobs: {test: {steps: [{run: python -m pytest -q}]}}\n"}
    rows = card(LEVEL_0, **run)
    assert points(rows) == {"Data 1": 1.0, "Data 7": 1.0}
    assert rows["Data 7"].next == ""


def test_what_is_in_the_folder_alone_counts_for_nothing(card, tmp_path):
    before = card(LEVEL_1, **{".github/workflows/judge.yml": GATE, "tests/test_data.py": TEST})
    assert (before["Infra 4"].points, before["Data 1"].points) == (1.0, 0.5)
    root = tmp_path / "toy"
    (root / "pushforward.yaml").write_text(LEVEL_0)
    (root / ".github" / "workflows" / "judge.yml").write_text("jobs: {}\n")
    (root / "tests" / "test_data.py").write_text(TEST.replace("Data 1", "Data 3"))
    (root / ".github" / "workflows" / "ci.yml").write_text("jobs: {test: {steps: [{run: pytest}]}}\n")
    assert {one.row: one for one in scorecard.card(root).rows} == before


def test_the_verb_says_it_in_words_and_as_json(card, tmp_path, monkeypatch):
    card(LEVEL_1, **{".github/workflows/judge.yml": GATE})
    monkeypatch.chdir(tmp_path / "toy")
    said = CliRunner().invoke(main, ["score-card"]).output
    assert (
        "  1  Infra 4       Model quality is validated before serving: no version is tagged without its verdict\n"
        in said
    )
    assert said.endswith(f"Data 0, Model 1, Infra 2, Monitoring 0: the score is the least, 0 of 7: {rubric.NOTHING}\n")
    told = json.loads(CliRunner().invoke(main, ["score-card", "--json"]).output)
    assert told["sums"] == {"Data": 0, "Model": 1, "Infra": 2, "Monitoring": 0}
    assert len(told["rows"]) == 28


def test_without_settings_it_says_what_writes_them(tmp_path, git):
    git(tmp_path, "init", "-q")
    with pytest.raises(PushforwardError, match=r"has no pushforward\.yaml"):
        scorecard.card(tmp_path)
