"""The pre-receive hook, in a real bare repository, pushed to by real git."""

import subprocess
import sys
from pathlib import Path

import pytest

from pushforward import policy


@pytest.fixture
def bare(tmp_path, repository, git):
    folder = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(folder))
    hook = folder / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {policy.__file__}\n")
    hook.chmod(0o755)
    (folder / "pushforward").mkdir()
    (folder / "pushforward" / "token").write_text("secret\n")
    git(repository, "remote", "add", "local", str(folder))
    git(repository, "push", "-q", "local", "main")
    return folder


def refs(git, bare):
    return git(bare, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("refs/notes/pushforward", "this server writes it"),
        ("refs/notes/commits", "this server writes it"),
        ("refs/pushforward/run/x", "this server writes it"),
        ("refs/pull/1/head", "this server writes it"),
        ("refs/foo/bar", "only branches and tags"),
        ("refs/heads/-rf", "the name may hold"),
        ("refs/heads/HEAD", "the name may hold"),
        ("refs/heads/refs/heads/main", "the name may hold"),
        ("refs/heads/x;$(touch${IFS}PWNED)", "the name may hold"),
        ("refs/heads/" + "a" * 120, "the name may hold"),
        ("refs/heads/m-m@v1.0.0", "the name may hold"),
        ("refs/tags/m-m@v1.0.0", "annotated"),
        ("refs/tags/m-m@vX", "a registry tag is"),
        ("refs/tags/@v1.0.0", "the name may hold"),
        ("refs/tags/m-m#prod#0", "a registry tag is"),
    ],
)
def test_a_ref_that_nobody_may_write_is_refused_whole(bare, repository, git, target, words):
    before = refs(git, bare)
    said = git(repository, "push", "local", "HEAD:refs/heads/fine", f"HEAD:{target}", check=False)
    assert words in said
    assert "next:" in said
    assert refs(git, bare) == before
    assert not (bare / "PWNED").exists()


def test_branches_and_ordinary_tags_are_taken(bare, repository, git):
    git(repository, "tag", "v1.0")
    git(repository, "push", "-q", "local", "HEAD:refs/heads/feature/a_b-c.1", "v1.0")
    assert len(refs(git, bare)) == 3


def test_main_only_moves_forward_and_stays(bare, repository, git):
    (repository / "a.txt").write_text("two\n")
    git(repository, "commit", "-q", "--amend", "-am", "Rewrite")
    assert "only moves forward" in git(repository, "push", "-f", "local", "main", check=False)
    assert "cannot be deleted" in git(repository, "push", "local", ":main", check=False)


def test_a_version_is_made_by_a_run_and_never_moves(bare, repository, git):
    git(repository, "tag", "-a", "-m", "x", "m-m@v1.0.0")
    assert "made by a passing push" in git(repository, "push", "local", "m-m@v1.0.0", check=False)
    git(repository, "push", "-q", "local", "m-m@v1.0.0", PUSHFORWARD_TOKEN="secret")
    assert "never moves" in git(repository, "push", "local", ":refs/tags/m-m@v1.0.0", check=False)
    git(repository, "tag", "-f", "-a", "-m", "y", "m-m@v1.0.0")
    assert "never moves" in git(
        repository, "push", "-f", "local", "m-m@v1.0.0", check=False, PUSHFORWARD_TOKEN="secret"
    )


def test_a_tag_object_cannot_be_replayed_under_another_name(bare, repository, git):
    git(repository, "tag", "-a", "-m", "x", "m-m@v1.0.0")
    said = git(repository, "push", "local", "m-m@v1.0.0:refs/tags/m-m@v9.0.0", check=False, PUSHFORWARD_TOKEN="secret")
    assert "another name" in said


def test_a_person_may_put_a_version_to_use_with_the_next_number(bare, repository, git):
    git(repository, "tag", "-a", "-m", "x", "m-m#production#1")
    assert "no version names" in git(repository, "push", "local", "m-m#production#1", check=False)
    git(repository, "tag", "-a", "-m", "x", "m-m@v1.0.0")
    git(repository, "push", "-q", "local", "m-m@v1.0.0", PUSHFORWARD_TOKEN="secret")
    git(repository, "push", "-q", "local", "m-m#production#1")
    git(repository, "tag", "-a", "-m", "x", "m-m#production#3")
    assert "the next one is number 2" in git(repository, "push", "local", "m-m#production#3", check=False)


def test_the_hook_needs_nothing_but_the_standard_library():
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", policy.__file__],
        input="",
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert done.returncode == 0
    assert "site-packages" not in done.stderr
