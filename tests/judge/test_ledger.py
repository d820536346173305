"""ledger: no look is lost, none counts twice, and nothing but this module's own chain is believed."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Guard, Number, Verdict
from pushforward.git.refs import HOLDOUTS
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.judge import ledger, looks, names, seal
from pushforward.judge.ledger import Ledger
from pushforward.judge.looks import ClosedError, Key

MONTHS = "2013-03_2013-04"
REF = HOLDOUTS + MONTHS
RACE = """
import sys
from pathlib import Path
from pushforward.git.repository import Repository
from pushforward.judge.ledger import Ledger
from pushforward.judge.looks import ClosedError, Key, digest
folder, remote, who, number = sys.argv[1:]
ledger = Ledger(Repository(Path(folder)), remote=remote)
key = Key(*(digest(part) for part in (who, "champion", "holdout", "rules")))
sys.stdin.read(1)
try:
    look = ledger.reserve("2013-03_2013-04", key, alpha=0.05, looks=int(number), mode="superior", commit="")
    look = ledger.settle("2013-03_2013-04", look, "hold", "{}")
    print(look.number)
except ClosedError:
    print("closed")
"""


def key(challenger, champion="champion", rules="rules"):
    return Key(*(looks.digest(part) for part in (challenger, champion, "holdout", rules)))


@pytest.fixture
def bare(tmp_path, git):
    folder = tmp_path / "project.git"
    folder.mkdir()
    git(folder, "init", "-q", "--bare")
    return folder


@pytest.fixture
def chain(bare):
    return Ledger(Repository(bare))


def reserve(chain, challenger, *, looks=3, alpha=0.06, **changes):
    return chain.reserve(MONTHS, key(challenger, **changes), alpha=alpha, looks=looks, mode="superior", commit="")


def look(chain, challenger, verdict="hold", numbers="{}", **changes):
    return chain.settle(MONTHS, reserve(chain, challenger, **changes), verdict, numbers)


def race(folders, remote, names, looks):
    """Start a process for each name, let all go at once; what each printed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder), remote, name, str(looks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for folder, name in zip(folders, names, strict=True)
    ]
    for child in children:
        child.stdin.write("x")
        child.stdin.flush()
    printed = [child.communicate(timeout=120)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0] * len(children)
    return printed


def test_a_look_is_reserved_then_settled(chain):
    first = reserve(chain, "a")
    assert (first.number, first.of, first.alpha, first.verdict) == (1, 3, pytest.approx(0.02), "")
    settled = chain.settle(MONTHS, first, "hold", "{}")
    assert (settled.verdict, settled.sealed) == ("hold", looks.digest("{}"))
    state = chain.state(MONTHS)
    assert (len(state.looks), state.left, state.length, state.retired) == (1, 2, 2, None)


def test_the_chain_reads_as_history(chain, bare, git):
    look(chain, "a")
    assert git(bare, "log", "--format=%s", REF).splitlines() == [
        f"Look 1 at {MONTHS}: hold",
        f"Look 1 of 3 at {MONTHS}",
    ]
    entry = json.loads(git(bare, "show", f"{REF}:entry.json"))
    assert (entry["entry"], entry["number"], entry["verdict"]) == ("verdict", 1, "hold")


def test_the_same_four_hashes_replay_and_spend_nothing(chain):
    first = look(chain, "a", "hold", "the numbers")
    again = reserve(chain, "a")
    assert again == dataclasses.replace(first, replayed=True)
    assert chain.settle(MONTHS, again, "hold", "the numbers").replayed
    assert chain.state(MONTHS).length == 2


@pytest.mark.parametrize("other", [{"champion": "other"}, {"rules": "other"}])
def test_each_of_the_hashes_makes_a_new_look(chain, other):
    look(chain, "a")
    assert look(chain, "a", **other).number == 2


def test_the_same_four_hashes_with_another_verdict_are_a_bug(chain):
    look(chain, "a", "hold")
    with pytest.raises(PushforwardError, match=r"look 1 at .* gave hold; now .* give promote") as wrong:
        look(chain, "a", "promote")
    assert wrong.value.exit_code == 1


