"""What a run has made, in the work tree: of a version, of HEAD's run, of a branch; and what is never written over."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.gate.verdict import Digests, invalid
from pushforward.git.refs import RUNS, TRIALS
from pushforward.git.repository import Repository
from pushforward.release import pull
from pushforward.report import note, notes
from pushforward.report.note import Context

pytestmark = pytest.mark.whole

METRICS = '{"auc": 0.75}\n'


@pytest.fixture
def team(three, git, monkeypatch):
    """A hub of three versions, of which each commit has its own lock; the clone is at the last."""
    git(three.clone, "fetch", "-q", "origin", "+refs/tags/*:refs/tags/*")
    monkeypatch.chdir(three.clone)
    return three


def typed(*words):
    done = CliRunner().invoke(main, ["pull", *words])
    return done.exit_code, done.output


def pulled(team, asked="", **how):
    return pull.pull(team.clone, asked, **{"force": False, "lock_only": False, "say": team.said.append} | how)


def model(team):
    return (team.clone / "model" / "model.json").read_text()


def run_of(team, commit, content):
    """Record on the server that the run of a commit has made a model, in a lock commit; its name."""
    server = Repository(team.bare)
    files = {"dvc.lock": team.model(content)[0], "metrics/metrics.json": METRICS.encode()}
    tree = server.write_tree(commit, files, index=team.folder / "index")
    made = server.write_commit(tree, [commit], "Lock\n", date="1700000000 +0000")
    server.set_ref(f"{RUNS}{commit}", made)
    return made


def lockless(team, message="Leave the lock to the server"):
    """A commit without dvc.lock, pushed; its name."""
    team.git(team.clone, "rm", "-q", "--ignore-unmatch", "dvc.lock")
    team.write("notes.txt", message)
    team.git(team.clone, "add", "-A")
    team.git(team.clone, "commit", "-q", "-m", message)
    team.git(team.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    return team.git(team.clone, "rev-parse", "HEAD")


def test_a_version_brings_its_lock_and_its_model_and_the_next_one_replaces_them(team):
    done = pulled(team, "v1.0.0")
    assert (done.name, done.files, done.models) == ("toy@v1.0.0", ("dvc.lock",), ("model",))
    assert (team.clone / "dvc.lock").read_bytes() == team.model("one")[0]
    assert model(team) == "one"
    done = pulled(team, "toy@v1.1.0")
    assert (model(team), done.commit) == ("two", team.git(team.bare, "rev-parse", "toy@v1.1.0^{commit}"))
    assert (done.files, pulled(team, "v1.1.0").files) == (("dvc.lock",), ())
    assert pulled(team, "v1.2.0", lock_only=True).models == ()
    assert model(team) == "two"


def test_only_a_version_that_somebody_signed_who_may_is_one(team, git):
    git(team.bare, "tag", "-a", "-m", "mine", "toy@v9.0.0", "main")
    with pytest.raises(PushforwardError, match=r"toy has no version v9.0.0; did you mean v1.0.0"):
        pulled(team, "v9.0.0")


def test_head_is_its_own_run_as_the_server_has_it(team):
    head = lockless(team)
    with pytest.raises(PushforwardError, match=f"{head[:9]} has no run in origin") as refused:
        pulled(team)
    assert refused.value.next == "git push origin HEAD"
    made = run_of(team, head, "four")
    done = pulled(team)
    assert (done.name, done.commit) == (f"the run of {head[:9]}", made)
    assert (done.files, done.models) == (("dvc.lock", "metrics/metrics.json"), ("model",))
    assert (model(team), (team.clone / "metrics" / "metrics.json").read_text()) == ("four", METRICS)
    team.git(team.clone, "checkout", "-q", "-f", "--detach", head)
    team.git(team.clone, "fetch", "-q", "origin", f"{RUNS}{head}")
    team.git(team.clone, "checkout", "-q", "-f", "FETCH_HEAD")
    assert pulled(team).commit == made, "a lock commit is of itself"


def test_of_a_branch_the_newest_commit_that_was_run_counts(team):
    ran = lockless(team)
    made = run_of(team, ran, "four")
    newer = lockless(team, "Not run yet")
    assert pulled(team, "main").commit == made
    for asked in (newer, newer[:9]):
        with pytest.raises(PushforwardError, match=f"{newer[:9]} has no run"):
            pulled(team, asked)
    assert pulled(team, ran[:9]).commit == made


def test_of_a_pull_request_its_merge_was_run(team):
    base = team.git(team.clone, "rev-parse", "HEAD")
    topic = lockless(team)
    server = Repository(team.bare)
    merge = server.write_commit(f"{topic}^{{tree}}", [base, topic], "Merge\n", date="1700000000 +0000")
    made = run_of(team, merge, "five")
    server.git("update-ref", "-d", f"{RUNS}{merge}")
    server.set_ref(f"{TRIALS}{merge}", made)
    server.set_ref("refs/pull/3/head", topic)
    assert (pulled(team).commit, pulled(team, "#3").commit, model(team)) == (made, made, "five")
    with pytest.raises(PushforwardError, match="origin has no pull request #4"):
        pulled(team, "#4")


def test_of_a_run_that_left_no_lock_the_pushed_one_is_not_taken(team):
    server, head = Repository(team.bare), team.git(team.clone, "rev-parse", "HEAD")
    server.set_ref(f"{RUNS}{head}", head)

    def report(lock):
        verdict = replace(invalid("no"), commit=head, event="push", ref="refs/heads/main", digests=Digests(lock=lock))
        notes.put(server, head, note.of(verdict, Context(), "no\n"), lock=team.folder / "notes.lock")

    report("")
    with pytest.raises(PushforwardError, match=f"the run of {head[:9]} has left no dvc.lock") as failed:
        pulled(team)
    assert failed.value.next == f"pushforward report {head[:9]}"
    report(hashlib.sha256((team.clone / "dvc.lock").read_bytes()).hexdigest())
    assert (pulled(team).commit, model(team)) == (head, "three")


def test_what_is_not_committed_is_refused_and_an_earlier_pull_is_not(team):
    run_of(team, lockless(team), "four")
    team.write("dvc.lock", "schema: '2.0'\n")
    status, said = typed()
    assert (status, (team.clone / "model").exists()) == (USAGE, False)
    assert (
        "dvc.lock: changed here and not committed\n  next: git stash -u -- dvc.lock, or pushforward pull --fo" in said
    )
    assert typed("--force")[0] == 0
    assert typed("v1.0.0")[0] == 0, "what a pull has left is nobody's work"
    team.write("model/model.json", "mine")
    status, said = typed("v1.1.0")
    assert (status, model(team)) == (USAGE, "mine")
    assert "model is no model that dvc.lock names: it was changed here" in said
    assert typed("v1.1.0", "--force")[0] == 0
    assert model(team) == "two"


def test_the_store_is_the_servers_wherever_the_clone_lies_or_it_is_named(team, git, tmp_path):
    far = tmp_path / "far" / "away"
    shutil.copytree(team.clone, far, ignore=shutil.ignore_patterns("cache"))
    done = pull.pull(far, "v1.0.0", force=False, lock_only=False, say=print)
    assert ((far / "model" / "model.json").read_text(), done.models) == ("one", ("model",))
    shutil.rmtree(far / ".dvc" / "cache")
    shutil.rmtree(far / "model")
    shutil.rmtree(team.store)
    with pytest.raises(PushforwardError, match=r"the DVC remote .*store does not exist") as gone:
        pull.pull(far, "v1.1.0", force=False, lock_only=False, say=print)
    assert gone.value.exit_code == TOOL
    assert gone.value.next == (
        "dvc remote modify --local s url PATH, if it is elsewhere, or pushforward pull --lock-only"
    )
    assert (far / "dvc.lock").read_bytes() == team.model("one")[0], "nothing is written"
    assert pull.pull(far, "v1.1.0", force=False, lock_only=True, say=print).files == ("dvc.lock",)


def test_a_forge_is_asked_for_its_runs(team, git, tmp_path):
    head = lockless(team)
    run_of(team, head, "four")
    forge = tmp_path / "forge.git"
    git(tmp_path, "clone", "-q", "--mirror", str(team.bare), str(forge))
    # reached by a program, as one on another machine is
    git(team.clone, "config", "protocol.ext.allow", "always")
    git(team.clone, "remote", "set-url", "origin", f"ext::git %s {forge}")
    done = pulled(team)
    assert (done.name, model(team)) == (f"the run of {head[:9]}", "four")
    git(team.clone, "remote", "set-url", "origin", "ext::false %s")
    team.git(team.clone, "commit", "-q", "--allow-empty", "-m", "Newer")
    with pytest.raises(PushforwardError, match=r"has no run in origin \(origin cannot be asked") as failed:
        pulled(team)
    assert failed.value.next == "git ls-remote origin"


def test_json_says_all_of_it(team):
    status, said = typed("v1.0.0", "--json")
    assert status == 0
    assert json.loads(said) == {
        "name": "toy@v1.0.0",
        "commit": team.git(team.bare, "rev-parse", "toy@v1.0.0^{commit}"),
        "files": ["dvc.lock"],
        "models": ["model"],
    }
    assert typed("v1.0.0")[1] == f"toy@v1.0.0 ({json.loads(said)['commit'][:9]}) was here already\n"


def test_where_nothing_can_be_put_it_says_so(team, git, monkeypatch):
    monkeypatch.chdir(team.bare)
    assert typed() == (USAGE, f"pushforward: {team.bare} has no work tree\n  next: pushforward pull, in a clone\n")


def test_hooks_pull_what_was_run_and_take_back_what_is_of_another_commit(team, git):
    ran = lockless(team)
    run_of(team, ran, "four")
    assert typed("--install-hooks")[0] == 0
    said = git(team.clone, "switch", "-q", "-c", "topic", check=False)
    assert f"pushforward: the run of {ran[:9]} is in the work tree" in said
    assert model(team) == "four"
    team.git(team.clone, "commit", "-q", "--allow-empty", "-m", "Not run")
    said = git(team.clone, "switch", "-q", "-c", "other", check=False)
    assert "has no run in origin; dvc.lock, metrics/metrics.json as committed" in said
    assert not (team.clone / "dvc.lock").exists()
    git(team.clone, "switch", "-q", "main", check=False)
    assert (team.clone / "dvc.lock").exists()
    team.write("dvc.lock", "mine")
    said = git(team.clone, "switch", "-q", "-c", "third", check=False)
    assert "dvc.lock: changed here and not committed" in said
    assert (team.clone / "dvc.lock").read_text() == "mine"
    assert git(team.clone, "rev-parse", "--abbrev-ref", "HEAD") == "third", "git is never kept from its work"


def test_repro_begins_with_the_lock_of_the_version_in_use_where_there_is_none(promoted, monkeypatch):
    """What a team's server has made is fetched, all of it, so that DVC finds nothing to do after it."""
    team = promoted
    said = team.pushforward("repro")
    assert "  no dvc.lock here: it begins with that of the newest version (" in said
    assert said.splitlines()[-1] == "  stages: 3 restored"
    assert (team.clone / "model").is_dir()
    assert (team.clone / "data" / "holdout").is_dir()
    assert team.pushforward("repro").splitlines()[-1] == "  stages: 3 unchanged"
    wanted = team.git("show", "toy@v1.0.0:dvc.lock")
    assert (team.clone / "dvc.lock").read_text() == wanted
    shutil.rmtree(team.clone / "data" / "holdout")
    assert "holdout" in team.pushforward("repro").splitlines()[-2]
    assert "was here already" in team.pushforward("pull")
    for folder in (
        team.clone / ".dvc" / "cache",
        team.clone / "data" / "holdout",
        team.clone.parent / "store" / "files",
    ):
        shutil.rmtree(folder)
    (team.clone.parent / "store" / "files").mkdir()
    assert "ran" in team.pushforward("repro").splitlines()[-1], "what the store has lost is made again"
    assert (team.clone / "dvc.lock").read_text() == wanted
