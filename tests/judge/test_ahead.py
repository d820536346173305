"""ahead: what is known before any training of a holdout that a push would ask, by the ledger's own state."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from tests.team import ANN

from pushforward.git.repository import Repository
from pushforward.judge import ahead, ledger, looks
from pushforward.judge.askings import Days, Plan
from pushforward.judge.question import Question
from pushforward.registry import reviews

pytestmark = pytest.mark.whole

WINDOW = "2020-03_2020-04"
LINE = "this holdout answers no more until 2020-05 arrives; your change is trained, and nothing is shown of its gain"
SAME, ASKED, KEYS = (
    "predicts what the champion predicts",
    "asks what was asked of it already",
    "brings enough unseen keys",
)
ACCEPTED = "is what a person has accepted"
MADE_WITH = (
    "    deps:\n    - path: data/raw\n      hash: md5\n      md5: RAW\n      size: 1\n"
    "    params:\n      params.yaml:\n        train.depth: 3\n"
)


class Desk:
    """A hub with a version, the ledger of its newest window, and changes that are asked about."""

    def __init__(self, hub):
        made, deps = hub.model, MADE_WITH.replace("RAW", hub._stored(b"x")).encode()
        hub.model = lambda content: (made(content)[0] + deps, made(content)[1])
        self.months = (hub.clone / "params.yaml").read_text()
        hub.write("params.yaml", self.params())
        hub.write("data/raw.dvc", f"outs:\n- path: raw\n  md5: {hub._stored(b'x')}\n")
        self.hub, self.main = hub, hub.commit("a")
        hub.promote("a", "major")
        self.book = ledger.Ledger(Repository(hub.bare))
        self.version = "toy@v1.0.0"

    def params(self, depth=3, unread=0):
        """A params.yaml: the depth is what the champion was made with, the other number nothing reads."""
        return f"{self.months}train:\n  depth: {depth}\nplots:\n  width: {unread}\n"

    def deeper(self, depth=4):
        """A change of a parameter that the model is made with, and of nothing else."""
        return self.change(params__yaml=self.params(depth))

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
    found = desk.ask(desk.deeper())
    first, second = next(iter(found.closed)).lines()
    assert first == LINE
    assert second == f"the holdout 2020-03 to 2020-04 {why}; the next month opens a new one"
    assert found.in_vain
    assert next(iter(ahead.told(found))) == f"! {LINE}"


@pytest.mark.parametrize(
    ("files", "unless"),
    [
        ({"src__py": "x = 1\n"}, SAME),
        ({"src__py": "x = 1\n", "params__yaml": {"depth": 4}}, SAME),  # it may be another name for the same
        ({"params__yaml": {"depth": 4}}, ""),
        ({"params__yaml": {"unread": 4}}, SAME),
        ({"data/raw__dvc": "outs:\n- path: raw\n  md5: bb\n"}, ""),
        ({"data/other__dvc": "outs:\n- path: other\n  md5: bb\n"}, SAME),
    ],
)
def test_what_only_the_run_can_tell_to_predict_the_same_is_not_in_vain(desk, files, unless):
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    files = {name: desk.params(**text) if isinstance(text, dict) else text for name, text in files.items()}
    found = desk.ask(desk.change(**files))
    assert [one.unless for one in found.closed] == [unless]
    assert found.in_vain == (not unless)
    assert next(iter(found.closed)).lines()[0] == (f"{LINE}, unless it {unless}" if unless else LINE)


def test_what_goes_back_to_the_champion_may_predict_the_same(desk):
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    desk.main = desk.deeper()  # main is somewhere else by now
    desk.hub.git(desk.hub.clone, "push", "-q", "-f", "origin", "idea:main")
    desk.hub.git(desk.hub.clone, "switch", "-q", "-C", "main", "idea")
    assert [one.unless for one in desk.ask(desk.change(src__py="x = 1\n", params__yaml=desk.params())).closed] == [SAME]
    assert [one.unless for one in desk.ask(desk.deeper(5)).closed] == [""]


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
    passed = desk.deeper()
    desk.look("promote", commit=passed)
    desk.look("hold")
    found = desk.ask(passed, "push")
    assert found
    assert not found.in_vain, "a merge of it is promoted: it is not to be skipped"
    assert next(iter(found.closed)).lines()[0] == f"{LINE}, unless it {ASKED}"
    assert desk.ask(desk.deeper(5)).in_vain, "that is another one"


def test_a_look_without_its_last_word_may_get_it_though_all_are_taken(desk):
    desk.look("hold")
    begun = desk.deeper()
    key = looks.Key(*(hashlib.sha256(one.encode()).hexdigest() for one in ("e", "f", "g", "h")))
    desk.book.reserve(WINDOW, key, alpha=0.05, looks=2, mode="superior", commit=begun)
    found = desk.ask(begun)
    assert [one.unless for one in found.closed] == [ASKED]
    assert not found.in_vain
    assert desk.ask(desk.deeper(5)).in_vain, "whose look is open, waits; nothing else does"


def test_of_a_holdout_whose_looks_are_taken_the_open_one_is_answered_when_days_come_and_no_other(desk):
    desk.hub.write("pushforward.yaml", (desk.hub.clone / "pushforward.yaml").read_text() + "gate: {extend: 4}\n")
    desk.main = desk.hub.commit("a", "Let looks wait")
    waiting = desk.deeper()
    key = looks.Key(*(hashlib.sha256(one.encode()).hexdigest() for one in ("e", "f", "g", "h")))
    digests = frozenset(hashlib.sha256(str(day).encode()).digest()[:16] for day in range(20))
    plan = Plan(Days(digests, tuple((digest, f"{digest.hex()}\n") for digest in sorted(digests))), 60)
    taken = desk.book.reserve(WINDOW, key, alpha=0.05, looks=1, mode="superior", commit=waiting, plan=plan)
    desk.book.settle(WINDOW, taken, "unknown", "{}")
    state = desk.book.state(WINDOW)
    assert (state.retired, len(state.open)) == (None, 1)
    assert [one.unless for one in desk.ask(waiting).closed] == [ASKED]
    assert desk.ask(desk.deeper(5)).in_vain
    desk.hub.git(desk.hub.clone, "switch", "-q", "main")
    longer = desk.params().replace('"2020-04"', '"2020-04", "2020-05"')
    gate = (desk.hub.clone / "pushforward.yaml").read_text().replace("extend: 4", "extend: 4, window: 3")
    desk.hub.write("params.yaml", longer)
    desk.hub.write("pushforward.yaml", gate)
    desk.main = desk.hub.commit("a", "Let May arrive in the window")
    late = desk.ask(desk.change(params__yaml=longer.replace("depth: 3", "depth: 5")))
    assert late.in_vain, "the ledger is the one that the window began with"
    again = desk.change(params__yaml=longer.replace("depth: 3", "depth: 4"))
    assert [one.unless for one in desk.ask(again).closed] == [ASKED]


def test_what_has_passed_against_an_earlier_champion_is_the_question_no_more(desk):
    passed = desk.deeper()
    desk.look("promote", commit=passed)
    desk.book.retire(WINDOW, "promoted", desk.version)
    assert desk.ask(passed).in_vain


def accept(desk, commit, word="accepted", champion=None):
    """A person's word on the verdict of a branch, as its tag has it, in the repository that counts."""
    on = reviews.Subject(commit, "pull_request", "unknown", "a" * 64, "b" * 64, "c" * 64, champion or desk.version, "")
    told = reviews.message(word, on, ANN, reviews.record(word, on, reason="it is worth it", by=ANN))
    number = len(desk.hub.git(desk.hub.clone, "tag", "--list", "toy@review#*").split()) + 1
    name = f"toy@review#{number}"
    desk.hub.git(desk.hub.clone, "tag", "-s", "-m", told, name, commit)
    desk.hub.git(desk.hub.bare, "fetch", "-q", str(desk.hub.clone), f"refs/tags/{name}:refs/tags/{name}")