def test_a_look_that_died_before_its_verdict_is_taken_up_again(chain):
    dead = reserve(chain, "a")
    reserve(chain, "b")
    again = reserve(chain, "a")
    assert (again.number, again.alpha, again.replayed) == (dead.number, dead.alpha, True)
    assert chain.settle(MONTHS, again, "hold", "{}").verdict == "hold"
    assert len(chain.state(MONTHS).looks) == 2


def test_the_last_look_retires_the_holdout(chain):
    for name in "abc":
        look(chain, name)
    assert chain.state(MONTHS).retired == "spent"
    with pytest.raises(ClosedError, match="2013-03 to 2013-04 has retired: all of its 3 looks are used") as closed:
        reserve(chain, "d")
    assert closed.value.exit_code == 4
    assert look(chain, "b").replayed


def test_looks_that_are_taken_but_not_finished_still_count(chain):
    for name in "abc":
        reserve(chain, name)
    with pytest.raises(ClosedError, match="all 3 looks at the holdout 2013-03 to 2013-04 are taken"):
        reserve(chain, "d")
    assert look(chain, "c").number == 3
    assert chain.state(MONTHS).retired is None


def test_a_promotion_retires_the_holdout(chain):
    passed = look(chain, "a", "promote")
    unfinished = reserve(chain, "b")
    chain.retire(MONTHS, "promoted", "toy@v1.0.0")
    chain.retire(MONTHS, "superseded", "2013-05")
    state = chain.state(MONTHS)
    assert (state.retired, state.by, state.left) == ("promoted", "toy@v1.0.0", 0)
    with pytest.raises(ClosedError, match=r"toy@v1\.0\.0 was promoted on it; the next month opens a new one"):
        reserve(chain, "c")
    assert reserve(chain, "a").verdict == passed.verdict
    assert chain.settle(MONTHS, unfinished, "hold", "{}").verdict == "hold"


def test_what_passed_and_was_a_version_already_is_not_told_as_promoted(chain):
    look(chain, "a", "promote")
    chain.promoted(MONTHS, 1, "")
    with pytest.raises(ClosedError, match="a model has passed on it, and was a version already; the next month"):
        reserve(chain, "c")


def test_the_next_month_retires_the_holdouts_before_it(chain, monkeypatch):
    look(chain, "a")
    chain.reserve("2013-04", key("a"), alpha=0.05, looks=10, mode="first", commit="")
    chain.reserve("2013-04_2013-05", key("b"), alpha=0.05, looks=10, mode="refresh", commit="")
    chain.supersede(["2013-04", "2013-05"], ["2013-02", "2013-03", "2013-04", "2013-05"])
    retired = {name: chain.state(name).retired for name in (MONTHS, "2013-04", "2013-04_2013-05")}
    assert retired == {MONTHS: "superseded", "2013-04": "superseded", "2013-04_2013-05": None}
    asked = []
    monkeypatch.setattr(Ledger, "_read", lambda _, tip: asked.append(tip) or [])
    chain.supersede(["2013-04", "2013-05"], ["2013-02", "2013-03", "2013-04", "2013-05"])
    assert asked == [], "what has retired is not read once more, however many there are"


def test_the_next_batch_retires_the_holdouts_before_it_in_the_order_of_the_list(chain):
    listed = ["Y", "batch-9", "batch-10", "delivery A"]
    windows = [listed[at : at + 2] for at in range(3)]
    known = [names.ledger(window) for window in (*windows, ["gone", "long"])]
    for number, name in enumerate(known):
        chain.reserve(name, key(str(number)), alpha=0.05, looks=10, mode="refresh", commit="")
    chain.supersede(windows[1], listed)
    retired = [chain.state(name).retired for name in known]
    assert retired == ["superseded", None, None, None], "what is listed later, or not at all, stays"
    with pytest.raises(ClosedError) as closed:
        chain.reserve(known[0], key("x"), alpha=0.05, looks=10, mode="superior", commit="")
    said = "the holdout Y to batch-9 has retired: a later batch has closed since; the next batch opens a new one"
    assert closed.value.message == said
    assert closed.value.next == "add the next batch to the list that `batches` names, when it arrives"


def test_a_budget_stays_what_it_was_when_the_holdout_opened(chain):
    reserve(chain, "a", looks=3, alpha=0.06)
    second = reserve(chain, "b", looks=100, alpha=0.2)
    assert (second.of, second.alpha) == (3, pytest.approx(0.02))


