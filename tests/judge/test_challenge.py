"""The pushed code answers: what is made ready side by side, and what has to come first all the same."""

import datetime
import threading

import polars as pl
import pytest

from pushforward.errors import PushforwardError
from pushforward.gate import leakage as honesty
from pushforward.judge import challenge, handover
from pushforward.settings import load

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: []
    holdout: {path: data/holdout, key: id, label: y, cluster: date, time: at}
    score: python score.py {rows} {events} {out} ...
"""
SCORE = """\
import json, os, sys
import polars as pl
_, rows, *pairs = sys.argv
ids = pl.read_parquet(rows)["id"]
assert os.path.exists("model/weights")
for events, out in zip(pairs[::2], pairs[1::2]):
    pl.DataFrame({"id": ids, "p": [0.25] * len(ids)}).write_parquet(out)
with open(SEEN, "a") as file:
    print(len(pairs) // 2, os.path.exists(LABELS), file=file)
"""
LOCK = "schema: '2.0'\nstages:\n  make:\n    cmd: x\n    outs:\n    - path: data/holdout\n    - path: model\n"
START = datetime.datetime(2020, 3, 1, tzinfo=datetime.UTC)
LIMIT = 60.0  # seconds after which a wait has failed


@pytest.fixture
def made(tmp_path, git):
    """A run that has made a model and a holdout, and where its score command notes what it sees."""
    root, seen = tmp_path / "root", tmp_path / "seen"
    holdout = root / "data" / "holdout"
    for folder in (holdout, root / "model", root / ".dvc"):
        folder.mkdir(parents=True)
    ids = [f"r{n}" for n in range(60)]
    at = [START + datetime.timedelta(hours=n) for n in range(60)]
    pl.DataFrame({"id": ids, "at": at}).write_parquet(holdout / "rows.parquet")
    known = [one + datetime.timedelta(hours=3) for one in at]
    pl.DataFrame({"id": ids, "known_at": known, "delay": range(60)}).write_parquet(holdout / "events.parquet")
    pl.DataFrame({"id": ids, "y": [0] * 60, "date": at}).write_parquet(holdout / "labels.parquet")
    (root / "model" / "weights").write_text("0.25")
    told = f"SEEN, LABELS = {str(seen)!r}, {str(holdout / 'labels.parquet')!r}\n"
    for name, text in {
        "pushforward.yaml": SETTINGS,
        "score.py": told + SCORE,
        "dvc.lock": LOCK,
        "dvc.yaml": "stages: {}\n",
        ".gitignore": "/data\n/model\n",
    }.items():
        (root / name).write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Begin")
    return root, seen


def answer(root, *, forget=False):
    return challenge.answer(root, load(root), root / "handover", probe=True, forget=forget, say=lambda _: None)


def test_the_tables_are_made_while_git_works(made, monkeypatch):
    root, _ = made
    checkout, trials = challenge.checkout, honesty.trials
    both = threading.Barrier(2, timeout=LIMIT)

    def checked_out(*args, **more):
        both.wait()
        return checkout(*args, **more)

    def perturbed(*args, **more):
        both.wait()
        return trials(*args, **more)

    monkeypatch.setattr(challenge, "checkout", checked_out)
    monkeypatch.setattr(honesty, "trials", perturbed)
    assert answer(root) == ""
    left = sorted(path.name for path in (root / "handover").rglob("*") if path.is_file())
    assert left == ["0.parquet", "1.parquet", "2.parquet", "predictions.parquet"]


def test_no_label_is_left_when_the_model_is_asked(made):
    root, seen = made
    answer(root, forget=True)
    told = [line.split() for line in seen.read_text().splitlines()]
    assert sum(int(tables) for tables, _ in told) >= 4
    assert {labels for _, labels in told} == {"False"}
    assert not (root / "data" / "holdout").exists()


def test_tables_that_cannot_be_made_are_the_answer_and_nothing_is_asked(made):
    root, seen = made
    path = root / "data" / "holdout" / "events.parquet"
    pl.read_parquet(path).with_columns(known_at=pl.lit("noon")).write_parquet(path)
    with pytest.raises(PushforwardError, match="known_at is String, not a moment"):
        answer(root, forget=True)
    assert "not a moment" in (root / "handover" / handover.FAILED).read_text()
    assert not seen.exists()


def test_a_checkout_that_fails_ends_it_before_anything_is_asked(made, monkeypatch):
    root, seen = made

    def broken(*_args, **_more):
        raise PushforwardError("the disk is full")

    monkeypatch.setattr(challenge, "checkout", broken)
    with pytest.raises(PushforwardError, match="the disk is full"):
        answer(root)
    assert not seen.exists()
