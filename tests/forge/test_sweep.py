"""The sweep with a docket of its own: what cannot be judged keeps up nothing, and both sides make the same merge."""

import json
import subprocess

import pytest
from click.testing import CliRunner
from tests import docket_double
from tests.forge.test_docket import of_gitlab
from tests.handovers import git

from pushforward.commands.cli import main
from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import sweep as sweeps
from pushforward.forge.client import Api
from pushforward.forge.docket import UNJUDGED, Waiting
from pushforward.forge.sweep import Sweep
from pushforward.git.repository import Repository

pytestmark = pytest.mark.whole


class Docket:
    """A docket that remembers; what is taken is what `left` has for a commit, or its error."""

    name, pull, longest = "Docket", "pull request", (1000, 200)

    def __init__(self, *waiting):
        self.list, self.left, self.said, self.gone, self.comments_made = list(waiting), {}, [], [], []
        self.api = Api("Docket", None)
        self.api.pause = lambda _: None

    def waiting(self):
        yield from self.list

    def ref(self, waiting):
        return f"refs/heads/{waiting.branch}"

    def take(self, waiting, folder):
        left = self.left.get(waiting.head)
        if isinstance(left, PushforwardError):
            raise left
        if left is not None:
            folder.mkdir()
            (folder / "record.json").write_text(left)

    def done(self, waiting):
        self.gone.append(waiting.head)

    def me(self):
        return "the-judge"

    def comments(self, pull):
        return iter(())

    def write(self, pull, body, comment):
        self.comments_made.append((pull, body))
        return "address"

    def set_status(self, waiting, state, words, *, final):
        self.said.append((waiting.head, state, words, final))

    def links(self, waiting):
        return {}

    def page(self, revision, path=""):
        return "page"

    picture = page


@pytest.fixture
def verbs(monkeypatch):
    """What was run, with what it was told; `gate` leaves a verdict, and fails for a commit that is in `broken`."""
    ran, broken = [], set()

    def verb(root, say, words, given=None):
        ran.append((words[0], dict(given or {})))
        head = (given or {}).get("PUSHFORWARD_HEAD", "")
        if words[0] in broken or head in broken:
            raise PushforwardError(f"`pushforward {words[0]}` failed", exit_code=TOOL)
        if words[0] == "gate":
            (root / "verdict").mkdir()
            there = (root / "handover" / "record.json").exists()
            told = {"verdict": "hold" if there else "invalid", "reason": "so it is", "champion": None}
            (root / "verdict" / "verdict.json").write_text(json.dumps(told))
        if words[0] == "report":
            (root / "verdict" / "report.md").write_text("## Report\n")

    monkeypatch.setattr(sweeps, "verb", verb)
    verb.ran, verb.broken = ran, broken
    return verb


def swept(hub, docket, name="judge"):
    said = []
    judged = Sweep(hub.fresh(name), docket, "main", said.append).run()
    return [one.head for one in judged], said


def test_a_pull_request_is_asked_about_by_the_merge_that_was_tried(hub, verbs):
    topic = hub.commit("topic", "topic")
    git(hub.clone, "switch", "-q", "main")
    tip = hub.commit("second")
    docket = Docket(Waiting(topic, "topic", 5, "run"))
    docket.left[topic] = "{}"
    assert swept(hub, docket)[0] == [topic]
    assert [name for name, _ in verbs.ran] == ["gate", "report", "record"]
    told = verbs.ran[0][1]
    assert told == {
        "PUSHFORWARD_HEAD": topic,
        "PUSHFORWARD_REF": "topic",
        "PUSHFORWARD_EVENT": "pull_request",
        "PUSHFORWARD_PULL": "5",
        "PUSHFORWARD_MERGE": told["PUSHFORWARD_MERGE"],
    }
    assert git(hub.folder / "judge", "rev-parse", f"{told['PUSHFORWARD_MERGE']}^@").split() == [tip, topic]
    assert docket.said == [(topic, "failure", "hold: so it is", True)]
    assert [pull for pull, _ in docket.comments_made] == [5]
    assert docket.gone == [topic]