def test_a_pass_that_is_not_promoted_hands_its_share_to_the_looks_after_it(chain):
    alphas = [
        look(chain, name, verdict, looks=5, alpha=0.05).alpha
        for name, verdict in zip("ab", ("hold", "promote"), strict=True)
    ]
    alphas += [look(chain, name, looks=5).alpha for name in "cde"]
    assert alphas == pytest.approx([0.01, 0.01, 0.01 / 3, 0.01 / 3, 0.01 / 3])


def test_of_twenty_looks_at_once_the_budgeted_ten_happen(bare, chain):
    names = [f"challenger {n}" for n in range(20)]
    printed = race([bare] * 20, "", names, 10)
    assert sorted(map(int, (line for line in printed if line != "closed"))) == list(range(1, 11))
    assert printed.count("closed") == 10
    state = chain.state(MONTHS)
    assert len({one.key for one in state.looks}) == 10
    assert all(one.verdict == "hold" for one in state.looks)
    assert state.retired == "spent"
    assert state.length == 21


def test_eight_that_ask_the_same_at_once_share_one_look(bare, chain):
    assert race([bare] * 8, "", ["same"] * 8, 10) == ["1"] * 8
    assert chain.state(MONTHS).length == 2


@pytest.fixture
def clones(bare, tmp_path, git):
    folders = [tmp_path / f"clone{n}" for n in range(4)]
    for folder in folders:
        git(tmp_path, "clone", "-q", str(bare), str(folder))
    return folders


def test_clones_that_push_at_once_take_different_looks(bare, chain, clones):
    printed = race(clones, "origin", [f"challenger {n}" for n in range(4)], 3)
    assert sorted(printed) == ["1", "2", "3", "closed"]
    assert chain.state(MONTHS).retired == "spent"


def test_a_clone_continues_what_another_began(chain, clones):
    one, other = (Ledger(Repository(folder), remote="origin") for folder in clones[:2])
    dead = reserve(one, "a")
    assert other.settle(MONTHS, reserve(other, "a"), "hold", "{}").number == dead.number
    assert reserve(one, "a").verdict == "hold"
    assert one.state(MONTHS) == chain.state(MONTHS)


def test_a_clone_does_not_bring_back_what_the_server_no_longer_has(bare, chain, clones, git):
    one = Ledger(Repository(clones[0]), remote="origin")
    reserve(one, "a")
    git(bare, "update-ref", "-d", REF)
    assert one.state(MONTHS).looks == ()


def test_a_push_that_is_refused_says_why(bare, clones, git):
    git(bare, "config", "receive.hideRefs", "refs/pushforward")
    with pytest.raises(PushforwardError, match=r"cannot be moved: .*hidden ref") as refused:
        reserve(Ledger(Repository(clones[0]), remote="origin"), "a")
    assert refused.value.exit_code == 6


def test_a_checkout_of_a_local_repository_moves_the_chain_there(bare, clones, git):
    git(bare, "config", "receive.hideRefs", "refs/pushforward")
    there = ledger.of(clones[0])
    assert (there.repository.path, there.remote, there.key) == (bare, "", b"")
    reserve(there, "a")
    assert git(bare, "rev-parse", REF)
    git(clones[1], "remote", "set-url", "origin", "https://example.org/a/b.git")
    assert ledger.of(clones[1]).remote == "origin"
    assert ledger.of(bare).repository.path == bare


def forge(bare, text, parents, ref=REF, name="entry.json"):
    """Move the chain to a commit of somebody else's making."""
    repository = Repository(bare)
    tree = repository.write_tree(EMPTY_TREE, {name: text}, index=bare / "forge.index")
    commit = repository.write_commit(tree, parents, "Forge\n", date="1700000000 +0000")
    assert repository.update_ref(ref, commit)
    return commit


def entry(bare, revision=REF):
    return json.loads(Repository(bare).read(revision, "entry.json"))


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def on_top(chain, bare, **changes):
    """A forged copy of the first entry, put on top with some changes."""
    state = chain.state(MONTHS)
    first = entry(bare, f"{REF}~{state.length - 1}")
    forged = first | {"sequence": state.length, "previous": state.tip, "number": 2, "challenger": "0" * 64} | changes
    forge(bare, compact(forged), [state.tip])


