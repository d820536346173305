"""A revision: what a commit says of itself, each thing read once, and one wording where it says nothing."""

import hashlib

import pytest

from pushforward import settings
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline.revision import Revision, settings_here

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [b.txt, a.txt]
    holdout: {path: data, key: id, label: y, cluster: date, time: at}
    score: score {rows} {events} {out}
    batches: params.yaml:data.months
"""
PARAMS = """\
data: {months: ["2020-01", "2020-02", "2020-03", "2020-04"]}
train: {depth: 3}
"""
LOCK = "schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n"


@pytest.fixture
def commit(repository, git):
    def write(**files):
        for name, text in files.items():
            path = repository / name.replace("_", ".")
            path.unlink(missing_ok=True)
            path.write_text(text) if text is not None else None
        git(repository, "add", "-A")
        git(repository, "commit", "-q", "--allow-empty", "-m", "Say")
        return Revision(Repository(repository), git(repository, "rev-parse", "HEAD"))

    return write


def test_what_a_commit_says_of_itself(commit):
    found = commit(pushforward_yaml=SETTINGS, params_yaml=PARAMS, dvc_lock=LOCK, a_txt="a==1\n", b_txt="b==2\n")
    assert found.settings == settings.parse(SETTINGS.encode(), f"{found.commit[:9]}:pushforward.yaml")
    assert found.batches == ["2020-01", "2020-02", "2020-03", "2020-04"]
    assert found.leaves["pushforward.yaml: models.toy.path"] == "model"
    assert found.leaves[found.arrivals] == found.batches
    assert found.leaves["train.depth"] == 3
    assert found.lock == {"train": {"cmd": "python train.py"}}
    assert found.environment == hashlib.sha256(b"b==2\na==1\n").hexdigest(), "in their order"
    assert sorted(found.tree) == ["a.txt", "b.txt", "dvc.lock", "params.yaml", "pushforward.yaml"]
    assert found.read("b.txt") == b"b==2\n"
    assert found.read("c.txt") is None


def test_each_is_read_once(commit, monkeypatch):
    found = commit(pushforward_yaml=SETTINGS, params_yaml=PARAMS, dvc_lock=LOCK, a_txt="a==1\n", b_txt="b==2\n")
    asked = []
    git = Repository._git
    monkeypatch.setattr(
        Repository,
        "_git",
        lambda self, args, *rest, **more: (asked.append(args[-1]), git(self, args, *rest, **more))[1],
    )
    for _ in range(3):
        _ = found.settings, found.leaves, found.lock, found.environment, found.tree, found.params
    names = [f"{found.commit}:{path}" for path in ("pushforward.yaml", "params.yaml", "dvc.lock", "b.txt", "a.txt")]
    assert sorted(asked) == sorted([*names, found.commit])


def test_where_there_are_no_settings_every_reader_says_the_same(commit):
    found = commit()
    for read in (lambda: found.settings, lambda: found.environment):
        with pytest.raises(PushforwardError) as told:
            read()
        assert told.value.message == f"{found.commit[:9]} has no pushforward.yaml"
        assert told.value.next == "git log -- pushforward.yaml"
    assert (found.leaves, found.lock) == ({}, {})


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "toy\n"], ids=["empty", "a list", "a word"])
def test_settings_that_are_no_mapping_are_not_absent(commit, text):
    found = commit(pushforward_yaml=text)
    for read in (lambda: found.settings, lambda: found.leaves):
        with pytest.raises(
            PushforwardError, match=f"^{found.commit[:9]}:pushforward.yaml must be a mapping of sections"
        ):
            read()


def test_settings_behind_a_link_are_refused(commit, repository):
    commit(other_yaml=SETTINGS)
    (repository / "pushforward.yaml").symlink_to("other.yaml")
    found = commit()
    for read in (lambda: found.settings, lambda: found.leaves):
        with pytest.raises(PushforwardError, match=r"pushforward\.yaml"):
            read()


def test_before_the_first_commit_the_settings_that_hold_are_those_of_the_folder(tmp_path, git):
    git(tmp_path, "init", "-q", "new")
    (tmp_path / "new" / "pushforward.yaml").write_text(SETTINGS)
    assert settings_here(tmp_path / "new").model.name == "toy"


def test_the_settings_that_hold_are_those_of_the_head_else_of_the_folder(commit, repository):
    commit()
    (repository / "pushforward.yaml").write_text(SETTINGS.replace("toy", "draft"))
    assert settings_here(repository).model.name == "draft"
    commit(pushforward_yaml=SETTINGS)
    (repository / "pushforward.yaml").write_text(SETTINGS.replace("toy", "draft"))
    assert settings_here(repository).model.name == "toy"
    commit(pushforward_yaml="")
    with pytest.raises(PushforwardError, match=r"HEAD:pushforward\.yaml must be a mapping of sections"):
        settings_here(repository)
