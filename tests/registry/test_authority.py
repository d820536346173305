"""Whose refs count: those of a server, of a remote, of a mirror; never those that a clone happened to bring."""

import subprocess

import pytest

from pushforward.registry import authority


@pytest.fixture
def holder(repository, git):
    """A repository whose registry a clone does not bring."""
    git(repository, "update-ref", "refs/pushforward/registry", git(repository, "rev-parse", "HEAD"))
    return repository


@pytest.mark.parametrize(
    ("how", "own"), [(["--bare"], False), (["--mirror"], True), ([], False), (["--bare", "-o", "backup"], False)]
)
def test_a_bare_clone_asks_its_remote_and_a_mirror_itself(holder, tmp_path, how, own):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", *how, str(holder), str(clone)], check=True)
    with authority.of(clone) as found:
        assert (found.source == str(clone)) is own
        assert found.repository.resolve("refs/pushforward/registry")


def test_a_bare_repository_without_a_remote_has_only_itself(holder, tmp_path, git):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--bare", str(holder), str(clone)], check=True)
    git(clone, "remote", "remove", "origin")
    with authority.of(clone) as found:
        assert found.source == str(clone)
        assert found.repository.resolve("refs/pushforward/registry") is None