def test_a_forged_entry_that_is_right_in_everything_is_one_of_ours(chain, bare):
    look(chain, "a")
    on_top(chain, bare)
    assert len(chain.state(MONTHS).looks) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"number": 1}, "look 1 after look 1"),
        ({"number": 3}, "look 3 after look 1"),
        ({"sequence": 1}, "is entry 2 after"),
        ({"previous": "0" * 40}, "is entry 2 after"),
        ({"holdout": "2013-01"}, "is entry 2 after"),
        ({"of": 100}, "the budget changed"),
        ({"budget": 0.2}, "the budget changed"),
        ({"alpha": 0.05}, "the level of the look is wrong"),
        ({"challenger": looks.digest("a")}, "the same look twice"),
        ({"alpha": "0.02"}, "valid number"),
        ({"extra": 1}, "Extra inputs"),
        ({"entry": "reset"}, "does not match"),
        ({"version": 2}, "Input should be 1"),
        ({"at": "yesterday"}, "match pattern"),
    ],
)
def test_a_forged_entry_is_refused(chain, bare, changes, said):
    look(chain, "a")
    on_top(chain, bare, **changes)
    with pytest.raises(PushforwardError, match=f"is not as it was written: .*{said}") as refused:
        reserve(chain, "b")
    assert refused.value.exit_code == 3


EPOCH = names.epoch(2)
OPENED = {"labels": "a" * 64, "since": "toy@v1.0.0", "commit": "b" * 40}


def test_an_epoch_is_opened_once_and_its_keys_are_those_of_its_entry(chain, bare, git):
    assert chain.epoch() is None
    first = chain.open(EPOCH, b"12345678abcdefgh", b"87654321", **OPENED)
    assert (first.opened.keys, first.opened.since, first.length, first.left) == (2, "toy@v1.0.0", 1, 0)
    again = chain.open(EPOCH, b"12345678", b"", **OPENED)
    assert again == first, "the second is told what the first has opened"
    assert chain.keys(first) == b"12345678abcdefgh"
    assert chain.seen(first) == b"8765432112345678abcdefgh"
    taken = chain.reserve(EPOCH, key("a"), alpha=0.06, looks=3, mode="superior", commit="", keys=b"ijklmnop")
    assert taken.number == 1
    assert chain.seen(chain.state(EPOCH)).endswith(b"ijklmnop")
    assert chain.epoch().holdout == EPOCH
    git(bare, "update-ref", HOLDOUTS + names.epoch(3), git(bare, "rev-parse", HOLDOUTS + EPOCH))
    with pytest.raises(PushforwardError, match="is not as it was written"):
        chain.epoch()


def test_a_list_of_keys_that_was_changed_is_refused(chain, bare):
    state = chain.open(EPOCH, b"12345678", b"", **OPENED)
    repository = Repository(bare)
    entry = {**json.loads(repository.read(state.tip, "entry.json")), "entry": "retired", "reason": "spent", "by": ""}
    for name in ("keys", "listed", "before", "labels", "since", "commit"):
        entry.pop(name)
    chain.reserve(EPOCH, key("a"), alpha=0.06, looks=3, mode="superior", commit="")
    state = chain.state(EPOCH)
    text = compact(entry | {"sequence": state.length, "previous": state.tip})
    tree = repository.write_tree(state.tip, {"entry.json": text, "keys": b"87654321"}, index=bare / "forge.index")
    commit = repository.write_commit(tree, [state.tip], "Forge\n", date="1700000000 +0000")
    assert repository.update_ref(HOLDOUTS + EPOCH, commit)
    with pytest.raises(PushforwardError, match="keys is not the list that its entry names"):
        chain.keys(chain.state(EPOCH))


