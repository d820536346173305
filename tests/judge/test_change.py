"""What a change claims, held against what its run has found and against what was there."""

import json

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import change
from pushforward.pipeline.revision import Revision

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [run.txt]
    holdout: {path: data/holdout, key: id, label: y, cluster: none, time: none}
    score: sh score.sh {rows} {out}
    batches: params.yaml:data.deliveries
"""
LISTED = ["Y", "X", "A", "B", "C"]


def test_metrics_that_a_commit_claims_are_those_of_its_run(repository, git):
    (repository / "metrics").mkdir()
    (repository / "metrics" / "metrics.json").write_text('{"auc": 0.75}')
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Claim")
    base, head = git(repository, "rev-parse", "HEAD^"), git(repository, "rev-parse", "HEAD")
    check = change.check_claims
    check(Repository(repository), base, head, {"metrics/metrics.json": b'{ "auc": 0.75 }\n'})
    check(Repository(repository), head, head, {"metrics/metrics.json": b'{"auc": 0.5}'})
    for found in ({"metrics/metrics.json": b'{"auc": 0.5}'}, {}, {"metrics/metrics.json": b"not json"}):
        with pytest.raises(PushforwardError, match=r"metrics/metrics.json was committed with other numbers"):
            check(Repository(repository), base, head, found)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([*LISTED, "batch-7"], ""),
        (LISTED[:-1], ""),
        (LISTED[1:], ""),
        (["older", *LISTED, "D"], ""),
        ([*LISTED[:-1], "C2"], "params.yaml: data.deliveries: 'C2' does not come after 'C': a batch keeps its name"),
        ([*LISTED[:-1], "D", "C"], "params.yaml: data.deliveries: 'D' does not come after 'C'"),
        (["X", "Y", "A", "B", "C"], "params.yaml: data.deliveries: the order is another one"),
    ],
)
def test_a_batch_keeps_its_name_and_its_place(repository, git, listed, words):
    def commit(batches):
        (repository / "pushforward.yaml").write_text(SETTINGS)
        (repository / "params.yaml").write_text(json.dumps({"data": {"deliveries": batches}}))
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "-m", "Batches")
        return Revision(Repository(repository), git(repository, "rev-parse", "HEAD"))

    before, after = commit(LISTED), commit(listed)
    if not words:
        change.check_batches(before, after)
        return
    with pytest.raises(PushforwardError) as refused:
        change.check_batches(before, after)
    assert refused.value.message.startswith(words)
    assert refused.value.next == f"git diff {before.commit[:9]} -- params.yaml"


def test_another_lock_of_the_environment_is_one_of_the_judge(repository, git):
    def commit(name, text):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(text)
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "-m", "Change")
        return git(repository, "rev-parse", "HEAD")

    commit("run.txt", "a==1\n")
    base = commit("pushforward.yaml", "tool: '0.2.0'\nmodels: {toy: {environment: [run.txt]}}\n")
    rules = Revision(Repository(repository), base).settings

    def touched(head):
        return change.touched_by(Revision(Repository(repository), head), base, None, rules, trusted=True)

    assert touched(commit("src/train.py", "")) == ()
    assert touched(commit("run.txt", "a==2\n")) == ("run.txt",)


def test_to_commit_what_the_run_has_found_touches_nothing_of_the_judge(repository, git):
    git(repository, "commit", "-q", "--allow-empty", "-m", "Base")
    base = git(repository, "rev-parse", "HEAD")
    (repository / "pushforward.yaml").write_text("tool: '0.2.0'\nmodels: {toy: {environment: []}}\n")
    (repository / "metrics").mkdir()
    for name, text in {"metrics.json": '{"auc": 0.5}', "curve.csv": "a\n1\n"}.items():
        (repository / "metrics" / name).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Commit what dvc repro made")
    head = Revision(Repository(repository), git(repository, "rev-parse", "HEAD"))

    def touched(found):
        told = change.touched_by(head, base, None, head.settings, trusted=True, metrics=found)
        return [path for path in told if path.startswith("metrics/")]

    assert touched({"metrics/metrics.json": b'{ "auc": 0.50 }\n', "metrics/curve.csv": b"a\n1\n"}) == []
    assert touched({"metrics/metrics.json": b'{"auc": 0.5}', "metrics/curve.csv": b"a\n2\n"}) == ["metrics/curve.csv"]
    assert touched({}) == ["metrics/curve.csv", "metrics/metrics.json"]


def test_another_device_memory_or_cluster_is_another_recipe():
    here, there = {"fitted": {"device": "cpu", "memory": "in-core"}}, {"fitted": {"device": "cuda"}}
    assert change.recipe_of("refresh", here, here) == change.recipe_of("refresh", {}, {}) == "refresh"
    assert change.recipe_of("refresh", here, there) == change.recipe_of("refresh", here, {}) == "superior"
    assert change.recipe_of("first", here, {}) == "first"
