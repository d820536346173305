"""Commands of people, where they cannot work: one line, and the next command."""

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import TOOL, USAGE

COMMANDS = [
    ("trust",),
    ("release", "v1.0.0"),
    ("rollback", "-m", "x"),
    ("deprecate", "v1.0.0", "-m", "x"),
    ("verify", "v1.0.0", "--quick"),
    ("gc", "--dry-run"),
    ("bundle", "v1.0.0", "--out", "out"),
    ("show",),
]


@pytest.fixture
def said(monkeypatch):
    """Type a command in a folder: the exit status and what went to standard error."""

    def run(folder, *words):
        monkeypatch.chdir(folder)
        done = CliRunner().invoke(main, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stderr

    return run


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_outside_of_a_repository(tmp_path, said, words):
    assert said(tmp_path, *words) == (
        USAGE,
        f"pushforward: {tmp_path} is in no git repository\n  next: cd into your clone\n",
    )


@pytest.mark.parametrize("words", COMMANDS[:-1], ids=lambda words: words[0])
def test_where_the_server_is_gone(hub, said, words):
    hub.bare.rename(hub.folder / "moved.git")
    status, told = said(hub.clone, *words)
    assert status == TOOL, told
    assert "fatal: '" in told
    assert "does not appear to be a git repository" in told
    assert "next: git ls-remote " in told


@pytest.mark.parametrize("words", [COMMANDS[4], COMMANDS[5], COMMANDS[6]], ids=lambda words: words[0])
def test_where_nothing_was_pushed_yet(hub, said, words):
    hub.git(hub.bare, "update-ref", "-d", "refs/heads/main")
    status, told = said(hub.clone, *words)
    assert (status, f"nothing was pushed to {hub.bare} yet" in told) == (USAGE, True), told
    assert "next: git push local main" in told


@pytest.mark.parametrize("words", [COMMANDS[4], COMMANDS[5]], ids=lambda words: words[0])
def test_where_another_branch_was_pushed_it_is_named(hub, said, words):
    hub.git(hub.bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
    status, told = said(hub.clone, *words)
    assert (status, "nothing was pushed" in told) == (USAGE, False), told
    assert f"{hub.bare} has no branch trunk, which its HEAD names; it has main" in told
    assert "git symbolic-ref HEAD refs/heads/main" in told


@pytest.mark.parametrize("words", [COMMANDS[4], COMMANDS[5]], ids=lambda words: words[0])
def test_where_git_refuses_to_read_nothing_is_said_of_pushes(hub, said, words, monkeypatch):
    (hub.folder / ".gitconfig").write_text("[safe]\n\tbareRepository = explicit\n")
    monkeypatch.setenv("HOME", str(hub.folder))
    told = said(hub.clone, *words)[1]
    assert "nothing was pushed" not in told