def test_an_epoch_that_opens_retires_those_before(chain):
    for number in (1, 2):
        chain.open(names.epoch(number), b"12345678", b"", **OPENED)
        chain.reserve(names.epoch(number), key("a"), alpha=0.06, looks=3, mode="superior", commit="")
    chain.supersede_epochs(2)
    assert [chain.state(names.epoch(number)).retired for number in (1, 2)] == ["superseded", None]
    with pytest.raises(
        ClosedError, match="epoch 1 of the holdout has retired: a later one has opened since; the next"
    ) as closed:
        chain.reserve(names.epoch(1), key("b"), alpha=0.06, looks=3, mode="superior", commit="")
    assert closed.value.next.startswith("add rows to the data")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"entry":"look"}', b"\xff", b"x" * 20_000])
def test_a_document_that_is_not_ours_is_refused(chain, bare, text):
    look(chain, "a")
    forge(bare, text, [chain.state(MONTHS).tip])
    with pytest.raises(PushforwardError, match="is not as it was written"):
        chain.state(MONTHS)


def test_a_commit_without_a_document_is_refused(chain, bare):
    look(chain, "a")
    forge(bare, b"{}", [chain.state(MONTHS).tip], name="other.json")
    with pytest.raises(PushforwardError, match="has no readable"):
        chain.state(MONTHS)


def test_a_document_with_a_key_given_twice_is_refused(chain, bare):
    look(chain, "a")
    text = Repository(bare).read(f"{REF}~1", "entry.json")
    forge(bare, text[:-1] + b',"number":1}', [])
    with pytest.raises(PushforwardError, match="canonical"):
        chain.state(MONTHS)


def test_a_chain_cut_at_its_root_is_refused(chain, bare):
    look(chain, "a")
    forge(bare, compact(entry(bare)), [])
    with pytest.raises(PushforwardError, match="is entry 0 after"):
        chain.state(MONTHS)


def test_a_chain_with_a_second_parent_is_refused(chain, bare):
    look(chain, "a")
    tip = chain.state(MONTHS).tip
    other = forge(bare, b"{}", [], ref="refs/heads/other")
    on_top(chain, bare)
    forge(bare, compact(entry(bare)), [tip, other])
    with pytest.raises(PushforwardError, match="is not as it was written"):
        chain.state(MONTHS)


def test_a_verdict_or_a_look_after_the_end_is_refused(chain, bare):
    look(chain, "a")
    forge(bare, compact(entry(bare) | {"sequence": 2, "previous": chain.state(MONTHS).tip}), [chain.state(MONTHS).tip])
    with pytest.raises(PushforwardError, match="a second verdict of look 1"):
        chain.state(MONTHS)


def test_numbers_stay_sealed_until_the_holdout_retires(bare, git):
    (bare / "pushforward").mkdir()
    chain = ledger.of(bare)
    assert (bare / "pushforward" / "seal").stat().st_mode & 0o777 == 0o600
    look(chain, "a", "hold", '{"gain":0.0123}')
    assert chain.numbers(MONTHS) == {}
    assert "0.0123" not in git(bare, "log", "-p", "--text", REF)
    chain.retire(MONTHS, "promoted", "toy@v1.0.0")
    assert chain.numbers(MONTHS) == {1: '{"gain":0.0123}'}
    assert git(bare, "show", f"{REF}:numbers/1.json") == '{"gain":0.0123}'
    assert ledger.of(bare).key == chain.key


def test_a_job_seals_with_its_secret_and_another_secret_opens_nothing(bare, monkeypatch):
    monkeypatch.setenv(seal.VARIABLE, "secret")
    chain = ledger.of(bare)
    look(chain, "a", "hold", "{}")
    monkeypatch.setenv(seal.VARIABLE, "another")
    other = ledger.of(bare)
    other.retire(MONTHS, "promoted")
    assert other.numbers(MONTHS) == {}
    assert chain.key != other.key


def test_numbers_may_be_shown_at_once_where_the_team_wants_that(chain):
    chain.settle(MONTHS, reserve(chain, "a"), "hold", "{}", reveal=True)
    assert chain.numbers(MONTHS) == {1: "{}"}


def test_published_numbers_are_checked_against_their_digest(chain, bare):
    chain.settle(MONTHS, reserve(chain, "a"), "hold", "{}", reveal=True)
    state = chain.state(MONTHS)
    retired = {"version": 1, "holdout": MONTHS, "sequence": 2, "previous": state.tip, "at": "2026-01-01T00:00:00Z"}
    repository = Repository(bare)
    files = {
        "entry.json": compact(retired | {"entry": "retired", "reason": "promoted", "by": ""}),
        "numbers/1.json": b"[]",
    }
    tree = repository.write_tree(EMPTY_TREE, files, index=bare / "i")
    repository.update_ref(REF, repository.write_commit(tree, [state.tip], "Forge\n", date="1700000000 +0000"))
    with pytest.raises(PushforwardError, match="is not what look 1 found"):
        chain.numbers(MONTHS)


