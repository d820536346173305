"""Where a remote is, by the same rules as git's, and what to type to reach the server behind it."""

import shlex
from pathlib import Path

import pytest

from pushforward.git import remote
from pushforward.git.repository import Repository


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("host:team.git", "host", "", "team.git"),
        ("git@host:a/team.git", "git@host", "", "a/team.git"),
        ("ssh://git@host:2222/srv/team.git", "git@host", "2222", "/srv/team.git"),
        ("ssh://host/srv/team.git", "host", "", "/srv/team.git"),
        ("ssh://[::1]:22/srv/team.git", "[::1]", "22", "/srv/team.git"),
        ("https://example.org/team.git", "", "", ""),
        ("git://example.org/team.git", "", "", ""),
        ("ext::ssh host %S team.git", "", "", ""),
    ],
)
def test_a_remote_on_another_machine(url, host, port, path):
    found = remote.parse("local", url, Path("/clone"))
    assert (found.folder, found.host, found.port, found.path) == (None, host, port, path)


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/srv/team.git", "/srv/team.git"),
        ("../team.git", "/clone/../team.git"),
        ("./a:b.git", "/clone/./a:b.git"),
        ("file:///srv/team.git", "/srv/team.git"),
        ("file:///srv/the%20team.git", "/srv/the team.git"),
        ("file://localhost/srv/team.git", "/srv/team.git"),
    ],
)
def test_a_remote_on_this_machine(url, folder):
    assert remote.parse("local", url, Path("/clone")).folder == Path(folder)


def test_a_clone_without_the_remote_has_none(repository, git):
    assert remote.of(Repository(repository)) is None
    git(repository, "remote", "add", "local", "../hub.git")
    assert remote.of(Repository(repository)) == remote.Remote("local", "../hub.git", repository / "../hub.git")


def test_what_to_type_to_have_it_done_there():
    there = remote.parse("local", "ssh://git@host:2222/srv/my team.git", Path())
    words = shlex.split(there.command("pushforward trust - --as EMAIL", reads="KEY.pub"))
    assert words[:4] == ["ssh", "-p", "2222", "git@host"]
    assert shlex.split(words[4]) == ["pushforward", "trust", "-", "--as", "EMAIL", "--bare", "/srv/my team.git"]
    assert words[5:] == ["<", "KEY.pub"]
    forge = remote.parse("local", "https://example.org/team.git", Path())
    assert forge.command("pushforward check") == (
        "pushforward check --bare PATH, on the machine of https://example.org/team.git"
    )
