"""A pipeline of shell stages without a model: its pushes are run, and their numbers told."""

import json
import shutil
import subprocess

import pytest
from tests.foreign.shapes import Foreign
from tests.foreign.stranger import Stranger, tool
from tests.team import make_team

from pushforward import __version__
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import judged, recorded
from pushforward.registry import ssh, trust
from pushforward.report import notes
from pushforward.report.note import Context
from pushforward.report.terminal import terminal
from pushforward.settings import parse

pytestmark = pytest.mark.whole

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
    shutil.copy(project.handover / "dvc.lock", project.root)
    git(project.root, "add", "-f", "metrics", "dvc.lock")
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


def test_an_environment_that_is_not_locked_is_told(project):
    project.edit("pushforward.yaml", "[run.txt, data.txt, test.txt]", "[]")
    _, report = project.judge()
    told = "The environment is not locked (no lock is named): the same commit may give another model."
    assert told in report
    project.edit("pushforward.yaml", "[]", "[run.txt, data.txt, test.txt]")
    _, report = project.judge()
    assert "not locked" not in report


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
        verdict, _ = project.judge()
        assert verdict.verdict == word, (lines, verdict.reason)
        told = recorded.report(verdict, Context())
        notes.put(Repository(project.root), head, told, lock=project.root / ".git" / "notes.lock")
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


PROMOTING = SETTINGS + LIMITS + "promote: {metrics: true}\n"


def test_what_keeps_its_limits_is_promoted_where_the_target_branch_says_so_and_told_by_whom(project, git):
    project.write({"pushforward.yaml": PROMOTING})
    project.commit("Promote by numbers")
    project.commit("Train")
    first, report = project.judge()
    assert (first.verdict, first.rules) == ("promote", {"level": "1 (metrics)", "by": "metrics"})
    assert first.reason.startswith("by: metrics; no limit of its metrics is broken; ")
    assert "is promoted by `metrics`" in report
    assert "no verdict on the model, which nobody has asked" in report
    assert project.golden["rows"] == []
    locked(project, git)
    project.release("counts@v1.0.0")
    project.write({"input.txt": "1\n" * 4})
    project.commit("Break a limit")
    second, _ = project.judge()
    assert (second.verdict, second.rules) == ("hold", {"level": "1 (metrics)"})
    project.write({"pushforward.yaml": SETTINGS, "input.txt": "1\n" * 3})
    project.commit("Have no model any more")
    third, _ = project.judge()
    assert third.verdict == "measured"


def test_a_limit_that_waits_for_numbers_keeps_all_but_the_first_from_promotion(project):
    project.write({"pushforward.yaml": PROMOTING})
    project.commit("Promote by numbers")
    project.commit("Train")
    project.judge()
    project.release("counts@v1.0.0")
    project.write({"input.txt": "1\n" * 3})
    project.commit("Train again")
    verdict, _ = project.judge()
    assert (verdict.verdict, [guard.outcome for guard in verdict.guards]) == ("measured", ["pass", "undecided", "pass"])


def test_a_persons_signed_word_promotes_without_the_opt_in(project, monkeypatch):
    asked = []

    def word(root, repository, commit, what):
        asked.append((commit, what))
        return "ann@example.org", "seen by eye"

    monkeypatch.setattr(trust, "word", word)
    project.write({"pushforward.yaml": SETTINGS.replace("    environment", "    path: doubled.txt\n    environment")})
    head = project.commit("Train")
    verdict, report = project.judge()
    assert (verdict.verdict, verdict.rules) == ("promote", {"level": "0 (rerun)", "by": "ann@example.org"})
    assert verdict.reason.startswith("by: ann@example.org (seen by eye); the first run with numbers")
    assert "in words that they signed" in report
    assert (head, ssh.PROMOTE) in asked
    project.write({"pushforward.yaml": SETTINGS})
    project.commit("Have no model")
    assert project.judge()[0].verdict == "measured"
    project.write({"pushforward.yaml": SETTINGS + LIMITS})
    project.commit("Ask for little")
    project.write({"input.txt": "1\n" * 4})
    project.commit("Break a limit")
    assert project.judge()[0].verdict == "hold"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (SETTINGS + "promote: {metrics: true}\n", "no number of models.counts.metrics has a limit that it could keep"),
        (PROMOTING.replace(", at_least: 0.2, lose_at_most: 0.1", "").replace(", at_most: 3", ""), "has a limit"),
    ],
)
def test_nothing_is_promoted_by_metrics_that_have_no_limit(settings, why):
    with pytest.raises(PushforwardError) as refused:
        _ = parse(settings.encode()).limits
    assert why in refused.value.message


NOISY = {
    "pushforward.yaml": f"""\
{SETTINGS}    path: model.txt
    metrics:
      metrics/found.json:auc: {{better: higher, lose_at_most: 0.01}}
    noise: {{param: train.seed, runs: 4}}
""",
    "dvc.yaml": """\
stages:
  train:
    cmd: python train.py
    deps: [train.py, effect.txt]
    params: [train.seed]
    outs: [model.txt]
    metrics: [{metrics/found.json: {cache: false}}]
""",
    "params.yaml": "train:\n  seed: 0\n  rest: 1\n",
    "effect.txt": "0.8\n",
    "train.py": """\
import json, os, re

seed = int(re.search("seed: (.*)", open("params.yaml").read())[1])
effect = float(open("effect.txt").read())
open("model.txt", "w").write(f"{seed} {effect}")
os.makedirs("metrics", exist_ok=True)
json.dump({"auc": round(effect + [0, -0.02, -0.04, 0.03, 0.01][seed], 3)}, open("metrics/found.json", "w"))
""",
    ".gitignore": "/model.txt\n/metrics\n/handover\n/verdict\n__pycache__\n",
}


