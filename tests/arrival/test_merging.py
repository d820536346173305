"""A batch that is merged by itself: on the verdict promote alone, on a server of ours and on a forge."""

import json

import pytest
from tests import github_double
from tests.github_double import TOKEN, refusal

from pushforward.git.repository import Repository
from pushforward.report import notes
from pushforward.report.note import Context, Report

pytestmark = pytest.mark.whole

EARLY = ("--now", "2020-03-01")
ADDRESS = "https://github.com/octo/flights.git"
BRANCH = "arrive/2020-03"


def judged(lake, word, repository=None, **changed):
    """What a server records of the pull request when it is judged."""
    bare = repository or lake.bare
    told = {"event": "pull_request", "verdict": word, "commit": lake.git(bare, "rev-parse", BRANCH)}
    told |= {"base": lake.git(bare, "rev-parse", "main")} | changed
    notes.put(Repository(bare), told["commit"], Report(told, Context(), word), lock=lake.folder / "notes.lock")
    return told["commit"]


@pytest.fixture
def proposed(lake):
    """A batch that is proposed, and to be merged by itself."""
    lake.settings("  merge: promote\n")
    lake.deliver("2020-03")
    (one,) = lake.json(*EARLY)["proposals"]
    assert one["state"] == "opened"
    return lake


def months(lake, revision="main"):
    return lake.git(lake.bare, "show", f"{revision}:params.yaml").count('- "2020-')


def test_it_is_merged_when_its_verdict_is_promote(proposed):
    (one,) = proposed.json(*EARLY)["proposals"]
    assert (one["state"], months(proposed)) == ("there", 2)
    tip = judged(proposed, "promote")
    done = proposed.json(*EARLY)
    assert [one["state"] for one in done["proposals"]] == ["merged"]
    assert done["said"][0].startswith("arrive/2020-03 is merged into main, ")
    assert months(proposed) == 3
    assert tip in proposed.git(proposed.bare, "rev-parse", "main^1", "main^2").split()
    assert "nothing new" in proposed.arrive(*EARLY)


@pytest.mark.parametrize("word", ["hold", "unknown", "invalid", "identical", "measured"])
def test_it_is_merged_on_no_other_word(proposed, word):
    judged(proposed, word)
    (one,), said = (proposed.json(*EARLY)[key] for key in ("proposals", "said"))
    assert one["state"] == "there"
    assert said[0].endswith(f"its verdict is {word}: it is not merged by itself")
    assert months(proposed) == 2


def test_it_is_not_merged_where_nobody_has_asked_for_that(lake):
    lake.deliver("2020-03")
    lake.arrive(*EARLY)
    judged(lake, "promote")
    assert "it waits for whoever merges it" in lake.arrive(*EARLY)
    assert months(lake) == 2


def test_a_verdict_beside_an_older_default_branch_is_asked_for_again(proposed):
    tip = judged(proposed, "promote")
    proposed.write("other.txt", "meanwhile")
    base = proposed.land()
    done = proposed.json(*EARLY)
    assert [one["state"] for one in done["proposals"]] == ["renewed"]
    assert "main has moved on since the verdict on arrive/2020-03" in done["said"][0]
    assert months(proposed) == 2
    fresh = proposed.git(proposed.bare, "rev-parse", BRANCH, f"{BRANCH}^").split()
    assert fresh[0] != tip
    assert fresh[1] == base
    judged(proposed, "promote")
    assert proposed.json(*EARLY)["proposals"][0]["state"] == "merged"


def test_a_verdict_on_another_commit_of_the_branch_does_not_count(proposed):
    judged(proposed, "promote", commit="0" * 40)
    assert proposed.json(*EARLY)["proposals"][0]["state"] == "there"
    assert months(proposed) == 2


