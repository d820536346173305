"""A pipeline of shell stages without a model: its pushes are run, and their numbers told."""

import json
import shutil

import pytest
from tests.foreign.shapes import Foreign
from tests.foreign.stranger import Stranger, tool

from pushforward import __version__
from pushforward.git.repository import Repository
from pushforward.judge import judged
from pushforward.report import notes
from pushforward.report.terminal import terminal

__all__ = ["tool"]
SETTINGS = f"""\
tool: "{__version__}"
models:
  counts:
    environment: [run.txt, data.txt, test.txt]
"""
DVC = """\
stages:
  double:
    cmd: sed 's/1/2/' input.txt > doubled.txt
    deps: [input.txt]
    outs: [doubled.txt]
  count:
    cmd: >-
      mkdir -p metrics && printf '{"rows": %s, "test": {"rate": 0.%s}}' $(wc -l < doubled.txt) $(head -1 doubled.txt)
      > metrics/found.json
    deps: [doubled.txt]
    metrics: [{metrics/found.json: {cache: false}}]
"""
SHAPE = {
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".gitignore": "/doubled.txt\n/metrics\n/handover\n/verdict\n__pycache__\n",
    "input.txt": "1\n1\n",
}
LIMITS = """\
    path: doubled.txt
    metrics:
      metrics/found.json:test.rate: {better: higher, at_least: 0.2, lose_at_most: 0.1}
      metrics/found.json:rows: {better: lower, at_most: 3}
"""


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def locked(project, git):
    """Keep what the run wrote where a server keeps it: in the lock commit of its commit."""
    head = git(project.root, "rev-parse", "HEAD")
    shutil.copytree(project.handover / "metrics", project.root / "metrics", dirs_exist_ok=True)
    git(project.root, "add", "-f", "metrics")
    git(project.root, "commit", "-q", "-m", "Lock")
    git(project.root, "update-ref", f"refs/pushforward/run/{head}", "HEAD")
    git(project.root, "reset", "-q", "--hard", head)


def test_a_run_without_a_model_is_measured_and_says_what_it_does_not_claim(project, git):
    first, report = project.judge()
    assert (first.verdict, first.mode, first.numbers, first.look, first.sealed) == (
        "measured",
        "first",
        (),
        None,
        False,
    )
    assert first.reason == "the first run with numbers: 2 to begin from"
    assert "| `metrics/found.json:rows` |  | 2 |" in " ".join(report.split()).replace("| |", "|  |")
    assert "is no verdict on the model" in report
    assert "not judged on the same rows" in report
    assert sorted(path.name for path in project.handover.iterdir()) == [
        "dvc.lock",
        "metrics",
        "run.json",
        "unscored.txt",
    ]
    assert {stage.name for stage in first.stages if stage.outcome == "ran"} == {"double", "count"}
    locked(project, git)
    project.edit("input.txt", "1\n1\n", "1\n1\n1\n")
    second, report = project.judge()
    assert (second.verdict, second.mode) == ("measured", "superior")
    assert second.reason == "1 of 2 numbers differ from those of the target branch"
    _, context, _ = judged.stored(project.root / "verdict")
    assert context.measured == (("metrics/found.json:rows", 2.0, 3.0), ("metrics/found.json:test.rate", 0.2, 0.2))
    assert "old is what" in report
    card = terminal(second, context)
    assert "• MEASURED" in card
    assert [line.split()[-2:] for line in card.splitlines() if "found.json:rows" in line] == [["2", "3"]]


def test_promote_and_score_have_nothing_to_do_for_what_is_measured(project):
    assert "level 0 (rerun): nothing is scored" in project.answer()
    project.gate()
    assert project.invoke("promote") == "  measured: nothing to promote\n"
    assert not (project.root / "verdict" / "golden.json").exists()


def test_limits_of_the_target_branch_hold_a_run_that_breaks_them(project, git):
    project.write({"pushforward.yaml": SETTINGS + LIMITS})
    project.commit("Ask for more")
    project.commit("Train")
    first, report = project.judge()
    assert (first.verdict, first.reason.partition(";")[0]) == ("measured", "no limit of its metrics is broken")
    assert [guard.outcome for guard in first.guards] == ["pass", "undecided", "pass"]
    assert "Level 1 (metrics): numbers are as the run wrote them, not judged on the same rows" in report
    locked(project, git)
    project.write({"pushforward.yaml": SETTINGS, "input.txt": "1\n" * 4})  # a lower level, and a broken limit
    project.commit("Ask for nothing")
    second, report = project.judge()
    assert second.verdict == "hold"
    assert second.reason == "metrics/found.json:rows is 4, and at_most asks for 3"
    assert any(name.startswith("pushforward.yaml: models.counts.metrics") for name in second.touched)
    assert "breaks a limit of its metrics" in report


