"""ahead: what is known before any training of a holdout that a push would ask, by the ledger's own state."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from pushforward.git.repository import Repository
from pushforward.judge import ahead, ledger, looks
from pushforward.judge.question import Question

WINDOW = "2020-03_2020-04"
LINE = "this holdout answers no more until 2020-05 arrives; your change is trained, and nothing is shown of its gain"


class Desk:
    """A hub with a version, the ledger of its newest window, and changes that are asked about."""

    def __init__(self, hub):
        self.hub, self.main = hub, hub.commit("a")
        hub.promote("a", "major")
        self.book = ledger.Ledger(Repository(hub.bare))
        self.version = "toy@v1.0.0"

    def look(self, word, *, commit="", of=2, name=WINDOW):
        """A look whose answer is `word`."""
        seed = f"{len(self.book.state(name).looks)}"
        key = looks.Key(*(hashlib.sha256(f"{one}{seed}".encode()).hexdigest() for one in ("a", "b", "c", "d")))
        taken = self.book.reserve(name, key, alpha=0.05, looks=of, mode="superior", commit=commit or self.main)
        return self.book.settle(name, taken, word, "{}")

    def change(self, **files):
        """A commit on a branch off main with these files (`__` is a dot); it is not pushed anywhere else."""
        git, clone = self.hub.git, self.hub.clone
        git(clone, "switch", "-q", "-C", "idea", "main")
        for name, text in (files or {"src__py": "x = 1\n"}).items():
            self.hub.write(name.replace("__", "."), text)
        git(clone, "add", "-A")
        git(clone, "commit", "-q", "-m", "Try")
        git(clone, "push", "-q", "-f", "origin", "idea")
        return git(clone, "rev-parse", "HEAD")

    def ask(self, commit, event="pull_request"):
        return ahead.ahead(self.hub.bare, Question(commit, commit, event, "refs/heads/idea", 1), self.main)


@pytest.fixture
def desk(hub):
    return Desk(hub)


def test_a_holdout_in_use_is_told_nothing_of(desk):
    assert not desk.ask(desk.change())
    desk.look("hold")
    assert not desk.ask(desk.change())


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("promoted", "has retired: toy@v1.0.0 was promoted on it"),
        ("spent", "has retired: all of its 2 looks are used"),
        ("superseded", "has retired: a later month has closed since"),
    ],
)
def test_one_that_has_retired_answers_no_more_until_the_next_month(desk, reason, why):
    desk.look("hold")
    desk.book.retire(WINDOW, reason, desk.version)
    found = desk.ask(desk.change())
    first, second = next(iter(found.closed)).lines()
    assert first == LINE
    assert second == f"the holdout 2020-03 to 2020-04 {why}; the next month opens a new one"
    assert found.in_vain
    assert next(iter(ahead.told(found))) == f"! {LINE}"


def test_the_last_look_closes_it_as_the_judge_would_say(desk):
    desk.look("hold")
    desk.look("unknown")
    (closed,) = desk.ask(desk.change()).closed
    assert "all of its 2 looks are used" in closed.why
    with pytest.raises(looks.ClosedError) as refused:
        desk.look("hold")
    assert closed.why == refused.value.message, "the judge says the same"


def test_what_asks_for_no_look_is_told_nothing(desk):
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    words = desk.change(README__md="hello\n", LICENSE="all yours\n")
    assert not desk.ask(words), "it predicts what the champion predicts"
    months = (desk.hub.clone / "params.yaml").read_text()
    assert '"2020-04"' in months
    month = desk.change(params__yaml=months.replace('"2020-04"', '"2020-04", "2020-05"'))
    assert not desk.ask(month), "it opens the next one"


def test_a_first_model_asks_for_none(hub):
    desk = Desk.__new__(Desk)
    desk.hub, desk.main = hub, hub.git(hub.clone, "rev-parse", "HEAD")
    desk.book = ledger.Ledger(Repository(hub.bare))
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", "toy@v0.9.0")
    assert not desk.ask(desk.change())


def test_what_has_passed_and_waits_to_be_merged_may_get_its_answer_again(desk):
    passed = desk.change()
    desk.look("promote", commit=passed)
    desk.look("hold")
    found = desk.ask(passed, "push")
    assert found
    assert not found.in_vain, "a merge of it is promoted: it is not to be skipped"
    assert next(iter(found.closed)).lines()[0] == f"{LINE}, unless it is what has passed on it already"


def test_what_has_passed_against_an_earlier_champion_is_the_question_no_more(desk):
    passed = desk.change()
    desk.look("promote", commit=passed)
    desk.book.retire(WINDOW, "promoted", desk.version)
    assert desk.ask(passed).in_vain


@pytest.fixture
def closed(desk):
    """A pull request whose holdout answers no more: its head, and its merge as a forge has it."""
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    head, git, bare = desk.change(), desk.hub.git, desk.hub.bare
    git(desk.hub.clone, "switch", "-q", "main")
    merge, _ = Repository(bare).merge_commit(desk.main, head)
    for name, commit in (("head", head), ("merge", merge)):
        git(bare, "update-ref", f"refs/pull/1/{name}", commit)
    return head, merge


def gate(desk, *args, **env):
    command = [sys.executable, "-m", "pushforward", "gate", "--ahead", *args]
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("PUSHFORWARD_", "GITHUB_"))}
    done = subprocess.run(command, cwd=desk.hub.clone, env=clean | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_of_a_forge_says_it_of_what_it_has_checked_out(desk, closed):
    _, merge = closed
    desk.hub.git(desk.hub.clone, "fetch", "-q", "origin", merge)
    desk.hub.git(desk.hub.clone, "switch", "-q", "--detach", merge)
    assert gate(desk, PUSHFORWARD_EVENT="pull_request").splitlines()[0] == f"! {LINE}"
    told = json.loads(gate(desk, "--json", PUSHFORWARD_EVENT="pull_request", PUSHFORWARD_BASE=desk.main))
    assert [(one["until"], one["unless"]) for one in told["closed"]] == [("2020-05 arrives", "")]
    desk.hub.git(desk.hub.clone, "switch", "-q", "--detach", desk.main)
    assert gate(desk, PUSHFORWARD_EVENT="push") == ""


def test_the_judge_of_a_forge_says_it_of_a_pull_request_and_leaves_it_for_the_status(desk, closed):
    head, _ = closed
    asked = {"HEAD": head, "EVENT": "pull_request", "REF": "idea", "PULL": "1"}
    told = gate(desk, **{f"PUSHFORWARD_{name}": text for name, text in asked.items()})
    assert told.splitlines()[0] == f"! {LINE}"
    assert (desk.hub.clone / "verdict" / "ahead.txt").read_text() == f"{LINE}\n"


def test_settings_that_cannot_be_read_are_told_by_the_verdict(desk):
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    assert desk.ask(desk.change(pushforward__yaml="models: [")) == ahead.Ahead()
