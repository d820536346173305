"""The clone as its own hub: what a run of act in it is given, what is typed, and that no ref of it moves."""

import json
import sys

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.project import actrc
from pushforward.server import clone as clones

PUSH = {"repository": {"default_branch": "main"}}
JUDGE = PUSH | {"workflow_run": {"event": "push"}}
JUDGE_PULL = PUSH | {"workflow_run": {"event": "pull_request"}}


@pytest.fixture
def clone(repository, git):
    """A clone with a branch beside main, and workflows."""
    (repository / ".github" / "workflows").mkdir(parents=True)
    (repository / ".github" / "workflows" / "train.yml").write_text("name: train\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Add workflows")
    git(repository, "branch", "-M", "main")
    git(repository, "switch", "-q", "-c", "idea")
    (repository / "b.txt").write_text("two\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Add b")
    return repository


def give(clone, name, payload=PUSH):
    before = Repository(clone).refs("refs/")
    given = clones.give(clone, name, payload)
    assert Repository(clone).refs("refs/") == before
    assert Repository(clone).unclean() == []
    return given


def mirror(clone):
    return Repository(clone / ".act" / "repository.git")


def test_a_push_is_as_if_head_were_pushed_to_the_default_branch(clone, git):
    head = git(clone, "rev-parse", "HEAD")
    given = give(clone, "push")
    assert given[clones.COMMIT] == head
    assert mirror(clone).resolve("refs/heads/main") == head
    assert given["PUSHFORWARD_REPOSITORY"] == str(mirror(clone).path)
    assert give(clone, "workflow_run", JUDGE)[clones.COMMIT] == head


def test_a_pull_request_runs_the_merge_and_is_judged_from_its_target(clone, git):
    main, head = git(clone, "rev-parse", "main", "HEAD").split()
    merge = give(clone, "pull_request")[clones.COMMIT]
    assert mirror(clone).git("rev-parse", f"{merge}^1", f"{merge}^2").text.split() == [main, head]
    assert give(clone, "workflow_run", JUDGE_PULL)[clones.COMMIT] == main
    # what was trained is what is judged
    assert mirror(clone).resolve("refs/pull/1/merge") == merge
    assert mirror(clone).resolve("refs/pull/1/head") == head


def test_the_target_is_what_the_authority_had_when_last_fetched(clone, git, tmp_path):
    hub = tmp_path / "hub.git"
    git(tmp_path, "clone", "-q", "--bare", str(clone), str(hub))
    git(clone, "remote", "add", "origin", str(hub))
    git(clone, "fetch", "-q", "origin")
    there = git(clone, "rev-parse", "origin/main")
    git(clone, "branch", "-f", "main", "HEAD")
    merge = give(clone, "pull_request")[clones.COMMIT]
    assert mirror(clone).resolve(f"{merge}^1") == there


def test_what_conflicts_is_told_with_the_command_that_mends_it(clone, git):
    git(clone, "switch", "-q", "main")
    (clone / "b.txt").write_text("three\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Add another b")
    git(clone, "switch", "-q", "idea")
    with pytest.raises(PushforwardError, match=r"HEAD conflicts with main in b\.txt") as refused:
        give(clone, "pull_request")
    assert refused.value.next.startswith("git rebase ")


def test_who_may_sign_is_as_the_server_says_and_what_it_knows_is_there_too(clone, git, tmp_path):
    bare = tmp_path / "hub.git"
    git(tmp_path, "clone", "-q", "--bare", str(clone), str(bare))
    (bare / "pushforward").mkdir()
    (bare / "pushforward" / "allowed_signers").write_text("ann@example.org ssh-ed25519 AAAA\n")
    git(bare, "update-ref", "refs/pushforward/holdout/x", "main")
    git(clone, "remote", "add", "local", str(bare))
    git(clone, "fetch", "-q", "local")
    give(clone, "pull_request")
    assert mirror(clone).read("HEAD", ".github/allowed_signers") == b"ann@example.org ssh-ed25519 AAAA\n"
    assert mirror(clone).resolve("HEAD^") == mirror(clone).resolve("refs/heads/main")
    assert mirror(clone).resolve("refs/pushforward/holdout/x") is not None
    git(clone, "remote", "remove", "local")
    give(clone, "pull_request")
    assert mirror(clone).read("HEAD", ".github/allowed_signers") is None


