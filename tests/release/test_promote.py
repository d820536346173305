"""Promotion with real git: lock commits, the registry's tags, and clones that race for one server with its policy."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from tests import forge_double
from tests.team import MODEL_SETTINGS, MONTHS

from pushforward import __version__
from pushforward.commands.cli import main
from pushforward.errors import NOT_PROMOTED, POLICY, PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import REGISTRY
from pushforward.git.repository import Repository
from pushforward.judge import handover, judged, passed
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import store as objects
from pushforward.registry import tags as registry
from pushforward.release import provenance
from pushforward.release.promote import Passed, lock_commit, lost, promote, standing
from pushforward.release.release import deprecate, release, rollback
from pushforward.release.verify import verify
from pushforward.report.note import Context

pytestmark = pytest.mark.whole

LOCK = b"schema: '2.0'\nstages:\n  collect:\n    cmd: a\n  train:\n    cmd: b\n"
REORDERED = b"schema: '2.0'\nstages:\n  train: {cmd: b}\n  collect: {cmd: a}\n"
FOUND = b"schema: '2.0'\nstages:\n  collect:\n    cmd: a\n  train:\n    cmd: c\n"
METRICS = {"metrics/metrics.json": b'{"auc": 0.7}\n'}


@pytest.fixture
def clone(tmp_path, git):
    """A clone of a bare origin, both with one commit whose lock is honest."""
    folder = tmp_path / "clone"
    (folder / "metrics").mkdir(parents=True)
    (folder / "pushforward.yaml").write_text(MODEL_SETTINGS)
    (folder / "params.yaml").write_text(MONTHS)
    (folder / "dvc.lock").write_bytes(LOCK)
    (folder / "metrics" / "metrics.json").write_bytes(METRICS["metrics/metrics.json"])
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    git(tmp_path, "clone", "-q", "--bare", str(folder), "origin.git")
    git(folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    return folder


@pytest.fixture
def another(clone, git):
    """Make one more clone of the origin."""

    def make(name):
        git(clone.parent, "clone", "-q", "origin.git", name)
        return clone.parent / name

    return make


def commit(git, folder, message, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def locked(folder, revision, lock=FOUND, metrics=METRICS):
    repository = Repository(folder)
    return lock_commit(repository, repository.commit(revision), {"dvc.lock": lock}, metrics, scratch=folder / ".git")


def tags(git, folder):
    return git(folder, "tag").splitlines()


def test_an_honest_lock_is_named_as_it_was_committed(clone):
    head = Repository(clone).commit("HEAD")
    assert locked(clone, "HEAD", LOCK) == head
    assert locked(clone, "HEAD", REORDERED) == head


def test_a_dishonest_lock_gets_a_child_that_changes_nothing_else(clone, git):
    before = git(clone, "status", "--porcelain")
    child = locked(clone, "HEAD")
    assert git(clone, "rev-parse", f"{child}^@") == git(clone, "rev-parse", "HEAD")
    assert git(clone, "diff", "--name-only", "HEAD", child).split() == ["dvc.lock"]
    assert Repository(clone).read(child, "dvc.lock") == FOUND
    assert git(clone, "log", "-1", "--format=%s", child) == "Lock: Begin"
    assert git(clone, "status", "--porcelain") == before, "neither the folder nor the index was touched"


def test_metrics_that_differ_get_a_child_too(clone, git):
    child = locked(clone, "HEAD", LOCK, {"metrics/metrics.json": b"{}", "metrics/learning.csv": b"round\n"})
    changed = git(clone, "diff", "--name-only", "HEAD", child).split()
    assert changed == ["metrics/learning.csv", "metrics/metrics.json"]


def test_metrics_of_before_are_dropped(clone, git):
    commit(git, clone, "Add", metrics__old_json=b"{}")
    child = locked(clone, "HEAD")
    assert sorted(Repository(clone).tree(child)) == [
        "dvc.lock",
        "metrics/metrics.json",
        "params.yaml",
        "pushforward.yaml",
    ]


def test_what_git_keeps_of_the_run_by_dvc_yaml_is_in_the_child_and_nothing_else(clone, git):
    """Hostile: a run hands over code, what no dvc.yaml declares, and numbers that its lock does not name."""
    stage = """\
stages:
  train:
    cmd: b
    metrics: [metrics.json: {cache: false}, other.json: {cache: false}, cached.json, setup.py: {cache: false}]
