"""`pushforward tune` on a project whose best parameter is known: kills, Ctrl-C, what it reads, leaves and refuses."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pushforward.errors import TOOL, PushforwardError
from pushforward.git.repository import Repository
from pushforward.tuning import folds, proposed, study
from pushforward.tuning import told as words
from pushforward.tuning import tune as tuning
from pushforward.tuning.tune import Wish

pytestmark = pytest.mark.whole

WHAT = ("number", "values", "state", "folds", "value", "cause")


def tried(found):
    return [{name: one[name] for name in WHAT} for one in found["trials"]]


def done(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def objects(toy):
    """What is in the cache."""
    return sorted(path for path in (toy.root / ".dvc" / "cache").rglob("*") if path.is_file())


@pytest.mark.ml_test_score("Model 3")
def test_the_best_is_found_on_the_past_alone_and_checked_where_nothing_was_tried(toy):
    (toy.source / "b6").unlink()  # the holdout: whoever asks for it fails
    said = []
    found = tuning.tune(toy.root, Wish(trials=6), say=said.append)
    assert found.folds == ("b3", "b4")
    assert found.kept_back == "b5"
    assert found.trials[0].values == {"train.p": 0.9} == found.today
    # 3 of 10 come true, and seed 1 adds .001
    assert found.trials[0].value == pytest.approx(-0.3 * math.log(0.901) - 0.7 * math.log(0.099))
    assert found.best is not None
    assert abs(found.best["train.p"] - 0.3) < 0.2
    assert found.check is not None
    assert found.check.seeds == (2, 3, 4, 5, 6)
    assert found.check.worth
    assert found.check.today[0] == pytest.approx(-0.3 * math.log(0.902) - 0.7 * math.log(0.098))
    text = "\n".join(words.lines(found))
    assert "on b5, which no trial has seen" in text
    assert text.endswith("the judge decides on rows that no search has seen")
    assert toy.git("status", "--porcelain") == ""
    left = sorted(path.name for path in (toy.root / ".dvc" / "tmp" / "tune").iterdir())
    assert left == [f"{found.study}.journal", "searching.lock", "stages.log"]
    with pytest.raises(PushforwardError, match="a search of this commit with these settings has begun already"):
        tuning.tune(toy.root, Wish(), say=said.append)
    kept = objects(toy)
    more = tuning.tune(toy.root, Wish(trials=8, resume=True), say=said.append)
    assert more.trials[:6] == found.trials
    assert len(more.trials) == 8
    assert objects(toy) == kept  # a trial leaves nothing there


def test_a_check_that_fails_costs_itself_alone_and_is_made_again(toy, tmp_path):
    toy.edit("pushforward.yaml", "seed: train.seed", "seed: train.seed\n  seeds: 2\n  folds: 1")
    text = (toy.source / "b5").read_text()
    (toy.source / "b5").unlink()
    found = tuning.tune(toy.root, Wish(trials=3), say=lambda _: None)
    assert found.best is not None
    assert found.check is None
    assert found.unchecked.startswith("b5: collect failed: ")
    assert found.of_state("complete") == 3
    told = list(words.lines(found, asked=True))
    assert any(line.startswith("what was found could not be checked: b5: collect failed: ") for line in told)
    assert "nothing is proposed: what is not checked may be chance" in told
    assert told[-1] == "  next: pushforward tune --resume, which checks again, once that is mended"
    assert proposed.propose(toy.root, found, say=lambda _: None) is None
    proposed.leave(found, tmp_path / "out")
    assert proposed.read(tmp_path / "out") == found
    assert "what was found could not be checked: b5: collect failed" in (tmp_path / "out" / "tuned.md").read_text()
    (toy.source / "b5").write_text(text)
    again = tuning.tune(toy.root, Wish(trials=3, resume=True), say=lambda _: None)
    assert again.trials == found.trials
    assert again.unchecked == ""
    assert again.check is not None
    assert again.check.worth


@pytest.mark.parametrize(
    ("file", "old", "new", "cause"),
    [
        ("predict.py", "p=pl.lit(p)", "p=pl.lit(float('nan') if p > 0.8 else p)", ": answers"),
        (
            "predict.py",
            "p=pl.lit(p)",
            "p=pl.lit(1 / 0 if p > 0.8 else p)",
            "failed with exit status 1: predict.py:6: ZeroDivisionError",
        ),
        (
            "predict.py",
            "p = float",
            "import time\ntime.sleep(30 * (float(pathlib.Path('model').read_text()) > 0.8))\np = float",
            "took longer than 5 s and was stopped",
        ),
        (
            "pipeline.py",
            'abs(train["p"] - 0.5)',
            'abs(train["p"] - 0.5) if train["p"] < 0.8 else float("nan")',
            "wrote no number validation.gap",
        ),
    ],
    ids=["not a number", "fails", "late", "metric"],
)
def test_what_gives_no_number_is_one_trial_that_failed(toy, monkeypatch, file, old, new, cause):
    """Today's parameters are the ones: they fail as a trial, and as what the best is held against."""
    monkeypatch.setattr(folds, "SCORE_SECONDS", 5)
    toy.edit(file, old, new)
    metric = "\n  metric: metrics/metrics.json:validation.gap" if file == "pipeline.py" else ""
    toy.edit("pushforward.yaml", "seed: train.seed", f"seed: train.seed\n  seeds: 2\n  folds: 1{metric}")
    found = tuning.tune(toy.root, Wish(trials=3), say=lambda _: None)
    assert found.trials[0].state == "failed"
    assert cause in found.trials[0].cause
    assert found.of_state("complete") >= 1
    assert cause in found.unchecked
    more = tuning.tune(toy.root, Wish(trials=4, resume=True), say=lambda _: None)
    assert more.trials[:3] == found.trials
    assert len(more.trials) == 4


