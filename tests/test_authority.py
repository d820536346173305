"""Which remote is the authority: every verb gives one answer, whatever the remote is called and however written."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pushforward.commands import common
from pushforward.errors import PushforwardError
from pushforward.git import remote
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.judge import ledger, looks, plan, question
from pushforward.registry import authority, signers, trust
from pushforward.release import promote, provenance, signing
from pushforward.server import check, init
from pushforward.views import show, web

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [run.txt]
    holdout: {path: data, key: id, label: y, cluster: date, time: at}
    score: score {rows} {events} {out}
    batches: params.yaml:data.months
gate: {window: 2, looks: 4}
"""
PARAMS = """\
data: {months: ["2020-01", "2020-02", "2020-03", "2020-04"]}
"""
KINDS = {
    "absolute": "{bare}",
    "relative": "../a b/team.git",
    "without .git": "../a b/team",
    "file": "file://{quoted}",
    "a link": "../link.git",
    "insteadOf": "team:team.git",
}
NAMES = (remote.LOCAL, remote.ORIGIN, "the-only-one")


@pytest.fixture
def bare(tmp_path, git):
    """A server, as far as those who look for one ask, with one look taken."""
    place = tmp_path / "a b" / "team.git"
    place.parent.mkdir()
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(place))
    (place / "pushforward").mkdir()
    made = Server(str(place), "/usr/bin/python3", "", "", "team")
    made.save()
    made.know(["toy"], {})
    (place / "pushforward" / "allowed_signers").touch()
    (tmp_path / "link.git").symlink_to(place)
    return place


@pytest.fixture
def clone(repository, bare, git):
    (repository / "pushforward.yaml").write_text(SETTINGS)
    (repository / "params.yaml").write_text(PARAMS)
    (repository / "sub").mkdir()
    (repository / "sub" / "a").touch()
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Ask")
    git(repository, "push", "-q", str(bare), "HEAD:main")
    git(repository, "config", f"url.{bare.parent}/.insteadOf", "team:")
    asked = looks.Key(*(digit * 64 for digit in "1234"))
    ledger.Ledger(Repository(bare)).reserve("2020-03_2020-04", asked, alpha=0.05, looks=4, mode="superior", commit="")
    return repository


def added(clone, git, bare, name, kind):
    url = KINDS[kind].format(bare=bare, quoted=str(bare).replace(" ", "%20"))
    git(clone, "remote", "add", name, url)
    assert git(clone, "ls-remote", name, "refs/heads/main"), "git itself finds it there"


def by_authority(clone):
    with authority.of(clone) as found:
        assert found.server is not None
        return found.repository.path


def by_signers(clone):
    with trust.signers_file(clone) as path:
        assert not trust.is_forge(clone)
        return path.parent.parent


def by_release(clone):
    found = signing.remote(Repository(clone))
    return found.folder


def by_commands(clone):
    os.chdir(clone)
    return Path(common.server(None).bare)


def by_init(clone):
    repository = Repository(clone)
    return init._own(repository) or init._server_of(repository)


def by_promote(clone):
    repository = Repository(clone)
    return remote.of(repository, promote.authority_of(repository)).folder