VERDICT = Verdict(
    "hold",
    "log loss rises by 0.0123: the gain is between −0.02 and −0.01",
    "superior",
    "logloss",
    {},
    numbers=(Number("log loss", "lower", 0.45, 0.4623, -0.0123),),
    guards=(Guard("AUC", "fail", "AUC loses more than 0.01"),),
    rows=28889,
    clusters=31,
    minimum_detectable=0.004,
    days_to_settle=77,
)


@pytest.mark.parametrize("word", ["promote", "hold", "unknown", "calibration-only"])
def test_what_is_told_of_a_verdict_has_no_number_of_the_labels(chain, word):
    told = seal.public(dataclasses.replace(VERDICT, verdict=word), reserve(chain, "a"))
    assert told.verdict == word
    assert "28,889 rows, 31 days; look 1 of 3" in told.reason
    text = told.to_json()
    assert not any(number in text for number in ("0.45", "0.46", "0.01", "0.0123", "0.004", "77"))
    assert Verdict.from_json(text) == told


def test_what_takes_no_look_says_why_and_keeps_the_numbers_back(chain):
    for word in ("identical", "invalid"):
        told = seal.public(dataclasses.replace(VERDICT, verdict=word), None)
        assert (told.verdict, told.reason) == (word, VERDICT.reason)
        assert not told.numbers


@pytest.mark.parametrize(
    ("word", "outcomes", "said"),
    [
        ("promote", {"constant": "pass"}, "so floors only: it beats every constant prediction ("),
        ("promote", {"constant": "pass", "floor": "pass"}, "it beats every constant prediction and the floor ("),
        ("hold", {"constant": "pass", "floor": "fail"}, "so floors only: the floor beats it ("),
        ("unknown", {"constant": "undecided", "floor": "pass"}, "it is not shown to beat a constant prediction ("),
        ("promote", {"no floor": "pass"}, "there is no champion, and nothing that it would have to beat ("),
    ],
)
def test_a_first_model_is_told_without_its_numbers(word, outcomes, said):
    guards = tuple(Guard(name, outcome, "by 0.25") for name, outcome in outcomes.items())
    told = seal.public(dataclasses.replace(VERDICT, mode="first", verdict=word, guards=guards), None)
    assert told.sealed
    assert said in told.reason
    assert "0.25" not in told.reason
    assert not told.numbers


def test_an_implausible_jump_is_told_for_what_it_is(chain):
    doubt = Guard("plausible", "undecided", "its AUC rises implausibly; a person must look")
    verdict = dataclasses.replace(VERDICT, verdict="unknown", guards=(doubt,))
    assert "a person must look" in seal.public(verdict, reserve(chain, "a")).reason


def test_the_month_s_refresh_has_the_whole_level_and_halves_that_of_the_looks_after_it(chain):
    def ask(name, mode, verdict="hold"):
        found = chain.reserve(MONTHS, key(name), alpha=0.05, looks=5, mode=mode, commit="")
        return chain.settle(MONTHS, found, verdict, "{}")

    asked = [ask("a", "superior"), ask("b", "refresh", "promote"), ask("c", "superior"), ask("d", "refresh")]
    assert [one.alpha for one in asked] == pytest.approx([0.01, 0.05, 0.005, 0.005])
    chain.promoted(MONTHS, 2, "toy@v1.0.1")
    assert chain.state(MONTHS).retired is None, "the refresh leaves its holdout open"
    chain.promoted(MONTHS, 4, "toy@v1.0.2")
    assert chain.state(MONTHS).retired == "promoted", "a second one does not"


def ask(chain, name, verdict="hold", mode="superior", **budget):
    budget = {"alpha": 0.05, "looks": 5, "promotions": 3} | budget
    found = chain.reserve(MONTHS, key(name), **budget, mode=mode, commit="")
    return chain.settle(MONTHS, found, verdict, "{}")