def test_a_fold_whose_first_run_fails_is_begun_anew(toy, tmp_path):
    (toy.source / "b3").rename(toy.source / "kept")
    repository = Repository(toy.root)
    rules, told = tuning._rules(toy.root, repository, "")
    first = folds.folds(rules, told, lambda file: repository.read("HEAD", file))[0]
    ground = folds.Ground(toy.root, rules, told, tmp_path, tmp_path / "log", lambda _: None)
    for _ in range(2):
        with pytest.raises(folds.FailedError, match="b3: collect failed"):
            ground.number(first, {"train.p": 0.3})
    (toy.source / "kept").rename(toy.source / "b3")
    # 3 of 10 come true, and seed 1 adds .001
    expected = pytest.approx(-0.3 * math.log(0.301) - 0.7 * math.log(0.699))
    assert ground.number(first, {"train.p": 0.3}) == expected
    assert ground.number(first, {"train.p": 0.3}) == expected


def test_a_check_without_time_leaves_what_was_found(toy, tmp_path):
    best = study.Trial(0, {"train.p": 0.3}, "complete", (0.61,), 0.61, "", 1.0)
    made = study.Study("a", ("b3",), False, 1, [best])
    repository = Repository(toy.root)
    rules, told = tuning._rules(toy.root, repository, "")
    ground = folds.Ground(toy.root, rules, told, tmp_path, tmp_path / "log", lambda _: None)
    last = folds.folds(rules, told, lambda file: repository.read("HEAD", file))[-1]
    late = tuning._check(ground, made, ({"train.p": 0.9}, last), ("train.seed", 1), time.monotonic() - 1, apart=True)
    assert late == (None, "the time is over")
    assert (made.best, ground.pace.runs, ground.pace.ready) == (best, [], 0)


