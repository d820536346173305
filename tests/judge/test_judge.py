"""What the judge weighs: real git, real DVC, and a hand-over that may say anything."""

import dataclasses
import datetime
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests import forge_double

from pushforward import __version__
from pushforward.cause import Cause
from pushforward.errors import DATA, TOOL, USAGE, PushforwardError
from pushforward.gate.verdict import invalid
from pushforward.git.repository import Repository
from pushforward.judge import challenge, handover, judged
from pushforward.judge import holdout as holdouts
from pushforward.judge import judge as evidence
from pushforward.judge.question import Question, judge_of
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment, revision
from pushforward.pipeline.stages import Reproduction, Stage
from pushforward.registry import tags as registry
from pushforward.report import note
from pushforward.report.markdown import markdown
from pushforward.report.terminal import terminal
from pushforward.settings import Settings, load

pytestmark = pytest.mark.whole

DEEP = b"[" * (sys.getrecursionlimit() + 1)  # one more than is parsed
REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements"
LOCKS = ["run.txt", "data.txt", "test.txt"]  # what this interpreter was built from
SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [run.txt, data.txt, test.txt]
    holdout: {path: data/holdout, key: id, label: y, cluster: date, time: at}
    score: sh score.sh {rows} {events} {out}
    batches: params.yaml:data.months
"""
PARAMS = """\
data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]
train:
  depth: 1