TELLERS = {
    "git": lambda clone: remote.authority(Repository(clone)).folder,
    "check": lambda clone: check._place(clone, None)[3],
    "runs, gc, dispatch": by_commands,
    "init": by_init,
    "web": lambda clone: web.site_of(clone)[1].repository.path,
    "gate": lambda clone: ledger.of(clone).repository.path,
    "trust": lambda clone: signers.place_of(clone).bare,
    "signatures": by_signers,
    "verify, bundle": by_authority,
    "release": by_release,
    "promote": by_promote,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_verb_finds_the_same_server(clone, git, bare, monkeypatch, name, kind):
    monkeypatch.chdir(clone)
    added(clone, git, bare, name, kind)
    for verb, teller in TELLERS.items():
        assert teller(clone).samefile(bare), verb
    assert provenance._place(Repository(clone)) == "server"
    assert plan.plan(clone).left == 3, "of four looks one was taken, which the server's ledger knows"


@pytest.mark.parametrize("kind", ["relative", "absolute"])
def test_from_a_folder_of_the_clone_a_relative_path_is_the_same(clone, git, bare, kind):
    added(clone, git, bare, "local", kind)
    assert remote.authority(Repository(clone / "sub")).folder.samefile(bare)


def test_in_a_work_tree_beside_the_clone_a_relative_path_is_from_there_as_for_git(clone, git, bare, tmp_path):
    added(clone, git, bare, "local", "relative")
    git(clone, "worktree", "add", "-q", str(tmp_path / "beside"), "HEAD")
    git(clone, "worktree", "add", "-q", str(tmp_path / "far" / "off"), "HEAD")
    assert remote.authority(Repository(tmp_path / "beside")).folder.samefile(bare)
    far = Repository(tmp_path / "far" / "off")
    assert not remote.authority(far).folder.exists()
    assert far.git("ls-remote", "local", check=False).returncode != 0


@pytest.mark.parametrize("first", [("local", "origin"), ("origin", "local"), ("local", "another"), ("origin", "a")])
def test_local_comes_first_then_origin_wherever_they_stand(clone, git, bare, monkeypatch, first):
    monkeypatch.chdir(clone)
    meant = min(first, key=[*NAMES[:2], "another", "a"].index)
    for name in first:
        git(clone, "remote", "add", name, str(bare) if name == meant else "https://forge.invalid/team")
    for verb, teller in TELLERS.items():
        assert teller(clone).samefile(bare), verb
    assert provenance._place(Repository(clone)) == "server"


# What differed, and is now as the stricter one had it.


@pytest.fixture
def open_question(clone, git, bare):
    """A clone of which nobody can say where it belongs; `trust` used to take the first by the alphabet."""
    git(clone, "remote", "add", "a", str(bare))
    git(clone, "remote", "add", "b", "https://forge.invalid/team")
    return clone


@pytest.mark.parametrize("verb", [verb for verb in TELLERS if verb != "init"])
def test_several_remotes_of_which_none_is_the_one_are_refused(open_question, monkeypatch, verb):
    monkeypatch.chdir(open_question)
    with pytest.raises(PushforwardError, match=r"git remotes a, b, and none is called local or origin: which") as told:
        TELLERS[verb](open_question)
    assert told.value.next == "git remote rename a origin, if that is the one"


def test_what_only_reads_a_clone_says_that_it_is_open(open_question):
    lacks = show.state(open_question).lacks
    assert "which of them counts is open; next: git remote rename a origin" in lacks


def test_how_it_is_written_to_does_not_change_who_it_is(clone, git, bare):
    added(clone, git, bare, "local", "absolute")
    git(clone, "config", "url.ssh://host/.pushInsteadOf", f"{bare.parent}/")
    git(clone, "config", "remote.local.pushurl", "https://forge.invalid/team")
    for verb in ("git", "web", "gate", "check"):
        assert TELLERS[verb](clone).samefile(bare), verb


@pytest.mark.parametrize("url", ["https://forge.invalid/team", "ssh://git@forge.invalid/team", "forge.invalid:team"])
def test_an_origin_elsewhere_is_a_forge_and_a_local_elsewhere_a_server(clone, git, monkeypatch, url):
    monkeypatch.chdir(clone)
    git(clone, "remote", "add", "origin", url)
    repository = Repository(clone)
    assert (provenance._place(repository), trust.is_forge(clone)) == ("forge", True)
    assert (ledger.of(clone).remote, signing.remote(repository).name) == ("origin", "origin")
    assert web.site_of(clone)[1].repository.path == clone
    assert check._place(clone, None)[2:] == (None, None)
    for verb in (common.server, lambda _: signers.place_of(clone)):
        with pytest.raises(PushforwardError, match=r"no git remote `local`|this clone has no server"):
            verb(None)
    git(clone, "remote", "rename", "origin", "local")
    assert not trust.is_forge(clone)
    assert (ledger.of(clone).remote, check._place(clone, None)[2].url) == ("local", url)
    for verb in (common.server, lambda _: signers.place_of(clone)):
        with pytest.raises(PushforwardError, match="the server is on another machine"):
            verb(None)


def test_a_bare_repository_that_is_no_server_is_a_forge_on_this_machine(clone, git, tmp_path, monkeypatch):
    monkeypatch.chdir(clone)
    git(tmp_path, "init", "-q", "--bare", "forge.git")
    git(clone, "remote", "add", "origin", "../forge.git")
    assert trust.is_forge(clone)
    assert check._place(clone, None)[2:] == (None, None)
    assert ledger.of(clone).repository.path.samefile(tmp_path / "forge.git"), "where the looks are counted"
    with pytest.raises(PushforwardError, match="this clone has no git remote `local`"):
        common.server(None)


@pytest.mark.parametrize("teller", [remote.authority, remote.followed])
def test_without_a_remote_there_is_none(clone, teller):
    assert teller(Repository(clone)) is None
    assert ledger.of(clone).repository.path == clone
    for verb in (signing.remote, promote.authority_of):
        with pytest.raises(PushforwardError, match="git remote"):
            verb(Repository(clone))
    with pytest.raises(PushforwardError, match="no git remote with pull requests"):
        question.ask(clone, "HEAD", "pull_request", "", None)


@pytest.mark.parametrize("name", [None, *NAMES])
def test_a_server_is_its_own_authority_whatever_it_is_copied_to(bare, clone, git, name):
    if name:
        git(bare, "remote", "add", name, "https://backup.invalid/team")
    assert remote.authority(Repository(bare)) is None
    assert remote.itself(Repository(bare)) == bare
    assert by_authority(bare) == bare
    assert ledger.of(bare).repository.path == bare
    assert web.site_of(bare)[1].repository.path == bare
    assert provenance._place(Repository(bare)) == "server"
    assert by_signers(bare) == bare


def test_a_work_tree_of_a_server_is_at_its_server(bare, clone, git, tmp_path):
    git(bare, "worktree", "add", "-q", str(tmp_path / "tree"), "main")
    assert remote.itself(Repository(tmp_path / "tree")) == bare
    assert by_authority(tmp_path / "tree") == bare


@pytest.mark.parametrize(("how", "own"), [("--bare", False), ("--mirror", True)])
def test_a_mirror_has_every_ref_and_still_asks_its_remote_who_may_sign(bare, clone, tmp_path, how, own):
    copy = tmp_path / "copy.git"
    subprocess.run(shlex.split(f"git clone -q {how} {shlex.quote(str(bare))} {copy}"), check=True)
    assert (remote.authority(Repository(copy)) is None) is own
    assert remote.followed(Repository(copy)).folder == bare
    assert by_signers(copy) == bare