def test_what_a_protected_branch_does_not_take_is_not_merged(proposed):
    """The policy is asked as for anybody's push: a note alone opens nothing."""
    path = proposed.bare / "pushforward" / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"protect": True}))
    known = proposed.bare / "pushforward" / "registry.json"
    known.write_text(json.dumps(json.loads(known.read_text()) | {"reads": ["params.yaml"]}))
    tip = judged(proposed, "promote")
    (one,), said = (proposed.json(*EARLY)[key] for key in ("proposals", "said"))
    assert one["state"] == "there"
    assert "arrive/2020-03 is not merged" in said[0]
    assert months(proposed) == 2
    merge, _ = Repository(proposed.bare).merge_commit(proposed.git(proposed.bare, "rev-parse", "main"), tip)
    tree = proposed.git(proposed.bare, "rev-parse", f"{merge}^{{tree}}")
    proposed.git(proposed.bare, "update-ref", f"refs/pushforward/passed/{tree}", merge)
    assert proposed.json(*EARLY)["proposals"][0]["state"] == "merged"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return github_double.certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def octo(lake, certificate, monkeypatch, git):
    """The same on GitHub: a bare repository behind the address, and the API in front of it."""
    hub = lake.folder / "hub.git"
    git(lake.folder, "init", "-q", "--bare", "-b", "main", str(hub))
    git(lake.clone, "remote", "remove", "local")
    git(lake.clone, "remote", "add", "origin", ADDRESS)
    git(lake.clone, "config", "protocol.ext.allow", "always")
    git(lake.clone, "config", f"url.ext::git %s {hub}.insteadOf", ADDRESS)  # no folder of this machine
    lake.bare = hub
    lake.write("pushforward.yaml", (lake.clone / "pushforward.yaml").read_text() + "  merge: promote\n")
    git(lake.clone, "commit", "-q", "-am", "Merge by itself")
    git(lake.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with github_double.serve(certificate) as github:
        monkeypatch.setenv("GITHUB_API_URL", f"{github.url}{github_double.API}")
        lake.github = github
        lake.deliver("2020-03")
        assert lake.json(*EARLY)["proposals"][0]["state"] == "opened"
        github.pulls[0].sha = git(hub, "rev-parse", BRANCH)
        yield lake


def status(octo, state, words):
    sha = octo.git(octo.bare, "rev-parse", BRANCH)
    octo.github.statuses.append({"sha": sha, "context": "pushforward", "state": state, "description": words})


def test_on_github_the_api_merges_what_has_the_verdict_and_the_status(octo):
    judged(octo, "promote")
    said = octo.arrive(*EARLY)
    assert "pull/1 is not merged: its status pushforward is missing" in said
    status(octo, "success", "promote: log loss falls")
    assert "https://github.com/octo/flights/pull/1 is merged" in octo.arrive(*EARLY)
    assert octo.github.pulls[0].merged


@pytest.mark.parametrize(
    ("state", "words"), [("success", "identical: the same"), ("failure", "hold: worse"), ("pending", "promote: x")]
)
def test_on_github_another_status_merges_nothing(octo, state, words):
    judged(octo, "promote")
    status(octo, "success", "promote: of an earlier run")
    status(octo, state, words)
    assert f"is not merged: its status pushforward is {state}" in octo.arrive(*EARLY)
    assert octo.github.tried("PUT", "/merge") == 0


def test_on_github_what_a_ruleset_refuses_is_told(octo):
    judged(octo, "promote")
    status(octo, "success", "promote: log loss falls")
    octo.github.fail("PUT", "/merge", refusal(405, "At least 1 approving review is required"), 9)
    assert "is not merged: GitHub answers 405: At least 1 approving review is required" in octo.arrive(*EARLY)
    assert not octo.github.pulls[0].merged


def test_alarms_are_kept_on_github_too(octo):
    (octo.place / "2020-02.txt").unlink()
    first = octo.json(*EARLY, code=3)["alarms"]
    assert [(one["kind"], one["new"]) for one in first] == [("gone", True)]
    assert octo.git(octo.bare, "show", "refs/pushforward/arrival:alarms.json")
    again = octo.json(*EARLY, code=3)["alarms"]
    assert [(one["kind"], one["new"]) for one in again] == [("gone", False)]