"""
    commit(git, clone, "Declare", dvc_yaml=stage.encode(), metrics_json=b"{}", cached_json=b"{}", setup_py=b"")
    content = b'{"auc": 0.75}'
    md5 = hashlib.md5(content).hexdigest()
    paths = ("metrics.json", "cached.json", "setup.py", "params.yaml", "strange.json")
    outs = "".join(f"    - path: {path}\n      hash: md5\n      md5: {md5}\n      size: 13\n" for path in paths)
    lock = FOUND + b"    outs:\n" + outs.encode()
    child = locked(clone, "HEAD", lock, METRICS | dict.fromkeys(paths, content) | {"other.json": content})
    assert git(clone, "diff", "--name-only", "HEAD", child).split() == ["dvc.lock", "metrics.json"]
    assert Repository(clone).read(child, "metrics.json") == content
    told = git(clone, "log", "-1", "--format=%b", child)
    assert told.endswith("used and made: dvc.lock, metrics/ and metrics.json, nothing else.")


@pytest.mark.parametrize("name", ["a\tb.json", f"a\n0 {'0' * 40}\tparams.yaml\n0 {'0' * 40}\tz.json"])
def test_a_name_that_git_could_read_as_two_reaches_nothing_else(clone, git, name):
    child = locked(clone, "HEAD", FOUND, METRICS | {f"metrics/{name}": b"{}"})
    changed = Repository(clone).changed(git(clone, "rev-parse", "HEAD"), child)
    assert changed == ["dvc.lock", f"metrics/{name}"]


def test_everybody_makes_the_same_child(clone, another, git, monkeypatch):
    first = commit(git, clone, "Add", metrics__old_json=b"{}")
    git(clone, "push", "-q", "origin", "main")
    other = another("other")
    git(other, "config", "user.name", "Bob")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    bare = clone.parent / "origin.git"
    ids = {locked(clone, first), locked(other, first)}
    ids.add(lock_commit(Repository(bare), first, {"dvc.lock": FOUND}, METRICS, scratch=bare))
    assert len(ids) == 1


def test_what_a_folder_holds_has_no_part_in_the_child(clone, another, git):
    first = commit(git, clone, "Add", metrics__old_json=b"{}")
    expected = locked(clone, first)
    commit(git, clone, "Change", metrics__old_json=b"[]")
    assert locked(clone, first) == expected


@pytest.mark.parametrize(
    "merged", [b"<<<<<<< HEAD\nstages:\n=======\n", LOCK + b"  train:\n    cmd: c\n"], ids=["conflict", "twice"]
)
def test_a_committed_lock_that_git_spoiled_is_dishonest(clone, git, merged):
    commit(git, clone, "Merge", dvc_lock=merged)
    child = locked(clone, "HEAD", LOCK)
    assert Repository(clone).read(child, "dvc.lock") == LOCK


def digest(content):
    return hashlib.sha256(content).hexdigest()


def test_a_version_is_a_signed_tag_with_a_record(hub, git):
    head = hub.commit("c", honest=False)
    made = hub.promote("c")
    assert tags(git, hub.bare) == ["toy#staging#1", "toy@v1.0.0"]
    assert (made.version, made.environments, made.new) == ("toy@v1.0.0", ("staging",), True)
    assert git(hub.bare, "rev-parse", "toy@v1.0.0^{commit}") == git(hub.bare, "rev-parse", "toy#staging#1^{commit}")
    assert made.commit == git(hub.bare, "rev-parse", "toy@v1.0.0^{commit}")
    assert git(hub.bare, "rev-parse", f"{made.commit}^") == head, "its lock was not honest, so a child is named"
    line = git(hub.bare, "tag", "-l", "--format=%(contents:subject)", "toy@v1.0.0")
    assert line == "toy@v1.0.0: log loss falls"
    lock, found = hub.model("c")
    record = hub.record("toy@v1.0.0")
    assert Repository(hub.bare).read(made.commit, "dvc.lock") == lock
    assert record == {
        "schema": 2,
        "model": found["model"],
        "manifest": found["manifest"],
        "data": "d" * 64,
        "lock": digest(lock),
        "params": digest(Repository(hub.bare).read(head, "params.yaml")),
        "environment": "e" * 64,
        "verdict": digest(hub.file("toy@v1.0.0", "verdict.json")),
        "ledger": None,
        "commit": head,
        "previous": None,
        "number": 1,
        "provenance": digest(hub.file("toy@v1.0.0", "provenance.json")),
        "golden": digest(hub.file("toy@v1.0.0", "golden.json")),
        "card": digest(hub.file("toy@v1.0.0", "card.md")),
        "pushforward": __version__,
    }
    assert hub.record("toy#staging#1") == {
        "schema": 2,
        "version": "toy@v1.0.0",
        "previous": None,
        "reason": "it passed the gate",
        "by": "pushforward promote",
    }


def test_git_and_ssh_keygen_verify_what_was_promoted_without_this_tool(hub, git):
    hub.promote("b")
    signers = hub.bare / "pushforward" / "allowed_signers"
    for name in ("toy@v1.0.0", "toy#staging#1"):
        said = git(hub.bare, "-c", f"gpg.ssh.allowedSignersFile={signers}", "tag", "-v", name, check=False)
        assert 'Good "git" signature for pushforward@localhost' in said
    statement, signature = hub.folder / "statement", hub.folder / "signature"
    signature.write_bytes(hub.file("toy@v1.0.0", "provenance.json.sig"))
    statement.write_bytes(hub.file("toy@v1.0.0", "provenance.json"))
    command = ["ssh-keygen", "-Y", "verify", "-n", "pushforward", "-I", "pushforward@localhost", "-f", str(signers)]
    with statement.open("rb") as content:
        done = subprocess.run([*command, "-s", str(signature)], stdin=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_versions_folder_is_whole_and_its_chain_only_grows(hub, git):
    hub.promote("b")
    first = git(hub.bare, "rev-parse", REGISTRY)
    hub.commit("c")
    hub.promote("c")
    assert git(hub.bare, "rev-parse", f"{REGISTRY}^@") == first
    paths = git(hub.bare, "ls-tree", "-r", "--name-only", REGISTRY).splitlines()
    names = ["card.md", "golden.json", "provenance.json", "provenance.json.sig", "verdict.json"]
    assert paths == [f"versions/toy@v1.{minor}.0/{name}" for minor in range(2) for name in names]
    verdict = Verdict.from_json(hub.file("toy@v1.1.0", "verdict.json"))
    assert verdict.commit == hub.record("toy@v1.1.0")["commit"]
    assert hub.file("toy@v1.1.0", "golden.json") == b'{"schema":1,"key":"id","rows":[]}'
    assert b"Model card" in hub.file("toy@v1.1.0", "card.md")
    statement = provenance.read(hub.file("toy@v1.1.0", "provenance.json"))
    assert (statement.number, statement.previous) == (2, hub.record("toy@v1.0.0")["provenance"])


def test_a_reordered_lock_is_named_with_the_digest_that_it_has(hub, git):
    lock = hub.model("b")[0].decode()
    hub.write("dvc.lock", lock.replace("    cmd: train\n", "") + "    cmd: train\n")
    git(hub.clone, "commit", "-q", "-am", "Reorder")
    git(hub.clone, "push", "-q", "origin", "HEAD:main")
    made = hub.promote("b")
    assert made.commit == git(hub.clone, "rev-parse", "HEAD")
    assert hub.record("toy@v1.0.0")["lock"] == digest((hub.clone / "dvc.lock").read_bytes())


def test_a_promotion_goes_on_from_the_provenance_that_the_last_tag_names_and_no_other(hub, git):
    """What is not at hand is taken from there: digests that nobody signed would be signed with the next version."""
    hub.promote("b")
    repository = Repository(hub.bare)
    tip, path = repository.commit(REGISTRY), "versions/toy@v1.0.0/provenance.json"
    other = repository.read(tip, path).replace(b'"number":1', b'"number":2')
    tree = repository.write_tree(tip, {path: other}, index=hub.bare / "forged.index")
    repository.update_ref(REGISTRY, repository.write_commit(tree, [tip], "Forge", date="100000000 +0000"))
    hub.commit("c")
    with pytest.raises(PushforwardError, match=r"the SHA-256 of provenance\.json") as refused:
        hub.promote("c")
    assert (refused.value.next, refused.value.exit_code) == ("pushforward verify v1.0.0", POLICY)
    assert tags(git, hub.bare) == ["toy#staging#1", "toy@v1.0.0"]


def test_the_level_raises_its_part_of_the_number(hub, git):
    for model, level in (("a", "major"), ("b", "patch"), ("c", "minor"), ("d", "patch"), ("e", "major")):
        hub.commit(model)
        hub.promote(model, level)
    known = hub.known()
    assert [str(version.version) for version in known.versions] == ["v1.0.0", "v1.0.1", "v1.1.0", "v1.1.1", "v2.0.0"]
    assert [use.counter for use in known.assignments] == [1, 2, 3, 4, 5]
    assert (hub.record("toy@v2.0.0")["previous"], hub.record("toy@v2.0.0")["number"]) == ("toy@v1.1.1", 5)


def test_the_same_model_is_never_tagged_twice(hub, git):
    first = hub.promote("b")
    hub.write("README.md", "hello\n")
    hub.commit("b", "Say it another way")
    again = hub.promote("b")
    assert (again.version, again.commit, again.new) == (first.version, first.commit, False)
    assert tags(git, hub.bare) == ["toy#staging#1", "toy@v1.0.0"]


def test_a_model_that_returns_is_put_to_use_again_under_its_own_version(hub, git):
    first = hub.promote("b")
    hub.commit("new")
    hub.promote("new")
    hub.commit("b", "Go back")
    back = hub.promote("b")
    assert tags(git, hub.bare) == ["toy#staging#1", "toy#staging#2", "toy#staging#3", "toy@v1.0.0", "toy@v1.1.0"]
    assert back.version == "toy@v1.0.0"
    assert hub.known().in_use("staging").name == "toy@v1.0.0"
    assert back.commit == first.commit == git(hub.bare, "rev-parse", "toy#staging#3^{commit}")
    assert len(git(hub.bare, "rev-list", REGISTRY).splitlines()) == 2, "no version, no entry"


SCORER = "open('model/model.json')\n"


def test_the_same_model_scored_by_other_code_is_another_version(hub, git):
    hub.write("src/toy/predict.py", SCORER)
    hub.commit("b", "Score")
    first = hub.promote("b")
    hub.write("src/toy/predict.py", f"{SCORER}# rounded better\n")
    head = hub.commit("b", "Score better")
    made = hub.promote("b")
    assert (made.version, made.environments, made.new) == ("toy@v1.1.0", ("staging",), True)
    assert git(hub.bare, "rev-parse", "toy@v1.1.0^{commit}") == head
    assert hub.known().in_use("staging").name == "toy@v1.1.0"
    records = [hub.record(name) for name in (first.version, made.version)]
    assert records[0]["model"] == records[1]["model"]
    assert (records[1]["previous"], records[1]["number"]) == ("toy@v1.0.0", 2)
    told = [provenance.read(hub.file(name, "provenance.json")).scoring for name in (first.version, made.version)]
    assert told[0] != told[1]
    assert f"scoring code: `{told[1]}`".encode() in hub.file("toy@v1.1.0", "card.md")


def test_the_same_model_in_another_environment_is_another_version(hub):
    hub.promote("b")
    hub.write("lock.txt", "polars==2.2.0\n")
    hub.commit("b", "Upgrade")
    verdict = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    verdict = replace(verdict, digests=replace(verdict.digests, environment="f" * 64))
    passed.record(hub.clone, verdict)
    with hub.run():
        assert hub.promote_verdict(verdict, "b").version == "toy@v1.1.0"
    assert hub.record("toy@v1.1.0")["environment"] == "f" * 64


def test_a_model_that_returns_with_its_code_is_the_version_that_it_was(hub):
    for model, code in (("b", SCORER), ("new", f"{SCORER}# other\n"), ("b", f"{SCORER}# third\n"), ("b", SCORER)):
        hub.write("src/toy/predict.py", code)
        hub.commit(model, "Train")
        made = hub.promote(model)
    assert (made.version, made.new, made.environments) == ("toy@v1.0.0", True, ("staging",))
    assert [one.name for one in hub.known().versions] == ["toy@v1.0.0", "toy@v1.1.0", "toy@v1.2.0"]


@pytest.mark.parametrize("path", ["README.md", "tests/test_toy.py", "src/toy/pipeline.py", ".github/train.yml"])
def test_what_scoring_does_not_reach_makes_no_version(hub, git, path):
    hub.write("src/toy/predict.py", SCORER)
    hub.commit("b", "Score")
    hub.promote("b")
    hub.write(path, "# words\n")
    hub.commit("b", "Say it")
    again = hub.promote("b")
    assert (again.version, again.new) == ("toy@v1.0.0", False)
    assert "already is this model, scored by the same code in the same environment; nothing to tag" in hub.said[-1]


def rename(hub, name):
    hub.write("pushforward.yaml", (hub.clone / "pushforward.yaml").read_text().replace("  toy:", f"  {name}:"))
    known = {"model": name, "environments": {"staging": "auto", "production": "manual"}}
    (hub.bare / "pushforward" / "registry.json").write_text(json.dumps(known))


def test_a_renamed_model_waits_for_a_person(hub, git):
    """It was compared with nothing: floors alone put no model to use where another one is."""
    hub.promote("b")
    rename(hub, "boat")
    hub.commit("c", "Rename")
    made = hub.promote("c")
    assert (made.version, made.environments, made.new) == ("boat@v1.0.0", (), True)
    assert "not compared with toy@v1.0.0, its name before: a person puts boat to use" in hub.said
    hub.commit("d", "Again")
    assert hub.promote("d").environments == (), "nobody has looked at any of them yet"
    release(hub.clone, "v1.0.0", environment="staging")
    hub.commit("e", "And again")
    assert hub.promote("e").environments == ("staging",)
    assert tags(git, hub.bare) == [
        "boat#staging#1",
        "boat#staging#2",
        "boat@v1.0.0",
        "boat@v1.1.0",
        "boat@v1.2.0",
        "toy#staging#1",
        "toy@v1.0.0",
    ]


def test_tags_of_another_project_are_no_earlier_name(hub, git):
    """A monorepo's own tags: not made by a judge, of no commit here, or not annotated."""
    elsewhere = {"schema": 2, "model": "m", "commit": "1" * 40}
    for name, text in (("pkg@v1.0.0", "words"), ("lib@v1.0.0", registry.message("x", elsewhere))):
        git(hub.clone, "tag", "-a", "-m", text, name)
    git(hub.clone, "tag", "plain@v1.0.0")
    assert hub.promote("b").environments == ("staging",)


