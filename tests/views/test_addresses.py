"""Where a forge shows a commit and a pull request, by the URL of its remote."""

import pytest

from pushforward.views import addresses

SHA = "a" * 40


@pytest.mark.parametrize(
    ("url", "commit", "pull"),
    [
        ("https://github.com/team/flights.git", "https://github.com/team/flights/commit", "/pull/7"),
        ("https://x-access-token:secret@github.com/team/flights", "https://github.com/team/flights/commit", "/pull/7"),
        ("git@github.com:team/flights.git", "https://github.com/team/flights/commit", "/pull/7"),
        ("ssh://git@github.com:22/team/flights.git", "https://github.com/team/flights/commit", "/pull/7"),
        ("https://github.example.org/team/flights/", "https://github.example.org/team/flights/commit", "/pull/7"),
        ("git@gitlab.com:a/b/c.git", "https://gitlab.com/a/b/c/-/commit", "/-/merge_requests/7"),
        ("https://gitlab.example.org/a/b.git", "https://gitlab.example.org/a/b/-/commit", "/-/merge_requests/7"),
        ("https://codeberg.org/team/flights.git", "https://codeberg.org/team/flights/commit", "/pulls/7"),
        ("ssh://git@forgejo.example.org:2222/t/f.git", "https://forgejo.example.org/t/f/commit", "/pulls/7"),
        ("http://gitea.example.org:3000/t/f", "https://gitea.example.org/t/f/commit", "/pulls/7"),
    ],
)
def test_a_forge_shows_commits_and_pull_requests(url, commit, pull):
    forge = addresses.of(url)
    assert forge.commit(SHA) == f"{commit}/{SHA}"
    assert forge.pull(7) == forge.home + pull
    assert "secret" not in f"{forge}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/git/flights.git",
        "../flights.git",
        "file:///srv/flights.git",
        "ext::git %s /srv/flights.git",
        "ann@server:flights.git",
        "https://git.example.org/team/flights.git",
        "https://notgithub.com/team/flights.git",
        "https://github.com/flights.git",
        "https://github.com/team/../../x.git",
        'https://github.com/team/"onload="x.git',
        "javascript://github.com/a/b",
        "https://github.com/a/b\nc",
    ],
)
def test_of_no_other_remote_an_address_is_guessed(url):
    forge = addresses.of(url)
    assert (forge.home, forge.commit(SHA), forge.pull(1)) == ("", "", "")
