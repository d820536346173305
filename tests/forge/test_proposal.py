"""A change that a program proposes: real git against a server of ours, and against forges with a bare repository."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests import docket_double, github_double
from tests.github_double import HALF, LOST, READ_ONLY, SERVER_ERROR, TOKEN
from tests.team import make_clone

from pushforward.errors import POLICY, TOOL, USAGE, PushforwardError
from pushforward.forge.proposal import Proposal, propose
from pushforward.server.init import init

pytestmark = pytest.mark.whole

GITHUB, GITLAB = "https://github.com/octo/flights.git", "https://gitlab.com/octo/flights.git"
CHANGE = Proposal("arrive/2020-05", {"params.yaml": b"months: [5]\n"}, "Take 2020-05 in", "It has arrived.")
HOSTILE = "\x1b[31m2020\n\nPushforward-Promote: me\u202e@everyone"


class Place:
    """A clone, and the bare repository that its remote is."""

    def __init__(self, clone, bare, git):
        self.clone, self.bare, self.git, self.said = clone, bare, git, []

    def propose(self, change=CHANGE, clone=None):
        return propose(clone or self.clone, change, say=self.said.append)

    def branches(self):
        return self.git(self.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads/").split()

    def file(self, revision, path="params.yaml"):
        return self.git(self.bare, "show", f"{revision}:{path}")

    def land(self, path, text):
        """A commit of a person on the default branch."""
        (self.clone / path).write_text(text)
        self.git(self.clone, "add", "-A")
        self.git(self.clone, "commit", "-q", "-m", "Work on it")
        remote = self.git(self.clone, "remote")
        self.git(self.clone, "push", "-q", remote, "HEAD:refs/heads/main")


@pytest.fixture
def place(tmp_path, git, monkeypatch):
    """A server of ours; what is pushed to it starts no run, as if a run had pushed."""
    monkeypatch.setenv("PUSHFORWARD_RUN", "a-run")
    clone = make_clone(tmp_path / "toy", git)
    init(clone)
    git(clone, "push", "-q", "local", "HEAD:refs/heads/main")
    return Place(clone, tmp_path / "toy.git", git)


def forged(tmp_path, git, address):
    """A clone whose remote is a forge: git reaches a bare repository in its place."""
    clone = make_clone(tmp_path / "toy", git)
    bare = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    git(clone, "config", f"url.{bare}.insteadOf", address)
    git(clone, "remote", "add", "origin", address)
    git(clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    return Place(clone, bare, git)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return github_double.certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def octo(tmp_path, git, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with github_double.serve(certificate) as github:
        monkeypatch.setenv("GITHUB_API_URL", f"{github.url}{github_double.API}")
        made = forged(tmp_path, git, GITHUB)
        made.github = github
        yield made


@pytest.fixture
def lab(tmp_path, git, monkeypatch):
    monkeypatch.setenv("GITLAB_TOKEN", docket_double.TOKEN)
    with docket_double.serve(docket_double.GitLab()) as gitlab:
        monkeypatch.setenv("GITLAB_API_URL", f"{gitlab.url}/api/v4")
        made = forged(tmp_path, git, GITLAB)
        made.gitlab = gitlab
        yield made


def test_a_change_is_one_commit_on_the_default_branch_and_no_work_tree_is_touched(place):
    (place.clone / "pushforward.yaml").write_text("half an edit")
    done = place.propose()
    assert done.state == "opened"
    assert done.words == f"arrive/2020-05 is pushed, {done.commit[:9]}: local judges it as a pull request into main"
    assert place.git(place.bare, "rev-parse", "arrive/2020-05", "arrive/2020-05^").split() == [
        done.commit,
        place.git(place.bare, "rev-parse", "main"),
    ]
    assert place.git(place.bare, "diff", "--name-only", "main", done.commit) == "params.yaml"
    assert place.file(done.commit) == "months: [5]"
    assert place.git(place.bare, "log", "-1", "--format=%B", done.commit) == "Take 2020-05 in\n\nIt has arrived."
    assert (place.clone / "pushforward.yaml").read_text() == "half an edit"
    assert place.git(place.clone, "status", "--porcelain") == "M pushforward.yaml"


def test_the_same_change_again_is_found_and_not_made_twice(place):
    first = place.propose()
    place.land("other.txt", "beside it")
    again = place.propose()
    assert (again.state, again.commit) == ("there", first.commit)
    assert again.words == "arrive/2020-05 is there, with this change"
    assert place.branches() == ["arrive/2020-05", "main"]


def test_a_branch_with_another_change_is_refused_with_what_takes_it_away(place):
    first = place.propose()
    with pytest.raises(PushforwardError) as refused:
        place.propose(replace(CHANGE, files={"params.yaml": b"months: [6]\n"}))
    assert refused.value.message == f"local has a branch arrive/2020-05 with another change ({first.commit[:9]})"
    assert refused.value.next.startswith("git push local --delete arrive/2020-05, if nobody needs it")
    assert refused.value.exit_code == USAGE
    assert place.git(place.bare, "rev-parse", "arrive/2020-05") == first.commit


@pytest.mark.parametrize("squashed", [False, True])
def test_a_branch_that_was_merged_is_moved_on_by_the_next_change(place, squashed):
    place.propose()
    place.git(place.clone, "fetch", "-q", "local")
    how = ["--squash"] if squashed else ["--no-ff", "-m", "Merge it"]
    place.git(place.clone, "merge", "-q", *how, "local/arrive/2020-05")
    place.git(place.clone, "commit", "-q", "--allow-empty", "-m", "Take it in")
    place.git(place.clone, "push", "-q", "local", "HEAD:refs/heads/main")
    landed = place.propose()
    assert (landed.state, landed.words) == ("landed", "main has it already")
    later = place.propose(replace(CHANGE, files={"params.yaml": b"months: [5, 6]\n"}))
    assert later.state == "opened"
    assert place.file("arrive/2020-05") == "months: [5, 6]"


def test_of_two_at_once_one_opens_it_and_the_other_says_that_it_is_there(place, tmp_path, git):
    clones = [place.clone]
    for number in range(3):
        clone = tmp_path / f"another{number}"
        git(tmp_path, "clone", "-q", "-o", "local", str(place.bare), str(clone))
        clones.append(clone)
    done, gate = [], threading.Barrier(len(clones))

    def run(clone):
        gate.wait()
        done.append(place.propose(clone=clone))

    threads = [threading.Thread(target=run, args=(clone,)) for clone in clones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.state for one in done) == ["opened", "there", "there", "there"]
    assert {one.commit for one in done} == {git(place.bare, "rev-parse", "arrive/2020-05")}


def test_words_of_others_are_harmless(place):
    done = place.propose(replace(CHANGE, title=f"Take {HOSTILE} in", body=f"It is\n{HOSTILE}\npushforward-promote: x"))
    said = place.git(place.bare, "log", "-1", "--format=%B", done.commit)
    assert said.splitlines()[0] == "Take 2020 Pushforward-Promote: me@everyone in"
    assert not any(line.lower().startswith("pushforward-") for line in said.splitlines())
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize("branch", ["../main", "-x", "a b", "a\nb", "", "main"])
def test_a_name_that_is_none_is_refused(place, branch):
    with pytest.raises(PushforwardError):
        place.propose(replace(CHANGE, branch=branch))
    assert place.branches() == ["main"]


def test_a_link_is_not_written_over(place):
    (place.clone / "params.yaml").symlink_to("/etc/passwd")
    place.git(place.clone, "add", "-A")
    place.git(place.clone, "commit", "-q", "-m", "Link")
    place.git(place.clone, "push", "-q", "local", "HEAD:refs/heads/main")
    with pytest.raises(PushforwardError, match=r"params\.yaml is a link"):
        place.propose()


def test_what_the_server_does_not_take_is_told_in_its_words(place):
    long = "x" * 40
    with pytest.raises(PushforwardError) as refused:
        place.propose(replace(CHANGE, branch=f"refs/{long}"))
    assert "git reads that name as something else" in refused.value.message
    assert refused.value.exit_code == POLICY


def test_a_clone_without_a_remote_or_with_one_that_is_gone_is_told(repository, git):
    with pytest.raises(PushforwardError, match="no git remote"):
        propose(repository, CHANGE, say=print)
    git(repository, "remote", "add", "origin", "/nowhere/at/all.git")
    with pytest.raises(PushforwardError, match="origin cannot be read") as refused:
        propose(repository, CHANGE, say=print)
    assert refused.value.exit_code == TOOL


def test_killed_before_its_push_nothing_is_there_and_the_next_one_goes_on(place):
    """A process that ends between its commit and its push."""
    code = (
        "import os, sys; from pathlib import Path; from pushforward.forge import proposal\n"
        "proposal.push_to = lambda *_: os.kill(os.getpid(), 9)\n"
        "proposal.propose(Path(sys.argv[1]), "
        "proposal.Proposal('arrive/2020-05', {'params.yaml': b'months: [5]\\n'}, 'T', 'B'), say=print)\n"
    )
    source = str(Path(__file__).parent.parent.parent / "src")
    env = os.environ | {"PYTHONPATH": source}
    done = subprocess.run([sys.executable, "-c", code, str(place.clone)], env=env, check=False)
    assert done.returncode == -9
    assert place.branches() == ["main"]
    assert place.propose().state == "opened"


def test_on_github_a_pull_request_is_opened_once(octo):
    done = octo.propose()
    assert (done.state, done.address) == ("opened", "https://github.com/octo/flights/pull/1")
    assert octo.github.settings.opened == [
        {"title": "Take 2020-05 in", "head": "arrive/2020-05", "base": "main", "body": "It has arrived."}
    ]
    again = octo.propose()
    assert (again.state, again.words) == ("there", "https://github.com/octo/flights/pull/1 is open, with this change")
    assert len(octo.github.settings.opened) == 1


@pytest.mark.parametrize("fault", [LOST, HALF])
def test_an_answer_that_is_lost_opens_no_second_one(octo, fault):
    octo.github.fail("POST", "/pulls", fault)
    done = octo.propose()
    assert (done.state, done.address) == ("there", "https://github.com/octo/flights/pull/1")
    assert len(octo.github.settings.opened) == 1


@pytest.mark.parametrize("fault", [READ_ONLY, SERVER_ERROR])
def test_without_an_api_the_branch_is_pushed_and_the_words_say_how_to_go_on(octo, fault):
    octo.github.fail("POST", "/pulls", fault, 9)
    done = octo.propose()
    assert done.state == "pushed"
    assert octo.file("arrive/2020-05") == "months: [5]"
    assert "is pushed" in done.words
    assert "next: open a pull request of it by hand" in done.words
    octo.github._faults.clear()
    assert octo.propose().state == "opened"


def test_without_a_token_the_branch_is_pushed(octo, monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN")
    done = octo.propose()
    assert done.state == "pushed"
    assert done.words.endswith(
        "and nobody asks for it: nobody is logged in to github.com: there is no gh that is, and no GH_TOKEN; "
        "next: open a pull request of it by hand, or gh auth login --hostname github.com"
    )
    assert octo.branches() == ["arrive/2020-05", "main"]


def test_what_a_person_has_closed_is_not_opened_again(octo):
    done = octo.propose()
    (pull,) = octo.github.pulls
    pull.state, pull.sha = "closed", done.commit
    again = octo.propose()
    assert again.state == "declined"
    assert again.words.startswith("https://github.com/octo/flights/pull/1 was closed by a person")
    assert len(octo.github.settings.opened) == 1
    octo.git(octo.clone, "push", "-q", "origin", "--delete", "arrive/2020-05")
    assert octo.propose().state == "opened"


def test_on_gitlab_a_merge_request_is_opened_once(lab):
    done = lab.propose()
    assert (done.state, done.address.rpartition("/-/")[2]) == ("opened", "merge_requests/90")
    (merge,) = lab.gitlab.merges
    assert (merge["source_branch"], merge["target_branch"], merge["title"]) == (
        "arrive/2020-05",
        "main",
        "Take 2020-05 in",
    )
    assert lab.propose().state == "there"
    assert len(lab.gitlab.merges) == 1


def test_a_remote_that_is_no_forge_gets_the_branch_and_no_token(tmp_path, git, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    place = forged(tmp_path, git, "ssh://nobody.example.org/srv/x")
    done = place.propose()
    assert done.state == "pushed"
    assert "what is at nobody.example.org is asked for no pull request from here" in done.words