STANDING = [
    (None, "nothing to do: tagged as toy@v1.0.0, in use in staging"),
    ("again", "nothing to do, and nothing to tag: it is toy@v1.0.0 already, in use in staging"),
    ("other", "it is not tagged yet; pushforward dispatch on the server tries again"),
    ("moved", "nothing to do: tagged as toy@v1.0.0; to put it to use: pushforward release v1.0.0"),
    ("ended", "nothing to do: tagged as toy@v1.0.0, which is deprecated"),
]


@pytest.mark.parametrize(("then", "words"), STANDING)
def test_the_last_word_of_a_report_is_what_the_registry_has(hub, then, words):
    commit = hub.commit("b", "Train")
    hub.promote("b")
    if then in {"again", "other"}:
        commit = hub.commit("b" if then == "again" else "c", "Once more")
        hub.judge(commit, "b" if then == "again" else "c")
    if then in {"moved", "ended"}:
        hub.commit("c", "Better")
        hub.promote("c")
    if then == "ended":
        deprecate(hub.clone, "v1.0.0", "It knew the future")
    assert standing(Repository(hub.bare), "toy", commit).words == words


@pytest.mark.parametrize("again", [False, True])
def test_the_summary_of_a_job_gets_the_last_word_too(hub, monkeypatch, again):
    if again:
        hub.promote("b")
    commit = hub.commit("b", "Train")
    folder, summary = hub.folder / "verdict", hub.folder / "summary"
    judged.store(folder, hub.judge(commit, "b"), Context(), "minor")
    (folder / "golden.json").write_bytes(b"{}")
    monkeypatch.setattr(handover, "read", lambda *_: SimpleNamespace(locks={"dvc.lock": hub.model("b")[0]}, metrics={}))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.chdir(hub.clone)
    with hub.run():
        done = CliRunner().invoke(main, ["promote", "--from", str(folder)])
    assert done.exit_code == 0, done.output
    words = (
        "nothing to do, and nothing to tag: it is toy@v1.0.0 already"
        if again
        else "nothing to do: tagged as toy@v1.0.0"
    )
    assert summary.read_text() == f"**After the verdict**: {words}, in use in staging.\n"