def test_the_run_and_the_judge_make_the_same_merge(hub, verbs, monkeypatch):
    topic = hub.commit("topic", "topic")
    git(hub.clone, "switch", "-q", "main")
    hub.commit("second")
    runner = hub.fresh("runner")
    git(runner, "checkout", "-q", "--detach", topic)
    monkeypatch.chdir(runner)
    done = CliRunner().invoke(main, ["forge", "merge", "--target", "main"])
    assert done.exit_code == 0, done.output
    swept(hub, Docket(Waiting(topic, "topic", 5, "run")))
    assert git(runner, "rev-parse", "HEAD") == verbs.ran[0][1]["PUSHFORWARD_MERGE"]
    assert sorted(path.name for path in runner.iterdir() if path.name != ".git") == ["first", "second", "topic"]


def conflicting(hub):
    (hub.clone / "first").write_text("theirs")
    topic = hub.commit("topic", "topic")
    git(hub.clone, "switch", "-q", "main")
    (hub.clone / "first").write_text("ours")
    hub.commit("second")
    return topic


def test_a_conflict_is_told_and_nothing_is_judged(hub, verbs, monkeypatch):
    topic = conflicting(hub)
    docket = Docket(Waiting(topic, "topic", 5, "run"))
    docket.left[topic] = "{}"
    swept(hub, docket)
    assert verbs.ran == []
    assert docket.said == [(topic, "failure", "conflicts with main in first: rebase it, and push again", True)]
    assert docket.gone == [topic]
    git(hub.clone, "checkout", "-q", topic)
    monkeypatch.chdir(hub.clone)
    done = CliRunner().invoke(main, ["forge", "merge", "--target", "main"])
    assert done.exit_code == 2
    assert f"{topic[:9]} conflicts with main in first\n  next: git fetch && git rebase main" in done.output


def test_one_that_cannot_be_judged_keeps_up_nothing_and_waits_on(hub, verbs):
    one = hub.commit("one", "one")
    git(hub.clone, "switch", "-q", "main")
    two = hub.commit("two", "two")
    docket = Docket(Waiting(one, "one", 5, "run"), Waiting(two, "two", 6, "run"))
    docket.left |= {one: "{}", two: "{}"}
    verbs.broken.add(one)
    judged, said = swept(hub, docket)
    assert judged == [two]
    assert docket.said[0] == (one, "error", UNJUDGED, False)
    assert docket.gone == [two]
    assert "not judged: `pushforward gate` failed" in "\n".join(said)


def test_a_store_that_is_down_is_tried_again_and_what_its_author_broke_is_judged(hub, verbs):
    down, broken = hub.commit("one", "one"), hub.commit("two", "two")
    docket = Docket(Waiting(down, "one", 5, "run"), Waiting(broken, "two", 6, "run"))
    docket.left |= {down: PushforwardError("no answer", exit_code=TOOL), broken: PushforwardError("no archive")}
    assert swept(hub, docket)[0] == [broken]
    assert docket.said == [(down, "error", UNJUDGED, False), (broken, "error", "invalid: so it is", True)]


def test_a_history_that_cannot_be_written_leaves_the_verdict(hub, verbs):
    topic = hub.commit("topic", "topic")
    docket = Docket(Waiting(topic, "topic", 5, "run"))
    docket.left[topic] = "{}"
    verbs.broken.add("record")
    judged, said = swept(hub, docket)
    assert judged == [topic]
    assert docket.said == [(topic, "failure", "hold: so it is", True)]
    assert "`pushforward record` failed" in "\n".join(said)


