"""Epochs: which keys are held out, which of them a case is judged on, and when the next ones are due."""

import datetime
import hashlib
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import epochs, ledger, looks, names
from pushforward.settings import parse

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [run.txt]
    holdout: {path: data/holdout, key: id, label: y, cluster: none, time: none}
    score: sh score.sh {rows} {out}
    loss: squared
gate: {renews: 100}
"""
RULES = parse(SETTINGS.encode())
COMMIT = "1" * 40


def place(text):
    """Where a key lies, by the words of the contract."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def held(count, start=0):
    """The first so many numbers from `start` on that are held out."""
    found = []
    while len(found) < count:
        if place(str(start)) / 2**64 < 0.2:
            found.append(start)
        start += 1
    return found


def labels(keys, y=None):
    return pl.DataFrame({"id": keys, "y": [float(key % 7) for key in keys] if y is None else y})


@pytest.fixture
def case(repository):
    return case_of(repository)


def case_of(repository, champion=None, rules=RULES):
    return SimpleNamespace(
        repository=Repository(repository),
        rules=rules,
        contract=rules.contract,
        champion=champion,
        question=SimpleNamespace(head=COMMIT),
        subject=SimpleNamespace(model=""),
    )


def at(case, table, *, opens=True, before=None):
    return epochs.at(case, table, before, opens=opens)


def state(case, number):
    return ledger.of(case.repository.path).state(names.epoch(number))


def test_a_place_is_that_of_the_first_eight_bytes_of_the_digest():
    # SHA-256 of "a" and of "1042", as any other tool tells them
    assert epochs.places(pl.Series("id", ["a"])).tolist() == [0xCA978112CA1BBDCA]
    assert epochs.places(pl.Series("id", [1042])).tolist() == [place("1042")]
    day = datetime.date(2013, 5, 31)
    texts = pl.Series("id", ["-7", "1042", "2013-05-31", "ü"])
    assert epochs.places(texts).tolist() == [place(text) for text in texts]
    assert epochs.places(pl.Series("id", [day])).tolist() == [place("2013-05-31")]
    for kind in (pl.Int8, pl.Int64):
        assert epochs.places(pl.Series("id", [-7], dtype=kind)).tolist() == [place("-7")]
    assert epochs.places(pl.Series("id", ["ü"], dtype=pl.Categorical)).tolist() == [place("ü")]


@pytest.mark.parametrize("keys", [[1.5], [datetime.datetime(2013, 5, 31, 12, tzinfo=datetime.UTC)], [True]])
def test_a_key_of_another_type_is_refused(keys):
    with pytest.raises(PushforwardError, match=r"id \(holdout\.key\) is .*; without batches a key is a whole number"):
        epochs.places(pl.Series("id", keys))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_share_of_keys_that_is_held_out_is_what_is_asked(share):
    found = epochs.held_out(epochs.places(pl.Series("id", range(20_000))), share).mean()
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


def test_keys_on_the_other_side_are_named():
    good = pl.Series("id", held(200))
    assert epochs.misplaced(good, RULES) == ""
    wrong = next(number for number in range(100) if number not in held(50))
    found = epochs.misplaced(pl.concat([good, pl.Series("id", [wrong])]), RULES)
    assert found.startswith(
        f"1 of the 201 keys of data/holdout are not on the holdout's side by holdout.share 0.2 ({wrong})"
    )


def test_the_first_epoch_has_all_keys_and_later_ones_wait(case):
    first, more, enough = held(150), held(199), held(250)
    found = at(case, labels(first))
    assert (found.name, found.told.keys, found.told.open, found.listed) == ("epoch.1", 150, True, None)
    assert state(case, 1).opened.keys == 150
    found = at(case, labels(more))
    assert (found.name, found.told.waiting, found.told.renews, len(found.order)) == ("epoch.1", 49, 100, 150)
    assert set(labels(more)["id"][found.order]) == set(first)
    found = at(case, labels(enough))
    assert (found.name, found.told.keys, found.told.waiting) == ("epoch.2", 100, 0)
    assert set(labels(enough)["id"][found.order]) == set(enough[150:])
    book = ledger.of(case.repository.path)
    assert len(book.seen(state(case, 2))) == 8 * 250


def test_the_order_of_the_data_is_no_matter(case):
    table = labels(held(150))
    found = at(case, table)
    again = table.sample(fraction=1.0, shuffle=True, seed=3)
    later = at(case, again)
    assert again[later.order].equals(table[found.order])
    assert later.remarks == ()


def test_a_pull_request_opens_none_and_what_it_was_judged_on_counts_as_seen(case):
    keys = held(400)
    at(case, labels(keys[:150]))
    asked = at(case, labels(keys[:260]), opens=False)
    assert (asked.name, asked.told.open, asked.told.keys) == ("epoch.2", False, 110)
    assert state(case, 2).opened is None
    book, key = ledger.of(case.repository.path), looks.Key(*("abcd"[n] * 64 for n in range(4)))
    budget = {"alpha": 0.05, "looks": 10, "mode": "superior", "commit": COMMIT}
    book.reserve(asked.name, key, **budget, keys=asked.listed)
    # other keys arrive, but for the first hundred; the looks are those of the same epoch
    landed = at(case, labels(keys[:150] + keys[160:280]))
    assert (landed.name, landed.told.keys) == ("epoch.2", 120)
    assert len(state(case, 2).looks) == 1
    later = at(case, labels(keys))
    assert (later.name, later.told.keys) == ("epoch.3", 120), "ten keys of the pull request were looked at"
    assert not set(keys[150:160]) & set(labels(keys)["id"][later.order])


