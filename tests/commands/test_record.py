"""`pushforward record`: what a runner of a forge leaves for whoever posts the verdict."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.gate.verdict import invalid
from pushforward.git.refs import PICTURES, REPORTS
from pushforward.git.repository import Repository
from pushforward.judge import judged
from pushforward.report.note import Context

SETTINGS = 'tool: "0.2.0"\nmodels:\n  toy:\n    environment: []\n'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="20" height="20"/></svg>'


@pytest.fixture
def runner(repository, git, tmp_path, monkeypatch):
    """A checkout of another machine's repository, with a verdict on a pull request and its pictures."""
    (repository / "pushforward.yaml").write_text(SETTINGS)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Settle")
    bare = tmp_path / "forge.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    git(repository, "remote", "add", "origin", f"ext::git %s {bare}")
    git(repository, "config", "protocol.ext.allow", "always")
    head = git(repository, "rev-parse", "HEAD")
    told = replace(invalid("because"), commit=head, event="pull_request", pull=1, ref="refs/heads/idea")
    judged.store(repository / "verdict", told, Context(), "minor")
    (repository / "verdict" / "plots").mkdir()
    for name in ("gain-by-day", "roc"):
        (repository / "verdict" / "plots" / f"{name}.svg").write_text(SVG)
    monkeypatch.chdir(repository)
    return repository, Repository(bare), head


def recorded(root):
    done = CliRunner().invoke(main, ["record"], catch_exceptions=False)
    return json.loads((root / "verdict" / "recorded.json").read_text()), done.stderr


def test_the_comment_is_told_where_its_pictures_are(runner):
    root, bare, head = runner
    told, said = recorded(root)
    assert told["pictures"] == bare.resolve(f"{REPORTS}{head}")
    assert told["names"] == ["gain-by-day.svg", "roc.svg"]
    assert [ref.object for ref in bare.refs(PICTURES)] == [told["shown"]]
    assert bare.git("ls-tree", "--name-only", told["shown"]).text == "gain-by-day.png"
    assert (told["card"], said) == ("", "")


@pytest.mark.parametrize(("wish", "linked"), [("links", True), ("none", False)])
def test_who_wants_no_pictures_has_none(wish, linked, runner):
    root, bare, _ = runner
    (root / "pushforward.yaml").write_text(f"{SETTINGS}report: {{pictures: {wish}}}\n")
    told, _ = recorded(root)
    assert (bool(told["pictures"]), told["shown"], bare.refs(PICTURES)) == (linked, "", [])


def test_where_the_forge_takes_no_pictures_the_report_is_recorded_all_the_same(runner):
    root, bare, head = runner
    hook = bare.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/pushforward/pictures/*) exit 1;; esac\n')
    hook.chmod(0o755)
    told, said = recorded(root)
    assert told["pictures"] == bare.resolve(f"{REPORTS}{head}")
    assert told["shown"] == ""
    assert "the pictures of the comment cannot be put into origin" in said
    assert said.endswith("; the comment links to them\n")


def test_of_a_push_nothing_is_drawn_for_a_comment_that_never_comes(runner):
    root, bare, head = runner
    told = replace(invalid("because"), commit=head, event="push", ref="refs/heads/main")
    judged.store(root / "verdict", told, Context(), "minor")
    assert recorded(root)[0]["shown"] == ""
    assert bare.refs(PICTURES) == []