def test_a_verdict_that_nobody_has_recorded_is_not_told_as_tagged(hub):
    hub.promote("b")
    found = standing(Repository(hub.bare), "toy", hub.commit("c", "Change"))
    assert (found.version, found.made, "not tagged" in found.words) == (None, False, True)


def test_a_deprecated_model_that_returns_is_left_alone(hub, git):
    hub.promote("b")
    hub.commit("new")
    hub.promote("new")
    deprecate(hub.clone, "v1.0.0", "It knew the future")
    before = tags(git, hub.bare)
    hub.commit("b", "Go back")
    again = hub.promote("b")
    assert (again.version, again.environments, again.new) == ("toy@v1.0.0", (), False)
    assert "toy@v1.0.0! has deprecated it" in hub.said[-1]
    assert tags(git, hub.bare) == before


def test_environments_that_are_not_automatic_wait_for_a_person(hub, git):
    rules = "promote:\n  environments: {production: auto, staging: manual, canary: auto}\n"
    hub.write("pushforward.yaml", (hub.clone / "pushforward.yaml").read_text() + rules)
    known = {"production": "auto", "staging": "manual", "canary": "auto"}
    (hub.bare / "pushforward" / "registry.json").write_text(json.dumps({"model": "toy", "environments": known}))
    hub.commit("b", "Change")
    assert hub.promote("b").environments == ("production", "canary")
    assert tags(git, hub.bare) == ["toy#canary#1", "toy#production#1", "toy@v1.0.0"]