def test_stages_see_no_variable_of_whoever_asks_and_the_code_of_their_checkout(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("PUSHFORWARD_FORGE_TOKEN", "of-a-forge")
    (toy.root / "src").mkdir()
    (toy.root / "src" / "seen.py").write_text("import os\nwhere, names = __file__, sorted(os.environ)\n")
    toy.git("add", "src")
    line = "import seen; pathlib.Path('seen').write_text(json.dumps([seen.where, seen.names])); params = YAML"
    toy.edit("pipeline.py", "params = YAML", line)
    repository = Repository(toy.root)
    rules, told = tuning._rules(toy.root, repository, "")
    first = folds.folds(rules, told, lambda file: repository.read("HEAD", file))[0]
    ground = folds.Ground(toy.root, rules, told, tmp_path / "runs", tmp_path / "log", lambda _: None)
    ground.number(first, {"train.p": 0.3})
    where, names = json.loads((tmp_path / "runs" / "fold-0" / "seen").read_text())
    assert where == str(tmp_path / "runs" / "fold-0" / "src" / "seen.py")
    assert "PUSHFORWARD_FORGE_TOKEN" not in names
    assert {"PATH", "HOME", "PYTHONPATH"} <= set(names)
    assert os.environ["PUSHFORWARD_FORGE_TOKEN"] == "of-a-forge"  # whoever asks has it still


@pytest.mark.slow
def test_after_a_kill_the_search_goes_on_as_if_nothing_had_happened(toy):
    toy.edit("params.yaml", "seconds: 0", "seconds: 0.05")
    toy.edit("pushforward.yaml", "seed: train.seed", "seed: train.seed\n  seeds: 2")
    code, out, err = done(toy.tune("--json", "--trials", "5"))
    assert code == 0, err
    whole = json.loads(out)
    (toy.root / ".dvc" / "tmp" / "tune" / f"{whole['study']}.journal").unlink()
    for _ in range(2):
        begun = toy.tune("--trials", "5", *(["--resume"] if _ else []))
        for line in begun.stdout:
            if re.match(r"  [24]/5 ", line):
                time.sleep(0.3)
                begun.kill()
                break
        begun.communicate()
        assert begun.returncode == -signal.SIGKILL
    code, out, err = done(toy.tune("--json", "--trials", "5", "--resume"))
    assert code == 0, err
    found = json.loads(out)
    assert tried(found) == tried(whole)
    assert found["check"] == whole["check"]
    assert not list((toy.root / ".dvc" / "tmp" / "tune").glob("run-*"))


def test_ctrl_c_tells_what_there_is_and_how_to_go_on(toy):
    toy.edit("params.yaml", "seconds: 0", "seconds: 0.3")
    command = [sys.executable, "-m", "pushforward", "tune", "--json"]
    begun = subprocess.Popen(
        command,
        cwd=toy.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in begun.stderr:
        if line.startswith("  2/8 "):
            time.sleep(0.5)
            os.killpg(begun.pid, signal.SIGINT)  # as a terminal does: stages get it too
            break
    out, err = begun.communicate(timeout=120)
    assert begun.returncode == 130, err
    found = json.loads(out)
    assert found["interrupted"] == "Ctrl-C"
    assert [one["state"] for one in found["trials"]] in (["complete"] * 2, ["complete"] * 3)
    assert found["check"] is None
    assert "the trial at hand is begun again with --resume" in err
    text = list(words.lines(tuning.tune(toy.root, Wish(resume=True, minutes=1e-9), say=lambda _: None)))
    assert text[0].endswith("trials, of 8 (the time is over): " + f"{len(found['trials'])} through all folds")
    assert text[-1] == "  next: pushforward tune --resume"


def test_one_search_at_a_time(toy):
    toy.edit("params.yaml", "seconds: 0", "seconds: 0.5")
    begun = toy.tune()
    try:
        assert begun.stdout.readline().startswith("  study ")
        with pytest.raises(PushforwardError, match=f"process {begun.pid}") as refused:
            tuning.tune(toy.root, Wish(seed=1), say=lambda _: None)
        assert refused.value.exit_code == TOOL
    finally:
        begun.kill()
        begun.communicate()


def test_a_number_of_the_pipeline_is_searched_by_where_it_is_named(toy):
    toy.edit("pushforward.yaml", "trials: 8", "metric: metrics/metrics.json:validation.gap\n  trials: 3\n  seeds: 2")
    found = tuning.tune(toy.root, Wish(), say=lambda _: None)
    assert found.number == "metrics/metrics.json:validation.gap"
    assert found.trials[0].folds == (pytest.approx(0.4), pytest.approx(0.4))


def test_without_batches_each_trial_is_one_run(toy):
    toy.edit("pushforward.yaml", "    batches: params.yaml:data.batches\n", "")
    with pytest.raises(PushforwardError, match=r"tune\.metric is missing: without batches"):
        tuning.tune(toy.root, Wish(), say=lambda _: None)
    toy.edit("pushforward.yaml", "trials: 8", "metric: metrics/metrics.json:validation.gap\n  trials: 2\n  seeds: 2")
    said = []
    found = tuning.tune(toy.root, Wish(), say=said.append)
    assert (found.folds, found.kept_back) == (("validation",), "")
    assert "no batches: each trial is one run, and its number metrics/metrics.json:validation.gap" in said
    assert found.check is None or not found.check.apart


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        (
            "metrics.json:validation.gap",
            "metrics.json:validation.gop",
            "wrote no number validation.gop into metrics/metrics",
        ),
        ("train.p: {", "train.q: {", r"tune\.space\.train\.q: params\.yaml has no such parameter"),
        ("seed: train.seed", "seed: train.p", r"'train\.p' is the seed, and is not searched"),
        ("seed: train.seed", "seed: train.sed", r"tune\.seed: train\.sed of params\.yaml is None, not a whole number"),
        ("tune:", "tuna:", "unknown section 'tuna'; did you mean 'tune'"),
    ],
)
def test_what_cannot_be_searched_is_refused(toy, old, new, wrong):
    toy.edit("pushforward.yaml", "trials: 8", "metric: metrics/metrics.json:validation.gap")
    toy.edit("pushforward.yaml", old, new)
    with pytest.raises(PushforwardError, match=wrong):
        tuning.tune(toy.root, Wish(), say=lambda _: None)


def test_what_commits_are_judged_by_chooses_no_parameters(toy):
    judged = '    metrics: {"metrics/metrics.json:validation.gap": {better: lower, at_most: 1}}\n'
    text = (toy.root / "pushforward.yaml").read_text()
    text = re.sub(r"    (holdout|score|batches):.*\n", "", text).replace(
        "    path: model\n", f"    path: model\n{judged}"
    )
    text = text.replace("trials: 8", "metric: metrics/metrics.json:validation.gap")
    (toy.root / "pushforward.yaml").write_text(text)
    with pytest.raises(PushforwardError, match=r"this folder differs from its commit: pushforward\.yaml"):
        tuning.tune(toy.root, Wish(), say=lambda _: None)
    toy.git("commit", "-qam", "Measure")
    with pytest.raises(PushforwardError, match="is what commits are judged by"):
        tuning.tune(toy.root, Wish(), say=lambda _: None)


def test_nothing_that_has_begun_is_nothing_to_go_on_with(toy):
    with pytest.raises(PushforwardError, match="no search of this commit with these settings and seed 3 has begun"):
        tuning.tune(toy.root, Wish(seed=3, resume=True), say=lambda _: None)