"""
DVC_YAML = """\
stages:
  holdout:
    cmd: mkdir -p data/holdout && cp source/*.parquet data/holdout
    deps: [source]
    params: [data.months]
    outs: [data/holdout]
  train:
    cmd: mkdir -p model && cp recipe/* model
    deps: [recipe]
    outs: [model]
"""
CLAIMED = {"dvc.lock": b"schema: '2.0'\n", "model/model.json": b"x", "model/manifest.json": b"{}"}


class Project:
    """A clone with a bare origin; `run` is what the workflow of the pushed code does."""

    def __init__(self, folder, git):
        self.root, self.handover, self._git = folder / "clone", folder / "handover", git
        self.root.mkdir()
        (folder / "store").mkdir()
        for name in LOCKS:
            shutil.copy(REQUIREMENTS / name, self.root)
        config = f"[core]\n    remote = s\n[cache]\n    type = copy\n['remote \"s\"']\n    url = {folder}/store\n"
        self.write(".dvc/config", config)
        self.write(".dvc/.gitignore", "/cache\n/tmp\n")
        self.write(".gitignore", "/model\n/data\n")
        self.write("pushforward.yaml", SETTINGS)
        self.write("params.yaml", PARAMS)
        self.write("dvc.yaml", DVC_YAML)
        self.write("score.sh", 'cp predictions.parquet "$3"\n')
        self.write("recipe/manifest.json", json.dumps({"inputs": {"x": "float"}, "training": {"months": ["2020-02"]}}))
        self.git("init", "-q")
        self.recipe("one", 0.4)

    def git(self, *args):
        return self._git(self.root, *args)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def recipe(self, model, slope):
        """A model, what it predicts, and the rows; a commit of them."""
        self.write("recipe/model.json", model)
        random = np.random.default_rng(1)
        x = random.random(1220)
        ids = [f"r{number}" for number in range(len(x))]
        date = [datetime.date(2020, 3, 1) + datetime.timedelta(days=number % 61) for number in range(len(x))]
        source = self.root / "source"
        if not source.exists():
            source.mkdir()
            y = (random.random(len(x)) < 0.1 + 0.8 * x).astype("int8")
            pl.DataFrame({"id": ids, "at": date}).write_parquet(source / "rows.parquet")
            pl.DataFrame({"id": ids[:0]}).write_parquet(source / "events.parquet")
            pl.DataFrame({"id": ids, "y": y, "date": date}).write_parquet(source / "labels.parquet")
        p = 0.5 + slope * (x - 0.5)
        pl.DataFrame({"id": ids, "p": p}).write_parquet(self.root / "predictions.parquet")
        return self.commit(f"Train {model}")

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def run(self):
        """Reproduce and hand over."""
        done = pipeline.reproduce(self.root, pull=False, push=True, say=lambda _: None)
        handover.write(self.root, self.handover, self.git("rev-parse", "HEAD"), done, "model")
        shutil.copy(self.root / "predictions.parquet", self.handover / "predictions.parquet")
        (self.root / "dvc.lock").unlink()

    def claim(self, reproduction=None, commit=None, **files):
        """A hand-over that says anything, without a run."""
        root = self.handover.parent / "claimed"
        shutil.rmtree(root, ignore_errors=True)
        for name, content in (CLAIMED | files).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        commit = commit or self.git("rev-parse", "HEAD")
        handover.write(root, self.handover, commit, reproduction or Reproduction(), "model")

    def release(self, name):
        """Tag the commit at hand, with the lock of the run, as what was promoted."""
        shutil.copy(self.handover / "dvc.lock", self.root / "dvc.lock")
        commit = self.commit("Lock")
        model = hashlib.sha256((self.handover / "model" / "model.json").read_bytes()).hexdigest()
        self.git("tag", "-a", "-m", registry.message(f"{name}: fine", {"model": model, "commit": commit}), name, commit)
        return commit

    def weigh(self):
        head = self.git("rev-parse", "HEAD")
        question = Question(head, head, "push", "refs/heads/main")
        judge = judge_of(self.root, question)
        work = self.root / ".git" / "judge"
        return evidence.weigh(self.root, self.handover, question, judge=judge, work=work, say=lambda _: None)


@pytest.fixture
def project(tmp_path, git):
    return Project(tmp_path, git)


def still_project(folder):
    """A project outside of any one test."""

    def git(folder, *args):
        settings = ("user.name=Ann", "user.email=ann@example.org", "init.defaultBranch=main")
        options = [word for setting in settings for word in ("-c", setting)]
        command = ["git", *options, "-C", str(folder), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return Project(folder, git)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A project that no test changes but for its hand-over; made once."""
    return still_project(tmp_path_factory.mktemp("still"))


def test_what_changed_decides_which_part_of_the_version_is_raised(project):
    if environment.at_hand() != environment.digest(Repository(project.root), "HEAD", LOCKS):
        pytest.skip("these tests run in an environment that the locks did not make")
    # a holdout of one promotion shows its numbers with what passes
    project.write("pushforward.yaml", SETTINGS + "gate: {promotions: 1}\n")
    project.run()
    released = project.release("toy@v1.2.3")
    project.write("params.yaml", PARAMS.replace("depth: 1", "depth: 2"))
    project.recipe("two", 0.7)
    project.run()
    verdict, context, level = project.weigh()
    assert verdict.verdict != "invalid", verdict.reason
    assert (verdict.mode, level, context.next_version) == ("superior", "minor", "toy@v1.3.0")
    assert verdict.verdict != "invalid", verdict.reason
    assert (verdict.champion.version, verdict.champion.commit) == ("toy@v1.2.3", released)
    assert (verdict.holdout.rows, verdict.holdout.days, verdict.holdout.months) == (1220, 61, ("2020-03", "2020-04"))
    loss = verdict.numbers[0]
    assert loss.gain > 0, "each model was scored by its own code"
    assert [row[:2] for row in context.months] == [("2020-03", 620), ("2020-04", 600)]
    assert ("train.depth", "1", "2") in context.changed_params
    assert verdict.digests.model == hashlib.sha256(b"two").hexdigest()
    assert verdict.digests.lock == hashlib.sha256((project.handover / "dvc.lock").read_bytes()).hexdigest()
    path = project.handover / "model" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"inputs": {"x": "float", "z": "int"}}))
    assert project.weigh()[2] == "major", "the model asks for other columns"


def test_batches_of_any_name_are_judged_and_named_by_their_own_word(project):
    if environment.at_hand() != environment.digest(Repository(project.root), "HEAD", LOCKS):
        pytest.skip("these tests run in an environment that the locks did not make")
    named = PARAMS.replace("2020-01", "Y").replace("2020-02", "X").replace("2020-03", "A").replace("2020-04", "B")
    project.write("params.yaml", named)
    project.write("recipe/manifest.json", json.dumps({"training": {"months": ["Y", "X"], "validation_month": "X"}}))
    project.recipe("one", 0.4)
    project.run()
    project.release("toy@v1.0.0")
    project.write("params.yaml", named.replace('"B"]', '"B", "delivery C"]'))
    project.recipe("two", 0.4)
    project.run()
    verdict, context, _ = project.weigh()
    assert (verdict.verdict, verdict.holdout.months) == ("identical", ("B", "delivery C")), verdict.reason
    assert (context.months, context.months_added) == ((), ("delivery C",)), "no cluster tells the batch of a row"

    project.write("recipe/manifest.json", json.dumps({"training": {"months": ["A", "Y", "X"]}}))
    project.write("params.yaml", named)
    project.recipe("three", 0.7)
    project.run()
    verdict, _, _ = project.weigh()
    assert verdict.reason == "the challenger trained on A, a batch of the holdout"
    project.write("recipe/manifest.json", json.dumps({"training": {"months": ["Y", "X"]}}))
    project.recipe("four", 0.7)
    project.run()
    verdict, context, _ = project.weigh()
    assert (verdict.mode, verdict.look.number) == ("superior", 1), verdict.reason
    assert project.git("for-each-ref", "--format=%(refname)", "refs/pushforward/holdout") == (
        "refs/pushforward/holdout/A_B"
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A project after a run, with its honest hand-over."""
    project = still_project(tmp_path_factory.mktemp("ran"))
    project.run()
    return project


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda table: table.with_columns(p=pl.lit(float("nan"))), "p is nan for id 'r0', not a number in [0, 1]"),
        (lambda table: table.with_columns(p=pl.col("p") + 1), "not a number in [0, 1] (1,220 such rows)"),
        (lambda table: table.head(7), "predictions.parquet has 7 rows; the holdout has 1,220"),
        (lambda table: table.with_columns(id="x" + pl.col("id")), "id 'xr0' is not in the holdout"),
        (lambda table: table.with_columns(p=pl.col("p") / 2), "scored again, gives other predictions"),
    ],
    ids=["nan", "above one", "fewer rows", "other keys", "not the model's"],
)
def test_predictions_that_cannot_be_judged_are_invalid(ran, spoil, reason):
    honest = (ran.handover / "predictions.parquet").read_bytes()
    spoil(pl.read_parquet(ran.root / "predictions.parquet")).write_parquet(ran.handover / "predictions.parquet")
    verdict, _, _ = ran.weigh()
    (ran.handover / "predictions.parquet").write_bytes(honest)
    assert verdict.verdict == "invalid"
    assert reason in verdict.reason


def test_what_differs_by_rounding_is_judged_by_the_judges_own_numbers_and_said(ran):
    honest = (ran.handover / "predictions.parquet").read_bytes()
    own = pl.read_parquet(ran.root / "predictions.parquet")
    own.with_columns(p=pl.col("p") * (1 + 4e-10)).write_parquet(ran.handover / "predictions.parquet")
    verdict, context, _ = ran.weigh()
    (ran.handover / "predictions.parquet").write_bytes(honest)
    same, plain, _ = ran.weigh()
    assert (verdict.verdict, verdict.reason) == (same.verdict, same.reason)
    assert not plain.remarks
    said = (
        "scored twice, 1,220 of 1,220 predictions differ by up to 2.8e−10, which passes for rounding; the judge's own"
    )
    assert context.remarks == (f"{said} numbers count",)
    assert "> Scored twice, 1,220 of 1,220" in markdown(verdict, context)
    assert "scored twice, 1,220 of" in " ".join(terminal(verdict, context).split())


@pytest.mark.parametrize(("device", "verdict"), [("cuda", "promote"), ("cpu", "invalid")])
def test_what_was_fitted_on_a_gpu_may_have_been_asked_there(ran, device, verdict):
    changed = [ran.handover / "predictions.parquet", ran.handover / "model" / "manifest.json"]
    honest = {path: path.read_bytes() for path in changed}
    own = pl.read_parquet(ran.root / "predictions.parquet")
    own.with_columns(p=pl.col("p") * (1 + 1e-6)).write_parquet(changed[0])
    told = json.loads(honest[changed[1]]) | {"fitted": {"device": device}}
    changed[1].write_text(json.dumps(told))
    found, _, _ = ran.weigh()
    for path, content in honest.items():
        path.write_bytes(content)
    assert found.verdict == verdict
    assert verdict == "promote" or "gives other predictions than the run handed over in 1,220 rows" in found.reason


def spoiled(ran, tmp_path, spoil):
    """The verdict where the stages of the judge make another holdout: `spoil` changes its three tables."""
    project = Project.__new__(Project)
    project.root, project.handover, project._git = tmp_path / "clone", tmp_path / "handover", ran._git
    shutil.copytree(ran.root, project.root, symlinks=True)
    tables = {name: pl.read_parquet(project.root / "source" / f"{name}.parquet") for name in ("rows", "labels")}
    for name, table in spoil(**tables).items():
        table.write_parquet(project.root / "source" / f"{name}.parquet")
    project.commit("Make another holdout")
    project.commit("Be judged by it")
    asked = pl.read_parquet(project.root / "source" / "labels.parquet").select("id").unique(maintain_order=True)
    known = pl.read_parquet(project.root / "predictions.parquet")
    p = asked.join(known, on="id", how="left", maintain_order="left").with_columns(pl.col("p").fill_null(0.5))
    p.write_parquet(project.root / "predictions.parquet")
    project.commit("Predict")
    project.run()
    return project.weigh()


def months_before(rows, labels):
    """The rows of two months before, too."""
    early = labels.with_columns(id="old" + pl.col("id"), date=pl.col("date") - pl.duration(days=60))
    asked = rows.with_columns(id="old" + pl.col("id"), at=pl.col("at") - pl.duration(days=60))
    return {"rows": pl.concat([rows, asked]), "labels": pl.concat([labels, early])}


def filled_in_later(rows, labels):
    flown = labels["y"] == 0
    return {"rows": rows.with_columns(left=pl.Series(range(len(rows))).set(~flown, None))}


@pytest.mark.parametrize(
    ("spoil", "verdict", "reason"),
    [
        (months_before, "invalid", "1,200 of the 2,440 rows of data/holdout are of 2020-01 to 2020-02, not of 2020-03"),
        (
            lambda rows, labels: {
                "rows": rows,
                "labels": labels.with_columns(id=pl.col("id").str.replace("r7$", "r8")),
            },
            "invalid",
            "data/holdout: labels.parquet: 1 id appear more than once ('r8')",
        ),
        (
            lambda rows, labels: {
                "rows": rows.filter(labels["date"].dt.day() < 28),
                "labels": labels.filter(labels["date"].dt.day() < 28),
            },
            "promote",
            "there is no champion",
        ),
        (
            filled_in_later,
            "unknown",
            "the column 'left' of the rows foretells the label where it is missing (1 in nearly every such row)",
        ),
    ],
    ids=["training rows", "a key twice", "an honest change", "a column filled in later"],
)
def test_the_holdout_is_checked_before_it_is_believed(ran, tmp_path, spoil, verdict, reason):
    found, context, _ = spoiled(ran, tmp_path, spoil)
    assert found.verdict == verdict, found.reason
    assert reason in found.reason
    assert found.look is None, "what a person must look at uses no holdout up"
    if verdict == "unknown":
        assert "a person must look at the data" in found.reason, "also while the numbers are sealed"
        assert context.next_step.startswith("look at the data named above")


def test_what_passes_on_the_default_branch_leaves_golden_rows(ran, tmp_path):
    golden, head = tmp_path / "verdict" / "golden.json", ran.git("rev-parse", "HEAD")
    question = Question(head, head, "push", "refs/heads/main")
    told = {"judge": judge_of(ran.root, question), "work": ran.root / ".git" / "judge", "say": lambda _: None}
    verdict, _, _ = evidence.weigh(ran.root, ran.handover, question, golden=golden, **told)
    assert verdict.verdict == "promote"
    found = json.loads(golden.read_text())
    table = pl.read_parquet(ran.root / "predictions.parquet")
    assert (found["schema"], found["key"], len(found["rows"])) == (1, "id", 100)
    assert [row["id"] for row in found["rows"][:3]] == ["r0", "r12", "r24"]
    assert found["rows"][-1]["id"] == "r1207"
    expected = dict(table.rows())
    assert all(row["p"] == expected[row["id"]] for row in found["rows"]), "to the last bit"


def test_what_does_not_pass_leaves_no_golden_rows(still, tmp_path):
    still.claim()
    head = still.git("rev-parse", "HEAD")
    question = Question(head, head, "push", "refs/heads/main")
    told = {"judge": head, "work": still.root / ".git" / "judge", "say": lambda _: None}
    evidence.weigh(still.root, still.handover, question, golden=tmp_path / "golden.json", **told)
    assert not (tmp_path / "golden.json").exists()


def on_a_forge(project, git):
    """Push the project to a forge whose file names nobody."""
    bare = project.root.parent / "forge.git"
    git(project.root.parent, "init", "-q", "--bare", str(bare))
    project.git("remote", "add", "origin", str(bare))
    project.write(".github/allowed_signers", "# nobody yet\n")
    project.commit("Trust nobody")
    project.git("push", "-q", "origin", "main")


def test_on_a_forge_a_version_that_nobody_signed_is_not_judged_against(project, git):
    if environment.at_hand() != environment.digest(Repository(project.root), "HEAD", LOCKS):
        pytest.skip("these tests run in an environment that the locks did not make")
    on_a_forge(project, git)
    forge_double.forge(project.root, git, "toy@v9.9.9", "toy#production#1")
    project.recipe("two", 0.7)
    project.run()
    verdict, context, _ = project.weigh()
    assert (verdict.verdict, verdict.champion, verdict.mode) == ("promote", None, "first"), verdict.reason
    assert context.next_version == "toy@v1.0.0"


def test_a_forge_that_does_not_say_whose_signatures_count_is_not_guessed_at(project, git):
    on_a_forge(project, git)
    project.git("rm", "-q", ".github/allowed_signers")
    project.commit("Forget it")
    project.git("push", "-q", "origin", "main")
    forge_double.forge(project.root, git, "toy@v1.0.0")
    project.claim()
    with pytest.raises(PushforwardError, match="the git remote 'origin' names no allowed signers"):
        project.weigh()


def test_a_new_name_is_told_and_a_change_under_it_waits_for_the_next_push(project):
    project.run()
    project.release("toy@v1.0.0")
    project.write("pushforward.yaml", SETTINGS.replace("  toy:", "  boat:"))
    project.recipe("two", 0.7)
    project.run()
    verdict, context, _ = project.weigh()
    assert (verdict.verdict, verdict.look, context.renamed_from) == ("invalid", None, "")
    assert verdict.reason.startswith("the model is renamed from toy to boat by a commit that changes what it predicts")
    project.git("checkout", "-q", "--", "dvc.lock")
    project.commit("Push once more")
    project.run()
    verdict, context, _ = project.weigh()
    assert (verdict.verdict, verdict.mode, verdict.champion) == ("promote", "first", None), verdict.reason
    assert (context.renamed_from, context.next_version) == ("toy@v1.0.0", "boat@v1.0.0")


def test_a_new_name_alone_predicts_what_the_champion_predicts(project):
    project.run()
    project.release("toy@v1.0.0")
    project.write("pushforward.yaml", SETTINGS.replace("  toy:", "  boat:"))
    project.commit("Rename")
    project.run()
    assert project.weigh()[0].verdict == "identical"


def test_where_every_version_is_deprecated_the_next_number_goes_on(project):
    project.run()
    commit = project.release("toy@v1.0.0")
    project.git("tag", "-a", "-m", registry.message("old", {"version": "toy@v1.0.0"}), "toy@v1.0.0!", commit)
    project.recipe("two", 0.7)
    project.run()
    verdict, context, _ = project.weigh()
    assert (verdict.mode, context.next_version) == ("first", "toy@v1.1.0"), "v1.0.0 is taken"


def test_a_champion_whose_bytes_are_not_those_of_its_tag_is_not_judged_against(project):
    project.run()
    (project.handover / "model" / "model.json").write_text("forged")
    project.release("toy@v1.0.0")
    project.recipe("two", 0.7)
    project.run()
    verdict, _, _ = project.weigh()
    assert verdict.verdict == "invalid"
    assert "the model of toy@v1.0.0 has SHA-256" in verdict.reason


def test_without_a_hand_over_the_verdict_is_invalid_and_complete(still):
    shutil.rmtree(still.handover, ignore_errors=True)
    verdict, context, _ = still.weigh()
    head = still.git("rev-parse", "HEAD")
    assert (verdict.verdict, verdict.mode, verdict.champion) == ("invalid", "first", None)
    assert (verdict.commit, verdict.base, verdict.ref, verdict.event) == (head, head, "refs/heads/main", "push")
    assert "ended before its pipeline began" in verdict.reason
    assert "ended before its pipeline began" in terminal(verdict, context)


def test_the_first_cause_of_a_run_that_failed_is_the_reason_with_its_next_command(still):
    head = still.git("rev-parse", "HEAD")
    shutil.rmtree(still.handover, ignore_errors=True)
    why = Cause("train.yml: job train: containers do not run here", "edit .github/workflows/train.yml")
    assert not handover.write_cause(still.handover, head, why)
    verdict, context, _ = still.weigh()
    assert (verdict.verdict, verdict.reason) == ("invalid", why.text)
    assert (context.kind, context.message, context.next_step) == ("judged", "", why.next)


def test_why_the_holdout_could_not_be_scored_is_told_once_with_its_next_command(still):
    still.claim()
    for name in ("predictions.parquet", handover.FAILED):
        (still.handover / name).unlink(missing_ok=True)
    head = still.git("rev-parse", "HEAD")
    assert not handover.write_cause(still.handover, head, Cause("frobnicate: command not found", "mend the name"))
    assert handover.write_cause(still.handover, head, Cause("another")), "the first word stands"
    verdict, context, _ = still.weigh()
    assert (verdict.reason, context.next_step) == ("frobnicate: command not found", "mend the name")


def test_what_a_tool_or_another_commit_has_wrong_is_no_verdict(still, monkeypatch):
    still.claim()

    def lost(*_: object, **__: object) -> None:
        raise PushforwardError("the DVC remote has lost model (md5 0)", exit_code=TOOL)

    monkeypatch.setattr(evidence, "_digests", lost)
    with pytest.raises(PushforwardError, match="has lost model"):
        still.weigh()


def test_the_hand_over_of_another_commit_is_not_judged(still):
    still.claim(commit="b" * 40)
    assert "the hand-over is of bbbbbbbbb, not of" in still.weigh()[0].reason


@pytest.mark.parametrize(
    ("outcome", "message", "reason", "kind"),
    [
        ("refused", "rows: row 7 is bad\nmore", "data refused: rows: row 7 is bad", "data-refused"),
        ("refused", "", "data refused: no reason was given", "data-refused"),
        ("failed", "Traceback\nKeyError: 'x'", "train failed: KeyError: 'x'", "training-failed"),
    ],
)
def test_a_run_that_did_not_end_well_gives_its_reason(still, outcome, message, reason, kind):
    stages = [Stage("collect", "ran", "", 1.0), Stage("train", "failed", "", 1.0)]
    still.claim(Reproduction(stages, 0, 0, 2.0, outcome, message))
    verdict, context, _ = still.weigh()
    assert (verdict.verdict, verdict.reason, context.kind) == ("invalid", reason, kind)
    assert [stage.name for stage in verdict.stages] == ["collect", "train"]


def test_a_challenger_that_dies_is_invalid(project):
    project.write("score.sh", "kill -SEGV $$\n")
    project.commit("Die")
    project.run()
    (project.handover / "predictions.parquet").unlink()
    with pytest.raises(PushforwardError, match="died of SIGSEGV"):
        challenge.answer(project.root, load(project.root), project.handover, probe=True, forget=True, say=print)
    verdict, _, _ = project.weigh()
    assert (verdict.verdict, "died of SIGSEGV" in verdict.reason) == ("invalid", True), verdict.reason


def test_settings_that_cannot_be_read_are_the_verdict(project):
    head = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "topic")
    project.write("pushforward.yaml", SETTINGS + "gate:\n  windw: 2\n")
    broken = project.commit("Mistype")
    project.claim(commit=broken)
    project.git("checkout", "-q", head)
    question = Question(broken, broken, "pull_request", "refs/heads/topic", 1)
    verdict, _, _ = evidence.weigh(
        project.root, project.handover, question, judge=head, work=project.root / ".git" / "judge", say=lambda _: None
    )
    assert verdict.verdict == "invalid"
    line = SETTINGS.count("\n") + 2
    assert f"{broken[:9]}:pushforward.yaml:{line}: unknown key 'gate.windw'" in verdict.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {f'tool: "{__version__}"': 'tool: "7.0.0"'},
            "names pushforward 7.0.0 as the version that judges, and this is",
        ),
    ],
    ids=["tool"],
)
def test_a_judge_that_cannot_judge_refuses_and_gives_no_verdict(project, change, reason):
    (old, new), *_ = change.items()
    project.write("pushforward.yaml", SETTINGS.replace(old, new))
    commit = project.commit("Judge otherwise")
    project.commit("Ask it")
    with pytest.raises(PushforwardError) as refused:
        project.weigh()
    assert refused.value.message.startswith(f"{commit[:9]}:pushforward.yaml")
    assert reason in refused.value.message
    assert refused.value.exit_code == USAGE


def test_a_champion_that_nobody_can_ask_is_told_and_how_to_begin_again(project, monkeypatch):
    project.run()
    project.release("toy@v1.2.3")
    project.recipe("two", 0.7)
    project.run()
    monkeypatch.setattr(Settings, "score", "")
    verdict, context, _ = project.weigh()
    assert verdict.verdict == "invalid"
    assert verdict.reason == "toy@v1.2.3 has no score command (it is of level 3), so it cannot be asked"
    assert context.next_step == "give the model another name: it begins again, and is compared with nothing"


def test_a_branch_that_lowers_its_level_is_judged_by_the_target_s(project):
    head = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "topic")
    project.write("pushforward.yaml", SETTINGS[: SETTINGS.index("    holdout:")])
    lower = project.commit("Ask for less")
    project.claim(commit=lower)
    project.git("checkout", "-q", head)
    question = Question(lower, lower, "pull_request", "refs/heads/topic", 1)
    verdict, _, _ = evidence.weigh(
        project.root, project.handover, question, judge=head, work=project.root / ".git" / "judge", say=lambda _: None
    )
    assert verdict.verdict == "invalid"
    assert f"{lower[:9]}:pushforward.yaml: the model toy is at level 0 (rerun)" in verdict.reason
    assert "pushforward.yaml: models.toy.holdout.path" in verdict.touched


FLOORED = SETTINGS.replace("time: at}", "time: at, floor: 'sh floor.sh {rows} {events} {out}'}")
HOSTILE = {
    "pushforward.yaml: tool": {'tool: "0.2.0"': 'tool: "7.0.0"'},
    "pushforward.yaml: gate.alpha": {"models:\n": "gate: {alpha: 0.15}\nmodels:\n"},
    "pushforward.yaml: models.toy.holdout.floor": {", floor: 'sh floor.sh {rows} {events} {out}'": ""},
    "pushforward.yaml: models.toy.loss": {
        "    batches": "    loss: sh loss.sh {labels} {predictions} {out}\n    loss_key: id\n    batches"
    },
    "floor.sh": {},
}


def test_a_branch_that_edits_what_it_is_judged_by_is_judged_by_the_target_s_and_marked(project):
    """Its tool, its rules, its floor, its loss: a worse model is no better by any of them."""
    project.write("floor.sh", 'cp predictions.parquet "$3"\n')
    project.write("pushforward.yaml", FLOORED)
    project.recipe("one", 0.8)
    project.run()
    main = project.release("toy@v1.0.0")
    project.git("checkout", "-q", "-b", "topic")
    project.recipe("two", 0.1)
    found = {}
    for mark, changes in {"": {}, **HOSTILE}.items():
        text = FLOORED
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        project.write("pushforward.yaml", text)
        project.write("floor.sh", "exit 1\n" if mark == "floor.sh" else 'cp predictions.parquet "$3"\n')
        project.write("loss.sh", "exit 1\n")
        head = project.commit(f"Change {mark}")
        project.run()
        project.git("checkout", "-q", "-f", main)
        question = Question(head, head, "pull_request", "refs/heads/topic", 1)
        work = project.root / ".git" / "judge"
        verdict, _, _ = evidence.weigh(
            project.root, project.handover, question, judge=main, work=work, say=lambda _: None
        )
        project.git("checkout", "-q", "-f", "topic")
        assert mark in (*verdict.touched, ""), (mark, verdict.touched)
        found[mark] = (verdict.verdict, verdict.reason, verdict.metric, verdict.rules, verdict.guards)
    plain = found.pop("")
    assert plain[0] == "hold", plain
    assert plain[2] == "logloss"
    assert all(one == plain for one in found.values()), found


def test_the_judge_says_which_batches_have_arrived_where_the_pipeline_reads_it(tmp_path):
    told = SETTINGS.replace("params.yaml:data.months", "sites/list.yaml:all.of.them")
    files = {"sites/list.yaml": "# arrived\nall: {of: {them: ['2020-01']}, more: 1}\n", "pushforward.yaml": told}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    holdouts._set_months(tmp_path, load(tmp_path), ["2020-01", "2020-02"])
    after = (tmp_path / "sites" / "list.yaml").read_text()
    assert after == "# arrived\nall: {of: {them: ['2020-01', '2020-02']}, more: 1}\n".replace("'", "")
    assert (tmp_path / "pushforward.yaml").read_text() == told


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"model/manifest.json": b"["}, "manifest.json is not JSON"),
        ({"model/manifest.json": b"\xff"}, "manifest.json is not JSON"),
        ({"model/manifest.json": b"[]"}, "manifest.json is not of the form expected"),
        pytest.param({"model/manifest.json": DEEP}, "manifest.json"),
        pytest.param({"model/manifest.json": b'{"a": 1' + b"0" * 5000 + b"}"}, "manifest.json"),
        ({"metrics/metrics.json": b"["}, ""),
        pytest.param({"metrics/metrics.json": DEEP}, ""),
        pytest.param({"metrics/metrics.json": b'{"auc": 1' + b"0" * 400 + b"}"}, ""),
        ({"metrics/metrics.json": b'{"auc": NaN, "brier": 1e999, "ece": true}'}, ""),
        ({"metrics/learning.csv": b"\xff\xfe"}, ""),
        pytest.param({"metrics/learning.csv": b"round,validation\n0,0.7\n1\n"}, ""),
        pytest.param({"metrics/learning.csv": b"round,validation\n0,nan\n1,inf\n"}, ""),
    ],
    ids=[
        "manifest cut off",
        "manifest not UTF-8",
        "manifest a list",
        "manifest deep",
        "manifest huge number",
        "metrics cut off",
        "metrics deep",
        "metrics huge number",
        "metrics not finite",
        "curve not UTF-8",
        "curve short row",
        "curve not finite",
    ],
)
def test_whatever_a_run_says_of_itself_there_is_a_verdict(still, files, reason, tmp_path):
    still.claim(**files)
    verdict, context, level = still.weigh()
    assert verdict.verdict == "invalid"
    assert reason in verdict.reason
    judged.store(tmp_path / "verdict", verdict, context, level)
    assert markdown(*judged.stored(tmp_path / "verdict")[:2])


def test_a_hand_over_without_a_lock_says_so(still):
    still.claim()
    (still.handover / "dvc.lock").unlink()
    assert still.weigh()[0].reason == "the run left no dvc.lock"


def test_a_verdict_is_stored_and_read_again(tmp_path):
    verdict = dataclasses.replace(invalid("because − ✓"), commit="a" * 40, event="push")
    context = note.Context(branch="x", months=(("2020-03", 5, 0.25),), validation={"auc": 0.5}, learning_curve=(0.5,))
    judged.store(tmp_path / "deep" / "verdict", verdict, context, "patch")
    assert judged.stored(tmp_path / "deep" / "verdict") == (verdict, context, "patch")


def test_a_verdict_of_another_version_can_be_read_and_is_known_as_such(tmp_path):
    judged.store(tmp_path, invalid("because"), note.Context(branch="idea"), "minor")
    beside = json.loads((tmp_path / "context.json").read_text())
    assert judged.is_ours(tmp_path)
    for context in (beside["context"] | {"unheard_of": "x"}, {"branch": "idea"}):
        (tmp_path / "context.json").write_text(json.dumps(beside | {"context": context}))
        assert not judged.is_ours(tmp_path)
        assert judged.stored(tmp_path)[1].branch == "idea"
    for text in (json.dumps(beside | {"context": {"kind": 3}}), json.dumps({"level": "minor"}), "[]", "{"):
        (tmp_path / "context.json").write_text(text)
        assert not judged.is_ours(tmp_path)
        with pytest.raises(PushforwardError):
            judged.stored(tmp_path)


def test_a_folder_without_a_verdict_and_a_verdict_that_is_none_are_told_apart(tmp_path):
    with pytest.raises(PushforwardError, match="holds no verdict") as missing:
        judged.stored(tmp_path)
    assert missing.value.next == "pushforward gate"
    (tmp_path / "verdict.json").write_text('{"verdict": "promote"}')
    with pytest.raises(PushforwardError, match="not a verdict") as wrong:
        judged.stored(tmp_path)
    assert wrong.value.exit_code == DATA == 3


def test_the_digest_of_a_model_is_that_of_its_file_or_of_the_list_of_its_files(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in {"manifest.json": b"{}", ".gitignore": b"", "a.ubj": b"one"}.items():
        (folder / name).write_bytes(content)
    assert revision.model_digest(folder) == hashlib.sha256(b"one").hexdigest()
    (folder / "manifest.json").write_bytes(b'{"other": 1}')
    assert revision.model_digest(folder) == hashlib.sha256(b"one").hexdigest()
    (folder / "sub").mkdir()
    (folder / "sub" / "b.ubj").write_bytes(b"two")
    lines = "".join(f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in (("a.ubj", b"one"), ("sub/b.ubj", b"two")))
    assert revision.model_digest(folder) == hashlib.sha256(lines.encode()).hexdigest()
    with pytest.raises(PushforwardError, match="holds no model"):
        revision.model_digest(folder / "none")