@pytest.mark.parametrize(
    ("word", "why", "code"),
    [(word, f"the verdict is {word}", NOT_PROMOTED) for word in ("hold", "identical", "invalid")]
    + [(word, "not the verdict that the gate has recorded", POLICY) for word in ("unknown", "calibration-only")],
)
def test_a_verdict_that_is_not_promote_is_refused(hub, git, word, why, code):
    verdict = replace(hub.judge(Repository(hub.clone).commit("HEAD"), "b"), verdict=word)
    with hub.run(), pytest.raises(PushforwardError, match=why) as refused:
        hub.promote_verdict(verdict, "b")
    assert refused.value.exit_code == code
    assert (NOT_PROMOTED, POLICY) == (4, 5)
    assert tags(git, hub.bare) == tags(git, hub.clone) == []


def test_a_pull_request_is_not_promoted(hub, git):
    verdict = replace(hub.judge(Repository(hub.clone).commit("HEAD"), "b"), event="pull_request")
    with hub.run(), pytest.raises(PushforwardError, match="promoted by its merge") as refused:
        hub.promote_verdict(verdict, "b")
    assert refused.value.exit_code == POLICY == 5


def test_a_verdict_that_the_gate_did_not_record_is_refused(hub, git):
    verdict = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    with hub.run(), pytest.raises(PushforwardError, match="not the verdict that the gate has recorded"):
        hub.promote_verdict(replace(verdict, reason="because I say so"), "b")
    assert tags(git, hub.bare) == []


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"other bytes")], ids=["gone", "spoiled"])
def test_what_the_store_lost_is_not_promoted(hub, git, harm):
    harm(next(path for path in hub.store.rglob("*") if path.is_file() and path.read_bytes() == b"b"))
    head = Repository(hub.clone).commit("HEAD")
    assert lost(hub.clone, Repository(hub.clone), head) == ["model"]
    verdict = hub.judge(head, "c")
    digests = replace(verdict.digests, lock=digest((hub.clone / "dvc.lock").read_bytes()))
    verdict = replace(verdict, digests=digests)
    passed.record(hub.clone, verdict)
    locks = {"dvc.lock": (hub.clone / "dvc.lock").read_bytes()}
    with hub.run(), pytest.raises(PushforwardError, match="the DVC remote lacks or spoils 1 of the outs") as refused:
        promote(hub.clone, Passed(verdict, "minor", b"{}"), locks, {}, say=lambda _: None)
    assert "dvc push" in refused.value.next
    assert tags(git, hub.bare) == []


