"""Commands of people, where they cannot work: one line, and the next command."""

import os
import subprocess
from pathlib import Path

import pytest

from pushforward.errors import TOOL, USAGE

ROOT = Path(__file__).parent.parent.parent
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


def said(folder, *words):
    """The exit status and what went to standard error."""
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "pushforward", *words]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_outside_of_a_repository(tmp_path, words):
    assert said(tmp_path, *words) == (
        USAGE,
        f"pushforward: {tmp_path} is in no git repository\n  next: cd into your clone\n",
    )


@pytest.mark.parametrize("words", COMMANDS[:-1], ids=lambda words: words[0])
def test_where_the_server_is_gone(hub, words):
    hub.bare.rename(hub.folder / "moved.git")
    status, told = said(hub.clone, *words)
    assert status == TOOL, told
    assert "fatal: '" in told
    assert "does not appear to be a git repository" in told
    assert "next: git ls-remote " in told


@pytest.mark.parametrize("words", [COMMANDS[4], COMMANDS[5], COMMANDS[6]], ids=lambda words: words[0])
def test_where_nothing_was_pushed_yet(hub, words):
    hub.git(hub.bare, "update-ref", "-d", "refs/heads/main")
    status, told = said(hub.clone, *words)
    assert (status, f"nothing was pushed to {hub.bare} yet" in told) == (USAGE, True), told
    assert "next: git push local main" in told


@pytest.mark.parametrize("words", [COMMANDS[4], COMMANDS[5]], ids=lambda words: words[0])
def test_where_another_branch_was_pushed_it_is_named(hub, words):
    hub.git(hub.bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
    status, told = said(hub.clone, *words)
    assert (status, "nothing was pushed" in told) == (USAGE, False), told
    assert f"{hub.bare} has no branch trunk, which its HEAD names; it has main" in told
    assert "git symbolic-ref HEAD refs/heads/main" in told


@pytest.mark.parametrize("words", [COMMANDS[4], COMMANDS[5]], ids=lambda words: words[0])
def test_where_git_refuses_to_read_nothing_is_said_of_pushes(hub, words, monkeypatch):
    (hub.folder / ".gitconfig").write_text("[safe]\n\tbareRepository = explicit\n")
    monkeypatch.setenv("HOME", str(hub.folder))
    told = said(hub.clone, *words)[1]
    assert "nothing was pushed" not in told