def test_an_epoch_that_nothing_could_be_judged_on_does_not_open(repository):
    rules = parse(SETTINGS.replace("    loss: squared\n", "").encode())
    case, keys = case_of(repository, rules=rules), held(400)
    first = at(case, labels(keys[:200], [n % 2 for n in range(200)]))
    assert first.told.open
    few = [n % 2 for n in range(200)] + [int(n < 30) for n in range(150)]
    found = at(case, labels(keys[:350], few))
    assert (found.name, found.told.waiting) == ("epoch.1", 150)
    why = "the holdout has 30 positive rows; at least 50 are needed"
    assert found.remarks == (f"150 unseen keys cannot open the next epoch yet: {why}",)
    other = case_of(repository, rules=rules)
    assert at(other, labels(keys, [n % 2 for n in range(400)])).name == "epoch.2"


def test_keys_that_went_and_labels_that_changed_are_told_and_make_no_other_epoch(case):
    keys = held(150)
    at(case, labels(keys))
    gone = at(case, labels(keys[3:]))
    assert (gone.name, gone.told.keys, len(gone.order)) == ("epoch.1", 150, 147)
    assert gone.remarks == ("3 of the 150 keys of epoch 1 are in the data no more",)
    other = at(case, labels(keys, [1.0] * 150))
    assert other.remarks == ("epoch 1 opened with other labels than the data has now",)


def test_a_change_that_makes_of_an_epoch_another_one_by_what_it_adds_is_refused(case):
    keys = held(160)
    at(case, labels(keys[:150]))
    swapped = labels(keys, [1.0] * 160)
    with pytest.raises(
        PushforwardError, match=r"epoch 1 opened with other labels .*, by the rows that this change adds"
    ):
        at(case, swapped, before=lambda: labels(keys[:150]))
    with pytest.raises(PushforwardError, match=r"1 of the 150 keys of epoch 1 .*, by the rows that this change adds"):
        at(case, labels(keys[1:]), before=lambda: labels(keys[:150]))
    # it was so before
    found = at(case, swapped, before=lambda: labels(keys[:150], [1.0] * 150))
    assert found.remarks == ("epoch 1 opened with other labels than the data has now",)


def test_of_two_that_open_an_epoch_at_once_the_second_is_judged_on_what_the_first_opened(case, monkeypatch):
    keys = held(400)
    at(case, labels(keys[:150]))
    opened = ledger.Ledger.open

    def late(book, name, *lists, **told):
        monkeypatch.setattr(ledger.Ledger, "open", opened)
        at(case, labels(keys[:300]))
        return opened(book, name, *lists, **told)

    monkeypatch.setattr(ledger.Ledger, "open", late)
    found = at(case, labels(keys[:290]))
    assert (found.name, found.told.keys, len(found.order)) == ("epoch.2", 150, 140)
    assert found.remarks == ("10 of the 150 keys of epoch 2 are in the data no more",)
    assert state(case, 2).length == 1


def test_keys_that_the_version_in_use_has_trained_on_are_not_asked(repository, git):
    (repository / "pushforward.yaml").write_text(SETTINGS.replace("time: none", "time: none, share: 0.1"))
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Hold out less")
    head = git(repository, "rev-parse", "HEAD")
    case = case_of(repository, SimpleNamespace(name="toy@v1.0.0", commit=head))
    keys = held(1000)
    found = at(case, labels(keys))
    below = [key for key in keys if place(str(key)) / 2**64 < 0.1]
    assert sorted(labels(keys)["id"][found.order]) == below
    assert (found.told.since, found.remarks) == ("toy@v1.0.0", ())


def test_a_champion_that_had_another_holdout_is_told(repository, git):
    (repository / "pushforward.yaml").write_text(SETTINGS.replace("    loss", "    batches: p.yaml:b\n    loss"))
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Go by batches")
    head = git(repository, "rev-parse", "HEAD")
    found = at(case_of(repository, SimpleNamespace(name="toy@v1.0.0", commit=head)), labels(held(150)))
    assert found.remarks == ("toy@v1.0.0 is of before the holdout was by keys: it may have trained on some of them",)


def test_a_rehearsal_knows_what_would_be_judged(case):
    book, keys = ledger.of(case.repository.path), held(400)
    told = epochs.foreseen(book, pl.Series("id", keys[:150]), RULES)
    assert told == "epoch 1 would open with 150 keys"
    at(case, labels(keys[:150]))
    told = epochs.foreseen(book, pl.Series("id", keys[:170]), RULES)
    assert told == "epoch 1: 150 keys, the first that there were; 20 wait for the next, which opens at 100"
    told = epochs.foreseen(book, pl.Series("id", keys), RULES)
    assert told == "epoch 2 would open with 250 keys that nobody has judged"


def test_places_of_nothing_are_none():
    assert epochs.places(pl.Series("id", [], dtype=pl.Int64)).dtype == np.uint64