def test_a_remote_that_is_no_folder_is_asked_what_it_has(hub):
    head = Repository(hub.clone).commit("HEAD")
    outs = objects.outs(Repository(hub.clone), head)
    assert pipeline.absent(hub.clone, outs) == []
    next(path for path in hub.store.rglob("*") if path.is_file() and path.read_bytes() == b"b").unlink()
    assert pipeline.absent(hub.clone, outs) == ["model"]
    for listing in hub.store.rglob("*.dir"):
        listing.unlink()
    assert pipeline.absent(hub.clone, outs) == ["model"]


def test_without_the_key_nothing_is_tagged(hub, git):
    verdict = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    with pytest.raises(PushforwardError, match="PUSHFORWARD_SIGNING_KEY is not set"):
        hub.promote_verdict(verdict, "b")
    with hub.run():
        os.environ["PUSHFORWARD_SIGNING_KEY"] = hub.keys["ann@example.org"].read_text()
        with pytest.raises(PushforwardError, match=r"ann@example\.org signed it, but it says pushforward@localhost"):
            hub.promote_verdict(verdict, "b")
    assert tags(git, hub.clone) == tags(git, hub.bare) == []


def test_a_refusal_is_told_in_the_servers_own_words_and_leaves_no_tag(hub, git):
    verdict = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    (hub.bare / "pushforward" / "registry.json").write_text('{"model": "boat", "environments": {}}')
    with hub.run(), pytest.raises(PushforwardError) as refused:
        hub.promote_verdict(verdict, "b")
    assert (
        "refs/tags/toy@v1.0.0 refused: it has the form of a version or use, and the model here is boat"
        in refused.value.message
    )
    assert refused.value.next == "git push local 'refs/tags/*' '^refs/tags/toy@*', to push all others"
    assert refused.value.exit_code == POLICY
    assert tags(git, hub.clone) == tags(git, hub.bare) == []


def test_a_tag_that_a_push_has_left_behind_in_the_clone_is_no_obstacle(hub, git):
    git(hub.clone, "tag", "-a", "-m", "x", "toy@v1.0.0")
    git(hub.clone, "tag", "-a", "-m", "x", "toy#staging#1")
    git(hub.clone, "tag", "-a", "-m", "x", "toy#staging#2")
    assert hub.promote("b").new
    assert tags(git, hub.bare) == ["toy#staging#1", "toy@v1.0.0"]