def test_what_a_run_has_written_is_gone_at_the_next_checkout(clone, git):
    give(clone, "push")
    head = git(clone, "rev-parse", "HEAD")
    for ref in ("refs/tags/toy@v9.0.0", "refs/pushforward/holdout/x", "refs/notes/pushforward"):
        mirror(clone).set_ref(ref, head)
    give(clone, "push")
    assert {ref.name for ref in mirror(clone).refs("refs/")} == {"refs/heads/main", "refs/heads/idea"}


def test_the_store_is_the_clone_s_own_where_that_of_the_project_is_not_there(clone, git, capsys, tmp_path):
    (clone / ".dvc").mkdir()
    config = "[core]\n    remote = far\n['remote \"far\"']\n    url = {}\n"
    (clone / ".dvc" / "config").write_text(config.format("../../store"))
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Add a store")
    settings = clone / ".act" / "dvc.config"
    assert give(clone, "push")["PUSHFORWARD_DVC_CONFIG"] == str(settings)
    assert f"the DVC remote {tmp_path / 'store'} is not there" in capsys.readouterr().err
    assert str(clone / ".act" / "store") in settings.read_text()
    assert str(clone / ".dvc" / "cache") in settings.read_text()
    assert settings.stat().st_mode & 0o077 == 0  # as config.local, which may hold secrets
    (tmp_path / "store").mkdir()
    give(clone, "push")
    assert str(clone / ".act" / "store") not in settings.read_text()
    assert capsys.readouterr().err == ""


def test_the_judge_is_asked_of_what_was_trained_last(clone, git):
    with pytest.raises(PushforwardError, match="nothing was trained, and HEAD is") as refused:
        clones.command(clone, "workflow_run", None, ())
    assert refused.value.next == "pushforward act push"
    for name, file in (("push", actrc.PUSH), ("pull_request", actrc.PULL_REQUEST)):
        give(clone, name)
        assert clones.command(clone, "workflow_run", None, ()).event == str(clone / ".act" / file)
    git(clone, "switch", "-q", "main")
    with pytest.raises(PushforwardError, match="the last train was of"):
        clones.command(clone, "workflow_run", None, ())


def test_the_command_line_is_whole_and_a_shell_reads_it_back(clone):
    made = clones.command(clone, "push", None, ("-j", "train"))
    assert made.line[1] == "push"
    assert made.line[-2:] == ("-j", "train")
    assert f"PUSHFORWARD_CLONE={clone}" in made.line
    assert made.words().replace(" \\\n ", "").split() == list(made.line)
    assert json.loads((clone / ".act" / "push.json").read_text())["act"] is True
    assert (clone / ".act" / "actions" / "actions+checkout" / "action.yml").is_file()
    assert Repository(clone).unclean() == []


def test_a_run_by_way_of_the_links_leaves_them_as_they_are(clone, monkeypatch):
    clones.command(clone, "push", None, ())
    link = clone / ".act" / "environment"
    there = link.readlink()
    monkeypatch.setattr(sys, "prefix", str(link))  # as in the run that an .actrc has started
    give(clone, "push")
    clones.command(clone, "push", None, ())
    assert link.readlink() == there
    assert (link / "bin" / "python").exists()


def test_an_event_that_is_not_there_and_a_project_without_workflows_are_told(clone, git, tmp_path):
    with pytest.raises(PushforwardError, match=r"there is no event .*none\.json"):
        clones.command(clone, "push", tmp_path / "none.json", ())
    git(clone, "rm", "-q", "-r", ".github")
    with pytest.raises(PushforwardError, match=r"has no \.github/workflows"):
        clones.command(clone, "push", None, ())
