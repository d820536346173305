"""The pictures of a comment: PNG in refs of their own, of which no clone fetches one and the oldest go."""

import struct

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.refs import PICTURES
from pushforward.git.repository import Repository, tree_entries
from pushforward.judge import shown

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" viewBox="0 0 40 20">'
    b'<rect width="20" height="20" fill="#cb5c0d"/></svg>'
)


@pytest.fixture
def forge(repository, git, tmp_path):
    """A checkout, and the bare repository that it came from."""
    bare = tmp_path / "forge.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    git(repository, "remote", "add", "origin", str(bare))
    return Repository(repository), Repository(bare)


def names(bare):
    return [ref.name.removeprefix(PICTURES) for ref in bare.refs(PICTURES)]


def test_only_what_says_the_most_is_drawn_at_twice_the_width_that_it_has():
    made = shown.drawn({"gain-by-day.svg": SVG, "roc.svg": SVG, "learning.svg": b"no picture", "importance.svg": b""})
    assert list(made) == ["gain-by-day.png"]
    png = made["gain-by-day.png"]
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (972, 486)
    assert len(png) < 5_000


def test_pictures_are_at_the_commit_that_is_told_and_the_same_commit_has_them_once(forge, git, monkeypatch):
    root, bare = forge
    head = git(root.path, "rev-parse", "HEAD")
    for moment, content in ((1_700_000_000.9, b"one"), (1_700_000_100.2, b"two")):
        monkeypatch.setattr(shown.time, "time", lambda moment=moment: moment)
        made = shown.put(root, "origin", head, {"learning.png": content, "gain-by-day.png": b"bars"})
        assert bare.read(made, "learning.png") == content
    assert names(bare) == [f"1700000100-{head}"]
    assert bare.resolve(f"{PICTURES}1700000100-{head}") == made
    (tree,) = bare.objects([f"{made}^{{tree}}"])
    assert sorted(tree_entries(tree[1])) == ["gain-by-day.png", "learning.png"]


def test_a_report_without_pictures_leaves_no_ref(forge, git):
    root, bare = forge
    assert shown.put(root, "origin", git(root.path, "rev-parse", "HEAD"), {}) == ""
    assert names(bare) == []


def test_a_clone_fetches_none_of_them(forge, git, tmp_path):
    root, bare = forge
    made = shown.put(root, "origin", git(root.path, "rev-parse", "HEAD"), {"learning.png": b"one"})
    git(tmp_path, "clone", "-q", f"file://{bare.path}", "clone")
    assert Repository(tmp_path / "clone").resolve(made) is None


def test_the_oldest_go_where_they_are_too_many_and_of_one_moment_none_that_is_new(forge, git, monkeypatch):
    root, bare = forge
    monkeypatch.setattr(shown, "KEPT", 5)
    monkeypatch.setattr(shown, "SLACK", 2)
    commits = [f"{number:040x}" for number in range(1, 10)]
    head = git(root.path, "rev-parse", "HEAD")
    monkeypatch.setattr(Repository, "date", lambda *_: "1700000000 +0000")
    counts = []
    for number, commit in enumerate(commits):
        monkeypatch.setattr(shown.time, "time", lambda number=number: 1_700_000_000 + number)
        shown.put(root, "origin", commit, {"learning.png": b"%d" % number})
        counts.append(len(names(bare)))
    assert counts == [1, 2, 3, 4, 5, 6, 7, 5, 6]
    assert [name.partition("-")[2] for name in names(bare)] == commits[3:]
    assert git(bare.path, "rev-parse", "HEAD") == head, "nothing else is touched"


def test_a_forge_that_takes_no_picture_is_named(forge, git):
    root, bare = forge
    hook = bare.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no pictures here >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushforwardError, match=r"pictures of the comment cannot be put into origin: .*no pictures"):
        shown.put(root, "origin", git(root.path, "rev-parse", "HEAD"), {"learning.png": b"one"})