def test_what_other_seeds_of_the_recipe_would_do_is_no_loss(tmp_path, git, monkeypatch):
    project = Foreign(tmp_path, git, monkeypatch, NOISY)
    project.commit("Train")
    first, _ = project.judge()
    assert (first.verdict, first.guards[0].outcome) == ("measured", "undecided")
    kept = json.loads((project.handover / "metrics" / "noise.json").read_text())
    assert (kept["param"], kept["values"]) == ("train.seed", {"metrics/found.json:auc": [0.78, 0.76, 0.83, 0.81]})
    assert (project.root / "params.yaml").read_text() == NOISY["params.yaml"]
    assert json.loads((project.root / "metrics" / "found.json").read_text()) == {"auc": 0.8}
    locked(project, git)
    shutil.copytree(project.handover / "metrics", project.root / "metrics")
    assert "what other seeds of this recipe give is in metrics/noise.json" in project.answer()  # and no stage has run
    project.edit("effect.txt", "0.8", "0.75")
    second, _ = project.judge()
    (told,) = second.guards
    assert (second.verdict, told.outcome) == ("measured", "undecided"), second.reason
    assert "is 0.75 after 0.8, and lose_at_most asks for 0.01; 4 other seeds of the old recipe gave 0.76" in told.detail
    project.edit("effect.txt", "0.75", "0.5")
    third, _ = project.judge()
    assert third.verdict == "hold"
    assert "one more would give 0.7" in third.reason
    project.edit("pushforward.yaml", "param: train.seed", "param: train.sort")
    said = project.invoke("repro", "--push", fails=True)
    assert "params.yaml: train.sort (noise.param) is None, not a whole number" in said


@pytest.mark.slow
def test_a_push_to_the_default_branch_tries_other_seeds_and_a_branch_is_held_against_them(tmp_path):
    own = NOISY["pushforward.yaml"].replace(
        "[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]"
    )
    more = {"pushforward.yaml": own, ".gitignore": f"/.venv\n{NOISY['.gitignore']}"}
    team = make_team(tmp_path, NOISY | more)
    assert "MEASURED" in team.push()
    kept = Repository(team.bare).read(f"refs/pushforward/run/{team.head()}", "metrics/noise.json")
    assert json.loads(kept)["values"] == {"metrics/found.json:auc": [0.78, 0.76, 0.83, 0.81]}
    team.git("switch", "-q", "-c", "topic")
    team.commit("effect.txt", "0.8", "0.75", "Be unlucky")
    said = " ".join(team.push("topic").replace("remote:", "").split())
    assert "MEASURED" in said, said
    assert "4 other seeds of the old recipe gave 0.76 to 0.83" in said, said


@pytest.mark.slow
def test_a_push_is_promoted_by_a_persons_word_then_by_metrics_and_all_that_is_said_of_it_says_so(tmp_path):
    own = PROMOTING.replace("[run.txt, data.txt, test.txt]", "[requirements/run.txt, requirements/data.txt]")
    shape = {"pushforward.yaml": own.replace("metrics: true", "metrics: false")}
    team = make_team(tmp_path, SHAPE | shape | {".gitignore": f"/.venv\n{SHAPE['.gitignore']}"})
    assert "MEASURED" in team.push()
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    team.pushforward("trust", f"{key}.pub", "--as", "ann@example.org", "--for", "main")
    team.git("config", "gpg.format", "ssh")
    team.git("config", "user.signingkey", str(key))
    team.git("commit", "-q", "--allow-empty", "-S", "-m", "Put it to use\n\nPushforward-Promote: seen by eye")
    said = team.push()
    assert "counts@v1.0.0" in team.tags(), said
    team.git("fetch", "-q", "--tags", "local")
    assert "by: ann@example.org (seen by eye); " in team.git("cat-file", "tag", "counts@v1.0.0")
    team.commit("pushforward.yaml", "metrics: false", "metrics: true", "Promote by numbers")
    team.push()
    assert "counts@v1.1.0" not in team.tags()  # it counts from the next push on
    team.commit("input.txt", "1\n1\n", "1\n1\n1\n", "Say it once more")
    said = team.push()
    assert "counts@v1.1.0" in team.tags(), said
    team.git("fetch", "-q", "--tags", "local")
    assert "counts@v1.1.0: by: metrics; " in team.git("cat-file", "tag", "counts@v1.1.0")
    registry = Repository(team.bare)
    for version, by in (("v1.0.0", "by: ann@example.org"), ("v1.1.0", "by: metrics")):
        kept = registry.read("refs/pushforward/registry", f"versions/counts@{version}/provenance.json")
        assert json.loads(kept)["predicate"]["buildDefinition"]["internalParameters"]["judged"] == by
        card = registry.read("refs/pushforward/registry", f"versions/counts@{version}/card.md").decode()
        assert f"Promoted {by.partition('@')[0]}" in card
    assert "counts@v1.1.0 holds" in team.pushforward("verify", "counts@v1.1.0")


@pytest.mark.slow
def test_a_push_of_shell_stages_alone_is_measured_on_a_real_server(tmp_path, tool):
    own = {name: text for name, text in SHAPE.items() if name != "pushforward.yaml"}
    shop = Stranger(tmp_path, tool, own | {".gitignore": "/doubled.txt\n/metrics\n", "renv.lock": "{}\n"})
    said = shop.adopt()
    assert "level   0 of 3, rerun" in said, said
    assert "would be run" in shop.rehearse()
    said = shop.push()
    assert "MEASURED" in said, said
    assert "the first run with numbers: 2 to begin from" in said.lower(), said
    assert "the environment is not locked (no lock is named): the same commit may give another model" in said.lower()
    assert "as the run wrote them, not judged on the same rows" in said, said
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