def test_a_holdout_sees_several_promotions_each_paid_for_by_the_look_before(chain, bare, git):
    asked = [ask(chain, "a", "promote"), ask(chain, "b"), ask(chain, "c", "promote"), ask(chain, "d", "promote")]
    assert [one.alpha for one in asked] == pytest.approx([0.01, 0.01 / 4, 0.01 / 4, 0.01 / 4 / 2])
    for number, by in ((1, "toy@v1.1.0"), (1, "toy@v1.1.0"), (3, "")):
        chain.promoted(MONTHS, number, by)
    state = chain.state(MONTHS)
    assert (state.promotions, state.promoted, state.retired, state.left) == (3, ((1, "toy@v1.1.0"), (3, "")), None, 1)
    assert git(bare, "log", "-1", "--format=%s", REF) == f"Promotion by look 3 at {MONTHS}"
    assert chain.numbers(MONTHS) == {}
    chain.promoted(MONTHS, 4, "toy@v1.3.0")
    chain.promoted(MONTHS, 4, "toy@v1.3.0")
    state = chain.state(MONTHS)
    assert (state.retired, state.by, len(state.promoted)) == ("promoted", "toy@v1.3.0", 2)
    said = "retired: toy@v1.3.0 was promoted on it, the last of 3 promotions; the next month"
    with pytest.raises(ClosedError, match=said):
        ask(chain, "e")


def test_what_passes_at_the_last_look_counts_among_the_promotions(chain):
    ask(chain, "a", looks=2)
    ask(chain, "b", "promote", looks=2)
    assert chain.state(MONTHS).retired == "spent"
    for _ in range(2):
        chain.promoted(MONTHS, 2, "toy@v1.1.0")
    assert (chain.state(MONTHS).promoted, chain.state(MONTHS).retired) == (((2, "toy@v1.1.0"),), "spent")


def test_a_refresh_is_none_of_the_promotions(chain):
    ask(chain, "a", "promote", mode="refresh")
    chain.promoted(MONTHS, 1, "toy@v1.0.1")
    assert (chain.state(MONTHS).promoted, chain.state(MONTHS).retired) == ((), None)


def test_a_holdout_in_use_keeps_the_promotions_that_it_began_with(chain):
    ask(chain, "a", promotions=2)
    ask(chain, "b", "promote", promotions=5)
    assert chain.state(MONTHS).promotions == 2
    chain.promoted(MONTHS, 2, "toy@v1.1.0")
    assert chain.state(MONTHS).retired is None


def test_a_pass_while_an_answer_is_out_hands_on_half(chain):
    budget = {"alpha": 0.05, "looks": 5, "promotions": 3, "mode": "superior", "commit": ""}
    first, second = (chain.reserve(MONTHS, key(name), **budget) for name in "ab")
    chain.settle(MONTHS, first, "promote", "{}")
    third = chain.reserve(MONTHS, key("c"), **budget)
    assert third.alpha == pytest.approx(0.01 / 2 / 3)
    chain.settle(MONTHS, second, "promote", "{}")
    assert chain.state(MONTHS).next_alpha(0, 0, "superior") == third.alpha, "a pass that was out hands on nothing more"


def forged(chain, bare, **changes):
    """The chain with one entry more, which says what `changes` do."""
    repository, state = Repository(bare), chain.state(MONTHS)
    common = {"version": 1, "holdout": MONTHS, "sequence": state.length, "previous": state.tip}
    text = compact({**common, "at": "2026-01-01T00:00:00Z", **changes})
    tree = repository.write_tree(state.tip, {"entry.json": text}, index=bare / "i")
    commit = repository.write_commit(tree, [state.tip], "Forge\n", date="1700000000 +0000")
    assert repository.update_ref(REF, commit, state.tip)