def race(hub, folders, verdicts):
    """Promote from all folders at once; what came of each."""
    start, results = threading.Barrier(len(folders)), {}

    def run(folder, model, verdict):
        start.wait()
        results[model] = hub.promote_verdict(verdict, model, clone=folder)

    threads = [threading.Thread(target=run, args=(folder, *one)) for folder, one in zip(folders, verdicts, strict=True)]
    with hub.run():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == len(folders)
    return list(results.values())


def test_of_two_that_promote_one_model_at_once_one_tags_it(hub, git):
    verdict = hub.judge(Repository(hub.clone).commit("HEAD"), "b")
    start, made = threading.Barrier(2), []

    def run(clone):
        start.wait()
        made.append(hub.promote_verdict(verdict, "b", clone=clone))

    threads = [threading.Thread(target=run, args=(clone,)) for clone in (hub.clone, hub.another("other"))]
    with hub.run():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert any(promotion.new for promotion in made), "both, where they made the same tags in the same second"
    assert {promotion.version for promotion in made} == {"toy@v1.0.0"}
    assert tags(git, hub.bare) == ["toy#staging#1", "toy@v1.0.0"]


@pytest.mark.slow
def test_of_twenty_promotions_at_once_each_gets_a_number_of_its_own(hub, git):
    rounds = int(os.environ.get("ROUNDS", "1"))
    clones = [hub.another(f"clone-{number}") for number in range(20)]
    for turn in range(rounds):
        models = [f"{turn}-{number}" for number in range(len(clones))]
        verdicts = [(model, hub.judge(hub.commit(model), model)) for model in models]
        for clone in clones:
            git(clone, "fetch", "-q", "--no-tags", "origin")
        started = time.monotonic()
        made = race(hub, clones, verdicts)
        print(f"round {turn}: {time.monotonic() - started:.1f} s")
        assert all(promotion.new for promotion in made)
        wanted = {f"toy@v1.{turn * len(clones) + number}.0" for number in range(len(clones))}
        assert {promotion.version for promotion in made} == wanted
    _check_numbers(hub, git, rounds * len(clones))


def _check_numbers(hub, git, count):
    """Versions 1 to `count`, without a gap, each after the one before, in its tag, its provenance and the chain."""
    known, bare = hub.known(), Repository(hub.bare)
    tags = [one.tag for one in (*known.versions, *known.assignments)]
    records = {name: registry.record(found[1].decode()) for name, found in zip(tags, bare.objects(tags), strict=True)}
    assert known.problems == ()
    assert list(registry.inconsistent(known, records)) == []
    names = [version.name for version in known.versions]
    mine = [records[version.tag] for version in known.versions]
    assert names == [f"toy@v1.{minor}.0" for minor in range(count)]
    assert [record["number"] for record in mine] == list(range(1, count + 1))
    assert [record["previous"] for record in mine] == [None, *names[:-1]]
    assert len({record["model"] for record in mine}) == count
    assert [use.counter for use in known.assignments] == list(range(1, count + 1))
    assert [records[use.tag]["version"] for use in known.assignments] == names
    chain = git(hub.bare, "rev-list", "--reverse", "--parents", REGISTRY).splitlines()
    assert [len(line.split()) for line in chain] == [1, *[2] * (count - 1)]
    added = git(hub.bare, "log", "--reverse", "--name-status", "--format=", REGISTRY, "--", "versions/*/card.md")
    assert added.splitlines() == [f"A\tversions/{name}/card.md" for name in names]
    assert len(git(hub.bare, "ls-tree", "-r", "--name-only", REGISTRY).splitlines()) == 5 * count
    statements = [provenance.read(hub.file(name, "provenance.json")) for name in (names[0], names[-1])]
    assert [statement.number for statement in statements] == [1, count]
    assert statements[1].previous == mine[-2]["provenance"]


@pytest.mark.parametrize(("date", "words"), [("@0 +0000", "behind"), ("@4070908800 +0000", "ahead of")])
def test_a_tag_dated_1970_or_2099_changes_nothing(hub, git, date, words):
    hub.promote("b")
    hub.commit("c")
    hub.promote("c")
    release(hub.clone, "v1.1.0")
    before = git(hub.bare, "for-each-ref")
    text = registry.message("x", {"schema": 2, "version": "toy@v1.0.0", "reason": "x", "by": "Ann"})
    git(hub.clone, "tag", "-s", "-m", text, "toy#production#2", "toy@v1.0.0^{}", GIT_COMMITTER_DATE=date)
    said = git(hub.clone, "push", "origin", "toy#production#2", check=False)
    assert f"dated more than 5 minutes {words} the clock" in " ".join(said.replace("remote:", "").split())
    assert git(hub.bare, "for-each-ref") == before