def test_nothing_of_one_is_left_for_the_next(hub, verbs):
    one, two = hub.commit("one", "one"), hub.commit("two", "two")
    docket = Docket(Waiting(one, "one", 5, "run"), Waiting(two, "two", 6, "run"))
    docket.left[one] = "{}"
    swept(hub, docket)
    assert [words for _, _, words, _ in docket.said] == ["hold: so it is", "invalid: so it is"]


def test_pushes_are_kept_in_their_order_for_whoever_promotes(hub, verbs):
    pushed = [hub.head, *(hub.commit(f"push-{number}") for number in range(11))]
    docket = Docket(*(Waiting(head, "main", None, "run") for head in pushed))
    docket.left |= dict.fromkeys(pushed, "{}")
    swept(hub, docket)
    root = hub.folder / "judge"
    assert [path.name[5:] for path in sorted((root / "judged").iterdir())] == pushed
    assert docket.comments_made == []
    assert verbs.ran[0][1] == {
        "PUSHFORWARD_HEAD": hub.head,
        "PUSHFORWARD_REF": "main",
        "PUSHFORWARD_EVENT": "push",
    }
    verbs.ran.clear()
    assert sweeps.promote(root, print) == 12
    assert [name for name, _ in verbs.ran] == ["promote", "record"] * 12
    assert sweeps.promote(hub.clone, print) == 0


def test_a_verb_is_a_process_whose_words_are_made_harmless(tmp_path, monkeypatch):
    said = []
    with pytest.raises(PushforwardError, match="`pushforward gate` failed, with status 2") as failed:
        sweeps.verb(tmp_path, said.append, ("gate", "--\x1b[31mred"))
    assert failed.value.exit_code == TOOL
    assert "\x1b" not in "".join(said)
    assert "No such option" in "".join(said)


def test_a_place_that_is_no_job_says_so(monkeypatch, tmp_path):
    for name in ("GITLAB_CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["forge", "sweep", "--target", "main"])
    assert done.exit_code == 2
    assert "this is no job of a GitLab, a Gitea or a Forgejo\n  next: pushforward adopt --forge gitlab" in done.output
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("PUSHFORWARD_FORGE_TOKEN", "x")
    monkeypatch.delenv("CI_API_V4_URL", raising=False)
    done = CliRunner().invoke(main, ["forge", "sweep", "--target", "main"])
    assert "this job has no CI_API_V4_URL" in done.output


def test_a_verdict_that_cannot_be_posted_ends_no_job(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITLAB_CI", raising=False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    done = CliRunner().invoke(main, ["forge", "post", "--head", "a" * 40])
    assert done.exit_code == 0
    assert done.output.startswith("  the verdict is not on the commit: ")


def test_a_push_is_told_of_in_its_own_pipeline(monkeypatch, tmp_path):
    with docket_double.serve(docket_double.GitLab()) as double:
        head = "a" * 40
        double.train(0, head, {})
        for name, value in {**of_gitlab(double), "CI_PIPELINE_ID": "100", "PUSHFORWARD_REF": "main"}.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "verdict").mkdir()
        (tmp_path / "verdict" / "verdict.json").write_text(json.dumps({"verdict": "promote", "reason": "better"}))
        monkeypatch.chdir(tmp_path)
        assert CliRunner().invoke(main, ["forge", "post", "--head", head]).exit_code == 0
        (status,) = double.statuses
    assert (status["state"], status["pipeline_id"]) == ("success", 100)
    assert status["target_url"].endswith("/-/jobs/41"), "no run of a merge request is marked as judged"


def test_a_merge_is_the_same_whoever_makes_it(hub):
    topic = hub.commit("topic", "topic")
    one, other = Repository(hub.fresh("one")), Repository(hub.fresh("other"))
    git(other.path, "config", "user.name", "Somebody else")
    git(other.path, "fetch", "-q", "origin", "topic")
    made = [repository.merge_commit(hub.head, topic) for repository in (one, other)]
    assert made[0] == made[1]