@pytest.mark.parametrize("closes", ["promoted", "spent"])
def test_what_a_person_has_accepted_comes_to_something_where_main_has_it(desk, closes):
    accepted = desk.deeper()
    desk.look("hold")
    if closes == "promoted":
        desk.book.retire(WINDOW, "promoted", desk.version)
    else:
        desk.look("unknown", commit=accepted)  # the last of two
    assert desk.ask(accepted, "push").in_vain
    accept(desk, accepted)
    found = desk.ask(accepted, "push")
    assert [one.unless for one in found.closed] == [ACCEPTED]
    assert not found.in_vain, "a merge of it is promoted by the word"
    assert desk.ask(accepted).in_vain, "nothing is promoted on a branch"
    assert desk.ask(desk.deeper(5), "push").in_vain, "the word is on another one"
    accept(desk, accepted, "rejected")
    assert desk.ask(accepted, "push").in_vain


def test_a_word_against_another_version_counts_no_more(desk):
    accepted = desk.deeper()
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    accept(desk, accepted, champion="toy@v0.9.0")
    assert desk.ask(accepted, "push").in_vain


def test_an_epoch_may_be_opened_by_whatever_is_pushed(desk):
    settings = (desk.hub.clone / "pushforward.yaml").read_text().replace("    batches: params.yaml:data.months\n", "")
    desk.hub.write("pushforward.yaml", settings)
    desk.main = desk.hub.commit("a", "Go by keys")
    desk.hub.promote("a")
    opening = looks.Opening(keys=2, listed="a" * 64, before="b" * 64, labels="c" * 64, since=desk.version, commit="")
    state = looks.State("epoch.1", "a" * 40, 1, 0.05, 1, retired="promoted", by=desk.version, opened=opening)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.Ledger, "epoch", lambda _: state)
        found = desk.ask(desk.deeper())
    assert [one.unless for one in found.closed] == [KEYS], "enough of them may be on main already"
    assert not found.in_vain


@pytest.fixture
def closed(desk):
    """A pull request whose holdout answers no more: its head, and its merge as a forge has it."""
    desk.look("hold")
    desk.book.retire(WINDOW, "promoted", desk.version)
    head, git, bare = desk.deeper(), desk.hub.git, desk.hub.bare
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
