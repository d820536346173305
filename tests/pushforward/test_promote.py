"""Promotion with real git: lock commits, the registry's tags, and clones that race for one origin."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pushforward import registry
from pushforward.errors import NOT_PROMOTED, POLICY, PushforwardError
from pushforward.gate import Digests, invalid
from pushforward.git import Repository
from pushforward.promote import lock_commit, promote

PARAMS = """\
model:
  name: toy
  path: model
  score: python -m toy.predict {rows} {events} {out}
  holdout: data/holdout
  key: id
  label: y
  cluster: date
  time: at
  requirements: [lock.txt]
data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]
"""
LOCK = b"schema: '2.0'\nstages:\n  collect:\n    cmd: a\n  train:\n    cmd: b\n"
REORDERED = b"schema: '2.0'\nstages:\n  train: {cmd: b}\n  collect: {cmd: a}\n"
FOUND = b"schema: '2.0'\nstages:\n  collect:\n    cmd: a\n  train:\n    cmd: c\n"
METRICS = {"metrics.json": b'{"auc": 0.7}\n'}


@pytest.fixture
def clone(tmp_path, git):
    """A clone of a bare origin, both with one commit whose lock is honest."""
    folder = tmp_path / "clone"
    (folder / "metrics").mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.lock").write_bytes(LOCK)
    (folder / "metrics" / "metrics.json").write_bytes(METRICS["metrics.json"])
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
    return lock_commit(repository, repository.commit(revision), lock, metrics, scratch=folder / ".git")


def passed(folder, model="b", event="push"):
    digests = Digests(model, "manifest", "data", "lock", "params", "environment")
    head = Repository(folder).commit("HEAD")
    verdict = invalid("log loss falls")
    return replace(verdict, verdict="promote", commit=head, event=event, ref="refs/heads/main", digests=digests)


def promoted(folder, model="b", level="minor"):
    """Promote a model; the lock names it, as a lock does: that of `b` is the one committed."""
    lock = LOCK.replace(b"cmd: b", f"cmd: {model}".encode())
    return promote(folder, passed(folder, model), level, lock, METRICS, say=lambda _: None)


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
    child = locked(clone, "HEAD", LOCK, {"metrics.json": b"{}", "learning.csv": b"round\n"})
    changed = git(clone, "diff", "--name-only", "HEAD", child).split()
    assert changed == ["metrics/learning.csv", "metrics/metrics.json"]


def test_metrics_of_before_are_dropped(clone, git):
    commit(git, clone, "Add", metrics__old_json=b"{}")
    child = locked(clone, "HEAD")
    assert sorted(Repository(clone).tree(child)) == ["dvc.lock", "metrics/metrics.json", "params.yaml"]


@pytest.mark.parametrize("name", ["a\tb.json", f"a\n0 {'0' * 40}\tparams.yaml\n0 {'0' * 40}\tz.json"])
def test_a_name_that_git_could_read_as_two_reaches_nothing_else(clone, git, name):
    child = locked(clone, "HEAD", FOUND, METRICS | {name: b"{}"})
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
    ids.add(lock_commit(Repository(bare), first, FOUND, METRICS, scratch=bare))
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


def test_a_version_is_an_annotated_tag_with_a_record(clone, git):
    made = promoted(clone, "c")
    origin = clone.parent / "origin.git"
    assert tags(git, origin) == ["toy#staging#1", "toy@v1.0.0"]
    assert (made.version, made.environments, made.new) == ("toy@v1.0.0", ("staging",), True)
    assert git(origin, "rev-parse", "toy@v1.0.0^{commit}") == git(origin, "rev-parse", "toy#staging#1^{commit}")
    assert made.commit == git(origin, "rev-parse", "toy@v1.0.0^{commit}")
    line, _, rest = git(origin, "tag", "-l", "--format=%(contents)", "toy@v1.0.0").partition("\n\n")
    record = json.loads(rest)
    assert line == "toy@v1.0.0: log loss falls"
    head = git(clone, "rev-parse", "HEAD")
    assert record | {"verdict": "", "pushforward": ""} == {
        "schema": 1,
        "model": "c",
        "manifest": "manifest",
        "data": "data",
        "lock": "lock",
        "params": "params",
        "environment": "environment",
        "verdict": "",
        "ledger": None,
        "commit": head,
        "previous": None,
        "pushforward": "",
    }
    assert len(record["verdict"]) == 64
    use = json.loads(git(origin, "tag", "-l", "--format=%(contents:body)", "toy#staging#1"))
    assert use == {"schema": 1, "version": "toy@v1.0.0", "previous": None, "by": "pushforward promote"}


def test_the_level_raises_its_part_of_the_number(clone, git):
    for model, level in (("a", "major"), ("b", "patch"), ("c", "minor"), ("d", "patch"), ("e", "major")):
        promoted(clone, model, level)
    known = registry.fold("toy", Repository(clone.parent / "origin.git").refs("refs/tags"))
    assert [str(version.version) for version in known.versions] == ["v1.0.0", "v1.0.1", "v1.1.0", "v1.1.1", "v2.0.0"]
    assert [use.counter for use in known.assignments] == [1, 2, 3, 4, 5]
    record = registry.record(git(clone, "cat-file", "tag", "toy@v2.0.0"))
    assert record["previous"] == "toy@v1.1.1"


def test_the_same_model_is_never_tagged_twice(clone, git):
    first = promoted(clone)
    commit(git, clone, "Say it another way", README_md=b"hello\n")
    again = promoted(clone)
    assert (again.version, again.commit, again.new) == (first.version, first.commit, False)
    assert tags(git, clone.parent / "origin.git") == ["toy#staging#1", "toy@v1.0.0"]


def test_a_model_that_returns_is_put_to_use_again_under_its_own_version(clone, git):
    first = promoted(clone, "old")
    promoted(clone, "new")
    commit(git, clone, "Go back", README_md=b"hello\n")
    back = promoted(clone, "old")
    origin = clone.parent / "origin.git"
    assert tags(git, origin) == ["toy#staging#1", "toy#staging#2", "toy#staging#3", "toy@v1.0.0", "toy@v1.1.0"]
    assert back.version == "toy@v1.0.0"
    assert registry.fold("toy", Repository(origin).refs("refs/tags")).in_use("staging").name == "toy@v1.0.0"
    assert back.commit == first.commit == git(origin, "rev-parse", "toy#staging#3^{commit}")


def test_environments_that_are_not_automatic_wait_for_a_person(clone, git):
    rules = PARAMS + "promote:\n  environments: {production: auto, staging: manual, canary: auto}\n"
    commit(git, clone, "Change", params_yaml=rules.encode())
    assert promoted(clone).environments == ("production", "canary")
    assert tags(git, clone.parent / "origin.git") == ["toy#canary#1", "toy#production#1", "toy@v1.0.0"]


@pytest.mark.parametrize("word", ["hold", "unknown", "calibration-only", "identical", "invalid"])
def test_a_verdict_that_is_not_promote_is_refused(clone, git, word):
    verdict = replace(passed(clone), verdict=word)
    with pytest.raises(PushforwardError, match=f"the verdict is {word}") as refused:
        promote(clone, verdict, "minor", LOCK, METRICS, say=lambda _: None)
    assert refused.value.exit_code == NOT_PROMOTED == 4
    assert tags(git, clone) == []


def test_a_pull_request_is_not_promoted(clone, git):
    with pytest.raises(PushforwardError, match="promoted by its merge") as refused:
        promote(clone, passed(clone, event="pull_request"), "minor", LOCK, METRICS, say=lambda _: None)
    assert refused.value.exit_code == POLICY == 5
    assert tags(git, clone) == []


def test_tags_that_the_server_refuses_do_not_stay_behind(clone, git):
    hook = clone.parent / "origin.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushforwardError, match="not on a Friday") as refused:
        promoted(clone)
    assert refused.value.exit_code == POLICY
    assert tags(git, clone) == tags(git, clone.parent / "origin.git") == []


def race(folders, models):
    start, results = threading.Barrier(len(folders)), {}

    def run(folder, model):
        start.wait()
        results[folder] = promoted(folder, model)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(folders, models, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(folders)
    return list(results.values())


def test_of_two_that_promote_one_model_at_once_one_tags_it(clone, another, git):
    made = race([clone, another("other")], ["same", "same"])
    assert any(promotion.new for promotion in made), "both, where they made the same tags in the same second"
    assert {promotion.version for promotion in made} == {"toy@v1.0.0"}
    assert tags(git, clone.parent / "origin.git") == ["toy#staging#1", "toy@v1.0.0"]


def test_models_that_race_get_one_version_each_and_counters_that_rise(clone, another, git):
    made = race([clone, another("second"), another("third")], ["a", "b", "c"])
    assert all(promotion.new for promotion in made)
    origin = clone.parent / "origin.git"
    versions = [f"toy@v1.{minor}.0" for minor in range(3)]
    assert tags(git, origin) == [*(f"toy#staging#{counter}" for counter in (1, 2, 3)), *versions]
    models = [registry.record(git(origin, "cat-file", "tag", name))["model"] for name in versions]
    assert sorted(models) == ["a", "b", "c"]
    previous = [registry.record(git(origin, "cat-file", "tag", name))["previous"] for name in versions]
    assert previous == [None, *versions[:2]]


def test_gto_reads_what_was_tagged(clone):
    promoted(clone, "a", "minor")
    promoted(clone, "b", "patch")
    gto = Path(sys.executable).parent / "gto"
    done = subprocess.run(
        [str(gto), "show", "toy", "--json", "-r", str(clone)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    rows = json.loads(done.stdout)
    assert [row["version"] for row in rows] == ["v1.0.1", "v1.0.0"]
    assert "staging" in done.stdout
