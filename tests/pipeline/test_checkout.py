"""A checkout to be thrown away: the commit's files, no link in place of ours, the project's own data."""

import pytest

from pushforward.git.repository import Repository
from pushforward.pipeline.checkout import checkout
from pushforward.pipeline.storage import Storage, storage


@pytest.fixture
def linked(repository, git):
    """A commit in which links stand for a file of ours, a folder of ours, and a file of the project's."""
    (repository / "params.yaml").symlink_to("a.txt")
    (repository / ".dvc").symlink_to(".")
    (repository / "b.txt").symlink_to("a.txt")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Link")
    return Repository(repository)


def test_it_is_the_commit_whatever_the_folder_says(linked, tmp_path):
    (linked.path / "a.txt").write_text("two\n")
    made = checkout(linked, linked.commit("HEAD"), tmp_path / "new" / "checkout")
    assert (made / "a.txt").read_text() == "one\n"
    assert (made / "b.txt").is_symlink()
    assert Repository(made).commit("HEAD") == linked.commit("HEAD")


@pytest.mark.parametrize("known", [None, Storage], ids=["no data", "with data"])
def test_no_link_stands_for_what_is_ours(linked, tmp_path, known):
    there = Storage(tmp_path / "cache", "s", {"url": str(tmp_path / "store"), "jobs": "4"}) if known else None
    made = checkout(linked, linked.commit("HEAD"), tmp_path / "checkout", storage=there)
    assert not (made / "params.yaml").is_symlink()
    assert not (made / ".dvc").is_symlink()
    assert (storage(made) == there) is (known is not None), "with all options of the remote"