def test_limits_are_of_numbers_wherever_dvc_yaml_declares_them(project):
    written = DVC.partition("    cmd: >-")[0] + (
        "    cmd: \"printf 'rows: %s\\\\n' $(wc -l < doubled.txt) > rows.yaml\"\n"
        "    deps: [doubled.txt]\n    metrics: [{rows.yaml: {cache: false}}]\n"
    )
    limits = (
        LIMITS.partition("      metrics/")[0] + "      rows.yaml:rows: {better: lower, at_most: 3, lose_at_most: 1}\n"
    )
    project.write({"dvc.yaml": written, "pushforward.yaml": SETTINGS + limits})
    project.commit("Ask for few rows")
    project.commit("Train")
    first, _ = project.judge()
    assert (first.verdict, [guard.outcome for guard in first.guards]) == ("measured", ["pass", "undecided"])
    project.commit("Keep what the run wrote, as DVC has it")
    project.edit("input.txt", "1\n1\n", "1\n" * 4)
    second, _ = project.judge()
    assert (second.verdict, second.reason) == (
        "hold",
        "rows.yaml:rows is 4, and at_most asks for 3; rows.yaml:rows is 4 after 2, and lose_at_most asks for 1",
    )


def test_what_was_held_is_nothing_to_be_held_against(project, git):
    project.write({"pushforward.yaml": SETTINGS + LIMITS.replace("at_most: 3", "lose_at_most: 1")})
    project.commit("Ask for a little")
    for lines, word in ((2, "measured"), (4, "hold"), (5, "hold"), (3, "measured")):
        project.write({"input.txt": "1\n" * lines})
        head = project.commit("Train")
        verdict, report = project.judge()
        assert verdict.verdict == word, (lines, verdict.reason)
        notes.put(Repository(project.root), head, "push", report, lock=project.root / ".git" / "notes.lock")
        locked(project, git)
    assert "after 2, and lose_at_most asks for 1" in verdict.guards[-1].detail


def test_a_number_that_a_limit_names_and_no_run_writes_is_invalid(project):
    limits = LIMITS.replace("test.rate", "test.share")
    project.write({"pushforward.yaml": SETTINGS + limits})
    project.commit("Ask for what is not there")
    project.commit("Train")
    verdict, report = project.judge()
    assert verdict.verdict == "invalid"
    assert verdict.reason == (
        'models.counts.metrics."metrics/found.json:test.share" on the target branch has a limit, and '
        "metrics/found.json has no number test.share"
    )
    assert "have the stage that makes metrics/found.json write it" in report


@pytest.mark.slow
def test_a_push_of_shell_stages_alone_is_measured_on_a_real_server(tmp_path, tool):
    own = {name: text for name, text in SHAPE.items() if name != "pushforward.yaml"}
    shop = Stranger(tmp_path, tool, own | {".gitignore": "/doubled.txt\n/metrics\n", "renv.lock": "{}\n"})
    said = shop.adopt()
    assert "level   0 of 3, rerun" in said, said
    shop.edit("pushforward.yaml", "environment: [renv.lock]", "environment: []")
    shop.own("Say that no stage is of Python")
    assert "would be run" in shop.rehearse()
    said = shop.push()
    assert "MEASURED" in said, said
    assert "the first run with numbers: 2 to begin from" in said.lower(), said
    shop.needed("shell stages, `renv.lock`, no model", "0, first numbers")
    shop.git("switch", "-q", "-c", "longer")
    shop.edit("input.txt", "1\n1\n", "1\n1\n1\n")
    shop.commit("Say it once more")
    said = shop.push("longer")
    assert "MEASURED" in said, said
    assert "1 of 2 numbers differ" in said, said
    shop.git("fetch", "-q", "local")
    assert json.loads(shop.call("report", "HEAD", "--json"))["verdict"] == "measured"
    assert shop.tags() == []