LOOK = {"entry": "look", "number": 3, "of": 5, "budget": 0.05, "alpha": 0.0025} | {
    **dict.fromkeys(("challenger", "champion", "data", "rules"), "d" * 64),
    "mode": "superior",
    "commit": "",
    "promotions": 3,
}


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        (LOOK | {"alpha": 0.01}, "the level of the look is wrong"),
        (LOOK | {"promotions": 4}, "the budget changed"),
        ({name: LOOK[name] for name in LOOK if name != "promotions"}, "the budget changed"),
        ({"entry": "promoted", "number": 2, "by": "x"}, "a promotion by look 2, which did not pass"),
        ({"entry": "promoted", "number": 3, "by": "x"}, "a promotion by look 3, which was never reserved"),
        ({"entry": "promoted", "number": 1, "by": "x"}, "a second promotion by look 1"),
        ({"entry": "promoted", "by": "x"}, "entry.json of"),
    ],
)
def test_a_look_or_a_promotion_that_is_not_paid_for_is_refused(chain, bare, entry, refused):
    ask(chain, "a", "promote")
    ask(chain, "b")
    chain.promoted(MONTHS, 1, "toy@v1.1.0")
    forged(chain, bare, **entry)
    with pytest.raises(PushforwardError, match=f"is not as it was written: .*{refused}"):
        chain.state(MONTHS)


def test_the_chain_of_the_right_level_is_none_of_those(chain, bare):
    ask(chain, "a", "promote")
    ask(chain, "b")
    chain.promoted(MONTHS, 1, "toy@v1.1.0")
    forged(chain, bare, **LOOK)
    assert chain.state(MONTHS).looks[2].alpha == 0.0025


@pytest.mark.parametrize("number", [1, 2])
def test_the_last_promotion_has_to_retire_the_holdout(chain, bare, number):
    ask(chain, "a", "promote", promotions=1)
    ask(chain, "b", "promote", promotions=1)
    forged(chain, bare, entry="promoted", number=number, by="x")
    with pytest.raises(PushforwardError, match="promotion 1 left the holdout open"):
        chain.state(MONTHS)


@pytest.mark.parametrize("word", ["hold", "unknown", "calibration-only", "promote"])
def test_where_only_a_pass_is_told_all_else_reads_the_same(chain, word):
    doubt = Guard("plausible", "undecided", "its AUC rises implausibly; a person must look")
    found = dataclasses.replace(VERDICT, verdict=word, rules={"reveal": "pass"}, guards=(doubt,))
    told = seal.public(found, reserve(chain, "a"))
    assert told.verdict == seal.word(found) == ("promote" if word == "promote" else "unknown")
    if word != "promote":
        assert told == seal.public(
            VERDICT.from_json(dataclasses.replace(found, verdict="hold").to_json()), reserve(chain, "a")
        )
        assert told.reason.startswith("not promoted; which of the reasons it was is told when the holdout retires (")
    assert seal.opened(told.to_json(), found.to_json()).verdict == word


SETTINGS = 'tool: "0.2.0"\nmodels:\n{}'
NAMED = "  {}: {{folder: {}, environment: []}}\n"


def test_of_several_models_each_counts_its_own_looks_and_goes_on_where_it_was_alone(bare, git):
    repository = Repository(bare)

    def commit(*models):
        text = SETTINGS.format("".join(NAMED.format(name, name) for name in models))
        tree = repository.write_tree(EMPTY_TREE, {"pushforward.yaml": text.encode()}, index=bare / "index")
        return repository.write_commit(tree, [], "Say the models", date="2020-01-01T00:00:00Z")

    def looks(chain, challenger, at):
        told = chain.reserve(MONTHS, key(challenger), alpha=0.06, looks=3, mode="superior", commit=at)
        chain.settle(MONTHS, told, "hold", "{}")
        return told.number

    alone, both = commit("red"), commit("red", "wine")
    assert looks(Ledger(repository), "one", alone) == 1
    red, wine = Ledger(repository, model="red"), Ledger(repository, model="wine")
    assert red.ref(MONTHS) == REF, "another model beside it buys it no new looks"
    assert looks(red, "two", both) == 2
    assert wine.ref(MONTHS) == f"{HOLDOUTS}wine@{MONTHS}"
    assert looks(wine, "one", both) == 1
    later = "2013-04_2013-05"
    assert red.ref(later) == f"{HOLDOUTS}red@{later}", "what nobody has looked at is begun under its name"
    wine.supersede(("2013-04", "2013-05"), ("2013-03", "2013-04", "2013-05"))
    assert (wine.state(MONTHS).retired, red.state(MONTHS).retired) == ("superseded", None)
