"""Predictions that the judge keeps: taken only where nothing that they follow from has changed, and only its own."""

import os

import pytest
from tests.judge.test_judge import LOCKS, PARAMS, Project

from pushforward.git.repository import Repository
from pushforward.git.server import ANSWERS
from pushforward.judge import recall
from pushforward.judge.recall import MOST, Recall
from pushforward.pipeline import environment
from pushforward.pipeline.revision import Revision


@pytest.fixture
def copied(monkeypatch):
    """The roles of what is checked out."""
    found, copy = [], Repository.copy

    def noting(repository, folder, commit):
        found.append(folder.name.partition("-")[0])
        copy(repository, folder, commit)

    monkeypatch.setattr(Repository, "copy", noting)
    return found


@pytest.fixture
def kept(tmp_path):
    return Recall(tmp_path / "server" / ANSWERS, b"key")


@pytest.fixture
def out(tmp_path):
    (tmp_path / "server").mkdir()
    path = tmp_path / "p.parquet"
    path.write_bytes(b"predictions")
    return path


def test_what_was_kept_is_found_by_its_name_and_kind_alone(kept, out):
    kept.keep("a" * 64, out)
    out.unlink()
    assert not kept.find("b" * 64, out)
    assert not kept.find("a" * 64, out.with_suffix(".csv"))
    assert not out.exists()
    assert kept.find("a" * 64, out)
    assert out.read_bytes() == b"predictions"


@pytest.mark.parametrize("whose", ["of another name", "closed with another key", "other predictions", "a link"])
def test_what_somebody_else_has_put_there_is_not_taken(kept, out, whose):
    (kept if whose != "closed with another key" else Recall(kept.folder, b"another")).keep("a" * 64, out)
    (path,) = kept.folder.iterdir()
    if whose == "of another name":
        path.rename(path.with_name(path.name.replace("a" * 64, "b" * 64)))
    elif whose == "other predictions":
        path.write_bytes(b"better")
    elif whose == "a link":
        path.rename(path.with_name("aside"))
        path.symlink_to("aside")
    assert not kept.find(("b" if whose == "of another name" else "a") * 64, out)
    assert whose == "a link" or not out.exists()


def test_the_newest_are_kept_and_what_is_asked_for_counts_as_new(kept, out):
    for number in range(MOST):
        kept.keep(f"{number:064}", out)
        for path in kept.folder.glob(f"{number:064}-*"):
            os.utime(path, (number, number))
    assert kept.find(f"{0:064}", out)
    kept.keep(f"{MOST:064}", out)
    assert len([*kept.folder.iterdir()]) == MOST
    assert kept.find(f"{0:064}", out)
    assert not kept.find(f"{1:064}", out)


def test_of_one_name_the_newest_answer_counts_and_without_a_name_nothing_is_kept(kept, out):
    kept.keep("a" * 64, out)
    out.write_bytes(b"later")
    kept.keep("a" * 64, out)
    out.unlink()
    assert kept.find("a" * 64, out)
    assert (out.read_bytes(), len([*kept.folder.iterdir()])) == (b"later", 1)
    kept.keep("", out)
    assert not kept.find("", out)
    assert len([*kept.folder.iterdir()]) == 1


def test_every_file_of_the_model_is_in_the_name(tmp_path, git):
    project = Project(tmp_path, git)
    project.run()
    revision = Revision(Repository(project.root), "HEAD")
    names = [recall.name_of(revision, project.root / "model", [])]
    for name in ("deep/manifest.json", "deep/.calibration.json", "manifest.json"):
        (project.root / "model" / "deep").mkdir(exist_ok=True)
        (project.root / "model" / name).write_text("{}")
        names.append(recall.name_of(revision, project.root / "model", []))
    assert len(set(names)) == len(names)


def test_without_a_server_nothing_is_kept(tmp_path, git, out):
    (tmp_path / "clone").mkdir()
    git(tmp_path / "clone", "init", "-q")
    none = recall.of(tmp_path / "clone")
    assert none.folder is None
    none.keep("a" * 64, out)
    assert not none.find("a" * 64, out)


class Served(Project):
    """A project with a server, whose score command notes each of its processes."""

    def __init__(self, folder, git):
        super().__init__(folder, git)
        self.notes = folder / "scored"
        git(folder, "init", "-q", "--bare", "hub.git")
        (folder / "hub.git" / "pushforward").mkdir()
        self.git("remote", "add", "local", str(folder / "hub.git"))
        self.write("score.sh", f'cat model/model.json >> {self.notes}\ncp predictions.parquet "$3"\n')
        self.commit("Note what is scored")

    def scored(self):
        """Which models were asked since this was last asked; and how it was judged."""
        self.notes.write_text("")
        verdict, _, _ = self.weigh()
        assert verdict.verdict != "invalid", verdict.reason
        return sorted(self.notes.read_text().replace("one", "1").replace("two", "2").replace("six", "6"))


def test_the_champion_is_asked_once_and_a_challenger_that_becomes_it_never_again(tmp_path, git, copied):
    project = Served(tmp_path, git)
    if environment.at_hand() != environment.digest(Repository(project.root), "HEAD", LOCKS):
        pytest.skip("these tests run in an environment that the locks did not make")
    project.run()
    project.release("toy@v1.0.0")
    project.write("params.yaml", PARAMS.replace("depth: 1", "depth: 2"))
    project.recipe("two", 0.7)
    project.run()
    assert project.scored() == ["1", "2"]
    assert sorted(copied) == ["challenger", "champion", "judge"]
    copied.clear()
    assert project.scored() == ["2"], "on the default branch the challenger is asked whenever it is judged"
    assert sorted(copied) == ["challenger", "judge"], "of a champion that is not asked the code is not needed"
    project.release("toy@v1.1.0")
    project.write("params.yaml", PARAMS.replace("depth: 1", "depth: 6"))
    project.recipe("six", 0.8)
    project.run()
    assert project.scored() == ["6"], "it was asked as a challenger, by the same judge, the same rows"