def test_on_a_forge_a_version_that_nobody_signed_is_passed_over(hub, git):
    hub.promote("b")
    forge_double.make(hub)
    forge_double.forge(hub.clone, git, "toy@v9.9.9", "toy#staging#7", "toy@v1.0.0!")
    hub.commit("c")
    made = hub.promote("c")
    assert made.version == "toy@v1.1.0"
    assert (hub.record("toy@v1.1.0")["number"], hub.record("toy@v1.1.0")["previous"]) == (2, "toy@v1.0.0")
    assert hub.record("toy#staging#2")["previous"] == "toy@v1.0.0"
    hops = verify(hub.clone, "v1.1.0", quick=True, say=lambda _: None, progress=lambda _: None).hops
    assert {hop.name: hop.ok for hop in hops}["registry"], [hop.said for hop in hops]


def test_on_a_forge_a_number_that_somebody_took_is_left_out(hub, git):
    hub.promote("b")
    forge_double.make(hub)
    git(hub.clone, "tag", "toy@v1.1.0")
    git(hub.clone, "push", "-q", "origin", "refs/tags/toy@v1.1.0")
    forge_double.forge(hub.clone, git, "toy@v1.2.0", "toy@v1.3.0/x", "toy#staging#2")
    hub.commit("c")
    made = hub.promote("c")
    assert made.version == "toy@v1.4.0"
    assert (hub.record("toy@v1.4.0")["number"], hub.record("toy@v1.4.0")["previous"]) == (2, "toy@v1.0.0")
    assert hub.record("toy#staging#3")["version"] == "toy@v1.4.0"


def test_on_a_forge_the_first_version_has_the_first_free_number(hub, git):
    forge_double.make(hub)
    forge_double.forge(hub.clone, git, "toy@v1.0.0")
    made = hub.promote("b")
    assert made.version == "toy@v1.1.0"
    assert (hub.record(made.version)["number"], hub.record(made.version)["previous"]) == (1, None)


def test_gto_reads_what_was_tagged(hub):
    hub.promote("b")
    hub.commit("c")
    hub.promote("c", "patch")
    gto = Path(sys.executable).parent / "gto"
    done = subprocess.run(
        [str(gto), "show", "toy", "--json", "-r", str(hub.clone)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    rows = json.loads(done.stdout)
    assert [row["version"] for row in rows] == ["v1.0.1", "v1.0.0"]
    assert "staging" in done.stdout


@pytest.mark.parametrize(("level", "name"), [("minor", "toy@v1.3.0"), ("patch", "toy@v1.2.1"), ("major", "toy@v2.0.0")])
def test_the_first_version_goes_on_after_what_gto_has_left(hub, git, level, name):
    """And is no champion's successor: nobody has judged what was there before."""
    for foreign in ("toy@v1.0.0", "toy#production#1", "toy@v1.2.0", "toy#staging#3", "toy#production#2"):
        if "@" in foreign:
            git(hub.clone, "commit", "-q", "--allow-empty", "-m", "Train")
        git(hub.clone, "tag", "-a", "-m", "Registering", foreign)
        place = f"refs/tags/{foreign}"
        git(hub.bare, "fetch", "-q", str(hub.clone), f"{place}:{place}", f"{place}:refs/pushforward/foreign/{foreign}")
    hub.commit("b")
    made = hub.promote("b", level)
    assert (made.version, made.environments) == (name, ("staging",))
    assert (hub.record(name)["number"], hub.record(name)["previous"]) == (1, None)
    assert hub.record("toy#staging#4")["previous"] is None
    assert hub.known().problems == ()
    assert hub.promote("b", level).version == name, "and it is not made again"
    used = release(hub.clone, name, "it is better")
    assert (used.tag, used.previous) == ("toy#production#3", None)
    with pytest.raises(PushforwardError, match=r"toy@v1\.2\.0 is foreign: not judged here, not signed; nothing"):
        release(hub.clone, "v1.2.0", "as before", older=True)
    with pytest.raises(PushforwardError, match="production held no version before"):
        rollback(hub.clone, "back to GTO's")
    said = git(hub.clone, "fetch", "origin", "--tags", check=False)
    assert "clobber" not in said
    gto = Path(sys.executable).parent / "gto"
    shown = subprocess.run(
        [str(gto), "show", "toy", "--json", "-r", str(hub.clone)], capture_output=True, text=True, check=True
    )
    assert [row["version"] for row in json.loads(shown.stdout)] == [name.partition("@")[2], "v1.2.0", "v1.0.0"]
